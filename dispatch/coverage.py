"""Is there, for every road and every minute, one owner and one squad on duty?

Looks at a roster before it is used: who is missing where and when, who is there twice, and what
in the entries themselves cannot be meant. Times are swept as intervals, not minute by minute, and
roads with the same people are swept once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.shifts import BadShift, Interval, Shifts, intervals, parse_shifts
from xiaohe.dispatch.times import MS_PER_DAY

DAYS = 7
"""The coming week: the span after which most rosters repeat."""


class Problem(StrEnum):
    """What can be wrong with a roster."""

    NO_OWNER = "no_owner"
    TWO_OWNERS = "two_owners"
    NO_SQUAD = "no_squad"
    TWO_SQUADS = "two_squads"
    NOBODY_ON_DUTY = "nobody_on_duty"
    UNKNOWN_AREA = "unknown_area"
    UNKNOWN_ROAD = "unknown_road"
    ROLE_TWICE = "role_twice"
    MEMBER_TWICE = "member_twice"
    DEVICE_TWICE = "device_twice"
    NO_SHIFTS = "no_shifts"
    BAD_SHIFT = "bad_shift"
    OVERLAPPING_SHIFTS = "overlapping_shifts"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: where, whose, from when to when (ms; None where time plays no part).

    ``detail`` says it in a sentence, without times: who prints it knows the reader's time zone.
    """

    problem: Problem
    area_id: str
    detail: str
    road_id: str | None = None
    member_ids: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None


def check_roster(
    entries: Iterable[RosterEntry],
    roads: Mapping[str, Collection[str]],
    from_ms: int,
    days: float = DAYS,
) -> list[Finding]:
    """Give every problem of a roster in the time from ``from_ms`` on.

    ``roads`` are the road_ids of each area_id. A squad is on duty for a road while a member of an
    owner's squad, or one with the role ``team`` there, is on duty; two are, while members with a
    role on the road from different squads are on duty at once. Findings about people come first,
    then those about roads in the order of area, road and time.
    """
    entries = sorted(entries, key=lambda entry: entry.member_id)
    window = Interval(from_ms, from_ms + round(days * MS_PER_DAY))
    on_duty: dict[int, list[Interval]] = {}
    findings: list[Finding] = list(_doubles(entries))
    for place, entry in enumerate(entries):
        shifts, problems = _read(entry)
        findings += problems
        findings += _road_problems(entry, roads)
        own = _clipped(shifts, window)
        findings += _overlapping(entry, own)
        on_duty[place] = _joined(own)
    for area_id in sorted(roads):
        staff = [(e, on_duty[place]) for place, e in enumerate(entries) if e.area_id == area_id]
        findings += _Area(staff, window).findings(area_id, roads[area_id])
    return findings


# --- people


def _doubles(entries: list[RosterEntry]) -> Iterator[Finding]:
    members = Counter(entry.member_id for entry in entries)
    for entry in entries:
        if members.pop(entry.member_id, 0) > 1:
            yield Finding(
                Problem.MEMBER_TWICE,
                entry.area_id,
                f"{entry.member_id} has more than one entry: the last one read counts",
                member_ids=(entry.member_id,),
            )
    claims: dict[str, set[str]] = {}
    for entry in entries:
        for device_id in entry.device_ids:
            claims.setdefault(device_id, set()).add(entry.member_id)
    for device_id, member_ids in sorted(claims.items()):
        if len(member_ids) > 1:
            names = tuple(sorted(member_ids))
            area_id = next(e.area_id for e in entries if e.member_id == names[0])
            yield Finding(
                Problem.DEVICE_TWICE,
                area_id,
                f"device {device_id} is claimed by {_and(names)}: the last one read has it",
                member_ids=names,
            )


