"""Duty: shifts, a member's own word until the next boundary, breaks, orders already held."""

from dataclasses import replace

from tests.dispatch.town import NOON_MS, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.snapshot import from_rows, pruned, rows


def may_go(town: Town) -> list[str]:
    """Who would be asked for alerts now, one after the other."""
    probe = Town.__new__(Town)
    probe.__dict__.update(town.__dict__)
    probe.decisions, probe.opened = [], []
    asked = []
    for n in range(3):
        probe.alert(f"probe-{n}", at="a", category=f"probe-{n}")
        asked += probe.asked()
    return sorted(asked)


def test_on_duty_is_who_has_a_shift_now() -> None:
    """From the first moment of the shift, and no longer at its end."""
    town = Town("member at shift\nearly b 0-2\nlate c 2-9\nnever f none")
    assert may_go(town) == ["early"]
    town.at("01:59.999")
    assert may_go(town) == ["early"]
    town.at("02:00")
    assert may_go(town) == ["late"]


def test_a_members_own_word_holds_until_the_next_shift_boundary() -> None:
    """off_duty in the shift: until it ends; on_duty before it: until it begins."""
    town = Town("member at shift\nm1 b 0-2\nm2 c 2-4")
    town.member("m1").declares("off_duty")
    town.member("m2").declares("on_duty")
    assert may_go(town) == ["m2"]
    assert [town.clock(x.until_ms) for x in town.facts(f.DutyDeclared)] == ["02:00", "02:00"]
    town.at("02:00")
    assert may_go(town) == ["m2"]
    town.at("04:00")
    assert may_go(town) == []


def test_without_any_shift_the_word_holds_until_the_next_word() -> None:
    """A volunteer comes and goes as they say."""
    town = Town("member at shift\nm1 b none")
    town.member("m1").declares("on_duty")
    town.at("59:00")
    assert may_go(town) == ["m1"]
    town.member("m1").declares("off_duty")
    assert may_go(town) == []


def test_on_a_break_nobody_is_sent() -> None:
    """Until `resume`; whoever waits gets them at once."""
    town = Town("member at\nm1 b")
    town.member("m1").declares("break")
    town.alert(at="a")
    assert town.incident().unfilled == ("on_break",)
    town.member("m1").declares("resume")
    assert town.asked() == ["m1"]


def test_a_forgotten_break_ends_with_the_shift() -> None:
    """Nobody is lost to tomorrow's shift for a button not pressed."""
    town = Town("member at shift\nm1 b 0-2")
    town.hire("m2", "c", shift="0-2")
    town.member("m1").declares("break")
    assert may_go(town) == ["m2"]
    town.roster.put(RosterEntry(member_id="m1", area_id="town", name="m1", team="red", shifts=()))
    town.at("02:00")
    town.member("m2").declares("off_duty")
    town.hire("m1", "b", shift="2-9")
    assert may_go(town) == ["m1"]


def test_whoever_says_on_duty_is_on_no_break() -> None:
    """The later word counts."""
    town = Town("member at\nm1 b")
    town.member("m1").declares("break")
    town.member("m1").declares("on_duty")
    assert may_go(town) == ["m1"]


def test_going_off_duty_alters_nothing_in_an_order_already_held() -> None:
    """The shift ends, the member says so, the roster changes: the order stands."""
    town = Town("member at shift\nm1 b 0-1\nm2 c all")
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("01:30")
    town.member("m1").declares("off_duty")
    town.hire("m1", "b", shift="none")
    assert town.coming() == ["m1"]
    town.member("m1").completes()
    assert town.incident().state == "resolved"


def test_a_member_struck_off_the_roster_may_still_end_their_order() -> None:
    """And nobody is surprised by positions that nobody has."""
    town = Town("member at\nm1 b\nm2 c")
    town.alert(at="a")
    town.member("m1").accepts()
    town.member("m1").leaves_the_roster()
    town.at("02:00")
    assert town.coming() == ["m1"]
    town.member("m1").completes()
    assert town.incident().state == "resolved"


def test_a_device_taken_for_the_shift_is_one_members_alone() -> None:
    """Who takes it later has it, also after a take-over from a snapshot."""
    town = Town("member at\nm1 b\nm2 c")
    town.member("m2").declares("on_duty", device_ids=("cam-7", "cam-8"))
    town.member("m1").declares("on_duty", device_ids=("cam-7",))
    assert dict(town.state.devices.items()) == {"cam-7": "m1", "cam-8": "m2"}
    assert town.state.duty["m2"].device_ids == ("cam-8",)
    again = from_rows(rows({"town": pruned(town.state, NOON_MS)}))["town"]
    assert again.devices == town.state.devices


def test_a_device_is_given_back_with_the_shift() -> None:
    """off_duty, or another on_duty without it, lets it go."""
    town = Town("member at\nm1 b\nm2 c")
    town.member("m1").declares("on_duty", device_ids=("cam-7",))
    town.member("m1").declares("on_duty", device_ids=("cam-7", "cam-8"))
    assert sorted(town.state.devices) == ["cam-7", "cam-8"]
    town.member("m1").declares("off_duty", device_ids=("cam-7",))
    assert sorted(town.state.devices) == []
    assert replace(town.state) == town.state


def test_a_device_named_twice_is_taken_once_and_given_back() -> None:
    """A client that repeats itself ends nobody: the next word finds what there is to give back."""
    town = Town("member at shift\nm1 b none\nm2 c none")
    town.member("m1").declares("on_duty", device_ids=("cam-7", "cam-7"))
    assert town.state.duty["m1"].device_ids == ("cam-7",)
    town.member("m2").declares("on_duty", device_ids=("cam-8", "cam-7", "cam-8"))
    town.member("m1").declares("off_duty")
    assert dict(town.state.devices.items()) == {"cam-7": "m2", "cam-8": "m2"}
    town.member("m2").declares("off_duty")
    assert sorted(town.state.devices) == []


def test_an_incident_knows_who_answers_for_its_road_at_that_hour() -> None:
    """The squad that has the shift; without an owner on duty the squad is still named."""
    town = Town("member at shift owns team\nday b 0-2 ab red\nnight c 2-9 ab blue")
    town.alert("a1", at="ab@0.5")
    assert town.incident().responsible == f.Responsible("red", ("day",))
    town.at("02:00")
    town.alert("a2", at="ab@0.5", category="noise")
    assert town.incident().responsible == f.Responsible("blue", ("night",))
    town.at("09:30")
    town.alert("a3", at="ab@0.5", category="theft")
    assert town.incident().responsible == f.Responsible("red", ())
    town.alert("a4", at="ef@0.5", category="theft")
    assert town.incident().responsible == f.Responsible(None, ())


def test_a_word_on_duty_goes_to_the_member_s_own_area() -> None:
    """Said to another area it is refused, not kept where nobody looks."""
    town = Town("member at shift\nm1 b none")
    town.roster.put(RosterEntry(member_id="e1", area_id="east", name="e1", team="east"))
    town.member("e1").declares("on_duty")
    assert town.decisions[-1].refusal is not None
    assert town.decisions[-1].refusal.reason == "wrong_area"
