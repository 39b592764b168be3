"""Alerts that come close together are decided together, and none of them waits for it."""

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import fold
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.together import JOINT_CHANGES_MAX

WALKERS = """
    member at     mode
    near   ab@0.7 walk
    far    a      walk
"""
"""An alert at ab@0.4 is 65 s from near and 86 s from far; one at b is 65 s and 216 s away."""

ONE_IN_TIME = {"a1": "ab@0.4", "a2": "b"}


def walkers(rules: str = "") -> Town:
    """Two members on foot, of whom only one can be at b in time."""
    return Town(WALKERS, rules=rules)


def who(town: Town) -> dict[str, list[str]]:
    """Who holds the open orders of each alert's incident."""
    return {
        i.alert_id: [o.member_id for o in i.open_orders()] for i in town.state.incidents.values()
    }


def taken_back(town: Town) -> list[str]:
    """Whose offers were given otherwise, in the order of the log."""
    return [x.member_id for x in town.facts(f.MemberStoodDown) if x.reason == "joint_choice"]


def test_each_alert_is_decided_at_once() -> None:
    """The first is not kept for what may follow: its order is in its own decision."""
    town = walkers()
    decision = town.alert("a1", at="ab@0.4")
    assert any(isinstance(x, f.MemberDispatched) for x in decision.facts)
    assert town.asked() == ["near"]


def test_an_offer_just_made_is_given_otherwise_where_both_are_in_time_by_it() -> None:
    """One by one the second would be late; the first offer moves, ended before ordered."""
    town = walkers()
    town.alert("a1", at="ab@0.4")
    first = town.opened[-1]
    town.at("00:05")
    decision = town.alert("a2", at="b")
    assert who(town) == {"a1": ["far"], "a2": ["near"]}
    kinds = [
        (f.type_of(x), x.member_id)
        for x in decision.facts
        if isinstance(x, f.MemberStoodDown | f.MemberDispatched)
    ]
    assert kinds[0] == ("member.stood_down", "near")
    assert sorted(kinds[1:]) == [("member.dispatched", "far"), ("member.dispatched", "near")]
    assert taken_back(town) == ["near"]
    second = town.opened[-1]
    assert town.why("near", second).together == (first,)
    assert town.why("far", first).together == (second,)
    for member_id, incident_id, other in (("near", second, "far"), ("far", first, "near")):
        candidates = town.why(member_id, incident_id).candidates
        assert {c.member_id: c.excluded for c in candidates} == {
            member_id: None,
            other: "sent_jointly",
        }, "who was given the other alert could not have gone to this one as well"


def test_an_offer_that_was_taken_back_so_is_no_attempt() -> None:
    """The member may be asked for the first incident again, when the other declines."""
    town = walkers()
    town.alert("a1", at="ab@0.4")
    town.alert("a2", at="b")
    town.member("near").declines()
    town.member("far").declines()
    assert who(town) == {"a1": ["near"], "a2": ["far"]}


def test_less_travel_in_all_moves_an_offer_only_where_it_is_much() -> None:
    """All are in time either way: a gain of ``joint_gain_s`` moves the offer, less does not."""
    brigade = """
        member at
        left   {left}
        right  c
    """
    # For a2 at a, right is 108 s away, and left 16 s; for a1 at b, left 38 s and right 54 s.
    town = Town(brigade.format(left="ab@0.3"))
    town.alert("a1", at="b")
    assert town.asked() == ["left"]
    town.alert("a2", at="a")
    assert who(town) == {"a1": ["right"], "a2": ["left"]}
    # From ab@0.8, left is 43 s from a and 11 s from b: 22 s less in all than 11 s and 108 s.
    town = Town(brigade.format(left="ab@0.8"))
    town.alert("a1", at="b")
    town.alert("a2", at="a")
    assert who(town) == {"a1": ["left"], "a2": ["right"]}


def test_whoever_has_answered_is_not_touched() -> None:
    """An acceptance stands, and the second incident takes whom it can get."""
    town = walkers()
    town.alert("a1", at="ab@0.4")
    town.member("near").accepts()
    town.alert("a2", at="b")
    assert who(town) == {"a1": ["near"], "a2": ["far"]}


def test_an_older_offer_is_not_touched() -> None:
    """Beyond ``joint_s`` 10 the member may be reaching for the telephone."""
    town = walkers()
    town.alert("a1", at="ab@0.4")
    town.at("00:10")
    town.alert("a2", at="b")
    assert who(town) == {"a1": ["near"], "a2": ["far"]}


