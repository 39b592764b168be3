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
from math import floor, hypot
from typing import Final

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from xiaohe.geo.components import weak_components
from xiaohe.geo.progress import Watch, unwatched
from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import COORDINATE_DECIMALS, LonLat, RoadPiece

NODING_TOLERANCE_M: Final = 0.5
"""An end this near to another way is meant to touch it: drawing is no more exact than this."""

ROUNDS_MAX: Final = 8
"""Putting a junction into a way bends it by up to the tolerance, which may make it touch another:
then noding goes round again. Two rounds are usual, the second one to see that nothing is left."""

WATCH_EVERY: Final = 2000
"""Pairs of ways between two words on how far noding is: some tenths of a second."""


def node_roads(pieces: Iterable[RoadPiece], watch: Watch = unwatched) -> tuple[RoadPiece, ...]:
    """Return the pieces split so that roads which meet share an end vertex.

    Noding a noded file changes nothing. Pieces of no length are left out.
    """
    ways = tuple(replace(piece, points=_rounded(piece.points)) for piece in pieces)
    ways = tuple(way for way in ways if len(set(way.points)) > 1)
    for number in range(1, ROUNDS_MAX + 1):
        noded = _noded_once(ways, watch, number) if ways else ()
        if noded == ways:
            break
        ways = noded
    return ways


def _noded_once(given: tuple[RoadPiece, ...], watch: Watch, number: int) -> tuple[RoadPiece, ...]:
    ways = _joined_ends(list(given))
    plane = Plane(ways)
    cuts = _cuts(plane, watch, f"noding, round {number}")
    bent = [
        _with_points(way, cuts[i].points, plane) if i in cuts else way for i, way in enumerate(ways)
    ]
    return tuple(_split(bent))


class _Places:
    """Places on a plane, in the order added, in a raster as fine as the tolerance.

    A road of a whole city has thousands of vertices and as many crossings: looking through all of
    the one for each of the other would take the square of their number.
    """

    def __init__(self, projection: Projection, points: Iterable[LonLat] = ()) -> None:
        """Begin with some places."""
        self.points: dict[LonLat, None] = {}
        self._scale = projection.scale
        self._cells: dict[tuple[int, int], list[LonLat]] = defaultdict(list)
        for point in points:
            self.add(point)

    def add(self, point: LonLat) -> None:
        """Add a place, unless it is there."""
        if point not in self.points:
            self.points[point] = None
            self._cells[self._cell(point)].append(point)

    def near(self, point: LonLat) -> Iterator[tuple[float, LonLat]]:
        """Yield (metres away, place) for those within ``NODING_TOLERANCE_M``."""
        column, row = self._cell(point)
        for x in (column - 1, column, column + 1):
            for y in (row - 1, row, row + 1):
                for place in self._cells.get((x, y), ()):
                    away_m = self._apart_m(place, point)
                    if away_m <= NODING_TOLERANCE_M:
                        yield away_m, place

    def _cell(self, point: LonLat) -> tuple[int, int]:
        lon, lat = point
        return (
            floor(lon * self._scale.east_m / NODING_TOLERANCE_M),
            floor(lat * self._scale.north_m / NODING_TOLERANCE_M),
        )

    def _apart_m(self, a: LonLat, b: LonLat) -> float:
        return hypot((a[0] - b[0]) * self._scale.east_m, (a[1] - b[1]) * self._scale.north_m)


