"""Who the members are: lookups by road, squad, rank and device, changes, the price of asking."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xiaohe.dispatch.inputs import RoadRole, RosterEntry, Shift
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.shifts import BadShift
from xiaohe.dispatch.times import MS_PER_DAY, MS_PER_HOUR, parse_rfc3339

MIDNIGHT_MS = parse_rfc3339("2026-11-23T00:00:00+08:00")
EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def daily(start, end):
    """A shift on every day in Shanghai."""
    return Shift(days=EVERY_DAY, start=start, end=end, timezone="Asia/Shanghai")


DAY, LATE, NIGHT = daily("08:00", "16:00"), daily("16:00", "00:00"), daily("00:00", "08:00")


def entry(member_id, *, owns=(), helps=(), **fields):
    """A roster entry of an invented person."""
    roads = [RoadRole(r, "owner") for r in owns] + [RoadRole(r, "team") for r in helps]
    stated = {"area_id": "riverside", "team": "first", "shifts": (DAY,)} | fields
    return RosterEntry(
        member_id=member_id, name=f"Invented {member_id}", roads=tuple(roads), **stated
    )


def roster_of(*entries):
    """A roster of these entries, put in this order."""
    roster = Roster()
    for each in entries:
        roster.put(each)
    return roster


def ids(members):
    """The ids of some members, in their order."""
    return [member.member_id for member in members]


# --- one member


def test_a_member_is_a_read_entry():
    """Roads are split by role, skills are a set, the rest is as it was sent."""
    roster = roster_of(
        entry(
            "m1",
            owns=["canal", "mill"],
            helps=["quay"],
            skills=("swim", "swim"),
            unit="2/3",
            rank="squad_leader",
            force="police",
            travel_mode="walk",
            device_ids=("d1",),
        )
    )
    member = roster.get("m1")
    assert member.owned_roads == {"canal", "mill"}
    assert member.team_roads == {"quay"}
    assert member.skills == {"swim"}
    assert (member.unit, member.rank, member.force) == ("2/3", "squad_leader", "police")
    assert (member.travel_mode, member.device_ids, member.team) == ("walk", ("d1",), "first")


def test_nobody_is_nobody():
    """Questions about unknown members, areas, roads and devices have empty answers."""
    roster = Roster()
    assert roster.get("m1") is None
    assert roster.area_of("m1") is None
    assert roster.by_device("d1") is None
    assert not roster.on_shift("m1", MIDNIGHT_MS)
    assert roster.next_boundary_ms("m1", MIDNIGHT_MS) is None
    assert dict(roster.members("riverside")) == {}
    assert roster.owners("canal", "riverside") == ()
    assert roster.team_members("canal", "riverside") == ()
    assert roster.squad("first", "riverside") == ()
    assert roster.leaders("riverside", "squad_leader") == ()
    assert roster.modes("riverside") == ()
    assert roster.areas() == ()
    roster.remove("m1")
    assert len(roster) == 0


# --- roads and squads


def test_owners_are_those_of_the_road_in_the_area_on_duty_or_not():
    """Owners come in the order of their ids, whatever the order of the roster."""
    roster = roster_of(
        entry("m3", owns=["canal"], shifts=()),
        entry("m1", owns=["canal"]),
        entry("m2", helps=["canal"]),
        entry("m4", owns=["canal"], area_id="hill"),
    )
    assert ids(roster.owners("canal", "riverside")) == ["m1", "m3"]
    assert ids(roster.owners("canal", "hill")) == ["m4"]


def test_the_team_is_the_owners_squad_and_the_helpers():
    """Everybody of an owner's squad, and those with the role ``team``, of the same area."""
    roster = roster_of(
        entry("owner", owns=["canal"], team="first"),
        entry("mate", team="first"),
        entry("helper", helps=["canal"], team="second"),
        entry("stranger", team="second"),
        entry("namesake", team="first", area_id="hill"),
    )
    assert ids(roster.team_members("canal", "riverside")) == ["helper", "mate", "owner"]
    assert ids(roster.squad("second", "riverside")) == ["helper", "stranger"]


