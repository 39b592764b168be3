"""Asking on: who does not answer is not waited for, and the first who accepts goes."""

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f

THREE = """
    member at
    m1     b
    m2     c
    m3     f
"""


def test_after_twenty_seconds_the_next_member_is_asked_as_well() -> None:
    """The first order stays open: two members are asked at once."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:19.999")
    assert town.asked() == ["m1"]
    town.at("00:20")
    assert town.asked() == ["m1", "m2"]
    town.at("00:40")
    assert town.asked() == ["m1", "m2", "m3"]


def test_a_decline_asks_the_next_at_once() -> None:
    """Nobody waits for the twenty seconds of a member who said no."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:03")
    town.member("m1").declines(reason="puncture")
    assert town.asked() == ["m2"]
    assert town.orders()[0].end == "declined"


def test_the_first_acceptance_wins_and_the_others_are_stood_down() -> None:
    """The one who answers first goes; the other's order ends stood_down."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:20")
    town.member("m2").accepts()
    assert town.coming() == ["m2"]
    assert town.asked() == []
    assert [(o.member_id, o.end) for o in town.orders()] == [("m1", "stood_down"), ("m2", None)]
    assert town.story()[-2:] == ["member.accepted m2", "member.stood_down m1"]


def test_who_was_stood_down_as_surplus_is_asked_again_when_the_winner_declines() -> None:
    """A surplus offer was no attempt at a member: they are free, willing and near."""
    town = Town("""
        member at
        m1     b
        m2     c
    """)
    town.alert(at="a")
    town.at("00:20")
    town.member("m2").accepts()
    town.member("m2").declines(reason="puncture")
    assert town.asked() == ["m1"]


def test_who_declined_is_not_asked_again() -> None:
    """A no is a no for this incident."""
    town = Town("""
        member at
        m1     b
    """)
    town.alert(at="a")
    town.member("m1").declines()
    town.at("05:00")
    assert [o.member_id for o in town.orders()] == ["m1"]
    assert town.incident().unfilled == ("tried",)


def test_an_unanswered_order_lapses_when_the_accept_window_ends() -> None:
    """At 60 s without an answer the first orders lapse."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:59.999")
    assert town.asked(role="primary") == ["m1", "m2", "m3"]
    town.at("01:00")
    lapsed = [(x.member_id, x.reason) for x in town.facts(f.MemberLapsed)]
    assert lapsed == [("m1", "no_answer"), ("m2", "no_answer"), ("m3", "no_answer")]


def test_an_order_given_late_lapses_twenty_seconds_after_it_was_given() -> None:
    """Nobody gets less than offer_s to answer: an order of second 50 lapses at second 70."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:50")
    town.member("m1").declines()
    town.member("m2").declines()
    town.member("m3").declines()
    late = Town(THREE)
    late.alert(at="a")
    late.at("00:05")
    late.member("m1").declines()
    late.at("00:50")  # m3 was asked at 00:25
    late.member("m2").declines()
    late.member("m3").declines()
    late.hire("m4", "e")
    late.at("00:51")
    assert late.asked() == ["m4"]
    assert late.clock(late.orders()[-1].accept_by_ms) == "01:10.000".removesuffix(".000")
    late.at("01:09.999")
    assert late.asked(role="primary") == ["m4"]
    late.at("01:10")
    assert late.asked(role="primary") == []
    assert late.orders()[-1].end == "lapsed"


def test_nobody_accepted_in_time_is_written_and_told_and_asking_goes_on() -> None:
    """At 60 s: acceptance.overdue, the squad leader is told, and the next is asked."""
    town = Town(
        """
        member at rank
        m1     b  member
        m2     c  member
        m3     f  member
        m4     d  member
        boss   e  squad_leader
    """,
        rules="rules: [{set: {backup: never}}]",
    )
    town.alert(at="a")
    town.at("00:59.999")
    assert town.facts(f.AcceptanceOverdue) == []
    town.at("01:00")
    [overdue] = town.facts(f.AcceptanceOverdue)
    assert (town.clock(overdue.due_ms), overdue.late_s, overdue.estimate_s) == ("01:00", 0.0, None)
    [told] = town.facts(f.CommandNotified)
    assert (told.rung, told.who, told.reason) == ("squad_leader", ("boss",), "acceptance_overdue")
    assert town.asked() != []


def test_a_lapsed_order_may_still_be_accepted_while_nobody_else_has() -> None:
    """A late yes counts: the member is free and nobody has taken it."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("01:05")
    assert town.orders()[0].end == "lapsed"
    order = town.orders()[0]
    decision = town.member("m1").says("accept", dispatch_id=order.dispatch_id)
    assert decision.refusal is None
    assert "m1" in town.coming()


