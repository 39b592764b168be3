"""Places off the road, and places that nobody can find: a person in need is never turned away."""

import pytest

from tests.dispatch.town import Town
from xiaohe.dispatch import facts as f

BRIGADE = """
    member at owns
    m1     b  ab
    m2     f  cf
"""


def opened(town: Town) -> f.IncidentOpened:
    """The last opening."""
    return town.facts(f.IncidentOpened)[-1]


def test_a_place_off_the_road_keeps_its_true_position_and_says_how_far_it_is() -> None:
    """A courtyard: the road of the nearest access point answers for it."""
    town = Town(BRIGADE)
    town.alert(at="a+150+120")
    incident = town.incident()
    assert incident.position == town.position("a+150+120")
    assert incident.road_id == "ab"
    assert incident.off_road_m == pytest.approx(120, abs=0.1)
    assert incident.off_road_m == round(incident.off_road_m, 1)
    assert incident.responsible == f.Responsible("red", ("m1",))
    assert town.why("m1").rule == "owner"


def test_beyond_three_hundred_metres_no_road_answers_for_it() -> None:
    """`road_id` null, the nearest by position goes."""
    town = Town(BRIGADE)
    town.alert(at="c+301+0")
    incident = town.incident()
    assert (incident.road_id, incident.responsible) == (None, f.Responsible())
    assert incident.off_road_m == pytest.approx(301, abs=0.1)
    assert opened(town).odd == ("far_off_road",)
    assert town.asked() == ["m2"]
    assert town.why("m2").rule == "nearest"
    town = Town(BRIGADE)
    town.alert(at="c+299+0")
    assert town.incident().road_id is not None


def test_a_stated_road_wins_over_a_nearer_one() -> None:
    """At a corner the road that the alert names answers for it."""
    town = Town(BRIGADE)
    town.alert("a1", at="c-5-20", road_id="bc")
    assert town.incident().road_id == "bc"
    town.alert("a2", at="c-5-20", category="noise")
    assert town.incident().road_id == "cf"


def test_a_stated_road_that_is_elsewhere_is_odd_and_the_position_is_trusted() -> None:
    """Position before road."""
    town = Town(BRIGADE)
    town.alert(at="ab@0.5", road_id="ef")
    assert town.incident().road_id == "ab"
    assert opened(town).odd == ("road_is_elsewhere",)


def test_a_road_alone_means_the_middle_of_it() -> None:
    """Known by its road: somebody goes half way along."""
    town = Town(BRIGADE)
    town.alert(at=None, road_id="ab")
    incident = town.incident()
    assert incident.position is None
    assert incident.place is not None
    assert incident.place.lon == pytest.approx(town.position("ab@0.5").lon)
    assert town.asked() == ["m1"]


def test_an_unknown_road_is_odd_and_is_passed_over() -> None:
    """With a position the position counts; without, a person has to say where."""
    town = Town(BRIGADE)
    town.alert("a1", at="ab@0.5", road_id="nowhere")
    assert opened(town).odd == ("unknown_road",)
    assert town.asked() == ["m1"]
    town.alert("a2", at=None, road_id="nowhere")
    assert opened(town).odd == ("unknown_road", "no_place")
    assert town.incident().unfilled == ("no_place",)
    assert town.facts(f.CommandNotified)[-1].reason == "unfilled"


def test_an_address_is_found_by_the_road_that_it_names() -> None:
    """The last in the order of trust."""
    changes = {"ab": {"name": "Mill Lane"}}
    town = Town(BRIGADE, changes=changes)
    town.alert("a1", at=None, address="12 Mill Lane, back door")
    assert town.incident().road_id == "ab"
    assert opened(town).odd == ("address_by_road",)
    town.alert("a2", at=None, address="on the moon")
    assert opened(town).odd == ("unknown_address", "no_place")


def test_an_address_that_means_two_roads_goes_to_a_person() -> None:
    """Nobody is sent on a guess; the roads that it may mean are told."""
    changes = {"ab": {"name": "Mill Lane"}, "ef": {"name": "Mill Lane"}}
    town = Town(BRIGADE, changes=changes)
    town.alert("a1", at=None, address="Mill Lane")
    assert opened(town).odd == ("ambiguous_address", "no_place")
    assert opened(town).candidates == ("ab", "ef")
    assert town.facts(f.CommandNotified)[-1].reason == "unfilled"
    town.alert("a2", at=None, address="Mil Lane", road_candidates=("ef",))
    assert (opened(town).odd, opened(town).candidates) == (("unknown_address", "no_place"), ("ef",))
    town.alert("a3", at="ab@0.5", address="Mill Lane", road_candidates=("ef",))
    assert opened(town).candidates == ()


def test_a_person_who_says_where_it_is_gets_somebody_sent() -> None:
    """An update with the place fills what could not be filled."""
    town = Town(BRIGADE)
    town.alert(at=None, address="on the moon")
    assert town.asked() == []
    town.desk("update", fields={"road_id": "ab"})
    assert town.asked() == ["m1"]


def test_a_road_of_another_area_is_odd() -> None:
    """It opens here all the same: the key says whose it is."""
    changes = {"ab": {"area_id": "elsewhere"}}
    town = Town(BRIGADE, changes=changes)
    town.alert("a1", at="ab@0.5")
    assert opened(town).odd == ("road_of_another_area",)
    town.alert("a2", at=None, road_id="ab", category="noise")
    assert opened(town).odd == ("road_of_another_area",)


def test_a_map_without_a_road_for_anybody_still_opens() -> None:
    """All is private ground: nobody can be reached, and a person is told."""
    town = Town("member at\nm1 -", streets="a---b", changes={"ab": {"access": "private"}})
    town.alert(at="a")
    assert opened(town).odd == ("no_road",)
    assert town.incident().unfilled == ("stale_fix",)


@pytest.mark.parametrize(
    ("occurred_at", "odd"),
    [
        ("yesterday-ish", ("occurred_at_unreadable",)),
        ("2030-01-07T13:00:00+08:00", ("occurred_in_the_future",)),
        ("2030-01-05T12:00:00+08:00", ("occurred_long_ago",)),
        ("2030-01-07T11:00:00+08:00", ()),
    ],
)
def test_an_odd_date_is_named_and_changes_nothing(occurred_at: str, odd: tuple[str, ...]) -> None:
    """A device's or a caller's own times are evidence only."""
    town = Town(BRIGADE)
    town.alert(at="ab@0.5", occurred_at=occurred_at)
    assert opened(town).odd == odd
    assert town.asked() == ["m1"]
    assert town.clock(town.incident().accept_by_ms) == "01:00"
