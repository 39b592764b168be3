"""Folding the decisions log of one partition: which entries count, and what is still owed.

The rules are at the head of ``decision_log.py``. The account (``audit/decision_log.py``) and the
judges of simulated runs (``sim/faults/judges/log_reading.py``) read them by code of their own, on
purpose: what is wrong here is found there.
"""

from collections import Counter

import structlog

from xiaohe.streams.decision_log import (
    NO_SNAPSHOT,
    Attempt,
    Basis,
    Decision,
    Entry,
    Fence,
    Mark,
    SnapshotPiece,
    SnapshotReader,
    decode,
)
from xiaohe.streams.ports import POSITIONS, Core, LogRecord, Publication
from xiaohe.wire.fault_text import briefly

_log = structlog.get_logger(__name__)

NO_EPOCH = -1
"""Epoch of a log in which nobody has written a fence yet."""


class Folding:
    """Reads a log from its beginning, or from a snapshot, and brings a core to its state.

    Attributes
    ----------
    epoch, seq : the last fence's offset and the number of the last decision that counts.
    next_offsets : first offset not taken of each input topic that a decision names.
    attempts : how often each (topic, offset) not yet taken has made a worker leave.
    snap, snapped_at_ms, snapshot_bytes : offset, time and size of the newest whole snapshot that
        was read.
    since_snapshot, since_bytes : decisions that count since the moment whose state it is.
    barren_fences : take-overs in a row, up to the end, that led to no decision.
    records, ignored : records read, and those of them that do not count.
    just_counted : the decisions that count since the last record was fed, with their records.
    unfolded, first_unfolded : decisions that the core failed on, and where and how it first did.
    """

    def __init__(self, core: Core, partition: int) -> None:
        self._core = core
        self._partition = partition
        self._snapshot = SnapshotReader(keep=True)
        self._held: list[tuple[Entry | None, LogRecord]] | None = None
        self._snapshot_offset = NO_SNAPSHOT
        self._start_epoch = NO_EPOCH
        self._damaged_epoch = NO_EPOCH
        self._owed: list[tuple[int, tuple[Publication, ...]]] = []
        self._unfinished: list[tuple[Decision, LogRecord]] = []
        self.epoch = NO_EPOCH
        self.seq = 0
        self.next_offsets: dict[str, int] = {}
        self.attempts: Counter[tuple[str, int]] = Counter()
        self.snap = NO_SNAPSHOT
        self.snapped_at_ms = 0
        self.snapshot_bytes = 0
        self.since_snapshot = 0
        self.since_bytes = 0
        self._counted: list[tuple[int, int]] = []
        self.barren_fences = 0
        self.ignored = 0
        self.records = 0
        self.just_counted: list[tuple[Decision, LogRecord]] = []
        self.unfolded = 0
        self.first_unfolded = ""

    @property
    def owed(self) -> list[Publication]:
        """What the last batch of decisions led to: it may not have been published."""
        return [each for _, publications in self._owed for each in publications]

    def feed(self, record: LogRecord) -> None:
        """Take the next record of the log."""
        self.records += 1
        self.just_counted = []
        entry = decode(record.value)
        if self._held is not None and not isinstance(entry, SnapshotPiece | Fence):
            self._held.append((entry, record))  # decided while the snapshot was being written
        else:
            self._feed(entry, record)

    def _feed(self, entry: Entry | None, record: LogRecord) -> None:
        if isinstance(entry, Fence):
            # Nobody names a snapshot that was cut short.
            self._held, self._snapshot_offset = None, NO_SNAPSHOT
            self._drop_unfinished()
            self.epoch = record.offset
            self.barren_fences += 1
        elif isinstance(entry, SnapshotPiece):
            self._feed_snapshot(entry, record)
        elif entry is None or entry.epoch != self.epoch:
            self._ignore(entry, record)
        elif isinstance(entry, Decision):
            self._feed_decision(entry, record)
        elif isinstance(entry, Mark | Basis):
            self._feed_mark(entry)
        else:
            self._feed_attempt(entry)

    def _ignore(self, entry: Entry | None, record: LogRecord) -> None:
        self.ignored += 1
        what = "foreign_bytes" if entry is None else "late_write"
        _log.info("log_entry_ignored", what=what, partition=self._partition, offset=record.offset)

    def _feed_decision(self, entry: Decision, record: LogRecord) -> None:
        expected = (self._unfinished[-1][0].seq if self._unfinished else self.seq) + 1
        if entry.seq < expected or self._damaged_epoch == self.epoch:
            self._ignore(entry, record)
            return
        if entry.seq > expected:
            self._drop_unfinished()
            if not self._step_over_hole(entry, record):
                return
        self._unfinished.append((entry, record))
        if not entry.more:
            whole, self._unfinished = self._unfinished, []
            for each in whole:
                self._count(*each)

    def _drop_unfinished(self) -> None:
        """Of these an input's last decision is missing: it is decided again, whole."""
        unfinished, self._unfinished = self._unfinished, []
        for each in unfinished:
            self._ignore(*each)

    def _count(self, entry: Decision, record: LogRecord) -> None:
        self.seq = entry.seq
        self.just_counted.append((entry, record))
        self.since_snapshot += 1
        self.since_bytes += len(record.value)
        if self._snapshot_offset != NO_SNAPSHOT:  # one is under way, and its moment is past
            self._counted.append((entry.seq, len(record.value)))
        self.barren_fences = 0
        self._forget_published(entry.owed_from)
        self._owed.append((entry.seq, self._fold(entry, record)))
        if not entry.more:
            self._taken(entry.topic, entry.offset + 1)
        self._taken(POSITIONS, entry.positions_next)

    def _fold(self, entry: Decision, record: LogRecord) -> tuple[Publication, ...]:
        """Let the core fold a decision; where it fails the state goes on without."""
        try:
            return self._core.fold(entry.record, entry.epoch)
        except Exception as error:  # noqa: BLE001 - whether to go on is the take-over's to say
            if self.unfolded == 0:
                self.first_unfolded = f"at offset {record.offset}: {briefly(error)}"
            self.unfolded += 1
            return ()

    def _step_over_hole(self, entry: Decision, record: LogRecord) -> bool:
        """Whether the entry counts although numbers before it are missing."""
        where = {"partition": self._partition, "offset": record.offset, "after_seq": self.seq}
        if entry.owed_from <= self.seq + 1:  # of the batch whose write failed: never published
            self._damaged_epoch = self.epoch
            _log.error("decision_missing_in_unpublished_batch", page=True, **where)
            return False
        _log.critical("recorded_decision_missing", page=True, **where)
        return True

    def _feed_mark(self, entry: Mark | Basis) -> None:
        if isinstance(entry, Mark):  # a basis is written before anything is known to be decided
            self.barren_fences = 0
        self._forget_published(self.seq + 1)
        self._taken(POSITIONS, entry.positions_next)

    def _feed_attempt(self, entry: Attempt) -> None:
        if entry.offset >= self.next_offsets.get(entry.topic, 0):
            self.attempts[entry.topic, entry.offset] += 1

    def _feed_snapshot(self, entry: SnapshotPiece, record: LogRecord) -> None:
        starting = self.epoch == NO_EPOCH  # the fold begins at this snapshot
        if starting and self._start_epoch == NO_EPOCH:
            self._start_epoch = entry.epoch  # a former owner's piece may lie between its own
        of_owner = entry.epoch == (self._start_epoch if starting else self.epoch)
        if not of_owner or (not starting and entry.seq > self.seq):
            self._ignore(entry, record)
            return
        if entry.index == 0:
            self._snapshot = SnapshotReader(keep=starting)
            self._snapshot_offset = record.offset
            self._counted = []
            self._held = [] if starting else None
        bodies = self._snapshot.add(entry)
        if bodies is None:
            return
        later, self._held = self._held or [], None
        if starting:
            self._core.restore(bodies)
            self.epoch, self.seq = entry.epoch, entry.seq
            self.next_offsets = dict(entry.next)
            self.attempts = Counter({(topic, at): n for topic, at, n in entry.attempts})
        self._forget_published(entry.seq + 1)
        self.snap, self.snapped_at_ms = self._snapshot_offset, entry.at_ms
        self.snapshot_bytes = self._snapshot.bytes
        since = [size for seq, size in self._counted if seq > entry.seq]
        self.since_snapshot, self.since_bytes = len(since), sum(since)
        self._snapshot_offset = NO_SNAPSHOT
        for each in later:
            self._feed(*each)

    def _forget_published(self, owed_from: int) -> None:
        self._owed = [each for each in self._owed if each[0] >= owed_from]

    def _taken(self, topic: str, next_offset: int) -> None:
        if next_offset <= self.next_offsets.get(topic, 0):
            return
        self.next_offsets[topic] = next_offset
        for key in [k for k in self.attempts if k[0] == topic and k[1] < next_offset]:
            del self.attempts[key]
