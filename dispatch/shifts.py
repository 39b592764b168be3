"""When a member is on duty: the three forms of a shift, as intervals of absolute time.

- ``{start, end}``: RFC 3339 times with an offset.
- ``{days, start, end, timezone}``: ``HH:MM`` on these weekdays; an end at or before the start is
  on the next day.
- ``{rrule, start, end, timezone}``: the same on each local date on which the rule occurs.

Local times follow the zone's summer time: a night shift may last 7 or 9 hours. A local time that
occurs twice means the first, one that is skipped means the moment of the skip; so where one shift
ends as another begins, there is neither gap nor overlap on any night of the year. Intervals are
half-open: on duty from ``start_ms``, no longer at ``end_ms``.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from xiaohe.dispatch.inputs import Shift
from xiaohe.dispatch.recurrence import BadRule, RuleDates, rule_dates
from xiaohe.dispatch.times import MS_PER_DAY, MS_PER_S, BadTime, parse_rfc3339

BOUNDARY_HORIZON_DAYS = 400
"""How far ahead a boundary is looked for: a year's rule and a little more."""

_LOOK_AHEAD_DAYS = (2, 9, BOUNDARY_HORIZON_DAYS)
"""Most shifts change within two days, all weekly ones within nine."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_EPOCH_ORDINAL = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a date
_MINUTES_PER_DAY = 1_440


class BadShift(ValueError):
    """A shift cannot be understood. The message says what to write, and not what was written."""


class Interval(NamedTuple):
    """A time on duty: from ``start_ms`` until just before ``end_ms``."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class FixedShift:
    """One interval, stated outright."""

    interval: Interval

    def overlapping(self, from_ms: int, to_ms: int) -> list[Interval]:
        """Give the interval if it has a moment in [from_ms, to_ms)."""
        return [self.interval] if _overlaps(self.interval, from_ms, to_ms) else []


@dataclass(frozen=True, slots=True)
class Hours:
    """A start and an end on the clocks of a zone, as minutes of the day."""

    start_minute: int
    end_minute: int
    zone: tzinfo

    def on(self, ordinal: int) -> Interval:
        """Give the interval that begins on this local date; empty if the clocks skip all of it."""
        end_ordinal = ordinal + (self.end_minute <= self.start_minute)
        return Interval(
            _utc_ms(ordinal, self.start_minute, self.zone),
            _utc_ms(end_ordinal, self.end_minute, self.zone),
        )


@dataclass(frozen=True, slots=True)
class WeeklyShift:
    """The same hours on some days of every week (0 is Monday)."""

    weekdays: frozenset[int]
    hours: Hours

    def overlapping(self, from_ms: int, to_ms: int) -> list[Interval]:
        """Give the intervals that have a moment in [from_ms, to_ms), in order."""
        first, last = _dates_around(from_ms, to_ms)
        dates = (day for day in range(first, last + 1) if (day + 6) % 7 in self.weekdays)
        return _overlapping(self.hours, dates, from_ms, to_ms)


@dataclass(frozen=True, slots=True)
class RuleShift:
    """The same hours on each date on which a recurrence rule occurs."""

    dates: RuleDates
    hours: Hours

    def overlapping(self, from_ms: int, to_ms: int) -> list[Interval]:
        """Give the intervals that have a moment in [from_ms, to_ms), in order."""
        dates = self.dates.between(*_dates_around(from_ms, to_ms))
        return _overlapping(self.hours, dates, from_ms, to_ms)


ParsedShift = FixedShift | WeeklyShift | RuleShift
Shifts = tuple[ParsedShift, ...]


@dataclass(frozen=True, slots=True)
class Duty:
    """On duty or not, and the time around for which that is so: since_ms <= t < until_ms.

    ``boundary_ms`` is until_ms where a shift begins or ends then, and None where no boundary was
    found as far as was looked.
    """

    on_duty: bool
    since_ms: int
    until_ms: int
    boundary_ms: int | None


# --- reading


def parse_shifts(shifts: Iterable[Shift]) -> Shifts:
    """Read a member's shifts. Raises BadShift, which names the shift by its place."""
    parsed = []
    for index, shift in enumerate(shifts):
        try:
            parsed.append(parse_shift(shift))
        except BadShift as error:
            raise BadShift(f"shifts[{index}]: {error}") from None
    return tuple(parsed)


def parse_shift(shift: Shift) -> ParsedShift:
    """Read one shift of any of the three forms. Raises BadShift."""
    if shift.days is not None and shift.rrule is not None:
        raise BadShift("give days or rrule, not both")
    if shift.days is None and shift.rrule is None:
        return _fixed(shift)
    if shift.timezone is None:
        raise BadShift("days and rrule need a timezone, such as Asia/Shanghai")
    zone = _zone(shift.timezone)
    hours = Hours(_minute("start", shift.start), _minute("end", shift.end), zone)
    if shift.rrule is not None:
        try:
            return RuleShift(rule_dates(shift.rrule, zone, _zone), hours)
        except BadRule as error:
            raise BadShift(str(error)) from None
    if not shift.days:
        raise BadShift("days is empty: leave the shift out")
    return WeeklyShift(frozenset(_DAYS.index(day) for day in shift.days), hours)


def _fixed(shift: Shift) -> FixedShift:
    try:
        interval = Interval(parse_rfc3339(shift.start), parse_rfc3339(shift.end))
    except BadTime as error:
        raise BadShift(f"without days or rrule, start and end are full times: {error}") from None
    if interval.end_ms <= interval.start_ms:
        raise BadShift("end is not after start")
    return FixedShift(interval)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # not found, not a name, the name of a folder
        raise BadShift("timezone is not a zone of the IANA time zone database") from None


