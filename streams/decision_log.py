"""What lies in the decisions log, and which of it counts.

The log of a partition is a sequence of entries: fences, decisions, marks, attempts, snapshots.
Whoever takes a partition over writes a *fence*; its offset is the new *epoch*. Any reader applies
the same rule and so comes to the same state:

- an entry counts if its epoch is that of the last fence before it (a late write of an owner that
  has been replaced does not);
- decisions are numbered through, over all epochs: the next one counts, one seen before does not;
- a number left out means that a write failed and its batch was never published, so the rest of
  that batch does not count either. If a later batch follows, a recorded decision is missing: the
  reader goes on and an alarm is raised;
- the decisions of one input count together: where a fence stands before the last of them, none
  does, their numbers are given again, and the input is decided anew.

A *mark* says how far the positions were taken where no decision does. An *attempt* is the trace
of an input that made a worker leave. A *snapshot* is the folded state in pieces; ``snap`` of the
other entries is the offset of the newest one, so that a fold need not begin at the beginning.
A *basis* says what decisions are based on from here on besides the inputs; a fold does not need
it, deciding again does.

Entries carry the version ``v`` of the log's format. Every version is read for ever: fields are only
added, with a default that means what their absence meant. What each version brought, and how to
make a new one, is in docs/decisions/0010-versioned-log.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

VERSION = 3
"""Of what is written: the entries, the records, facts and rows in them. Absent in version 1."""

SNAPSHOT_PIECE_BYTES_MAX = 512 * 1024
"""Bytes of one piece: half of the topic's 1 MiB record limit."""

NO_ATTEMPTS: Final[Mapping[tuple[str, int], int]] = MappingProxyType({})
"""Where no input has made a worker leave."""