def test_policy_may_forbid_it() -> None:
    """``joint_s`` 0: each alert one by one."""
    town = walkers("rules: [{set: {joint_s: 0}}]")
    town.alert("a1", at="ab@0.4")
    town.alert("a2", at="b")
    assert who(town) == {"a1": ["near"], "a2": ["far"]}


def test_a_desks_own_order_is_not_touched() -> None:
    """An operator's word goes through, and stays."""
    town = walkers()
    for member in ("near", "far"):
        town.member(member).declares("break")
    town.alert("a1", at="ab@0.4")
    town.desk("dispatch", member_id="near")
    for member in ("near", "far"):
        town.member(member).declares("resume")
    town.alert("a2", at="b")
    assert who(town) == {"a1": ["near"], "a2": ["far"]}
    assert taken_back(town) == []


@pytest.mark.parametrize("drill", [True, False])
def test_drills_and_real_incidents_are_not_decided_together(drill: bool) -> None:
    """Neither takes a member from the other."""
    town = walkers()
    town.alert("a1", at="ab@0.4", drill=not drill)
    town.alert("a2", at="b", drill=drill)
    assert who(town) == {"a1": ["near"], "a2": ["far"]}


def test_whoever_is_in_time_stays_so_for_what_is_no_more_urgent() -> None:
    """Both can be reached in time by one member only: the first keeps them."""
    town = Town("""
        member at mode
        near   b  walk
        far    f  walk
    """)
    town.alert("a1", at="ab@0.8", priority=2)
    town.alert("a2", at="bc@0.2", priority=2)
    assert who(town) == {"a1": ["near"], "a2": ["far"]}
    assert taken_back(town) == []


def test_what_is_more_urgent_takes_the_member_who_is_in_time() -> None:
    """The less urgent incident gets whoever is left, later."""
    town = Town(
        """
        member at mode
        near   b  walk
        far    f  walk
        """,
        rules="rules: [{set: {backup: on_need}}]",
    )
    town.alert("a1", at="ab@0.8", priority=2)
    town.alert("a2", at="bc@0.2", priority=1)
    assert who(town) == {"a1": ["far"], "a2": ["near"]}


def test_an_only_member_goes_to_what_is_more_urgent() -> None:
    """The less urgent incident waits and says so, and is decided again."""
    town = Town(
        """
        member at
        only   b
        """,
        rules="rules: [{set: {backup: on_need}}]",
    )
    town.alert("a1", at="ab@0.8", priority=3)
    town.alert("a2", at="bc@0.2", priority=1)
    assert who(town) == {"a1": [], "a2": ["only"]}
    assert town.incident(town.opened[0]).unfilled == ("busy",)
    assert town.incident(town.opened[0]).due_ms("retry") is not None


def test_an_incidents_offers_are_changed_twice_at_most() -> None:
    """Each further alert can be met in time only by whom the first was offered last."""
    town = Town(
        """
        member at      mode
        m1     xe@0.15 walk
        m2     xw@0.2  walk
        m3     xn@0.25 walk
        m4     xs@0.3  walk
        """,
        streets="""
                    n
                    |
                    |
                    |
            w-------x-------e
                    |
                    |
                    |
                    s
        """,
    )
    town.alert("a0", at="x")
    town.alert("a1", at="xe@0.65")
    town.alert("a2", at="xw@0.7")
    assert who(town) == {"a0": ["m3"], "a1": ["m1"], "a2": ["m2"]}
    town.alert("a3", at="xn@0.75")
    assert who(town) == {"a0": ["m3"], "a1": ["m1"], "a2": ["m2"], "a3": ["m4"]}


def test_to_a_member_in_distress_the_two_quickest_go_as_ever() -> None:
    """An alarm takes nobody's offer, and nobody takes an offer to help."""
    town = Town("""
        member at
        hurt   b
        m1     ab@0.8
        m2     ab@0.6
        m3     a
    """)
    town.alert("a1", at="ab@0.7")
    town.member("hurt").alarms()
    assert taken_back(town) == []
    held = dict(who(town))
    town.alert("a2", at="ab@0.9", category="noise")
    assert {k: v for k, v in who(town).items() if k != "a2"} == held