def _read(entry: RosterEntry) -> tuple[Shifts, list[Finding]]:
    """Give the shifts of an entry, none where they cannot be read, and what is wrong with them."""
    mine = (entry.member_id,)
    try:
        shifts = parse_shifts(entry.shifts)
    except BadShift as error:
        detail = f"{entry.member_id}: {error}"
        return (), [Finding(Problem.BAD_SHIFT, entry.area_id, detail, member_ids=mine)]
    if not shifts:
        detail = f"{entry.member_id} has no shifts and is never on duty"
        return (), [Finding(Problem.NO_SHIFTS, entry.area_id, detail, member_ids=mine)]
    return shifts, []


def _road_problems(entry: RosterEntry, roads: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    mine = (entry.member_id,)
    if entry.area_id not in roads:
        yield Finding(
            Problem.UNKNOWN_AREA,
            entry.area_id,
            f"{entry.member_id} is of the area {entry.area_id}, which has no roads",
            member_ids=mine,
        )
        return
    roles = Counter(road.road_id for road in entry.roads)
    for road_id, times in sorted(roles.items()):
        if road_id not in roads[entry.area_id]:
            yield Finding(
                Problem.UNKNOWN_ROAD,
                entry.area_id,
                f"{entry.member_id} answers for {road_id}, which is no road of the area",
                road_id,
                mine,
            )
        if times > 1:
            yield Finding(
                Problem.ROLE_TWICE,
                entry.area_id,
                f"{entry.member_id} is named for {road_id} {times} times",
                road_id,
                mine,
            )


def _overlapping(entry: RosterEntry, own: list[Interval]) -> Iterator[Finding]:
    """Find where shifts of one member overlap."""
    spans = [(str(n), each) for n, each in enumerate(own)]
    for shifts, start_ms, end_ms in _segments(spans):
        if len(shifts) > 1:
            yield Finding(
                Problem.OVERLAPPING_SHIFTS,
                entry.area_id,
                f"{entry.member_id} has shifts that overlap",
                member_ids=(entry.member_id,),
                from_ms=start_ms,
                to_ms=end_ms,
            )


# --- roads


Spans = list[tuple[str, Interval]]
"""Who (a member or a squad) is on duty when."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A time in which roads of the same people have the same problem, and who is concerned."""

    problem: Problem
    names: tuple[str, ...]
    member_ids: tuple[str, ...]
    from_ms: int
    to_ms: int


class _Area:
    """The staff of one area, and the sweep over their time on duty."""

    def __init__(self, staff: list[tuple[RosterEntry, list[Interval]]], window: Interval) -> None:
        self._staff = staff
        self._window = window
        self._owners: dict[str, list[int]] = {}
        self._helpers: dict[str, list[int]] = {}
        self._squads: dict[str, list[int]] = {}
        for place, (entry, _) in enumerate(staff):
            self._squads.setdefault(entry.team, []).append(place)
            for road in entry.roads:
                by_road = self._owners if road.role == "owner" else self._helpers
                by_road.setdefault(road.road_id, []).append(place)

    def findings(self, area_id: str, road_ids: Collection[str]) -> Iterator[Finding]:
        for start_ms, end_ms in self._gaps(range(len(self._staff))):
            detail = "nobody at all is on duty"
            yield Finding(Problem.NOBODY_ON_DUTY, area_id, detail, from_ms=start_ms, to_ms=end_ms)
        swept: dict[tuple[tuple[int, ...], tuple[int, ...]], list[_Stretch]] = {}
        for road_id in sorted(road_ids):
            owners = tuple(self._owners.get(road_id, ()))
            helpers = tuple(self._helpers.get(road_id, ()))
            people = (owners, helpers)
            if people not in swept:
                swept[people] = sorted(
                    self._stretches(owners, helpers), key=lambda s: (s.from_ms, s.problem)
                )
            for stretch in swept[people]:
                yield Finding(
                    stretch.problem,
                    area_id,
                    _sentence(road_id, stretch, has_owners=bool(owners)),
                    road_id,
                    stretch.member_ids,
                    stretch.from_ms,
                    stretch.to_ms,
                )

    def _stretches(self, owners: tuple[int, ...], helpers: tuple[int, ...]) -> Iterator[_Stretch]:
        for start_ms, end_ms in self._gaps(owners):
            yield _Stretch(Problem.NO_OWNER, (), (), start_ms, end_ms)
        for names, start_ms, end_ms in _segments(self._spans(owners)):
            if len(names) > 1:
                yield _Stretch(Problem.TWO_OWNERS, names, names, start_ms, end_ms)
        squads = {self._staff[place][0].team for place in owners}
        could_go = {place for team in squads for place in self._squads[team]} | set(helpers)
        for start_ms, end_ms in self._gaps(could_go):
            yield _Stretch(Problem.NO_SQUAD, tuple(sorted(squads)), (), start_ms, end_ms)
        yield from self._two_squads({*owners, *helpers})

    def _two_squads(self, places: Collection[int]) -> Iterator[_Stretch]:
        with_role: dict[str, list[Interval]] = {}
        for place in places:
            entry, on_duty = self._staff[place]
            with_role.setdefault(entry.team, []).extend(on_duty)
        spans = [(team, each) for team in with_role for each in _joined(with_role[team])]
        for teams, start_ms, end_ms in _segments(spans):
            if len(teams) > 1:
                yield _Stretch(Problem.TWO_SQUADS, teams, (), start_ms, end_ms)

    def _spans(self, places: Iterable[int]) -> Spans:
        staff = (self._staff[place] for place in places)
        return [(entry.member_id, each) for entry, on_duty in staff for each in on_duty]

    def _gaps(self, places: Iterable[int]) -> Iterator[Interval]:
        """Give the times of the window at which none of these is on duty."""
        at_ms = self._window.start_ms
        for each in _joined([each for _, each in self._spans(places)]):
            if each.start_ms > at_ms:
                yield Interval(at_ms, each.start_ms)
            at_ms = each.end_ms
        if at_ms < self._window.end_ms:
            yield Interval(at_ms, self._window.end_ms)


def _sentence(road_id: str, stretch: _Stretch, *, has_owners: bool) -> str:
    names = _and(stretch.names)
    if stretch.problem is Problem.NO_OWNER:
        return f"{road_id}: no owner is on duty" + ("" if has_owners else ": no member owns it")
    if stretch.problem is Problem.TWO_OWNERS:
        return f"{road_id}: {len(stretch.names)} owners are on duty at once, {names}"
    if stretch.problem is Problem.TWO_SQUADS:
        return f"{road_id}: {len(stretch.names)} squads answer for it at once, {names}"
    return f"{road_id}: nobody of its squad is on duty" + (f" ({names})" if names else "")


# --- intervals


def _clipped(shifts: Shifts, window: Interval) -> list[Interval]:
    return [
        Interval(max(each.start_ms, window.start_ms), min(each.end_ms, window.end_ms))
        for each in intervals(shifts, window.start_ms, window.end_ms)
    ]


def _joined(spans: list[Interval]) -> list[Interval]:
    """Join what overlaps or meets."""
    joined: list[Interval] = []
    for each in sorted(spans):
        if joined and each.start_ms <= joined[-1].end_ms:
            joined[-1] = Interval(joined[-1].start_ms, max(joined[-1].end_ms, each.end_ms))
        else:
            joined.append(each)
    return joined


def _segments(spans: Spans) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Cut time where somebody comes or goes: who is there, from, to; nobody there is left out."""
    # An end sorts before a beginning at the same moment, so that a handover is no overlap.
    events = sorted(
        event
        for name, each in spans
        for event in ((each.start_ms, 1, name), (each.end_ms, 0, name))
    )
    present: Counter[str] = Counter()
    since_ms = 0
    for at_ms, begins, name in events:
        if present and at_ms > since_ms:
            yield tuple(sorted(present)), since_ms, at_ms
        since_ms = at_ms
        present[name] += 1 if begins else -1
        if not present[name]:
            del present[name]


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)
