"""The compiled inner loops of the search: growing a field, meeting members, the quickest way.

They do what ``search.TravelField`` does in plain Python, in the same order of operations, so that
both give the same bits. A field's junctions are rows of two tables, found by key through a hash
table: a field costs as much as it has reached, whatever the size of the city.

A key is (plane, junction), the junction in the lowest ``bits``: a plane for each travel mode and
each layer of the closed roads in it.
So one field serves all modes, and meets their members in one order of time. ``time_s`` and
``arc_s`` have a column a mode.

Tables are given with room in them. A kernel that finds none changes nothing that matters and says
so (``FIELD_FULL``, ``QUERY_FULL``); the caller makes more room and calls again.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import interpolate
from xiaohe.geo.heap import heap_pop, heap_push
from xiaohe.geo.kernels import inlined, kernel
from xiaohe.geo.live import ACCURACY_M
from xiaohe.geo.places import stands_at

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Reals = NDArray[np.float64]
Small = NDArray[np.int8]

# Columns of a field's rows: whole numbers …
KEY, ARC, NEXT, SETTLED, ORDER = range(5)
"""``NEXT`` is the row that the arc leads to; ``ORDER`` of row i is the i-th row to be settled."""
INT_COLUMNS = 5
# … and reals.
TIME, METRES = range(2)

# A field's counts.
ROWS, FRONTIER, DONE, STARTED = range(4)
COUNTS = 4

# Columns of a field's sites: where each of its modes gets to.
MODE, EDGE, U, V = range(4)
SITE_COLUMNS = 4
SITE_ENDS_MAX = 6
"""Two ends for each of three modes: offered without asking for room again."""

# A query's counts.
INDEX, WAITING, BEGUN, OVER, FOUND = range(5)
QUERY_COUNTS = 5

AT_SITE = -1
"""Instead of a row: the leg ends at the site."""

NO_ARC = -1
"""Instead of an arc: the same junction under another key."""

NO_WAY = -2
"""Instead of a row: there is no way."""

NO_ROW = -1
"""In the hash table: nothing is here."""

FOUND_REALS = 6
FOUND_PLACES = 4

# What a kernel says instead of a row, or of 0.
EXHAUSTED = -3
FIELD_FULL = -4
QUERY_FULL = -5
GO_ON = -6

ENDS = 4
"""A spot's ends: at u and at v, each in the open network and in the layer of leaving its road."""
ALL_ENDS = (1 << ENDS) - 1

_GOLDEN = 0x9E3779B1
"""2^32 by the golden ratio: Knuth's multiplier for hashing (TAOCP 3, 6.4)."""


@inlined
def _slot(table: Ints, rows: Longs, key: int) -> int:
    """Return where in the hash table a key is, or would be put."""
    mask = table.size - 1
    mixed = key * _GOLDEN
    at = (mixed ^ (mixed >> 15)) & mask
    while True:
        row = table[at]
        if row < 0 or rows[row, KEY] == key:
            return at
        at = (at + 1) & mask


@inlined
def _offer(
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    key: int,
    time_s: float,
    metres: float,
    arc: int,
    next_row: int,
) -> None:
    """Note a way to a junction if it is quicker than the one known."""
    slot = _slot(table, rows, key)
    row = table[slot]
    if row < 0:
        row = counts[ROWS]
        counts[ROWS] += 1
        table[slot] = row
        rows[row, KEY] = key
        rows[row, SETTLED] = 0
    elif not time_s < reals[row, TIME]:
        return
    reals[row, TIME], reals[row, METRES] = time_s, metres
    rows[row, ARC], rows[row, NEXT] = arc, next_row
    counts[FRONTIER] = heap_push(heap_reals, heap_keys, counts[FRONTIER], time_s, key, 0.0)


@inlined
def _has_room(table: Ints, heap_keys: Longs, counts: Longs, more: int) -> bool:
    """Say whether so many junctions more can be noted; the hash table stays half empty."""
    fits = 2 * (counts[ROWS] + more) <= table.size
    return bool(fits and counts[FRONTIER] + more <= heap_keys.size)


@inlined
def _offer_ends(
    arc_s: Reals,
    lengths_m: Reals,
    bits: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    site: Longs,
    frac: float,
    plane: int,
) -> None:
    """Put the ends of one mode's edge of the site on the frontier."""
    mode, edge = site[MODE], site[EDGE]
    for side in range(2):
        node = site[V] if side else site[U]
        share = 1.0 - frac if side else frac
        arc = 2 * edge + side
        step_s = 0.0 if share == 0.0 else share * arc_s[arc, mode]
        if step_s < inf:
            _offer(
                table, rows, reals, heap_reals, heap_keys, counts,
                (plane << bits) + node, step_s, share * lengths_m[edge], arc, AT_SITE,
            )  # fmt: skip