def test_a_late_arrival_counts_like_a_late_acceptance() -> None:
    """`arrive` implies accept: who went without a word after the order lapsed is on scene."""
    town = Town("""
        member at
        m1     b
    """)
    town.alert(at="a")
    town.at("01:30")
    order = town.orders()[0]
    assert order.end == "lapsed"
    decision = town.member("m1").says("arrive", dispatch_id=order.dispatch_id)
    assert decision.refusal is None
    assert town.on_scene() == ["m1"]
    town.member("m1").completes()
    assert town.incident().state == "resolved"


def test_a_late_acceptance_is_refused_once_somebody_else_has_accepted() -> None:
    """The order is ended and another goes: `order_ended`."""
    town = Town("""
        member at
        m1     b
        m2     c
    """)
    town.alert(at="a")
    lapsed = town.orders()[0]
    town.at("01:05")
    town.hire("m9", "e")
    town.at("01:10")
    town.member("m9").accepts()
    refused = town.member("m1").says("accept", dispatch_id=lapsed.dispatch_id)
    assert refused.refusal is not None
    assert refused.refusal.reason == "order_ended"


def test_a_late_acceptance_is_refused_while_the_member_is_busy_elsewhere() -> None:
    """One open order a member: the late yes to the old one cannot count."""
    town = Town("""
        member at
        m1     b
    """)
    town.alert("a1", at="a")
    lapsed = town.orders()[0]
    town.at("01:05")
    town.alert("a2", at="c", category="theft")
    assert town.asked() == ["m1"]
    refused = town.member("m1").says("accept", dispatch_id=lapsed.dispatch_id)
    assert refused.refusal is not None
    assert refused.refusal.reason == "order_ended"


def test_where_two_are_needed_a_late_acceptance_counts_while_one_is_lacking() -> None:
    """One of two has accepted: the late yes of another is the second."""
    town = Town("""
        member at
        m1     b
        m2     c
    """)
    town.alert(at="a", needed=2)
    town.at("00:10")
    town.member("m2").accepts()
    town.at("01:05")
    lapsed = town.orders()[0]
    assert (lapsed.member_id, lapsed.end) == ("m1", "lapsed")
    assert town.member("m1").says("accept", dispatch_id=lapsed.dispatch_id).refusal is None
    assert sorted(town.coming(role="primary")) == ["m1", "m2"]


def test_a_member_who_declines_after_accepting_is_replaced() -> None:
    """The incident steps back and the next is asked at once."""
    town = Town(THREE)
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:30")
    town.member("m1").declines(reason="fell")
    assert town.asked() == ["m2"]
    assert town.incident().state == "dispatched"


def test_nobody_who_has_accepted_stands_at_sixty_seconds_is_overdue() -> None:
    """An acceptance that was taken back does not meet the window: somebody is told."""
    town = Town(THREE, rules="rules: [{set: {backup: never}}]")
    town.alert(at="a")
    town.member("m1").accepts()
    town.at("00:45")
    town.member("m1").declines()
    town.at("01:00")
    [overdue] = town.facts(f.AcceptanceOverdue)
    assert town.clock(overdue.due_ms) == "01:00"


def test_a_member_on_scene_cannot_decline() -> None:
    """Who is there completes, or asks for backup."""
    town = Town(THREE)
    town.alert(at="a")
    town.member("m1").arrives()
    refused = town.member("m1").declines()
    assert refused.refusal is not None
    assert refused.refusal.reason == "not_possible"


