"""Where the members of one area are: their last believed fix, and their post, by edge.

Members are slots of parallel arrays, and places of linked lists by edge (``places``), which the
compiled search reads as they are. A move is O(1) whatever the size of the city and of the fleet.

A member is on the roads that their travel mode can use: an e-bike's fix beneath the expressway is
on the street. A post off such a road is held for the nearest point that the mode can use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.places import EVERY_PLACE, NOWHERE, Places, stands_at
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES, LonLat, Mode
from xiaohe.geo.snap import Site, Snapper

SPEED_MAX_MPS: Final = 70.0
"""Nobody in the service moves faster (250 km/h); a fix that says so is a leap of the device."""

ACCURACY_UNSTATED_M: Final = 50.0
"""Taken where a device states no accuracy: what a telephone between buildings has."""

ACCURACY_COUNTED_MAX_M: Final = 500.0
"""More than this excuses no leap: a device that does not know where it is proves nothing."""

SLOTS_MIN: Final = 64
"""Room that an area starts with; it doubles when it is full."""

NEVER_MS: Final = EVERY_PLACE + 1
"""Instead of the time of a fix: there has been none."""

# Columns of a fix.
LON, LAT, ACCURACY_M, SPEED_MPS, COURSE_DEG, OFF_ROAD_M = range(6)
COLUMNS = 6

_SUSPECT_COLUMNS = 3
"""Of a suspect fix: lon, lat, accuracy_m."""

Numbers = NDArray[np.float64]


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
    """Tracks and posts of an area's members; mutable, for one owner.

    ``places`` (who stands on which edge), ``ids``, ``modes``, ``fix_ms``, ``suspect_ms`` (slots,)
    and ``fixes`` (slots, columns) are for the search to read.
    """

    def __init__(self, snapper: Snapper, mode: Mode = "ebike") -> None:
        """Start with nobody; ``mode`` is that of members who were not enrolled."""
        self.snapper = snapper
        self._network: Network = snapper.network
        self._mode: Mode = mode
        # Where all speeds are multiplied, so is what a member can be believed to do.
        self._speed_max_mps = SPEED_MAX_MPS * snapper.network.speed_factor
        self._slot_of: dict[str, int] = {}
        self._free: list[int] = []
        self._posts: dict[str, Site | None] = {}
        self._posts_at: dict[str, LonLat] = {}
        self.ids: list[str] = []
        self.places = Places(snapper.network.edge_count, SLOTS_MIN)
        self.modes = np.zeros(SLOTS_MIN, dtype=np.int8)
        self.fix_ms = np.full(SLOTS_MIN, NEVER_MS, dtype=np.int64)
        self.suspect_ms = np.full(SLOTS_MIN, NEVER_MS, dtype=np.int64)
        self.fixes = np.full((SLOTS_MIN, COLUMNS), nan)
        self._suspects = np.full((SLOTS_MIN, _SUSPECT_COLUMNS), nan)

    def on(self, snapper: Snapper) -> "LivePositions":
        """Return the same members on another map, each matched to its roads anew."""
        there = LivePositions(snapper, self._mode)
        for member_id, slot in self._slot_of.items():
            there.enrol(member_id, MODES[self.modes[slot]])
            post, track = self._posts_at.get(member_id), self.track(member_id)
            if post is not None:
                there.set_post(member_id, *post)
            if track is not None:
                # A fix that is doubted is not taken along: the next one says where they are.
                there.move(
                    member_id,
                    track.lon,
                    track.lat,
                    track.fix_ms,
                    accuracy_m=track.accuracy_m,
                    speed_mps=track.speed_mps,
                    course_deg=track.course_deg,
                )
        return there

    def __len__(self) -> int:
        """Return how many members are known by a fix or a post."""
        return sum(1 for _ in self.members())

    def members(self) -> Iterator[str]:
        """Yield each member known by a fix or a post once, in the order of their ids."""
        for member_id in sorted(self._slot_of):
            if member_id in self._posts or self.fix_ms[self._slot_of[member_id]] != NEVER_MS:
                yield member_id

    def enrol(self, member_id: str, mode: Mode) -> None:
        """Set a member's travel mode, by which they are matched to the roads and found."""
        slot = self._slot(member_id)
        number = MODES.index(mode)
        if self.modes[slot] == number:
            return
        self.modes[slot] = number
        post = self._posts.get(member_id)
        self._stand(2 * slot + 1, None if post is None else self._network.usable(post.spot, mode))
        if self.fix_ms[slot] != NEVER_MS:
            lon, lat = self.fixes[slot, : LAT + 1].tolist()
            self._match(slot, lon, lat)

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
        stated = [nan if value is None else value for value in (accuracy_m, speed_mps, course_deg)]
        if not self._take(self._slot(member_id), lon, lat, fix_ms, *stated):
            return None
        return self.track(member_id)

    def move_many(
        self,
        member_ids: Sequence[str],
        lon: Numbers,
        lat: Numbers,
        fix_ms: NDArray[np.int64],
        accuracy_m: Numbers,
        speed_mps: Numbers,
        course_deg: Numbers,
    ) -> NDArray[np.bool_]:
        """Take many fixes in their order, as ``move`` would; nan where a device states nothing.

        Returns which of them were news.
        """
        slots = [self._slot(member_id) for member_id in member_ids]
        columns = (lon, lat, fix_ms, accuracy_m, speed_mps, course_deg)
        rows = zip(slots, *(column.tolist() for column in columns), strict=True)
        return np.array([self._take(*row) for row in rows], dtype=np.bool_)

    def set_post(self, member_id: str, lon: float, lat: float) -> Site | None:
        """Set where a member stands while no fix is known; returns its site, None off the road."""
        site = self.snapper.snap(lon, lat)
        slot = self._slot(member_id)
        self._posts[member_id] = site
        self._posts_at[member_id] = (lon, lat)
        mode = MODES[self.modes[slot]]
        self._stand(2 * slot + 1, None if site is None else self._network.usable(site.spot, mode))
        return site

    def clear_post(self, member_id: str) -> None:
        """Forget a member's post; the fix stays."""
        if self._posts_at.pop(member_id, None) is not None:
            del self._posts[member_id]
            self._stand(2 * self._slot_of[member_id] + 1, None)

    def forget(self, member_id: str) -> None:
        """Forget a member's fix, post and mode."""
        slot = self._slot_of.get(member_id)
        if slot is None:
            return
        self.clear_post(member_id)
        self._stand(2 * slot, None)
        del self._slot_of[member_id]
        self.fix_ms[slot] = self.suspect_ms[slot] = NEVER_MS
        self.ids[slot] = ""
        self._free.append(slot)

    def track(self, member_id: str) -> Track | None:
        """Return a member's track; None without a fix."""
        slot = self._slot_of.get(member_id)
        if slot is None or self.fix_ms[slot] == NEVER_MS:
            return None
        lon, lat, accuracy_m, speed_mps, course_deg, off_road_m = self.fixes[slot].tolist()
        edge = int(self.places.edge_of[2 * slot])
        on_road = edge != NOWHERE
        return Track(
            lon=lon,
            lat=lat,
            fix_ms=int(self.fix_ms[slot]),
            accuracy_m=_stated(accuracy_m),
            speed_mps=_stated(speed_mps),
            course_deg=_stated(course_deg),
            spot=Spot(edge, float(self.places.frac_of[2 * slot])) if on_road else None,
            road_id=self._network.road_of(edge) if on_road else None,
            off_road_m=_stated(off_road_m),
            suspect=self._suspect(slot),
        )

    def fixed_ms(self, member_id: str) -> int | None:
        """Return the time of a member's last believed fix; None without one."""
        slot = self._slot_of.get(member_id)
        if slot is None:
            return None
        fix_ms = int(self.fix_ms[slot])
        return None if fix_ms == NEVER_MS else fix_ms

    def post(self, member_id: str) -> Site | None:
        """Return a member's post; None without one, or where no road is within reach of it."""
        return self._posts.get(member_id)

    def on_edge(
        self, edge: int, mode: Mode | None = None, fresh_since_ms: int = EVERY_PLACE
    ) -> Sequence[tuple[str, float, bool]]:
        """Return (member_id, frac, from_post) of those on an edge, in no order.

        Of one ``mode``, or of any. Who has both a fix and a post stands at both, or, with
        ``fresh_since_ms``, only where they are to be looked for (``places.stands_at``).
        """
        if self.places.head[edge] == NOWHERE:
            return ()
        number = None if mode is None else MODES.index(mode)
        return [
            (self.ids[place >> 1], float(self.places.frac_of[place]), bool(place & 1))
            for place in self.places.on(edge)
            if stands_at(
                place,
                self.modes,
                self.fix_ms,
                self.places.edge_of,
                int(self.modes[place >> 1]) if number is None else number,
                fresh_since_ms,
            )
        ]

    # --- slots

    def _slot(self, member_id: str) -> int:
        """Return the member's slot, a new one for somebody unknown."""
        slot = self._slot_of.get(member_id)
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
            self.ids[slot] = member_id
        else:
            slot = len(self.ids)
            if slot == len(self.modes):
                self._reserve(2 * slot)
            self.ids.append(member_id)
        self.modes[slot] = MODES.index(self._mode)
        self._slot_of[member_id] = slot
        return slot

    def _reserve(self, slots: int) -> None:
        more = slots - len(self.modes)
        self.places.reserve(slots)
        self.modes = np.concatenate((self.modes, np.zeros(more, dtype=np.int8)))
        never = np.full(more, NEVER_MS, dtype=np.int64)
        self.fix_ms = np.concatenate((self.fix_ms, never))
        self.suspect_ms = np.concatenate((self.suspect_ms, never))
        self.fixes = np.concatenate((self.fixes, np.full((more, COLUMNS), nan)))
        self._suspects = np.concatenate((self._suspects, np.full((more, _SUSPECT_COLUMNS), nan)))

    def _stand(self, place: int, spot: Spot | None) -> None:
        if spot is None:
            self.places.put(place, NOWHERE, 0.0)
        else:
            self.places.put(place, spot.edge, spot.frac)

    def _suspect(self, slot: int) -> Fix | None:
        suspect_ms = int(self.suspect_ms[slot])
        if suspect_ms == NEVER_MS:
            return None
        lon, lat, accuracy_m = self._suspects[slot].tolist()
        return Fix(lon, lat, suspect_ms, _stated(accuracy_m))

    # --- fixes

    def _take(
        self,
        slot: int,
        lon: float,
        lat: float,
        fix_ms: int,
        accuracy_m: float,
        speed_mps: float,
        course_deg: float,
    ) -> bool:
        """Take one fix; tell whether it was news."""
        known_ms = int(self.fix_ms[slot])
        if known_ms != NEVER_MS:
            if fix_ms <= max(known_ms, int(self.suspect_ms[slot])):
                return False
            if not self._is_believable(slot, lon, lat, fix_ms, accuracy_m):
                self.suspect_ms[slot] = fix_ms
                self._suspects[slot] = lon, lat, accuracy_m
                return True
        self.fix_ms[slot] = fix_ms
        self.suspect_ms[slot] = NEVER_MS
        self.fixes[slot, :OFF_ROAD_M] = lon, lat, accuracy_m, speed_mps, course_deg
        self._match(slot, lon, lat)
        return True

    def _match(self, slot: int, lon: float, lat: float) -> None:
        """Put a member on the nearest road that their mode can use."""
        near = self.snapper.nearest(lon, lat, mode=MODES[self.modes[slot]])
        self.fixes[slot, OFF_ROAD_M] = nan if near is None else near.distance_m
        self._stand(2 * slot, None if near is None else Spot(near.edge, near.frac))

    def _is_believable(
        self, slot: int, lon: float, lat: float, fix_ms: int, accuracy_m: float
    ) -> bool:
        """Say whether a fix can be reached from the last believed one, or from the suspect one."""
        last = (*self.fixes[slot, : ACCURACY_M + 1].tolist(), int(self.fix_ms[slot]))
        if self._is_reachable(last, lon, lat, fix_ms, accuracy_m):
            return True
        suspect_ms = int(self.suspect_ms[slot])
        if suspect_ms == NEVER_MS:
            return False
        suspect = (*self._suspects[slot].tolist(), suspect_ms)
        return self._is_reachable(suspect, lon, lat, fix_ms, accuracy_m)

    def _is_reachable(
        self,
        before: tuple[float, float, float, int],
        lon: float,
        lat: float,
        fix_ms: int,
        accuracy_m: float,
    ) -> bool:
        before_lon, before_lat, before_accuracy_m, before_ms = before
        slack_m = _counted(before_accuracy_m) + _counted(accuracy_m)
        reach_m = self._speed_max_mps * (fix_ms - before_ms) / 1000 + slack_m
        return ground_distance_m(before_lon, before_lat, lon, lat) <= reach_m


def _stated(value: float) -> float | None:
    return None if isnan(value) else value


def _counted(accuracy_m: float) -> float:
    return ACCURACY_UNSTATED_M if isnan(accuracy_m) else min(accuracy_m, ACCURACY_COUNTED_MAX_M)
