"""What the engine reads back: entries of the decisions log, snapshots, forwarded records, headers.

The topics are its own, but a foreign hand may write there: such a record is ignored or refused by
the documented error, and can neither end a worker nor count. What says that a newer program wrote
it does end a worker, by NewerLogError: to ignore it might be to decide twice.
"""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

import msgspec

from tests.fuzz.mutation import JsonMutator, Mutate
from tests.fuzz.story import a_story
from tests.fuzz.target import Target
from xiaohe.dispatch.snapshot import from_rows, rows
from xiaohe.streams.decision_log import (
    NO_SNAPSHOT,
    VERSION,
    Attempt,
    Basis,
    Decision,
    Entry,
    Fence,
    Learned,
    Mark,
    NewerLogError,
    SnapshotPiece,
    SnapshotWriter,
    decode,
    encode,
)
from xiaohe.streams.folding import NO_EPOCH, Folding
from xiaohe.streams.inbox import CLOCK_SKEW_MS_MAX, DUE_HEADER, Inbox
from xiaohe.streams.ports import INPUTS, WAKEUPS, LogRecord, Publication, Raw
from xiaohe.streams.step_record import (
    FIRST_RECEIPT,
    FORWARDING_MS_MAX,
    HEADER_BYTES_MAX,
    Forward,
    Record,
    first_receipt_ms,
    forwarded,
    undecided_publications,
)
from xiaohe.wire import cloudevents

NAMES: Final = {topic: f"t.{topic}" for topic in INPUTS}
RECEIVED_MS: Final = 1_900_000_000_000
SEPARATOR: Final = b"\x1e"
"""Between the entries of one log: JSON has no such byte."""

INT64_MAX: Final = 2**63 - 1

# --- entries

_WRITER: Final = SnapshotWriter(
    epoch=0, seq=2, at_ms=9, next_offsets={"alerts": 3}, snap=NO_SNAPSHOT
)
PIECES: Final = (_WRITER.piece(b'{"a":1}', last=False), _WRITER.piece(b"second\n", last=True))
ENTRIES: Final = (
    Fence("host:1", 5),
    Decision(0, 1, 1, -1, "alerts", 0, 1, 5, 6, 7, {"type": "opened"}),
    Decision(0, 2, 1, -1, "positions", 0, 1, 5, 6, 8, {"type": "moved"}, more=True),
    Mark(0, -1, 5, 9),
    Attempt(0, -1, 5, "alerts", 7, "ValueError"),
    *PIECES,
    Basis(0, -1, 5, 9, {"roster": "r1", "map": "m1"}),
    Basis(0, -1, 5, 9, {"policy": "p1"}, Learned(3, 9, 4, {"policy": "p0"})),
)


class _LogMutator:
    """Mutates one entry of a log, or their order and number."""

    def __init__(self, separator: bytes, json_mutator: Mutate, seeds: Sequence[bytes]) -> None:
        self._separator = separator
        self._json = json_mutator
        self._spare = [entry for log in seeds for entry in log.split(separator)]

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another log."""
        entries = data.split(self._separator)
        for _ in range(rng.randint(1, 4)):
            at, what = rng.randrange(len(entries) + 1), rng.randrange(8)
            if what == 0 or at == len(entries):
                entries.insert(at, rng.choice(self._spare))
            elif what == 1 and len(entries) > 1:
                del entries[at]
            elif what == 2:
                other = rng.randrange(len(entries))
                entries[at], entries[other] = entries[other], entries[at]
            elif what == 3:
                entries.insert(at, entries[at])
            else:
                entries[at] = self._one(entries[at], rng)
        return self._separator.join(entries)

    def _one(self, entry: bytes, rng: Random) -> bytes:
        head, feed, body = entry.partition(b"\n")
        return self._json(head, rng) + feed + body


_WORDS: Final = ("fence", "decision", "mark", "basis", "attempt", "snapshot", 0, 1, 2, 3, *INPUTS)
_PRESENT: Final = b'{"v":%d,' % VERSION
_ENTRY_JSON: Final = JsonMutator(
    [json.loads(encode(each).partition(b"\n")[0]) for each in ENTRIES], _WORDS
)


class _Stated(msgspec.Struct):
    """The version that an entry says it is of."""

    v: int = 1


def _stated_version(value: bytes) -> int:
    try:
        return msgspec.json.decode(value.partition(b"\n")[0], type=_Stated).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1


def _read(value: bytes) -> Entry | None:
    """Read an entry. Raises NewerLogError, and that only where a later version is said."""
    try:
        entry = decode(value)
    except NewerLogError:
        assert _stated_version(value) > VERSION, "an entry of a known version was refused"
        raise
    if entry is not None and not value.startswith(_PRESENT):  # of a name said twice, the first
        assert _stated_version(value) <= VERSION, "an entry of a later version was read"
    return entry


def entries(data: bytes) -> bool:
    """Bytes of the decisions log: one of our entries, none of ours, or of a newer program."""
    try:
        entry = _read(data)
    except NewerLogError:
        return False
    if entry is None:
        return False
    try:
        written = encode(entry)
    except OverflowError:  # a decision's record is the core's: any JSON
        return True
    assert decode(written) == entry
    for name in entry.__struct_fields__:
        number = getattr(entry, name)
        assert not isinstance(number, int) or -INT64_MAX - 1 <= number <= INT64_MAX
    return True


class _AnyCore:
    """A core that takes every record; it notes what was folded and restored."""

    def __init__(self) -> None:
        self.folded: list[int] = []
        self.restored = 0

    def fold(self, record: Mapping[str, object], epoch: int) -> tuple[Publication, ...]:
        """Note it; each owes one publication."""
        self.folded.append(epoch)
        return (Publication("incidents", 0, None, b"x"),)

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Note it."""
        assert pieces
        self.restored += 1


