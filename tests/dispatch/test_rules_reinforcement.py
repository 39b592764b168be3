"""Reinforcement: always, on need, never; one at a time; the third window."""

import pytest

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f

FOUR = """
    member at rank
    m1     b  member
    m2     c  member
    m3     e  member
    boss   f  squad_leader
"""


def required(town: Town) -> list[tuple[str, int]]:
    """Why backup was required, and how many then."""
    return [(x.reason, x.wanted) for x in town.facts(f.BackupRequired)]


@pytest.mark.parametrize(
    ("mode", "priority"), [("emergency", 2), ("emergency", 4), ("peacetime", 1)]
)
def test_always_means_together_with_the_first(mode: str, priority: int) -> None:
    """In emergency mode and for priority 1 the backup is ordered in the same decision."""
    town = Town(FOUR)
    town.desk("set_mode", mode=mode, incident_id=None)
    decision = town.alert(at="a", priority=priority)
    assert [f.type_of(x) for x in decision.facts if "dispatched" in f.type_of(x)] == [
        "member.dispatched",
        "backup.dispatched",
    ]
    assert (town.asked(role="primary"), town.asked(role="backup")) == (["m1"], ["m3"])
    [order] = [o for o in town.orders() if o.role == "backup"]
    assert town.clock(order.arrive_by_ms) == "05:00"


def test_on_need_means_not_before_there_is_a_need() -> None:
    """All goes well: nobody else is sent, and the third window never was."""
    town = Town(FOUR)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:30")
    town.member("m1").completes()
    town.at("10:00")
    assert required(town) == []
    assert town.incident().backup_by_ms is None
    assert town.incident().timeline.backup_required_ms is None


def test_on_need_when_a_member_asks() -> None:
    """The member on scene calls: one goes, and the window is the alert's receipt + 300 s."""
    town = Town(FOUR)
    town.alert(at="a")
    town.member("m1").arrives()
    town.at("01:00")
    town.member("m1").asks_for_backup(reason="they are many")
    assert required(town) == [("they are many", 1)]
    assert town.asked(role="backup") == ["m3"]
    assert town.clock(town.incident().backup_by_ms) == "05:00"
    assert town.clock(town.incident().timeline.backup_required_ms) == "01:00"


def test_asking_again_asks_for_one_more() -> None:
    """One open backup at a time, unless more are asked for; the window stays the first's."""
    town = Town(FOUR)
    town.alert(at="a")
    town.member("m1").arrives()
    town.member("m1").asks_for_backup()
    town.at("01:00")
    assert len(town.asked(role="backup")) == 1
    town.member("m1").asks_for_backup()
    assert required(town) == [("asked_for", 1), ("asked_for", 2)]
    assert len(town.asked(role="backup")) == 2
    assert town.clock(town.incident().backup_by_ms) == "05:00"


def test_on_need_when_nobody_accepts() -> None:
    """acceptance.overdue requires it; what else is missed later requires no second one."""
    town = Town(FOUR)
    town.alert(at="a")
    town.at("01:00")
    assert required(town) == [("acceptance_overdue", 1)]
    town.at("04:00")
    assert required(town) == [("acceptance_overdue", 1)]


def test_on_need_when_nobody_arrives() -> None:
    """Accepted, beside the scene, and never there: arrival.overdue requires it."""
    town = Town("member at\nm1 b", rules="rules: [{set: {dwell_s: 600}}]")
    town.alert(at="a")
    town.at("00:58")
    town.member("m1").accepts()
    town.at("01:11")
    town.member("m1").moves_to("a")
    town.at("03:00")
    assert required(town) == [("arrival_overdue", 1)]


def test_on_need_when_more_people_are_needed_than_can_be_found() -> None:
    """Two are needed, one is under way, and nobody else can go as the second."""
    town = Town("member at\nm1 b")
    town.alert(at="a", needed=2)
    assert required(town) == [("too_few", 1)]


