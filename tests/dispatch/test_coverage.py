"""Gaps and doubles in a roster, by road, name and time."""

import time

import pytest

from xiaohe.dispatch.coverage import Problem, check_roster
from xiaohe.dispatch.inputs import RoadRole, RosterEntry, Shift
from xiaohe.dispatch.shifts import on_duty_at, parse_shifts
from xiaohe.dispatch.times import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, parse_rfc3339

MONDAY_MS = parse_rfc3339("2026-11-23T00:00:00+08:00")
EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ROADS = {"riverside": ["canal", "mill"]}


def daily(start, end, days=EVERY_DAY):
    """A shift in Shanghai."""
    return Shift(days=days, start=start, end=end, timezone="Asia/Shanghai")


DAY, LATE, NIGHT = daily("08:00", "16:00"), daily("16:00", "00:00"), daily("00:00", "08:00")


def entry(member_id, shifts, *, owns=("canal", "mill"), helps=(), **fields):
    """A roster entry of an invented person."""
    roads = [RoadRole(r, "owner") for r in owns] + [RoadRole(r, "team") for r in helps]
    stated = {"area_id": "riverside", "team": "first"} | fields
    return RosterEntry(
        member_id=member_id,
        name=f"Invented {member_id}",
        roads=tuple(roads),
        shifts=shifts,
        **stated,
    )


def full_roster(roads=("canal", "mill")):
    """Three squads of two: one member of each owns the roads, round the clock."""
    turns = {"first": DAY, "second": LATE, "third": NIGHT}
    owners = [entry(f"o-{team}", (turn,), team=team, owns=roads) for team, turn in turns.items()]
    mates = [entry(f"p-{team}", (turn,), team=team, owns=()) for team, turn in turns.items()]
    return owners + mates


def told(findings):
    """Problem, road, from and to in hours after Monday midnight, of each finding."""
    return [
        (
            each.problem.value,
            each.road_id,
            None if each.from_ms is None else (each.from_ms - MONDAY_MS) / MS_PER_HOUR,
            None if each.to_ms is None else (each.to_ms - MONDAY_MS) / MS_PER_HOUR,
        )
        for each in findings
    ]


def test_a_full_roster_has_no_findings():
    """One owner and one squad at every minute of the week for every road."""
    assert check_roster(full_roster(), ROADS, MONDAY_MS) == []


def test_a_missing_night_is_told_road_by_road_and_night_by_night():
    """Without the third squad's owner on Tuesday both roads lack an owner from 0 to 8 o'clock."""
    not_tuesday = tuple(day for day in EVERY_DAY if day != "tue")
    roster = [e for e in full_roster() if e.member_id != "o-third"]
    roster.append(entry("o-third", (daily("00:00", "08:00", not_tuesday),), team="third"))
    findings = check_roster(roster, ROADS, MONDAY_MS)
    assert told(findings) == [("no_owner", "canal", 24, 32), ("no_owner", "mill", 24, 32)]
    assert findings[0].detail == "canal: no owner is on duty"


def test_an_absent_squad_is_told_beside_the_absent_owner():
    """Where nobody of the owner's squad is on duty either, the squad is missing too."""
    roster = [e for e in full_roster(["canal"]) if e.team != "third"]
    findings = check_roster(roster, {"riverside": ["canal"]}, MONDAY_MS, days=1)
    assert told(findings) == [
        ("nobody_on_duty", None, 0, 8),
        ("no_owner", "canal", 0, 8),
        ("no_squad", "canal", 0, 8),
    ]


def test_a_helper_on_duty_is_a_squad():
    """Somebody with the role ``team`` on the road fills the squad's gap, not the owner's."""
    roster = [e for e in full_roster(["canal"]) if e.team != "third"]
    roster.append(entry("helper", (NIGHT,), team="fourth", owns=(), helps=("canal",)))
    findings = check_roster(roster, {"riverside": ["canal"]}, MONDAY_MS, days=1)
    assert told(findings) == [("no_owner", "canal", 0, 8)]


def test_two_owners_at_once_are_told_by_name():
    """An overlap of half an hour between two squads is a double of owners and of squads."""
    roster = [e for e in full_roster() if e.member_id != "o-first"]
    roster.append(
        entry(
            "o-first",
            (daily("08:00", "16:30", ("mon",)), daily("08:00", "16:00", EVERY_DAY[1:])),
            team="first",
            owns=("canal",),
        )
    )
    roster.append(entry("o-mill", (DAY,), team="first", owns=("mill",)))
    findings = check_roster(roster, ROADS, MONDAY_MS)
    assert told(findings) == [
        ("two_owners", "canal", 16, 16.5),
        ("two_squads", "canal", 16, 16.5),
    ]
    assert findings[0].member_ids == ("o-first", "o-second")
    assert "o-first and o-second" in findings[0].detail
    assert "first and second" in findings[1].detail


def test_two_owners_of_one_squad_are_no_double_squad():
    """Two people of the same squad on one road are two owners and one squad."""
    roster = [*full_roster(), entry("o-more", (NIGHT,), team="third", owns=("mill",))]
    findings = check_roster(roster, ROADS, MONDAY_MS, days=1)
    assert told(findings) == [("two_owners", "mill", 0, 8)]


