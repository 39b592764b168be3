"""Where the benchmarks put people and alerts: on the roads of a roads file, by chance."""

import json
import random
from pathlib import Path
from typing import Any

from xiaohe.topics import Topics
from xiaohe.wire.murmur2 import partition_of

Point = tuple[float, float]


def road_points(roads: Path) -> list[Point]:
    """Give the (lon, lat) of every vertex of the streets of a roads file, in its order."""
    features: list[dict[str, Any]] = json.loads(roads.read_bytes())["features"]
    return [
        (point[0], point[1])
        for feature in features
        if not str(feature["properties"].get("highway", "")).startswith(("motorway", "trunk"))
        for point in feature["geometry"]["coordinates"]
    ]


def area_of_each(topics: Topics) -> dict[int, str]:
    """Give an area for each partition."""
    found: dict[int, str] = {}
    n = 0
    while len(found) < topics.area_partitions:
        area_id = f"bench-{n}"
        found.setdefault(partition_of(area_id.encode(), topics.area_partitions), area_id)
        n += 1
    return found


def roster(area_id: str, members: int, points: list[Point], chance: random.Random) -> list[Any]:
    """Make invented members of one area, on duty round the clock, each with a post on a road."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    always = [{"days": days, "start": "00:00", "end": "00:00", "timezone": "UTC"}]
    entries = []
    for n in range(members):
        lon, lat = chance.choice(points)
        entries.append(
            {
                "member_id": f"b{n:05}",
                "area_id": area_id,
                "name": f"Invented {n}",
                "team": f"squad-{n % 8}",
                "shifts": always,
                "post": {"lon": lon, "lat": lat},
            }
        )
    return entries