NO_SNAPSHOT = -1
"""``snap`` while there is none."""

Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What a number of an entry is: a longer one is none of ours, for our writer has 64 bits."""


class NewerLogError(Exception):
    """The log holds entries of a version that this program does not know."""


class Fence(Struct, frozen=True, tag="fence", tag_field="kind"):
    """A worker has taken the partition over."""

    worker: str
    at_ms: Integer


class Decision(Struct, frozen=True, tag="decision", tag_field="kind"):
    """What one input led to. ``record`` is the core's.

    ``owed_from`` is the ``seq`` of the first decision of the batch it was written with: whatever
    is older has been published. ``positions_next`` is the first position not taken before it.
    ``more`` says that further decisions of the same input follow.
    """

    epoch: Integer
    seq: Integer
    owed_from: Integer
    snap: Integer
    topic: str
    partition: Integer
    offset: Integer
    received_ms: Integer
    at_ms: Integer
    positions_next: Integer
    record: Mapping[str, object]
    more: bool = False


class Mark(Struct, frozen=True, tag="mark", tag_field="kind"):
    """How far the positions were taken, written now and then while nothing is decided."""

    epoch: Integer
    snap: Integer
    at_ms: Integer
    positions_next: Integer


class Learned(Struct, frozen=True):
    """The positions that a new owner learned from: offsets ``start`` to before ``end``, at
    ``at_ms``, when ``versions`` was the basis."""

    start: Integer
    end: Integer
    at_ms: Integer
    versions: dict[str, str]


class Basis(Struct, frozen=True, tag="basis", tag_field="kind"):
    """What the decisions after it are based on besides inputs: ``versions`` of roster, map, policy.

    Written with the first batch of an owner, and with the first after a change; of the positions
    those before ``positions_next`` were taken on the basis before. ``learned`` is said once, by
    who has just taken the partition over.
    """

    epoch: Integer
    snap: Integer
    at_ms: Integer
    positions_next: Integer
    versions: dict[str, str]
    learned: Learned | None = None


class Attempt(Struct, frozen=True, tag="attempt", tag_field="kind"):
    """An input that made a worker leave, or is about to be tried again after it did."""

    epoch: Integer
    snap: Integer
    at_ms: Integer
    topic: str
    offset: Integer
    error: str


class SnapshotPiece(Struct, frozen=True, tag="snapshot", tag_field="kind"):
    """One piece of the folded state; its bytes follow the JSON object after a line feed.

    ``seq`` and ``next`` (the first offset not taken of each input topic) are of the moment whose
    state it is; later decisions may lie between its pieces. The last piece says how many there
    are and, in ``digest``, the SHA-256 of all their bodies; in the others ``count`` is 0. (Older
    logs say both in every piece.) ``snap`` is the offset of the whole snapshot before it.
    ``attempts``: topic, offset and number of those at inputs not yet taken; a fold that begins here
    does not see their entries.
    """

    epoch: Integer
    seq: Integer
    at_ms: Integer
    index: Integer
    count: Integer
    digest: str
    next: dict[str, Integer]
    body: bytes = b""
    snap: Integer | None = None
    attempts: tuple[tuple[str, Integer, Integer], ...] = ()


Entry = Fence | Decision | Mark | Basis | Attempt | SnapshotPiece


class _Versioned(Struct, frozen=True):
    """As much as the entries of all versions have in common."""

    kind: str
    v: int = 1


_STAMP = b'{"v":%d,' % VERSION
"""How an entry of the present version begins."""

_DECODER: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
_ENCODER = msgspec.json.Encoder()


def encode(entry: Entry) -> bytes:
    """The bytes of an entry, in the present version."""
    if isinstance(entry, SnapshotPiece):
        head = _ENCODER.encode(msgspec.structs.replace(entry, body=b""))
        return _STAMP + head[1:] + b"\n" + entry.body
    return _STAMP + _ENCODER.encode(entry)[1:]


def decode(value: bytes) -> Entry | None:
    """The entry, or None where the bytes are none of ours.

    Raises NewerLogError where they are of a version that this program does not know: whoever read
    on would take what they say for nothing.
    """
    head, _, body = value.partition(b"\n")
    if not head.startswith(_STAMP):
        _refuse_newer(head)
    try:
        entry = _DECODER.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(entry, SnapshotPiece):
        return msgspec.structs.replace(entry, body=body)
    return entry


def _refuse_newer(head: bytes) -> None:
    try:
        version = msgspec.json.decode(head, type=_Versioned).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version > VERSION:
        raise NewerLogError(
            f"the decisions log holds entries of version {version} and this program knows those "
            f"up to {VERSION}: start the newer program"
        )


class SnapshotWriter:
    """Makes the entries of one snapshot, of the state that it was when this was made."""

    def __init__(
        self,
        *,
        epoch: int,
        seq: int,
        at_ms: int,
        next_offsets: Mapping[str, int],
        snap: int,
        attempts: Mapping[tuple[str, int], int] = NO_ATTEMPTS,
    ) -> None:
        left = tuple(
            (topic, offset, count)
            for (topic, offset), count in sorted(attempts.items())
            if count > 0 and offset >= next_offsets.get(topic, 0)
        )
        self._first = SnapshotPiece(
            epoch, seq, at_ms, 0, 0, "", dict(next_offsets), b"", snap, left
        )
        self._sha = hashlib.sha256()
        self._count = 0
        self.seq = seq
        self.at_ms = at_ms
        self.bytes = 0

    def piece(self, body: bytes, *, last: bool) -> SnapshotPiece:
        """The next entry."""
        size = len(body)
        assert size <= SNAPSHOT_PIECE_BYTES_MAX, f"a snapshot piece of {size} bytes"
        self._sha.update(body)
        self.bytes += size
        index, self._count = self._count, self._count + 1
        piece = msgspec.structs.replace(self._first, index=index, body=body)
        if not last:
            return piece
        digest = self._sha.hexdigest()
        return msgspec.structs.replace(piece, count=self._count, digest=digest)


class SnapshotReader:
    """Puts the pieces of one snapshot together again; ``keep``: their bodies are wanted.

    Attributes
    ----------
    bytes : of the bodies read.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._begin(None)

    def _begin(self, first: SnapshotPiece | None) -> None:
        self._first = first
        self._bodies: list[bytes] = []
        self._sha = hashlib.sha256()
        self._count = 0
        self.bytes = 0

    def add(self, piece: SnapshotPiece) -> Sequence[bytes] | None:
        """All bodies (none, where they are not kept) once the last piece has come and the digest
        is right; None before."""
        first = self._first
        follows = first is not None and piece.index == self._count and _alike(first, piece)
        if not follows:
            self._begin(piece if piece.index == 0 else None)
            if piece.index != 0:
                return None
        self._sha.update(piece.body)
        self.bytes += len(piece.body)
        self._count += 1
        if self._keep:
            self._bodies.append(piece.body)
        if piece.count == 0 or self._count < piece.count:
            return None
        bodies, right = self._bodies, self._sha.hexdigest() == piece.digest
        self._first = None
        return bodies if right else None


def _alike(one: SnapshotPiece, other: SnapshotPiece) -> bool:
    return (one.epoch, one.seq, one.at_ms) == (other.epoch, other.seq, other.at_ms)
