"""Earlier than the window: before anybody has set out, a much nearer member takes over."""

from functools import reduce

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision, fold
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.inputs import Fix

BRIGADE = """
    member at
    first  c
    other  f
"""
"""An alert at a is 108 s from c by e-bike, 144 s from f, 16 s from ab@0.3."""


def town_with_first_ordered(brigade: str = BRIGADE, rules: str = "") -> Town:
    """An alert at a, to which first was ordered; 18 seconds have passed."""
    town = Town(brigade, rules=rules)
    town.alert(at="a")
    assert town.asked() == ["first"]
    town.at("00:18")
    return town


def told(decision: Decision | None) -> list[str]:
    """What a decision says about members, in the order of the log."""
    assert decision is not None
    return [
        f"{f.type_of(x)} {x.member_id}"
        for x in decision.facts
        if isinstance(x, f.MemberDispatched | f.MemberStoodDown | f.MemberAccepted)
    ]


def most_accepted_at_once(town: Town) -> int:
    """How many primaries had accepted at the same moment, reading the log fact by fact."""
    most, state = 0, town.began
    for decision in town.decisions:
        stamp = Stamp(decision.at_ms, decision.received_ms)
        for fact in decision.facts:
            state = evolve(state, fact, stamp)
            for incident in state.incidents.values():
                most = max(most, sum(o.is_taken for o in incident.open_orders("primary")))
    return most


def test_an_unanswered_offer_goes_to_whoever_has_become_much_nearer() -> None:
    """It is stood down first, and the new order says instead of which."""
    town = town_with_first_ordered()
    first = town.orders()[0].dispatch_id
    decision = town.member("other").moves_to("ab@0.3")
    assert told(decision) == ["member.stood_down first", "member.dispatched other"]
    assert town.orders()[0].end_reason == "nearer_member"
    assert town.asked() == ["other"]
    assert town.why("other").instead_of == first


def test_who_has_accepted_is_kept_until_the_nearer_one_accepts() -> None:
    """The nearer member is asked as well; the first is stood down before the other accepts."""
    town = town_with_first_ordered()
    town.member("first").accepts()
    decision = town.member("other").moves_to("ab@0.3")
    assert told(decision) == ["member.dispatched other"]
    assert (town.coming(), town.asked()) == (["first"], ["other"])
    assert town.why("other").instead_of == town.orders()[0].dispatch_id
    decision = town.member("other").accepts()
    assert told(decision) == ["member.stood_down first", "member.accepted other"]
    assert town.coming() == ["other"]
    assert most_accepted_at_once(town) == 1


def test_when_the_first_sets_out_the_offer_that_stood_by_is_taken_back() -> None:
    """Whoever is on the way is not turned round."""
    town = town_with_first_ordered()
    town.member("first").accepts()
    town.member("other").moves_to("ab@0.3")
    town.member("first").sets_out()
    assert (town.coming(), town.asked()) == (["first"], [])
    assert town.orders()[1].end_reason == "first_set_out"


def test_coming_nearer_counts_as_having_set_out() -> None:
    """By ``min_progress_m`` 50, said or not: the offer that stood by is taken back."""
    town = town_with_first_ordered()
    town.member("first").accepts()
    town.member("other").moves_to("ab@0.3")
    town.now_ms += 5000
    town.member("first").moves_to("bc@0.8")
    assert (town.coming(), town.asked()) == (["first"], [])
    town.now_ms += 30_000
    town.member("other").moves_to("ab@0.1")
    assert town.asked() == []


def test_when_the_nearer_one_declines_nothing_is_lost() -> None:
    """The first goes on, and nobody else is asked."""
    town = town_with_first_ordered("""
        member at
        first  c
        other  f
        third  f
    """)
    town.member("first").accepts()
    town.member("other").moves_to("ab@0.3")
    town.member("other").declines()
    assert (town.coming(), town.asked()) == (["first"], [])
    assert town.incident().state == "accepted"


def test_when_the_nearer_one_does_not_answer_nothing_is_lost() -> None:
    """Its offer ages and lapses; nobody is asked on, for somebody has accepted."""
    town = town_with_first_ordered()
    town.member("first").accepts()
    town.member("other").moves_to("ab@0.3")
    town.at("01:05")
    assert (town.coming(), town.asked()) == (["first"], [])
    assert [o.end for o in town.orders() if o.role == "primary"] == [None, "lapsed"]


def test_when_the_first_gives_it_back_the_one_who_stood_by_is_the_one_asked() -> None:
    """It is an offer like any other from then on."""
    town = town_with_first_ordered()
    town.member("first").accepts()
    town.member("other").moves_to("ab@0.3")
    town.member("first").declines()
    assert town.asked() == ["other"]
    town.member("other").accepts()
    assert town.coming() == ["other"]


def test_an_owner_who_is_in_time_stays() -> None:
    """Whoever would not be chosen now does not take over: the rules of choice hold."""
    town = town_with_first_ordered("""
        member at owns
        first  c  ab
        other  f  -
    """)
    assert town.member("other").moves_to("ab@0.3") is None
    assert town.asked() == ["first"]


def test_a_little_nearer_is_not_enough() -> None:
    """Less than ``swap_gain_s`` 45, or less than a third of the way, moves nobody."""
    town = town_with_first_ordered()
    assert town.member("other").moves_to("bc@0.2") is None  # 65 s: 43 s less
    assert town.asked() == ["first"]
    town.now_ms += 1000
    assert town.member("other").moves_to("ab@0.9") is not None  # 49 s: 59 s less
    assert town.asked() == ["other"]


