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
from xiaohe.geo.kernels import kernel
from xiaohe.geo.matching import Matcher, Verdict
from xiaohe.geo.matching_step import OUT_OF_ORDER, SUSPECT
from xiaohe.geo.network import Network
from xiaohe.geo.places import EVERY_PLACE, NOWHERE, Places, put_place
from xiaohe.geo.roads import MODES, LonLat, Mode
from xiaohe.geo.snap import Site, Snapper

ACCURACY_MAX_M: Final = 10_000.0
"""A larger stated error is read as this: it says no more, and no figure made of it overflows."""

SPEED_MAX_STATED_MPS: Final = 300.0
"""A larger stated speed is read as this."""

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
    or not; ``trust`` 0 … 1 is how sure the road is.
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
    trust: float = 1.0

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
        self._matcher = Matcher(snapper.network, SLOTS_MIN)
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
        self._trust = np.ones(SLOTS_MIN)

    def on(self, snapper: Snapper) -> "LivePositions":
        """Return the same members on another map, each matched to its roads anew."""
        there = LivePositions(snapper, self._mode)
        for member_id, slot in self._slot_of.items():
            there.enrol(member_id, MODES[self.modes[slot]])
        for member_id, post in self._posts_at.items():
            there.set_post(member_id, *post)
        # A fix that is doubted is not taken along: the next one says where they are.
        known = [m for m, slot in self._slot_of.items() if self.fix_ms[slot] != NEVER_MS]
        slots = [self._slot_of[member_id] for member_id in known]
        lon, lat, accuracy_m, speed_mps, course_deg, _ = self.fixes[slots].T
        there.move_many(known, lon, lat, self.fix_ms[slots], accuracy_m, speed_mps, course_deg)
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
            lon, lat, *stated, _ = self.fixes[slot].tolist()
            self._matcher.forget(slot)
            self._take(slot, lon, lat, int(self.fix_ms[slot]), tuple(stated))

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
        (farther than anybody can have come, beyond both accuracies) leaves the place as it was,
        marked as not trusted; the next fix that agrees with the leap confirms it (``matching``).
        """
        stated = (
            min(_number(accuracy_m), ACCURACY_MAX_M),
            min(_number(speed_mps), SPEED_MAX_STATED_MPS),
            _number(course_deg),
        )
        if not self._take(self._slot(member_id), lon, lat, fix_ms, stated):
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
        slot_of, news = self._slot, np.empty(len(member_ids), dtype=np.bool_)
        slots = np.array([slot_of(member_id) for member_id in member_ids], dtype=np.int64)
        accuracy_m = np.minimum(accuracy_m, ACCURACY_MAX_M)
        speed_mps = np.minimum(speed_mps, SPEED_MAX_STATED_MPS)
        given = np.column_stack((lon, lat, accuracy_m, speed_mps, course_deg))
        x, y = self._network.projection.many_to_m(given[:, : LAT + 1]).T
        found = self._matcher.match_many(
            slots, self.modes[slots], x, y, fix_ms, accuracy_m, speed_mps, course_deg
        )
        measures = np.column_stack((found.frac, found.distance_m, found.trust))
        places = self.places
        _store_all(
            places.head, places.following, places.before, places.edge_of, places.frac_of,
            self.fix_ms, self.suspect_ms, self.fixes, self._suspects, self._trust,
            slots, fix_ms, given, found.edge, found.verdict, measures, news,
        )  # fmt: skip
        return news

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
        self._matcher.forget(slot)
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
            trust=float(self._trust[slot]),
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
            if (number is None or self.modes[place >> 1] == number)
            and (fresh_since_ms == EVERY_PLACE or self._counts(place, fresh_since_ms))
        ]

    def _counts(self, place: int, fresh_since_ms: int) -> bool:
        """Say what ``places.stands_at`` says, of a member of whatever mode."""
        slot = place >> 1
        fresh = bool(self.fix_ms[slot] >= fresh_since_ms)
        if place & 1:
            return not fresh
        return fresh or self.places.edge_of[2 * slot + 1] == NOWHERE

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
        self._matcher.reserve(slots)
        self._trust = np.concatenate((self._trust, np.ones(more)))
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
        self, slot: int, lon: float, lat: float, fix_ms: int, stated: tuple[float, float, float]
    ) -> bool:
        """Take one fix; ``stated`` is its accuracy, speed and course. Tell whether it was news."""
        x, y = self._network.projection.to_m(lon, lat)
        match = self._matcher.match(slot, MODES[self.modes[slot]], x, y, fix_ms, *stated)
        if match.verdict == Verdict.OUT_OF_ORDER:
            return False
        self._trust[slot] = match.trust
        if match.verdict == Verdict.SUSPECT:
            self.suspect_ms[slot] = fix_ms
            self._suspects[slot] = lon, lat, stated[0]
            return True
        self.fix_ms[slot] = fix_ms
        self.suspect_ms[slot] = NEVER_MS
        off_road_m = match.distance_m if match.edge != NOWHERE else nan
        self.fixes[slot] = lon, lat, *stated, off_road_m
        self.places.put(2 * slot, match.edge, match.frac)
        return True


@kernel
def _store_all(
    head: NDArray[np.int32],
    following: NDArray[np.int32],
    before: NDArray[np.int32],
    edge_of: NDArray[np.int32],
    frac_of: Numbers,
    fix_ms: NDArray[np.int64],
    suspect_ms: NDArray[np.int64],
    fixes: Numbers,
    suspects: Numbers,
    trust: Numbers,
    slots: NDArray[np.int64],
    given_ms: NDArray[np.int64],
    given: Numbers,
    edges: NDArray[np.int32],
    verdicts: NDArray[np.int32],
    measures: Numbers,
    news: NDArray[np.bool_],
) -> None:
    """Do for many fixes in their order what ``LivePositions._take`` does for one."""
    for n in range(slots.size):
        slot = slots[n]
        news[n] = verdicts[n] != OUT_OF_ORDER
        if not news[n]:
            continue
        trust[slot] = measures[n, 2]
        if verdicts[n] == SUSPECT:
            suspect_ms[slot] = given_ms[n]
            suspects[slot, 0], suspects[slot, 1] = given[n, LON], given[n, LAT]
            suspects[slot, 2] = given[n, ACCURACY_M]
            continue
        fix_ms[slot] = given_ms[n]
        suspect_ms[slot] = NEVER_MS
        for column in range(OFF_ROAD_M):
            fixes[slot, column] = given[n, column]
        fixes[slot, OFF_ROAD_M] = measures[n, 1] if edges[n] >= 0 else nan
        put_place(head, following, before, edge_of, frac_of, 2 * slot, edges[n], measures[n, 0])


def _number(value: float | None) -> float:
    return nan if value is None else value


def _stated(value: float) -> float | None:
    return None if isnan(value) else value
