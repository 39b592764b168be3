"""The engine's log of decisions, read by its own rule again: which entries count, and for what.

A partition's log is a sequence of JSON objects with a ``kind``. A *fence* begins an epoch, which is
the fence's offset. A *decision* counts where its epoch is that of the last fence before it and its
number is the next one; one that was numbered before is a copy. Where a number is left out, a write
failed: what was decided with it in one batch was never published and does not count. The decisions
of one input count together: where a fence stands before the last of them none does, and the next
owner gives their numbers again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from xiaohe.audit.records import Record, Report

NOBODY: Final = -1
"""The epoch of a log in which no fence stands yet."""


@dataclass(slots=True)
class _Log:
    """One partition's log, as far as it was read. ``seq`` is None where its beginning is gone and
    nothing stands for it yet. ``unfinished`` are decisions whose input has more to come."""

    trimmed: bool
    seq: int | None
    epoch: int = NOBODY
    damaged_epoch: int = NOBODY
    unfinished: list[tuple[Record, Mapping[str, Any]]] = field(default_factory=list)
    decided_next: dict[str, int] = field(default_factory=dict)
    decided_last: dict[str, tuple[int, int]] = field(default_factory=dict)
    wakeups: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Offsets of an input topic, ``first`` to ``last``, upon which nothing was decided."""

    topic: str
    partition: int
    first: int
    last: int


class DecisionLogs:
    """All partitions' logs, each fed in its order.

    Inputs of one topic are decided upon in their order, so that an input that was decided twice is
    one that lies before the next that is awaited. Wake-ups alone are taken in the order of their
    deadlines, and one that was passed over is written again. ``positions`` are no such inputs: only
    an alarm among them is decided upon. ``trimmed`` names the partitions whose beginning is gone.

    Attributes
    ----------
    skipped : inputs that were passed over. Where clients write in transactions, or retention was
        shorter than an outage, offsets without a record are among them.
    decisions, fences, ignored : entries that were read, and those that do not count.
    """

    def __init__(self, report: Report, trimmed: Collection[int] = ()) -> None:
        self._report = report
        self._trimmed = frozenset(trimmed)
        self._logs: dict[int, _Log] = {}
        self.skipped: list[Skipped] = []
        self.decisions = 0
        self.fences = 0
        self.ignored = 0

    def take(self, record: Record) -> None:
        """Take the next record of a partition's log."""
        log = self._logs.get(record.partition)
        if log is None:
            trimmed = record.partition in self._trimmed
            log = self._logs[record.partition] = _Log(trimmed, None if trimmed else 0)
        entry = _head(record.value or b"")
        match entry.get("kind"):
            case "fence":
                log.epoch = record.offset
                self._drop_unfinished(log)
                self.fences += 1
            case "snapshot" if log.seq is None:  # the beginning is gone: this stands for it
                log.epoch, log.seq = entry["epoch"], entry["seq"]
            case "decision":
                self._decision(log, record, entry)

    def next_undecided(self, topic: str, partition: int) -> int:
        """Give the offset up to which everything of an input topic has been decided upon."""
        log = self._logs.get(partition)
        return 0 if log is None else log.decided_next.get(topic, 0)

    def _decision(self, log: _Log, record: Record, entry: Mapping[str, Any]) -> None:
        if not self._counts(log, record, entry):
            self.ignored += 1
            return
        log.unfinished.append((record, entry))
        if not entry.get("more", False):
            whole, log.unfinished = log.unfinished, []
            log.seq = entry["seq"]
            for each in whole:
                self._count(log, *each)

    def _drop_unfinished(self, log: _Log) -> None:
        """The last decision of their input is missing, so none of them counts."""
        self.ignored += len(log.unfinished)
        log.unfinished = []

    def _count(self, log: _Log, record: Record, entry: Mapping[str, Any]) -> None:
        self.decisions += 1
        if entry["topic"] == "wakeups":
            self._woken(log, record, entry)
        elif entry["topic"] != "positions":
            self._decided(log, record, entry)

    def _counts(self, log: _Log, record: Record, entry: Mapping[str, Any]) -> bool:
        if entry["epoch"] != log.epoch or log.damaged_epoch == log.epoch:
            return False
        last = log.unfinished[-1][1]["seq"] if log.unfinished else log.seq
        if last is None or entry["seq"] == last + 1:
            return True
        if entry["seq"] <= last:
            return False
        self._drop_unfinished(log)
        if log.seq is not None and entry["owed_from"] <= log.seq + 1:
            log.damaged_epoch = log.epoch
            return False
        where = f"decisions:{record.partition}:{record.offset}"
        self._report("sequence_gaps", where, f"decision {entry['seq']} follows decision {last}")
        return True

    def _woken(self, log: _Log, record: Record, entry: Mapping[str, Any]) -> None:
        offset = entry["offset"]
        if offset in log.wakeups:
            what = f"decision {entry['seq']} is about it again"
            self._report("contradictory", f"wakeups:{record.partition}:{offset}", what)
        if not entry.get("more", False):
            log.wakeups.add(offset)

    def _decided(self, log: _Log, record: Record, entry: Mapping[str, Any]) -> None:
        topic, offset, seq = entry["topic"], entry["offset"], entry["seq"]
        awaited = log.decided_next.get(topic, offset if log.trimmed else 0)
        if offset < awaited:
            last_offset, last_seq = log.decided_last[topic]
            what = (
                f"decision {seq} is about it again; that topic was decided upon to "
                f"{last_offset}, by decision {last_seq}"
            )
            self._report("contradictory", f"{topic}:{record.partition}:{offset}", what)
            return
        if offset > awaited:
            self.skipped.append(Skipped(topic, record.partition, awaited, offset - 1))
        if not entry.get("more", False):
            log.decided_next[topic] = offset + 1
            log.decided_last[topic] = (offset, seq)


def _head(value: bytes) -> Mapping[str, Any]:
    """Read an entry; what follows the first line is a snapshot's body. {} where it is none."""
    try:
        entry = orjson.loads(value.partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return {}
    return entry if isinstance(entry, dict) else {}
