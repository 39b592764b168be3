"""Parts of the network that nothing joins to the rest: found for each way of travelling."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from xiaohe.geo.components import weak_components
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, LonLat, Mode, RoadPiece

ROADS_NAMED_MAX: Final = 10
"""Roads of an island that are named: enough to know it by."""


@dataclass(frozen=True, slots=True)
class Island:
    """Pieces that those who travel by ``modes`` cannot reach from the longest connected part.

    ``road_ids`` names some of its ``roads``; ``at`` is one end of a piece of it.
    """

    modes: tuple[Mode, ...]
    roads: int
    road_ids: tuple[str, ...]
    pieces: int
    length_m: float
    at: LonLat


def islands(pieces: Iterable[RoadPiece]) -> list[Island]:
    """Return the islands of the pieces, the longest first."""
    network = Network.build(pieces, "islands")
    modes_of: dict[tuple[int, ...], list[Mode]] = defaultdict(list)
    for mode in MODES:
        for edges in island_edges(network, mode):
            modes_of[edges].append(mode)
    found = [_island(network, edges, modes) for edges, modes in modes_of.items()]
    return sorted(found, key=lambda island: (-island.length_m, island.road_ids, island.at))


def island_edges(network: Network, mode: Mode) -> Iterator[tuple[int, ...]]:
    """Yield the edges of each connected part but the longest, one-ways not heeded."""
    edges = network.graphs[mode].usable.nonzero()[0].tolist()
    u, v = network.u.tolist(), network.v.tolist()
    part_of = weak_components(network.node_count, ((u[e], v[e]) for e in edges))
    parts: dict[int, list[int]] = defaultdict(list)
    metres: dict[int, float] = defaultdict(float)
    for edge in edges:
        parts[part_of[u[edge]]].append(edge)
        metres[part_of[u[edge]]] += network.lengths_m[edge]
    for part in sorted(parts, key=lambda part: -metres[part])[1:]:
        yield tuple(parts[part])


def _island(network: Network, edges: tuple[int, ...], modes: list[Mode]) -> Island:
    road_ids = sorted({network.pieces[edge].road_id for edge in edges})
    return Island(
        modes=tuple(modes),
        roads=len(road_ids),
        road_ids=tuple(road_ids[:ROADS_NAMED_MAX]),
        pieces=len(edges),
        length_m=round(sum(network.lengths_m[edge] for edge in edges), 1),
        at=network.pieces[edges[0]].points[0],
    )
