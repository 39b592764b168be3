"""What the doors share, brought up together and taken down in the opposite order."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from xiaohe.gateway.access.principal import Access, NobodyMay
from xiaohe.gateway.follower import Follower
from xiaohe.gateway.known import Known
from xiaohe.gateway.positions.door_intake import DoorIntake
from xiaohe.gateway.positions.drain import Drain
from xiaohe.gateway.positions.inflow import Inflow
from xiaohe.gateway.positions.intake import Intake
from xiaohe.gateway.publisher import Publisher
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster


@dataclass(slots=True, kw_only=True)
class Parts:
    """The gateway's parts; entering it connects them, leaving it disconnects them.

    ``now_ms`` is the machine's clock, ms since the epoch: given from outside, so that tests have
    their own.
    """

    cluster: Cluster
    topics: Topics
    known: Known
    now_ms: Callable[[], int]
    access: Access = field(default_factory=NobodyMay)
    intake: Intake = field(init=False)
    publisher: Publisher = field(init=False)
    inflow: Inflow = field(init=False)
    drain: Drain = field(init=False)
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def __post_init__(self) -> None:
        """Make the parts that need others."""
        self.publisher = Publisher(self.cluster)
        self.inflow = Inflow(self.known.owners)
        self.drain = Drain(self.cluster, self.topics, self.inflow)
        self.intake = DoorIntake(self.inflow, self.publisher, self.topics, self.now_ms, {})

    async def __aenter__(self) -> Self:
        """Connect; return when the roster and who has which device have been read whole."""
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.publisher)
            for topic, take in (
                (self.topics.roster, self.known.take_roster_record),
                (self.topics.members, self.known.take_member_record),
            ):
                await starting.enter_async_context(Follower(self.cluster, topic.name, take))
            await starting.enter_async_context(self.drain)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._running.aclose()
