"""What comes through the doors, taken the way of the raw topics: sorted, written, acknowledged."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from xiaohe.gateway.access.principal import Permit
from xiaohe.gateway.positions.inflow import Came, Feed, Inflow
from xiaohe.gateway.positions.intake import NotTaken, Taken
from xiaohe.gateway.positions.raw_columns import ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Said
from xiaohe.gateway.publisher import NotPublished, Publisher, Record
from xiaohe.topics import Topics

UNTRUSTED: Final = 0.5
"""Trust in a device that cannot sign, where its door is trusted wholly: anybody may be it."""

KEPT_MAX: Final = 1_000
"""Devices whose last message is kept in memory for whoever wires them up; some 4 MB at most."""

KEPT_BYTES_MAX: Final = 4 * 1024
"""So much of a message is kept."""


class LastMessage(Struct, frozen=True):
    """The last message of a device that came through a door."""

    door: str
    received_ms: int
    raw: bytes
    said: tuple[Said, ...]


class DoorIntake:
    """The intake of a gateway; ``feeds`` are the doors whose trust the operator set."""

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
        self._last: OrderedDict[str, LastMessage] = OrderedDict()

    async def take(self, permit: Permit, door: str, said: Sequence[Said], raw: bytes) -> Taken:
        """Take what one message said; see ``Intake``."""
        now_ms = self._now_ms()
        self._keep(door, now_ms, said, raw)
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

    def last(self, device_id: str) -> LastMessage | None:
        """Give the last message of a device, where it came through a door of late."""
        return self._last.get(device_id)

    def _feed(self, permit: Permit, door: str) -> Feed:
        trust = self._trust.get(door, 1.0)
        return Feed(door, trust if permit.principal.trusted else trust * UNTRUSTED)

    def _keep(self, door: str, now_ms: int, said: Sequence[Said], raw: bytes) -> None:
        devices = {each.device_id for each in said if each.device_id}
        message = LastMessage(door, now_ms, raw[:KEPT_BYTES_MAX], tuple(said[:1]))
        for device_id in devices if len(devices) == 1 else ():
            self._last[device_id] = message
            self._last.move_to_end(device_id)
            if len(self._last) > KEPT_MAX:
                self._last.popitem(last=False)
