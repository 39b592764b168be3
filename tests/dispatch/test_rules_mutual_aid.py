"""Mutual aid: whom an area cannot send, a neighbour may; nobody asks on for another."""

from tests.dispatch.town import AREA, POLICY, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import AidOrigin
from xiaohe.dispatch.policy import load_policy

NEIGHBOURS = """
areas:
  - {area_id: town, name: Town, neighbours: [east, west]}
  - {area_id: east, name: East, neighbours: [town]}
  - {area_id: west, name: West}
"""


def asked(town: Town) -> list[tuple[str, str]]:
    """Which neighbour was asked by which alert."""
    return [(x.to_area_id, x.alert_id) for x in town.facts(f.AidRequested)]


def test_the_neighbours_are_asked_one_after_the_other_before_it_is_unfilled() -> None:
    """First east, ten seconds later west, then the reasons are written and a person is told."""
    town = Town("member at shift\nasleep b none", rules=NEIGHBOURS)
    town.alert(at="a")
    incident_id = town.opened[0]
    assert asked(town) == [("east", f"aid:{incident_id}:1")]
    assert town.facts(f.IncidentUnfilled) == []
    town.at("00:10")
    assert asked(town)[1:] == [("west", f"aid:{incident_id}:2")]
    town.at("00:20")
    assert len(asked(town)) == 2
    assert town.facts(f.IncidentUnfilled)[0].reasons == ("off_duty",)


def test_what_is_asked_for_is_what_is_lacking() -> None:
    """Two of three could be found: one is asked for."""
    town = Town("member at\nm1 b\nm2 c", rules=NEIGHBOURS)
    town.alert(at="a", needed=3)
    assert town.facts(f.AidRequested)[0].needed == 1


def test_no_aid_for_reinforcement_nor_for_a_place_that_nobody_knows() -> None:
    """A primary went; or nobody could say where to."""
    town = Town("member at\nm1 b", rules=NEIGHBOURS)
    town.alert("a1", at="a", priority=1)
    assert asked(town) == []
    town.alert("a2", at=None, address="on the moon")
    assert asked(town) == []


def test_the_neighbour_sends_whoever_is_quickest_under_the_rule_mutual_aid() -> None:
    """Road ownership is the asking area's affair."""
    town = Town("member at owns\nown c ab\nnear b -", rules=NEIGHBOURS, area_id="east")
    origin = AidOrigin(AREA, "inc-1")
    town.alert("aid:inc-1:1", at="ab@0.5", source="mutual-aid", origin=origin)
    assert town.asked() == ["near"]
    assert town.why("near").rule == "mutual_aid"
    assert town.incident().origin == origin


def test_an_area_that_is_asked_asks_nobody_on() -> None:
    """No loops: it is unfilled there."""
    town = Town("member at shift\nasleep b none", rules=NEIGHBOURS, area_id="east")
    town.alert("aid:inc-1:1", at="a", source="mutual-aid", origin=AidOrigin(AREA, "inc-1"))
    town.at("02:00")
    assert asked(town) == []
    assert town.incident().unfilled == ("off_duty",)


def test_reopened_an_incident_may_ask_its_neighbours_again() -> None:
    """With numbers that go on where nobody confuses the alerts."""
    town = Town("member at shift\nasleep b none", rules=NEIGHBOURS)
    town.alert(at="a")
    town.desk("cancel")
    town.desk("reopen")
    assert [area for area, _ in asked(town)] == ["east", "east"]
    assert len({alert_id for _, alert_id in asked(town)}) == 2


def test_a_policy_without_areas_of_its_own_keeps_those_below() -> None:
    """An overlay of a single figure loses no neighbour."""
    over = load_policy(b"rules: [{set: {offer_s: 5}}]", base=POLICY)
    assert "xiaohe" in over.areas
    own = load_policy(NEIGHBOURS.encode(), base=POLICY)
    assert sorted(own.areas) == ["east", "town", "west"]
    assert own.neighbours("town") == ("east", "west")
    assert own.neighbours("nowhere") == ()
