"""Where an alert is: from its position, its road, or its address, in this order of trust.

Whatever is odd about a place is named and the incident opens all the same: a person in need is
never turned away for a bad coordinate.
"""

from msgspec import Struct

from xiaohe.dispatch.inputs import Position
from xiaohe.dispatch.world import RoadMap

OFF_ROAD_DECIMALS = 1
"""Digits after the point of ``off_road_m``: a position is no better."""

CANDIDATES_MAX = 8
"""Roads that an address may mean and that are told: what a person can choose from at a glance."""


class Place(Struct, frozen=True):
    """Where to go. ``place`` None: nobody can say, a person has to, among the ``candidates``."""

    place: Position | None
    road_id: str | None
    off_road_m: float | None
    odd: tuple[str, ...]
    candidates: tuple[str, ...] = ()


def locate(
    roads: RoadMap,
    *,
    area_id: str,
    position: Position | None,
    road_id: str | None,
    address: str | None,
    off_road_max_m: float,
) -> Place:
    """Find the place and the road that answers for it.

    A stated road wins over a nearer one where it is near too; an unknown one is passed over.
    A place keeps its true position; beyond ``off_road_max_m`` no road answers for it.
    """
    odd: list[str] = []
    found: list[str] = []
    if road_id is not None and road_id not in roads.network.roads:
        odd.append("unknown_road")
        road_id = None
    if position is not None:
        return _by_position(roads, area_id, position, road_id, off_road_max_m, odd)
    if road_id is None and address is not None:
        found = roads.snapper.find_address(address)
        if len(found) == 1:
            road_id = found[0]
            odd.append("address_by_road")
        else:
            odd.append("ambiguous_address" if found else "unknown_address")
    site = roads.snapper.snap_road(road_id) if road_id is not None else None
    if site is None:
        return Place(None, None, None, (*odd, "no_place"), tuple(found[:CANDIDATES_MAX]))
    if _elsewhere(roads, site.road_id, area_id):
        odd.append("road_of_another_area")
    return Place(Position(site.lon, site.lat), site.road_id, 0.0, tuple(odd))


def _by_position(
    roads: RoadMap,
    area_id: str,
    position: Position,
    road_id: str | None,
    off_road_max_m: float,
    odd: list[str],
) -> Place:
    site = roads.site(position, road_id)
    if site is None:
        return Place(position, None, None, (*odd, "no_road"))
    off_road_m = round(site.off_road_m, OFF_ROAD_DECIMALS)
    if site.off_road_m > off_road_max_m:
        return Place(position, None, off_road_m, (*odd, "far_off_road"))
    if road_id is not None and site.road_id != road_id:
        odd.append("road_is_elsewhere")
    if _elsewhere(roads, site.road_id, area_id):
        odd.append("road_of_another_area")
    return Place(position, site.road_id, off_road_m, tuple(odd))


def _elsewhere(roads: RoadMap, road_id: str, area_id: str) -> bool:
    return roads.network.area_of_road(road_id) not in {None, area_id}
