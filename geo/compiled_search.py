"""The compiled twin of ``search.TravelField``: the same answers, an order of magnitude quicker.

All that takes time is in ``search_kernel``; here are the tables that it works on, and its answers
turned into those of the field in plain Python. A field starts small and grows with what it
reaches, so that hundreds can be kept for the incidents under way.
"""

from collections.abc import Iterator
from itertools import groupby
from math import inf
from typing import Any, Final

import numpy as np

from xiaohe.geo.geometry import Spot
from xiaohe.geo.kernels import COMPILED
from xiaohe.geo.live import NEVER_MS, LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.places import EVERY_PLACE
from xiaohe.geo.roads import MODES, LonLat, Mode
from xiaohe.geo.search import TravelField
from xiaohe.geo.search_kernel import (
    AT_SITE,
    COUNTS,
    DONE,
    FIELD_FULL,
    FOUND,
    FOUND_PLACES,
    FOUND_REALS,
    INT_COLUMNS,
    NO_WAY,
    OVER,
    QUERY_COUNTS,
    QUERY_FULL,
    ROWS,
    STARTED,
    file_rows,
    follow,
    meet_members,
    quickest_way,
)
from xiaohe.geo.snap import Site
from xiaohe.geo.ways import Leg, Reached, Travel, points_of

ROWS_MIN: Final = 512
"""Junctions that a field has room for at first: most choices need no more."""

FOUND_MIN: Final = 32
"""Members that one call of the kernel may find at first."""

WAITING_MIN: Final = 64
"""Members met and not yet found, at first."""

ARCS_MIN: Final = 64
"""Arcs of a way, at first."""

WANTED: Final = 8
"""Members found at a time: most questions are answered by the first few."""