def test_never_means_never_and_a_call_for_help_goes_to_the_command() -> None:
    """Policy `never`: nobody is sent of the engine's own accord; a leader hears of the call."""
    town = Town(FOUR, rules="rules: [{set: {backup: never}}]")
    town.alert(at="a", priority=1)
    town.member("m1").arrives()
    assert town.facts(f.CommandNotified) == []
    town.member("m1").asks_for_backup()
    assert required(town) == []
    [told] = town.facts(f.CommandNotified)
    assert (told.reason, told.who) == ("backup_asked_for", ("boss",))


def test_a_backup_who_declines_or_never_answers_is_replaced() -> None:
    """At once on a decline; when the order lapses on silence."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m3").declines()
    assert town.asked(role="backup") == ["m2"]
    town.at("01:00")
    assert town.asked(role="backup") == ["boss"]


def test_the_backup_on_scene_in_time_meets_the_window() -> None:
    """backup.arrived, and backup.overdue is never written."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.member("m3").accepts()
    town.at("04:59")
    town.member("m3").arrives()
    town.at("09:00")
    assert town.clock(town.incident().timeline.backup_arrived_ms) == "04:59"
    assert town.facts(f.BackupOverdue) == []


def test_the_third_window_is_missed_at_its_deadline_and_the_command_is_told() -> None:
    """No reinforcement at 300 s: backup.overdue, once."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").arrives()
    town.member("m3").accepts()
    town.at("05:00")
    [overdue] = town.facts(f.BackupOverdue)
    assert (town.clock(overdue.due_ms), overdue.estimate_s) == ("05:00", 90.0)
    assert town.facts(f.CommandNotified)[0].reason == "backup_overdue"


@pytest.mark.parametrize("how", ["completes", "cancel", "close"])
def test_a_window_is_void_when_the_incident_is_over_before(how: str) -> None:
    """Resolved or cancelled before: neither met nor missed."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    if how == "completes":
        town.member("m1").completes()
    else:
        town.desk(how)
    town.at("10:00")
    assert town.facts(f.BackupOverdue) == []
    assert town.incident().timeline.backup_arrived_ms is None
    assert town.incident().deadlines == ()


def test_a_backup_required_after_its_window_has_a_window_of_its_own() -> None:
    """Asked for at minute ten: a window that cannot be met measures nobody."""
    town = Town(FOUR)
    town.alert(at="a")
    town.member("m1").arrives()
    town.at("10:00")
    town.member("m1").asks_for_backup()
    assert town.clock(town.incident().backup_by_ms) == "15:00"


def test_a_backup_who_completes_ends_only_their_own_order_and_is_not_replaced() -> None:
    """The incident goes on with the primary; the reinforcement has been there."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").arrives()
    town.member("m3").completes()
    assert town.incident().state == "on_scene"
    town.at("10:00")
    assert [o.member_id for o in town.orders() if o.role == "backup"] == ["m3"]


def test_the_primary_who_completes_stands_the_backup_down() -> None:
    """Resolved: everybody may go home."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m3").accepts()
    town.member("m1").completes(outcome="settled")
    assert town.incident().state == "resolved"
    assert {o.member_id: o.end for o in town.orders()} == {"m1": "completed", "m3": "stood_down"}
    assert town.state.holding.get("m3") is None


def test_reinforcement_that_is_there_first_is_somebody_on_scene() -> None:
    """The second window asks for somebody on scene, in whatever role."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.at("00:50")
    town.member("m3").arrives()
    assert town.clock(town.incident().timeline.arrived_ms) == "00:50"
    assert town.incident().state == "on_scene"
    town.at("03:30")
    assert town.facts(f.ArrivalOverdue) == []


def test_two_offers_to_reinforce_and_the_first_acceptance_wins() -> None:
    """Both were asked for one place by hand and by the engine: the second is stood down."""
    town = Town(FOUR)
    town.alert(at="a", priority=1)
    town.member("m1").accepts()
    town.desk("dispatch", member_id="m2")
    assert sorted(town.asked(role="backup")) == ["m2", "m3"]
    town.member("m2").accepts()
    town.member("m3").accepts()
    assert sorted(town.coming(role="backup")) == ["m2", "m3"]  # the desk asked for one more
