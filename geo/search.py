"""Who is nearest by travel time: one lazily grown search outwards from a place.

A ``TravelField`` holds the time *to* its site from every junction reached so far. It grows over
the reversed network by Dijkstra's algorithm, no farther than a question needs, and keeps what it
has grown; junctions and members are met in one order of time. What it counts is travel alone:
the way between a road and a place off it (``Site.off_road_m``) is not in it.

**Partial pieces.** A spot is a share of an edge, and only the rest of the edge is travelled, at
both ends; on the site's own edge the straight way counts where its direction is allowed. A spot
exactly at an end stands on the junction and may leave it any way.

**Modes.** Where the site's edge, or a member's, is one that the mode cannot use, the nearest
usable point stands for it (``Network.usable``); the way from there is not counted.

**Closed roads** are not passed through, but they may be left and arrived at: whoever stands on one
may follow it to where it meets an open road, and if the site lies on one, it may be followed from
where the traveller turns into it. So a closed road is only ever the first or the last stretch.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, merge
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import Spot, interpolate
from xiaohe.geo.live import LivePositions
from xiaohe.geo.network import BACKWARD, Network
from xiaohe.geo.places import EVERY_PLACE, NOWHERE
from xiaohe.geo.roads import LonLat, Mode
from xiaohe.geo.snap import Site
from xiaohe.geo.ways import Leg, Reached, Travel, points_of, roads_of

_AT_SITE: Final = -1
"""Instead of the next key: the leg ends at the site."""

_NO_ARC: Final = -1
"""Instead of an arc: the same junction under another key."""

_Key = int
"""layer * nodes + node. Layer 0 is the open network; each closed road has a layer for leaving
it, and the site's road, if closed, one more for arriving. Without closed roads a key is a node."""


