"""Makes roads meet: splits ways at their crossings and junctions.

A way is split where it crosses another on its own level, where another one ends on it, and at
every vertex that it shares with another. Ways on different layers, and bridges, pass over each
other and are left whole, unless they share a vertex: who drew one meant a junction. A loose end
lands on whatever it reaches, for no bridge ends in the air. Pieces keep their way's road_id and
every other property. A way that crosses itself without a vertex is left whole there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import hypot
from typing import Final

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from xiaohe.geo.components import weak_components
from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import COORDINATE_DECIMALS, LonLat, RoadPiece

NODING_TOLERANCE_M: Final = 0.5
"""An end this near to another way is meant to touch it: drawing is no more exact than this."""

ROUNDS_MAX: Final = 8
"""Putting a junction into a way bends it by up to the tolerance, which may make it touch another:
then noding goes round again. Two rounds are usual, the second one to see that nothing is left."""

_Cuts = dict[int, dict[LonLat, None]]
"""By way: the places to cut it at, in the order found."""


def node_roads(pieces: Iterable[RoadPiece]) -> tuple[RoadPiece, ...]:
    """Return the pieces split so that roads which meet share an end vertex.

    Noding a noded file changes nothing. Pieces of no length are left out.
    """
    ways = tuple(replace(piece, points=_rounded(piece.points)) for piece in pieces)
    ways = tuple(way for way in ways if len(set(way.points)) > 1)
    for _ in range(ROUNDS_MAX):
        noded = _noded_once(ways) if ways else ()
        if noded == ways:
            break
        ways = noded
    return ways


def _noded_once(given: tuple[RoadPiece, ...]) -> tuple[RoadPiece, ...]:
    ways = _joined_ends(list(given))
    plane = Plane(ways)
    cuts = _cuts(plane)
    bent = [_with_points(way, cuts.get(i, {}), plane) for i, way in enumerate(ways)]
    return tuple(_split(bent))


class Plane:
    """The ways as lines in metres, with an index to find those that touch."""

    def __init__(self, ways: list[RoadPiece]) -> None:
        """Project the ways on a plane at their middle."""
        self.ways = ways
        self.projection = _projection([point for way in ways for point in way.points])
        drawn = np.array([shapely.LineString(way.points) for way in ways])
        self.lines = geopandas.GeoSeries(shapely.transform(drawn, self.projection.many_to_m))
        self._levels = [(way.layer, way.bridge) for way in ways]

    def line(self, way: int) -> shapely.LineString:
        """Return one way on the plane."""
        return self.lines.iat[way]

    def same_level(self, a: int, b: int) -> bool:
        """Say whether two ways meet where they cross: one layer, and neither is a bridge."""
        (layer_a, bridge_a), (layer_b, bridge_b) = self._levels[a], self._levels[b]
        return layer_a == layer_b and not bridge_a and not bridge_b

    def touching(self) -> Iterator[tuple[int, int]]:
        """Yield each pair of ways on one level that have a point in common, once."""
        first, second = self.lines.sindex.query(self.lines, predicate="intersects")
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            if a < b and self.same_level(a, b):
                yield a, b

    def ends_on(self) -> Iterator[tuple[LonLat, int, int]]:
        """Yield (end, its way, other way) where a way ends on or short of another's middle.

        That is within ``NODING_TOLERANCE_M`` of it, whatever its level, and with an end that
        nothing else shares.
        """
        uses = Counter(point for way in self.ways for point in way.points)
        loose = {
            end: i
            for i, way in enumerate(self.ways)
            for end in (way.points[0], way.points[-1])
            if uses[end] == 1
        }
        ends = sorted(loose)
        for number, other in self.near(ends, NODING_TOLERANCE_M):
            end = ends[number]
            if other != loose[end] and not self._has_vertex_near(other, end):
                yield end, loose[end], other

    def _has_vertex_near(self, way: int, point: LonLat) -> bool:
        return any(
            self.apart_m(vertex, point) <= NODING_TOLERANCE_M for vertex in self.ways[way].points
        )

    def apart_m(self, a: LonLat, b: LonLat) -> float:
        """Return the distance between two places."""
        scale = self.projection.scale
        return hypot((a[0] - b[0]) * scale.east_m, (a[1] - b[1]) * scale.north_m)

    def near(self, points: list[LonLat], reach_m: float) -> Iterator[tuple[int, int]]:
        """Yield (number of the point, way) for every way within ``reach_m`` of a point."""
        if not points:
            return
        on_plane = shapely.points(self.projection.many_to_m(np.array(points)))
        found = self.lines.sindex.query(on_plane, predicate="dwithin", distance=reach_m)
        yield from zip(found[0].tolist(), found[1].tolist(), strict=True)

    def contacts(self, a: int, b: int) -> list[LonLat]:
        """Return where two ways touch: points, and the ends of stretches they share."""
        shared = shapely.intersection(self.line(a), self.line(b))
        ends: list[NDArray[np.float64]] = []
        for part in shapely.get_parts(shared):
            xy = shapely.get_coordinates(part)
            ends += [xy[0], xy[-1]] if len(xy) > 1 else [xy[0]]
        places = (self.projection.to_deg(float(x), float(y)) for x, y in ends)
        return list(dict.fromkeys(_rounded(places)))


def _projection(points: list[LonLat]) -> Projection:
    """Return a projection at the middle of the points' bounding box."""
    corners = np.array(points)
    lon0, lat0 = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return Projection(float(lon0), float(lat0))


