"""Who may travel where, in which direction, and how fast: walk, e-bike, car."""

from types import MappingProxyType
from typing import Final, NamedTuple

from xiaohe.geo.roads import HIGHWAY_DEFAULT, Mode, RoadPiece

KMH_PER_MPS = 3.6

WALK_KMH = 5.0
EBIKE_KMH = 20.0
"""Mode speeds of the contract. A car has none of its own: the road's holds."""


class RoadClass(NamedTuple):
    """What the value of ``highway`` says about a piece that states nothing else."""

    walk: bool
    ebike: bool
    car_kmh: float | None
    why: str


_EXPRESS = "fast traffic alone: no place for feet or e-bikes"
_STREET = "an ordinary street, open to all"
_PATH = "too narrow for a car, or shut by bollards"
_STEPS = "steps: on foot alone"

ROAD_CLASSES: Final = MappingProxyType(
    {
        "motorway": RoadClass(False, False, 90.0, _EXPRESS),
        "motorway_link": RoadClass(False, False, 50.0, _EXPRESS),
        "trunk": RoadClass(False, False, 80.0, _EXPRESS),
        "trunk_link": RoadClass(False, False, 50.0, _EXPRESS),
        "primary": RoadClass(True, True, 60.0, _STREET),
        "primary_link": RoadClass(True, True, 40.0, _STREET),
        "secondary": RoadClass(True, True, 50.0, _STREET),
        "secondary_link": RoadClass(True, True, 40.0, _STREET),
        "tertiary": RoadClass(True, True, 40.0, _STREET),
        "tertiary_link": RoadClass(True, True, 30.0, _STREET),
        "unclassified": RoadClass(True, True, 30.0, _STREET),
        "residential": RoadClass(True, True, 30.0, _STREET),
        "road": RoadClass(True, True, 30.0, _STREET),
        "living_street": RoadClass(True, True, 20.0, _STREET),
        "service": RoadClass(True, True, 20.0, _STREET),
        "track": RoadClass(True, True, 20.0, _STREET),
        "busway": RoadClass(True, False, None, "for buses; a footpath runs along it"),
        "cycleway": RoadClass(True, True, None, _PATH),
        "pedestrian": RoadClass(True, True, None, _PATH),
        "footway": RoadClass(True, True, None, _PATH),
        "path": RoadClass(True, True, None, _PATH),
        "bridleway": RoadClass(True, False, None, "soft ground: on foot alone"),
        "corridor": RoadClass(True, False, None, "indoors: on foot alone"),
        "platform": RoadClass(True, False, None, "a platform: on foot alone"),
        "steps": RoadClass(True, False, None, _STEPS),
    }
)
"""Travel rules and a car's speed (km/h) by ``highway``; a value not here counts as
``unclassified``. No car speed is below the e-bike's, so that only a stated ``maxspeed_kmh``
slows an e-bike or a walker."""

SHUT_ACCESS: Final = frozenset({"no", "private"})
"""``access`` values that shut a piece to every mode: nobody may count on passing there."""


def road_class(highway: str) -> RoadClass:
    """Return the rules of a ``highway`` value, those of an ordinary road if it is unknown."""
    return ROAD_CLASSES.get(highway) or ROAD_CLASSES[HIGHWAY_DEFAULT]


def may_use(piece: RoadPiece, mode: Mode) -> bool:
    """Say whether ``mode`` may travel on the piece at all."""
    if piece.modes is not None:
        return mode in piece.modes
    if piece.access in SHUT_ACCESS:
        return False
    rules = road_class(piece.highway)
    if mode == "car":
        return rules.car_kmh is not None
    return rules.walk if mode == "walk" else rules.ebike


def directions(piece: RoadPiece, mode: Mode) -> tuple[bool, bool]:
    """Say whether ``mode`` may travel (as drawn, against it); on foot one-ways do not count."""
    if mode == "walk":
        return True, True
    oneway = piece.oneway
    if mode == "ebike" and piece.oneway_bicycle is not None:
        oneway = piece.oneway_bicycle
    return oneway != "-1", oneway != "yes"


def speed_mps(piece: RoadPiece, mode: Mode) -> float:
    """Return the speed on the piece in m/s: the lower of the road's and the mode's."""
    limit_kmh = piece.maxspeed_kmh
    if mode == "car":
        kmh = limit_kmh or road_class(piece.highway).car_kmh or EBIKE_KMH
    else:
        kmh = WALK_KMH if mode == "walk" else EBIKE_KMH
        kmh = kmh if limit_kmh is None else min(kmh, limit_kmh)
    return kmh / KMH_PER_MPS