@pytest.mark.parametrize(
    ("rank", "unit", "expected"),
    [
        ("squad_leader", "2/3", ["s23"]),
        ("squad_leader", "2/4", []),
        ("squad_leader", None, ["s13", "s23"]),
        ("squadron_leader", "2/3", ["q2", "q2path"]),
        ("squadron_leader", "1", ["q1"]),
        ("squadron_leader", "22/3", []),
        ("brigade_leader", "2/3", ["b"]),
        ("brigade_leader", None, ["b"]),
    ],
)
def test_leaders_are_those_of_the_unit(rank, unit, expected):
    """A squad leader leads a whole path, a squadron leader its first part, a brigade leader all."""
    roster = roster_of(
        entry("b", rank="brigade_leader"),
        entry("q1", rank="squadron_leader", unit="1"),
        entry("q2", rank="squadron_leader", unit="2"),
        entry("q2path", rank="squadron_leader", unit="2/0"),
        entry("s13", rank="squad_leader", unit="1/3"),
        entry("s23", rank="squad_leader", unit="2/3"),
        entry("m23", unit="2/3"),
    )
    assert ids(roster.leaders("riverside", rank, unit)) == expected


# --- devices


def test_a_device_belongs_to_who_claimed_it_last():
    """Of two claims the one received later counts, in whatever order they are put."""
    early, late = entry("m1", device_ids=("d1",)), entry("m2", device_ids=("d1",))
    for first, second in ((early, late), (late, early)):
        roster = Roster()
        for each in (first, second):
            roster.put(each, received_ms=2 if each is late else 1)
        assert roster.by_device("d1") == "m2"


def test_a_device_falls_back_when_its_last_claim_ends():
    """When the later member leaves or gives the device up, the earlier claim counts again."""
    roster = roster_of(entry("m1", device_ids=("d1",)), entry("m2", device_ids=("d1", "d1")))
    assert roster.by_device("d1") == "m2"
    roster.put(entry("m2"))
    assert roster.by_device("d1") == "m1"
    roster.remove("m1")
    assert roster.by_device("d1") is None


# --- changes


def test_a_member_who_moves_leaves_the_old_area():
    """After an entry with another area nothing of the member is found in the old one."""
    roster = roster_of(entry("m1", owns=["canal"], device_ids=("d1",), rank="squad_leader"))
    roster.put(entry("m1", area_id="hill", owns=["ridge"], rank="squad_leader"))
    assert roster.area_of("m1") == "hill"
    assert roster.areas() == ("hill",)
    assert list(roster.members("riverside")) == []
    assert roster.owners("canal", "riverside") == ()
    assert roster.owners("canal", "hill") == ()
    assert roster.leaders("riverside", "squad_leader") == ()
    assert ids(roster.owners("ridge", "hill")) == ["m1"]
    assert roster.by_device("d1") is None


def test_an_entry_that_cannot_be_read_changes_nothing():
    """A bad shift is told, and the earlier entry stays."""
    roster = roster_of(entry("m1", owns=["canal"]))
    with pytest.raises(BadShift):
        roster.put(entry("m1", shifts=(daily("25:00", "26:00"),)))
    assert ids(roster.owners("canal", "riverside")) == ["m1"]


def test_the_view_of_an_areas_members_follows_the_roster_in_order():
    """A view taken before a change shows it, sorted by member_id, and cannot be written to."""
    roster = roster_of(entry("m2"))
    view = roster.members("riverside")
    roster.put(entry("m1", travel_mode="car"))
    assert list(view) == ["m1", "m2"]
    assert [member.member_id for member in view.values()] == ["m1", "m2"]
    assert roster.modes("riverside") == ("car", "ebike")
    with pytest.raises(TypeError):
        view["m3"] = view["m1"]


ENTRIES = st.builds(
    entry,
    st.sampled_from(["m1", "m2", "m3", "m4"]),
    owns=st.lists(st.sampled_from(["canal", "mill"]), max_size=2, unique=True),
    helps=st.lists(st.sampled_from(["canal", "mill"]), max_size=2, unique=True),
    team=st.sampled_from(["first", "second"]),
    area_id=st.sampled_from(["riverside", "hill"]),
    rank=st.sampled_from(["member", "squad_leader"]),
    travel_mode=st.sampled_from(["walk", "car"]),
    device_ids=st.lists(st.sampled_from(["d1", "d2"]), max_size=2).map(tuple),
    shifts=st.sampled_from([(), (DAY,), (LATE, NIGHT)]),
)


