"""The decisions log as its owner writes it: every write is checked for somebody else's.

Offsets of the acknowledgements are continuous while one worker writes. Where they are not, the
records in between are read: a fence means that the partition has a new owner.
"""

from collections.abc import Mapping, Sequence

import structlog

from xiaohe.streams.decision_log import Attempt, Fence, Mark, decode, encode, snapshot_pieces
from xiaohe.streams.ports import POSITIONS, Clock, Log
from xiaohe.streams.takeover import TakenOver

_log = structlog.get_logger(__name__)

SNAPSHOT_RECORDS = 2_000
"""Decisions between two snapshots: a fold of so many takes about a second."""

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
    snap : offset of the newest whole snapshot; every entry names it.
    since_snapshot : decisions written since.
    """

    def __init__(self, log: Log, clock: Clock, taken_over: TakenOver) -> None:
        self.partition = taken_over.partition
        self.epoch = taken_over.epoch
        self.next_offset = taken_over.next_offset
        self.snap = taken_over.snap
        self.snapped_at_ms = taken_over.snapped_at_ms or clock.now_ms()
        self.since_snapshot = taken_over.since_snapshot
        self._io = log
        self._clock = clock
        self._positions_noted = taken_over.next_inputs[POSITIONS]
        self._noted_at_ms = clock.now_ms()

    async def decisions(self, values: Sequence[bytes], positions_next: int) -> None:
        """Write a batch of decisions, which say how far the positions were taken."""
        await self._append(values)
        self.since_snapshot += len(values)
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
        old = now_ms - self.snapped_at_ms >= SNAPSHOT_AGE_MS
        return old or self.since_snapshot >= SNAPSHOT_RECORDS

    async def snapshot(
        self, pieces: Sequence[bytes], seq: int, now_ms: int, next_inputs: Mapping[str, int]
    ) -> None:
        """Write the folded state; entries name it only once it is whole in the log."""
        entries = snapshot_pieces(
            pieces, epoch=self.epoch, seq=seq, at_ms=now_ms, next_offsets=next_inputs
        )
        offsets = [await self._append([encode(entry)]) for entry in entries]
        self.snap = offsets[0]
        self.snapped_at_ms = now_ms
        self.since_snapshot = 0
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
