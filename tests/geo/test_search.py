"""The search by travel time, on streets drawn for each rule."""

import sys
from itertools import pairwise

import pytest

from tests.geo import maps
from xiaohe.geo.compiled_search import CompiledField
from xiaohe.geo.geometry import Spot
from xiaohe.geo.live import LivePositions
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.search import TravelField
from xiaohe.geo.snap import Site, Snapper

EBIKE_MPS = 20 / 3.6


@pytest.fixture(autouse=True, params=[TravelField, CompiledField])
def both(request, monkeypatch):
    """Every claim of this page holds for the search in plain Python and for the compiled one."""
    monkeypatch.setattr(sys.modules[__name__], "TravelField", request.param)


def site_at(network, road, frac):
    """The site at a share of a drawn road."""
    spot = maps.spot(network, road, frac)
    lon, lat = network.point_at(spot)
    return Site(lon, lat, spot, road, 0.0, lon, lat)


def field(network, road, frac, mode="ebike", closed=()):
    """The field around a share of a drawn road."""
    return TravelField(network, site_at(network, road, frac), mode, frozenset(closed))


def eta_m(travel_field, road, frac):
    """How far it is from a share of a drawn road, None without a way."""
    travel = travel_field.eta(maps.spot(travel_field.network, road, frac))
    return None if travel is None else travel.distance_m


def test_only_the_rest_of_a_road_is_travelled():
    """From a quarter of one street to the middle of the next: three quarters and a half."""
    network = maps.network("a---b---c")
    travel = field(network, "bc", 0.5).eta(maps.spot(network, "ab", 0.25))
    assert travel.distance_m == pytest.approx(150 + 100, rel=1e-3)
    assert travel.eta_s == pytest.approx(travel.distance_m / EBIKE_MPS)


def test_on_the_same_road_the_way_is_straight():
    """Both directions of a two-way street."""
    network = maps.network("a---b")
    here = field(network, "ab", 0.5)
    assert eta_m(here, "ab", 0.25) == pytest.approx(50, rel=1e-3)
    assert eta_m(here, "ab", 0.75) == pytest.approx(50, rel=1e-3)
    assert eta_m(here, "ab", 0.5) == 0.0


ROUND = """
    a->-b
    |   |
    c---d
"""


def test_past_the_site_on_a_one_way_one_goes_round():
    """Before the site it is straight on; past it, the whole block; on foot, back."""
    network = maps.network(ROUND)
    here = field(network, "ab", 0.5)
    assert eta_m(here, "ab", 0.25) == pytest.approx(50, rel=1e-3)
    assert eta_m(here, "ab", 0.75) == pytest.approx(50 + 200 + 200 + 200 + 100, rel=1e-3)
    assert eta_m(field(network, "ab", 0.5, "walk"), "ab", 0.75) == pytest.approx(50, rel=1e-3)


def test_a_one_way_drawn_against_its_direction_is_heeded():
    """``oneway=-1``: from b to a alone."""
    network = maps.network("a-<-b")
    here = field(network, "ab", 0.5)
    assert eta_m(here, "ab", 0.75) == pytest.approx(50, rel=1e-3)
    assert eta_m(here, "ab", 0.25) is None


def test_the_end_of_a_one_way_is_a_junction():
    """Who stands exactly at its end has left it, and who is needed exactly there is reached
    without it."""
    network = maps.network("a->-b---c")
    assert eta_m(field(network, "bc", 1.0), "ab", 1.0) == pytest.approx(200, rel=1e-3)
    assert eta_m(field(network, "ab", 1.0), "bc", 1.0) == pytest.approx(200, rel=1e-3)
    assert eta_m(field(network, "ab", 0.0), "ab", 1.0) is None


def test_a_member_at_the_start_of_a_one_way_is_met_at_its_junction():
    """Members are found like spots are: also on a street that leads away from the site."""
    drawing = "a---b->-c"
    network = maps.network(drawing)
    live = LivePositions(Snapper(network))
    live.move("m", *maps.place(drawing, "c"), 0)
    here = field(network, "bc", 1.0)
    (reached,) = here.members(live)
    assert (reached.eta_s, reached.distance_m) == (0.0, 0.0)


