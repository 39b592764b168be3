"""Where a subscriber stands: the next offset of each event topic, in one partition.

Written as one word a topic, ``i120.d33.a4``: it is what goes out as ``id`` of a Server-Sent Event
and comes back as ``Last-Event-ID``, and what a webhook is replayed from. A topic that is not named
begins now, so that topics can be added.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

LETTERS: Final[Mapping[str, str]] = {
    "incident_events": "i",
    "dispatches": "d",
    "area_events": "a",
    "matter_events": "m",
}
_TOPICS: Final = {letter: topic_id for topic_id, letter in LETTERS.items()}
_WORD: Final = re.compile(r"([a-z])([0-9]{1,18})")

CHARACTERS_MAX: Final = 200
"""A longer position is none of ours: four topics and offsets of 18 digits have 79."""


class BadPosition(ValueError):
    """A text that is no position; the message says what one looks like."""


class Position(Mapping[str, int]):
    """Next offsets by the word that a topic has in ``topics.yaml``; a value."""

    __slots__ = ("_offsets",)

    def __init__(self, offsets: Mapping[str, int]) -> None:
        self._offsets = dict(offsets)

    def __getitem__(self, topic_id: str) -> int:
        """Give the next offset of a topic."""
        return self._offsets[topic_id]

    def __iter__(self) -> Iterator[str]:
        """Give the topics that it knows."""
        return iter(self._offsets)

    def __len__(self) -> int:
        """How many topics it knows."""
        return len(self._offsets)

    def __str__(self) -> str:
        """Write it as it goes out."""
        known = [x for x in LETTERS if x in self._offsets]
        return ".".join(f"{LETTERS[each]}{self._offsets[each]}" for each in known)

    def but(self, other: Mapping[str, int]) -> "Position":
        """Give this one, with what the other knows in its place."""
        return Position({**self._offsets, **other})

    def after(self, entries: Iterable[Any]) -> "Position":
        """Give the position after these entries, too."""
        reached = dict(self._offsets)
        for entry in entries:
            reached[entry.topic_id] = max(reached.get(entry.topic_id, 0), entry.offset + 1)
        return Position(reached)


def read_position(text: str) -> Position:
    """Read a position as it went out. Raises BadPosition."""
    words = [_WORD.fullmatch(word) for word in text[: CHARACTERS_MAX + 1].split(".")]
    found = {w[1]: int(w[2]) for w in words if w is not None}
    if len(text) > CHARACTERS_MAX or len(found) != len(words) or not found.keys() <= _TOPICS.keys():
        raise BadPosition("a position is the id of an event that came from here, as i120.d33.a4")
    return Position({_TOPICS[letter]: offset for letter, offset in found.items()})