@inlined
def _start(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    arc_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    sites: Longs,
    fracs: Reals,
) -> int:
    """Empty the tables and put the ends of the site's edges on the frontier; 0, or ``FIELD_FULL``.

    Where the site's road is closed it is followed outwards first, in the last layer, and the open
    network is entered from wherever it can be left.
    """
    table[:] = NO_ROW
    counts[:] = 0
    reached = 0
    for n in range(len(sites)):
        layer = int(layer_of[sites[n, EDGE]]) if layer_of.size else 0
        if layer:
            plane = sites[n, MODE] * layers + layers - 1
            _offer_ends(
                arc_s, lengths_m, bits, table, rows, reals, heap_reals, heap_keys, counts,
                sites[n], fracs[n], plane,
            )  # fmt: skip
            reached = _arrive_along(
                ptr, arcs, time_s, lengths_m, layer_of, bits, layers,
                table, rows, reals, heap_reals, heap_keys, counts, layer, plane, reached,
            )  # fmt: skip
            if reached < 0:
                return FIELD_FULL
    for i in range(reached):
        row = rows[i, ORDER]
        _offer(
            table, rows, reals, heap_reals, heap_keys, counts,
            rows[row, KEY] - ((layers - 1) << bits),
            reals[row, TIME], reals[row, METRES], NO_ARC, row,
        )  # fmt: skip
    for n in range(len(sites)):
        if not layer_of.size or not layer_of[sites[n, EDGE]]:
            _offer_ends(
                arc_s, lengths_m, bits, table, rows, reals, heap_reals, heap_keys, counts,
                sites[n], fracs[n], sites[n, MODE] * layers,
            )  # fmt: skip
    counts[STARTED] = 1
    return 0


@kernel
def _arrive_along(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    layer: int,
    plane: int,
    reached: int,
) -> int:
    """Follow the site's closed road outwards; its junctions are noted behind the first ``reached``.

    Returns how many are noted then; below zero where there was no room.
    """
    base, mode = plane << bits, plane // layers
    while counts[FRONTIER]:
        here_s, key = heap_reals[0, 0], heap_keys[0]
        row = table[_slot(table, rows, key)]
        node = key - base
        more = ptr[node + 1] - ptr[node] + reached + SITE_ENDS_MAX
        if not _has_room(table, heap_keys, counts, more):
            return FIELD_FULL
        counts[FRONTIER] = heap_pop(heap_reals, heap_keys, counts[FRONTIER])
        if rows[row, SETTLED]:
            continue
        rows[row, SETTLED] = 1
        rows[reached, ORDER] = row
        reached += 1
        for at in range(ptr[node], ptr[node + 1]):
            arc = int(arcs[at, 1])
            if layer_of[arc >> 1] == layer and time_s[at, mode] < inf:
                metres = reals[row, METRES] + lengths_m[arc >> 1]
                _offer(
                    table, rows, reals, heap_reals, heap_keys, counts,
                    base + int(arcs[at, 0]), here_s + time_s[at, mode], metres, arc, row,
                )  # fmt: skip
    return reached


@inlined
def _grow(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
) -> int:
    """Settle the next junction; return its row, ``EXHAUSTED``, or ``FIELD_FULL``."""
    while counts[FRONTIER]:
        here_s, key = heap_reals[0, 0], heap_keys[0]
        row = table[_slot(table, rows, key)]
        if rows[row, SETTLED]:
            counts[FRONTIER] = heap_pop(heap_reals, heap_keys, counts[FRONTIER])
            continue
        plane = key >> bits
        node, mode = key - (plane << bits), plane if layers == 1 else plane // layers
        layer = plane - mode * layers
        if not _has_room(table, heap_keys, counts, ptr[node + 1] - ptr[node]):
            return FIELD_FULL
        counts[FRONTIER] = heap_pop(heap_reals, heap_keys, counts[FRONTIER])
        rows[row, SETTLED] = 1
        rows[counts[DONE], ORDER] = row
        counts[DONE] += 1
        here_m = reals[row, METRES]
        for at in range(ptr[node], ptr[node + 1]):
            tail_s = here_s + time_s[at, mode]
            if not tail_s < inf:
                continue
            arc = int(arcs[at, 1])
            # A closed edge leads only into the layer of leaving its road.
            closed = int(layer_of[arc >> 1]) if layer_of.size else 0
            if layer != 0 and layer != closed:  # noqa: PLR1714 - the quicker way to say it
                continue
            _offer(
                table, rows, reals, heap_reals, heap_keys, counts,
                ((mode * layers + closed) << bits) + int(arcs[at, 0]),
                tail_s, here_m + lengths_m[arc >> 1], arc, row,
            )  # fmt: skip
        return int(row)
    return EXHAUSTED


