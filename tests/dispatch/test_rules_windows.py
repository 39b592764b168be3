"""The three windows: accepted, on scene, reinforced; counted from the alert's receipt."""

import pytest

from tests.dispatch.town import Town, with_policy
from xiaohe.dispatch import facts as f

TWO = """
    member at rank
    m1     b  member
    m2     c  member
    boss   f  squad_leader
"""
NO_BACKUP = "rules: [{set: {backup: never}}]"


@pytest.mark.parametrize(
    ("mode", "priority", "accept_by", "arrive_by"),
    [
        ("peacetime", 1, "01:00", "03:00"),
        ("peacetime", 2, "01:00", "03:00"),
        ("peacetime", 3, "03:00", "15:00"),
        ("peacetime", 4, "03:00", "15:00"),
        ("emergency", 1, "01:00", "03:00"),
        ("emergency", 3, "01:00", "03:00"),
        ("emergency", 4, "01:00", "03:00"),
    ],
)
def test_the_windows_follow_from_mode_and_priority(
    mode: str, priority: int, accept_by: str, arrive_by: str
) -> None:
    """60/180 in emergency mode and for priorities 1 and 2; 180/900 for 3 and 4 in peacetime."""
    town = Town(TWO)
    town.desk("set_mode", mode=mode, incident_id=None)
    town.alert(at="a", priority=priority)
    incident = town.incident()
    assert town.clock(incident.accept_by_ms) == accept_by
    assert town.clock(incident.arrive_by_ms) == arrive_by


def test_the_windows_count_from_the_receipt_and_not_from_the_decision() -> None:
    """A worker that was slow gets no longer window."""
    town = Town(TWO)
    town.at("00:07")
    town.alert(at="a", received="00:05")
    assert town.clock(town.incident().accept_by_ms) == "01:05"
    assert town.clock(town.incident().timeline.received_ms) == "00:05"
    assert town.clock(town.incident().timeline.dispatched_ms) == "00:07"


def test_priority_one_is_an_emergency_of_its_own() -> None:
    """A priority 1 alert puts its incident into emergency without touching its area."""
    town = Town(TWO)
    town.alert("a1", at="a", priority=1)
    assert (town.incident().mode, town.state.mode) == ("emergency", "peacetime")
    town.alert("a2", at="f", category="noise", priority=2)
    assert town.incident().mode == "peacetime"


def test_in_time_nothing_is_overdue() -> None:
    """Accepted within 60 s and on scene within 180 s: nothing overdue is ever written."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.at("00:59.999")
    town.member("m1").accepts()
    town.at("02:59.999")
    town.member("m1").arrives()
    town.at("06:00")
    assert [e for e in town.story() if "overdue" in e] == []


def test_each_overdue_event_is_written_once_at_its_deadline() -> None:
    """Nobody answers at all: one acceptance.overdue, one arrival.overdue, one backup.overdue."""
    town = Town("member at shift\nasleep b none")
    town.alert(at="a", priority=1)
    town.at("20:00")
    missed = [
        (town.clock(x.due_ms), x.late_s, x.estimate_s)
        for kind in (f.AcceptanceOverdue, f.ArrivalOverdue, f.BackupOverdue)
        for x in town.facts(kind)
    ]
    assert missed == [("01:00", 0.0, None), ("03:00", 0.0, None), ("05:00", 0.0, None)]


def test_arrival_overdue_says_when_the_first_of_those_under_way_will_be_there() -> None:
    """`estimate_s` is the travel time that is left, from the last fix."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.at("00:10")
    town.member("m1").accepts()
    town.member("m1").moves_to("ab@0.5")
    town.at("03:00")
    [overdue] = town.facts(f.ArrivalOverdue)
    assert overdue.estimate_s == 27.0
    [told] = town.facts(f.CommandNotified)
    assert told.reason == "arrival_overdue"


def test_an_acceptance_that_was_received_in_time_is_in_time_however_late_it_is_decided() -> None:
    """The broker's clock says what is in time: the worker was down, the answer was not."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.jump("01:30")
    town.member("m1").accepts(received="00:59.999")
    town.at("01:31")
    assert town.facts(f.AcceptanceOverdue) == []
    assert town.clock(town.incident().timeline.accepted_ms) == "00:59.999"


def test_an_acceptance_received_too_late_was_missed_though_no_wake_up_came_before_it() -> None:
    """The worker was down at the deadline and reads a late acceptance first: still overdue."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.jump("01:30")
    town.member("m1").accepts(received="01:10")
    town.at("01:31")
    [overdue] = town.facts(f.AcceptanceOverdue)
    assert (town.clock(overdue.due_ms), overdue.late_s) == ("01:00", 30.0)
    assert town.facts(f.CommandNotified) == []  # somebody is coming: nobody need be told
    assert town.story().index("acceptance.overdue") < town.story().index("member.accepted m1")


def test_an_arrival_received_too_late_was_missed_too() -> None:
    """The same of the second and of the third window, where `complete` says all at once."""
    town = Town(TWO)
    town.alert(at="a", priority=1)
    town.jump("06:00")
    town.member("m2").completes(received="05:30")
    town.member("m1").completes(received="05:31")
    assert [e for e in town.story() if "overdue" in e] == [
        "arrival.overdue",
        "backup.overdue",
        "acceptance.overdue",
    ]


def test_two_alerts_of_the_same_millisecond_are_two_incidents() -> None:
    """Nothing is told apart by time: each has its own incident, member and deadlines."""
    town = Town(TWO)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    first, second = town.opened
    assert first != second
    assert town.asked(first) != town.asked(second)
    town.at("01:00")
    assert {x.incident_id for x in town.facts(f.AcceptanceOverdue)} == {first, second}


def test_priorities_three_and_four_in_peacetime_have_no_third_window() -> None:
    """Backup may be asked for; there is no deadline and nothing overdue."""
    town = Town(TWO)
    town.alert(at="a", priority=3)
    town.member("m1").accepts()
    town.member("m1").asks_for_backup()
    [required] = town.facts(f.BackupRequired)
    assert required.due_ms is None
    assert town.incident().backup_by_ms is None
    assert town.asked(role="backup") == ["m2"]
    town.at("30:00")
    assert town.facts(f.BackupOverdue) == []


def test_reopening_starts_the_windows_anew_from_its_own_receipt() -> None:
    """`reopen` counts from when the word was received; figures begin anew as well."""
    town = Town(TWO, rules=NO_BACKUP)
    town.alert(at="a")
    town.member("m1").completes()
    town.at("10:00")
    town.desk("reopen", reason="it goes on", received="09:59")
    incident = town.incident()
    assert incident.state == "dispatched"
    assert town.clock(incident.accept_by_ms) == "10:59"
    assert town.clock(incident.timeline.received_ms) == "09:59"
    assert incident.timeline.resolved_ms is None
    assert town.asked() == ["m1"]  # whoever was there before may be asked again
    town.at("11:00")
    assert len(town.facts(f.AcceptanceOverdue)) == 1


def test_policy_may_be_laid_over_and_a_faster_clock_divides_every_duration() -> None:
    """The figures are data: a test, a demo or a city lays its own over the shipped ones."""
    town = Town(TWO)
    with_policy(town, "rules: [{set: {accept_s: 6, arrive_s: 18}}]")
    town.alert(at="a")
    assert town.clock(town.incident().accept_by_ms) == "00:06"
    town.at("00:06")
    assert len(town.facts(f.AcceptanceOverdue)) == 1
