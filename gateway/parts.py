"""What the doors share, brought up together and taken down in the opposite order."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiokafka import ConsumerRecord

from xiaohe.gateway.access.keeper import Keeper
from xiaohe.gateway.access.oidc import Abroad
from xiaohe.gateway.access.passwords import Hashes
from xiaohe.gateway.access.principal import Access, NobodyMay
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.alerts.mapping import Feed
from xiaohe.gateway.alerts.open311 import Service
from xiaohe.gateway.events.feed import Feed as EventFeed
from xiaohe.gateway.events.parcels import Parcels
from xiaohe.gateway.events.webhooks import Webhooks
from xiaohe.gateway.follower import Follower
from xiaohe.gateway.incident_views import IncidentViews
from xiaohe.gateway.known import Known
from xiaohe.gateway.positions.asking import Asking, follow
from xiaohe.gateway.positions.door_intake import DoorIntake
from xiaohe.gateway.positions.drain import Drain
from xiaohe.gateway.positions.inflow import Inflow
from xiaohe.gateway.positions.intake import Intake
from xiaohe.gateway.positions.mqtt import OwnTracksOverMqtt
from xiaohe.gateway.publisher import Publisher
from xiaohe.gateway.settings import DoorsSettings
from xiaohe.geo.address_points import AddressPoint
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster


@dataclass(slots=True, kw_only=True)
class Parts:
    """The gateway's parts; entering it connects them, leaving it disconnects them.

    ``now_ms`` is the machine's clock, ms since the epoch: given from outside, so that tests have
    their own. With a ``secret``, a keeper is the access; ``secure`` is whether browsers come by
    TLS, ``authority`` the certificate (PEM) of who vouches for the gateway's own.
    """

    cluster: Cluster
    topics: Topics
    known: Known
    now_ms: Callable[[], int]
    access: Access = field(default_factory=NobodyMay)
    settings: DoorsSettings = field(default_factory=DoorsSettings)
    secret: Secret | None = None
    hashes: Hashes | None = None
    secure: bool = False
    authority: bytes | None = None
    addresses: Sequence[AddressPoint] = ()
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    services: Sequence[Service] = ()
    incidents: IncidentViews = field(default_factory=IncidentViews)
    asking: Asking = field(default_factory=Asking)
    first_link: str | None = field(init=False, default=None, repr=False)
    publisher: Publisher = field(init=False)
    feed: EventFeed = field(init=False)
    webhooks: Webhooks | None = field(init=False, default=None)
    keeper: Keeper | None = field(init=False, default=None)
    abroad: Abroad | None = field(init=False, default=None)
    intake: Intake = field(init=False)
    inflow: Inflow = field(init=False)
    drain: Drain = field(init=False)
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def __post_init__(self) -> None:
        """Make the parts that need others."""
        self.publisher = Publisher(self.cluster)
        self.feed = EventFeed(self.cluster, self.topics)
        self.inflow = Inflow(self.known.owners)
        self.drain = Drain(self.cluster, self.topics, self.inflow)
        self.intake = DoorIntake(
            self.inflow, self.publisher, self.topics, self.now_ms, self.settings.positions.trust
        )
        if self.secret is not None:
            self.keeper = self._keeper(self.secret)
            self.access = self.keeper
            self.publisher.witness = self.keeper.audit
            self.webhooks = self._webhooks(self.secret)

    def _webhooks(self, secret: Secret) -> Webhooks:
        return Webhooks(
            cluster=self.cluster, topics=self.topics, feed=self.feed, publisher=self.publisher,
            settings=self.settings.events.webhooks, secret=secret, now_ms=self.now_ms,
            render=Parcels(self.feeds, self.incidents, self.now_ms).of,
        )  # fmt: skip

    def _keeper(self, secret: Secret) -> Keeper:
        settings = self.settings.access
        keeper = Keeper(
            cluster=self.cluster, topics=self.topics, secret=secret, known=self.known,
            publisher=self.publisher, settings=settings, now_ms=self.now_ms, hashes=self.hashes,
        )  # fmt: skip
        if settings.oidc is not None:
            self.abroad = Abroad(settings.oidc, keeper.tokens, self.now_ms)
        return keeper

    async def __aenter__(self) -> Self:
        """Connect; return when roster and incidents have been read whole."""
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.publisher)
            for topic, take in (
                (self.topics.roster, self.known.take_roster_record),
                (self.topics.incidents, self._take_incident),
                (self.topics.members, self.known.take_member_record),
            ):
                await starting.enter_async_context(Follower(self.cluster, topic.name, take))
            if self.keeper is not None:
                await starting.enter_async_context(self.keeper)
                self.first_link = await self.keeper.first_link()
            await starting.enter_async_context(self.feed)
            await starting.enter_async_context(self.drain)
            if self.webhooks is not None:
                await starting.enter_async_context(self.webhooks)
            for mqtt in self.settings.positions.mqtt:
                phones = OwnTracksOverMqtt(
                    mqtt, inflow=self.inflow, publisher=self.publisher, topics=self.topics,
                    asking=self.asking, now_ms=self.now_ms,
                )  # fmt: skip
                await starting.enter_async_context(phones)
            self._running = starting.pop_all()
        return self

    def _take_incident(self, record: ConsumerRecord) -> None:
        """Follow the incidents; a new one has those on shift asked where they are."""
        self.incidents.take_record(record)
        view = self.incidents.get((record.key or b"").decode(errors="replace"))
        if view is not None:
            follow(self.asking, view, self.known.roster, self.now_ms())

    def leave(self) -> None:
        """Let those go who hold a door open: the gateway ends."""
        self.feed.close()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._running.aclose()
