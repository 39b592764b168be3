"""How much of the roads is covered: what share of their length somebody can reach in time.

One bounded search outwards a travel mode, from all members of that mode at once and in the
direction of travel (a dispatch goes the other way round, towards the scene). What is reached of
each edge is the start of it, the end of it, and, where a member stands on it, a stretch around
them; the modes' stretches are laid over each other.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import Spot
from xiaohe.geo.heap import heap_pop, heap_push
from xiaohe.geo.kernels import kernel
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode

Stretch = tuple[float, float]
"""A part of an edge, from one share of it to another."""

NOBODY: Final = 0.0


def cover(network: Network, members: Iterable[tuple[Spot, Mode]], within_s: float) -> float:
    """Return the share of the usable road length that somebody reaches within ``within_s``.

    ``members`` are given with where they are and how they travel; one-ways are heeded, edges
    count as far as they are reached. Usable is what any mode may use. Whoever stands where their
    mode cannot travel starts at the nearest place where it can.
    """
    assert within_s >= 0, "time runs forward"
    by_mode: dict[Mode, list[Spot]] = defaultdict(list)
    for spot, mode in members:
        at = network.usable(spot, mode)
        if at is not None:
            by_mode[mode].append(at)
    edges = network.edge_count
    starts, ends = np.zeros(edges), np.zeros(edges)
    around: dict[int, list[Stretch]] = defaultdict(list)
    for mode, spots in by_mode.items():
        forward_s, backward_s = network.graphs[mode].forward_s, network.graphs[mode].backward_s
        times_s = _times_s(network, mode, spots, within_s)
        np.maximum(starts, _reached(times_s[network.u], forward_s, within_s), out=starts)
        np.maximum(ends, _reached(times_s[network.v], backward_s, within_s), out=ends)
        for spot in spots:
            around[spot.edge].append(_around(network, mode, spot, within_s))
    shares = np.minimum(1.0, starts + ends)
    for edge, stretches in around.items():
        shares[edge] = _union([(0.0, starts[edge]), (1.0 - ends[edge], 1.0), *stretches])
    lengths_m = np.where(network.usable_by_any, network.length_m, 0.0)
    total_m = float(lengths_m.sum())
    return float(shares @ lengths_m) / total_m if total_m else NOBODY


def _times_s(
    network: Network, mode: Mode, spots: list[Spot], within_s: float
) -> NDArray[np.float64]:
    """Return the time at which each node is first reached; infinite beyond ``within_s``."""
    graph = network.graphs[mode]
    times_s = np.full(network.node_count, np.inf)
    for edge, frac in spots:
        for node, share, along_s in (
            (network.u[edge], frac, graph.backward_s[edge]),
            (network.v[edge], 1.0 - frac, graph.forward_s[edge]),
        ):
            # Who stands exactly at the end may step off even where the edge is one-way.
            reached_s = share * along_s if share else 0.0
            times_s[node] = min(times_s[node], reached_s)
    times_s[times_s > within_s] = np.inf
    # Each arc offers a node once at most, and each node may be one that it begins at.
    room = len(graph.tail) + network.node_count
    heap = np.empty((room, 2)), np.empty(room, dtype=np.int64)
    arcs = graph.ptr, graph.tail, graph.arc
    _spread(arcs, (graph.forward_s, graph.backward_s), times_s, within_s, heap)
    return times_s


@kernel
def _spread(
    arcs: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]],
    along_s: tuple[NDArray[np.float64], NDArray[np.float64]],
    times_s: NDArray[np.float64],
    within_s: float,
    heap: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    """Grow the times from the nodes that have one (Dijkstra), in place.

    An arc that enters a node names the edge by which one also leaves it, the other way. The heap
    is room to work in.
    """
    ptr, tail, arc = arcs
    forward_s, backward_s = along_s
    reals, numbers = heap
    waiting = 0
    for node in range(len(times_s)):
        if times_s[node] <= within_s:
            waiting = heap_push(reals, numbers, waiting, times_s[node], node, 0.0)
    while waiting > 0:
        time_s, node = reals[0, 0], numbers[0]
        waiting = heap_pop(reals, numbers, waiting)
        if time_s > times_s[node]:
            continue
        for i in range(ptr[node], ptr[node + 1]):
            edge = arc[i] >> 1
            step_s = forward_s[edge] if arc[i] & 1 else backward_s[edge]
            next_s = time_s + step_s
            if next_s <= within_s and next_s < times_s[tail[i]]:
                times_s[tail[i]] = next_s
                waiting = heap_push(reals, numbers, waiting, next_s, tail[i], 0.0)


def _reached(
    times_s: NDArray[np.float64], along_s: NDArray[np.float64], within_s: float
) -> NDArray[np.float64]:
    """Return how much of each edge is reached from one end of it."""
    left_s = np.maximum(0.0, within_s - times_s)
    usable = np.isfinite(along_s) & (along_s > 0.0)
    shares: NDArray[np.float64] = np.minimum(
        1.0, np.divide(left_s, along_s, out=np.zeros_like(left_s), where=usable)
    )
    return shares


def _around(network: Network, mode: Mode, spot: Spot, within_s: float) -> Stretch:
    """Return what somebody reaches of the edge on which they stand, without leaving it."""
    graph = network.graphs[mode]
    forward_s, backward_s = float(graph.forward_s[spot.edge]), float(graph.backward_s[spot.edge])
    low = spot.frac - within_s / backward_s if backward_s > 0.0 else 0.0
    high = spot.frac + within_s / forward_s if forward_s > 0.0 else 1.0
    return max(0.0, low), min(1.0, high)


def _union(stretches: list[Stretch]) -> float:
    """Return how much of an edge the stretches cover together."""
    covered, until = 0.0, 0.0
    for low, high in sorted(stretches):
        covered += max(0.0, high - max(low, until))
        until = max(until, high)
    return covered
