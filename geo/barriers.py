"""Barriers that stand on a way: whom they stop, and how that is put into pieces of road.

A roads file has no place for a barrier at a point. So a short stretch behind it becomes a piece of
its own that those whom it stops may not use; where it stops everybody the stretch is left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from xiaohe.geo.modes import may_use
from xiaohe.geo.osm_tags import Tags, is_open
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import COORDINATE_DECIMALS, MODES, LonLat, Mode, RoadPiece

STRETCH_M: Final = 2.0
"""Length of the stretch behind a barrier: more than noding joins, and nothing to a travel time."""

_NOBODY: Final[frozenset[Mode]] = frozenset()
_CARS: Final[frozenset[Mode]] = frozenset({"car"})
_WHEELS: Final[frozenset[Mode]] = frozenset({"car", "ebike"})
_ALL: Final[frozenset[Mode]] = frozenset(MODES)

_STOPS: Final[Mapping[str, frozenset[Mode]]] = MappingProxyType(
    {
        kind: stopped
        for stopped, kinds in {
            _NOBODY: "border_control bump_gate cattle_grid checkpoint entrance gate hampshire_gate"
            " height_restrictor kerb lift_gate no rope sally_port sliding_beam sliding_gate"
            " swing_gate toll_booth",
            _CARS: "barrier_board block bollard bus_trap chain cycle_barrier debris jersey_barrier"
            " log motorcycle_barrier planter sump_buster tank_trap wicket_gate yes",
            _WHEELS: "full-height_turnstile horse_stile kissing_gate stile turnstile",
            _ALL: "city_wall fence hedge retaining_wall wall",
        }.items()
        for kind in kinds.split()
    }
)
"""Whom a ``barrier`` stops that has no access tags of its own. A gate that says nothing is taken as
one that opens, for most do; a bar that keeps cars out leaves room for an e-bike."""


class Place(NamedTuple):
    """A vertex of a way: its place, and whom a barrier stops there."""

    at: LonLat
    stopped: frozenset[Mode] = _NOBODY


def stopped_by(tags: Tags, doubts: Counter[str]) -> frozenset[Mode]:
    """Return the modes that a barrier stops; one of unknown kind stops nobody, and is counted."""
    kind = tags.get("barrier") or "no"
    stops = _STOPS.get(kind)
    if stops is None:
        doubts[f"barrier={kind}"] += 1
        stops = _NOBODY
    if tags.get("locked") == "yes":
        stops = _ALL
    odd: Counter[str] = Counter()
    stopped = frozenset(mode for mode in MODES if not is_open(tags, mode, mode not in stops, odd))
    doubts.update(dict.fromkeys(odd, 1))
    return stopped


class Stretch(NamedTuple):
    """Part of a way: its vertices, and the modes that may not use it though they may the way."""

    points: tuple[LonLat, ...]
    stopped: frozenset[Mode]


def stretches(places: Iterable[Place]) -> Iterator[Stretch]:
    """Cut a run of vertices at its barriers: the free stretches, and a short one at each barrier.

    The short one lies behind the barrier as drawn; before it, where the run ends there.
    """
    for stopped, parts in groupby(_parts(list(places)), key=lambda part: part.stopped):
        first, *others = (part.points for part in parts)
        yield Stretch((*first, *(end for _, end in others)), stopped)


def _parts(run: list[Place]) -> Iterator[Stretch]:
    """Yield the straight parts of a run one by one, those that a barrier shuts cut off."""
    last = run[-1]
    for here, there in pairwise(run):
        at_end = there.stopped if there is last else _NOBODY
        if here.stopped and at_end:
            yield Stretch((here.at, there.at), here.stopped | at_end)
        elif here.stopped:
            cut = _cut(here, there)
            yield Stretch((here.at, cut), here.stopped)
            if cut != there.at:
                yield Stretch((cut, there.at), _NOBODY)
        else:
            cut = _cut(there, here) if at_end else there.at
            if cut != here.at:
                yield Stretch((here.at, cut), _NOBODY)
            if cut != there.at:
                yield Stretch((cut, there.at), at_end)


def open_modes(road: RoadPiece, stopped: frozenset[Mode]) -> tuple[Mode, ...]:
    """Return who may use the way and is not stopped."""
    return tuple(mode for mode in MODES if mode not in stopped and may_use(road, mode))


def _cut(barrier: Place, beyond: Place) -> LonLat:
    """Return the place ``STRETCH_M`` from the barrier, or the next vertex where that is near."""
    length_m = ground_distance_m(*barrier.at, *beyond.at)
    if length_m < 2 * STRETCH_M:
        return beyond.at
    share = STRETCH_M / length_m
    lon, lat = (a + (b - a) * share for a, b in zip(barrier.at, beyond.at, strict=True))
    return round(lon, COORDINATE_DECIMALS), round(lat, COORDINATE_DECIMALS)
