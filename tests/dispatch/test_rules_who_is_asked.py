"""Who is asked: owner, else squad, else the quickest, else a neighbour, else nobody."""

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f


def test_the_owner_of_the_road_goes_before_somebody_nearer() -> None:
    """The owner is asked although another member stands at the scene."""
    town = Town("""
        member at owns team
        own    f  ab   red
        near   b  -    blue
    """)
    town.alert(at="ab@0.5")
    assert town.asked() == ["own"]
    assert town.why("own").rule == "owner"


def test_of_several_owners_the_quickest_goes() -> None:
    """Two owners: least travel time decides."""
    town = Town("""
        member at owns
        slow   c  ab
        swift  b  ab
    """)
    town.alert(at="a")
    assert town.asked() == ["swift"]


def test_of_equally_quick_owners_the_first_id_goes() -> None:
    """Two owners at one place: the member_id decides, so that a replay gives the same."""
    town = Town("""
        member at owns
        zoe    c  ab
        amy    c  ab
    """)
    town.alert(at="a")
    assert town.asked() == ["amy"]


def test_a_slower_owner_is_not_said_to_be_too_far() -> None:
    """Who was merely slower than the owner who goes was not passed over for the distance."""
    town = Town("""
        member at owns
        slow   c  ab
        swift  b  ab
    """)
    decision = town.alert(at="a")
    assert town.excluded(decision) == {"swift": None, "slow": None}


def test_an_owner_who_cannot_be_there_in_time_is_passed_over_and_named() -> None:
    """On foot from the far end the owner needs more than 180 s: the squad goes."""
    town = Town("""
        member at owns mode  team
        own    f  ab   walk  red
        mate   c  -    ebike red
        near   b  -    ebike blue
    """)
    decision = town.alert(at="a")
    assert town.asked() == ["mate"]
    assert town.why("mate").rule == "team"
    assert town.excluded(decision)["own"] == "too_far"
    assert town.excluded(decision)["near"] is None


def test_the_squad_is_that_of_any_owner_on_duty_or_not() -> None:
    """The owner sleeps; a mate of the owner's squad who is on duty goes before one nearer."""
    town = Town("""
        member at owns team shift
        own    b  ab   red  none
        mate   c  -    red  all
        near   b  -    blue all
    """)
    decision = town.alert(at="a")
    assert town.asked() == ["mate"]
    assert town.excluded(decision)["own"] == "off_duty"


def test_a_member_with_the_role_team_on_the_road_counts_as_squad() -> None:
    """The roster may name helpers of a road from another squad."""
    town = Town("""
        member at owns helps team shift
        own    b  ab   -     red  none
        helper c  -    ab    blue all
        near   b  -    -     blue all
    """)
    town.alert(at="a")
    assert town.asked() == ["helper"]
    assert town.why("helper").rule == "team"


def test_who_can_just_be_there_in_time_still_counts() -> None:
    """ordered_at + eta_s ≤ receipt + arrive_s, and not a moment less: 250 m on foot is 180 s."""
    streets = "a-----b"  # 300 m
    brigade = """
        member at          owns mode
        own    ab@{share}  ab   walk
        near   ab@0.1      -    walk
    """
    within, beyond = 249 / 300, 251 / 300
    town = Town(brigade.format(share=within), streets=streets)
    town.alert(at="a")
    assert town.asked() == ["own"]
    town = Town(brigade.format(share=beyond), streets=streets)
    town.alert(at="a")
    assert town.asked() == ["near"]


def test_the_time_that_has_passed_counts_against_the_owner() -> None:
    """An order given late leaves less of the window: then the owner is too far."""
    town = Town("""
        member at owns
        own    c  ab
        near   b  -
    """)
    town.alert(at="a", received="00:00")
    assert town.asked() == ["own"]
    late = Town("""
        member at owns
        own    c  ab
        near   b  -
    """)
    late.jump("02:00")
    for member_id in ("own", "near"):
        late.member(member_id).moves_to(late.places[member_id])
    late.alert(at="a", received="00:00")
    assert late.asked(role="primary") == ["near"]


def test_without_owner_or_squad_the_quickest_goes_however_far() -> None:
    """Nearest has no radius, and it goes by travel time and not by distance."""
    town = Town("""
        member at mode
        foot   b  walk
        bike   f  ebike
    """)
    town.alert(at="a")
    assert town.asked() == ["bike"]
    assert town.why("bike").rule == "nearest"
    [order] = town.orders()
    assert (order.eta_s, order.distance_m) == (144.0, 800.0)
    assert order.route in (("cf", "bc", "ab"), ("ef", "be", "ab"), ("ef", "de", "ad"))


def test_of_the_equally_quick_the_first_id_goes() -> None:
    """Ties of the nearest are decided by member_id."""
    town = Town("""
        member at
        zoe    c
        amy    c
    """)
    town.alert(at="a")
    assert town.asked() == ["amy"]


def test_everybody_who_was_passed_over_is_told_with_a_reason() -> None:
    """`why` names each who was looked at: off duty, on a break, busy, without the skill …"""
    town = Town("""
        member  at     shift skills force
        asleep  a      none  law    brigade
        resting ab@0.1 all   law    brigade
        taken   ab@0.2 all   law    brigade
        plain   ab@0.3 all   -      brigade
        cop     ab@0.4 all   law    police
        goes    c      all   law    brigade
    """)
    town.alert("other", at="ab@0.2", category="noise")
    busy = town.asked()
    town.member(busy[0]).accepts()
    town.member("resting").declares("break")
    town.alert("a1", at="a", skills=("law",))
    told = {c.member_id: c.excluded for c in town.why("goes").candidates}
    assert told["asleep"] == "off_duty"
    assert told["resting"] == "on_break"
    assert told["plain"] == "skills"
    assert told["cop"] == "force"
    assert told[busy[0]] == "busy"
    assert told["goes"] is None


