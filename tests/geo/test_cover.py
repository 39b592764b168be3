"""How much of the roads can be reached in time."""

import pytest

from tests.geo import maps
from xiaohe.geo.cover import cover
from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode
from xiaohe.geo.search import TravelField
from xiaohe.geo.snap import Site

LINE = "a-----b-----c"
"""Two roads of 300 m; by e-bike 54 s each."""

TOWN = """
    a-----b-----c
    |     |     |
    d-----e-----f
"""


def spot_of(network: Network, road_id: str, frac: float) -> Spot:
    """A share of the way along a road of one piece."""
    (edge,) = network.roads[road_id]
    return Spot(edge, frac)


def test_both_directions_and_the_own_piece_count_once() -> None:
    """From the middle of the first road 27 s reach all of it, 54 s half of the second as well."""
    network = maps.network(LINE)
    middle = [(spot_of(network, "ab", 0.5), "ebike")]
    assert cover(network, middle, 27.0) == pytest.approx(0.5, abs=0.002)
    assert cover(network, middle, 13.5) == pytest.approx(0.25, abs=0.002)
    assert cover(network, middle, 54.0) == pytest.approx(0.75, abs=0.002)


def test_nobody_covers_nothing_and_two_at_one_place_no_more_than_one() -> None:
    """Cover is of the roads, not of the members."""
    network = maps.network(LINE)
    one = (spot_of(network, "ab", 0.2), "ebike")
    assert cover(network, [], 180.0) == 0.0
    assert cover(network, [one, one], 40.0) == cover(network, [one], 40.0)


def test_a_one_way_is_covered_only_in_its_direction() -> None:
    """From its end nothing of it is reached, from its beginning all of it."""
    network = maps.network("a---->b-----c")
    at_b = [(spot_of(network, "bc", 0.0), "ebike")]
    at_a = [(spot_of(network, "ab", 0.0), "ebike")]
    assert cover(network, at_b, 54.5) == pytest.approx(0.5, abs=0.002)
    assert cover(network, at_a, 54.5) == pytest.approx(0.5, abs=0.01)
    # On foot a one-way does not count: 216 s for each road.
    on_foot = [(spot_of(network, "bc", 0.0), "walk")]
    assert cover(network, on_foot, 216.5) == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("within_s", [20.0, 60.0, 100.0])
def test_it_is_what_the_search_to_every_place_says(within_s: float) -> None:
    """Sampled every few metres: the share of places whose own search meets somebody in time."""
    network = maps.network(TOWN)
    crew: list[tuple[Spot, Mode]] = [
        (spot_of(network, "ab", 0.3), "ebike"),
        (spot_of(network, "ef", 0.9), "walk"),
        (spot_of(network, "ef", 0.1), "ebike"),
    ]
    samples, reached, total = 100, 0.0, 0.0
    for edge in range(network.edge_count):
        each_m = network.lengths_m[edge] / samples
        for n in range(samples):
            site = _site(network, Spot(edge, (n + 0.5) / samples))
            ways = (TravelField(network, site, mode).eta(start, within_s) for start, mode in crew)
            reached += each_m if any(way is not None for way in ways) else 0.0
            total += each_m
    assert cover(network, crew, within_s) == pytest.approx(reached / total, abs=0.01)


def _site(network: Network, spot: Spot) -> Site:
    lon, lat = network.point_at(spot)
    road_id = network.road_of(spot.edge)
    return Site(
        lon=lon,
        lat=lat,
        spot=spot,
        road_id=road_id,
        access_lon=lon,
        access_lat=lat,
        off_road_m=0.0,
    )