def test_answers_skip_states_and_what_was_skipped_is_implied() -> None:
    """`complete` as the first word: accepted, under way and arrived are implied."""
    town = Town(THREE)
    town.alert(at="a")
    town.at("00:10")
    town.member("m1").completes(outcome="settled")
    assert town.story() == [
        "incident.opened",
        "member.dispatched m1",
        "member.accepted m1",
        "member.en_route m1",
        "member.arrived m1",
        "member.completed m1",
        "incident.resolved",
    ]
    assert town.facts(f.MemberAccepted)[0].implied
    timeline = town.incident().timeline
    assert timeline.en_route_ms is None  # it was not timed
    assert town.clock(timeline.arrived_ms) == "00:10"


def test_an_answer_that_says_what_is_known_is_nothing() -> None:
    """A second accept, or an accept after setting out, changes nothing and is no fault."""
    town = Town(THREE)
    town.alert(at="a")
    town.member("m1").sets_out()
    for action in ("accept", "en_route"):
        again = town.member("m1").says(action)
        assert (again.facts, again.refusal) == ((), None)
    town.member("m1").completes()
    again = town.member("m1").says("complete")
    assert (again.facts, again.refusal) == ((), None)


def test_an_action_id_seen_before_is_nothing() -> None:
    """The same word sent twice is heard once, even where it would be refused now."""
    town = Town(THREE)
    town.alert(at="a")
    town.member("m1").declines(action_id="once")
    again = town.member("m1").declines(action_id="once")
    assert (again.facts, again.refusal) == ((), None)
    assert [o.member_id for o in town.orders()] == ["m1", "m2"]


def test_members_and_desks_number_their_actions_independently() -> None:
    """An operator's action is not dropped because a member used the same action_id."""
    town = Town(THREE)
    town.alert(at="a")
    town.member("m1").accepts(action_id="1")
    town.desk("cancel", action_id="1")
    assert town.incident().state == "cancelled"


def test_an_answer_to_somebody_elses_order_is_refused() -> None:
    """`not_yours`, and nothing happens."""
    town = Town(THREE)
    town.alert(at="a")
    refused = town.member("m2").says("accept", dispatch_id=town.orders()[0].dispatch_id)
    assert refused.refusal is not None
    assert refused.refusal.reason == "not_yours"
    assert refused.facts == ()


def test_an_answer_to_no_order_at_all_is_refused() -> None:
    """`unknown_order`."""
    town = Town(THREE)
    refused = town.member("m2").says("accept", dispatch_id="nothing")
    assert refused.refusal is not None
    assert refused.refusal.reason == "unknown_order"


def test_any_other_answer_to_an_ended_order_is_refused() -> None:
    """Stood down is over: accept, arrive and complete are `order_ended`."""
    town = Town(THREE)
    town.alert(at="a")
    order = town.orders()[0]
    town.desk("cancel")
    for action in ("accept", "en_route", "arrive", "complete", "decline", "request_backup"):
        refused = town.member("m1").says(action, dispatch_id=order.dispatch_id)
        assert refused.refusal is not None
        assert refused.refusal.reason == "order_ended"


def test_somebody_who_is_not_on_the_roster_is_refused() -> None:
    """`unknown_member`; but who left it with an order in hand may still answer that."""
    town = Town(THREE)
    refused = town.action("ghost", "on_duty", None)
    assert refused.refusal is not None
    assert refused.refusal.reason == "unknown_member"
    town.alert(at="a")
    town.member("m1").leaves_the_roster()
    assert town.member("m1").accepts().refusal is None
    assert town.coming() == ["m1"]


def test_an_answer_without_its_order_is_refused() -> None:
    """`action_needs_field` names what is missing."""
    town = Town(THREE)
    refused = town.action("m1", "accept", None)
    assert refused.refusal is not None
    assert refused.refusal.reason == "action_needs_field"


def test_words_about_matters_are_not_supported_and_unknown_ones_are_said_so() -> None:
    """The contract's actions for work that is no incident, and one that it does not have."""
    town = Town(THREE)
    reasons = [town.action("m1", word, None).refusal for word in ("report", "sing")]
    assert [r and r.reason for r in reasons] == ["not_supported", "unknown_action"]
