"""Recurrence rules as local dates."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.recurrence import ANCHOR, BadRule, RuleDates, rule_dates

SHANGHAI = ZoneInfo("Asia/Shanghai")


def zone_named(name):
    """The zone of a name, as the shifts give it."""
    try:
        return ZoneInfo(name)
    except (LookupError, OSError) as error:
        raise ValueError(name) from error


def dates(text, first, last, zone=SHANGHAI):
    """The dates of a rule from first to last, as ISO text."""
    found = rule_dates(text, zone, zone_named).between(
        date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal()
    )
    return [date.fromordinal(ordinal).isoformat() for ordinal in found]


def test_a_rule_without_a_start_counts_from_the_anchor():
    """A four-day rotation without DTSTART has the phase of Monday, 1 January 2001."""
    found = dates("FREQ=DAILY;INTERVAL=4", "2026-11-20", "2026-12-02")
    assert len(found) == 3
    for day in found:
        assert (date.fromisoformat(day).toordinal() - ANCHOR.toordinal()) % 4 == 0


def test_a_start_gives_the_phase():
    """Four squads one day apart take each day in turn."""
    for shift_days in range(4):
        start = f"DTSTART;TZID=Asia/Shanghai:2026010{1 + shift_days}T080000"
        rule = f"{start}\nRRULE:FREQ=DAILY;INTERVAL=4"
        found = dates(rule, "2026-01-01", "2026-01-08")
        assert found == [f"2026-01-0{1 + shift_days}", f"2026-01-0{5 + shift_days}"]


def test_nothing_occurs_before_the_start():
    """A rule has no dates before its DTSTART."""
    rule = "DTSTART:20260110T000000\nRRULE:FREQ=DAILY"
    assert dates(rule, "2026-01-01", "2026-01-11") == ["2026-01-10", "2026-01-11"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260107", ["2026-01-05", "2026-01-07"]),
        ("freq=weekly;byday=mo,we;until=20260107t000000", ["2026-01-05", "2026-01-07"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=2TU", ["2026-01-13", "2026-02-10"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-01-31", "2026-02-28"]),
        ("FREQ=DAILY;BYMONTH=1;BYMONTHDAY=5,6;BYHOUR=9", ["2026-01-05", "2026-01-06"]),
        ("DTSTART:20260101\nRRULE:FREQ=DAILY;COUNT=2", ["2026-01-01", "2026-01-02"]),
        ("DTSTART:20260101T090000\r\nRRULE:FREQ=DAI\r\n LY;COUNT=1", ["2026-01-01"]),
        ("FREQ=DAILY;UNTIL=20251231T160000Z", ["2026-01-01"]),
        ("FREQ=DAILY;UNTIL=20251231T155959Z", []),
    ],
)
def test_rules_give_their_dates(rule, expected):
    """Parts of RFC 5545, in either case, folded or not, give the dates of January and February."""
    assert dates(rule, "2026-01-01", "2026-02-28") == expected


def test_occurrences_are_dated_in_the_zone_of_the_shift():
    """A start in UTC or in another zone moves the date where the shift's own day has begun."""
    utc = "DTSTART:20260101T170000Z\nRRULE:FREQ=DAILY;COUNT=1"
    new_york = "DTSTART;TZID=America/New_York:20260101T200000\nRRULE:FREQ=DAILY;COUNT=1"
    assert dates(utc, "2026-01-01", "2026-01-05") == ["2026-01-02"]
    assert dates(new_york, "2026-01-01", "2026-01-05") == ["2026-01-02"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "one RRULE line"),
        ("FREQ=DAILY\nFREQ=DAILY", "one RRULE line"),
        ("DTSTART:20260101", "one RRULE line"),
        ("RRULE:FREQ=DAILY\nEXDATE:20260101", "one RRULE line"),
        ("INTERVAL=2", "no FREQ"),
        ("FREQ=HOURLY", "FREQ must be one of"),
        ("FREQ=SECONDLY;COUNT=999999", "FREQ must be one of"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be"),
        ("FREQ=DAILY;INTERVAL=99999999999", "INTERVAL must be"),
        ("FREQ=DAILY;COUNT=0", "COUNT must be"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20260101", "not both"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY must list"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH must list"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY must list"),
        ("FREQ=DAILY;BYHOUR=9,17", "BYHOUR must be one number"),
        ("FREQ=DAILY;BYEASTER=0", "not in RFC 5545"),
        ("FREQ=DAILY;WKST=1", "not as RFC 5545"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=DAILY;UNTIL=20001231", "never occurs"),
        ("FREQ=DAILY;UNTIL=2026", "UNTIL is not a date"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL is not a date"),
        ("DTSTART:19691231T000000\nRRULE:FREQ=DAILY", "years 1970 to 2399"),
        ("DTSTART:20260101T250000\nRRULE:FREQ=DAILY", "DTSTART is not"),
        ("DTSTART;TZID=Nowhere/None:20260101T000000\nRRULE:FREQ=DAILY", "TZID is not"),
        ("FREQ=DAILY;BYMONTHDAY=" + "1," * 500 + "1", "longer than"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_what_is_wrong(rule, says):
    """Each kind of bad rule is told by name."""
    with pytest.raises(BadRule, match=says):
        rule_dates(rule, SHANGHAI, zone_named)


PARTS = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])},
    optional={
        "INTERVAL": st.integers(1, 12).map(str),
        "BYMONTH": st.sampled_from(["1", "2,11", "12"]),
        "BYMONTHDAY": st.sampled_from(["1", "-1", "15,31"]),
        "BYDAY": st.sampled_from(["MO", "TU,TH", "SU"]),
        "BYSETPOS": st.sampled_from(["1", "-1"]),
        "WKST": st.sampled_from(["MO", "SU"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    PARTS,
    st.dates(date(2020, 1, 1), date(2026, 1, 1)),
    st.lists(st.integers(0, 1500), min_size=1, max_size=4),
)
def test_dates_are_those_of_dateutil_however_they_are_asked_for(parts, start, asked):
    """Moving a rule by a multiple of 400 years, and keeping dates, changes none of them."""
    line = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        rule = rule_dates(f"DTSTART:{start:%Y%m%d}\nRRULE:{line}", SHANGHAI, zone_named)
    except BadRule:
        return  # a rule that never occurs
    naive_start = datetime.combine(start, datetime.min.time())
    for days in asked:
        first = start.toordinal() + days
        expected = rrulestr(line, dtstart=naive_start).between(
            datetime.fromordinal(first), datetime.fromordinal(first + 60), inc=True
        )
        assert list(rule.between(first, first + 60)) == [day.toordinal() for day in expected]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "FREQ=DAILY",
                "FREQ=YEARLY",
                "FREQ=MONTHLY",
                "BYDAY=53MO",
                "BYDAY=-53SU",
                "BYDAY=5TU",
                "BYMONTH=2",
                "BYWEEKNO=53",
                "BYYEARDAY=-366",
                "COUNT=3",
                "UNTIL=20270101",
                "INTERVAL=3",
                "BYSETPOS=-2",
                "DTSTART:20260229",
            ]
        ),
        max_size=5,
    ).map(";".join)
    | st.text(max_size=40)
)
def test_any_text_is_a_rule_with_dates_or_a_bad_rule(text):
    """No text makes the reader, or the search for dates, raise anything but BadRule."""
    try:
        rule = rule_dates(text, SHANGHAI, zone_named)
    except BadRule:
        return
    assert isinstance(rule, RuleDates)
    first = date(2026, 1, 1).toordinal()
    assert all(first <= day <= first + 4000 for day in rule.between(first, first + 4000))
