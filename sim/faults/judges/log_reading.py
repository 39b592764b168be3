"""The decisions log, read by the rules that its format states, and by no code of the engine's.

``streams/decision_log.py`` says at its head which entries count. This is a second reading of that
page: where the engine's own (``streams/folding.py``) is wrong, the two differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from xiaohe.streams.ports import Raw

NO_EPOCH: Final = -1
"""Before anybody has written a fence."""

ABOUT_TO_BE_TRIED: Final = "about to be tried"
"""The trace of an input that has not failed: written before it is tried, in careful times."""


class Counted(NamedTuple):
    """One decision that counts.

    ``at`` is where it lies in the log, ``written_ms`` when it was received there; ``record`` is
    the core's.
    """

    at: int
    written_ms: int
    epoch: int
    seq: int
    owed_from: int
    topic: str
    offset: int
    received_ms: int
    positions_next: int
    more: bool
    record: Mapping[str, Any]

    @property
    def decision(self) -> Mapping[str, Any]:
        """What was decided; empty where the input was only refused or sent on."""
        return self.record.get("decision") or {}

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The facts that followed."""
        return self.decision.get("facts") or []

    @property
    def at_ms(self) -> int:
        """When it was decided, by the engine's clock."""
        return int(self.record.get("at_ms", 0))


class Trace(NamedTuple):
    """That an input made its worker leave, or was about to be tried."""

    topic: str
    offset: int
    error: str


class Snapshot(NamedTuple):
    """A whole snapshot that counts."""

    at: int
    seq: int
    pieces: tuple[bytes, ...]


@dataclass
class LogReading:
    """What counts in the log of one partition.

    Attributes
    ----------
    counted : the decisions that count, in their order.
    uncounted : those that do not: late writes, numbers seen before, the rest of a torn batch.
    traces : of inputs that failed.
    snapshots : those that are whole.
    missing : numbers of decisions that were followed by a later batch and are not there.
    positions_next : first position not taken, as far as decisions and marks say.
    """

    partition: int
    counted: list[Counted] = field(default_factory=list)
    uncounted: list[Counted] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    positions_next: int = 0


def read_log(partition: int, records: Iterable[Raw]) -> LogReading:
    """Read a partition's log from its beginning."""
    reader = _Reader(LogReading(partition))
    for record in records:
        head, _, body = (record.value or b"").partition(b"\n")
        try:
            entry = orjson.loads(head)
        except orjson.JSONDecodeError:
            continue
        if isinstance(entry, dict):
            reader.take(entry, body, record)
    return reader.reading


class _Reader:
    def __init__(self, reading: LogReading) -> None:
        self.reading = reading
        self._epoch = NO_EPOCH
        self._torn_epoch: int | None = None
        self._seq = 0
        self._unfinished: list[Counted] = []
        self._pieces: list[bytes] = []
        self._moment: tuple[int, int] | None = None
        self._pieces_at = 0

    def take(self, entry: Mapping[str, Any], body: bytes, raw: Raw) -> None:
        """Take the next entry; one of another epoch than the last fence's does not count."""
        at = raw.offset
        kind = entry.get("kind")
        if kind == "fence":
            self._epoch = at
            self._drop_unfinished()
            self._pieces, self._moment = [], None
            return
        counts = entry.get("epoch") == self._epoch
        if kind == "decision":
            self._decision(_counted(entry, raw), counts=counts)
        elif counts and kind == "attempt":
            self.reading.traces.append(Trace(entry["topic"], entry["offset"], entry["error"]))
        elif counts and kind == "mark":
            self._taken(entry["positions_next"])
        elif counts and kind == "snapshot":
            self._piece(entry, body, at)

    def _decision(self, found: Counted, *, counts: bool) -> None:
        expected = (self._unfinished[-1].seq if self._unfinished else self._seq) + 1
        if not counts or found.seq < expected or self._torn_epoch == self._epoch:
            self.reading.uncounted.append(found)
            return
        if found.seq > expected:
            self._drop_unfinished()
            if found.owed_from <= self._seq + 1:
                self._torn_epoch = self._epoch
                self.reading.uncounted.append(found)
                return
            self.reading.missing.extend(range(self._seq + 1, found.seq))
        self._unfinished.append(found)
        if not found.more:
            self.reading.counted.extend(self._unfinished)
            self._unfinished = []
            self._seq = found.seq
            self._taken(found.positions_next)

    def _drop_unfinished(self) -> None:
        """The decisions of one input count together, or none of them does."""
        self.reading.uncounted.extend(self._unfinished)
        self._unfinished = []

    def _piece(self, entry: Mapping[str, Any], body: bytes, at: int) -> None:
        """Take a piece: the first stands at the moment whose state it is, decisions may lie before
        the others."""
        moment = (entry["seq"], entry["at_ms"])
        if entry["index"] == 0:
            self._pieces, self._pieces_at = [], at
            self._moment = moment if entry["seq"] == self._seq else None
        if moment != self._moment or entry["index"] != len(self._pieces):
            self._pieces, self._moment = [], None
            return
        self._pieces.append(body)
        if len(self._pieces) == entry["count"]:
            if sha256(b"".join(self._pieces)).hexdigest() == entry["digest"]:
                pieces = tuple(self._pieces)
                self.reading.snapshots.append(Snapshot(self._pieces_at, entry["seq"], pieces))
            self._pieces, self._moment = [], None

    def _taken(self, positions_next: int) -> None:
        self.reading.positions_next = max(self.reading.positions_next, positions_next)


def _counted(entry: Mapping[str, Any], raw: Raw) -> Counted:
    return Counted(
        at=raw.offset,
        written_ms=raw.timestamp_ms,
        epoch=entry["epoch"],
        seq=entry["seq"],
        owed_from=entry["owed_from"],
        topic=entry["topic"],
        offset=entry["offset"],
        received_ms=entry["received_ms"],
        positions_next=entry["positions_next"],
        more=bool(entry.get("more", False)),
        record=entry["record"],
    )
