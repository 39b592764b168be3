"""From a place to its road: by position, by road_id, by the text of an address."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final
from unicodedata import normalize

from xiaohe.geo.geometry import Nearest, Spot
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode

__all__ = ["SNAP_MAX_M", "Site", "Snapper", "Spot"]

SNAP_MAX_M: Final = 300.0
"""Farther than this from every road a place is off the road (the contract's off_road_max_m)."""

STATED_ROAD_M: Final = 50.0
"""A stated road wins over a nearer one up to here: the error of a position between buildings."""


@dataclass(frozen=True, slots=True)
class Site:
    """A true place (``lon``, ``lat``) and the road that leads to it.

    ``access_lon``, ``access_lat`` is the spot on the road, ``off_road_m`` metres away.
    """

    lon: float
    lat: float
    spot: Spot
    road_id: str
    off_road_m: float
    access_lon: float
    access_lat: float


class Snapper:
    """Finds the road of a place. Edges that no mode can use are never found."""

    def __init__(self, network: Network) -> None:
        """Index the network's roads and names, once, in O(E log E)."""
        self.network = network
        self._index = network.index()
        self._names = _Names(network)

    def snap(
        self,
        lon: float,
        lat: float,
        max_m: float = SNAP_MAX_M,
        *,
        prefer_road: str | None = None,
        prefer_within_m: float = STATED_ROAD_M,
        mode: Mode | None = None,
    ) -> Site | None:
        """Return the nearest place on a road (that ``mode``, if given, can use).

        ``prefer_road`` wins over a nearer road where it is within ``prefer_within_m``. None if
        no road is within ``max_m`` metres. Of equally near edges the lowest number is taken.
        """
        near = self.nearest(lon, lat, max_m, mode)
        if prefer_road is not None and near is not None:
            near = self._on_road(near, lon, lat, min(prefer_within_m, max_m), mode, prefer_road)
        if near is None:
            return None
        return self._site(lon, lat, Spot(near.edge, near.frac), near.distance_m)

    def _on_road(
        self, near: Nearest, lon: float, lat: float, reach_m: float, mode: Mode | None, road_id: str
    ) -> Nearest:
        """Return the nearest place on a road if it is within reach, else what is nearest of all."""
        if self.network.road_of(near.edge) == road_id:
            return near
        edges = self.network.roads.get(road_id, ())
        x, y = self.network.projection.to_m(lon, lat)
        found = self.network.index(mode).nearest_of(x, y, reach_m, set(edges)) if edges else None
        return found or near

    def nearest(
        self, lon: float, lat: float, max_m: float = SNAP_MAX_M, mode: Mode | None = None
    ) -> Nearest | None:
        """Return only edge, share and distance of what ``snap`` finds: the quick way for fixes."""
        x, y = self.network.projection.to_m(lon, lat)
        return (self._index if mode is None else self.network.index(mode)).nearest(x, y, max_m)

    def snap_road(self, road_id: str) -> Site | None:
        """Return the point half way along the road's longest connected run.

        That is where to go when only the road is known. None if the road is not on the map or
        no mode can use it.
        """
        usable = self.network.usable_by_any
        edges = [edge for edge in self.network.roads.get(road_id, ()) if usable[edge]]
        if not edges:
            return None
        spot = _middle(self.network, edges)
        return self._site(*self.network.point_at(spot), spot, 0.0)

    def find_address(self, text: str) -> list[str]:
        """Return the road_ids whose name or road_id occurs in ``text``, the longest match first.

        Widths and cases of letters do not count; a match inside a longer one is left out, and
        so is one inside a Latin word. Of roads with one name those come first whose community
        the text names too.
        """
        return self._names.find(text)

    def _site(self, lon: float, lat: float, spot: Spot, off_road_m: float) -> Site:
        access_lon, access_lat = self.network.point_at(spot)
        road_id = self.network.road_of(spot.edge)
        return Site(lon, lat, spot, road_id, off_road_m, access_lon, access_lat)


def _middle(network: Network, edges: list[int]) -> Spot:
    """Return the middle of the longest run through ``edges``.

    The run is the longest of the shortest ways between two ends, found by two sweeps: exact on
    a road without loops, and somewhere sensible on one with them.
    """
    best: tuple[float, int] | None = None
    incident: dict[int, list[int]] = defaultdict(list)
    for edge in edges:
        incident[int(network.u[edge])].append(edge)
        incident[int(network.v[edge])].append(edge)
    unseen = dict.fromkeys(incident)
    while unseen:
        reached, _ = _sweep(network, incident, next(iter(unseen)))
        for node in reached:
            del unseen[node]
        total_m = sum(network.lengths_m[edge] for edge in {e for n in reached for e in incident[n]})
        if best is None or total_m > best[0]:
            best = total_m, _farthest(reached)
    assert best is not None
    reached, back = _sweep(network, incident, best[1])
    far = _farthest(reached)
    if reached[far] == 0.0:  # a single loop
        return Spot(edges[0], 0.5)
    half_m = reached[far] / 2
    node = far
    while reached[back[node][1]] > half_m:
        node = back[node][1]
    edge, before = back[node]
    share = (half_m - reached[before]) / network.lengths_m[edge]
    return Spot(edge, share if int(network.u[edge]) == before else 1.0 - share)


def _farthest(reached: dict[int, float]) -> int:
    return max(reached, key=lambda node: (reached[node], -node))


def _sweep(
    network: Network, incident: dict[int, list[int]], start: int
) -> tuple[dict[int, float], dict[int, tuple[int, int]]]:
    """Return the metres from ``start`` to every node, and by which edge and node it is reached."""
    reached: dict[int, float] = {}
    nearest = {start: 0.0}
    back: dict[int, tuple[int, int]] = {}
    frontier = [(0.0, start)]
    while frontier:
        far_m, node = heappop(frontier)
        if node in reached:
            continue
        reached[node] = far_m
        for edge in incident[node]:
            u, v = int(network.u[edge]), int(network.v[edge])
            other, next_m = (v if u == node else u), far_m + network.lengths_m[edge]
            if next_m < nearest.get(other, inf):
                nearest[other] = next_m
                back[other] = edge, node
                heappush(frontier, (next_m, other))
    return reached, back


class _Names:
    """Names of roads, by their first letters."""

    def __init__(self, network: Network) -> None:
        roads_of: dict[str, set[str]] = defaultdict(set)
        self._communities: dict[str, set[str]] = defaultdict(set)
        for piece in network.pieces:
            roads_of[_plain(piece.road_id)].add(piece.road_id)
            if piece.name:
                roads_of[_plain(piece.name)].add(piece.road_id)
            if piece.community:
                self._communities[piece.road_id].add(_plain(piece.community))
        roads_of.pop("", None)
        self._roads_of = roads_of
        self._by_initial: dict[str, list[str]] = defaultdict(list)
        for name in sorted(roads_of, key=lambda name: (-len(name), name)):
            self._by_initial[name[:2]].append(name)

    def find(self, text: str) -> list[str]:
        """Return the road_ids found, as ``Snapper.find_address`` says."""
        text = _plain(text)
        matches = sorted(self._matches(text), key=lambda match: (match[0] - match[1], match[0]))
        taken: list[tuple[int, int]] = []
        found: dict[str, None] = {}
        for start, end in matches:
            if any(a <= start and end <= b for a, b in taken):
                continue
            taken.append((start, end))
            for road_id in sorted(
                self._roads_of[text[start:end]], key=lambda road: (not self._near(road, text), road)
            ):
                found.setdefault(road_id)
        return list(found)

    def _near(self, road_id: str, text: str) -> bool:
        return any(community in text for community in self._communities.get(road_id, ()))

    def _matches(self, text: str) -> Iterable[tuple[int, int]]:
        for start in range(len(text)):
            for initial in {text[start : start + 2], text[start]}:
                for name in self._by_initial.get(initial, ()):
                    end = start + len(name)
                    if text.startswith(name, start) and _whole_word(text, start, end):
                        yield start, end


def _plain(text: str) -> str:
    return normalize("NFKC", text).casefold().strip()


def _whole_word(text: str, start: int, end: int) -> bool:
    """Say that no Latin word or number is cut at either end."""
    return not (_joins(text, start) or _joins(text, end))


def _joins(text: str, at: int) -> bool:
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    return left.isascii() and right.isascii() and left.isalnum() and right.isalnum()
