"""The shapes of a network's edges, in degrees and on the plane, and the index to find one by.

``Spot`` is the engine's way to say where on the road something is. Shares of an edge are by
length, 0 at the first point of the piece and 1 at the last.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from xiaohe.geo.grid import SHARE_ROUNDING, Grid
from xiaohe.geo.kernels import COMPILED, inlined
from xiaohe.geo.projection import Projection, ground_distances_m
from xiaohe.geo.roads import LonLat, RoadPiece


class Spot(NamedTuple):
    """A place on the road: a share ``frac`` (by length, 0 at u, 1 at v) of an edge."""

    edge: int
    frac: float


class Nearest(NamedTuple):
    """The nearest place on an edge, and how far it is."""

    edge: int
    frac: float
    distance_m: float


@dataclass(frozen=True, eq=False)
class EdgeShapes:
    """All edges' points one after another; edge e has those from ``start[e]`` to ``start[e+1]``.

    ``degrees`` and ``metres`` are (n, 2); ``along_m`` (n,) is the length on the plane from the
    edge's first point, ``length_m`` (edges,) the edge's length on the ground.
    """

    projection: Projection
    start: NDArray[np.int64]
    degrees: NDArray[np.float64]
    metres: NDArray[np.float64]
    along_m: NDArray[np.float64]
    length_m: NDArray[np.float64]

    @classmethod
    def of(cls, pieces: tuple[RoadPiece, ...], projection: Projection) -> "EdgeShapes":
        """Lay out the shapes of ``pieces``, which become edges 0, 1, 2 …"""
        counts = np.fromiter((len(piece.points) for piece in pieces), np.int64, len(pieces))
        start = np.concatenate(([0], np.cumsum(counts)))
        flat = [point for piece in pieces for point in piece.points]
        degrees = np.array(flat, dtype=np.float64).reshape(-1, 2)
        metres = projection.many_to_m(degrees)
        plane_m = np.hypot(*np.diff(metres, axis=0).T)
        ground_m = ground_distances_m(*degrees[:-1].T, *degrees[1:].T)
        ground_m[start[1:-1] - 1] = 0.0  # from one edge's last point to the next one's first
        plane_sum = np.concatenate(([0.0], np.cumsum(plane_m)))
        along_m = plane_sum - np.repeat(plane_sum[start[:-1]], counts)
        length_m = np.add.reduceat(np.append(ground_m, 0.0), start[:-1])
        shapes = cls(projection, start, degrees, metres, along_m, length_m)
        for array in (start, degrees, metres, along_m, length_m):
            array.flags.writeable = False
        return shapes

    def lines(self) -> NDArray[np.object_]:
        """Return every edge as a shapely line on the plane."""
        return self._lines

    @cached_property
    def _lines(self) -> NDArray[np.object_]:
        owner = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        lines: NDArray[np.object_] = shapely.linestrings(self.metres, indices=owner)
        return lines

    def point_at(self, spot: Spot) -> LonLat:
        """Return the (lon, lat) of a spot."""
        return interpolate(self.start, self.degrees, self.along_m, spot.edge, spot.frac)

    def between(self, edge: int, from_frac: float, to_frac: float) -> list[LonLat]:
        """Return the points from one share of an edge to another, in the order of travel."""
        low, high = min(from_frac, to_frac), max(from_frac, to_frac)
        first, last = int(self.start[edge]), int(self.start[edge + 1]) - 1
        total_m = float(self.along_m[last])
        low_m, high_m = low * total_m, high * total_m
        inner = [
            (float(self.degrees[i, 0]), float(self.degrees[i, 1]))
            for i in range(first, last + 1)
            if low_m < self.along_m[i] < high_m
        ]
        points = [
            self._interpolate(first, last, low_m),
            *inner,
            self._interpolate(first, last, high_m),
        ]
        return points if from_frac <= to_frac else points[::-1]

    def _interpolate(self, first: int, last: int, along_m: float) -> LonLat:
        i = bisect_right(self.along_m, along_m, first, last + 1) - 1
        i = min(max(i, first), last - 1)
        step_m = float(self.along_m[i + 1] - self.along_m[i])
        share = min(max((along_m - float(self.along_m[i])) / step_m, 0.0), 1.0) if step_m else 0.0
        (lon1, lat1), (lon2, lat2) = self.degrees[i].tolist(), self.degrees[i + 1].tolist()
        if share == 1.0:
            return lon2, lat2
        return lon1 + share * (lon2 - lon1), lat1 + share * (lat2 - lat1)


@inlined
def interpolate(
    start: NDArray[np.int64],
    degrees: NDArray[np.float64],
    along_m: NDArray[np.float64],
    edge: int,
    frac: float,
) -> tuple[float, float]:
    """Return the (lon, lat) of a spot: between the two points of the edge around it."""
    first, last = start[edge], start[edge + 1] - 1
    at_m = frac * along_m[last]
    i = first
    while i < last - 1 and along_m[i + 1] <= at_m:
        i += 1
    step_m = along_m[i + 1] - along_m[i]
    share = min(max((at_m - along_m[i]) / step_m, 0.0), 1.0) if step_m > 0.0 else 0.0
    if share == 1.0:
        return degrees[i + 1, 0], degrees[i + 1, 1]
    lon = degrees[i, 0] + share * (degrees[i + 1, 0] - degrees[i, 0])
    return lon, degrees[i, 1] + share * (degrees[i + 1, 1] - degrees[i, 1])


class EdgeIndex:
    """Finds the nearest of some edges, exactly: by the grid where kernels are compiled, else the
    tree. The answers are the same; tests take ``grid`` and ``tree`` each by itself.
    """

    def __init__(self, shapes: EdgeShapes, usable: NDArray[np.bool_], grid: Grid, bit: int) -> None:
        """Index the ``usable`` edges, which are those with ``bit`` in ``grid``."""
        self.grid = grid
        self._bit = bit
        self._shapes = shapes
        self._usable = usable

    def __len__(self) -> int:
        """Return the number of edges indexed."""
        return int(self._usable.sum())

    @cached_property
    def tree(self) -> "EdgeTree":
        """The twin that needs no compiler; built when it is first asked."""
        return EdgeTree(self._shapes.lines(), np.flatnonzero(self._usable))

    def nearest(self, x: float, y: float, max_m: float) -> Nearest | None:
        """Return the edge nearest to (x, y) within ``max_m``; of equals the lowest number."""
        if not COMPILED:
            return self.tree.nearest(x, y, max_m)
        edge, frac, distance_m = self.grid.nearest(x, y, max_m, self._bit)
        return None if edge < 0 else Nearest(edge, frac, distance_m)

    def nearest_of(self, x: float, y: float, max_m: float, among: set[int]) -> Nearest | None:
        """Return the nearest within ``max_m`` of the edges in ``among``."""
        edges = [edge for edge in sorted(among) if self._usable[edge]]
        if not edges:
            return None
        point = shapely.points(x, y)
        lines = self._shapes.lines()[edges]
        distances = shapely.distance(lines, point)
        best = int(distances.argmin())  # of equals the first
        if distances[best] > max_m:
            return None
        return _measure(edges[best], lines[best], point, float(distances[best]))


class EdgeTree:
    """Finds the nearest of some edges, exactly, in O(log edges): the twin of the grid."""

    def __init__(self, lines: NDArray[np.object_], edges: NDArray[np.int64]) -> None:
        """Index ``lines[edges]``; built once, in O(n log n)."""
        self._edges = edges
        self._lines = lines
        self._tree = shapely.STRtree(lines[edges])

    def nearest(self, x: float, y: float, max_m: float) -> Nearest | None:
        """Return the edge nearest to (x, y) within ``max_m``; of equals the lowest number."""
        if not len(self._edges):
            return None
        point = shapely.points(x, y)
        found, distances = self._tree.query_nearest(
            point, max_distance=max_m, return_distance=True, all_matches=True
        )
        if not len(found):
            return None
        edge = int(self._edges[found[0]] if len(found) == 1 else self._edges[found].min())
        return _measure(edge, self._lines[edge], point, float(distances[0]))


def _measure(
    edge: int, line: shapely.LineString, point: shapely.Point, distance_m: float
) -> Nearest:
    frac = float(shapely.line_locate_point(line, point, normalized=True))
    if frac < SHARE_ROUNDING:
        frac = 0.0
    elif frac > 1.0 - SHARE_ROUNDING:
        frac = 1.0
    return Nearest(edge, frac, distance_m)
