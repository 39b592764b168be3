"""Where the members of one area are: their last believed fix, and their post, by edge.

A move is O(1) beside the snapping. The search asks for the members on an edge, so they are kept
by edge. A member on an edge that a travel mode cannot use is kept for that mode at the nearest
point which it can use (``Network.usable``).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES, Mode
from xiaohe.geo.snap import Site, Snapper

SPEED_MAX_MPS: Final = 70.0
"""Nobody in the service moves faster (250 km/h); a fix that says so is a leap of the device."""

ACCURACY_UNSTATED_M: Final = 50.0
"""Taken where a device states no accuracy: what a telephone between buildings has."""

ACCURACY_COUNTED_MAX_M: Final = 500.0
"""More than this excuses no leap: a device that does not know where it is proves nothing."""

_NOBODY: Final[tuple[()]] = ()

_Key = tuple[str, bool]
"""(member_id, from_post)."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Where and when a device says that it was."""

    lon: float
    lat: float
    fix_ms: int
    accuracy_m: float | None


@dataclass(frozen=True, slots=True)
class Track:
    """A member's last believed fix, all fields of one moment.

    ``spot`` and ``road_id`` are None where no road is within reach. ``suspect`` is a newer fix
    that would have been a leap: until the next one confirms it, the fields are those of the
    place before, and ``trusted`` is False. ``heard_ms`` is the time of the newest fix, believed
    or not.
    """

    lon: float
    lat: float
    fix_ms: int
    accuracy_m: float | None
    speed_mps: float | None
    course_deg: float | None
    spot: Spot | None
    road_id: str | None
    off_road_m: float | None
    suspect: Fix | None = None

    @property
    def trusted(self) -> bool:
        """Whether the newest fix is the one believed."""
        return self.suspect is None

    @property
    def heard_ms(self) -> int:
        """Time of the newest fix."""
        return self.fix_ms if self.suspect is None else self.suspect.fix_ms