def test_the_responder_has_the_skills_that_the_alert_asks_for() -> None:
    """An owner without the skill is passed over for whoever has it."""
    town = Town("""
        member at owns skills
        own    b  ab   -
        medic  f  -    first_aid,law
    """)
    town.alert(at="a", skills=("first_aid",))
    assert town.asked() == ["medic"]


def test_the_alert_may_ask_for_another_force() -> None:
    """Only the forces that the alert names are sent; by default the brigade."""
    town = Town("""
        member at force
        cop    c  police
        guard  b  brigade
    """)
    town.alert("a1", at="a")
    assert town.asked() == ["guard"]
    town.alert("a2", at="a", category="theft", forces=("police",))
    assert town.asked() == ["cop"]


def test_no_more_than_twenty_candidates_are_named_and_the_chosen_is_among_them() -> None:
    """`candidates` holds 20 at most."""
    rows = "\n".join(f"m{n:02} b none" for n in range(30))
    town = Town(f"member at shift\n{rows}\ngoes c all")
    town.alert(at="a")
    candidates = town.why("goes").candidates
    assert len(candidates) == 20
    last = candidates[-1]
    assert (last.member_id, last.eta_s, last.excluded) == ("goes", 108.0, None)
    assert town.why("goes").left_out == {"off_duty": 11}


def test_nobody_can_go_and_why_is_written_once_per_change() -> None:
    """`incident.unfilled` names the reasons, and again only when they change."""
    town = Town(
        """
        member at shift
        asleep b  none
        """,
        rules="rules: [{set: {backup: never}}]",
    )
    town.alert(at="a")
    assert [u.reasons for u in town.facts(f.IncidentUnfilled)] == [("off_duty",)]
    town.at("01:00")
    assert len(town.facts(f.IncidentUnfilled)) == 1
    town.member("asleep").declares("on_duty")
    assert town.asked() == ["asleep"]
    town.member("asleep").declines()
    assert [u.reasons for u in town.facts(f.IncidentUnfilled)] == [("off_duty",), ("tried",)]


def test_an_area_without_members_says_so() -> None:
    """Nobody on the roster is a reason of its own."""
    town = Town("member at")
    town.alert(at="a")
    assert town.incident().unfilled == ("no_members",)
    assert town.incident().state == "open"


def test_it_is_decided_again_at_least_every_retry_s() -> None:
    """A shift begins without any record: ten seconds later at the latest the member is asked."""
    town = Town("""
        member at shift
        early  b  1-60
    """)
    town.alert(at="a")
    assert town.asked() == []
    town.at("01:10")
    assert town.asked() == ["early"]


def test_it_is_decided_again_as_soon_as_somebody_becomes_free() -> None:
    """Whoever completes goes on to the incident that lacked somebody, in the same decision."""
    town = Town("""
        member at
        only   b
    """)
    town.alert("a1", at="a")
    town.alert("a2", at="c", category="noise")
    first, second = town.opened
    assert (town.asked(first), town.asked(second)) == (["only"], [])
    town.at("00:05")
    order = town.orders(first)[0]
    town.member("only").says("complete", dispatch_id=order.dispatch_id)
    assert town.asked(second) == ["only"]


def test_the_most_urgent_of_those_who_wait_is_served_first() -> None:
    """Priority before age."""
    town = Town("""
        member at
        only   b
    """)
    town.alert("a1", at="a")
    town.alert("a2", at="c", category="noise", priority=3)
    town.alert("a3", at="f", category="theft", priority=2)
    first, low, high = town.opened
    town.member("only").says("complete", dispatch_id=town.orders(first)[0].dispatch_id)
    assert (town.asked(low), town.asked(high)) == ([], ["only"])


def test_a_fix_that_makes_somebody_eligible_fills_at_once() -> None:
    """A tracker comes back to life: the waiting incident is decided with that very fix."""
    town = Town("""
        member at
        only   b
    """)
    town.member("only").falls_silent()
    town.at("03:00")
    town.alert(at="a")
    assert town.incident().unfilled == ("stale_fix",)
    town.at("03:03")
    town.member("only").moves_to("b")
    assert town.asked() == ["only"]


def test_fixes_that_make_nobody_eligible_are_not_decided_at_all() -> None:
    """While an incident waits, a fleet that merely moves writes nothing to the log."""
    town = Town("""
        member  at shift
        asleep  b  none
        awake   c  none
    """)
    town.alert(at="a")
    town.at("00:01")
    before = len(town.decisions)
    for place in ("e", "d", "e", "d"):
        assert town.member("asleep").moves_to(place) is None
    assert len(town.decisions) == before


def test_a_road_that_is_closed_is_gone_around() -> None:
    """A desk closes a road: the way, and with it the choice, is another."""
    town = Town("""
        member at
        near   c
        far    d
    """)
    town.alert("a1", at="b")
    assert town.asked() == ["near"]
    town.desk("close_road", road_id="bc", incident_id=None)
    town.desk("close_road", road_id="ef", incident_id=None)
    town.alert("a2", at="b", category="theft")
    assert town.asked() == ["far"]


def test_nobody_can_reach_a_place_that_no_way_leads_to() -> None:
    """A member beyond the water is unreachable, which is a reason like any other."""
    town = Town(
        """
        member at
        over   c
        """,
        streets="a---b   c---d",
    )
    town.alert(at="a")
    assert town.incident().unfilled == ("unreachable",)
