"""The road network: immutable arrays that the search, the snapper and the map all read.

An edge is one piece of the roads file; nodes are the places where pieces end. For each travel
mode the network holds the arcs that *arrive* at a node (the reversed graph), because the search
grows from the place where somebody is needed towards those who could come.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import EdgeIndex, EdgeShapes, Spot
from xiaohe.geo.grid import ANY, Grid
from xiaohe.geo.modes import directions, may_use, speed_mps
from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import MODES, LonLat, Mode, RoadPiece, RoadsFileError

NODE_ROUNDING_PER_DEGREE = 1e7
"""Ends that agree to 1e-7 degree (1 cm) are one node: the precision of the file."""

MODE_REACH_M = 300.0
"""How far from a road that a mode cannot use its next usable one may lie: as far as snapping."""

CLOSURES_KEPT_MAX = 8
"""Sets of closed roads whose layers are kept: areas of one worker, and the sets just before."""

Arc = tuple[int, int, float]
"""(tail node, 2 × edge + 1 if against the drawing, seconds; infinite where not allowed)."""


@dataclass(frozen=True, eq=False)
class ModeGraph:
    """The reversed network of one mode, as a CSR: node n is entered by arcs ptr[n] … ptr[n+1].

    An edge that the mode may use has an arc at both ends. In a direction that is not allowed its
    time is infinite; the arc is there because who stands exactly at the end may step off it.
    """

    usable: NDArray[np.bool_]
    forward_s: NDArray[np.float64]
    backward_s: NDArray[np.float64]
    ptr: NDArray[np.int64]
    tail: NDArray[np.int32]
    arc: NDArray[np.int32]
    time_s: NDArray[np.float64]

    @cached_property
    def entering(self) -> tuple[tuple[Arc, ...], ...]:
        """The same arcs by node as plain tuples, which the search in Python reads faster."""
        arcs = list(zip(self.tail.tolist(), self.arc.tolist(), self.time_s.tolist(), strict=True))
        ptr = self.ptr.tolist()
        return tuple(tuple(arcs[a:b]) for a, b in pairwise(ptr))

    @cached_property
    def times_s(self) -> tuple[list[float], list[float]]:
        """Seconds along each edge as drawn, and against the drawing, as plain lists."""
        return self.forward_s.tolist(), self.backward_s.tolist()


@dataclass(frozen=True, eq=False)
class AllModes:
    """The reversed networks of all modes in one CSR, for the compiled search.

    ``arcs`` (m, 2) are tail and arc, ``time_s`` (m, modes) the seconds; ``arc_s`` (2 × edges,
    modes) those of each arc by its number. Infinite where a mode may not go.
    """

    ptr: NDArray[np.int64]
    arcs: NDArray[np.int32]
    time_s: NDArray[np.float64]
    arc_s: NDArray[np.float64]

    @classmethod
    def of(cls, network: "Network") -> "AllModes":
        """Lay the graphs of all modes side by side."""
        columns = [network.graphs[mode] for mode in MODES]
        forward_s = np.column_stack([graph.forward_s for graph in columns])
        backward_s = np.column_stack([graph.backward_s for graph in columns])
        arc_s = np.stack((forward_s, backward_s), axis=1).reshape(-1, len(MODES))
        usable = network.usable_by_any
        ptr, tail, arc = _entering(usable, network.u, network.v)
        return cls(ptr, np.ascontiguousarray(np.column_stack((tail, arc))), arc_s[arc], arc_s)


@dataclass(frozen=True, eq=False)
class Network:
    """Roads as a graph. Build with ``Network.build``; nothing in it changes afterwards.

    ``version`` names the file it was built from. ``u`` and ``v`` (edges,) are the end nodes,
    ``length_m`` (edges,) the lengths, ``node_points`` (nodes, 2) lon and lat.
    """

    version: str
    projection: Projection
    speed_factor: float
    pieces: tuple[RoadPiece, ...]
    u: NDArray[np.int32]
    v: NDArray[np.int32]
    node_points: NDArray[np.float64]
    shapes: EdgeShapes
    graphs: Mapping[Mode, ModeGraph]
    roads: Mapping[str, tuple[int, ...]]

    @classmethod
    def build(
        cls,
        pieces: Iterable[RoadPiece],
        version: str,
        projection: Projection | None = None,
        speed_factor: float = 1.0,
    ) -> "Network":
        """Build the network of ``pieces``; pieces of no length are left out.

        ``speed_factor`` multiplies every speed, for a demonstration whose clock runs faster.
        Raises ``RoadsFileError`` if no piece is left.
        """
        assert speed_factor > 0
        kept = tuple(piece for piece in pieces if len(set(piece.points)) > 1)
        if not kept:
            raise RoadsFileError(["no road with any length: the file needs at least one"])
        shapes = EdgeShapes.of(kept, projection or _centred(kept))
        nodes, u, v = _nodes(shapes)
        graphs = {
            mode: _mode_graph(_mode_rules(kept, shapes.length_m / speed_factor, mode), u, v)
            for mode in MODES
        }
        return cls(
            version=version,
            projection=shapes.projection,
            speed_factor=speed_factor,
            pieces=kept,
            u=u,
            v=v,
            node_points=nodes,
            shapes=shapes,
            graphs=MappingProxyType(graphs),
            roads=MappingProxyType(_by_road(kept)),
        )

    @property
    def edge_count(self) -> int:
        """Number of edges."""
        return len(self.pieces)

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return len(self.node_points)

    @property
    def length_m(self) -> NDArray[np.float64]:
        """Length of each edge on the ground."""
        return self.shapes.length_m

    @cached_property
    def lengths_m(self) -> list[float]:
        """``length_m`` as a plain list, which Python reads faster."""
        lengths_m: list[float] = self.length_m.tolist()
        return lengths_m

    @cached_property
    def area_ids(self) -> frozenset[str]:
        """The areas that the pieces name."""
        return frozenset(piece.area_id for piece in self.pieces if piece.area_id is not None)

    @cached_property
    def all_modes(self) -> AllModes:
        """The graphs of all modes in one."""
        return AllModes.of(self)

    @cached_property
    def usable_by_any(self) -> NDArray[np.bool_]:
        """Which edges at least one mode may use."""
        walk, ebike, car = (self.graphs[mode].usable for mode in MODES)
        return walk | ebike | car

    def piece(self, edge: int) -> RoadPiece:
        """Return the piece of the file that the edge is."""
        return self.pieces[edge]

    def road_of(self, edge: int) -> str:
        """Return the road_id of an edge."""
        return self.pieces[edge].road_id

    def area_of_road(self, road_id: str) -> str | None:
        """Return the area that most of the road's length lies in; None if none is stated."""
        length_m: dict[str, float] = defaultdict(float)
        for edge in self.roads.get(road_id, ()):
            area_id = self.pieces[edge].area_id
            if area_id is not None:
                length_m[area_id] += self.lengths_m[edge]
        return min(length_m, key=lambda area: (-length_m[area], area), default=None)

    def point_at(self, spot: Spot) -> LonLat:
        """Return the (lon, lat) of a spot."""
        return self.shapes.point_at(spot)

    def layers(self, closed: frozenset[str]) -> NDArray[np.int32]:
        """Return by edge the number of the closed road that it is of, 0 where it is open.

        Without closed roads the array is empty. Closed roads are numbered by their road_id.
        """
        found = self._layers.get(closed)
        if found is None:
            if len(self._layers) >= CLOSURES_KEPT_MAX:
                self._layers.clear()
            found = self._layers[closed] = self._layers_of(closed)
        return found

    def _layers_of(self, closed: frozenset[str]) -> NDArray[np.int32]:
        known = sorted(closed & self.roads.keys())
        layer_of = np.zeros(self.edge_count if known else 0, dtype=np.int32)
        for layer, road_id in enumerate(known, 1):
            layer_of[list(self.roads[road_id])] = layer
        return layer_of

    @cached_property
    def _layers(self) -> dict[frozenset[str], NDArray[np.int32]]:
        return {}

    def index(self, mode: Mode | None = None) -> EdgeIndex:
        """Return the index of the edges that ``mode`` (or, without one, any mode) may use."""
        key = mode if mode is not None and self._differs[mode] else None
        return self._indexes[key]

    def usable(self, spot: Spot, mode: Mode) -> Spot | None:
        """Return where ``mode`` gets on or off for a spot: the spot itself, if it can be there.

        Otherwise the nearest point in a straight line that the mode can use (a car stops at the
        mouth of the footpath), None where there is none within ``MODE_REACH_M``.
        """
        if self.graphs[mode].usable[spot.edge]:
            return spot
        near = self.index(mode).nearest(*self.projection.to_m(*self.point_at(spot)), MODE_REACH_M)
        return None if near is None else Spot(near.edge, near.frac)

    @cached_property
    def _differs(self) -> dict[Mode, bool]:
        return {
            mode: not np.array_equal(graph.usable, self.usable_by_any)
            for mode, graph in self.graphs.items()
        }

    @cached_property
    def grid(self) -> Grid:
        """The grid over all edges that any mode may use; a mode's bit is ``mode_bit(mode)``."""
        bits = np.where(self.usable_by_any, np.uint8(ANY), np.uint8(0))
        for mode, graph in self.graphs.items():
            bits = np.where(graph.usable, bits | np.uint8(mode_bit(mode)), bits)
        return Grid.of(self.shapes.metres, self.shapes.along_m, self.shapes.start, bits)

    @cached_property
    def _indexes(self) -> dict[Mode | None, EdgeIndex]:
        indexes: dict[Mode | None, EdgeIndex] = {
            None: EdgeIndex(self.shapes, self.usable_by_any, self.grid, ANY)
        }
        for mode, graph in self.graphs.items():
            if self._differs[mode]:
                indexes[mode] = EdgeIndex(self.shapes, graph.usable, self.grid, mode_bit(mode))
        return indexes


