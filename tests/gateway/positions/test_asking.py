"""Who is asked where they are when an incident opens: whose shift it is, once, and for a while."""

from typing import Any

from xiaohe.dispatch.inputs import RosterEntry, Shift
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions import asking
from xiaohe.gateway.positions.asking import ASKED_MS_MAX, Asking, follow

NOW_MS = 1_795_579_200_000
ALWAYS = (Shift(start=rfc3339(NOW_MS - 3_600_000), end=rfc3339(NOW_MS + 3_600_000)),)


def roster() -> Roster:
    """Ann on shift with two devices, Bob off shift, and Cy of another area."""
    members = Roster()
    for member_id, area_id, shifts, devices in (
        ("ann", "north", ALWAYS, ("a1", "a2")),
        ("bob", "north", (), ("b1",)),
        ("cy", "south", ALWAYS, ("c1",)),
    ):
        members.put(
            RosterEntry(
                member_id=member_id, area_id=area_id, name=f"Invented {member_id}", team="t",
                shifts=shifts, device_ids=devices,
            )
        )  # fmt: skip
    return members


def opened(**changed: Any) -> dict[str, object]:
    """The event of an opening."""
    return {
        "type": "incident.opened", "incident_id": "i-1", "area_id": "north",
        "at": rfc3339(NOW_MS), **changed,
    }  # fmt: skip


def test_the_devices_of_those_on_shift_are_asked() -> None:
    """All of an area's members whose shift it is, and nobody who is off duty."""
    who = Asking()
    assert follow(who, opened(), roster(), NOW_MS) == 2
    assert who.waiting(NOW_MS) == ("a1", "a2")


def test_a_device_is_asked_once_an_incident() -> None:
    """What it sends next is answered with the question, and nothing after that."""
    who = Asking()
    follow(who, opened(), roster(), NOW_MS)
    assert [who.take("a1", NOW_MS), who.take("a1", NOW_MS)] == [True, False]
    follow(who, opened(), roster(), NOW_MS)
    assert not who.take("a1", NOW_MS), "the event read again is no new incident"
    follow(who, opened(incident_id="i-2"), roster(), NOW_MS)
    assert who.take("a1", NOW_MS)


def test_an_old_opening_asks_nobody() -> None:
    """A gateway that starts reads events of hours ago."""
    who = Asking()
    assert follow(who, opened(at=rfc3339(NOW_MS - ASKED_MS_MAX)), roster(), NOW_MS) == 0


def test_who_sends_too_late_is_not_asked() -> None:
    """By then somebody has been ordered."""
    who = Asking()
    follow(who, opened(), roster(), NOW_MS)
    assert who.waiting(NOW_MS + ASKED_MS_MAX) == ()
    assert not who.take("a1", NOW_MS + ASKED_MS_MAX)


def test_other_events_and_odd_ones_ask_nobody() -> None:
    """The hook takes whatever lies in the topic."""
    who = Asking()
    odd = ({}, opened(type="incident.closed"), opened(at="soon"), opened(area_id=None),
           opened(incident_id=7), opened(area_id="nowhere"))  # fmt: skip
    assert [follow(who, each, roster(), NOW_MS) for each in odd] == [0] * 6


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    """The longest waiting devices, and the oldest incidents, go first."""
    monkeypatch.setattr(asking, "ASKED_KEPT_MAX", 3)
    monkeypatch.setattr(asking, "INCIDENTS_KEPT_MAX", 1)
    who = Asking()
    who.opened("i-1", ["a", "b"], NOW_MS, NOW_MS)
    who.opened("i-2", ["c", "a", "d"], NOW_MS, NOW_MS)
    assert who.waiting(NOW_MS) == ("c", "a", "d")
    assert who.opened("i-1", ["a"], NOW_MS, NOW_MS) == 1


def test_one_incident_asks_a_bounded_number() -> None:
    """However many devices an area has, each once."""
    who = Asking()
    devices = [f"d{n}" for n in range(500)] * 2
    assert who.opened("i-1", devices, NOW_MS, NOW_MS) == asking.DEVICES_AN_INCIDENT_MAX
