"""The small invented city of the fault simulation: three areas, some dozen streets, a few members.

Each area is a block of three by three junctions; a street joins it to the next. The second map is
the same city on another day: one street is gone and one has become one-way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.network import Network
from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import LonLat, RoadPiece
from xiaohe.geo.snap import Snapper
from xiaohe.topics import Topics, load_topics

START_MS: Final = parse_rfc3339("2030-01-07T04:00:00Z")
"""When every run begins: noon of a Monday in China."""

AREAS: Final = ("north", "south", "east")
"""On two, three and four partitions they share one and have one alone."""

BLOCK_M: Final = 180.0
"""From one junction to the next."""

SIDE: Final = 3
"""Junctions on each side of an area."""

ACROSS_SHARE: Final = 0.5
"""Places that are on a street from west to east; the others are on one from south to north."""

POST_SHARE: Final = 0.7
"""Members who have a post; of the others nobody knows where they are without a position."""

SPEEDS: Final = (1, 4, 10)
"""How much faster than the day a run may be: windows are divided by it, speeds multiplied."""

_CENTRE: Final = Projection(120.14, 30.32)
_POLICY: Final = Path(__file__).parents[2] / "data" / "policy.yaml"
_OVERLAY: Final = b"""
areas:
  - {area_id: north, name: North, timezone: Asia/Shanghai, neighbours: [south]}
  - {area_id: south, name: South, timezone: Asia/Shanghai, neighbours: [north, east]}
  - {area_id: east, name: East, timezone: Asia/Shanghai, neighbours: [south]}
"""

Entry = dict[str, Any]
"""A member as in the roster."""


@dataclass(frozen=True)
class City:
    """What does not change between runs of one speed: the policy and the two maps."""

    policy: Policy
    maps: tuple[RoadMap, RoadMap]


@cache
def city(speed: int) -> City:
    """Give the city of a speed; made once a process."""
    changed = [p for p in _pieces() if p.road_id != "north-r1"]
    changed = [_one_way(p) if p.road_id == "south-c1" else p for p in changed]
    return City(
        load_policy(_OVERLAY, base=_POLICY.read_bytes(), speed=speed),
        (_map(_pieces(), "city@1", speed), _map(changed, "city@2", speed)),
    )


@cache
def topics(partitions: int) -> Topics:
    """Give the topics with so many partitions of area topics; read once a process."""
    return load_topics(area_partitions=partitions)


def _map(pieces: list[RoadPiece], version: str, speed: int) -> RoadMap:
    network = Network.build(pieces, version, _CENTRE, speed_factor=speed)
    return RoadMap(network, Snapper(network))


def _one_way(piece: RoadPiece) -> RoadPiece:
    return replace(piece, oneway="yes")


def junction(area_id: str, row: int, column: int) -> LonLat:
    """Give where a junction of an area is."""
    west = AREAS.index(area_id) * SIDE
    lon, lat = _CENTRE.to_deg((west + column) * BLOCK_M, row * BLOCK_M)
    return round(lon, 7), round(lat, 7)


def _pieces() -> list[RoadPiece]:
    found: list[RoadPiece] = []
    for area_id in AREAS:
        for line in range(SIDE):
            for step in range(SIDE - 1):
                across = (junction(area_id, line, step), junction(area_id, line, step + 1))
                along = (junction(area_id, step, line), junction(area_id, step + 1, line))
                found.append(
                    RoadPiece(road_id=f"{area_id}-r{line}", points=across, area_id=area_id)
                )
                found.append(RoadPiece(road_id=f"{area_id}-c{line}", points=along, area_id=area_id))
    for here, there in pairwise(AREAS):
        ends = (junction(here, 1, SIDE - 1), junction(there, 1, 0))
        found.append(RoadPiece(road_id=f"{here}-{there}", points=ends, area_id=here))
    return found


def roads_of(area_id: str) -> list[str]:
    """Give the roads of an area."""
    return [f"{area_id}-{way}{line}" for way in "rc" for line in range(SIDE)]


def somewhere(chance: Random, area_id: str) -> LonLat:
    """Give a place in an area, on a street or near one."""
    west = AREAS.index(area_id) * SIDE
    reach = SIDE - 1
    along, line = chance.random() * reach, chance.randrange(SIDE)
    column, row = (along, line) if chance.random() < ACROSS_SHARE else (line, along)
    off_m = chance.gauss(0, 10)
    lon, lat = _CENTRE.to_deg((west + column) * BLOCK_M + off_m, row * BLOCK_M - off_m)
    return round(lon, 7), round(lat, 7)


def towards(here: LonLat, there: LonLat, by_m: float) -> LonLat:
    """Give the place ``by_m`` nearer to another, in a straight line."""
    (x, y), (to_x, to_y) = _CENTRE.to_m(*here), _CENTRE.to_m(*there)
    far_m = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
    if far_m <= by_m:
        return there
    share = by_m / far_m
    lon, lat = _CENTRE.to_deg(x + (to_x - x) * share, y + (to_y - y) * share)
    return round(lon, 7), round(lat, 7)


ALWAYS: Final = [{"start": "2030-01-01T00:00:00Z", "end": "2031-01-01T00:00:00Z"}]
RANKS: Final = ("squad_leader", "member", "member", "squadron_leader", "member")


def roster(chance: Random, members_per_area: int) -> list[Entry]:
    """Draw the members; the first of each area leads its squad."""
    return [
        member(chance, area_id, number) for area_id in AREAS for number in range(members_per_area)
    ]


def member(chance: Random, area_id: str, number: int) -> Entry:
    """Draw one member of an area."""
    lon, lat = somewhere(chance, area_id)
    owned = chance.sample(roads_of(area_id), 2)
    return {
        "member_id": f"{area_id}-{number}",
        "area_id": area_id,
        "name": f"Invented {number}",
        "team": "red" if number % 2 == 0 else "blue",
        "unit": "1/1",
        "rank": RANKS[number % len(RANKS)],
        "travel_mode": chance.choice(("ebike", "ebike", "walk", "car")),
        "roads": [{"road_id": each, "role": chance.choice(("owner", "team"))} for each in owned],
        "shifts": ALWAYS,
        "device_ids": [f"device-{area_id}-{number}"],
        **({"post": {"lon": lon, "lat": lat}} if chance.random() < POST_SHARE else {}),
    }


def as_json(value: Mapping[str, Any]) -> bytes:
    """Give a record's value."""
    return json.dumps(value, ensure_ascii=False).encode()


def shift(from_ms: int, to_ms: int) -> list[dict[str, str]]:
    """Give the shifts of somebody who is on duty between two moments."""
    return [{"start": rfc3339(from_ms), "end": rfc3339(to_ms)}]
