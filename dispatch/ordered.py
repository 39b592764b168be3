"""A sorted set that is never changed in place: a change shares all that did not change.

The area's state keeps many open incidents in an order of its own (the most urgent first, the
newest offers last). A tuple would be copied whole with every change, at a cost that grows with the
number of open incidents; here one chunk of it is, and the list of chunks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

CHUNK_MAX: Final = 256
"""Items of one chunk: with 100,000 items copying a chunk costs as much as the list of chunks."""


class Comparable(Protocol):
    """What has an order."""

    def __lt__(self, other: Any, /) -> bool:  # noqa: ANN401 - of the same kind
        """Whether it comes before another."""
        ...


T = TypeVar("T", bound=Comparable)


class Ordered(Generic[T]):
    """Items that can be compared with one another, each once, in ascending order."""

    __slots__ = ("_chunks", "_count")

    def __init__(self, chunks: tuple[tuple[T, ...], ...] = (), count: int = 0) -> None:
        """Make the empty set; what is in it comes from ``add``."""
        self._chunks = chunks
        self._count = count

    def add(self, item: T) -> Ordered[T]:
        """Give the set with an item that was not in it."""
        if not self._chunks:
            return Ordered(((item,),), 1)
        number = min(self._number(item), len(self._chunks) - 1)
        chunk = self._chunks[number]
        at = bisect_left(chunk, item)
        assert at == len(chunk) or chunk[at] != item, "the item is there already"
        grown = (*chunk[:at], item, *chunk[at:])
        half = len(grown) // 2
        now = (grown,) if len(grown) <= CHUNK_MAX else (grown[:half], grown[half:])
        return self._with(number, now, self._count + 1)

    def remove(self, item: T) -> Ordered[T]:
        """Give the set without an item that was in it."""
        number = self._number(item)
        chunk = self._chunks[number]
        at = bisect_left(chunk, item)
        assert chunk[at] == item, "the item is not there"
        rest = (*chunk[:at], *chunk[at + 1 :])
        return self._with(number, (rest,) if rest else (), self._count - 1)

    def _number(self, item: T) -> int:
        """Give the number of the first chunk that does not end before an item."""
        return bisect_left(self._chunks, item, key=_last)

    def _with(self, number: int, chunks: tuple[tuple[T, ...], ...], count: int) -> Ordered[T]:
        return Ordered((*self._chunks[:number], *chunks, *self._chunks[number + 1 :]), count)

    def __iter__(self) -> Iterator[T]:
        """Ascending."""
        for chunk in self._chunks:
            yield from chunk

    def __reversed__(self) -> Iterator[T]:
        """Descending."""
        for chunk in reversed(self._chunks):
            yield from reversed(chunk)

    def __getitem__(self, at: int) -> T:
        """Give the item at a place counted from 0. Raises IndexError."""
        for chunk in self._chunks:
            if at < len(chunk):
                return chunk[at]
            at -= len(chunk)
        raise IndexError(at)

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __eq__(self, other: object) -> bool:
        """Whether the same items are in both, however they came in."""
        if not isinstance(other, Ordered):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal sets may hold their items differently

    def __repr__(self) -> str:
        """Show the items."""
        return f"Ordered({list(self)!r})"


def _last(chunk: tuple[Any, ...]) -> Any:  # noqa: ANN401 - whatever the items are
    return chunk[-1]