def folding(data: bytes) -> bool:
    """A whole log of arbitrary entries, folded: no entry of a stranger ends it or counts twice;
    one of a newer program ends it, before it counts."""
    core = _AnyCore()
    fold = Folding(core, 0)  # type: ignore[arg-type]  # a core that folds alone
    fence = NO_EPOCH
    for offset, value in enumerate(data.split(SEPARATOR)):
        before = (fold.seq, fold.epoch, dict(fold.next_offsets), core.restored, len(core.folded))
        try:
            entry = _read(value)
        except NewerLogError:
            _check_refused(fold, core, LogRecord(offset, RECEIVED_MS, value))
            return False
        fold.feed(LogRecord(offset, RECEIVED_MS, value))
        fence = offset if isinstance(entry, Fence) else fence
        _check_fed(fold, core, entry, before)
        if fence != NO_EPOCH:
            assert fold.epoch == fence
    assert core.restored <= 1, "a fold begins once"
    assert 0 <= fold.ignored <= fold.records == data.count(SEPARATOR) + 1
    assert len(fold.owed) <= len(core.folded)
    return bool(core.folded)


def _check_refused(fold: Folding, core: _AnyCore, record: LogRecord) -> None:
    before = (fold.seq, fold.epoch, dict(fold.next_offsets), core.restored, len(core.folded))
    try:
        fold.feed(record)
    except NewerLogError:
        after = (fold.seq, fold.epoch, fold.next_offsets, core.restored, len(core.folded))
        assert after == before, "an entry that was refused counted"
    else:
        raise AssertionError("a log of a newer program was folded on")


def _check_fed(fold: Folding, core: _AnyCore, entry: Any, before: tuple[Any, ...]) -> None:
    seq, epoch, next_offsets, restored, folded = before
    if core.restored == restored:
        assert fold.seq >= seq
        assert all(fold.next_offsets[topic] >= at for topic, at in next_offsets.items())
    else:
        assert epoch == NO_EPOCH, "a snapshot replaces nothing that was folded"
    if len(core.folded) > folded and not isinstance(entry, SnapshotPiece):
        assert isinstance(entry, Decision)
        assert entry.epoch == epoch, "a late write counted"
        assert fold.seq == entry.seq > seq
    assert all(topic[1] >= fold.next_offsets.get(topic[0], 0) for topic in fold.attempts)


# --- snapshots


def snapshot_rows(data: bytes) -> bool:
    """Rows of a snapshot: areas, or MsgspecError."""
    try:
        states = from_rows(line for line in data.split(b"\n") if line)
    except msgspec.MsgspecError:
        return False
    try:
        written = list(rows(states))
    except OverflowError:  # an integer that no JSON writer takes
        return True
    assert from_rows(written) == states
    return True


# --- headers, and records sent on


def headers_of(data: bytes) -> tuple[tuple[str, bytes | None], ...]:
    """Read headers, one a line: name, tab, value; no tab is a header whose value is null."""
    found: list[tuple[str, bytes | None]] = []
    for line in data.split(b"\n"):
        name, tab, value = line.partition(b"\t")
        found.append((name.decode(errors="replace"), value if tab else None))
    return tuple(found)


def headers(data: bytes) -> bool:
    """Headers of any record: none ends a worker, and none moves a time beyond its bounds."""
    stated = headers_of(data)
    raw = Raw(WAKEUPS, 0, 0, RECEIVED_MS, b"m1", b"{}", stated)  # type: ignore[arg-type]  # null values occur
    assert RECEIVED_MS - FORWARDING_MS_MAX <= first_receipt_ms(raw) <= RECEIVED_MS
    inbox = Inbox(dict.fromkeys(INPUTS, 0))
    assert inbox.put(raw, None)
    item = inbox.first_wakeup()
    assert item is not None
    assert 0 <= item.due_ms <= RECEIVED_MS + CLOCK_SKEW_MS_MAX
    assert cloudevents.content_type(stated) == cloudevents.content_type(stated).lower()  # type: ignore[arg-type]
    return bool(stated)


