"""Several people needed: each place is filled on its own, and never one too many."""

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f

FIVE = """
    member at
    m1     b
    m2     c
    m3     e
    m4     d
    m5     f
"""


def test_as_many_are_asked_at_once_as_are_needed() -> None:
    """Three orders in one decision, the quickest three."""
    town = Town(FIVE)
    decision = town.alert(at="a", needed=3)
    assert len([x for x in decision.facts if isinstance(x, f.MemberDispatched)]) == 3
    assert town.asked() == ["m4", "m1", "m3"]


def test_each_silent_offer_is_asked_on_for() -> None:
    """One of two has accepted: after twenty seconds one more is asked, not two."""
    town = Town(FIVE)
    town.alert(at="a", needed=2)
    town.at("00:10")
    town.member("m4").accepts()
    town.at("00:20")
    assert town.asked() == ["m1", "m3"]


def test_the_surplus_is_stood_down_when_enough_have_accepted() -> None:
    """At most `needed` accepted primaries."""
    town = Town(FIVE)
    town.alert(at="a", needed=2)
    town.at("00:20")
    assert town.asked() == ["m4", "m1", "m3", "m2"]
    town.member("m2").accepts()
    assert town.asked() == ["m4", "m1", "m3"]
    town.member("m3").accepts()
    assert (town.asked(), sorted(town.coming())) == ([], ["m2", "m3"])


def test_somebody_has_accepted_with_the_first() -> None:
    """The first window asks for somebody, not for all."""
    town = Town(FIVE)
    town.alert(at="a", needed=2)
    town.member("m1").accepts()
    town.at("01:00")
    assert town.facts(f.AcceptanceOverdue) == []


def test_the_first_primary_who_completes_resolves_for_all() -> None:
    """And stands the others down."""
    town = Town(FIVE)
    town.alert(at="a", needed=2)
    town.member("m4").arrives()
    town.member("m1").accepts()
    town.member("m4").completes()
    assert town.incident().state == "resolved"
    assert {o.member_id: o.end for o in town.orders()} == {"m4": "completed", "m1": "stood_down"}


def test_the_categorys_number_counts_where_the_alert_says_none() -> None:
    """`needed`: by default the category's, else 1."""
    rules = "rules: [{when: {category: brawl}, set: {needed: 3}}]"
    town = Town(FIVE, rules=rules)
    town.alert("a1", at="a", category="brawl")
    assert len(town.asked()) == 3
    town.alert("a2", at="f", category="unheard of")
    assert len(town.asked()) == 1
    assert len(Town(FIVE, rules=rules).alert(at="a", category="brawl", needed=1).facts) > 0
