"""An operator's word goes through, recorded with who and why."""

import pytest

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision

BRIGADE = """
    member  at shift force
    m1      b  all   brigade
    m2      c  all   brigade
    m3      f  all   brigade
    asleep  e  none  brigade
    cop     e  all   police
"""


def reason(decision: Decision) -> str | None:
    """Why a word was refused."""
    return decision.refusal.reason if decision.refusal is not None else None


def test_dispatch_goes_through_whatever_eligibility_says() -> None:
    """Off duty, of another force, on a break: the desk knows what it does."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    for member_id in ("asleep", "cop"):
        assert reason(town.desk("dispatch", member_id=member_id, reason="she knows them")) is None
    assert town.asked() == ["m1", "asleep", "cop"]
    why = town.why("asleep")
    assert (why.rule, why.candidates) == ("operator", ())
    assert town.orders()[1].eta_s == 90.0


def test_a_busy_members_order_ends_stood_down_first() -> None:
    """Ended before ordered; and the other incident gets somebody else at once."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.alert("a2", at="f", category="noise")
    one, two = town.opened
    assert town.asked(one) == ["m1"]
    decision = town.desk("dispatch", incident_id=two, member_id="m1", reason="nearer in mind")
    kinds = [f.type_of(x) for x in decision.facts if not isinstance(x, f.HiddenFact)]
    assert kinds == ["member.stood_down", "member.dispatched", "member.dispatched"]
    [down] = town.facts(f.MemberStoodDown)
    assert (down.member_id, down.by, down.reason) == ("m1", "desk-1", "sent_elsewhere")
    assert town.asked(one) == ["m2"]


def test_a_member_who_is_on_it_already_is_not_ordered_twice() -> None:
    """Said twice it is nothing."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    assert town.desk("dispatch", member_id="m1").facts == ()


def test_when_enough_have_accepted_the_next_by_hand_is_reinforcement() -> None:
    """At most `needed` accepted primaries."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("m1").accepts()
    town.desk("dispatch", member_id="m3", reason="two of them")
    assert town.asked(role="backup") == ["m3"]
    [required] = town.facts(f.BackupRequired)
    assert (required.by, required.reason) == ("desk-1", "two of them")


def test_the_desk_may_say_in_which_role() -> None:
    """`fields.role`; a wrong one is refused."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("dispatch", member_id="m3", fields={"role": "backup"})
    assert town.asked(role="backup") == ["m3"]
    assert reason(town.desk("dispatch", member_id="m2", fields={"role": "boss"})) == "wrong_type"


def test_dispatch_by_hand_where_policy_says_never() -> None:
    """The word of a person stands above the policy's `never`."""
    town = Town(BRIGADE, rules="rules: [{set: {backup: never}}]")
    town.alert("a1", at="a")
    town.member("m1").accepts()
    town.desk("dispatch", member_id="m3")
    town.member("m3").accepts()
    assert town.coming(role="backup") == ["m3"]


def test_who_is_stood_down_by_hand_is_not_sent_again_by_the_engine() -> None:
    """The gap is filled with somebody else; by hand the member may be sent again."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("stand_down", member_id="m1", reason="needed at school")
    assert town.asked() == ["m2"]
    [down] = town.facts(f.MemberStoodDown)
    assert (down.by, down.reason, down.barred) == ("desk-1", "needed at school", True)
    town.member("m2").declines()
    town.member("m3").declines()
    assert town.asked() == []
    town.desk("dispatch", member_id="m1")
    assert town.asked() == ["m1"]


@pytest.mark.parametrize("text", ["cancelled", "corrected", "accepted_by_another"])
def test_a_reason_is_only_a_reason(text: str) -> None:
    """Whatever the desk writes, the order ends as what it is."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("stand_down", member_id="m1", reason=text)
    assert town.orders()[0].end == "stood_down"
    assert town.asked() == ["m2"]


def test_stand_down_without_a_member_means_everybody() -> None:
    """And others are asked in their place."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=1)
    assert town.asked() == ["m1", "m2"]
    town.desk("stand_down")
    assert [o.member_id for o in town.orders() if o.end == "stood_down"] == ["m1", "m2"]
    assert town.asked() == ["m3"]


def test_cancel_ends_every_order_cancelled() -> None:
    """There is nothing to go to."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=1)
    town.desk("cancel", reason="a hoax")
    assert town.incident().state == "cancelled"
    assert {o.end for o in town.orders()} == {"cancelled"}
    [cancelled] = town.facts(f.IncidentCancelled)
    assert (cancelled.by, cancelled.reason) == ("desk-1", "a hoax")


def test_close_after_resolved_and_the_clock_of_it() -> None:
    """Resolved, return-visited, closed: each recorded, and closed timed."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("m1").completes()
    town.at("05:00")
    town.desk("refer", reason="to the market office")
    town.desk("return_visit", reason="satisfied")
    town.desk("close")
    assert town.incident().state == "closed"
    assert town.clock(town.incident().timeline.closed_ms) == "05:00"
    assert town.story()[-3:] == [
        "incident.referred",
        "incident.return_visited",
        "incident.closed",
    ]


def test_close_of_an_open_incident_stands_everybody_down() -> None:
    """A person says that it is over."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("close")
    assert [o.end for o in town.orders()] == ["stood_down"]


