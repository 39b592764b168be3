"""When a member is on duty: three forms of shift, zones, summer time, boundaries."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.inputs import Shift
from xiaohe.dispatch.shifts import (
    BadShift,
    Interval,
    Schedule,
    duty_at,
    interval_at,
    intervals,
    next_boundary_ms,
    on_duty_at,
    parse_shifts,
)
from xiaohe.dispatch.times import MS_PER_DAY, MS_PER_HOUR, parse_rfc3339, rfc3339

EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOUR = MS_PER_HOUR


def ms(text):
    """The moment of an RFC 3339 text."""
    return parse_rfc3339(text)


def weekly(start, end, timezone="Asia/Shanghai", days=EVERY_DAY):
    """A shift on weekdays."""
    return Shift(days=days, start=start, end=end, timezone=timezone)


def ruled(rrule, start, end, timezone="Asia/Shanghai"):
    """A shift on the dates of a rule."""
    return Shift(rrule=rrule, start=start, end=end, timezone=timezone)


def listed(shifts, start, end):
    """The intervals between two RFC 3339 times, as pairs of texts without seconds."""
    found = intervals(parse_shifts(shifts), ms(start), ms(end))
    return [(rfc3339(a)[5:16], rfc3339(b)[5:16]) for a, b in found]


def hours(shifts, start, end):
    """The lengths in hours of the intervals between two RFC 3339 times."""
    found = intervals(parse_shifts(shifts), ms(start), ms(end))
    return [(b - a) / HOUR for a, b in found]


# --- the three forms


def test_a_shift_of_two_times_is_one_half_open_interval():
    """On duty from the start, and no longer at the end."""
    shifts = parse_shifts(
        [Shift(start="2026-11-23T08:00:00+08:00", end="2026-11-23T16:00:00+08:00")]
    )
    start, end = ms("2026-11-23T00:00:00Z"), ms("2026-11-23T08:00:00Z")
    assert [on_duty_at(shifts, at) for at in (start - 1, start, end - 1, end)] == [
        False,
        True,
        True,
        False,
    ]
    assert interval_at(shifts, start) == Interval(start, end)
    assert interval_at(shifts, end) is None


def test_weekdays_are_those_of_the_zone():
    """A Monday in Shanghai begins on Sunday in UTC."""
    assert listed(
        [weekly("06:00", "14:00", days=("mon",))], "2026-11-17T00:00:00Z", "2026-11-30T00:00:00Z"
    ) == [("11-22T22:00", "11-23T06:00"), ("11-29T22:00", "11-30T06:00")]


def test_an_end_at_or_before_the_start_is_on_the_next_day():
    """A night shift belongs to the day on which it begins; equal times are a whole day."""
    night = [weekly("22:00", "06:00", "UTC", ("mon",))]
    whole = [weekly("08:00", "08:00", "UTC", ("mon",))]
    midnight = [weekly("16:00", "00:00", "UTC", ("sun",))]
    week = ("2026-11-22T00:00:00Z", "2026-11-28T00:00:00Z")
    assert listed(night, *week) == [("11-23T22:00", "11-24T06:00")]
    assert listed(whole, *week) == [("11-23T08:00", "11-24T08:00")]
    assert listed(midnight, *week) == [("11-22T16:00", "11-23T00:00")]


def test_a_night_shift_holds_after_midnight_of_a_day_it_is_not_listed_for():
    """At two o'clock on Tuesday the Monday night shift is on duty, and no other."""
    shifts = parse_shifts([weekly("22:00", "06:00", "UTC", ("mon",))])
    assert on_duty_at(shifts, ms("2026-11-24T02:00:00Z"))
    assert not on_duty_at(shifts, ms("2026-11-23T02:00:00Z"))


def test_four_squads_in_a_four_day_rotation_are_on_duty_one_after_another():
    """Day, late, night, free, one day apart: at every hour exactly one squad of four a shift."""
    rotation = [("08:00", "16:00"), ("16:00", "00:00"), ("00:00", "08:00")]
    squads = [
        parse_shifts(
            [
                ruled(
                    f"DTSTART;TZID=Asia/Shanghai:2026010{1 + (squad + turn) % 4}T000000\n"
                    "RRULE:FREQ=DAILY;INTERVAL=4",
                    start,
                    end,
                )
                for turn, (start, end) in enumerate(rotation)
            ]
        )
        for squad in range(4)
    ]
    start = ms("2026-11-23T00:00:00+08:00")
    for hour in range(4 * 24):
        at = start + hour * HOUR
        assert sum(on_duty_at(shifts, at) for shifts in squads) == 1, rfc3339(at)


