"""The broker's time, as a worker knows it: every acknowledgement of a write puts its clock right.

Windows count from the broker's receipts, so deadlines must fall due by the broker's clock, whatever
the machine of the worker believes. A write is received after it was sent and before its
acknowledgement came: within these bounds the worker's own clock is believed, outside it is wrong by
so much at least. Every worker writes a fence before it decides anything.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from xiaohe.streams.ports import Alarm, Appended, Clock, Log, LogRecord, Publication, Raw

BELIEVED_MS: Final = 250
"""How far the own clock is believed to be ahead of the earliest that an acknowledgement allows: a
slow one allows seconds. A clock that is behind is put right by the next; a deadline that was
decided too soon is not."""


class BrokersClock:
    """A clock that shows the broker's time, as far as acknowledgements tell it."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._correction_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._own.now_ms() + self._correction_ms

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once, not before ``at_ms``, as far as is known now."""
        return self._own.call_at(at_ms - self._correction_ms, callback)

    async def sleep_until(self, at_ms: int) -> None:
        """Return not before ``at_ms``, as far as is known now."""
        await self._own.sleep_until(at_ms - self._correction_ms)

    def own_ms(self) -> int:
        """What the worker's own clock shows."""
        return self._own.now_ms()

    def heard(self, receipt_ms: int, sent_ms: int) -> None:
        """Note that a write of ``sent_ms`` by the own clock, acknowledged now, was received at
        ``receipt_ms`` by the broker's."""
        least_ms = receipt_ms - self._own.now_ms()
        most_ms = max(least_ms, min(receipt_ms - sent_ms, least_ms + BELIEVED_MS))
        self._correction_ms = min(max(self._correction_ms, least_ms), most_ms)


class HeededLog:
    """A log whose acknowledgements put a clock right."""

    def __init__(self, log: Log, clock: BrokersClock) -> None:
        self._log = log
        self._clock = clock

    async def append_decisions(
        self, partition: int, records: Sequence[bytes]
    ) -> Sequence[Appended]:
        """Append in order to the decisions log, and hear what time it is there."""
        sent_ms = self._clock.own_ms()
        appended = await self._log.append_decisions(partition, records)
        self._clock.heard(appended[-1].timestamp_ms, sent_ms)
        return appended

    def read_decisions(self, partition: int, start: int, end: int) -> AsyncIterator[LogRecord]:
        """Records of the decisions log with ``start <= offset < end``."""
        return self._log.read_decisions(partition, start, end)

    async def decisions_range(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of the decisions log."""
        return await self._log.decisions_range(partition)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Send in order within a stage, acknowledge stage after stage."""
        await self._log.publish(publications)

    async def input_ends(self, partition: int) -> Mapping[str, int]:
        """End offset of each input topic of the partition, by topic key, as of now."""
        return await self._log.input_ends(partition)

    async def input_starts(self, partition: int) -> Mapping[str, int]:
        """First offset that each input topic of the partition still holds, by topic key."""
        return await self._log.input_starts(partition)

    async def input_offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """Offset of the first record received at or after ``at_ms``; the end where none was."""
        return await self._log.input_offset_at(topic, partition, at_ms)

    def read_input(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Raw]:
        """Records of an input topic with ``start <= offset < end``."""
        return self._log.read_input(topic, partition, start, end)