@kernel
def meet_members(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    arc_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    start: Longs,
    degrees: Reals,
    along_m: Reals,
    head: Ints,
    following: Ints,
    edge_of: Ints,
    frac_of: Reals,
    fix_ms: Longs,
    suspect_ms: Longs,
    fixes: Reals,
    modes: Small,
    waiting_reals: Reals,
    waiting_places: Longs,
    query: Longs,
    found_reals: Reals,
    found_places: Longs,
    sites: Longs,
    fracs: Reals,
    fresh_since_ms: int,
    limit_s: float,
    want: int,
) -> int:
    """Find the next members in the order of their travel time, ``want`` of them or some more.

    They are written to ``found_places`` (place, edge, fix_ms, suspect_ms) and ``found_reals``
    (eta_s, metres, frac, lon, lat, accuracy_m), ``query[FOUND]`` of them, for the caller to take
    and to set that to 0; all who have the last one's time are among them. ``query`` goes on where
    it stood; who was found by an earlier call may come again, the first time with the right
    figures. ``query[OVER]`` says that nobody is left within ``limit_s``. Returns 0, or asks for
    room: ``FIELD_FULL``, ``QUERY_FULL``.
    """
    if not counts[STARTED] and _start(
        ptr, arcs, time_s, arc_s, lengths_m, layer_of, bits, layers,
        table, rows, reals, heap_reals, heap_keys, counts,
        sites, fracs,
    ) == FIELD_FULL:  # fmt: skip
        return FIELD_FULL
    if not query[BEGUN]:
        if not _meet_on_site_edge(
            arc_s, lengths_m, head, following, edge_of, frac_of, fix_ms, modes,
            waiting_reals, waiting_places, query, sites, fracs, fresh_since_ms,
        ):  # fmt: skip
            return QUERY_FULL
        query[BEGUN] = 1
    while True:
        if query[INDEX] < counts[DONE]:
            row = rows[query[INDEX], ORDER]
        else:
            row = _grow(
                ptr, arcs, time_s, lengths_m, layer_of, bits, layers,
                table, rows, reals, heap_reals, heap_keys, counts,
            )  # fmt: skip
            if row == FIELD_FULL:
                return FIELD_FULL
        next_s = inf if row == EXHAUSTED else reals[row, TIME]
        said = _hand_out(
            start, degrees, along_m, edge_of, frac_of, fix_ms, suspect_ms, fixes,
            waiting_reals, waiting_places, query, found_reals, found_places,
            next_s, limit_s, want,
        )  # fmt: skip
        if said != GO_ON:
            return said
        if not _meet_at(
            ptr, arcs, time_s, lengths_m, layer_of, bits, layers, rows[row, KEY], reals[row, TIME],
            reals[row, METRES], head, following, edge_of, frac_of, fix_ms, modes,
            waiting_reals, waiting_places, query, fresh_since_ms,
        ):  # fmt: skip
            return QUERY_FULL
        query[INDEX] += 1


@inlined
def _straight(
    arc_s: Reals, lengths_m: Reals, mode: int, edge: int, from_frac: float, to_frac: float
) -> tuple[float, float, int]:
    """Return (seconds, metres, arc) along one edge; infinite where it may not be travelled so."""
    share = abs(to_frac - from_frac)
    arc = 2 * edge + (from_frac > to_frac)
    return 0.0 if share == 0.0 else share * arc_s[arc, mode], share * lengths_m[edge], arc


@inlined
def _is_among(found_places: Longs, found: int, place: int) -> bool:
    """Say whether a place was found in this call already: over its edge's other end."""
    for i in range(found):  # noqa: SIM110 - a loop is what is compiled
        if found_places[i, 0] == place:
            return True
    return False


