"""From the words of an address to a place on the map, and how sure that is.

Nobody outside is asked: names come from the roads file, house numbers from the address points
that it may carry. Words are compared as people write them, wide or narrow, ``St`` or ``Street``,
with one letter wrong; whatever is not plain is said to be so, with the candidates, for a person to
choose.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import hypot
from typing import Final, Literal, NamedTuple

from xiaohe.geo.address_points import AddressPoint
from xiaohe.geo.address_words import (
    is_cut,
    number_after,
    number_before,
    number_key,
    plain_words,
)
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import COORDINATE_DECIMALS, LonLat, RoadPiece

How = Literal["exact", "interpolated", "crossing", "road", "several", "none"]

SURE_SCORE: Final = 0.7
"""From here on somebody is sent to the place without a person having looked at it."""

SCORES: Final[Mapping[How, float]] = {
    "exact": 1.0, "crossing": 0.9, "interpolated": 0.8, "road": 0.5, "several": 0.3, "none": 0.0,
}  # fmt: skip
"""How sure each way of knowing is, from 0 to 1: an order, not a measured frequency."""

MISSPELT: Final = 0.75
"""What is left of it where a letter of the name had to be changed: an exact number still counts."""

CHARACTERS_MAX: Final = 200
"""So much of an address is looked at."""

CANDIDATES_MAX: Final = 8
"""So many are told: what a person can choose from at a glance."""

TYPO_LETTERS_MIN: Final = 3
"""Shorter names have no letter to spare."""

NUMBER_GAP_MAX: Final = 40
"""Between known numbers farther apart than this nothing is reckoned."""

NEIGHBOURS_M_MAX: Final = 300.0
"""Nor between houses farther apart than this."""

ONE_PLACE_M: Final = 60.0
"""Places no farther apart than this are one: two doors of a house, the corners of a crossing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place that the words may mean; without coordinates only its road is known."""

    name: str
    road_id: str | None = None
    area_id: str | None = None
    lon: float | None = None
    lat: float | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """What an address was understood as.

    ``exact``: a known house. ``interpolated``: between two known houses. ``crossing``: where two
    streets meet. ``road``: one road, no house. ``several``: the candidates, and nobody can say
    which. ``candidates`` has the one place first where there is one.
    """

    how: How
    score: float
    candidates: tuple[Candidate, ...] = ()
    misspelt: bool = False

    @property
    def place(self) -> LonLat | None:
        """The place, only where it is sure enough to send somebody there."""
        if self.score < SURE_SCORE or not self.candidates:
            return None
        first = self.candidates[0]
        if first.lon is None or first.lat is None:
            return None
        return first.lon, first.lat


class _Hit(NamedTuple):
    """A street's name in a text: where it stands, and whether a letter was changed."""

    start: int
    end: int
    street: str
    misspelt: bool


@dataclass(slots=True)
class _Street:
    """All pieces and houses of one name."""

    name: str
    pieces: list[RoadPiece] = field(default_factory=list)
    houses: dict[str, list[LonLat]] = field(default_factory=lambda: defaultdict(list))

    def within(self, area_id: str | None, text: str) -> list[RoadPiece]:
        """Give the pieces that are meant: of the area, and of the community that the text names."""
        own = [p for p in self.pieces if p.area_id in (None, area_id)] or self.pieces
        named = [p for p in own if p.community and plain_words(p.community) in text]
        return named or own