def _minute(name: str, text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise BadShift(f"{name} is not HH:MM from 00:00 to 23:59")
    return int(found[1]) * 60 + int(found[2])


# --- asking


def intervals(shifts: Shifts, from_ms: int, to_ms: int) -> list[Interval]:
    """Give all intervals that have a moment in [from_ms, to_ms): whole, in order, not joined."""
    return sorted(each for shift in shifts for each in shift.overlapping(from_ms, to_ms))


def interval_at(shifts: Shifts, at_ms: int) -> Interval | None:
    """Give the interval that holds this moment; of several, the one that ends last."""
    return max(
        intervals(shifts, at_ms, at_ms + 1), key=lambda each: (each.end_ms, each), default=None
    )


def on_duty_at(shifts: Shifts, at_ms: int) -> bool:
    """Tell whether a shift holds this moment."""
    return bool(intervals(shifts, at_ms, at_ms + 1))


def next_boundary_ms(shifts: Shifts, at_ms: int) -> int | None:
    """Give the next moment after ``at_ms`` at which a shift begins or ends.

    Shifts that meet are not joined: the handover between them is a boundary too. None if there is
    no boundary within BOUNDARY_HORIZON_DAYS.
    """
    return duty_at(shifts, at_ms).boundary_ms


def duty_at(shifts: Shifts, at_ms: int) -> Duty:
    """Tell whether a shift holds this moment, and between which two boundaries that is so.

    Where no boundary is near, the answer holds for as far as was looked.
    """
    from_ms, boundary_ms = at_ms - MS_PER_DAY, None
    for days in _LOOK_AHEAD_DAYS:
        to_ms = at_ms + days * MS_PER_DAY
        near = intervals(shifts, from_ms, to_ms)
        bounds = sorted({bound for each in near for bound in each if from_ms < bound < to_ms})
        after = bisect_right(bounds, at_ms)
        if after < len(bounds):
            to_ms = boundary_ms = bounds[after]
            break
    since_ms = bounds[after - 1] if after else from_ms
    return Duty(any(start <= at_ms < end for start, end in near), since_ms, to_ms, boundary_ms)


class Schedule:
    """A member's shifts with the last answer kept: asking again before a boundary costs nothing.

    Members with the same shifts share one. ``expansions`` counts how often the shifts had to be
    looked at, which is what this class is there to keep small.
    """

    __slots__ = ("__weakref__", "_duty", "expansions", "shifts")

    def __init__(self, shifts: Shifts) -> None:
        """Take shifts that are already read."""
        self.shifts = shifts
        self.expansions = 0
        self._duty = Duty(on_duty=False, since_ms=0, until_ms=0, boundary_ms=None)

    def duty_at(self, at_ms: int) -> Duty:
        """Tell whether a shift holds this moment, and for how long that is so."""
        if not self._duty.since_ms <= at_ms < self._duty.until_ms:
            self.expansions += 1
            self._duty = duty_at(self.shifts, at_ms)
        return self._duty

    def next_boundary_ms(self, at_ms: int) -> int | None:
        """Give the next boundary as ``next_boundary_ms`` of this module does."""
        duty = self.duty_at(at_ms)
        if duty.boundary_ms is None:
            # The kept answer may have looked less far than one from this moment would.
            self.expansions += 1
            duty = self._duty = duty_at(self.shifts, at_ms)
        return duty.boundary_ms


# --- dates and clocks


def _overlaps(interval: Interval, from_ms: int, to_ms: int) -> bool:
    return interval.start_ms < to_ms and interval.end_ms > from_ms


def _overlapping(hours: Hours, dates: Iterable[int], from_ms: int, to_ms: int) -> list[Interval]:
    found = (hours.on(ordinal) for ordinal in dates)
    return [
        each for each in found if each.start_ms < each.end_ms and _overlaps(each, from_ms, to_ms)
    ]


def _dates_around(from_ms: int, to_ms: int) -> tuple[int, int]:
    """Give the first and last local date, in any zone, whose hours may reach into the time."""
    return (
        _EPOCH_ORDINAL + from_ms // MS_PER_DAY - 2,  # a day of zone, a day of night shift
        _EPOCH_ORDINAL + to_ms // MS_PER_DAY + 1,
    )


def _utc_ms(ordinal: int, minute: int, zone: tzinfo) -> int:
    """Give the moment at which clocks of the zone first show this minute, or skip it."""
    wall = datetime.combine(datetime.fromordinal(ordinal), time(*divmod(minute, 60)), zone)
    wall_s = (ordinal - _EPOCH_ORDINAL) * 86_400 + minute * 60
    before_s, after_s = _offset_s(wall), _offset_s(wall.replace(fold=1))
    if before_s < after_s:
        return _skip_s(wall_s - after_s, wall_s - before_s, before_s, zone) * MS_PER_S
    return (wall_s - before_s) * MS_PER_S


def _skip_s(low_s: int, high_s: int, before_s: int, zone: tzinfo) -> int:
    """Give the first moment in (low_s, high_s] whose offset is no longer ``before_s``."""
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if _offset_s(datetime.fromtimestamp(middle_s, zone)) == before_s:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _offset_s(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None, "a zone of the IANA database always has an offset"
    return offset // timedelta(seconds=1)