@inlined
def _hand_out(
    start: Longs,
    degrees: Reals,
    along_m: Reals,
    edge_of: Ints,
    frac_of: Reals,
    fix_ms: Longs,
    suspect_ms: Longs,
    fixes: Reals,
    waiting_reals: Reals,
    waiting_places: Longs,
    query: Longs,
    found_reals: Reals,
    found_places: Longs,
    next_s: float,
    limit_s: float,
    want: int,
) -> int:
    """Find those who are nearer than the next junction; 0 where that is enough, or all.

    Else ``GO_ON``, or ``QUERY_FULL``.
    """
    while query[WAITING] and waiting_reals[0, 0] < next_s:
        found, place = query[FOUND], waiting_places[0]
        eta_s, metres = waiting_reals[0, 0], waiting_reals[0, 1]
        if eta_s > limit_s:
            query[OVER] = 1
            return 0
        if found >= want and eta_s > found_reals[found - 1, 0]:
            return 0
        if found == len(found_places):
            return QUERY_FULL
        query[WAITING] = heap_pop(waiting_reals, waiting_places, query[WAITING])
        if _is_among(found_places, found, place):
            continue
        edge, frac, slot = edge_of[place], frac_of[place], place >> 1
        lon, lat = interpolate(start, degrees, along_m, edge, frac)
        found_reals[found, 0], found_reals[found, 1], found_reals[found, 2] = eta_s, metres, frac
        found_reals[found, 3], found_reals[found, 4] = lon, lat
        found_reals[found, 5] = fixes[slot, ACCURACY_M]
        found_places[found, 0], found_places[found, 1] = place, edge
        found_places[found, 2], found_places[found, 3] = fix_ms[slot], suspect_ms[slot]
        query[FOUND] = found + 1
    if next_s > limit_s or next_s == inf:
        query[OVER] = 1
        return 0
    return 0 if query[FOUND] >= want else GO_ON


@kernel
def _meet_on_site_edge(
    arc_s: Reals,
    lengths_m: Reals,
    head: Ints,
    following: Ints,
    edge_of: Ints,
    frac_of: Reals,
    fix_ms: Longs,
    modes: Small,
    waiting_reals: Reals,
    waiting_places: Longs,
    query: Longs,
    sites: Longs,
    fracs: Reals,
    fresh_since_ms: int,
) -> bool:
    """Let those on the site's own edges come straight along them; False where was no room."""
    for n in range(len(sites)):
        mode, edge = sites[n, MODE], sites[n, EDGE]
        place = head[edge]
        while place >= 0:
            way_s, metres, _ = _straight(arc_s, lengths_m, mode, edge, frac_of[place], fracs[n])
            if way_s < inf and stands_at(place, modes, fix_ms, edge_of, mode, fresh_since_ms):
                if query[WAITING] == waiting_places.size:
                    return False
                query[WAITING] = heap_push(
                    waiting_reals, waiting_places, query[WAITING], way_s, place, metres
                )
            place = following[place]
    return True


@inlined
def _meet_at(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    key: int,
    here_s: float,
    here_m: float,
    head: Ints,
    following: Ints,
    edge_of: Ints,
    frac_of: Reals,
    fix_ms: Longs,
    modes: Small,
    waiting_reals: Reals,
    waiting_places: Longs,
    query: Longs,
    fresh_since_ms: int,
) -> bool:
    """Let those come who stand on an edge that leads to a junction just settled.

    False where there was no room for all; calling again meets some twice, which is harmless.
    """
    plane = key >> bits
    node, mode = key - (plane << bits), plane if layers == 1 else plane // layers
    layer = plane - mode * layers
    for at in range(ptr[node], ptr[node + 1]):
        arc = int(arcs[at, 1])
        edge = arc >> 1
        place = head[edge]
        if place < 0 or (layer and layer_of[edge] != layer):
            continue
        while place >= 0:
            share = frac_of[place] if arc & 1 else 1.0 - frac_of[place]
            eta_s = here_s if share == 0.0 else here_s + share * time_s[at, mode]
            if eta_s < inf and stands_at(place, modes, fix_ms, edge_of, mode, fresh_since_ms):
                if query[WAITING] == waiting_places.size:
                    return False
                metres = here_m + share * lengths_m[edge]
                query[WAITING] = heap_push(
                    waiting_reals, waiting_places, query[WAITING], eta_s, place, metres
                )
            place = following[place]
    return True


