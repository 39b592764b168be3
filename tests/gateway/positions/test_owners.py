"""Whose a device is: by the roster, and by whoever took it for the shift."""

from tests.gateway.fleet import NOON_MS, Fleet
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.owners import Owner


def who(fleet: Fleet, device_id: str, at_ms: int = NOON_MS) -> str | None:
    """The member who has a device."""
    owner = fleet.owners.one(device_id, at_ms)
    return None if owner is None else owner.member_id


def test_the_roster_says_whose_a_device_is() -> None:
    """And says it anew when it changes."""
    fleet = Fleet(m1="T1")
    assert (who(fleet, "T1"), who(fleet, "T2")) == ("m1", None)
    fleet.member("m1", "T2")
    assert (who(fleet, "T1"), who(fleet, "T2")) == (None, "m1")


def test_a_device_taken_for_the_shift_is_its_takers() -> None:
    """In the taker's area, until their view shows it no more."""
    fleet = Fleet(m1="T1")
    fleet.view("m2", "T1", area_id="b")
    assert fleet.owners.one("T1", NOON_MS) == Owner("m2", "b")
    fleet.view("m2", area_id="b")
    assert who(fleet, "T1") == "m1"


def test_it_is_free_when_the_shift_ends() -> None:
    """Whether or not another view has come by then."""
    fleet = Fleet(m1="T1")
    fleet.view("m2", "T1", device_ids_until=rfc3339(NOON_MS + 1_000))
    assert (who(fleet, "T1"), who(fleet, "T1", NOON_MS + 1_000)) == ("m2", "m1")
    assert fleet.owners.taken_until_ms("T1", NOON_MS) == (True, NOON_MS + 1_000)


def test_it_goes_to_who_took_it_last() -> None:
    """A view that is told again takes nothing back, and who is gone holds nothing."""
    fleet = Fleet()
    fleet.view("m1", "T1")
    fleet.view("m2", "T1")
    fleet.view("m1", "T1", state="en_route")
    assert who(fleet, "T1") == "m2"
    fleet.owners.take_view(b"m2", None)
    assert who(fleet, "T1") is None


def test_a_view_that_cannot_be_read_changes_nothing() -> None:
    """The topic is the engine's, and may hold what a newer one writes."""
    fleet = Fleet()
    fleet.view("m1", "T1")
    fleet.owners.take_view(b"m1", b"{")
    fleet.owners.take_view(None, b"{}")
    assert who(fleet, "T1") == "m1"