class TravelField:
    """Travel times to one site, for one mode and one set of closed roads."""

    def __init__(
        self,
        network: Network,
        site: Site,
        mode: Mode,
        closed: frozenset[str] = frozenset(),
    ) -> None:
        """Stand at the site; nothing is searched until it is asked for."""
        self.network = network
        self.site = site
        self.mode = mode
        self._entering = network.graphs[mode].entering
        self._forward_s, self._backward_s = network.graphs[mode].times_s
        self._lengths_m = network.lengths_m
        self._nodes = network.node_count
        self._at = network.usable(site.spot, mode)
        self._layer_of = {
            edge: layer
            for layer, road_id in enumerate(sorted(closed & network.roads.keys()), 1)
            for edge in network.roads[road_id]
        }
        self._arriving = len(closed) + 1
        self._time_s: dict[_Key, float] = {}
        self._metres: dict[_Key, float] = {}
        self._via: dict[_Key, tuple[int, _Key]] = {}
        self._order: list[_Key] = []
        self._settled: set[_Key] = set()
        self._frontier: list[tuple[float, _Key]] = []
        if self._at is not None:
            self._start(self._at)

    def eta(self, spot: Spot, limit_s: float = inf) -> Travel | None:
        """Return the travel from ``spot`` to the site; None if there is no way within limit_s."""
        best = self._quickest(spot, limit_s)
        if best is None or best.time_s > limit_s:
            return None
        return Travel(best.time_s, best.metres)

    def members(
        self,
        live: LivePositions,
        limit_s: float = inf,
        *,
        fresh_since_ms: int | None = None,
        wanted: int = 1,
    ) -> Iterator[Reached]:
        """Yield the field's mode's members who can reach the site, by (eta_s, member_id).

        The search grows only as far as is read. ``live`` is read as the search meets each edge,
        so it should not change while one iterator is read; a new one sees the members anew.
        Each comes once, from where ``places.stands_at`` says; without ``fresh_since_ms`` somebody
        with both a fix and a post comes once for each. ``wanted`` is a hint to the compiled twin.
        """
        return self.walk(live, fresh_since_ms, wanted).until(limit_s)

    def walk(
        self,
        live: LivePositions,
        fresh_since_ms: int | None = None,
        wanted: int = 1,  # noqa: ARG002 - as in members
    ) -> "Walk":
        """Begin to go through the members, as ``members`` does, and stop for each limit asked."""
        return Walk(self, live, fresh_since_ms)

    def legs(self, spot: Spot) -> tuple[Leg, ...]:
        """Return the quickest way from ``spot`` to the site, edge by edge; () without one."""
        best = self._quickest(spot, inf)
        if best is None:
            return ()
        legs = [best.first] if best.first.from_frac != best.first.to_frac else []
        key = best.key
        while key != _AT_SITE:
            arc, next_key = self._via[key]
            if next_key == _AT_SITE:
                assert self._at is not None
                edge, backward = arc >> 1, arc & 1
                legs.append(self._leg(edge, 1.0 if backward == BACKWARD else 0.0, self._at.frac))
            elif arc != _NO_ARC:
                backward = arc & 1
                legs.append(self._leg(arc >> 1, float(backward), float(1 - backward)))
            key = next_key
        return tuple(leg for leg in legs if leg.from_frac != leg.to_frac) or (best.first,)

    def route(self, spot: Spot) -> tuple[str, ...]:
        """Return the road_ids from ``spot`` to the site, repeats joined; () without a way."""
        return roads_of(self.legs(spot))

    def path(self, spot: Spot) -> list[LonLat]:
        """Return the points (lon, lat) from ``spot`` to the site along the road; [] without."""
        return points_of(self.network, self.legs(spot))

    @property
    def junctions_reached(self) -> int:
        """How far the field has grown."""
        return len(self._order)

    # --- growing

    def _start(self, at: Spot) -> None:
        """Put the ends of the site's edge on the frontier."""
        layer = self._layer_of.get(at.edge, 0)
        arriving = self._arriving if layer else 0
        for node, arc, share in self._ends(at, towards_spot=True):
            step_s = self._arc_time(arc, share)
            if step_s < inf:
                key = arriving * self._nodes + node
                self._offer(key, step_s, share * self._lengths_m[at.edge], arc, _AT_SITE)
        if layer:
            self._arrive_along(layer)

    def _arrive_along(self, layer: int) -> None:
        """Follow the site's closed road outwards, and start from wherever it can be entered."""
        base = self._arriving * self._nodes
        reached: list[_Key] = []
        while self._frontier:
            time_s, key = heappop(self._frontier)
            if key in self._settled:
                continue
            self._settled.add(key)
            reached.append(key)
            for tail, arc, step_s in self._entering[key - base]:
                if self._layer_of.get(arc >> 1) == layer:
                    self._step(base + tail, key, arc, time_s + step_s)
        for key in reached:
            self._offer(key - base, self._time_s[key], self._metres[key], _NO_ARC, key)

    def _grow(self) -> bool:
        """Settle the next junction; False when all that can be reached are settled."""
        frontier, settled = self._frontier, self._settled
        while frontier:
            time_s, key = heappop(frontier)
            if key in settled:
                continue
            settled.add(key)
            self._order.append(key)
            if self._layer_of:
                self._expand_with_closures(key, time_s)
                return True
            best, metres, via, lengths_m = self._time_s, self._metres, self._via, self._lengths_m
            here_m = metres[key]
            for tail, arc, step_s in self._entering[key]:
                tail_s = time_s + step_s
                if tail_s < best.get(tail, inf):
                    best[tail] = tail_s
                    metres[tail] = here_m + lengths_m[arc >> 1]
                    via[tail] = (arc, key)
                    heappush(frontier, (tail_s, tail))
            return True
        return False

    def _expand_with_closures(self, key: _Key, time_s: float) -> None:
        """As without closures; a closed edge leads only into the layer of leaving its road."""
        layer, node = divmod(key, self._nodes)
        for tail, arc, step_s in self._entering[node]:
            closed = self._layer_of.get(arc >> 1, 0)
            if layer in {0, closed}:
                self._step(closed * self._nodes + tail, key, arc, time_s + step_s)

    def _step(self, key: _Key, next_key: _Key, arc: int, time_s: float) -> None:
        if time_s < inf:
            metres = self._metres[next_key] + self._lengths_m[arc >> 1]
            self._offer(key, time_s, metres, arc, next_key)

    def _offer(self, key: _Key, time_s: float, metres: float, arc: int, next_key: _Key) -> None:
        if time_s < self._time_s.get(key, inf):
            self._time_s[key] = time_s
            self._metres[key] = metres
            self._via[key] = (arc, next_key)
            heappush(self._frontier, (time_s, key))

    # --- spots

    def _arc_time(self, arc: int, share: float) -> float:
        """Return the seconds of a share of an arc; none of it takes none, even if shut."""
        if share == 0.0:
            return 0.0
        times_s = self._backward_s if arc & 1 else self._forward_s
        return share * times_s[arc >> 1]

    def _ends(self, spot: Spot, *, towards_spot: bool) -> Iterator[tuple[int, int, float]]:
        """Yield (node, arc, share of the edge) of both ends: from the node to the spot, or back."""
        edge, frac = spot
        u, v = int(self.network.u[edge]), int(self.network.v[edge])
        forward, backward = 2 * edge, 2 * edge + 1
        yield u, forward if towards_spot else backward, frac
        yield v, backward if towards_spot else forward, 1.0 - frac

    def _straight(self, edge: int, frac: float) -> "_Way | None":
        """Return the way along the site's own edge, where it may be travelled in that direction."""
        at = self._at
        if at is None or at.edge != edge:
            return None
        arc = 2 * edge + (BACKWARD if frac > at.frac else 0)
        share = abs(at.frac - frac)
        time_s = self._arc_time(arc, share)
        if time_s == inf:
            return None
        leg = self._leg(edge, frac, at.frac)
        return _Way(time_s, share * self._lengths_m[edge], leg, _AT_SITE)

    def _quickest(self, spot: Spot, limit_s: float) -> "_Way | None":
        """Return the quickest way from a spot, growing no farther than that takes."""
        start = self.network.usable(spot, self.mode)
        if start is None:
            return None
        best = self._straight(start.edge, start.frac)
        layers = {0, self._layer_of.get(start.edge, 0)}
        ends = [
            (layer * self._nodes + node, arc, share)
            for node, arc, share in self._ends(start, towards_spot=False)
            for layer in layers
            if self._arc_time(arc, share) < inf
        ]
        while ends:
            for key, arc, share in ends:
                if key in self._settled:
                    best = self._quicker(best, start, key, arc, share)
            ends = [end for end in ends if end[0] not in self._settled]
            if ends and not self._grow_to({key for key, _, _ in ends}, best, limit_s):
                break
        return best

    def _grow_to(self, keys: set[_Key], best: "_Way | None", limit_s: float) -> bool:
        """Grow until one of ``keys`` is settled; False when that cannot better ``best``."""
        bound_s = inf if best is None else best.time_s
        while self._frontier:
            next_s = self._frontier[0][0]
            if next_s >= bound_s or next_s > limit_s or not self._grow():
                return False
            if self._order[-1] in keys:
                return True
        return False

    def _quicker(
        self, best: "_Way | None", start: Spot, key: _Key, arc: int, share: float
    ) -> "_Way":
        time_s = self._time_s[key] + self._arc_time(arc, share)
        if best is not None and best.time_s <= time_s:
            return best
        to_frac = 0.0 if arc & 1 else 1.0
        metres = self._metres[key] + share * self._lengths_m[start.edge]
        return _Way(time_s, metres, self._leg(start.edge, start.frac, to_frac), key)

    def _leg(self, edge: int, from_frac: float, to_frac: float) -> Leg:
        share = abs(to_frac - from_frac)
        time_s = self._arc_time(2 * edge + (BACKWARD if from_frac > to_frac else 0), share)
        length_m = share * self._lengths_m[edge]
        return Leg(edge, self.network.road_of(edge), from_frac, to_frac, time_s, length_m)

    # --- members, for ``Walk``

    def settle(self, index: int) -> float:
        """Grow until ``index`` junctions and one more are settled; return the time of that one."""
        while len(self._order) <= index:
            if not self._grow():
                return inf
        return self._time_s[self._order[index]]

    def straight_from(self, frac: float) -> tuple[float, float] | None:
        """Return (seconds, metres) along the site's own edge, where it may be travelled so."""
        assert self._at is not None, "without a site there is no edge of it"
        way = self._straight(self._at.edge, frac)
        return None if way is None else (way.time_s, way.metres)

    @property
    def site_edge(self) -> int | None:
        """The edge of the site; None where the mode gets to no road near it."""
        return None if self._at is None else self._at.edge

    def approaches(self, index: int, head: NDArray[np.int32]) -> "list[_Approach]":
        """Return the edges that lead to a settled junction and have somebody on them.

        ``head`` is ``places.Places.head``: most edges are empty, and this is asked of all.
        """
        key = self._order[index]
        layer, node = divmod(key, self._nodes)
        here_s, here_m = self._time_s[key], self._metres[key]
        return [
            (arc, here_s, here_m, step_s, self._lengths_m[arc >> 1])
            for _tail, arc, step_s in self._entering[node]
            if head[arc >> 1] != NOWHERE and (not layer or self._layer_of.get(arc >> 1, 0) == layer)
        ]