class AddressBook:
    """The streets and houses of a map, found by words."""

    def __init__(self, pieces: Iterable[RoadPiece], points: Iterable[AddressPoint] = ()) -> None:
        """Index names and houses once."""
        self._streets: dict[str, _Street] = {}
        for piece in pieces:
            for name in {piece.name or piece.road_id, piece.road_id}:
                if words := plain_words(name):
                    self._streets.setdefault(words, _Street(name)).pieces.append(piece)
        for point in points:
            street = self._streets.get(plain_words(point.street))
            if street is not None:
                street.houses[number_key(point.number)].append((point.lon, point.lat))
        self._lengths = sorted({len(words) for words in self._streets}, reverse=True)
        self._by_less: dict[str, list[str]] = defaultdict(list)
        for words in self._streets:
            if len(words) >= TYPO_LETTERS_MIN:
                for less in {words, *_without_one(words)}:
                    self._by_less[less].append(words)
        self._typo_lengths = {n + more for n in self._lengths for more in (-1, 0, 1)}

    def resolve(self, address: str, area_id: str | None = None) -> Match:
        """Say where an address is. Never fails; what is unknown is ``none``."""
        text = plain_words(address[:CHARACTERS_MAX])
        hits = self._hits(text) or self._misspelt(text)
        if not hits:
            return Match("none", SCORES["none"])
        misspelt = any(hit.misspelt for hit in hits)
        if misspelt and len({hit.street for hit in hits}) > 1:
            names = dict.fromkeys(hit.street for hit in hits)
            return self._roads(
                [self._streets[name] for name in names], area_id, text, misspelt=True
            )
        houses = [match for hit in hits if (match := self._house(hit, text)) is not None]
        if houses:
            return max(houses, key=lambda match: match.score)
        streets = [self._streets[hit.street] for hit in hits]
        if len(streets) > 1 and (crossing := self._crossing(streets, area_id, text)) is not None:
            return crossing
        return self._roads(streets, area_id, text, misspelt=misspelt)

    # --- names

    def _hits(self, text: str) -> list[_Hit]:
        """Find the names that stand in a text, the longest first, none inside another."""
        taken: list[_Hit] = []
        for length in self._lengths:
            for start in range(len(text) - length + 1):
                end = start + length
                street = text[start:end]
                if street not in self._streets or is_cut(text, start, end):
                    continue
                if not any(hit.start < end and start < hit.end for hit in taken):
                    taken.append(_Hit(start, end, street, misspelt=False))
        return taken

    def _misspelt(self, text: str) -> list[_Hit]:
        """Find the names from which a part of the text differs by one letter."""
        found: dict[str, _Hit] = {}
        for start in range(len(text)):
            for length in self._typo_lengths:
                end = start + length
                if length < TYPO_LETTERS_MIN - 1 or end > len(text) or is_cut(text, start, end):
                    continue
                part = text[start:end]
                for less in {part, *_without_one(part)}:
                    for street in self._by_less.get(less, ()):
                        if _is_one_letter_off(part, street):
                            found.setdefault(street, _Hit(start, end, street, misspelt=True))
        hits = found.values()
        return [hit for hit in hits if not any(_says_more(other, hit) for other in hits)]

    # --- places

    def _house(self, hit: _Hit, text: str) -> Match | None:
        """Find the house whose number stands beside the name."""
        street = self._streets[hit.street]
        wanted = number_after(text[hit.end :]) or number_before(text[: hit.start])
        factor = MISSPELT if hit.misspelt else 1.0
        for number in wanted:
            places = street.houses.get(number)
            if places:
                return _at(street, "exact", places, factor, misspelt=hit.misspelt)
        between = _between(street.houses, wanted[-1]) if wanted else None
        if between is None:
            return None
        return _at(street, "interpolated", [between], factor, misspelt=hit.misspelt)

    def _crossing(self, streets: Sequence[_Street], area_id: str | None, text: str) -> Match | None:
        """Find where two of the streets meet."""
        for first, second in pairwise(streets):
            ends = [
                {
                    _rounded(point)
                    for piece in street.within(area_id, text)
                    for point in piece.points
                }
                for street in (first, second)
            ]
            shared = sorted(ends[0] & ends[1])
            if shared:
                both = _Street(f"{first.name} / {second.name}")
                return _at(both, "crossing", shared, 1.0, misspelt=False)
        return None

    def _roads(
        self, streets: Sequence[_Street], area_id: str | None, text: str, *, misspelt: bool
    ) -> Match:
        """Say which roads the names stand for."""
        roads: dict[str, Candidate] = {}
        for street in streets:
            for piece in street.within(area_id, text):
                made = Candidate(street.name, piece.road_id, piece.area_id)
                roads.setdefault(piece.road_id, made)
        how: How = "road" if len(roads) == 1 else "several"
        score = SCORES[how] * (MISSPELT if misspelt else 1.0)
        return Match(how, score, tuple(roads.values())[:CANDIDATES_MAX], misspelt)


def _at(
    street: _Street, how: How, places: Sequence[LonLat], factor: float, *, misspelt: bool
) -> Match:
    """Make a match of one place, or of several that are too far apart to be one."""
    first = places[0]
    road = street.pieces[0].road_id if len({p.road_id for p in street.pieces}) == 1 else None
    area = street.pieces[0].area_id if street.pieces else None
    if all(ground_distance_m(*first, *place) <= ONE_PLACE_M for place in places):
        one = Candidate(street.name, road, area, *first)
        return Match(how, SCORES[how] * factor, (one,), misspelt)
    some = tuple(Candidate(street.name, road, area, *place) for place in places[:CANDIDATES_MAX])
    return Match("several", SCORES["several"] * factor, some, misspelt)


def _between(houses: Mapping[str, Sequence[LonLat]], wanted: str) -> LonLat | None:
    """Reckon a house between its two nearest known neighbours on its side of the street."""
    if not wanted.isdecimal():
        return None
    number = int(wanted)
    side = sorted(int(n) for n in houses if n.isdecimal() and int(n) % 2 == number % 2)
    below = max((n for n in side if n < number), default=None)
    above = min((n for n in side if n > number), default=None)
    if below is None or above is None or above - below > NUMBER_GAP_MAX:
        return None
    pairs = list(product(houses[str(below)], houses[str(above)]))
    start, end = min(
        pairs, key=lambda pair: hypot(pair[0][0] - pair[1][0], pair[0][1] - pair[1][1])
    )
    if ground_distance_m(*start, *end) > NEIGHBOURS_M_MAX:
        return None
    share = (number - below) / (above - below)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _says_more(one: _Hit, other: _Hit) -> bool:
    """Tell whether a longer part of the text was understood there."""
    overlap = one.start < other.end and other.start < one.end
    return overlap and len(one.street) > len(other.street)


def _rounded(point: LonLat) -> LonLat:
    return round(point[0], COORDINATE_DECIMALS), round(point[1], COORDINATE_DECIMALS)


def _without_one(word: str) -> Iterator[str]:
    return (word[:at] + word[at + 1 :] for at in range(len(word)))


def _is_one_letter_off(one: str, other: str) -> bool:
    """Tell whether one letter has to be changed, left out or added to make one of the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    ahead = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    at = min(len(one), len(other)) if ahead is None else ahead
    return (
        one[at + 1 :] == other[at + 1 :]
        or one[at:] == other[at + 1 :]
        or one[at + 1 :] == other[at:]
    )