class LivePositions:
    """Tracks and posts of an area's members; mutable, for one owner."""

    def __init__(self, snapper: Snapper) -> None:
        """Start with nobody."""
        self.snapper = snapper
        self._network: Network = snapper.network
        # Where all speeds are multiplied, so is what a member can be believed to do.
        self._speed_max_mps = SPEED_MAX_MPS * snapper.network.speed_factor
        self._tracks: dict[str, Track] = {}
        self._posts: dict[str, Site | None] = {}
        self._shared = _Places()
        self._own: dict[Mode, _Places] = {mode: _Places() for mode in MODES}

    def __len__(self) -> int:
        """Return how many members are known by a fix or a post."""
        return len(self._tracks.keys() | self._posts.keys())

    def members(self) -> Iterator[str]:
        """Yield each known member once, in the order of their ids."""
        return iter(sorted(self._tracks.keys() | self._posts.keys()))

    def move(
        self,
        member_id: str,
        lon: float,
        lat: float,
        fix_ms: int,
        *,
        accuracy_m: float | None = None,
        speed_mps: float | None = None,
        course_deg: float | None = None,
    ) -> Track | None:
        """Take a fix (WGS-84) and return the track as it now is.

        Returns None, and changes nothing, when a fix as new or newer is known already. A leap
        (faster than ``SPEED_MAX_MPS`` beyond both accuracies) leaves the place as it was, marked
        as not trusted; the next fix that is within reach of the leap's end confirms it.
        """
        before = self._tracks.get(member_id)
        if before is not None:
            if fix_ms <= before.heard_ms:
                return None
            fix = Fix(lon, lat, fix_ms, accuracy_m)
            if not _believable(before, fix, self._speed_max_mps):
                doubted = self._tracks[member_id] = replace(before, suspect=fix)
                return doubted
        near = self.snapper.nearest(lon, lat)
        track = Track(
            lon=lon,
            lat=lat,
            fix_ms=fix_ms,
            accuracy_m=accuracy_m,
            speed_mps=speed_mps,
            course_deg=course_deg,
            spot=None if near is None else Spot(near.edge, near.frac),
            road_id=None if near is None else self._network.road_of(near.edge),
            off_road_m=None if near is None else near.distance_m,
        )
        self._tracks[member_id] = track
        self._place((member_id, False), track.spot)
        return track

    def set_post(self, member_id: str, lon: float, lat: float) -> Site | None:
        """Set where a member stands while no fix is known; returns its site, None off the road."""
        site = self.snapper.snap(lon, lat)
        self._posts[member_id] = site
        self._place((member_id, True), None if site is None else site.spot)
        return site

    def clear_post(self, member_id: str) -> None:
        """Forget a member's post; the fix stays."""
        self._posts.pop(member_id, None)
        self._place((member_id, True), None)

    def forget(self, member_id: str) -> None:
        """Forget a member's fix and post."""
        self._tracks.pop(member_id, None)
        self._place((member_id, False), None)
        self.clear_post(member_id)

    def track(self, member_id: str) -> Track | None:
        """Return a member's track; None without a fix."""
        return self._tracks.get(member_id)

    def post(self, member_id: str) -> Site | None:
        """Return a member's post; None without one, or where no road is within reach of it."""
        return self._posts.get(member_id)

    def on_edge(self, edge: int, mode: Mode | None = None) -> Collection[tuple[str, float, bool]]:
        """Return (member_id, frac, from_post) of those on an edge, in no order.

        Who has both a fix and a post stands at both, and the caller knows which of them counts.
        With ``mode`` those are added for whom this is where the mode gets them.
        """
        found = self._shared.on(edge)
        if mode is None:
            return found
        own = self._own[mode].on(edge)
        return [*found, *own] if own else found

    def _place(self, key: _Key, spot: Spot | None) -> None:
        self._shared.put(key, spot)
        everywhere = spot is None or bool(self._network.usable_by_all[spot.edge])
        for mode, places in self._own.items():
            if everywhere or spot is None or self._network.graphs[mode].usable[spot.edge]:
                places.put(key, None)
            else:
                places.put(key, self._network.usable(spot, mode))


class _Places:
    """Who is where, both ways round."""

    __slots__ = ("_edge_of", "_on")

    def __init__(self) -> None:
        self._edge_of: dict[_Key, int] = {}
        self._on: dict[int, dict[_Key, float]] = {}

    def put(self, key: _Key, spot: Spot | None) -> None:
        """Put a key at a spot and nowhere else."""
        edge = self._edge_of.pop(key, None)
        if edge is not None:
            there = self._on[edge]
            del there[key]
            if not there:
                del self._on[edge]
        if spot is not None:
            self._edge_of[key] = spot.edge
            self._on.setdefault(spot.edge, {})[key] = spot.frac

    def on(self, edge: int) -> Collection[tuple[str, float, bool]]:
        there = self._on.get(edge)
        if there is None:
            return _NOBODY
        return [(member_id, frac, from_post) for (member_id, from_post), frac in there.items()]


def _believable(track: Track, fix: Fix, speed_max_mps: float) -> bool:
    """Say whether a fix can be reached from the last believed one, or from the suspect one."""
    last = Fix(track.lon, track.lat, track.fix_ms, track.accuracy_m)
    if _reachable(last, fix, speed_max_mps):
        return True
    return track.suspect is not None and _reachable(track.suspect, fix, speed_max_mps)


def _reachable(before: Fix, after: Fix, speed_max_mps: float) -> bool:
    slack_m = _counted(before.accuracy_m) + _counted(after.accuracy_m)
    reach_m = speed_max_mps * (after.fix_ms - before.fix_ms) / 1000 + slack_m
    return ground_distance_m(before.lon, before.lat, after.lon, after.lat) <= reach_m


def _counted(accuracy_m: float | None) -> float:
    if accuracy_m is None:
        return ACCURACY_UNSTATED_M
    return min(accuracy_m, ACCURACY_COUNTED_MAX_M)
