"""How much of the roads is covered: by hand, with one-ways, and against a plain search."""

from math import inf
from random import Random

import pytest

from tests.geo import maps
from xiaohe.geo.cover import cover
from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode

EBIKE_MPS = 20 / 3.6


def edge(network: Network, road_id: str) -> int:
    """The one edge of a road."""
    (found,) = network.roads[road_id]
    return found


def spot(network: Network, road_id: str, frac: float = 0.5) -> Spot:
    """A share of a road."""
    return Spot(edge(network, road_id), frac)


LINE = """
    a-------b-------c
"""
"""Two roads of 400 m."""


@pytest.mark.parametrize(
    ("seconds", "metres"), [(0, 0), (9, 100), (36, 400), (54, 500), (1000, 800)]
)
def test_from_the_middle_of_a_road_both_ways(seconds: float, metres: float) -> None:
    """What is reached on one's own road, and from there on, counted in shares of edges."""
    network = maps.network(LINE)
    share = cover(network, [(spot(network, "ab"), "ebike")], seconds)
    assert share == pytest.approx(metres / 800, abs=2e-3)


def test_one_ways_are_heeded_in_the_direction_of_travel() -> None:
    """Who stands before a one-way road covers it, who stands behind it does not."""
    network = maps.network("a------>b-------c")
    before = cover(network, [(spot(network, "ab", 0.0), "ebike")], 36)
    behind = cover(network, [(spot(network, "bc", 0.0), "ebike")], 36)
    on_foot = cover(network, [(spot(network, "bc", 0.0), "walk")], 36)
    assert before == pytest.approx(200 / 800, abs=2e-3)
    assert behind == pytest.approx(200 / 800, abs=2e-3)
    assert on_foot == pytest.approx(2 * 50 / 800, abs=2e-3)
    inside = cover(network, [(spot(network, "ab"), "ebike")], 18)
    assert inside == pytest.approx(100 / 800, abs=2e-3)


def test_two_who_reach_the_same_stretch_cover_it_once() -> None:
    """Members and modes are laid over each other, not added."""
    network = maps.network(LINE)
    both = [(spot(network, "ab", 0.0), "ebike"), (spot(network, "ab", 1.0), "ebike")]
    assert cover(network, both, 54) == pytest.approx((400 + 300) / 800, abs=2e-3)
    walker = (spot(network, "ab", 0.5), "walk")
    assert cover(network, [*both, walker], 54) == pytest.approx((400 + 300) / 800, abs=2e-3)


def test_nobody_covers_nothing_and_a_way_that_is_shut_to_all_does_not_count() -> None:
    """The share is of what any mode may use."""
    network = maps.network(LINE, {"bc": {"access": "no"}})
    assert cover(network, [], 100) == 0.0
    assert cover(network, [(spot(network, "ab"), "ebike")], 1000) == pytest.approx(1.0)


def test_a_member_off_their_mode_begins_at_the_nearest_place_of_it() -> None:
    """A car stops at the mouth of the footway."""
    network = maps.network("a-------b.......c")
    share = cover(network, [(spot(network, "bc", 0.25), "car")], 1000)
    assert share == pytest.approx(0.5, abs=2e-3)


GRID = """
    a---b-->c---d
    |   ^   |   |
    e---f---g<--h
    |   |   :   |
    i---j---k---l
"""


def _by_small_steps(
    network: Network, members: list[tuple[Spot, Mode]], within_s: float, parts: int = 200
) -> float:
    """The same by asking of many points of every edge whether somebody reaches them."""
    times = {}
    for n, (at, mode) in enumerate(members):
        graph = network.graphs[mode]
        best = [inf] * network.node_count
        u, v = int(network.u[at.edge]), int(network.v[at.edge])
        best[v] = (1 - at.frac) * graph.forward_s[at.edge] if at.frac < 1 else 0.0
        best[u] = min(best[u], at.frac * graph.backward_s[at.edge] if at.frac > 0 else 0.0)
        for _ in range(network.node_count):
            for e in range(network.edge_count):
                a, b = int(network.u[e]), int(network.v[e])
                best[b] = min(best[b], best[a] + graph.forward_s[e])
                best[a] = min(best[a], best[b] + graph.backward_s[e])
        times[n] = best
    covered_m = 0.0
    for e in range(network.edge_count):
        for part in range(parts):
            frac = (part + 0.5) / parts
            for n, (at, mode) in enumerate(members):
                graph, best = network.graphs[mode], times[n]
                along, against = graph.forward_s[e], graph.backward_s[e]
                soonest = min(best[int(network.u[e])] + frac * along,
                              best[int(network.v[e])] + (1 - frac) * against)  # fmt: skip
                if at.edge == e:
                    own = (frac - at.frac) * along if frac >= at.frac else (
                        (at.frac - frac) * against)  # fmt: skip
                    soonest = min(soonest, own)
                if soonest <= within_s:
                    covered_m += network.lengths_m[e] / parts
                    break
    return covered_m / sum(network.lengths_m)


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_asking_point_by_point(seed: int) -> None:
    """On a grid with one-ways and footways, with members of several modes anywhere."""
    network, chance = maps.network(GRID), Random(seed)
    modes: tuple[Mode, ...] = ("walk", "ebike", "car")
    members = []
    for _ in range(chance.randint(1, 4)):
        mode = chance.choice(modes)
        usable = [e for e in range(network.edge_count) if network.graphs[mode].usable[e]]
        members.append(
            (Spot(chance.choice(usable), chance.choice([0.0, 1.0, chance.random()])), mode)
        )
    within_s = chance.uniform(5, 90)
    wanted = _by_small_steps(network, members, within_s)
    assert cover(network, members, within_s) == pytest.approx(wanted, abs=0.004)