def forwards(data: bytes) -> bool:
    """A record sent on: key, value and what headers have a meaning arrive byte for byte."""
    key, _, rest = data.partition(b"\x00")
    lines, _, value = rest.partition(b"\x00")
    stated = headers_of(lines)
    raw = Raw("alerts", 3, 7, RECEIVED_MS, key, value, stated)  # type: ignore[arg-type]
    sent = forwarded(raw, 5)
    kept = msgspec.json.decode(msgspec.json.encode(Forward(partition=5)), type=Forward)
    (owed,) = undecided_publications(Record(cause=_CAUSE, forward=kept), NAMES)
    assert (owed.original, owed.partition) == (("alerts", 3, 7), 5)
    assert (sent.topic, sent.partition, sent.key, sent.value) == ("alerts", 5, key, value)
    assert all(len(value) <= HEADER_BYTES_MAX for _, value in sent.headers)
    again = Raw("alerts", 5, 1, RECEIVED_MS + 5, sent.key, sent.value, sent.headers)
    late_ms = first_receipt_ms(again) - first_receipt_ms(raw)
    assert late_ms == 0 or first_receipt_ms(raw) < again.timestamp_ms - FORWARDING_MS_MAX
    return True


_CAUSE: Final = msgspec.convert(
    {"topic": NAMES["alerts"], "partition": 3, "offset": 7}, Record.__annotations__["cause"]
)
_HEADER_WORDS: Final = (
    *(DUE_HEADER.encode(), FIRST_RECEIPT.encode(), b"content-type", b"ce_id", b"\t", b"\n"),
    *(str(RECEIVED_MS).encode(), str(RECEIVED_MS - 5).encode(), b"9" * 15, b"9" * 5000, b"-1"),
    *(b"application/cloudevents+json", b"\xd9\xa3", b"0x10", b"\x00"),
)


def _headers_mutated(data: bytes, rng: Random) -> bytes:
    for _ in range(rng.randint(1, 3)):
        at, word = rng.randint(0, len(data)), rng.choice(_HEADER_WORDS)
        what = rng.randrange(4)
        if what == 0:
            data = data[:at] + word + data[at:]
        elif what == 1:
            data = data[:at] + data[at + rng.randint(0, 8) :]
        elif what == 2:
            data = data[:at] + rng.randbytes(2) + data[at + 1 :]
        else:
            data = data + b"\n" + rng.choice(_HEADER_WORDS[:4]) + b"\t" + word
    return data[:12_000]


_LOGS: Final = (
    SEPARATOR.join(encode(each) for each in ENTRIES),
    SEPARATOR.join(encode(each) for each in (*PIECES, Fence("b", 1), *ENTRIES[1:3])),
    SEPARATOR.join(
        encode(each)
        for each in (
            PIECES[0],
            Decision(0, 3, 3, -1, "alerts", 0, 4, 5, 6, 7, {}),
            ENTRIES[3],
            PIECES[1],
            Decision(0, 4, 4, 0, "alerts", 0, 5, 5, 6, 7, {}),
        )
    ),
    SEPARATOR.join(
        encode(each)
        for each in (
            *ENTRIES[:2],
            Fence("b", 1),
            Decision(2, 2, 2, -1, "alerts", 0, 2, 5, 6, 7, {}),
            ENTRIES[2],
            Decision(2, 4, 4, -1, "alerts", 0, 3, 5, 6, 7, {}),
        )
    ),
)
_ROWS: Final = b"\n".join(rows(a_story().engine.states()))
_ROW_JSON: Final = JsonMutator([json.loads(row) for row in _ROWS.split(b"\n")])
_HEADERS: Final = (
    b"due_ms\t1900000000100\ncontent-type\tapplication/json\nce_id\ta\nnull",
    b"xiaohe_received_ms\t1899999990000\nce_time\tx",
)

TARGETS: Final = (
    Target("entries", entries, [encode(each) for each in ENTRIES], _ENTRY_JSON, quick=40_000),
    Target("folding", folding, _LOGS, _LogMutator(SEPARATOR, _ENTRY_JSON, _LOGS), quick=5_000),
    Target("snapshot_rows", snapshot_rows, [_ROWS], _LogMutator(b"\n", _ROW_JSON, [_ROWS]),
           bytes_max=16_384, quick=500),
    Target("headers", headers, _HEADERS, _headers_mutated, bytes_max=12_000, share=0.5,
           quick=30_000),
    Target("forwards", forwards, [b"m1\x00" + each + b"\x00{}" for each in _HEADERS],
           _headers_mutated, bytes_max=12_000, share=0.5, quick=20_000),
)  # fmt: skip