def test_whoever_becomes_free_goes_where_most_are_in_time() -> None:
    """Two wait; not the oldest gets the nearest, but each whom both are in time by."""
    town = Town("""
        member at     mode shift
        near   ab@0.7 walk all
        far    a      walk all
    """)
    for member in ("near", "far"):
        town.member(member).declares("break")
    town.alert("a1", at="ab@0.4")
    town.alert("a2", at="b")
    assert who(town) == {"a1": [], "a2": []}
    town.desk("close_road", road_id="ab", incident_id=None)
    town.state = _without_breaks(town.state)
    town.desk("open_road", road_id="ab", incident_id=None)
    assert who(town) == {"a1": ["far"], "a2": ["near"]}


def test_what_has_waited_for_two_windows_waits_for_no_further_one() -> None:
    """The only member goes to the oldest, although a new incident could be met in time."""
    town = Town("""
        member at
        only   b
    """)
    town.member("only").declares("break")
    town.alert("a1", at="b")
    town.at("06:30")
    town.alert("a2", at="bc@0.2")
    town.member("only").declares("resume")
    assert who(town) == {"a1": ["only"], "a2": []}


def test_of_two_as_near_the_one_with_fewer_orders_goes_when_several_are_decided() -> None:
    """Fairness breaks ties of joint choices, and never the choice for a single incident."""
    town = Town("""
        member at
        amy    a
        bob    a
        cat    c
    """)
    town.alert("a0", at="a")
    assert town.asked() == ["amy"]
    town.member("amy").arrives()
    town.member("amy").completes()
    town.alert("a1", at="a")
    assert town.asked() == ["amy"]
    town.member("amy").completes()
    for member in ("amy", "bob", "cat"):
        town.member(member).declares("break")
    town.alert("a2", at="a", category="noise")
    town.alert("a3", at="c", category="noise")
    town.desk("close_road", road_id="ef", incident_id=None)
    town.state = _without_breaks(town.state)
    town.desk("open_road", road_id="ef", incident_id=None)
    held = who(town)
    assert (held["a2"], held["a3"]) == (["bob"], ["cat"])


def test_the_same_inputs_give_the_same_decisions_and_the_log_the_same_state() -> None:
    """A joint choice is recorded like any other: nothing is decided again at a replay."""

    def story() -> tuple[Town, AreaState]:
        town = walkers()
        began = town.state
        town.alert("a1", at="ab@0.4")
        town.alert("a2", at="b")
        town.member("far").declines()
        town.at("03:20")
        return town, began

    (town, began), (again, _) = story(), story()
    assert town.decisions == again.decisions
    assert reduce(fold, town.decisions, began) == town.state
    assert taken_back(town) == ["near"]


SPOTS = ["a", "b", "c", "d", "e", "f", "ab@0.3", "bc@0.4", "be@0.5", "ef@0.2"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    spots=st.lists(st.sampled_from(SPOTS), min_size=2, max_size=5),
    alerts=st.lists(
        st.tuples(st.sampled_from(SPOTS), st.sampled_from([1, 2, 2]), st.booleans()),
        min_size=2,
        max_size=5,
    ),
)
def test_in_any_burst_nobody_is_made_late_or_asked_twice(
    spots: list[str], alerts: list[tuple[str, int, bool]]
) -> None:
    """Whatever moves: who accepted stays, and an incident in time stays so for its equals."""
    town = Town("member at", rules="rules: [{set: {backup: on_need}}]")
    for n, spot in enumerate(spots):
        town.hire(f"m{n}", spot, mode="walk")
    for n, (place, priority, accepts) in enumerate(alerts):
        before = dict(town.state.incidents)
        town.alert(f"a{n}", at=place, category=f"kind-{n}", priority=priority)
        for incident_id, was in before.items():
            now = town.state.incidents[incident_id]
            taken = [o.dispatch_id for o in was.open_orders() if o.is_taken]
            assert all(now.order(i) in now.open_orders() for i in taken)
            if was.priority <= priority:
                assert len(now.open_orders("primary")) >= len(was.open_orders("primary"))
                assert _in_time(now) >= _in_time(was)
            changed = [o for o in now.orders if o.end_reason == "joint_choice"]
            assert len(changed) <= JOINT_CHANGES_MAX
        orders = town.orders()
        if accepts and orders and orders[-1].is_open:
            town.member(orders[-1].member_id).accepts()


def _in_time(incident: Incident) -> int:
    return sum((o.eta_s or 0.0) <= 180.0 for o in incident.open_orders("primary"))


def _without_breaks(state: AreaState) -> AreaState:
    """All breaks end at once, which no single word can say."""
    empty = AreaState(state.area_id, state.mode)
    return AreaState(
        **{
            name: getattr(empty if name == "breaks" else state, name)
            for name in AreaState.__slots__
        }
    )
