"""Ways along the real roads: where somebody is on the way from one place to another.

The network is the engine's own (``geo``), for there is one map. What is done with it here is
another thing: the engine asks how long a way takes, the simulation goes it, metre by metre.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import atan2, cos, degrees, inf, radians
from pathlib import Path
from random import Random

from xiaohe.geo.files import load_network
from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import LonLat, Mode
from xiaohe.geo.search import TravelField
from xiaohe.geo.snap import Site, Snapper
from xiaohe.geo.ways import Leg

STRIDE_MPS = 1.25
"""Walking pace off the road: across a courtyard, up to a door."""

OFF_ROAD_WALKED_MAX_M = 60.0
"""Nearer than this to the road, one walks up to the place itself; a place farther off (on the
water, in a closed compound) is handled from where the road comes nearest."""

STANDS_M = 1.0
"""Shorter than this is no way: one is there."""

METRES_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6,371 km: good enough to push a point by some metres."""


@dataclass(frozen=True, slots=True)
class Way:
    """Points (lon, lat) and after how many seconds each is passed; at least one point."""

    points: tuple[LonLat, ...]
    at_s: tuple[float, ...]
    length_m: float

    @property
    def seconds(self) -> float:
        """How long the whole way takes."""
        return self.at_s[-1]

    def at(self, passed_s: float) -> LonLat:
        """Give where one is after so many seconds; the end when it is over."""
        after = bisect_right(self.at_s, passed_s)
        if after == 0:
            return self.points[0]
        if after == len(self.points):
            return self.points[-1]
        (lon1, lat1), (lon2, lat2) = self.points[after - 1], self.points[after]
        span_s = self.at_s[after] - self.at_s[after - 1]
        share = (passed_s - self.at_s[after - 1]) / span_s if span_s > 0 else 1.0
        return lon1 + share * (lon2 - lon1), lat1 + share * (lat2 - lat1)

    def course_deg(self, passed_s: float) -> float | None:
        """Give the direction of travel, degrees from north; None at the end."""
        after = bisect_right(self.at_s, passed_s)
        if after in {0, len(self.points)}:
            return None
        (lon1, lat1), (lon2, lat2) = self.points[after - 1], self.points[after]
        east = (lon2 - lon1) * cos(radians(lat1))
        return degrees(atan2(east, lat2 - lat1)) % 360.0


class Streets:
    """The roads, for those who move on them."""

    def __init__(self, network: Network, snapper: Snapper) -> None:
        """Take a network at the real speeds (``speed_factor`` 1)."""
        assert network.speed_factor == 1.0, "the simulation keeps real speeds and its own clock"
        self.network = network
        self.snapper = snapper
        self.road_ids: tuple[str, ...] = tuple(
            road_id
            for road_id, edges in network.roads.items()
            if any(network.graphs["walk"].usable[edge] for edge in edges)
        )
        points = network.node_points
        self._west, self._south = (float(value) for value in points.min(axis=0))
        self._east, self._north = (float(value) for value in points.max(axis=0))

    @classmethod
    def load(cls, path: Path) -> "Streets":
        """Read a roads file. Raises RoadsFileError."""
        return cls(*load_network(path))

    def site(self, place: LonLat, mode: Mode | None = None) -> Site | None:
        """Give the access to a place, however far it is; None where no road leads."""
        return self.snapper.snap(*place, max_m=inf, mode=mode)

    def is_here(self, place: LonLat) -> bool:
        """Tell whether a place lies within the map at all."""
        lon, lat = place
        return self._west <= lon <= self._east and self._south <= lat <= self._north

    def somewhere(self, chance: Random, road_ids: Iterable[str] = ()) -> LonLat:
        """Give a point of one of the roads (of all, if none is named), longer ones more often."""
        edges = [e for r in (road_ids or self.road_ids) for e in self.network.roads.get(r, ())]
        assert edges, "no such road on this map"
        (edge,) = chance.choices(edges, [self.network.lengths_m[e] for e in edges])
        return self.network.point_at(Spot(edge, chance.random()))

    def way(self, start: LonLat, goal: LonLat, mode: Mode, pace: float = 1.0) -> Way | None:
        """Give the quickest way; ``pace`` multiplies the speeds. None where there is none.

        Where the road ends before the place, one gets off and walks: to the place itself, or to
        the access point where the place lies farther off the road.
        """
        site, here = self.site(goal), self.site(start, mode)
        if site is None or here is None:
            return None
        legs = TravelField(self.network, site, mode).legs(here.spot)
        if not legs:
            return None
        return self.way_along(legs, site, pace)

    def way_along(self, legs: tuple[Leg, ...], site: Site, pace: float = 1.0) -> Way:
        """Give the way along these legs to a site, and off the road up to the place itself."""
        points, at_s = self._along(legs, pace)
        goal = (site.lon, site.lat)
        end = goal if site.off_road_m <= OFF_ROAD_WALKED_MAX_M else (site.access_lon,
                                                                     site.access_lat)  # fmt: skip
        walked_m = ground_distance_m(*points[-1], *end)
        if walked_m > STANDS_M:
            points.append(end)
            at_s.append(at_s[-1] + walked_m / STRIDE_MPS)
        return Way(tuple(points), tuple(at_s), sum(leg.length_m for leg in legs) + walked_m)

    def _along(self, legs: tuple[Leg, ...], pace: float) -> tuple[list[LonLat], list[float]]:
        points: list[LonLat] = []
        at_s: list[float] = []
        begun_s = 0.0
        for leg in legs:
            part = self.network.shapes.between(leg.edge, leg.from_frac, leg.to_frac)
            mps = pace * leg.length_m / leg.time_s if leg.time_s > 0 else inf
            for n, point in enumerate(part):
                step_m = ground_distance_m(*part[n - 1], *point) if n else 0.0
                begun_s += step_m / mps if step_m else 0.0
                if not points or points[-1] != point:
                    points.append(point)
                    at_s.append(begun_s)
        return points, at_s


def standing(place: LonLat) -> Way:
    """Give the way of somebody who stays where they are."""
    return Way((place,), (0.0,), 0.0)


def moved(place: LonLat, east_m: float, north_m: float) -> LonLat:
    """Give the point so many metres away."""
    lon, lat = place
    per_degree_m = METRES_PER_DEGREE * cos(radians(lat))
    return lon + east_m / per_degree_m, lat + north_m / METRES_PER_DEGREE
