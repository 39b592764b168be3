"""Travel times worked out the slow way: the whole graph, both spots as junctions, nx.

Written from the rules alone (``xiaohe.geo.search``'s first page), not from the search: pieces are
cut at the two spots, one-ways give one arc, and closed roads are layers. 0 is the way along the
closed road that the traveller stands on, 1 the open network, 2 the way along the closed road
that the site lies on.
"""

from itertools import pairwise
from math import inf

import networkx as nx

from xiaohe.geo.geometry import Spot
from xiaohe.geo.modes import directions, may_use, speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode


def travel_s(
    network: Network, start: Spot, site: Spot, mode: Mode, closed: frozenset[str] = frozenset()
) -> float:
    """Return the seconds from ``start`` to ``site``, infinite if there is no way."""
    graph = nx.DiGraph()
    own, goal = network.road_of(start.edge), network.road_of(site.edge)
    for edge in range(network.edge_count):
        road = network.road_of(edge)
        layers = [1] if road not in closed else [0] * (road == own) + [2] * (road == goal)
        for layer in layers:
            _add(graph, network, edge, mode, layer, {start, site})
    for node in {node for _, node in graph.nodes}:
        for layer in (0, 1):
            graph.add_edge((layer, node), (layer + 1, node), time_s=0.0)
    source, target = (0, _node(network, start)), (2, _node(network, site))
    if source not in graph or target not in graph:
        return inf
    try:
        return nx.dijkstra_path_length(graph, source, target, weight="time_s")
    except nx.NetworkXNoPath:
        return inf


def all_travel_s(network: Network, site: Spot, mode: Mode) -> dict[object, float]:
    """Return the seconds to ``site`` from every junction that has a way to it."""
    graph = nx.DiGraph()
    for edge in range(network.edge_count):
        _add(graph, network, edge, mode, 0, {site})
    target = (0, _node(network, site))
    lengths = nx.single_source_dijkstra_path_length(
        graph.reverse(copy=False), target, weight="time_s"
    )
    return {node: time_s for (_, node), time_s in lengths.items()}


def from_junctions(
    network: Network, start: Spot, site: Spot, mode: Mode, times_s: dict[object, float]
) -> float:
    """Return the seconds from ``start``, given those of ``all_travel_s`` from the junctions."""
    if start.edge == site.edge:  # the straight way is none of the junctions'
        return travel_s(network, start, site, mode)
    piece = network.piece(start.edge)
    total_s = float(network.length_m[start.edge]) / speed_mps(piece, mode)
    forth, back = directions(piece, mode)
    u, v = int(network.u[start.edge]), int(network.v[start.edge])
    ways = [
        (forth or start.frac == 1.0, v, 1.0 - start.frac),
        (back or start.frac == 0.0, u, start.frac),
    ]
    return min(
        (times_s.get(node, inf) + share * total_s for may, node, share in ways if may), default=inf
    )


def _node(network: Network, spot: Spot) -> object:
    if spot.frac in {0.0, 1.0}:
        return int((network.v if spot.frac else network.u)[spot.edge])
    return spot


def _add(graph, network, edge, mode, layer, spots):
    """Add the arcs of one piece, cut at the spots that lie on it."""
    piece = network.piece(edge)
    if not may_use(piece, mode):
        return
    cuts = {0.0, 1.0} | {spot.frac for spot in spots if spot.edge == edge}
    shares = sorted(cuts)
    forth, back = directions(piece, mode)
    total_s = float(network.length_m[edge]) / speed_mps(piece, mode)
    for low, high in pairwise(shares):
        a, b = (layer, _node(network, Spot(edge, low))), (layer, _node(network, Spot(edge, high)))
        time_s = (high - low) * total_s
        if forth:
            _put(graph, a, b, time_s)
        if back:
            _put(graph, b, a, time_s)


def _put(graph, a, b, time_s):
    known = graph.get_edge_data(a, b, {"time_s": inf})["time_s"]
    graph.add_edge(a, b, time_s=min(known, time_s))
