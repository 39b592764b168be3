"""Where a soak takes place: invented areas on the shipped map, one a partition, and people."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson
import yaml

from xiaohe.places import ROADS
from xiaohe.sim.streets import Streets
from xiaohe.wire.murmur2 import partition_of

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ALWAYS: Final = [{"days": DAYS, "start": "00:00", "end": "00:00", "timezone": "UTC"}]
"""On duty round the clock: an hour's load must not hang on the hour."""

SQUAD_MEMBERS: Final = 12

RANKS: Final = ("brigade_leader", "squadron_leader", "squad_leader")
"""The first members of an area; all others have no rank."""

MODES: Final = ("ebike", "ebike", "ebike", "ebike", "ebike", "ebike", "ebike", "walk", "car")
"""About as in the brigade that is shipped."""

OWNED_ROADS: Final = 2


def area_ids(partitions: int) -> tuple[str, ...]:
    """Give an area for every partition, so that every lane has its share."""
    return tuple(
        next(
            name
            for k in itertools.count()
            if partition_of((name := f"soak-{n:02}-{k}").encode(), partitions) == n
        )
        for n in range(partitions)
    )


def policy_of(areas: Sequence[str]) -> bytes:
    """Give a policy that knows the areas; each helps the one before it."""
    neighbours = (*areas[1:], areas[0])
    listed = [
        {"area_id": area, "name": f"Invented {area}", "timezone": "UTC", "neighbours": [other]}
        for area, other in zip(areas, neighbours, strict=True)
    ]
    return yaml.safe_dump({"areas": listed}, allow_unicode=True).encode()


def roster_of(
    areas: Sequence[str], members: int, streets: Streets, chance: Random
) -> list[dict[str, Any]]:
    """Make about so many invented members, the same number in every area."""
    return [
        _entry(area, n, streets, chance)
        for area in areas
        for n in range(max(1, round(members / len(areas))))
    ]


def _entry(area: str, n: int, streets: Streets, chance: Random) -> dict[str, Any]:
    roads = chance.sample(streets.road_ids, min(OWNED_ROADS, len(streets.road_ids)))
    lon, lat = streets.somewhere(chance, roads)
    return {
        "member_id": f"{area}-m{n:03}",
        "area_id": area,
        "name": f"Invented {n}",
        "team": f"{area}-squad-{n // SQUAD_MEMBERS}",
        "rank": RANKS[n] if n < len(RANKS) else "member",
        "travel_mode": chance.choice(MODES),
        "roads": [{"road_id": road_id, "role": "owner"} for road_id in roads],
        "shifts": ALWAYS,
        "post": {"lon": round(lon, 6), "lat": round(lat, 6)},
        "device_ids": [f"{area}-d{n:03}"],
    }


def map_version(number: int) -> bytes:
    """Give the shipped map with a mark of its own: another version of the same streets."""
    roads = orjson.loads(ROADS.read_bytes())
    roads["features"][0]["properties"]["name"] += f" {number}"
    return orjson.dumps(roads)


def landmarks_of(roads: Path = ROADS) -> Path:
    """Give the places file that lies beside a roads file."""
    return roads.with_name("places.geojson")