class CompiledField:
    """Travel times to one site, for one mode and one set of closed roads.

    See ``search.TravelField``, whose public methods these are.
    """

    def __init__(
        self, network: Network, site: Site, mode: Mode, closed: frozenset[str] = frozenset()
    ) -> None:
        """Stand at the site; nothing is searched until it is asked for."""
        self.network = network
        self.site = site
        self.mode = mode
        graph = network.graphs[mode]
        self._mode = MODES.index(mode)
        self._arc_s = graph.arc_s
        self._graph: tuple[Any, ...] = (
            graph.ptr, graph.arcs, graph.time_s, graph.arc_s, network.length_m,
            network.layers(closed), network.node_count,
        )  # fmt: skip
        self._at = network.usable(site.spot, mode)
        if self._at is not None:
            # The site as the kernels take it: edge, frac, u, v, and the layer of arriving.
            self._site = (*self._at, *self._ends(self._at), len(closed) + 1)
            self._make_room(ROWS_MIN)

    def eta(self, spot: Spot, limit_s: float = inf) -> Travel | None:
        """Return the travel from ``spot`` to the site; None if there is no way within limit_s."""
        way = self._quickest(spot, limit_s)
        return None if way is None else Travel(way[0], way[1])

    def members(
        self,
        live: LivePositions,
        limit_s: float = inf,
        *,
        fresh_since_ms: int | None = None,
        wanted: int = WANTED,
    ) -> Iterator[Reached]:
        """Yield the field's mode's members who can reach the site, by (eta_s, member_id).

        ``wanted`` is how many are looked for at a time, at first.
        """
        return self.walk(live, fresh_since_ms, wanted).until(limit_s)

    def walk(
        self, live: LivePositions, fresh_since_ms: int | None = None, wanted: int = WANTED
    ) -> "Walk":
        """Begin to go through the members, as ``members`` does, and stop for each limit asked."""
        return Walk(self, live, fresh_since_ms, wanted)

    def legs(self, spot: Spot) -> tuple[Leg, ...]:
        """Return the quickest way from ``spot`` to the site, edge by edge; () without one."""
        start = self.network.usable(spot, self.mode)
        way = None if start is None else self._quickest(start, inf)
        if start is None or way is None:
            return ()
        _, _, row, arc = way
        assert self._at is not None, "where there is a way there is a site"
        if row == AT_SITE:
            return (self._leg(start.edge, start.frac, self._at.frac),)
        first = self._leg(start.edge, start.frac, float(1 - (arc & 1)))
        legs = [first, *map(self._whole, self._arcs(row))]
        legs[-1] = self._leg(legs[-1].edge, legs[-1].from_frac, self._at.frac)
        return tuple(leg for leg in legs if leg.from_frac != leg.to_frac) or (first,)

    def route(self, spot: Spot) -> tuple[str, ...]:
        """Return the road_ids from ``spot`` to the site, repeats joined; () without a way."""
        start = self.network.usable(spot, self.mode)
        way = None if start is None else self._quickest(start, inf)
        if start is None or way is None:
            return ()
        _, _, row, arc = way
        if row == AT_SITE:
            return (self.network.road_of(start.edge),)
        assert self._at is not None, "where there is a way there is a site"
        *whole, last = self._arcs(row)
        # Of the first edge and of the last one there may be nothing to travel.
        edges = [start.edge] if start.frac != float(1 - (arc & 1)) else []
        edges += [each >> 1 for each in whole]
        edges += [last >> 1] if self._at.frac != float(last & 1) else []
        roads = map(self.network.road_of, edges or [start.edge])
        return tuple(road_id for road_id, _ in groupby(roads))

    def path(self, spot: Spot) -> list[LonLat]:
        """Return the points (lon, lat) from ``spot`` to the site along the road; [] without."""
        return points_of(self.network, self.legs(spot))

    @property
    def junctions_reached(self) -> int:
        """How far the field has grown."""
        return 0 if self._at is None else int(self._tables[-1][DONE])

    # --- the tables

    def _make_room(self, room: int) -> None:
        """Lay out tables for so many junctions; a kernel empties them when it starts."""
        self._tables: tuple[Any, ...] = (
            np.empty(2 * room, dtype=np.int32),
            np.empty((room, INT_COLUMNS), dtype=np.int64),
            np.empty((room, 2), dtype=np.float64),
            np.empty((2 * room, 2), dtype=np.float64),
            np.empty(2 * room, dtype=np.int64),
            np.zeros(COUNTS, dtype=np.int64),
        )

    def _double(self) -> None:
        """Make room for twice as many junctions, and put in those that are known."""
        _, rows, reals, heap_reals, heap_keys, counts = self._tables
        self._make_room(2 * len(rows))
        if not counts[STARTED]:
            return
        table, *others, _ = self._tables
        for new, old in zip(others, (rows, reals, heap_reals, heap_keys), strict=True):
            new[: len(old)] = old
        file_rows(table, others[0], int(counts[ROWS]))
        self._tables = (table, *others, counts)

    # --- asking the kernels

    def meet(self, live: LivePositions, query: "_Query", asked: tuple[Any, ...]) -> None:
        """Let the kernel find the next members; they are in ``query`` then."""
        if self._at is None:
            query.counts[OVER] = 1
            return
        asked = (*self._site, self._mode, *asked)
        shapes, places = self.network.shapes, live.places
        people = (
            shapes.start, shapes.degrees, shapes.along_m,
            places.head, places.following, places.edge_of, places.frac_of,
            live.fix_ms, live.suspect_ms, live.fixes, live.modes,
        )  # fmt: skip
        while True:
            full = meet_members(*(*self._graph, *self._tables, *people, *query.tables, *asked))
            if full == FIELD_FULL:
                self._double()
            elif full == QUERY_FULL:
                query.double()
            else:
                return

    def _quickest(self, spot: Spot, limit_s: float) -> tuple[float, float, int, int] | None:
        """Return (seconds, metres, row, arc) as the kernel does; None without a way."""
        start = self.network.usable(spot, self.mode)
        if start is None or self._at is None:
            return None
        asked = (*start, *self._ends(start), *self._site, limit_s)
        while True:
            way = quickest_way(*(*self._graph, *self._tables, *asked))
            if way[2] == FIELD_FULL:
                self._double()
            else:
                return None if way[2] == NO_WAY else way

    def _ends(self, spot: Spot) -> tuple[int, int]:
        return int(self.network.u[spot.edge]), int(self.network.v[spot.edge])

    def _arcs(self, row: int) -> list[int]:
        """Return the arcs from a junction to the site; the last one is the site's own edge."""
        found = np.empty(ARCS_MIN, dtype=np.int32)
        count = follow(self._tables[1], row, found)
        if count > len(found):
            found = np.empty(count, dtype=np.int32)
            follow(self._tables[1], row, found)
        arcs: list[int] = found[:count].tolist()
        return arcs

    def _whole(self, arc: int) -> Leg:
        backward = arc & 1
        return self._leg(arc >> 1, float(backward), float(1 - backward))

    def _leg(self, edge: int, from_frac: float, to_frac: float) -> Leg:
        share = abs(to_frac - from_frac)
        time_s = share * float(self._arc_s[2 * edge + (from_frac > to_frac)]) if share else 0.0
        length_m = share * self.network.lengths_m[edge]
        return Leg(edge, self.network.road_of(edge), from_frac, to_frac, time_s, length_m)