def _rounded(points: Iterable[LonLat]) -> tuple[LonLat, ...]:
    return tuple(
        (round(lon, COORDINATE_DECIMALS), round(lat, COORDINATE_DECIMALS)) for lon, lat in points
    )


def _joined_ends(ways: list[RoadPiece]) -> list[RoadPiece]:
    """Move ends that all but meet to one vertex: that of a way passing through, if there is one."""
    ends = sorted({end for way in ways for end in (way.points[0], way.points[-1])})
    vertices = sorted({point for way in ways for point in way.points})
    number = {point: i for i, point in enumerate(vertices)}
    levels = _levels(ways)
    uses = Counter(point for way in ways for point in way.points)
    loose = {end for end in ends if uses[end] == 1}
    projection = _projection(vertices)
    tree = shapely.STRtree(shapely.points(projection.many_to_m(np.array(vertices))))
    on_plane = shapely.points(projection.many_to_m(np.array(ends)))
    found = tree.query(on_plane, predicate="dwithin", distance=NODING_TOLERANCE_M)
    links = [
        (number[ends[end]], vertex)
        for end, vertex in zip(*found.tolist(), strict=True)
        if ends[end] in loose or levels[ends[end]] & levels[vertices[vertex]]
    ]
    cluster_of = weak_components(len(vertices), links)
    clusters: dict[int, list[LonLat]] = defaultdict(list)
    for i, point in enumerate(vertices):
        clusters[cluster_of[i]].append(point)
    is_end = set(ends)
    moved = {
        point: min(cluster, key=lambda at: (at in is_end, at))
        for cluster in clusters.values()
        if len(cluster) > 1
        for point in cluster
    }
    if not moved:
        return ways
    ways = [replace(way, points=_moved(way.points, moved)) for way in ways]
    return [way for way in ways if len(set(way.points)) > 1]


def _levels(ways: list[RoadPiece]) -> dict[LonLat, set[object]]:
    """Return by vertex the levels it is on; a bridge's are its own, so that it joins nothing."""
    levels: dict[LonLat, set[object]] = defaultdict(set)
    for i, way in enumerate(ways):
        for point in way.points:
            levels[point].add((way.layer, i) if way.bridge else way.layer)
    return levels


def _moved(points: tuple[LonLat, ...], moved: dict[LonLat, LonLat]) -> tuple[LonLat, ...]:
    """Move a way's vertices, leaving out those that come to lie on the one before."""
    placed: list[LonLat] = []
    for point in points:
        there = moved.get(point, point)
        if not placed or placed[-1] != there:
            placed.append(there)
    return tuple(placed) if len(placed) > 1 else (points[0], points[0])


def _cuts(plane: Plane) -> _Cuts:
    """Find the places where each way is to be cut that are no vertices of it yet."""
    ways = plane.ways
    cuts: _Cuts = defaultdict(dict)
    for end, _, other in plane.ends_on():
        cuts[other][end] = None
    for a, b in plane.touching():
        for contact in plane.contacts(a, b):
            at = _vertex_near((ways[a], ways[b]), contact, plane, cuts[a], cuts[b])
            for way in (a, b):
                if at not in ways[way].points:
                    cuts[way][at] = None
    return cuts


def _vertex_near(
    ways: tuple[RoadPiece, RoadPiece], point: LonLat, plane: Plane, *more: dict[LonLat, None]
) -> LonLat:
    """Return the vertex or cut nearest to a crossing, or the crossing where none is near."""
    known = dict.fromkeys(vertex for way in ways for vertex in way.points)
    for cuts in more:
        known |= cuts
    distances = ((plane.apart_m(vertex, point), vertex) for vertex in known)
    near = [found for found in distances if found[0] <= NODING_TOLERANCE_M]
    return min(near)[1] if near else point


def _with_points(way: RoadPiece, cuts: dict[LonLat, None], plane: Plane) -> RoadPiece:
    """Put the cuts among the way's vertices, each where it is nearest to the way."""
    if not cuts:
        return way
    line = shapely.LineString(plane.projection.many_to_m(np.array(way.points)))
    steps_m = np.hypot(*np.diff(shapely.get_coordinates(line), axis=0).T)
    placed = list(
        zip(np.concatenate(([0.0], np.cumsum(steps_m))).tolist(), way.points, strict=True)
    )
    for cut in cuts:
        there = shapely.Point(plane.projection.to_m(*cut))
        placed.append((float(shapely.line_locate_point(line, there)), cut))
    placed.sort(key=lambda at: at[0])
    points = [point for _, point in placed]
    kept = [b for a, b in zip([None, *points], points, strict=False) if a != b]
    return replace(way, points=tuple(kept))


def _split(ways: list[RoadPiece]) -> Iterator[RoadPiece]:
    """Split every way at the vertices that occur more than once."""
    uses: dict[LonLat, int] = defaultdict(int)
    for way in ways:
        ring = way.points[0] == way.points[-1]
        for point in way.points[1:] if ring else way.points:
            uses[point] += 1
    for way in ways:
        start = 0
        for at in range(1, len(way.points)):
            if at == len(way.points) - 1 or uses[way.points[at]] > 1:
                points = way.points[start : at + 1]
                if len(set(points)) > 1:
                    yield replace(way, points=points)
                start = at