def test_a_third_of_a_long_way_is_asked_for() -> None:
    """Of 288 s on foot, 60 s less is not worth a change."""
    town = Town("""
        member at     mode
        first  b      walk
        other  f      walk
    """)
    town.alert(at="a")
    assert town.asked() == ["first"]  # 216 s away
    town.now_ms += 10_000
    assert town.member("other").moves_to("ab@0.75") is None  # 162 s: 54 s less
    town.now_ms += 10_000
    assert town.member("other").moves_to("ab@0.6") is not None  # 130 s


def test_an_incident_is_handed_on_twice_at_most_and_not_at_once() -> None:
    """``swap_max`` 2, and ``swap_again_s`` 20 in between."""
    town = Town(
        """
        member at
        m1     g
        m2     l
        m3     l
        m4     l
        """,
        streets="""
            a-----b-----c-----d-----e-----g-----h
                                                |
                                                l
        """,
    )
    town.alert(at="a", priority=3)
    assert town.asked() == ["m1"]
    town.member("m1").accepts()
    town.now_ms += 13_000
    town.member("m2").moves_to("cd@0.9")
    assert town.asked() == ["m2"]
    town.member("m2").accepts()
    town.now_ms += 15_000
    town.member("m3").moves_to("bc@0.1")
    assert town.asked() == []  # too soon
    town.now_ms += 5_000
    town.member("m3").moves_to("bc@0.1")
    assert town.asked() == ["m3"]
    town.member("m3").accepts()
    town.now_ms += 30_000
    town.member("m4").moves_to("ab@0.1")
    assert (town.coming(), town.asked()) == (["m3"], [])


def test_a_leap_of_a_device_takes_nothing_over() -> None:
    """A fix that nobody could have reached is not believed until another confirms it."""
    far = "a-----b-----c" + "------" * 20 + "d"
    town = Town(
        """
        member at
        first  c
        other  d
        """,
        streets=far,
    )
    town.alert(at="a")
    assert town.asked() == ["first"]
    town.now_ms += 1000
    assert town.member("other").moves_to("ab@0.3") is None
    assert town.asked() == ["first"]


def test_an_old_fix_takes_nothing_over() -> None:
    """A record from the backlog, older than what is known, says nothing about now."""
    town = town_with_first_ordered()
    here = town.position("ab@0.3")
    old = Fix(member_id="other", lon=here.lon, lat=here.lat, fix_ms=town.now_ms - 60_000)
    assert town.take_fix("other", old) is None
    assert town.asked() == ["first"]


def test_a_desks_own_order_is_not_handed_on() -> None:
    """Whom a person sent goes."""
    town = Town(BRIGADE)
    town.alert(at="a")
    town.desk("stand_down", member_id="first")
    town.desk("dispatch", member_id="first")
    others = [o.dispatch_id for o in town.incident().open_orders() if o.member_id == "other"]
    for dispatch_id in others:
        town.action("other", "decline", None, dispatch_id=dispatch_id)
    town.hire("third", "f")
    town.now_ms += 10_000
    town.member("third").moves_to("ab@0.3")
    assert "first" in town.asked()
    assert all(o.instead_of is None for o in town.orders())


def test_the_first_ones_own_way_is_looked_at_too() -> None:
    """Who was ordered and drives off the other way is replaced by who is nearer now."""
    town = Town("""
        member at
        first  b
        other  c
    """)
    town.alert(at="a")
    assert town.asked() == ["first"]
    town.now_ms += 15_000
    town.member("first").moves_to("cf@0.9")
    assert town.asked() == ["first"]  # 32 s behind: not enough
    town.now_ms += 4000
    town.member("other").moves_to("ab@0.9")
    town.member("first").moves_to("cf@0.95")
    assert town.asked() == ["other"]


def test_an_offer_that_could_not_be_met_in_time_any_more_lets_the_next_be_asked_at_once() -> None:
    """Not after ``offer_s`` 20: who was asked has gone off, and somebody else would be sooner."""
    town = Town(
        """
        member at     mode
        first  ab@0.8 walk
        other  ab@0.9 walk
        """,
        rules="rules: [{set: {swap_max: 0}}]",
    )
    town.alert(at="a")
    assert town.asked() == ["first"]
    town.now_ms += 5000
    town.member("first").moves_to("bc@0.3")
    assert town.asked() == ["first", "other"]
    assert town.clock(town.orders()[1].ordered_ms) == "00:05"


def test_whoever_merely_moves_has_nothing_decided() -> None:
    """A free member who is no nearer leaves no record, however often they report."""
    town = town_with_first_ordered()
    before = len(town.decisions)
    for place in ("ef@0.9", "f", "cf@0.5", "f"):
        town.now_ms += 1000
        assert town.member("other").moves_to(place) is None
    assert len(town.decisions) == before


def test_with_two_needed_there_are_never_three() -> None:
    """Who stands by counts for none of them, and takes one's place alone."""
    town = Town("""
        member at
        m1     c
        m2     cf@0.5
        m3     f
    """)
    town.alert(at="a", needed=2, priority=3)
    town.member("m1").accepts()
    town.now_ms += 8000
    town.member("m3").moves_to("ab@0.3")
    assert town.asked() == ["m2", "m3"]
    town.member("m2").accepts()
    town.member("m3").accepts()
    assert town.coming() == ["m2", "m3"]
    assert most_accepted_at_once(town) == 2


def test_the_log_folds_to_the_same_state_and_the_same_story_is_told_again() -> None:
    """Handing on is recorded as orders and ends; a replay needs nothing else."""

    def story() -> Town:
        town = town_with_first_ordered()
        town.member("first").accepts()
        town.member("other").moves_to("ab@0.3")
        town.member("other").accepts()
        town.at("02:00")
        return town

    one, two = story(), story()
    assert one.decisions == two.decisions
    assert reduce(fold, one.decisions, one.began) == one.state