def test_the_quicker_way_is_taken_not_the_shorter():
    """A car takes the fast road round rather than the slow one straight."""
    drawing = """
        a-----b
        |     |
        c-----d
    """
    network = maps.network(drawing, {"ab": {"maxspeed_kmh": 5.0}})
    here = field(network, "bd", 0.0, "car")
    assert here.route(maps.spot(network, "ab", 0.0)) == ("ac", "cd", "bd")
    assert field(network, "bd", 0.0, "walk").route(maps.spot(network, "ab", 0.0)) == ("ab",)


def test_the_farther_end_of_a_road_may_be_the_quicker_way():
    """From near the far end of a long street the way over that end is shorter, though the search
    from the site comes to the near end first."""
    drawing = """
        a-b----------------c
          |                |
          d-----e----------f
    """
    network = maps.network(drawing)
    here = field(network, "ab", 0.5)
    assert eta_m(here, "bc", 0.9) == pytest.approx(50 + 0.9 * 850, rel=1e-3)
    slow = maps.network(drawing, {"bc": {"maxspeed_kmh": 9.0}})
    assert field(slow, "ab", 0.5).route(maps.spot(slow, "bc", 0.9)) == (
        "bc",
        "cf",
        "ef",
        "de",
        "bd",
        "ab",
    )


def test_a_route_names_each_road_once_in_a_row():
    """Pieces of one road that follow each other are one entry."""
    network = maps.network("a-b-c-d", {"ab": {"road_id": "r"}, "bc": {"road_id": "r"}})
    here = TravelField(network, Snapper(network).snap(*maps.place("a-b-c-d", "d")), "walk")
    start = Spot(network.roads["r"][0], 0.0)
    assert here.route(start) == ("r", "cd")
    assert [leg.road_id for leg in here.legs(start)] == ["r", "r", "cd"]


def test_a_path_leads_along_the_road_to_the_access_point():
    """The points begin at the spot, end at the site, and are as long as the distance says."""
    network = maps.network(ROUND)
    here = field(network, "ab", 0.5)
    start = maps.spot(network, "ab", 0.75)
    path = here.path(start)
    assert path[0] == pytest.approx(network.point_at(start))
    assert path[-1] == pytest.approx((here.site.access_lon, here.site.access_lat))
    walked = sum(ground_distance_m(*a, *b) for a, b in pairwise(path))
    assert walked == pytest.approx(here.eta(start).distance_m, rel=1e-6)


def test_legs_add_up_to_the_travel():
    """Times and lengths of the legs are the whole's."""
    network = maps.network(ROUND)
    here = field(network, "ab", 0.5, "car")
    start = maps.spot(network, "cd", 0.3)
    legs = here.legs(start)
    assert sum(leg.time_s for leg in legs) == pytest.approx(here.eta(start).eta_s)
    assert sum(leg.length_m for leg in legs) == pytest.approx(here.eta(start).distance_m)


def test_who_is_there_already_has_a_route_of_one_road():
    """No distance, and still on a road."""
    network = maps.network("a---b")
    here = field(network, "ab", 0.5)
    assert here.route(maps.spot(network, "ab", 0.5)) == ("ab",)
    assert here.eta(maps.spot(network, "ab", 0.5)) == (0.0, 0.0)


def test_without_a_way_there_is_no_travel():
    """The other bank of the river, without a bridge."""
    drawing = """
        a---b
        c---d
    """
    network = maps.network(drawing)
    here = field(network, "ab", 0.5)
    far = maps.spot(network, "cd", 0.5)
    assert here.eta(far) is None
    assert here.route(far) == ()
    assert here.path(far) == []


def test_beyond_the_limit_there_is_no_travel():
    """The limit is inclusive, and asking with one spoils nothing for asking without."""
    network = maps.network("a---b---c---d")
    here = field(network, "ab", 0.0)
    start = maps.spot(network, "cd", 1.0)
    assert here.eta(start, limit_s=50) is None
    eta_s = here.eta(start).eta_s
    assert here.eta(start, limit_s=eta_s).eta_s == eta_s


