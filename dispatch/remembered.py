"""What an area remembers for a month of each id it has seen, in as few bytes as that takes.

Every action and every alert is remembered for as long as its topic keeps it, so that the same
word sent twice is heard once. A city hears millions of them in a month: a map with a string, an
integer and a node for each would take 300 bytes a word; here it is the id's digest and the value,
16 bytes a word, and some 5 more.

Theory of operation
-------------------
A trie over the digests, 16 ways at each level. A leaf is one ``bytes``: the records of up to
``LEAF_MAX`` ids, one behind the other in any order; a leaf that grows beyond that becomes a node.
Nothing is changed in place: an insertion copies one leaf and the nodes above it. Digests are
spread evenly, so the trie is balanced by itself. Records are given in the order of their digests,
whatever the order in which they came.

A digest has 80 bits. That an id is taken for one of a million that are remembered happens once in
10^18 ids; that any two of ten million ids share one, once in 10^10 such months.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import ClassVar, Final, Generic, Self, TypeVar

DIGEST_BYTES: Final = 10
"""Of an id: what an incident's own id has as well."""

MS_BYTES: Final = 6
"""Of a time in ms: enough for nine thousand years."""

LEAF_MAX: Final = 128
"""Records of a leaf: copying them all takes less time than finding the leaf."""

WAYS: Final = 16

Node = bytes | tuple["Node", ...]

Value = TypeVar("Value")


def digest_of_id(identifier: str) -> bytes:
    """Give what is remembered of an id instead of itself."""
    return blake2b(identifier.encode(), digest_size=DIGEST_BYTES).digest()


def ms_bytes(at_ms: int) -> bytes:
    """Give a time as bytes. Raises ValueError for one before 1970 or beyond MS_BYTES."""
    try:
        return at_ms.to_bytes(MS_BYTES, "big")
    except OverflowError:
        raise ValueError(f"{at_ms} ms is no time that can be remembered") from None


class Remembered(ABC, Generic[Value]):
    """Values of one width by the digest of an id; never changed in place.

    ``VALUE_BYTES`` is the width; a subclass says how a value is written and read.
    """

    __slots__ = ("_count", "_root")

    VALUE_BYTES: ClassVar[int]

    def __init__(self, root: Node = b"", count: int = 0) -> None:
        """Make the empty one; what is in it comes from ``of`` and ``insert``."""
        self._root = root
        self._count = count

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Self:
        """Make one of records as ``records`` gives them; of two with one digest the later counts.

        Raises ValueError where one is not as long as a record is.
        """
        each = {record[:DIGEST_BYTES]: record for record in records}
        if any(len(record) != cls.record_bytes() for record in each.values()):
            raise ValueError(f"a record has {cls.record_bytes()} bytes")
        return cls(_grown(list(each.values()), 0), len(each))

    @classmethod
    def record_bytes(cls) -> int:
        """Give the length of a record."""
        return DIGEST_BYTES + cls.VALUE_BYTES

    @classmethod
    def record_of(cls, identifier: str, value: Value) -> bytes:
        """Give the record of an id. Raises ValueError for a value that has no such form."""
        return digest_of_id(identifier) + cls._pack(value)

    @classmethod
    @abstractmethod
    def _pack(cls, value: Value) -> bytes:
        """Write a value."""

    @classmethod
    @abstractmethod
    def _unpack(cls, value: bytes) -> Value:
        """Read a value."""

    def get(self, identifier: str) -> Value | None:
        """Give what is remembered of an id."""
        return self.at(digest_of_id(identifier))

    def at(self, digest: bytes) -> Value | None:
        """Give what is remembered of the id that has this digest."""
        leaf = self._root
        depth = 0
        while isinstance(leaf, tuple):
            leaf, depth = leaf[_way(digest, depth)], depth + 1
        start = _find(leaf, digest, self.record_bytes())
        if start < 0:
            return None
        return self._unpack(leaf[start + DIGEST_BYTES : start + self.record_bytes()])

    def insert(self, identifier: str, value: Value) -> Self:
        """Give what is remembered with one more id, or with another value of it."""
        record = self.record_of(identifier, value)
        known = self.at(record[:DIGEST_BYTES]) is not None
        return self._with(record[:DIGEST_BYTES], record, self._count + (not known))

    def remove(self, digest: bytes) -> Self:
        """Give the same without an id that is remembered, by its digest."""
        assert self.at(digest) is not None, "nothing is remembered of it"
        return self._with(digest, b"", self._count - 1)

    def _with(self, digest: bytes, record: bytes, count: int) -> Self:
        root = _put(self._root, digest, record, self.record_bytes(), 0)
        return type(self)(root, count)

    def records(self) -> Iterator[bytes]:
        """Give all, in the order of their digests."""
        return _in_order(self._root, self.record_bytes())

    def items(self) -> Iterator[tuple[bytes, Value]]:
        """Give each digest and its value, in the order of the digests."""
        for record in self.records():
            yield record[:DIGEST_BYTES], self._unpack(record[DIGEST_BYTES:])

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __contains__(self, identifier: str) -> bool:
        """Whether anything is remembered of an id."""
        return self.get(identifier) is not None

    def __eq__(self, other: object) -> bool:
        """Whether the same is remembered, in whatever order it came."""
        if type(other) is not type(self):
            return NotImplemented
        if self._root is other._root:
            return True
        same = zip(self.records(), other.records(), strict=False)
        return len(self) == len(other) and all(mine == theirs for mine, theirs in same)

    __hash__ = None  # type: ignore[assignment]  # equal ones may hold their records differently

    def __repr__(self) -> str:
        """Show how many there are; of the ids nothing is left to show."""
        return f"{type(self).__name__}({self._count})"


