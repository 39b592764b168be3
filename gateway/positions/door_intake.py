"""What comes through the doors, taken the way of the raw topics: sorted, written, acknowledged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from xiaohe.gateway.access.principal import Permit
from xiaohe.gateway.positions.inflow import Came, Feed, Inflow
from xiaohe.gateway.positions.intake import NotTaken, Taken
from xiaohe.gateway.positions.raw_columns import ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Said
from xiaohe.gateway.publisher import NotPublished, Publisher, Record
from xiaohe.topics import Topics

UNTRUSTED: Final = 0.5
"""Trust in a device that cannot sign, where its door is trusted wholly: anybody may be it."""


class DoorIntake:
    """The intake of a gateway; ``trust`` is that of doors for which the operator set it."""

    def __init__(
        self,
        inflow: Inflow,
        publisher: Publisher,
        topics: Topics,
        now_ms: Callable[[], int],
        trust: Mapping[str, float],
    ) -> None:
        self._inflow = inflow
        self._publisher = publisher
        self._topics = topics
        self._now_ms = now_ms
        self._trust = trust

    async def take(self, permit: Permit, door: str, said: Sequence[Said], raw: bytes) -> Taken:
        """Take what one message said; see ``Intake``."""
        now_ms = self._now_ms()
        self._inflow.last_messages.keep(door, now_ms, said, raw)
        fixes = [(at, each) for at, each in enumerate(said) if isinstance(each, RawFix)]
        no_fixes = [(at, each) for at, each in enumerate(said) if isinstance(each, NoFix)]
        done = self._inflow.sort(
            ReadMessages(columns_of(fixes), no_fixes),
            Came.through_a_door(len(said), now_ms),
            self._feed(permit, door),
            permit.about.area_id,
        )
        records = [Record(self._topics.positions, p.area_id, p.value) for p in done.packed]
        try:
            if records:
                await self._publisher.publish_all(permit, records)
        except NotPublished:
            self._inflow.not_written(done.told, [each.device_id for _, each in fixes])
            raise
        refused = tuple(NotTaken(r.message, r.bad.reason) for r in done.refusals)
        return Taken(len(said) - len(refused), refused)

    def _feed(self, permit: Permit, door: str) -> Feed:
        trust = self._trust.get(door, 1.0)
        return Feed(door, trust if permit.principal.trusted else trust * UNTRUSTED)