def test_a_road_that_nobody_owns_has_a_gap_all_week():
    """A road without any owner in the roster says so, as one gap."""
    findings = check_roster(full_roster(), {"riverside": ["canal", "quay"]}, MONDAY_MS)
    mine = [each for each in findings if each.road_id == "quay"]
    assert told(mine) == [("no_owner", "quay", 0, 168), ("no_squad", "quay", 0, 168)]
    assert mine[0].detail == "quay: no owner is on duty: no member owns it"


def test_an_area_without_anybody_says_so_once():
    """No entries: nobody on duty, and every road without owner and squad."""
    findings = check_roster([], {"riverside": ["canal"]}, MONDAY_MS, days=1)
    assert [each.problem for each in findings] == [
        Problem.NOBODY_ON_DUTY,
        Problem.NO_OWNER,
        Problem.NO_SQUAD,
    ]


@pytest.mark.parametrize(
    ("extra", "problem", "words"),
    [
        ([entry("x", (DAY,), owns=("cannal",))], "unknown_road", "cannal"),
        ([entry("x", (DAY,), owns=(), area_id="hill")], "unknown_area", "hill"),
        (
            [
                entry("x", (DAY,), owns=(), device_ids=("d1",)),
                entry("y", (DAY,), owns=(), device_ids=("d1",)),
            ],
            "device_twice",
            "x and y",
        ),
        ([entry("x", (DAY,), owns=()), entry("x", (LATE,), owns=())], "member_twice", "x"),
        ([entry("x", (), owns=())], "no_shifts", "x"),
        ([entry("x", (daily("8", "9"),), owns=())], "bad_shift", "shifts[0]"),
        (
            [entry("x", (DAY, daily("15:00", "17:00", ("mon",))), owns=())],
            "overlapping_shifts",
            "x",
        ),
        ([entry("x", (), owns=(), helps=("canal", "canal"))], "role_twice", "canal 2 times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_in_an_entry_is_told_by_member(extra, problem, words):
    """Problems of the entries themselves, each with the member who has it."""
    findings = check_roster(full_roster() + extra, ROADS, MONDAY_MS)
    mine = [each for each in findings if each.problem == problem]
    assert len(mine) == 1
    assert words in mine[0].detail
    assert mine[0].member_ids[0] == "x"


def test_an_overlap_of_ones_own_shifts_is_told_with_its_time_and_is_no_second_owner():
    """A member on two overlapping shifts is one person."""
    roster = full_roster()
    roster[0] = entry("o-first", (DAY, daily("15:00", "16:00", ("mon",))), team="first")
    assert told(check_roster(roster, ROADS, MONDAY_MS)) == [("overlapping_shifts", None, 15, 16)]


def test_the_sweep_says_what_looking_at_every_minute_says():
    """Against a plain count minute by minute, on a roster with odd and overlapping hours."""
    shifts = [("07:13", "12:01"), ("11:47", "19:30"), ("19:30", "02:05"), ("01:59", "07:13")]
    roster = [
        entry(f"m{n}", (daily(start, end),), team=f"t{n % 2}", owns=("canal",))
        for n, (start, end) in enumerate(shifts)
    ]
    findings = check_roster(roster, {"riverside": ["canal"]}, MONDAY_MS, days=2)
    parsed = [(each.team, parse_shifts(each.shifts)) for each in roster]
    for minute in range(2 * 24 * 60):
        at = MONDAY_MS + minute * MS_PER_MINUTE
        present = [team for team, shifts in parsed if on_duty_at(shifts, at)]
        expected = set()
        if not present:
            expected = {"nobody_on_duty", "no_owner", "no_squad"}
        if len(present) > 1:
            expected.add("two_owners")
        if len(set(present)) > 1:
            expected.add("two_squads")
        assert {f.problem.value for f in findings if f.from_ms <= at < f.to_ms} == expected


def test_findings_come_in_a_fixed_order():
    """The order of the entries changes nothing."""
    roster = [e for e in full_roster() if e.member_id != "o-third"]
    roster += [entry("z", ()), entry("a", (DAY,), owns=("cannal",))]
    one = check_roster(roster, ROADS, MONDAY_MS)
    assert check_roster(roster[::-1], ROADS, MONDAY_MS) == one


def test_a_large_roster_is_checked_at_once():
    """600 roads and 50 members with several owners a road at a time take well under a second."""
    roads = [f"r{n:03}" for n in range(600)]
    turns = (DAY, LATE, NIGHT)
    roster = [
        entry(f"m{n:02}", (turns[n % 3],), team=f"t{n % 4}", owns=roads[n % 7 :: 7])
        for n in range(50)
    ]
    began = time.process_time()
    findings = check_roster(roster, {"riverside": roads}, MONDAY_MS)
    assert time.process_time() - began < 1.0
    assert {each.road_id for each in findings} == set(roads)
    assert max(each.to_ms for each in findings) == MONDAY_MS + 7 * MS_PER_DAY
