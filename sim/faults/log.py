"""A lane's view of the topics through a link that may fail; and the places where it may die."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from msgspec import structs

from xiaohe.sim.faults.evidence import Peak
from xiaohe.sim.faults.faults import Kind, Plan
from xiaohe.sim.faults.link import Link
from xiaohe.streams.decision_log import (
    SNAPSHOT_PIECE_BYTES_MAX,
    Fence,
    SnapshotPiece,
    decode,
    encode,
)
from xiaohe.streams.lane import BATCH_DECISIONS_MAX, RECORD_BYTES_MAX
from xiaohe.streams.memory_log import DECISIONS, MemoryTopics
from xiaohe.streams.ports import INPUTS, WAKEUPS, Appended, LogRecord, Publication, Raw

FENCE: Final = b'"kind":"fence"'
SNAPSHOT: Final = b'"kind":"snapshot"'
DECISION: Final = b'"kind":"decision"'
HEAD_BYTES: Final = 32
"""An entry's version and kind stand at its beginning."""

TORN_SHARE: Final = 0.1


class Peaks:
    """The largest sizes seen of what has a named limit."""

    def __init__(self) -> None:
        self._sizes: dict[str, Peak] = {}

    def see(self, name: str, size: int, limit: int) -> None:
        """Note a size."""
        known = self._sizes.get(name)
        if known is None or size > known.size:
            self._sizes[name] = Peak(size, limit)

    @property
    def largest(self) -> Mapping[str, Peak]:
        """The largest of each, by the name of its limit."""
        return dict(sorted(self._sizes.items()))


class SimLog:
    """The ``Log`` of one worker. ``gap`` is called at each place where it may die.

    A fence names the simulated worker instead of this machine's process, so that the same run
    leaves the same bytes everywhere.
    """

    def __init__(
        self,
        topics: MemoryTopics,
        link: Link,
        worker: str,
        plan: Plan,
        gap: Callable[[str], None],
        peaks: Peaks,
        chance: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._link = link
        self._worker = worker
        self._plan = plan
        self._gap = gap
        self._peaks = peaks
        self._chance = chance

    # --- writing

    async def append_decisions(
        self, partition: int, records: Sequence[bytes]
    ) -> Sequence[Appended]:
        """Append in order to the decisions log, as one record batch or, torn, as two."""
        is_fence = FENCE in records[0][:HEAD_BYTES]
        if is_fence:
            fence = decode(records[0])
            assert isinstance(fence, Fence)
            records = [encode(structs.replace(fence, worker=self._worker))]
        self._measure(records)
        self._gap("appending")
        appended: list[Appended] = []
        for part in self._parts(records):
            if appended:
                self._gap("torn")
            appended += await self._link.ask(partial(self._append, partition, part))
        self._gap("fence_written" if is_fence else "appended")
        return appended

    def _parts(self, records: Sequence[bytes]) -> list[Sequence[bytes]]:
        torn = self._plan.rate(Kind.TORN_BATCH) * TORN_SHARE if self._link.faulty else 0.0
        if len(records) == 1 or not torn or self._chance() >= torn * len(records):
            return [records]
        self._plan.note(Kind.TORN_BATCH)
        at = 1 + int(self._chance() * (len(records) - 1))
        return [records[:at], records[at:]]

    def _append(self, partition: int, records: Sequence[bytes]) -> list[Appended]:
        written = [self._topics.append(DECISIONS, None, r, (), partition) for r in records]
        return [Appended(raw.offset, raw.timestamp_ms) for raw in written]

    def _measure(self, records: Sequence[bytes]) -> None:
        if SNAPSHOT in records[0][:HEAD_BYTES]:
            piece = decode(records[0])
            assert isinstance(piece, SnapshotPiece)
            size = len(piece.body)
            self._peaks.see("SNAPSHOT_PIECE_BYTES_MAX", size, SNAPSHOT_PIECE_BYTES_MAX)
        elif DECISION in records[0][:HEAD_BYTES]:
            self._peaks.see("BATCH_DECISIONS_MAX", len(records), BATCH_DECISIONS_MAX)
            self._peaks.see("RECORD_BYTES_MAX", max(map(len, records)), RECORD_BYTES_MAX)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Send stage after stage, in order within each partition."""
        ordered = sorted(publications, key=lambda each: each.stage)
        for stage, found in groupby(ordered, key=lambda each: each.stage):
            batch = list(found)
            for each in batch:
                self._peaks.see("RECORD_BYTES_MAX", len(each.value or b""), RECORD_BYTES_MAX)
            await self._publish_stage(batch)
            wakeup = batch[0].topic == WAKEUPS
            self._gap("wakeup_written" if wakeup else f"published_{min(stage, 2)}")

    async def _publish_stage(self, batch: list[Publication]) -> None:
        if not (self._link.faulty and self._plan.has(Kind.REORDER)):
            await self._link.ask(partial(self._write, batch))
            return
        # Each topic's own requests, of which any may be the first to arrive.
        self._plan.note(Kind.REORDER)
        by_topic: dict[tuple[str, int | None, bytes | None], list[Publication]] = {}
        for each in batch:
            by_topic.setdefault((each.topic, each.partition, each.key), []).append(each)
        requests = [self._link.ask(partial(self._write, part)) for part in by_topic.values()]
        await asyncio.gather(*requests)

    def _write(self, batch: Sequence[Publication]) -> None:
        for each in batch:
            self._topics.append(each.topic, each.key, each.value, each.headers, each.partition)

    # --- asking and reading

    async def decisions_range(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of the decisions log."""
        end = await self._link.ask(partial(self._topics.end, DECISIONS, partition))
        return 0, end

    async def input_ends(self, partition: int) -> Mapping[str, int]:
        """End offset of each input topic of the partition."""
        return await self._link.ask(lambda: {t: self._topics.end(t, partition) for t in INPUTS})

    async def input_starts(self, partition: int) -> Mapping[str, int]:
        """Nothing is deleted in so short a run."""
        assert 0 <= partition < self._topics.partitions
        return await self._link.ask(lambda: dict.fromkeys(INPUTS, 0))

    async def input_offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """Offset of the first record received at or after ``at_ms``."""
        records = await self._link.ask(lambda: self._topics.read(topic, partition))
        return next((r.offset for r in records if r.timestamp_ms >= at_ms), len(records))

    async def read_decisions(
        self, partition: int, start: int, end: int
    ) -> AsyncIterator[LogRecord]:
        """Records of the decisions log with ``start <= offset < end``."""
        if start >= end:
            return
        for raw in await self._link.ask(
            lambda: self._topics.read(DECISIONS, partition, start, end)
        ):
            yield LogRecord(raw.offset, raw.timestamp_ms, raw.value or b"")

    async def read_input(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Raw]:
        """Records of an input topic with ``start <= offset < end``."""
        if start >= end:
            return
        for raw in await self._link.ask(lambda: self._topics.read(topic, partition, start, end)):
            yield raw
