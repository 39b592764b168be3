"""Ways along the roads, on drawn streets."""

from random import Random

import pytest

from tests.geo import maps
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.snap import Snapper
from xiaohe.sim.streets import STRIDE_MPS, Streets, moved, standing

EBIKE_MPS = 20 / 3.6

BLOCK = """
    a---b---c
    |       |
    d-------e
"""


@pytest.fixture
def streets() -> Streets:
    """The drawn block."""
    network = maps.network(BLOCK)
    return Streets(network, Snapper(network))


def test_a_way_takes_its_length_over_the_speed_of_the_mode(streets):
    """From a to c it is 400 m along the road, at 20 km/h by e-bike."""
    way = streets.way(maps.place(BLOCK, "a"), maps.place(BLOCK, "c"), "ebike")
    assert way.length_m == pytest.approx(400, rel=0.01)
    assert way.seconds == pytest.approx(400 / EBIKE_MPS, rel=0.01)
    slow = streets.way(maps.place(BLOCK, "a"), maps.place(BLOCK, "c"), "ebike", pace=0.5)
    assert slow.seconds == pytest.approx(2 * way.seconds, rel=0.01)


def test_half_way_in_time_is_half_way_on_the_road(streets):
    """Who goes at an even speed is at b after half of the time, and at the end ever after."""
    way = streets.way(maps.place(BLOCK, "a"), maps.place(BLOCK, "c"), "ebike")
    at_b = maps.place(BLOCK, "b")
    assert ground_distance_m(*way.at(way.seconds / 2), *at_b) < 2
    assert way.at(way.seconds + 100) == way.points[-1]
    assert way.at(0) == way.points[0]


def test_the_way_follows_the_road_round_the_block(streets):
    """From d to c one passes e or a; nobody crosses the block in a straight line."""
    way = streets.way(maps.place(BLOCK, "d"), maps.place(BLOCK, "c"), "walk")
    assert way.length_m == pytest.approx(600, rel=0.01)


def test_the_last_metres_off_the_road_are_walked(streets):
    """A door 30 m off the road is walked to, at walking pace."""
    door = moved(maps.place(BLOCK, "b"), 0.0, 30.0)
    way = streets.way(maps.place(BLOCK, "a"), door, "ebike")
    assert way.points[-1] == door
    assert way.seconds == pytest.approx(200 / EBIKE_MPS + 30 / STRIDE_MPS, rel=0.02)


def test_a_place_far_off_the_road_is_handled_from_the_access_point(streets):
    """Nobody walks 200 m out on to the water."""
    boat = moved(maps.place(BLOCK, "b"), 0.0, 200.0)
    way = streets.way(maps.place(BLOCK, "a"), boat, "ebike")
    assert ground_distance_m(*way.points[-1], *maps.place(BLOCK, "b")) < 2


def test_whoever_stands_has_no_way(streets):
    """Standing takes no time and has no direction."""
    here = maps.place(BLOCK, "a")
    way = standing(here)
    assert (way.seconds, way.at(10), way.course_deg(0)) == (0.0, here, None)


def test_a_course_is_told_from_north(streets):
    """Eastwards is 90 degrees."""
    way = streets.way(maps.place(BLOCK, "a"), maps.place(BLOCK, "c"), "ebike")
    assert way.course_deg(1.0) == pytest.approx(90, abs=1)


def test_a_place_drawn_by_lot_lies_on_one_of_the_roads_asked_for(streets):
    """Somewhere on ``ab`` is somewhere on ``ab``."""
    for n in range(20):
        site = streets.site(streets.somewhere(Random(n), ("ab",)))
        assert site.road_id == "ab"
        assert site.off_road_m < 0.1


def test_another_city_is_not_on_the_map(streets):
    """What lies outside the roads' bounds is not here."""
    assert streets.is_here(maps.place(BLOCK, "b"))
    assert not streets.is_here((0.0, 0.0))
