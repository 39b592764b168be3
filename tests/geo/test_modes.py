"""Who may travel where, in which direction, how fast."""

import pytest

from xiaohe.geo.modes import EBIKE_KMH, ROAD_CLASSES, directions, may_use, speed_mps
from xiaohe.geo.roads import MODES, RoadPiece


def piece(**properties):
    """A piece with some properties."""
    return RoadPiece(road_id="x", points=((120.0, 30.0), (120.1, 30.0)), **properties)


@pytest.mark.parametrize(
    ("highway", "modes"),
    [
        ("residential", {"walk", "ebike", "car"}),
        ("footway", {"walk", "ebike"}),
        ("pedestrian", {"walk", "ebike"}),
        ("path", {"walk", "ebike"}),
        ("steps", {"walk"}),
        ("motorway", {"car"}),
        ("trunk_link", {"car"}),
        ("a value of its own", {"walk", "ebike", "car"}),
    ],
)
def test_a_class_opens_a_road_to_some_modes(highway, modes):
    """Steps are for feet, footways for e-bikes too, expressways for cars alone."""
    assert {mode for mode in MODES if may_use(piece(highway=highway), mode)} == modes


@pytest.mark.parametrize("access", ["no", "private"])
def test_access_shuts_a_road_to_all(access):
    """Nobody may count on passing a private road."""
    assert not any(may_use(piece(access=access), mode) for mode in MODES)


def test_stated_modes_win_over_class_and_access():
    """A piece that lists its modes is open to them and to nobody else."""
    shut = piece(highway="trunk", access="no", modes=("walk",))
    assert [mode for mode in MODES if may_use(shut, mode)] == ["walk"]


def test_one_ways_hold_for_wheels_and_not_for_feet():
    """On foot a one-way street is a street."""
    assert directions(piece(oneway="yes"), "car") == (True, False)
    assert directions(piece(oneway="-1"), "ebike") == (False, True)
    assert directions(piece(oneway="yes"), "walk") == (True, True)


def test_a_contraflow_lane_is_for_the_e_bike_alone():
    """A street that is one-way except for cycles is open to e-bikes both ways."""
    lane = piece(oneway="yes", oneway_bicycle="no")
    assert directions(lane, "ebike") == (True, True)
    assert directions(lane, "car") == (True, False)


@pytest.mark.parametrize(
    ("properties", "mode", "kmh"),
    [
        ({"highway": "primary"}, "walk", 5),
        ({"highway": "primary"}, "ebike", 20),
        ({"highway": "primary"}, "car", 60),
        ({"highway": "primary", "maxspeed_kmh": 70.0}, "car", 70),
        ({"highway": "primary", "maxspeed_kmh": 15.0}, "ebike", 15),
        ({"highway": "primary", "maxspeed_kmh": 70.0}, "ebike", 20),
        ({"highway": "primary", "maxspeed_kmh": 3.0}, "walk", 3),
        ({"highway": "footway", "modes": ("car",)}, "car", 20),
    ],
)
def test_speed_is_the_lower_of_road_and_mode(properties, mode, kmh):
    """The contract's rule, in m/s."""
    assert speed_mps(piece(**properties), mode) == pytest.approx(kmh / 3.6)


def test_no_class_is_slower_than_an_e_bike():
    """Else an e-bike's speed would hang on a value that no sign states."""
    assert all(rule.car_kmh is None or rule.car_kmh >= EBIKE_KMH for rule in ROAD_CLASSES.values())