_Approach = tuple[int, float, float, float, float]
"""An edge towards a junction: (arc, time_s and metres of the junction, step_s, length_m)."""


class TravelFields:
    """The fields of one or more modes, asked as one: the compiled field's other twin."""

    def __init__(
        self,
        network: Network,
        site: Site,
        modes: tuple[Mode, ...],
        closed: frozenset[str] = frozenset(),
    ) -> None:
        """Stand at the site; nothing is searched until it is asked for."""
        self.site = site
        self.modes = modes
        self._fields = {mode: TravelField(network, site, mode, closed) for mode in modes}

    def eta(self, spot: Spot, limit_s: float = inf, *, mode: Mode | None = None) -> Travel | None:
        """Return the travel from ``spot`` to the site by a mode; see ``TravelField.eta``."""
        return self._fields[mode or self.modes[0]].eta(spot, limit_s)

    def legs(self, spot: Spot, mode: Mode | None = None) -> tuple[Leg, ...]:
        """Return the way from ``spot`` to the site by a mode; see ``TravelField.legs``."""
        return self._fields[mode or self.modes[0]].legs(spot)

    def route(self, spot: Spot, mode: Mode | None = None) -> tuple[str, ...]:
        """Return the road_ids from ``spot`` to the site by a mode; see ``TravelField.route``."""
        return self._fields[mode or self.modes[0]].route(spot)

    def path(self, spot: Spot, mode: Mode | None = None) -> list[LonLat]:
        """Return the points from ``spot`` to the site by a mode; see ``TravelField.path``."""
        return self._fields[mode or self.modes[0]].path(spot)

    @property
    def junctions_reached(self) -> int:
        """How far the fields have grown, all together."""
        return sum(field.junctions_reached for field in self._fields.values())

    def members(
        self,
        live: LivePositions,
        limit_s: float = inf,
        *,
        fresh_since_ms: int | None = None,
        wanted: int = 1,
    ) -> Iterator[Reached]:
        """Yield the members of all modes, by (eta_s, member_id); see ``TravelField.members``."""
        return self.walk(live, fresh_since_ms, wanted).until(limit_s)

    def walk(
        self, live: LivePositions, fresh_since_ms: int | None = None, wanted: int = 1
    ) -> "Walks":
        """Begin to go through the members of all modes, and stop for each limit asked."""
        fields = self._fields.values()
        return Walks([field.walk(live, fresh_since_ms, wanted) for field in fields])


