"""A roads file read by somebody else: plain Dijkstra over it, by the contract's own words.

«`eta_s` is travel only: length over the lower of road and mode speed (e-bike 20 km/h; on foot
5 km/h, one-ways not heeded).» Nothing of the project is imported.
"""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
from shapely import STRtree
from shapely.geometry import LineString, Point

SPEED_KMH = {"ebike": 20.0, "walk": 5.0}

NOT_FOR_EBIKES = {
    *("motorway", "motorway_link", "trunk", "trunk_link", "steps", "busway", "bridleway"),
    *("corridor", "platform"),
}
NOT_ON_FOOT = {"motorway", "motorway_link", "trunk", "trunk_link"}

EARTH_RADIUS_M = 6_371_008.8

PIECE_M_MIN, CLEAR_DEGREES = 40.0, 0.0002
"""A spot lies in the middle of a piece so long, and no other piece is nearer than about 20 m, so
that there can be no two opinions on which road it lies."""


SPOTS_LOOKED_AT = 400
"""Enough to find one at nearly any distance."""


class Spot(NamedTuple):
    """A place in the middle of a piece of road."""

    piece: int
    lon: float
    lat: float
    road_id: str


@dataclass(frozen=True)
class City:
    """One roads file."""

    name: str
    path: Path

    @cached_property
    def features(self) -> list[Mapping[str, Any]]:
        """The pieces of road."""
        found: list[Mapping[str, Any]] = json.loads(self.path.read_bytes())["features"]
        return found

    @cached_property
    def lengths_m(self) -> list[float]:
        """The length of every piece, along great circles."""
        return [
            sum(_distance_m(a, b) for a, b in pairwise(points))
            for points in (f["geometry"]["coordinates"] for f in self.features)
        ]

    @cached_property
    def graphs(self) -> dict[str, nx.DiGraph]:
        """For each mode, the times from place to place."""
        return {mode: self._graph(mode) for mode in SPEED_KMH}

    def _graph(self, mode: str) -> nx.DiGraph:
        graph = nx.DiGraph()
        for piece, feature in enumerate(self.features):
            time_s = self._time_s(piece, mode)
            if time_s is None:
                continue
            first, last = _ends(feature)
            forth, back = _directions(feature, mode)
            for a, b, may in ((first, last, forth), (last, first, back)):
                if may and time_s < graph.get_edge_data(a, b, {"s": math.inf})["s"]:
                    graph.add_edge(a, b, s=time_s)
        return graph

    def _time_s(self, piece: int, mode: str) -> float | None:
        """Seconds along a piece; None where the mode may not go there."""
        properties = self.features[piece]["properties"]
        barred = NOT_FOR_EBIKES if mode == "ebike" else NOT_ON_FOOT
        modes = properties.get("modes")
        if modes is not None and mode not in modes:
            return None
        shut = properties.get("access") in {"no", "private"} or properties["highway"] in barred
        if modes is None and shut:
            return None
        kmh = min(SPEED_KMH[mode], properties.get("maxspeed_kmh") or math.inf)
        return self.lengths_m[piece] / (kmh / 3.6)

    @cached_property
    def spots(self) -> list[Spot]:
        """Places to put people and alerts, all of which reach one another by e-bike."""
        lines = [LineString(f["geometry"]["coordinates"]) for f in self.features]
        tree = STRtree(lines)
        core = max(nx.strongly_connected_components(self.graphs["ebike"]), key=len)
        found = []
        for piece, line in enumerate(lines):
            if self.lengths_m[piece] < PIECE_M_MIN or self._time_s(piece, "ebike") is None:
                continue
            middle = line.interpolate(0.5, normalized=True)
            alone = len(tree.query(Point(middle).buffer(CLEAR_DEGREES), predicate="intersects"))
            if alone == 1 and set(_ends(self.features[piece])) <= core:
                road_id = self.features[piece]["properties"]["road_id"]
                found.append(Spot(piece, middle.x, middle.y, road_id))
        return found

    def travel_s(self, start: Spot, goal: Spot, mode: str = "ebike") -> float:
        """Seconds from one spot to another."""
        return self.all_travel_s(goal, [start], mode)[0]

    def all_travel_s(self, goal: Spot, starts: list[Spot], mode: str = "ebike") -> list[float]:
        """Seconds from each of some spots to another."""
        graph = self.graphs[mode].copy()
        for spot in {goal, *starts}:
            self._cut_in(graph, spot, mode)
        times: Mapping[object, float] = nx.single_source_dijkstra_path_length(
            graph.reverse(copy=False), goal, weight="s"
        )
        return [times.get(start, math.inf) for start in starts]

    def _cut_in(self, graph: nx.DiGraph, spot: Spot, mode: str) -> None:
        """Join a spot to both ends of its piece, as the directions allow."""
        feature = self.features[spot.piece]
        first, last = _ends(feature)
        time_s = self._time_s(spot.piece, mode)
        if time_s is None:
            return
        # The middle by degrees is not quite the middle by metres.
        points = feature["geometry"]["coordinates"]
        share = _share(points, spot)
        forth, back = _directions(feature, mode)
        if forth:
            graph.add_edge(first, spot, s=share * time_s)
            graph.add_edge(spot, last, s=(1 - share) * time_s)
        if back:
            graph.add_edge(last, spot, s=(1 - share) * time_s)
            graph.add_edge(spot, first, s=share * time_s)

    def around(
        self, chance: random.Random, at_s: list[float], slack: float = 0.25
    ) -> tuple[Spot, list[Spot]]:
        """Choose a scene, and spots from which one needs about so long to it (± ``slack``)."""
        while True:
            scene = chance.choice(self.spots)
            others = [s for s in self.spots if s.road_id != scene.road_id]
            others = chance.sample(others, min(SPOTS_LOOKED_AT, len(others)))
            times = dict(zip(others, self.all_travel_s(scene, others), strict=True))
            found = []
            for wanted_s in at_s:
                near = [
                    s
                    for s in others
                    if s not in found and abs(times[s] - wanted_s) <= slack * wanted_s
                ]
                if not near:
                    break
                found.append(chance.choice(near))
            else:
                return scene, found


def _directions(feature: Mapping[str, Any], mode: str) -> tuple[bool, bool]:
    if mode == "walk":
        return True, True
    properties = feature["properties"]
    oneway = properties.get("oneway_bicycle") or properties.get("oneway", "no")
    return oneway != "-1", oneway != "yes"


def _ends(feature: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    points = feature["geometry"]["coordinates"]
    return tuple(points[0]), tuple(points[-1])


def _distance_m(a: list[float], b: list[float]) -> float:
    """Great-circle distance, by haversines."""
    lon1, lat1, lon2, lat2 = map(math.radians, (*a[:2], *b[:2]))
    h = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(h))


def _share(points: list[list[float]], spot: Spot) -> float:
    """How far along a piece a spot lies, as a share of its metres."""
    line = LineString(points)
    at = line.project(Point(spot.lon, spot.lat))
    before, walked = 0.0, 0.0
    for a, b in pairwise(points):
        degrees = math.hypot(b[0] - a[0], b[1] - a[1])
        if walked + degrees >= at:
            before += _distance_m(a, b) * ((at - walked) / degrees if degrees else 0.0)
            break
        walked += degrees
        before += _distance_m(a, b)
    return before / sum(_distance_m(a, b) for a, b in pairwise(points))