class Walk:
    """A walk through the members in the order of their travel time, from limit to limit.

    ``live`` should not change while it goes on.
    """

    def __init__(
        self, field: CompiledField, live: LivePositions, fresh_since_ms: int | None, wanted: int
    ) -> None:
        """Stand at the site; the first ``wanted`` are looked for at once, then twice as many."""
        self._field, self._live = field, live
        self._since_ms = EVERY_PLACE if fresh_since_ms is None else fresh_since_ms
        self._wanted = wanted
        self._query = _Query()
        self._met: set[int] = set()

    def until(self, limit_s: float) -> Iterator[Reached]:
        """Yield those who are next, up to ``limit_s``; a later call goes on from there."""
        query, ids, met = self._query, self._live.ids, self._met
        query.counts[OVER] = 0
        while not query.counts[OVER]:
            self._field.meet(self._live, query, (self._since_ms, limit_s, self._wanted))
            self._wanted *= 2
            found = query.taken()
            # Those of equal times come together, in no order.
            found.sort(key=lambda at: (at[0], ids[at[6] >> 1]))
            for each in found:
                place = each[6]
                if place not in met:
                    met.add(place)
                    yield _reached(ids[place >> 1], each)


def _reached(member_id: str, found: "_Found") -> Reached:
    eta_s, metres, frac, lon, lat, accuracy_m, place, edge, fix_ms, suspect_ms = found
    seen = fix_ms != NEVER_MS
    return Reached(
        member_id,
        eta_s,
        metres,
        Spot(edge, frac),
        bool(place & 1),
        lon,
        lat,
        fix_ms if seen else None,
        accuracy_m if seen and accuracy_m == accuracy_m else None,  # noqa: PLR0124 - not nan
        suspect_ms == NEVER_MS,
    )


class _Query:
    """One walk through the members: how far it has come, and who was met on the way."""

    def __init__(self) -> None:
        self.counts = np.zeros(QUERY_COUNTS, dtype=np.int64)
        self._waiting_reals = np.empty((WAITING_MIN, 2), dtype=np.float64)
        self._waiting_places = np.empty(WAITING_MIN, dtype=np.int64)
        self._found_reals = np.empty((FOUND_MIN, FOUND_REALS), dtype=np.float64)
        self._found_places = np.empty((FOUND_MIN, FOUND_PLACES), dtype=np.int64)

    @property
    def tables(self) -> tuple[Any, ...]:
        """The arrays as the kernel takes them."""
        return (
            self._waiting_reals, self._waiting_places, self.counts,
            self._found_reals, self._found_places,
        )  # fmt: skip

    def double(self) -> None:
        """Make room for twice as many members."""
        self._waiting_reals = np.concatenate((self._waiting_reals, self._waiting_reals))
        self._waiting_places = np.concatenate((self._waiting_places, self._waiting_places))
        self._found_reals = np.concatenate((self._found_reals, self._found_reals))
        self._found_places = np.concatenate((self._found_places, self._found_places))

    def taken(self) -> list["_Found"]:
        """Take those found."""
        count = int(self.counts[FOUND])
        self.counts[FOUND] = 0
        reals = self._found_reals[:count].tolist()
        places = self._found_places[:count].tolist()
        return [(*real, *place) for real, place in zip(reals, places, strict=True)]


_Found = tuple[float, float, float, float, float, float, int, int, int, int]
"""A member found: (eta_s, metres, frac, lon, lat, accuracy_m, place, edge, fix_ms, suspect_ms)."""


def travel_field(
    network: Network,
    site: Site,
    mode: Mode,
    closed: frozenset[str] = frozenset(),
    *,
    compiled: bool = COMPILED,
) -> CompiledField | TravelField:
    """Return the field of a site: the compiled one, where kernels are compiled."""
    return (CompiledField if compiled else TravelField)(network, site, mode, closed)