FORWARD: Final = 0
BACKWARD: Final = 1


def mode_bit(mode: Mode) -> int:
    """Return the bit of the edges that ``mode`` may use, in the rows of ``Network.grid``."""
    return 2 << MODES.index(mode)


def _centred(pieces: tuple[RoadPiece, ...]) -> Projection:
    """Return a projection at the middle of the roads' bounding box."""
    points = np.array([point for piece in pieces for point in piece.points])
    lon0, lat0 = (points.min(axis=0) + points.max(axis=0)) / 2
    return Projection(float(lon0), float(lat0))


def _nodes(
    shapes: EdgeShapes,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Return the node points and the end nodes (u, v) of every edge.

    Nodes are numbered by place, so that the order of the file does not show in an answer.
    """
    ends = np.concatenate((shapes.degrees[shapes.start[:-1]], shapes.degrees[shapes.start[1:] - 1]))
    cells = np.rint(ends * NODE_ROUNDING_PER_DEGREE).astype(np.int64)
    unique, node_of = np.unique(cells, axis=0, return_inverse=True)
    u, v = np.split(node_of.reshape(-1).astype(np.int32), 2)
    points = unique / NODE_ROUNDING_PER_DEGREE
    for array in (points, u, v):
        array.flags.writeable = False
    return points, u, v


_ModeRules = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]
"""By edge: may the mode be on it, seconds as drawn, seconds against the drawing."""


def _mode_rules(
    pieces: tuple[RoadPiece, ...], length_m: NDArray[np.float64], mode: Mode
) -> _ModeRules:
    usable = np.array([may_use(piece, mode) for piece in pieces], dtype=np.bool_)
    allowed = np.array([directions(piece, mode) for piece in pieces], dtype=np.bool_)
    time_s = length_m / np.array([speed_mps(piece, mode) for piece in pieces])
    forward_s = np.where(usable & allowed[:, FORWARD], time_s, np.inf)
    backward_s = np.where(usable & allowed[:, BACKWARD], time_s, np.inf)
    return usable, forward_s, backward_s


def _entering(
    usable: NDArray[np.bool_], u: NDArray[np.int32], v: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Return (ptr, tail, arc) of the arcs that enter each node, over the edges that are usable."""
    edges = np.flatnonzero(usable).astype(np.int32)
    head = np.concatenate((v[edges], u[edges]))
    order = np.argsort(head, kind="stable")
    counts = np.bincount(head, minlength=1 + int(max(u.max(), v.max())))
    tail = np.concatenate((u[edges], v[edges]))[order]
    arc = np.concatenate((2 * edges + FORWARD, 2 * edges + BACKWARD))[order]
    return np.concatenate(([0], np.cumsum(counts))), tail, arc


def _mode_graph(rules: _ModeRules, u: NDArray[np.int32], v: NDArray[np.int32]) -> ModeGraph:
    """Turn one mode's rules into the arcs that enter each node."""
    usable, forward_s, backward_s = rules
    ptr, tail, arc = _entering(usable, u, v)
    time_s = np.where(arc & BACKWARD, backward_s[arc >> 1], forward_s[arc >> 1])
    graph = ModeGraph(usable, forward_s, backward_s, ptr, tail, arc, time_s)
    for array in (usable, forward_s, backward_s, graph.ptr, graph.tail, graph.arc, graph.time_s):
        array.flags.writeable = False
    return graph


def _by_road(pieces: tuple[RoadPiece, ...]) -> dict[str, tuple[int, ...]]:
    edges: dict[str, list[int]] = defaultdict(list)
    for edge, piece in enumerate(pieces):
        edges[piece.road_id].append(edge)
    return {road_id: tuple(edges[road_id]) for road_id in sorted(edges)}
