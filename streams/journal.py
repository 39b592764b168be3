"""The decisions log as its owner writes it: every write is checked for somebody else's.

Offsets of the acknowledgements are continuous while one worker writes. Where they are not, the
records in between are read: a fence means that the partition has a new owner.
"""

from collections.abc import Mapping, Sequence

import structlog

from xiaohe.streams.decision_log import Attempt, Fence, Mark, SnapshotWriter, decode, encode
from xiaohe.streams.ports import POSITIONS, Clock, Log, SnapshotPart
from xiaohe.streams.takeover import TakenOver

_log = structlog.get_logger(__name__)

SNAPSHOT_RECORDS = 2_000
"""Decisions between two snapshots at least: a fold of so many takes a third of a second."""

SNAPSHOT_RECORDS_MAX = 20_000
"""Decisions between two snapshots at most, some 3 s of folding. In between it is as many as take
the room of the last snapshot: what is written in all is at most twice what is decided."""

SNAPSHOT_AGE_MS = 24 * 3600 * 1000
"""Age at which an idle partition is snapshotted anew: far less than the log's retention."""

MARK_MS = 10_000
"""How often it is noted how far the positions were taken while nothing is decided."""


class FencedError(Exception):
    """Another worker has taken this partition over."""


class Journal:
    """One owner's hold on the decisions log of a partition.

    Attributes
    ----------
    next_offset : where the next write belongs.
    snap, snapshot_bytes : offset and size of the newest whole snapshot; every entry names it.
    since_snapshot, since_bytes : decisions written since the moment whose state it is.
    """

    def __init__(self, log: Log, clock: Clock, taken_over: TakenOver) -> None:
        self.partition = taken_over.partition
        self.epoch = taken_over.epoch
        self.next_offset = taken_over.next_offset
        self.snap = taken_over.snap
        self.snapped_at_ms = taken_over.snapped_at_ms or clock.now_ms()
        self.snapshot_bytes = taken_over.snapshot_bytes
        self.since_snapshot = taken_over.since_snapshot
        self.since_bytes = taken_over.since_bytes
        self._io = log
        self._clock = clock
        self._positions_noted = taken_over.next_inputs[POSITIONS]
        self._noted_at_ms = clock.now_ms()
        self._writing: SnapshotWriter | None = None
        self._first_offset = taken_over.snap
        self._counted_at = (0, 0)

    async def decisions(
        self, values: Sequence[bytes], positions_next: int, basis: bytes | None = None
    ) -> None:
        """Write a batch of decisions, which say how far the positions were taken, and before them
        what they are based on where that is not known; a fold counts the decisions alone."""
        await self._append(values if basis is None else (basis, *values))
        self.since_snapshot += len(values)
        self.since_bytes += sum(map(len, values))
        self._positions_noted = positions_next

    async def attempt(self, topic: str, offset: int, now_ms: int, error: str) -> None:
        """Write the trace of an input that fails, or may."""
        entry = Attempt(self.epoch, self.snap, now_ms, topic, offset, error[:500])
        await self._append([encode(entry)])

    def mark_wanted(self, now_ms: int, positions_next: int) -> bool:
        """Whether positions have been taken for a while and no entry says so."""
        unnoted = positions_next > self._positions_noted
        return unnoted and now_ms - self._noted_at_ms >= MARK_MS

    async def mark(self, now_ms: int, positions_next: int) -> None:
        """Write how far the positions were taken."""
        await self._append([encode(Mark(self.epoch, self.snap, now_ms, positions_next))])
        self._positions_noted = positions_next

    def snapshot_wanted(self, now_ms: int) -> bool:
        """Whether the newest snapshot is too far back, or too old."""
        if now_ms - self.snapped_at_ms >= SNAPSHOT_AGE_MS:
            return True
        if self.since_snapshot < SNAPSHOT_RECORDS:
            return False
        worth_it = self.since_bytes >= self.snapshot_bytes
        return worth_it or self.since_snapshot >= SNAPSHOT_RECORDS_MAX

    async def snapshot_part(
        self,
        part: SnapshotPart,
        seq: int,
        now_ms: int,
        next_inputs: Mapping[str, int],
        attempts: Mapping[tuple[str, int], int],
    ) -> None:
        """Write the next piece of the state, the first at the moment whose state it is; entries
        name it only once it is whole in the log."""
        if self._writing is None:
            self._writing = SnapshotWriter(
                epoch=self.epoch, seq=seq, at_ms=now_ms, next_offsets=next_inputs, snap=self.snap,
                attempts=attempts,
            )  # fmt: skip
            self._counted_at = (self.since_snapshot, self.since_bytes)
        writing = self._writing
        piece = writing.piece(part.body, last=part.last)
        offset = await self._append([encode(piece)])
        if piece.index == 0:
            self._first_offset = offset
        if part.last:
            self._writing = None
            self.snap, self.snapshot_bytes = self._first_offset, writing.bytes
            self.snapped_at_ms = writing.at_ms
            self.since_snapshot -= self._counted_at[0]
            self.since_bytes -= self._counted_at[1]
            await self.mark(now_ms, next_inputs[POSITIONS])  # names it, should nothing be decided

    async def _append(self, values: Sequence[bytes]) -> int:
        """Write to the log; the offset of the first. Raises FencedError."""
        appended = await self._io.append_decisions(self.partition, values)
        for each in appended:
            if each.offset != self.next_offset:
                await self._look_between(self.next_offset, each.offset)
            self.next_offset = each.offset + 1
        self._noted_at_ms = self._clock.now_ms()
        return appended[0].offset

    async def _look_between(self, start: int, end: int) -> None:
        """Somebody else has written: a late owner does no harm, a new one has taken over."""
        assert start < end, "the log gave an offset twice"
        async for record in self._io.read_decisions(self.partition, start, end):
            if isinstance(decode(record.value), Fence):
                raise FencedError(
                    f"partition {self.partition} was taken over at offset {record.offset}, "
                    f"after epoch {self.epoch}"
                )
        _log.warning("late_write_of_former_owner", partition=self.partition, offset=start)
