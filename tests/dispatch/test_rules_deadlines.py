"""Deadlines are rows: a wake-up that no row waits for is nothing."""

import pytest

from tests.dispatch.town import NOON_MS, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import RETRY, of_order, split
from xiaohe.dispatch.inputs import WakeUp
from xiaohe.dispatch.snapshot import from_rows, rows


def wake_up(town: Town, deadline: str, due_ms: int, incident_id: str | None = None) -> WakeUp:
    """A note that a deadline has come."""
    return WakeUp(
        area_id="town",
        incident_id=incident_id or town.opened[-1],
        deadline=deadline,
        due_ms=due_ms,
    )


def test_a_wake_up_that_comes_twice_is_nothing_the_second_time() -> None:
    """Written twice at a take-over, decided once."""
    town = Town("member at\nm1 b")
    town.alert(at="a")
    town.at("00:59")
    due = next(d for d in town.incident().deadlines if d.name == "accept")
    town.jump("01:00")
    note = wake_up(town, due.name, due.due_ms)
    assert town.wake(note).facts != ()
    assert town.wake(note).facts == ()


def test_a_wake_up_for_what_was_taken_back_or_moved_is_nothing() -> None:
    """The answer came first, or the window moved."""
    town = Town("member at\nm1 b")
    town.alert(at="a", priority=3)
    due_ms = town.incident().due_ms("accept")
    assert due_ms is not None
    town.alert(at="a", priority=2)
    assert town.wake(wake_up(town, "accept", due_ms)).facts == ()
    town.member("m1").accepts()
    assert town.wake(wake_up(town, "accept", NOON_MS + 60_000)).facts == ()


def test_a_wake_up_for_an_incident_that_is_gone_is_nothing() -> None:
    """Pruned long ago."""
    town = Town("member at\nm1 b")
    assert town.wake(wake_up(town, "accept", NOON_MS, "inc-gone")).facts == ()


@pytest.mark.parametrize("due_ms", [-(2**62), 0, NOON_MS - 1, NOON_MS + 999_999, 2**62])
def test_a_retry_of_another_time_is_nothing(due_ms: int) -> None:
    """A foreign hand's note of before the incident, or of a time that has not come, is no reason
    to decide again; times that no calendar has would end the worker when they are told."""
    town = Town("member at shift\nm1 b none")
    town.alert(at="a")
    assert town.incident().due_ms(RETRY) is not None
    assert town.wake(wake_up(town, RETRY, due_ms)).facts == ()


def test_a_retry_may_come_early() -> None:
    """The roster has changed: what waits is decided again before its ten seconds are over."""
    town = Town("member at shift\nm1 b none")
    town.alert(at="a")
    town.at("00:02")
    town.hire("m2", post="c")
    assert town.wake(wake_up(town, RETRY, town.now_ms)).facts != ()
    assert town.asked() == ["m2"]
    assert town.wake(wake_up(town, RETRY, town.now_ms)).facts == ()


def test_a_late_wake_up_says_how_late_it_was() -> None:
    """`late_s` is the truth about the engine, `due_ms` about the window."""
    town = Town("member at\nm1 b")
    town.alert(at="a")
    town.jump("01:02.500")
    due_ms = town.incident().due_ms("accept")
    assert due_ms is not None
    decision = town.wake(wake_up(town, "accept", due_ms))
    [overdue] = [x for x in decision.facts if type(x).__name__ == "AcceptanceOverdue"]
    assert overdue.late_s == 2.5  # type: ignore[union-attr]
    assert (decision.deadline, decision.due_ms) == ("accept", due_ms)


def test_what_is_over_has_no_deadlines() -> None:
    """Resolved, cancelled, closed or merged: nothing falls due any more."""
    for end in ("cancel", "close", "merge", "complete"):
        town = Town("member at\nm1 b\nm2 c\nm3 f")
        town.alert("a0", at="f", category="noise")
        town.alert("a1", at="a", priority=1)
        if end == "complete":
            town.member(town.orders()[0].member_id).completes()
        else:
            town.desk(end, into=town.opened[0])
        assert town.incident().deadlines == (), end


@pytest.mark.parametrize(("name", "order"), [("accept", ""), ("lapse", "inc-1-2")])
def test_a_deadline_names_what_and_whose_it_is(name: str, order: str) -> None:
    """`name` or `name:dispatch_id`."""
    whole = of_order(name, order) if order else name
    assert split(whole) == (name, order)


def test_a_window_that_is_set_into_the_past_is_late_from_then_on() -> None:
    """A desk makes an old incident more urgent: nobody could have written before that the window
    passed; when it was due is told all the same."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a", priority=4)
    town.member("m1").accepts()
    town.at("05:06")
    town.desk("update", fields={"priority": 2})
    due_ms = town.incident().arrive_by_ms
    assert town.clock(due_ms) == "03:00"
    row = town.earliest()
    assert row is not None
    assert (row.deadline, row.due_ms) == ("arrive", due_ms)
    town.jump("05:07")
    decision = town.wake(row)
    [overdue] = [x for x in decision.facts if isinstance(x, f.ArrivalOverdue)]
    assert (overdue.due_ms, overdue.late_s) == (due_ms, 1.0)
    assert town.clock(decision.set_ms) == "05:06"
    assert from_rows(rows({"town": town.state})) == {"town": town.state}


def test_the_windows_of_an_alert_that_was_decided_late_are_late_from_their_end() -> None:
    """Nobody but the engine has let them pass."""
    town = Town("member at\nm1 b")
    town.jump("04:00")
    town.alert("a1", at="a", received="00:00")
    row = town.earliest()
    assert row is not None
    assert row.deadline == "accept"
    [overdue] = [x for x in town.wake(row).facts if isinstance(x, f.AcceptanceOverdue)]
    assert overdue.late_s == 180.0