class Plane:
    """The ways as lines in metres, with an index to find those that touch."""

    def __init__(self, ways: list[RoadPiece]) -> None:
        """Project the ways on a plane at their middle."""
        self.ways = ways
        self.projection = _projection([point for way in ways for point in way.points])
        drawn = np.array([shapely.LineString(way.points) for way in ways])
        self.lines = geopandas.GeoSeries(shapely.transform(drawn, self.projection.many_to_m))
        self._levels = [(way.layer, way.bridge) for way in ways]
        self._vertices: dict[int, _Places] = {}

    def line(self, way: int) -> shapely.LineString:
        """Return one way on the plane."""
        return self.lines.iat[way]

    def ends(self, way: int) -> tuple[LonLat, LonLat]:
        """Return one way's two ends."""
        points = self.ways[way].points
        return points[0], points[-1]

    def vertices(self, way: int) -> _Places:
        """Return one way's vertices, to look for those near a place."""
        found = self._vertices.get(way)
        if found is None:
            found = self._vertices[way] = _Places(self.projection, self.ways[way].points)
        return found

    def same_level(self, a: int, b: int) -> bool:
        """Say whether two ways meet where they cross: one layer, and neither is a bridge."""
        (layer_a, bridge_a), (layer_b, bridge_b) = self._levels[a], self._levels[b]
        return layer_a == layer_b and not bridge_a and not bridge_b

    def touching(self, *, on_any_level: bool = False) -> NDArray[np.int64]:
        """Return each pair of ways on one level that have a point in common, once: (pairs, 2)."""
        found = self.lines.sindex.query(self.lines, predicate="intersects")
        pairs: list[tuple[int, int]] = [
            (a, b)
            for a, b in zip(*found.tolist(), strict=True)
            if a < b and (on_any_level or self.same_level(a, b))
        ]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def meetings(self, pairs: NDArray[np.int64]) -> Iterator[tuple[int, int, LonLat]]:
        """Yield where two ways touch: points, and the ends of stretches that they share."""
        if not len(pairs):
            return
        lines = self.lines.to_numpy()
        shared = shapely.intersection(lines[pairs[:, 0]], lines[pairs[:, 1]])
        parts, pair_of = shapely.get_parts(shared, return_index=True)
        xy, part_of = shapely.get_coordinates(parts, return_index=True)
        _, first = np.unique(part_of, return_index=True)
        last = np.append(first[1:], len(xy)) - 1
        at = np.unique(np.concatenate([first, last]))
        places = self.projection.many_to_deg(xy[at]).tolist()
        seen: set[tuple[int, LonLat]] = set()
        for pair, place in zip(pair_of[part_of[at]].tolist(), _rounded(places), strict=True):
            if (pair, place) not in seen:
                seen.add((pair, place))
                a, b = pairs[pair].tolist()
                yield a, b, place

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
            if other != loose[end] and not any(self.vertices(other).near(end)):
                yield end, loose[end], other

    def near(self, points: list[LonLat], reach_m: float) -> Iterator[tuple[int, int]]:
        """Yield (number of the point, way) for every way within ``reach_m`` of a point."""
        if not points:
            return
        on_plane = shapely.points(self.projection.many_to_m(np.array(points)))
        found = self.lines.sindex.query(on_plane, predicate="dwithin", distance=reach_m)
        yield from zip(found[0].tolist(), found[1].tolist(), strict=True)


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


def _cuts(plane: Plane, watch: Watch, stage: str) -> dict[int, _Places]:
    """Find by way the places where it is to be cut that are no vertices of it yet."""
    cuts: dict[int, _Places] = defaultdict(lambda: _Places(plane.projection))
    for end, _, other in plane.ends_on():
        cuts[other].add(end)
    pairs = plane.touching()
    for done in range(0, len(pairs), WATCH_EVERY):
        watch(stage, done, len(pairs))
        for a, b, contact in plane.meetings(pairs[done : done + WATCH_EVERY]):
            if contact in plane.ends(a) and contact in plane.ends(b):
                continue
            known = [plane.vertices(a), plane.vertices(b), cuts.get(a), cuts.get(b)]
            near = (found for places in known if places for found in places.near(contact))
            at = min(near, default=(0.0, contact))[1]
            for way in (a, b):
                if at not in plane.vertices(way).points:
                    cuts[way].add(at)
    return cuts


def _with_points(way: RoadPiece, cuts: dict[LonLat, None], plane: Plane) -> RoadPiece:
    """Put the cuts among the way's vertices, each where it is nearest to the way."""
    line = shapely.LineString(plane.projection.many_to_m(np.array(way.points)))
    steps_m = np.hypot(*np.diff(shapely.get_coordinates(line), axis=0).T)
    placed = list(
        zip(np.concatenate(([0.0], np.cumsum(steps_m))).tolist(), way.points, strict=True)
    )
    on_plane = shapely.points(plane.projection.many_to_m(np.array(list(cuts))))
    placed += zip(shapely.line_locate_point(line, on_plane).tolist(), cuts, strict=True)
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