@inlined
def _over_the_ends(
    arc_s: Reals,
    lengths_m: Reals,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    mode: int,
    edge: int,
    frac: float,
    u: int,
    v: int,
    layer: int,
    looked_at: int,
    best_s: float,
    best_m: float,
    best_row: int,
    best_arc: int,
) -> tuple[int, float, float, int, int]:
    """Better the best way by those over the ends of the edge that are settled by now.

    ``looked_at`` has a bit for each end that need not be looked at again.
    """
    for end in range(ENDS):
        if looked_at >> end & 1:
            continue
        share = 1.0 - frac if end & 1 else frac
        arc = 2 * edge + 1 - (end & 1)
        step_s = 0.0 if share == 0.0 else share * arc_s[arc, mode]
        key = ((mode * layers + (layer if end >> 1 else 0)) << bits) + (v if end & 1 else u)
        row = int(table[_slot(table, rows, key)])
        if not step_s < inf or (end >> 1 and not layer):
            looked_at |= 1 << end
        elif row >= 0 and rows[row, SETTLED]:
            looked_at |= 1 << end
            if reals[row, TIME] + step_s < best_s:
                best_s, best_row, best_arc = reals[row, TIME] + step_s, row, arc
                best_m = reals[row, METRES] + share * lengths_m[edge]
    return looked_at, best_s, best_m, best_row, best_arc


@kernel
def quickest_way(
    ptr: Longs,
    arcs: Ints,
    time_s: Reals,
    arc_s: Reals,
    lengths_m: Reals,
    layer_of: Ints,
    bits: int,
    layers: int,
    table: Ints,
    rows: Longs,
    reals: Reals,
    heap_reals: Reals,
    heap_keys: Longs,
    counts: Longs,
    sites: Longs,
    fracs: Reals,
    mode: int,
    edge: int,
    frac: float,
    u: int,
    v: int,
    site_edge: int,
    site_frac: float,
    limit_s: float,
) -> tuple[float, float, int, int]:
    """Find the quickest way from a spot, growing no farther than that takes.

    Returns (seconds, metres, row, arc): the first leg follows ``arc`` to the junction of ``row``
    (``AT_SITE``: straight to the site; ``NO_WAY``; ``FIELD_FULL`` asks for room).
    """
    if not counts[STARTED] and _start(
        ptr, arcs, time_s, arc_s, lengths_m, layer_of, bits, layers,
        table, rows, reals, heap_reals, heap_keys, counts,
        sites, fracs,
    ) == FIELD_FULL:  # fmt: skip
        return inf, inf, FIELD_FULL, NO_ARC
    best_s, best_m, best_row, best_arc = inf, inf, NO_WAY, NO_ARC
    if edge == site_edge:
        best_s, best_m, best_arc = _straight(arc_s, lengths_m, mode, edge, frac, site_frac)
        best_row = AT_SITE if best_s < inf else NO_WAY
    layer = int(layer_of[edge]) if layer_of.size else 0
    looked_at = 0
    while True:
        looked_at, best_s, best_m, best_row, best_arc = _over_the_ends(
            arc_s, lengths_m, bits, layers, table, rows, reals, mode, edge, frac, u, v, layer,
            looked_at, best_s, best_m, best_row, best_arc,
        )  # fmt: skip
        if looked_at == ALL_ENDS or not counts[FRONTIER]:
            break
        if heap_reals[0, 0] >= best_s or heap_reals[0, 0] > limit_s:
            break
        grown = _grow(
            ptr, arcs, time_s, lengths_m, layer_of, bits, layers,
            table, rows, reals, heap_reals, heap_keys, counts,
        )  # fmt: skip
        if grown == FIELD_FULL:
            return inf, inf, FIELD_FULL, NO_ARC
    if best_s > limit_s:
        return inf, inf, NO_WAY, NO_ARC
    return best_s, best_m, best_row, best_arc


@kernel
def follow(rows: Longs, row: int, found: Ints) -> int:
    """Write the arcs from a junction to the site, in the order of travel; return how many.

    Where ``found`` is too short the number is larger than its size.
    """
    count = 0
    while row >= 0:
        arc = rows[row, ARC]
        if arc != NO_ARC:
            if count < found.size:
                found[count] = arc
            count += 1
        row = rows[row, NEXT]
    return count


@kernel
def file_rows(table: Ints, rows: Longs, count: int) -> None:
    """Put the rows of a field into a hash table, and nothing else."""
    table[:] = NO_ROW
    for row in range(count):
        table[_slot(table, rows, rows[row, KEY])] = row
