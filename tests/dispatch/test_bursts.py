"""The bench of bursts: what it measures is what it says."""

import random

import numpy as np
import pytest

from xiaohe.bench.bursts import AREA, METHODS, City, bench_bursts, played, scattered
from xiaohe.dispatch.policy import load_policy
from xiaohe.geo.files import load_network
from xiaohe.places import POLICY, ROADS


@pytest.fixture(scope="module")
def home() -> City:
    """The shipped map, by e-bike."""
    network, _ = load_network(ROADS)
    return City("home", network, "ebike", load_policy(POLICY.read_bytes()))


def test_nothing_beats_the_optimum_and_the_engine_is_close_to_it(home: City) -> None:
    """In every burst; in all of them the engine has at least what greedy choices have."""
    totals = dict.fromkeys(METHODS, 0)
    for burst in scattered(home, 15, 12, clustered=True, seed=7):
        in_time = played(home, burst)
        assert all(in_time[method] <= in_time["optimum"] for method in METHODS)
        for method in METHODS:
            totals[method] += in_time[method]
    assert totals["joint"] > totals["road_one_by_one"]
    assert totals["joint"] >= 0.98 * totals["optimum"]


def test_places_are_spread_by_length(home: City) -> None:
    """Each metre of road is as likely as any other."""
    chance = random.Random(1)
    sites = [home.roads.snapper.nearest(*home.anywhere(chance)) for _ in range(2000)]
    lengths = [home.network.lengths_m[site.edge] for site in sites if site is not None]
    usable = home.network.length_m[home.network.graphs["ebike"].usable]
    # A piece is met as often as it is long: the mean length met is the mean of squares by the mean.
    assert np.mean(lengths) == pytest.approx((usable**2).sum() / usable.sum(), rel=0.1)


def test_the_same_seed_gives_the_same_figures() -> None:
    """And the arrival window is that of the policy it was measured with."""
    one, two = bench_bursts(2, seed=3), bench_bursts(2, seed=3)
    assert one == two
    assert (
        one["arrive_s"] == load_policy(POLICY.read_bytes()).rules(2, "peacetime", "", AREA).arrive_s
    )
