"""The compiled twin of ``search.TravelField``: the same answers, an order of magnitude quicker.

All that takes time is in ``search_kernel``; here are the tables that it works on, and its answers
turned into those of the field in plain Python. A field starts small and grows with what it
reaches, so that hundreds can be kept for the incidents under way.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from math import inf
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from xiaohe.geo.geometry import Spot
from xiaohe.geo.kernels import COMPILED
from xiaohe.geo.live import NEVER_MS, LivePositions
from xiaohe.geo.network import Network
from xiaohe.geo.places import EVERY_PLACE
from xiaohe.geo.roads import MODES, LonLat, Mode
from xiaohe.geo.search import TravelFields
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
    SITE_COLUMNS,
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

_NUMBER: Final[Mapping[Mode, int]] = MappingProxyType({mode: n for n, mode in enumerate(MODES)})
"""Modes by their number in arrays."""

WANTED: Final = 8
"""Members found at a time: most questions are answered by the first few."""


class CompiledField:
    """Travel times to one site, for one or more modes and one set of closed roads.

    See ``search.TravelField``, whose public methods these are. Of several modes all members are
    met in one order of time.
    """

    def __init__(
        self,
        network: Network,
        site: Site,
        modes: Mode | tuple[Mode, ...],
        closed: frozenset[str] = frozenset(),
    ) -> None:
        """Stand at the site; nothing is searched until it is asked for."""
        self.network = network
        self.site = site
        self.modes: tuple[Mode, ...] = (modes,) if isinstance(modes, str) else modes
        together, layer_of = network.all_modes, network.layers(closed)
        # Layer 0 is the open network, the last one that of arriving along the site's closed road.
        layers = len(closed) + 2 if layer_of.size else 1
        self._arc_s = together.arc_s
        self._graph: tuple[Any, ...] = (
            together.ptr, together.arcs, together.time_s, together.arc_s, network.length_m,
            layer_of, network.node_count.bit_length(), layers,
        )  # fmt: skip
        self._at = {mode: network.usable(site.spot, mode) for mode in self.modes}
        sites = [
            (_NUMBER[mode], at.edge, *self._ends(at))
            for mode, at in self._at.items()
            if at is not None
        ]
        self._sites = np.array(sites, dtype=np.int64).reshape(-1, SITE_COLUMNS)
        self._fracs = np.array([at.frac for at in self._at.values() if at is not None])
        self._make_room(ROWS_MIN)

    def eta(self, spot: Spot, limit_s: float = inf, *, mode: Mode | None = None) -> Travel | None:
        """Return the travel from ``spot`` to the site; None if there is no way within limit_s.

        ``mode`` need be named where the field has several.
        """
        way = self._quickest(spot, limit_s, mode or self.modes[0])
        return None if way is None else Travel(way[0], way[1])

    def members(
        self,
        live: LivePositions,
        limit_s: float = inf,
        *,
        fresh_since_ms: int | None = None,
        wanted: int = WANTED,
    ) -> Iterator[Reached]:
        """Yield the members of the field's modes who can reach the site, by (eta_s, member_id).

        ``wanted`` is how many are looked for at a time, at first.
        """
        return self.walk(live, fresh_since_ms, wanted).until(limit_s)

    def walk(
        self, live: LivePositions, fresh_since_ms: int | None = None, wanted: int = WANTED
    ) -> "Walk":
        """Begin to go through the members, as ``members`` does, and stop for each limit asked."""
        return Walk(self, live, fresh_since_ms, wanted)

    def legs(self, spot: Spot, mode: Mode | None = None) -> tuple[Leg, ...]:
        """Return the quickest way from ``spot`` to the site, edge by edge; () without one."""
        mode = mode or self.modes[0]
        way = self._way(spot, mode)
        if way is None:
            return ()
        start, at, row, arc = way
        number = _NUMBER[mode]
        if row == AT_SITE:
            return (self._leg(number, start.edge, start.frac, at.frac),)
        first = self._leg(number, start.edge, start.frac, float(1 - (arc & 1)))
        legs = [first, *(self._whole(number, each) for each in self._arcs(row))]
        legs[-1] = self._leg(number, legs[-1].edge, legs[-1].from_frac, at.frac)
        return tuple(leg for leg in legs if leg.from_frac != leg.to_frac) or (first,)

    def route(self, spot: Spot, mode: Mode | None = None) -> tuple[str, ...]:
        """Return the road_ids from ``spot`` to the site, repeats joined; () without a way."""
        way = self._way(spot, mode or self.modes[0])
        if way is None:
            return ()
        start, at, row, arc = way
        if row == AT_SITE:
            return (self.network.road_of(start.edge),)
        *whole, last = self._arcs(row)
        # Of the first edge and of the last one there may be nothing to travel.
        edges = [start.edge] if start.frac != float(1 - (arc & 1)) else []
        edges += [each >> 1 for each in whole]
        edges += [last >> 1] if at.frac != float(last & 1) else []
        roads = map(self.network.road_of, edges or [start.edge])
        return tuple(road_id for road_id, _ in groupby(roads))

    def path(self, spot: Spot, mode: Mode | None = None) -> list[LonLat]:
        """Return the points (lon, lat) from ``spot`` to the site along the road; [] without."""
        return points_of(self.network, self.legs(spot, mode))

    @property
    def junctions_reached(self) -> int:
        """How far the field has grown."""
        counts = self._tables[-1]
        return int(counts[DONE]) if counts[STARTED] else 0

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
        asked = (self._sites, self._fracs, *asked)
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

    def _way(self, spot: Spot, mode: Mode) -> tuple[Spot, Spot, int, int] | None:
        """Return (where the way starts, where it ends, row, arc); None without a way."""
        start, at = self.network.usable(spot, mode), self._at[mode]
        way = self._quickest(spot, inf, mode)
        if start is None or at is None or way is None:
            return None
        return start, at, way[2], way[3]

    def _quickest(
        self, spot: Spot, limit_s: float, mode: Mode
    ) -> tuple[float, float, int, int] | None:
        """Return (seconds, metres, row, arc) as the kernel does; None without a way."""
        start, at = self.network.usable(spot, mode), self._at[mode]
        if start is None or at is None:
            return None
        asked = (
            self._sites, self._fracs, _NUMBER[mode], *start, *self._ends(start), *at, limit_s,
        )  # fmt: skip
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

    def _whole(self, number: int, arc: int) -> Leg:
        backward = arc & 1
        return self._leg(number, arc >> 1, float(backward), float(1 - backward))

    def _leg(self, number: int, edge: int, from_frac: float, to_frac: float) -> Leg:
        share = abs(to_frac - from_frac)
        arc = 2 * edge + (from_frac > to_frac)
        time_s = share * float(self._arc_s[arc, number]) if share else 0.0
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
        edge,
        frac,
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
    modes: tuple[Mode, ...],
    closed: frozenset[str] = frozenset(),
    *,
    compiled: bool = COMPILED,
) -> CompiledField | TravelFields:
    """Return the field of a site: the compiled one, where kernels are compiled."""
    return (CompiledField if compiled else TravelFields)(network, site, modes, closed)