STREET = "a---b---c---d"


def test_members_come_in_the_order_of_time_and_id():
    """Two who are equally far by their ids, whichever moved first."""
    network = maps.network(STREET)
    live = LivePositions(Snapper(network))
    for member, junction in [("far", "a"), ("z", "c"), ("b", "c"), ("near", "d")]:
        live.move(member, *maps.place(STREET, junction), 0)
    found = list(field(network, "cd", 1.0).members(live))
    assert [reached.member_id for reached in found] == ["near", "b", "z", "far"]
    for reached in found:
        assert field(network, "cd", 1.0).eta(reached.spot) == (reached.eta_s, reached.distance_m)


def test_the_search_grows_no_farther_than_it_is_read():
    """After the nearest member most junctions of a long street are untouched; asking on grows
    on, and a second reader starts from what is there."""
    drawing = "-".join("abcdefghijklmnop")
    network = maps.network(drawing)
    live = LivePositions(Snapper(network))
    live.move("near", *maps.place(drawing, "c"), 0)
    live.move("far", *maps.place(drawing, "p"), 0)
    here = field(network, "ab", 0.0)
    reader = here.members(live, wanted=1)
    assert next(reader).member_id == "near"
    assert here.junctions_reached < 6
    assert next(reader).member_id == "far"
    grown = here.junctions_reached
    assert [reached.member_id for reached in here.members(live, 1000.0)] == ["near", "far"]
    assert here.junctions_reached <= grown + 1


def test_every_call_sees_the_members_anew():
    """The grown part is kept, the members are not."""
    network = maps.network(STREET)
    live = LivePositions(Snapper(network))
    here = field(network, "cd", 1.0)
    assert list(here.members(live)) == []
    live.move("m", *maps.place(STREET, "b"), 0)
    before = next(here.members(live))
    live.move("m", *maps.place(STREET, "c"), 60_000)
    after = next(here.members(live))
    assert before.distance_m == pytest.approx(400, rel=1e-3)
    assert after.distance_m == pytest.approx(200, rel=1e-3)


def test_a_post_and_a_fix_are_told_apart():
    """One member, two places, two entries."""
    network = maps.network(STREET)
    live = LivePositions(Snapper(network))
    live.set_post("m", *maps.place(STREET, "d"))
    live.move("m", *maps.place(STREET, "a"), 0)
    found = list(field(network, "cd", 1.0).members(live))
    assert [(reached.member_id, reached.from_post) for reached in found] == [
        ("m", True),
        ("m", False),
    ]


def test_members_end_at_the_limit():
    """Nobody beyond it is told."""
    network = maps.network(STREET)
    live = LivePositions(Snapper(network))
    live.move("near", *maps.place(STREET, "c"), 0)
    live.move("far", *maps.place(STREET, "a"), 0)
    found = field(network, "cd", 1.0).members(live, limit_s=60)
    assert [reached.member_id for reached in found] == ["near"]


LADDER = """
    a---b---c
    |       |
    d---e---f
"""


def test_a_closed_road_is_not_passed_through():
    """The way round is taken while it is closed."""
    network = maps.network(LADDER)
    start = maps.spot(network, "ab", 0.0)
    assert field(network, "bc", 0.5).route(start) == ("ab", "bc")
    closed = field(network, "bc", 0.5, closed=["ab"])
    assert closed.route(maps.spot(network, "ad", 0.5)) == ("ad", "de", "ef", "cf", "bc")


def test_members_do_not_pass_through_a_closed_road():
    """The member beyond it comes round the other way, one on it straight off."""
    network = maps.network(LADDER)
    live = LivePositions(Snapper(network))
    live.move("beyond", *network.point_at(maps.spot(network, "ad", 0.5)), 0)
    live.move("on it", *network.point_at(maps.spot(network, "ab", 0.1)), 0)
    found = list(field(network, "bc", 0.5, closed=["ab"]).members(live))
    assert [reached.member_id for reached in found] == ["on it", "beyond"]
    assert found[0].distance_m == pytest.approx(180 + 100, rel=1e-3)
    assert found[1].distance_m == pytest.approx(100 + 400 + 200 + 100, rel=1e-3)


