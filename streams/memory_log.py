"""The topics in memory: the same log for tests, simulation and the embedded stand-in.

``MemoryTopics`` keeps the records and gives them their receipt from a clock. ``MemoryLog`` is a
lane's view of them. ``MemoryBus`` is a whole worker on top: it feeds the lanes and lets clients
produce and consume. Nothing is written to disk, and nothing outlives the process.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from xiaohe.streams.lane import Flow
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.ports import (
    INPUTS,
    Appended,
    Clock,
    Core,
    Headers,
    LogRecord,
    Publication,
    Raw,
)
from xiaohe.wire.murmur2 import partition_of

DECISIONS = "decisions"
"""Key in topics.yaml of the decisions log."""

Listener = Callable[[Raw], None]


class Stored(Struct, frozen=True):
    """One record as it lies in a topic."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class MemoryTopics:
    """Append-only topics, each with ``partitions`` partitions, or as ``counts`` says."""

    def __init__(
        self, clock: Clock, partitions: int, counts: Mapping[str, int] | None = None
    ) -> None:
        self.clock = clock
        self.partitions = partitions
        self._counts = dict(counts or {})
        self._records: dict[tuple[str, int], list[Stored]] = defaultdict(list)
        self._listeners: dict[str, list[Listener]] = defaultdict(list)

    def count(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._counts.get(topic, self.partitions)

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Raw:
        """Write one record and tell those who listen."""
        if partition is None:
            partition = partition_of(key, self.count(topic)) if key is not None else 0
        assert 0 <= partition < self.count(topic)
        lane = self._records[topic, partition]
        stored = Stored(self.clock.now_ms(), key, value, tuple(headers))
        lane.append(stored)
        raw = _raw(topic, partition, len(lane) - 1, stored)
        for listener in tuple(self._listeners[topic]):
            listener(raw)
        return raw

    def read(self, topic: str, partition: int, start: int = 0, end: int | None = None) -> list[Raw]:
        """Records with ``start <= offset < end``."""
        records = self._records[topic, partition]
        last = len(records) if end is None else min(end, len(records))
        return [_raw(topic, partition, at, records[at]) for at in range(max(0, start), last)]

    def read_all(self, topic: str) -> list[Raw]:
        """All records of a topic, partition after partition."""
        return [raw for p in range(self.count(topic)) for raw in self.read(topic, p)]

    def end(self, topic: str, partition: int) -> int:
        """Offset that the next record will have."""
        return len(self._records[topic, partition])

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Have every new record of a topic told, until the function returned is called."""
        self._listeners[topic].append(listener)
        return lambda: self._listeners[topic].remove(listener)


def _raw(topic: str, partition: int, offset: int, stored: Stored) -> Raw:
    return Raw(
        topic, partition, offset, stored.timestamp_ms, stored.key, stored.value, stored.headers
    )


class MemoryLog:
    """A lane's view of topics in memory."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics

    async def append_decisions(
        self, partition: int, records: Sequence[bytes]
    ) -> Sequence[Appended]:
        """Append in order to the decisions log."""
        written = [self._topics.append(DECISIONS, None, r, (), partition) for r in records]
        return [Appended(raw.offset, raw.timestamp_ms) for raw in written]

    async def read_decisions(
        self, partition: int, start: int, end: int
    ) -> AsyncIterator[LogRecord]:
        """Records of the decisions log with ``start <= offset < end``."""
        for raw in self._topics.read(DECISIONS, partition, start, end):
            yield LogRecord(raw.offset, raw.timestamp_ms, raw.value or b"")

    async def decisions_range(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of the decisions log."""
        return 0, self._topics.end(DECISIONS, partition)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Send stage after stage, in order within one."""
        for each in sorted(publications, key=lambda p: p.stage):
            self._topics.append(each.topic, each.key, each.value, each.headers, each.partition)

    async def input_ends(self, partition: int) -> Mapping[str, int]:
        """End offset of each input topic of the partition."""
        return {topic: self._topics.end(topic, partition) for topic in INPUTS}

    async def input_starts(self, partition: int) -> Mapping[str, int]:
        """Nothing is ever deleted here."""
        assert 0 <= partition < self._topics.partitions
        return dict.fromkeys(INPUTS, 0)

    async def input_offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """Offset of the first record received at or after ``at_ms``."""
        records = self._topics.read(topic, partition)
        return next((r.offset for r in records if r.timestamp_ms >= at_ms), len(records))

    async def read_input(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Raw]:
        """Records of an input topic with ``start <= offset < end``."""
        for raw in self._topics.read(topic, partition, start, end):
            yield raw


class MemoryBus:
    """One worker that owns all partitions of topics in memory."""

    def __init__(
        self,
        topics: MemoryTopics,
        make_core: Callable[[int], Core],
        gate: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.topics = topics
        self.failure: asyncio.Future[BaseException] | None = None
        self._flow = Flow(ack=lambda _ack: None, gate=gate)
        self.lanes = Lanes(
            make_core, MemoryLog(topics), topics.clock, lambda _p: self._flow, self._fail
        )
        self._leave: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Take all partitions over and read on from where the log says."""
        self.failure = asyncio.get_running_loop().create_future()
        await self.lanes.own(range(self.topics.partitions))
        for (topic, partition), offset in self.lanes.next_inputs().items():
            for raw in self.topics.read(topic, partition, offset):
                self.lanes.put(raw, None)
        self._leave = [self.topics.listen(t, lambda r: self.lanes.put(r, None)) for t in INPUTS]

    def _fail(self, error: BaseException) -> None:
        self.kill()
        if self.failure is not None and not self.failure.done():
            self.failure.set_result(error)

    def kill(self) -> None:
        """End as a crash would: nothing is finished, only the topics are left."""
        self._stop_listening()
        self.lanes.abandon()

    async def stop(self) -> None:
        """Finish the batches under way and end."""
        self._stop_listening()
        await self.lanes.release()

    def _stop_listening(self) -> None:
        leave, self._leave = self._leave, []
        for each in leave:
            each()