def test_the_time_of_day_of_a_rule_is_not_that_of_the_shift():
    """A rule picks dates: the shift's own start and end give the times."""
    rule = "DTSTART:20261123T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU"
    assert listed(
        [ruled(rule, "08:00", "09:00", "UTC")], "2026-11-22T00:00:00Z", "2026-11-30T00:00:00Z"
    ) == [("11-23T08:00", "11-23T09:00"), ("11-24T08:00", "11-24T09:00")]


# --- summer time


@pytest.mark.parametrize(
    ("zone", "spring", "autumn"),
    [
        ("Europe/Berlin", "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"),
        ("America/New_York", "2026-03-07T18:00:00Z", "2026-10-31T18:00:00Z"),
    ],
)
def test_a_night_shift_is_an_hour_shorter_in_spring_and_longer_in_autumn(zone, spring, autumn):
    """22:00 to 06:00 lasts 7 hours when the clocks go forward, 9 when they go back."""
    night = [weekly("22:00", "06:00", zone)]
    for noon, length in ((spring, 7), (autumn, 9)):
        end = rfc3339(ms(noon) + MS_PER_DAY)
        assert hours(night, noon, end) == [length]


def test_a_skipped_time_is_the_moment_of_the_skip():
    """02:30 does not exist in Berlin on 29 March 2026: it counts as 03:00 summer time."""
    day = ("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z")
    assert listed([weekly("02:30", "06:00", "Europe/Berlin", ("sun",))], *day) == [
        ("03-29T01:00", "03-29T04:00")
    ]


def test_a_shift_that_is_skipped_whole_does_not_take_place():
    """02:10 to 02:50 in Berlin on 29 March 2026 has no moment."""
    short = weekly("02:10", "02:50", "Europe/Berlin", ("sun",))
    assert listed([short], "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z") == []


def test_a_repeated_time_means_the_first():
    """02:30 comes twice in Berlin on 25 October 2026: the shift begins at the first."""
    day = ("2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z")
    assert listed([weekly("02:30", "06:00", "Europe/Berlin", ("sun",))], *day) == [
        ("10-25T00:30", "10-25T05:00")
    ]


ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Pacific/Apia"]
)
MOMENTS_MS = st.integers(ms("2011-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"))
CLOCKS = st.times().map(lambda clock: f"{clock:%H:%M}")


@settings(deadline=None)
@given(
    ZONES,
    st.lists(CLOCKS, min_size=1, max_size=4, unique=True),
    MOMENTS_MS,
)
@example("Pacific/Apia", ["06:00", "18:00"], ms("2011-12-29T00:00:00Z"))
def test_shifts_that_follow_each_other_leave_no_gap_and_no_overlap(zone, clocks, from_ms):
    """Shifts cut anywhere in the day cover every moment exactly once, on every day of any zone."""
    clocks = sorted(clocks)
    shifts = [weekly(a, b, zone) for a, b in zip(clocks, clocks[1:] + clocks[:1], strict=True)]
    found = intervals(parse_shifts(shifts), from_ms, from_ms + 3 * MS_PER_DAY)
    assert found[0].start_ms <= from_ms
    assert found[-1].end_ms >= from_ms + 3 * MS_PER_DAY
    for earlier, later in pairwise(found):
        assert earlier.end_ms == later.start_ms


@given(ZONES, CLOCKS, MOMENTS_MS)
def test_the_clocks_show_the_start_when_the_shift_begins(zone, clock, from_ms):
    """On an ordinary day the local time at the beginning is the one written."""
    found = intervals(parse_shifts([weekly(clock, clock, zone)]), from_ms, from_ms + 1)
    local = datetime.fromtimestamp(found[-1].start_ms / 1000, ZoneInfo(zone))
    calm = {(local + timedelta(days=n)).utcoffset() for n in (-1, 0, 1)}
    if len(calm) == 1:
        assert f"{local:%H:%M}" == clock


# --- boundaries


def test_a_handover_between_two_shifts_is_a_boundary():
    """Shifts that meet are not joined: on_duty and off_duty hold until the handover."""
    shifts = parse_shifts([weekly("08:00", "16:00", "UTC"), weekly("16:00", "00:00", "UTC")])
    assert next_boundary_ms(shifts, ms("2026-11-23T09:00:00Z")) == ms("2026-11-23T16:00:00Z")
    assert next_boundary_ms(shifts, ms("2026-11-23T16:00:00Z")) == ms("2026-11-24T00:00:00Z")
    assert next_boundary_ms(shifts, ms("2026-11-24T00:00:00Z")) == ms("2026-11-24T08:00:00Z")


