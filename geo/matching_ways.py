"""What the matcher's kernels look at: the network, a fix, and how a member travels.

All times are seconds of the network's clock: where ``speed_factor`` multiplies speeds, a second
is that much longer and a stated speed that much lower.
"""

from math import erfc, exp, hypot, inf, sqrt
from typing import Final, NamedTuple

import numpy as np

from xiaohe.geo.grid import Floats, Ints, Pointers
from xiaohe.geo.kernels import kernel
from xiaohe.geo.modes import KMH_PER_MPS, speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES

U, V, FIRST, LAST, ROAD, ALLOWED, CAR_KMH = range(7)
"""Columns of ``Ways.edges``: end nodes, rows of the first and the last point, number of the road,
two bits for each mode (may it go as drawn, and against the drawing), and how fast cars go."""

BOTH_WAYS: Final = 3

ROOT_2: Final = 2.0**0.5
BELL_TOP: Final = 0.3989422804014327
"""The height of the bell curve in its middle, 1 / √(2π)."""

BELL_ENDS: Final = 30.0
"""So many standard deviations out it is zero in a float64."""


class Ways(NamedTuple):
    """The network as the kernels see it.

    ``points`` are (x, y, metres along the edge), edge after edge. The edges that end at node n are
    ``node_ends[node_ptr[n] : node_ptr[n + 1]]``, as 2 × edge, + 1 where it is the edge's v.
    ``head``, ``ptr`` and ``rows`` are the grid. The inner kernels are given the few arrays that
    they read, for a tuple of arrays costs its counting at each call.
    """

    points: Floats
    edges: Ints
    node_ptr: Pointers
    node_ends: Ints
    head: Floats
    ptr: Pointers
    rows: Floats

    @classmethod
    def of(cls, network: Network) -> "Ways":
        """Lay out a network."""
        shapes, grid = network.shapes, network.grid
        points = np.column_stack((shapes.metres, shapes.along_m))
        node_ptr, node_ends = _node_ends(network)
        rows = _edge_rows(network)
        return cls(points, rows, node_ptr, node_ends, grid.head, grid.ptr, grid.rows)


class Fix(NamedTuple):
    """A fix as it is weighed.

    ``var_m2`` is the variance of the place to each side, ``dt_s`` the time since the hypotheses
    were as they are. ``course_x``, ``course_y`` is the unit vector of the course,
    where there is one. ``noise_mps`` and ``aside_mps`` are the errors of a speed
    along the road and across it. ``standing`` is how far the speed is that of who stands, 0 … 1.
    """

    x: float
    y: float
    var_m2: float
    dt_s: float
    has_speed: bool
    speed_mps: float
    has_course: bool
    course_x: float
    course_y: float
    noise_mps: float
    aside_mps: float
    standing: float


class Travels(NamedTuple):
    """How members move who travel in one mode; ``mode`` is its place in ``MODES``.

    ``acceleration``: the deviation of the speed, m/s, grows by so much in the root of a second.
    ``off_road_m``: how far off the centre line one is, beside the error of the fix. ``wrong_way``:
    the share of those who go against a one-way. ``reach_mps``: faster than this a member is not
    moved who travels so; beyond it a fix is doubted.
    """

    mode: int
    acceleration: float
    speed_typical_mps: float
    off_road_m: float
    wrong_way: float
    reach_mps: float


@kernel
def end_course(points: Floats, edges: Ints, edge: int, at_v: bool) -> tuple[float, float]:
    """Return the unit vector that leads from an end of the edge into it."""
    a = edges[edge, LAST] if at_v else edges[edge, FIRST]
    b = a - 1 if at_v else a + 1
    x, y = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    length = hypot(x, y)
    return (x / length, y / length) if length > 0.0 else (0.0, 0.0)


@kernel
def located(
    points: Floats, first: int, last: int, x: float, y: float
) -> tuple[float, float, float, float, float]:
    """Return (along_m, distance_m, off_m, course x, course y) of a place from an edge.

    The edge is the points from ``first`` to ``last``. ``along_m`` goes on past the ends in the
    direction that the edge has there, and ``off_m`` is how far aside the place then lies;
    ``distance_m`` is to the edge itself.
    """
    best, at, where = inf, 0.0, first
    for i in range(first, last):
        d_x, d_y = points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1]
        square = d_x * d_x + d_y * d_y
        if square == 0.0:
            continue
        share = ((x - points[i, 0]) * d_x + (y - points[i, 1]) * d_y) / square
        on = min(max(share, 0.0), 1.0)
        off_x, off_y = x - points[i, 0] - on * d_x, y - points[i, 1] - on * d_y
        far2 = off_x * off_x + off_y * off_y
        if far2 < best:
            best, at, where = far2, share, i
    distance_m = sqrt(best)
    off_m = distance_m
    d_x, d_y = points[where + 1, 0] - points[where, 0], points[where + 1, 1] - points[where, 1]
    length_m = hypot(d_x, d_y)
    if (at < 0.0 and where == first) or (at > 1.0 and where == last - 1):
        off_m = abs(d_x * (y - points[where, 1]) - d_y * (x - points[where, 0])) / length_m
    else:
        at = min(max(at, 0.0), 1.0)
    return points[where, 2] + at * length_m, distance_m, off_m, d_x / length_m, d_y / length_m


@kernel
def within(low: float, high: float) -> float:
    """Return the share of the bell curve between two places in standard deviations."""
    if low > 0.0:  # by the nearer tail, which keeps small numbers
        return 0.5 * (erfc(low / ROOT_2) - erfc(high / ROOT_2))
    return 0.5 * (erfc(-high / ROOT_2) - erfc(-low / ROOT_2))


@kernel
def bell(at: float) -> float:
    """Return the height of the bell curve so many standard deviations from its middle."""
    return BELL_TOP * exp(-0.5 * at * at) if abs(at) < BELL_ENDS else 0.0


def _edge_rows(network: Network) -> Ints:
    number = {road_id: n for n, road_id in enumerate(network.roads)}
    roads = np.array([number[piece.road_id] for piece in network.pieces])
    bits = np.zeros(network.edge_count, np.int32)
    for n, mode in enumerate(MODES):
        graph = network.graphs[mode]
        bits |= np.isfinite(graph.forward_s).astype(np.int32) << (2 * n)
        bits |= np.isfinite(graph.backward_s).astype(np.int32) << (2 * n + 1)
    start = network.shapes.start
    car_kmh = [round(KMH_PER_MPS * speed_mps(piece, "car")) for piece in network.pieces]
    columns = (network.u, network.v, start[:-1], start[1:] - 1, roads, bits, car_kmh)
    return np.column_stack(columns).astype(np.int32)


def _node_ends(network: Network) -> tuple[Pointers, Ints]:
    edges = np.arange(network.edge_count, dtype=np.int32)
    nodes = np.concatenate((network.u, network.v))
    order = np.argsort(nodes, kind="stable")
    counts = np.bincount(nodes, minlength=network.node_count)
    ends = np.concatenate((2 * edges, 2 * edges + 1))[order]
    return np.concatenate(([0], np.cumsum(counts))), ends