def test_who_stands_on_a_closed_road_leaves_along_it():
    """All along it, over several pieces, to either end."""
    network = maps.network(LADDER, {"ab": {"road_id": "r"}, "bc": {"road_id": "r"}})
    here = field(network, "cf", 1.0, closed=["r"])
    middle = Spot(network.roads["r"][0], 0.5)
    assert here.route(middle) == ("r", "cf")
    assert here.eta(middle).distance_m == pytest.approx(100 + 200 + 200, rel=1e-3)
    live = LivePositions(Snapper(network))
    live.move("m", *network.point_at(middle), 0)
    (reached,) = here.members(live)
    assert reached.eta_s == here.eta(reached.spot).eta_s


def test_a_site_on_a_closed_road_is_reached_along_it():
    """Over several of its pieces, as the last stretch."""
    network = maps.network(LADDER, {"ab": {"road_id": "r"}, "bc": {"road_id": "r"}})
    spot = Spot(network.roads["r"][0], 0.5)
    lon, lat = network.point_at(spot)
    here = TravelField(network, Site(lon, lat, spot, "r", 0.0, lon, lat), "ebike", frozenset("r"))
    assert here.route(maps.spot(network, "cf", 0.5)) == ("cf", "r")
    assert here.eta(maps.spot(network, "cf", 0.5)).distance_m == pytest.approx(400, rel=1e-3)
    other = Spot(network.roads["r"][1], 0.5)
    assert here.route(other) == ("r",)
    assert here.eta(other).distance_m == pytest.approx(200, rel=1e-3)


def test_another_closed_road_may_not_follow_the_one_left():
    """Leaving along one's own road does not open the next."""
    network = maps.network("a---b---c---d")
    here = field(network, "cd", 0.5, closed=["ab", "bc"])
    assert here.eta(maps.spot(network, "ab", 0.5)) is None
    assert here.eta(maps.spot(network, "bc", 0.5)) is not None


def test_a_closed_road_that_is_not_on_the_map_changes_nothing():
    """Closures may outlive a map."""
    network = maps.network("a---b")
    assert eta_m(field(network, "ab", 0.5, closed=["gone"]), "ab", 0.0) is not None


FOOTPATH = """
    a---b...c
        |
        d
"""


def test_a_car_goes_to_the_mouth_of_the_footpath():
    """A site inside the lanes is reached by car as far as a car gets."""
    network = maps.network(FOOTPATH)
    by_car = field(network, "bc", 0.9, "car")
    assert by_car.route(maps.spot(network, "ab", 0.0)) == ("ab",)
    assert eta_m(by_car, "ab", 0.0) == pytest.approx(200, rel=1e-3)
    assert eta_m(field(network, "bc", 0.9, "walk"), "ab", 0.0) == pytest.approx(380, rel=1e-3)


def test_a_driver_on_the_footpath_starts_from_its_mouth():
    """For eta and for members alike."""
    network = maps.network(FOOTPATH)
    live = LivePositions(Snapper(network), "car")
    inside = maps.spot(network, "bc", 0.5)
    live.move("m", *network.point_at(inside), 0)
    here = field(network, "bd", 1.0, "car")
    (reached,) = here.members(live)
    assert reached.distance_m == pytest.approx(200, rel=1e-3)
    assert here.eta(live.track("m").spot) == (reached.eta_s, reached.distance_m)


def test_a_site_with_no_usable_road_near_is_reached_by_nobody():
    """No way is an answer, not an error."""
    drawing = "a---b....................c"
    network = maps.network(drawing)
    live = LivePositions(Snapper(network))
    live.move("m", *maps.place(drawing, "a"), 0)
    here = field(network, "bc", 0.9, "car")
    assert list(here.members(live)) == []
    assert here.eta(maps.spot(network, "ab", 0.5)) is None
