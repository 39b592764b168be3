"""Who is nearest by road, worked out the slow way: the whole graph, by scipy's Dijkstra.

Written from the rules alone (the first page of ``xiaohe.geo.search``), and it shares no code with
the search: each mode's arcs are read from the pieces of the map, and every junction's time to the
scene is worked out before anybody is looked for. Closed roads are not in it.
"""

from collections.abc import Sequence
from functools import cache
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from xiaohe.geo.geometry import Spot
from xiaohe.geo.modes import directions, may_use, speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode, RoadPiece

Seconds = NDArray[np.float64]

END_TO_END_ENTRIES_MAX: Final = 20_000_000
"""Times held at once, sites by junctions: 160 MB."""


class Oracle:
    """Travel times over one network by one mode."""

    def __init__(self, network: Network, mode: Mode) -> None:
        """Read the arcs from the pieces, and turn them round."""
        u, v = network.u, network.v
        usable, forth_s, back_s = _piece_times(network, mode)
        self.usable = usable
        self._u, self._v = u, v
        self._forth_s, self._back_s = forth_s, back_s
        self._nodes = network.node_count
        tail, head = np.concatenate((u, v)), np.concatenate((v, u))
        self._reversed = _quickest_arcs(head, tail, np.concatenate((forth_s, back_s)), self._nodes)

    def nearest(
        self, site: Spot, times_s: Seconds, edges: NDArray[np.int64], fracs: Seconds, count: int
    ) -> list[tuple[int, float]]:
        """Give (index, seconds) of the nearest of those at these spots, at most ``count``."""
        seconds = self.travel_s(site, times_s, edges, fracs)
        order = np.argsort(seconds, kind="stable")[:count].tolist()
        return [(index, float(seconds[index])) for index in order if seconds[index] < inf]

    def travel_s(
        self, site: Spot, times_s: Seconds, edges: NDArray[np.int64], fracs: Seconds
    ) -> Seconds:
        """Give the seconds to a site from each spot; infinite where there is no way.

        ``times_s`` (nodes,) are the site's, of ``to_sites``.
        """
        forth_s, back_s = self._forth_s[edges], self._back_s[edges]
        by_v_s = times_s[self._v[edges]] + _share_s(1.0 - fracs, forth_s)
        by_u_s = times_s[self._u[edges]] + _share_s(fracs, back_s)
        ahead = site.frac - fracs
        along_s = _share_s(np.abs(ahead), np.where(ahead < 0, back_s, forth_s))
        straight_s = np.where(edges == site.edge, along_s, inf)
        seconds: Seconds = np.minimum(np.minimum(by_v_s, by_u_s), straight_s)
        return np.where(self.usable[edges], seconds, inf)

    def to_sites(self, sites: Sequence[Spot]) -> Seconds:
        """Give (sites, nodes): the seconds from every junction to each site."""
        edges = np.array([site.edge for site in sites])
        fracs = np.array([site.frac for site in sites])
        from_u_s = _share_s(fracs, self._forth_s[edges])
        from_v_s = _share_s(1.0 - fracs, self._back_s[edges])
        ends = np.concatenate((self._u[edges], self._v[edges]))
        by_u_s, by_v_s = np.split(dijkstra(self._reversed, indices=ends), 2)
        times_s: Seconds = np.minimum(by_u_s + from_u_s[:, None], by_v_s + from_v_s[:, None])
        return times_s

    @property
    def sites_at_once(self) -> int:
        """How many sites ``to_sites`` should be asked for in one call, for the memory's sake."""
        return max(1, END_TO_END_ENTRIES_MAX // (2 * self._nodes))


def _share_s(share: Seconds, whole_s: Seconds) -> Seconds:
    """Give the seconds of shares of edges; none of an edge takes none, even against a one-way."""
    with np.errstate(invalid="ignore"):  # 0 x infinity, which the next line settles
        part_s = share * whole_s
    return np.where(share == 0.0, 0.0, part_s)


def _piece_times(network: Network, mode: Mode) -> tuple[NDArray[np.bool_], Seconds, Seconds]:
    """Give by edge: may it be used, seconds as drawn, seconds against the drawing."""
    rules = [_rules(*_what_rules(piece), mode) for piece in network.pieces]
    usable, forth, back, mps = (np.array(column) for column in zip(*rules, strict=True))
    total_s = network.length_m / mps * network.speed_factor**-1
    forth_s = np.where(usable & forth, total_s, inf)
    back_s = np.where(usable & back, total_s, inf)
    return usable, forth_s, back_s


def _what_rules(piece: RoadPiece) -> tuple[object, ...]:
    return (
        piece.highway,
        piece.oneway,
        piece.oneway_bicycle,
        piece.maxspeed_kmh,
        piece.access,
        piece.modes,
    )


@cache
def _rules(  # a city has a handful of kinds of road, and a million pieces
    highway: str,
    oneway: str,
    oneway_bicycle: str | None,
    maxspeed_kmh: float | None,
    access: str | None,
    modes: tuple[Mode, ...] | None,
    mode: Mode,
) -> tuple[bool, bool, bool, float]:
    piece = RoadPiece(
        road_id="any",
        points=(),
        highway=highway,
        oneway=oneway,  # type: ignore[arg-type]  # as the piece had it
        oneway_bicycle=oneway_bicycle,  # type: ignore[arg-type]  # the same
        maxspeed_kmh=maxspeed_kmh,
        access=access,
        modes=modes,
    )
    return may_use(piece, mode), *directions(piece, mode), speed_mps(piece, mode)


def _quickest_arcs(
    row: NDArray[np.int32], column: NDArray[np.int32], time_s: Seconds, nodes: int
) -> csr_matrix:
    """Make the matrix of the finite arcs; of parallel ones the quickest counts."""
    order = np.lexsort((time_s, column, row))
    row, column, time_s = row[order], column[order], time_s[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    kept = first & np.isfinite(time_s)
    return csr_matrix((time_s[kept], (row[kept], column[kept])), shape=(nodes, nodes))