def test_reopen_asks_anew_and_may_ask_those_who_declined() -> None:
    """It lives again, and everybody may be asked again."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a")
    town.member("m1").declines()
    town.desk("cancel")
    town.desk("reopen", reason="no hoax")
    assert town.asked() == ["m1"]
    assert town.incident().last_seq == len(town.story())
    assert town.orders()[-1].dispatch_id.endswith("-2")


def test_an_order_from_before_a_reopening_cannot_be_accepted_any_more() -> None:
    """Its lapse belongs to the time before."""
    town = Town("member at\nm1 b")
    town.alert("a1", at="a")
    town.at("01:30")
    old = town.orders()[0]
    town.desk("cancel")
    town.member("m1").declares("off_duty")
    town.desk("reopen")
    refused = town.member("m1").says("accept", dispatch_id=old.dispatch_id)
    assert reason(refused) == "order_ended"


def test_update_changes_what_it_names_and_nothing_else() -> None:
    """Category, priority, people, skills, place."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", priority=3)
    town.desk("update", fields={"priority": 1, "needed": 2}, reason="knives")
    incident = town.incident()
    assert (incident.priority, incident.needed, incident.mode) == (1, 2, "emergency")
    assert incident.category == "dispute"
    assert len(town.asked(role="primary")) == 2
    assert len(town.asked(role="backup")) == 1
    assert town.facts(f.IncidentUpdated)[0].by == "desk-1"


def test_update_counts_also_while_somebody_is_on_scene() -> None:
    """Unlike a correction: a person says that more are needed."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("m1").arrives()
    town.desk("update", fields={"needed": 2})
    assert town.asked(role="primary") == ["m2"]


def test_update_with_fewer_people_calls_nobody_back_who_is_under_way() -> None:
    """Never more accepted primaries than are needed, and nobody turned round by a number."""
    town = Town(BRIGADE)
    town.alert("a1", at="a", needed=2)
    town.member("m1").accepts()
    town.member("m2").accepts()
    town.desk("update", fields={"needed": 1})
    assert (town.incident().needed, town.coming()) == (2, ["m1", "m2"])


def test_update_takes_a_place_in_any_datum() -> None:
    """A Chinese map's coordinates are turned into WGS-84, here as in an alert."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    here = town.position("f")
    place = {"lon": here.lon + 0.0047, "lat": here.lat - 0.0024, "datum": "gcj02"}
    town.desk("update", fields={"position": place})
    moved = town.incident().position
    assert moved is not None
    assert moved.datum == "wgs84"
    assert abs(moved.lon - here.lon) < 0.002


def test_what_cannot_be_understood_is_refused_and_changes_nothing() -> None:
    """Each with its reason, and not one fact."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    state = town.state
    refused = [
        town.desk("update", fields={"priority": 9}),
        town.desk("update", fields={"road_id": "nowhere"}),
        town.desk("dispatch", member_id="ghost"),
        town.desk("dispatch"),
        town.desk("dispatch", member_id="m1", incident_id="nothing"),
        town.desk("stand_down", member_id="m3"),
        town.desk("message"),
        town.desk("cancel", incident_id=None),
        town.desk("set_mode"),
        town.desk("close_road"),
        town.desk("close_road", road_id="nowhere"),
        town.desk("triage"),
        town.desk("sing"),
        town.desk("reopen"),
    ]
    assert [reason(d) for d in refused] == [
        "wrong_type",
        "unknown_road",
        "unknown_member",
        "action_needs_field",
        "unknown_incident",
        "not_possible",
        "action_needs_field",
        "action_needs_field",
        "action_needs_field",
        "action_needs_field",
        "unknown_road",
        "not_supported",
        "unknown_action",
        "not_possible",
    ]
    assert all(d.facts == () for d in refused)
    assert town.state.incidents == state.incidents


def test_nothing_can_be_done_about_what_is_over_but_to_reopen_it() -> None:
    """`not_possible`, with what to do instead."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("cancel")
    for action, said in (
        ("dispatch", {"member_id": "m2"}),
        ("update", {"fields": {"needed": 2}}),
        ("message", {"text": "hello"}),
        ("cancel", {}),
        ("close", {}),
    ):
        assert reason(town.desk(action, **said)) == "not_possible"


def test_a_member_of_another_area_is_that_areas_to_send() -> None:
    """An order here could be a second one there."""
    town = Town(BRIGADE)
    town.hire("guest", None, area="elsewhere")
    town.alert("a1", at="a")
    assert reason(town.desk("dispatch", member_id="guest")) == "unknown_member"


def test_a_message_is_an_update_with_words() -> None:
    """To those on the incident."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.desk("message", text="use the back door")
    [update] = town.facts(f.IncidentUpdated)
    assert (update.text, update.by) == ("use the back door", "desk-1")


def test_mode_and_roads_are_the_areas_and_said_twice_they_are_nothing() -> None:
    """mode.changed, road.closed, road.opened: once each."""
    town = Town(BRIGADE)
    for _ in range(2):
        town.desk("set_mode", mode="emergency", incident_id=None, reason="flood")
        town.desk("close_road", road_id="ab", incident_id=None)
    assert town.state.mode == "emergency"
    assert town.state.closed_roads == {"ab"}
    for _ in range(2):
        town.desk("open_road", road_id="ab", incident_id=None)
        town.desk("set_mode", mode="peacetime", incident_id=None)
    kinds = [f.type_of(x) for d in town.decisions for x in d.facts]
    assert kinds == ["mode.changed", "road.closed", "road.opened", "mode.changed"]


def test_a_member_sent_by_hand_without_a_fresh_fix_has_no_estimate() -> None:
    """The order goes out, and does not pretend to know."""
    town = Town(BRIGADE)
    town.alert("a1", at="a")
    town.member("cop").falls_silent()
    town.at("03:00")
    town.desk("dispatch", member_id="cop")
    [order] = [o for o in town.orders() if o.member_id == "cop"]
    assert (order.eta_s, order.distance_m, order.why.fix_age_s) == (None, None, None)
