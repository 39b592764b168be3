"""Ways along the roads: what a search by travel time answers with."""

from collections.abc import Iterable
from typing import NamedTuple

from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.roads import LonLat


class Travel(NamedTuple):
    """How long and how far it is to the site by the quickest way."""

    eta_s: float
    distance_m: float


class Reached(NamedTuple):
    """A member met by the search; ``from_post`` if at the post, not at the last fix.

    ``lon`` and ``lat`` are the spot's. ``fix_ms`` and ``accuracy_m`` are those of their last
    believed fix (None: there is none, or its accuracy was not stated), also of who stands at the
    post; it is not ``trusted`` while a newer one is doubted.
    """

    member_id: str
    eta_s: float
    distance_m: float
    edge: int
    frac: float
    from_post: bool
    lon: float
    lat: float
    fix_ms: int | None
    accuracy_m: float | None
    trusted: bool

    @property
    def spot(self) -> Spot:
        """Where on the road they were taken to be."""
        return Spot(self.edge, self.frac)


class Leg(NamedTuple):
    """Part of one edge, travelled from one share of it to another."""

    edge: int
    road_id: str
    from_frac: float
    to_frac: float
    time_s: float
    length_m: float


def roads_of(legs: Iterable[Leg]) -> tuple[str, ...]:
    """Return the road_ids of legs in a row, repeats joined."""
    roads: list[str] = []
    for leg in legs:
        if not roads or roads[-1] != leg.road_id:
            roads.append(leg.road_id)
    return tuple(roads)


def points_of(network: Network, legs: Iterable[Leg]) -> list[LonLat]:
    """Return the points (lon, lat) along legs in a row."""
    points: list[LonLat] = []
    for leg in legs:
        for point in network.shapes.between(leg.edge, leg.from_frac, leg.to_frac):
            if not points or points[-1] != point:
                points.append(point)
    return points