def test_a_boundary_months_away_is_found():
    """A yearly shift's next beginning is found from the day after its end."""
    shifts = parse_shifts([ruled("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1", "08:00", "16:00", "UTC")])
    assert next_boundary_ms(shifts, ms("2026-05-02T00:00:00Z")) == ms("2027-05-01T08:00:00Z")


def test_without_shifts_there_is_no_duty_and_no_boundary():
    """No shifts, or none still to come, means off duty with no end to it."""
    past = parse_shifts([Shift(start="2020-01-01T00:00:00Z", end="2020-01-02T00:00:00Z")])
    for shifts in ((), past):
        assert not on_duty_at(shifts, ms("2026-11-23T00:00:00Z"))
        assert next_boundary_ms(shifts, ms("2026-11-23T00:00:00Z")) is None


SHIFTS = st.lists(
    st.builds(
        weekly,
        CLOCKS,
        CLOCKS,
        ZONES,
        st.lists(st.sampled_from(EVERY_DAY), min_size=1, max_size=3, unique=True).map(tuple),
    ),
    max_size=3,
)


@settings(deadline=None)
@given(SHIFTS, st.lists(st.integers(0, 21 * 24 * 60), min_size=1, max_size=12))
def test_a_schedule_remembers_nothing_wrong(shifts, minutes):
    """Asked in any order, forwards and back, a schedule says what the bare shifts say."""
    parsed = parse_shifts(shifts)
    schedule = Schedule(parsed)
    start = ms("2026-03-20T00:00:00Z")
    for minute in minutes:
        at = start + minute * 60_000
        assert schedule.duty_at(at).on_duty == on_duty_at(parsed, at)
        assert schedule.next_boundary_ms(at) == next_boundary_ms(parsed, at)


@settings(deadline=None)
@given(SHIFTS, st.integers(0, 21 * 24 * 60))
def test_an_answer_holds_for_as_long_as_it_says(shifts, minute):
    """Between since and until nothing changes, and at until a shift begins or ends."""
    parsed = parse_shifts(shifts)
    at = ms("2026-03-20T00:00:00Z") + minute * 60_000
    duty = duty_at(parsed, at)
    assert duty.since_ms <= at < duty.until_ms
    for moment in (duty.since_ms, at, duty.until_ms - 1):
        assert on_duty_at(parsed, moment) == duty.on_duty
    if duty.boundary_ms is not None:
        around = intervals(parsed, duty.until_ms - 1, duty.until_ms + 1)
        assert duty.until_ms in {bound for each in around for bound in each}


# --- bad shifts


@pytest.mark.parametrize(
    ("shift", "says"),
    [
        (Shift(start="08:00", end="16:00"), "full times"),
        (Shift(start="2026-11-23T08:00:00", end="2026-11-23T16:00:00Z"), "full times"),
        (Shift(start="2026-11-23T08:00:00Z", end="2026-11-23T08:00:00Z"), "not after start"),
        (Shift(start="08:00", end="16:00", days=("mon",)), "timezone"),
        (weekly("08:00", "16:00", "Mars/Olympus"), "timezone is not"),
        (weekly("08:00", "16:00", "America"), "timezone is not"),
        (weekly("08:00", "16:00", "../etc/passwd"), "timezone is not"),
        (weekly("08:00", "16:00", "a\x00b"), "timezone is not"),
        (weekly("8:00", "16:00"), "start is not HH:MM"),
        (weekly("08:00", "24:00"), "end is not HH:MM"),
        (weekly("08:00", "16:60"), "end is not HH:MM"),
        (weekly("08:00", "16:00", days=()), "days is empty"),
        (ruled("FREQ=HOURLY", "08:00", "16:00"), "FREQ"),
        (
            Shift(start="08:00", end="16:00", days=("mon",), rrule="FREQ=DAILY", timezone="UTC"),
            "not both",
        ),
    ],
)
def test_a_shift_that_cannot_be_understood_is_told_by_place_and_fault(shift, says):
    """BadShift names which shift it is, and what is wrong with it."""
    with pytest.raises(BadShift, match=rf"^shifts\[1\]: .*{says}"):
        parse_shifts([weekly("08:00", "16:00"), shift])


@given(
    st.builds(
        Shift,
        start=CLOCKS | st.text(max_size=30),
        end=CLOCKS | st.text(max_size=30),
        days=st.none() | st.just(("mon",)),
        rrule=st.none() | st.just("FREQ=DAILY") | st.text(max_size=30),
        timezone=st.none() | ZONES | st.text(max_size=30),
    )
)
def test_any_texts_are_a_shift_or_a_bad_shift(shift):
    """No text in any field raises anything but BadShift."""
    try:
        parsed = parse_shifts([shift])
    except BadShift:
        return
    assert len(parsed) == 1
