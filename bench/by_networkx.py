"""The nearest by road with networkx: what somebody writes in an afternoon, and its answer is right.

Dijkstra's algorithm from the place outwards over the reversed graph, no farther than the window of
arrival; then the members on the streets that were reached. One travel mode, and nobody's shift.
"""

from collections import defaultdict
from heapq import nsmallest
from typing import Any, Final

import numpy as np

from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode
from xiaohe.geo.snap import Snapper

LonLat = tuple[float, float]

MODE: Final[Mode] = "ebike"

EDGES_MAX: Final = 200_000
"""Above it the graph takes minutes to build, and gigabytes."""

_HERE: Final = "here"


class ByNetworkx:
    """A road network as a networkx graph, with members on it."""

    def __init__(self, snapper: Snapper, members: dict[int, list[tuple[str, float]]]) -> None:
        """``members`` are (id, share of the edge) by edge. Raises ImportError without networkx."""
        import networkx as nx  # noqa: PLC0415 - an extra, which may be missing

        self._networkx = nx
        self._snapper = snapper
        self._members = members
        self._graph = _reversed_graph(nx, snapper.network)
        network = snapper.network
        self._times_s = network.graphs[MODE].times_s
        self._edges_at: dict[int, list[int]] = defaultdict(list)
        for edge, (u, v) in enumerate(zip(network.u.tolist(), network.v.tolist(), strict=True)):
            self._edges_at[u].append(edge)
            self._edges_at[v].append(edge)
        self._ends = list(zip(network.u.tolist(), network.v.tolist(), strict=True))

    def nearest(self, at: LonLat, count: int, within_s: float) -> list[tuple[float, str]]:
        """Give (seconds, id) of the nearest members."""
        site = self._snapper.snap(*at, mode=MODE)
        if site is None:
            return []
        edge, frac = site.spot
        (u, v), (forth_s, back_s) = self._ends[edge], (times[edge] for times in self._times_s)
        ways = [(u, frac, forth_s), (v, 1.0 - frac, back_s)]
        self._graph.add_weighted_edges_from(
            (_HERE, node, share * whole_s) for node, share, whole_s in ways if whole_s < np.inf
        )
        times_s = self._networkx.single_source_dijkstra_path_length(
            self._graph, _HERE, cutoff=within_s
        )
        self._graph.remove_node(_HERE)
        best_s: dict[str, float] = {}
        for node, node_s in times_s.items():
            for near in self._edges_at[node] if node != _HERE else ():
                for member_id, seconds in self._from_edge(near, node, node_s):
                    best_s[member_id] = min(seconds, best_s.get(member_id, seconds))
        for member_id, share in self._members.get(edge, ()):
            whole_s = forth_s if share < frac else back_s
            if whole_s < np.inf:
                straight_s = abs(share - frac) * whole_s
                best_s[member_id] = min(straight_s, best_s.get(member_id, straight_s))
        return nsmallest(count, ((seconds, member_id) for member_id, seconds in best_s.items()))

    def _from_edge(self, edge: int, node: int, node_s: float) -> list[tuple[str, float]]:
        """Give the times of those on an edge who leave it by this end."""
        by_v = self._ends[edge][1] == node
        whole_s = self._times_s[0 if by_v else 1][edge]
        if whole_s == np.inf:
            return []
        return [
            (member_id, node_s + whole_s * (1.0 - share if by_v else share))
            for member_id, share in self._members.get(edge, ())
        ]


def _reversed_graph(nx: Any, network: Network) -> Any:  # noqa: ANN401 - a module, a graph
    arcs = network.graphs[MODE]
    head = np.repeat(np.arange(network.node_count), np.diff(arcs.ptr))
    finite = np.isfinite(arcs.time_s)
    # Of parallel arcs the last one put counts: the quickest.
    order = np.argsort(-arcs.time_s[finite], kind="stable")
    columns = (head[finite][order], arcs.tail[finite][order], arcs.time_s[finite][order])
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(zip(*(column.tolist() for column in columns), strict=True))
    return graph