class Walks:
    """Walks of several modes, merged by (eta_s, member_id)."""

    def __init__(self, walks: "list[Walk]") -> None:
        """Stand at the site."""
        self._walks = walks

    def until(self, limit_s: float) -> Iterator[Reached]:
        """Yield those who are next, up to ``limit_s``; who reads on asks until the limit's end."""
        found = [walk.until(limit_s) for walk in self._walks]
        return merge(*found, key=lambda reached: (reached.eta_s, reached.member_id))


class Walk:
    """A walk through the members in the order of their travel time, from limit to limit.

    ``live`` should not change while it goes on.
    """

    def __init__(self, field: TravelField, live: LivePositions, fresh_since_ms: int | None) -> None:
        """Stand at the site."""
        self._field, self._live = field, live
        self._since_ms = EVERY_PLACE if fresh_since_ms is None else fresh_since_ms
        self._waiting: list[_Waiting] = []
        self._met: set[tuple[str, bool]] = set()
        self._index = 0
        self._meet_on_site_edge()

    def until(self, limit_s: float) -> Iterator[Reached]:
        """Yield those who are next, up to ``limit_s``; a later call goes on from there."""
        field, waiting, head = self._field, self._waiting, self._live.places.head
        while True:
            next_s = field.settle(self._index)
            while waiting and waiting[0][0] < next_s:
                if waiting[0][0] > limit_s:
                    return
                eta_s, member_id, from_post, metres, edge, frac = heappop(waiting)
                if (member_id, from_post) not in self._met:
                    self._met.add((member_id, from_post))
                    yield self._reached(member_id, eta_s, metres, Spot(edge, frac), from_post)
            if next_s > limit_s or next_s == inf:
                return
            for approach in field.approaches(self._index, head):
                self._meet(*approach)
            self._index += 1

    def _meet_on_site_edge(self) -> None:
        edge = self._field.site_edge
        if edge is None:
            return
        for member_id, frac, from_post in self._on(edge):
            way = self._field.straight_from(frac)
            if way is not None:
                heappush(self._waiting, (way[0], member_id, from_post, way[1], edge, frac))

    def _meet(self, arc: int, here_s: float, here_m: float, step_s: float, length_m: float) -> None:
        for member_id, frac, from_post in self._on(arc >> 1):
            share = frac if arc & 1 else 1.0 - frac
            eta_s = here_s if share == 0.0 else here_s + share * step_s
            if eta_s < inf:
                metres = here_m + share * length_m
                heappush(self._waiting, (eta_s, member_id, from_post, metres, arc >> 1, frac))

    def _on(self, edge: int) -> Sequence[tuple[str, float, bool]]:
        return self._live.on_edge(edge, self._field.mode, self._since_ms)

    def _reached(
        self, member_id: str, eta_s: float, metres: float, spot: Spot, from_post: bool
    ) -> Reached:
        shapes = self._field.network.shapes
        lon, lat = interpolate(shapes.start, shapes.degrees, shapes.along_m, *spot)
        track = self._live.track(member_id)
        return Reached(
            member_id,
            eta_s,
            metres,
            spot.edge,
            spot.frac,
            from_post,
            lon,
            lat,
            None if track is None else track.fix_ms,
            None if track is None else track.accuracy_m,
            track is None or track.trusted,
        )


_Waiting = tuple[float, str, bool, float, int, float]
"""A member met and not yet told: (eta_s, member_id, from_post, metres, edge, frac)."""


class _Way(NamedTuple):
    """A quickest way: its first leg, and the junction (or the site) that it leads to."""

    time_s: float
    metres: float
    first: Leg
    key: _Key