def everything(roster):
    """All answers that a roster can give."""
    return [
        (
            list(roster.members(area).items()),
            [roster.owners(road, area) for road in ("canal", "mill")],
            [roster.team_members(road, area) for road in ("canal", "mill")],
            [roster.squad(team, area) for team in ("first", "second")],
            roster.leaders(area, "squad_leader"),
            roster.modes(area),
        )
        for area in ("riverside", "hill")
    ] + [roster.areas(), roster.by_device("d1"), roster.by_device("d2")]


@settings(deadline=None)
@given(st.lists(ENTRIES | st.sampled_from(["m1", "m2", "m3", "m4"]), max_size=12), st.randoms())
def test_only_the_last_entry_of_each_member_matters(history, shuffle):
    """A roster with a long history answers as one that only ever had what is left, in any order."""
    roster, left = Roster(), {}
    for received_ms, each in enumerate(history, start=1):
        if isinstance(each, str):
            roster.remove(each)
            left.pop(each, None)
        else:
            roster.put(each, received_ms)
            left[each.member_id] = (each, received_ms)
    remaining = list(left.values())
    shuffle.shuffle(remaining)
    fresh = Roster()
    for each, received_ms in remaining:
        fresh.put(each, received_ms)
    assert everything(roster) == everything(fresh)


# --- shifts


def test_being_on_shift_follows_the_roster():
    """On duty from eight to four, with the handover as the next boundary."""
    roster = roster_of(entry("m1"), entry("m2", shifts=()))
    eight, four = MIDNIGHT_MS + 8 * MS_PER_HOUR, MIDNIGHT_MS + 16 * MS_PER_HOUR
    assert [roster.on_shift("m1", at) for at in (eight - 1, eight, four - 1, four)] == [
        False,
        True,
        True,
        False,
    ]
    assert roster.next_boundary_ms("m1", eight) == four
    assert roster.next_boundary_ms("m1", four) == eight + MS_PER_DAY
    assert roster.next_boundary_ms("m2", four) is None


def test_a_changed_entry_has_its_new_shifts_at_once():
    """What was remembered of the old shifts is not asked after a change."""
    roster = roster_of(entry("m1", shifts=(DAY,)))
    noon = MIDNIGHT_MS + 12 * MS_PER_HOUR
    assert roster.on_shift("m1", noon)
    roster.put(entry("m1", shifts=(NIGHT,)))
    assert not roster.on_shift("m1", noon)


def test_asking_twenty_thousand_members_all_day_expands_each_schedule_a_few_times():
    """Per schedule, not per member and not per question: one expansion a boundary."""
    roster = Roster()
    for number in range(20_000):
        roster.put(entry(f"m{number:05}", shifts=((DAY,), (LATE,), (NIGHT,))[number % 3]))
    schedules = {id(m.schedule): m.schedule for m in roster.members("riverside").values()}
    on_duty = []
    for minute in range(0, 24 * 60, 60):
        at = MIDNIGHT_MS + minute * 60_000
        on_duty.append(sum(roster.on_shift(m, at) for m in roster.members("riverside")))
    assert set(on_duty) <= {6_666, 6_667}
    assert len(schedules) == 3
    assert sum(schedule.expansions for schedule in schedules.values()) <= 3 * 3


def test_members_with_shifts_of_their_own_are_expanded_once_a_boundary():
    """Nothing shared: a thousand members asked a hundred times in one shift, expanded once each."""
    roster = Roster()
    for number in range(1_000):
        own = daily(f"{number // 60 % 8:02}:{number % 60:02}", f"{16 + number // 500:02}:00")
        roster.put(entry(f"m{number:05}", shifts=(own, daily("20:00", f"20:{1 + number % 59:02}"))))
    start = MIDNIGHT_MS + 9 * MS_PER_HOUR
    order = random.Random(1)
    members = list(roster.members("riverside"))
    for second in range(100):
        order.shuffle(members)
        assert all(roster.on_shift(m, start + second * 1_000) for m in members)
    counts = {m.schedule.expansions for m in roster.members("riverside").values()}
    assert counts == {1}