class ActionTimes(Remembered[int]):
    """When each action was received, ms."""

    __slots__ = ()

    VALUE_BYTES = MS_BYTES

    @classmethod
    def _pack(cls, value: int) -> bytes:
        return ms_bytes(value)

    @classmethod
    def _unpack(cls, value: bytes) -> int:
        return int.from_bytes(value, "big")


def _way(digest: bytes, depth: int) -> int:
    pair = digest[depth // 2]
    return pair & 0xF if depth % 2 else pair >> 4


def _find(leaf: bytes, digest: bytes, width: int) -> int:
    """Give where the record of a digest begins in a leaf, or -1."""
    start = leaf.find(digest)
    while start >= 0 and start % width:
        start = leaf.find(digest, start + 1)
    return start


def _put(node: Node, digest: bytes, record: bytes, width: int, depth: int) -> Node:
    """Give a node with a record instead of what is there of its digest; b"": without any."""
    if isinstance(node, tuple):
        way = _way(digest, depth)
        below = _put(node[way], digest, record, width, depth + 1)
        return (*node[:way], below, *node[way + 1 :])
    start = _find(node, digest, width)
    if start >= 0:
        return node[:start] + record + node[start + width :]
    grown = node + record
    return grown if len(grown) <= LEAF_MAX * width else _grown(list(_cut(grown, width)), depth)


def _grown(records: list[bytes], depth: int) -> Node:
    """Give the node of these records; no two have one digest."""
    if len(records) <= LEAF_MAX:
        return b"".join(records)
    ways: list[list[bytes]] = [[] for _ in range(WAYS)]
    for record in records:
        ways[_way(record, depth)].append(record)
    return tuple(_grown(each, depth + 1) for each in ways)


def _cut(leaf: bytes, width: int) -> Iterator[bytes]:
    return (leaf[start : start + width] for start in range(0, len(leaf), width))


def _in_order(node: Node, width: int) -> Iterator[bytes]:
    if isinstance(node, tuple):
        for each in node:
            yield from _in_order(each, width)
    else:
        yield from sorted(_cut(node, width))
