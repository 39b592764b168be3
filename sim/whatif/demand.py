"""The calls of a what-if: drawn by rate, hour and place, the same again from the same seed.

Calls come as a Poisson process whose rate is constant within an hour of the day. Each day is
drawn by itself, so that a longer run begins with the days of a shorter one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from random import Random
from typing import Final

from xiaohe.geo.roads import LonLat
from xiaohe.sim.calls import (
    AT_A_PLACE,
    BY_CATEGORY,
    DEFAULT_HANDLING_S,
    KINDS,
    PLACE_SIGMA_M,
    REAL_ALERTS_PER_DAY,
    Kind,
    Landmark,
)
from xiaohe.sim.streets import Streets, moved

HOURS: Final = 24
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MS_PER_HOUR: Final = 3_600_000

_SHAPE: Final = (
    0.55, 0.40, 0.30, 0.25, 0.25, 0.35, 0.60, 1.00, 1.25, 1.25, 1.20, 1.15,
    1.10, 1.05, 1.10, 1.20, 1.30, 1.50, 1.65, 1.70, 1.55, 1.30, 1.05, 0.75,
)  # fmt: skip
"""How a day's calls are spread over its hours where no rates are given. Invented: quiet before
dawn, busiest in the early evening, as calls to the police are in most towns; only the number of
calls in a day (about 14) is Xiaohe's own."""

MADE_UP: Final = (
    "the spread of calls over the hours is made up (only the 14 a day are Xiaohe's): "
    "give your own with --rates or --calls"
)
"""Said with every result that rests on it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it was received, where it is, what it is about."""

    call_id: str
    at_ms: int
    lon: float
    lat: float
    category: str
    priority: int
    road_id: str | None = None

    @property
    def handling_s(self) -> float:
        """How long such a matter takes at the scene, median."""
        kind = BY_CATEGORY.get(self.category)
        return DEFAULT_HANDLING_S if kind is None else kind.handling_s


@dataclass(frozen=True, slots=True)
class Spot:
    """A place at which calls come about, with its weight among all such places."""

    weight: float
    place: LonLat | None = None
    road_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls an hour by weekday (0 is Monday) and hour, and where they come about.

    ``spots`` empty: at the landmarks that fit the category, and along the roads. ``categories``
    are weights by category; without any, those of the demo.
    """

    per_hour: tuple[tuple[float, ...], ...]
    spots: tuple[Spot, ...] = ()
    categories: Mapping[str, float] | None = None
    made_up: bool = False

    @classmethod
    def of_day(cls, per_day: float = REAL_ALERTS_PER_DAY) -> "Rates":
        """Spread so many calls a day over the hours in the made-up way."""
        hours = tuple(per_day * share / sum(_SHAPE) for share in _SHAPE)
        return cls((hours,) * len(DAYS), made_up=True)

    def times(self, factor: float) -> "Rates":
        """Give the same with so many times as many calls."""
        hours = tuple(tuple(rate * factor for rate in day) for day in self.per_hour)
        return Rates(hours, self.spots, self.categories, self.made_up)

    @property
    def per_day(self) -> float:
        """Calls a day, on the average of a week."""
        return sum(map(sum, self.per_hour)) / len(DAYS)


def midnight_ms(day: datetime, zone: tzinfo, days_later: int = 0) -> int:
    """Give the midnight at which a local day begins, ms since the epoch."""
    then = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=days_later)
    return round(then.timestamp() * 1000)


def draw_calls(
    rates: Rates,
    streets: Streets,
    landmarks: Sequence[Landmark],
    *,
    seed: int,
    start: datetime,
    days: int,
) -> tuple[Call, ...]:
    """Draw the calls of so many local days from ``start``, whose zone is the area's."""
    drawing = _Drawing(rates, streets, tuple(landmarks))
    assert start.tzinfo is not None, "a day begins in a zone"
    found: list[Call] = []
    for day in range(days):
        begins_ms = midnight_ms(start, start.tzinfo, day)
        weekday = (start + timedelta(days=day)).weekday()
        chance = Random(f"{seed}:calls:{day}")  # noqa: S311 - a run must be repeatable
        found.extend(drawing.of_day(chance, day, begins_ms, weekday))
    return tuple(found)


class _Drawing:
    """What calls are drawn from."""

    def __init__(self, rates: Rates, streets: Streets, landmarks: tuple[Landmark, ...]) -> None:
        self._rates, self._streets, self._landmarks = rates, streets, landmarks
        weights = rates.categories or {kind.category: kind.weight for kind in KINDS}
        self._kinds = [_kind(category) for category in weights]
        self._weights = list(weights.values())

    def of_day(self, chance: Random, day: int, begins_ms: int, weekday: int) -> Iterator[Call]:
        number = 0
        for hour, per_hour in enumerate(self._rates.per_hour[weekday]):
            hour_ms, at_h = begins_ms + hour * MS_PER_HOUR, 0.0
            while per_hour > 0 and (at_h := at_h + chance.expovariate(per_hour)) < 1:
                number += 1
                yield self._call(chance, f"d{day + 1}-{number}", hour_ms + int(at_h * MS_PER_HOUR))

    def _call(self, chance: Random, call_id: str, at_ms: int) -> Call:
        (kind,) = chance.choices(self._kinds, self._weights)
        priority = chance.choice(kind.priorities)
        lon, lat = self._place(chance, kind)
        return Call(call_id, at_ms, round(lon, 6), round(lat, 6), kind.category, priority)

    def _place(self, chance: Random, kind: Kind) -> LonLat:
        if self._rates.spots:
            (spot,) = chance.choices(self._rates.spots, [s.weight for s in self._rates.spots])
            if spot.place is None:
                return self._streets.somewhere(chance, (spot.road_id,) if spot.road_id else ())
            return _about(chance, spot.place)
        fitting = [each for each in self._landmarks if not kind.at or each.kind in kind.at]
        if fitting and chance.random() < AT_A_PLACE:
            return _about(chance, chance.choice(fitting).place)
        return self._streets.somewhere(chance)


def _about(chance: Random, place: LonLat) -> LonLat:
    return moved(place, chance.gauss(0, PLACE_SIGMA_M), chance.gauss(0, PLACE_SIGMA_M))


def _kind(category: str) -> Kind:
    """Give a known kind, or one of the middle priorities for a category of somebody's own."""
    known = BY_CATEGORY.get(category)
    return known or Kind(category, category, "", (2, 3), 1.0, DEFAULT_HANDLING_S)
