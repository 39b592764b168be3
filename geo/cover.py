"""How much of the roads can be reached in time: the cover that members leave behind.

One search grows forward from all members of a travel mode at once, from where each stands along
the piece of road they stand on, one-ways heeded; what it reaches within the time is added up by
length, partial pieces by their share.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import ModeGraph, Network
from xiaohe.geo.roads import Mode

NO_TIME_S = 1e-9
"""Instead of no time at all, which a sparse matrix would take for no arc."""

_Shares = NDArray[np.float64]


def cover(
    network: Network, spots_with_modes: Iterable[tuple[Spot, Mode]], within_s: float
) -> float:
    """Give the share of the usable road length that anybody can reach within ``within_s`` seconds.

    Each comes from their spot by their mode; a spot on a piece that the mode cannot use counts
    from the nearest that it can. Usable is what any mode may use at all. 0 where nobody is.
    """
    starts: dict[Mode, list[Spot]] = defaultdict(list)
    for spot, mode in spots_with_modes:
        usable = network.usable(spot, mode)
        if usable is not None:
            starts[mode].append(usable)
    from_u, from_v = np.zeros(network.edge_count), np.zeros(network.edge_count)
    own: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for mode, spots in starts.items():
        graph = network.graphs[mode]
        time_s = _times_s(network, graph, spots, within_s)
        from_u = np.maximum(from_u, _reached(within_s - time_s[network.u], graph.forward_s))
        from_v = np.maximum(from_v, _reached(within_s - time_s[network.v], graph.backward_s))
        for edge, frac in spots:
            ahead = float(_reached(np.array([within_s]), graph.forward_s[[edge]])[0])
            behind = float(_reached(np.array([within_s]), graph.backward_s[[edge]])[0])
            own[edge].append((max(0.0, frac - behind), min(1.0, frac + ahead)))
    shares = np.minimum(1.0, from_u + from_v)
    for edge, parts in own.items():
        ends = [(0.0, float(from_u[edge])), (1.0 - float(from_v[edge]), 1.0)]
        shares[edge] = _union([*parts, *ends])
    length_m = network.length_m[network.usable_by_any]
    return float(shares[network.usable_by_any] @ length_m / length_m.sum())


def _reached(left_s: NDArray[np.float64], whole_s: NDArray[np.float64]) -> _Shares:
    """Give the share of each edge that is travelled in the time left at its end."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole_s > 0.0, left_s / whole_s, 1.0)
    return np.where((left_s > 0.0) & np.isfinite(whole_s), np.clip(share, 0.0, 1.0), 0.0)


def _times_s(
    network: Network, graph: ModeGraph, spots: list[Spot], within_s: float
) -> NDArray[np.float64]:
    """Give how soon the first of them is at each node, seconds; infinite beyond the time."""
    edges = np.flatnonzero(graph.usable)
    spot_edge = np.array([spot.edge for spot in spots])
    frac = np.array([spot.frac for spot in spots])
    nodes = network.node_count
    # Everybody starts at one more node, from which an arc leads to both ends of where they stand.
    tail = np.concatenate((network.u[edges], network.v[edges], np.full(2 * len(spots), nodes)))
    head = np.concatenate(
        (network.v[edges], network.u[edges], network.v[spot_edge], network.u[spot_edge])
    )
    time_s = np.concatenate(
        (
            graph.forward_s[edges],
            graph.backward_s[edges],
            _part_s(1.0 - frac, graph.forward_s[spot_edge]),
            _part_s(frac, graph.backward_s[spot_edge]),
        )
    )
    open_ = np.flatnonzero(time_s < inf)
    order = open_[np.argsort(tail[open_], kind="stable")]
    counts = np.bincount(tail[order], minlength=nodes + 1)
    ptr = np.concatenate(([0], np.cumsum(counts)))
    arcs = csr_matrix(
        (np.maximum(time_s[order], NO_TIME_S), head[order], ptr), shape=(nodes + 1, nodes + 1)
    )
    reached: NDArray[np.float64] = dijkstra(arcs, indices=nodes, limit=within_s)
    return reached[:nodes]


def _part_s(share: NDArray[np.float64], whole_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the time of a share of an edge; none of it takes none, even against a one-way."""
    return np.where(share == 0.0, 0.0, share * np.where(share == 0.0, 0.0, whole_s))


def _union(parts: list[tuple[float, float]]) -> float:
    """Add up intervals, counting once what several of them cover."""
    covered, end = 0.0, 0.0
    for low, high in sorted(parts):
        covered += max(0.0, high - max(low, end))
        end = max(end, high)
    return covered
