"""Invented cities and their people: the same for the same seed, and of the kind that is said."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from xiaohe.bench.cities import invented_city
from xiaohe.bench.crowd import crowd_on, places_on
from xiaohe.bench.straight import searches
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES
from xiaohe.geo.snap import Snapper

EDGES = 10_000


@pytest.fixture(scope="module")
def network():
    """A middling city."""
    return Network.build(invented_city(EDGES, seed=1), "invented")


def test_a_city_is_the_same_for_the_same_seed():
    """Two machines measure on the same streets; another seed draws others."""
    assert invented_city(1_000, seed=7) == invented_city(1_000, seed=7)
    assert invented_city(1_000, seed=7) != invented_city(1_000, seed=8)


@pytest.mark.parametrize("edges", [1_000, EDGES])
def test_a_city_has_about_the_size_asked_for(edges):
    """Within a twentieth."""
    assert len(invented_city(edges, seed=1)) == pytest.approx(edges, rel=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_everywhere_can_be_reached_from_everywhere(network, mode):
    """By every mode, one-ways and missing lanes notwithstanding."""
    graph = network.graphs[mode]
    head = np.repeat(np.arange(network.node_count), np.diff(graph.ptr))
    open_arcs = np.isfinite(graph.time_s)
    arcs = (head[open_arcs], graph.tail[open_arcs])
    shape = (network.node_count, network.node_count)
    matrix = csr_matrix((np.ones(len(arcs[0])), arcs), shape)
    assert connected_components(matrix, directed=True, connection="strong")[0] == 1


def test_a_city_has_one_ways_and_streets_of_three_kinds():
    """About one lane in eleven is a one-way, as drawn or against it."""
    pieces = invented_city(EDGES, seed=1)
    oneway = sum(piece.oneway != "no" for piece in pieces) / len(pieces)
    assert oneway == pytest.approx(1 / 11, abs=0.02)
    assert {piece.oneway for piece in pieces} == {"no", "yes", "-1"}
    assert {piece.highway for piece in pieces} == {"residential", "tertiary", "primary"}


def test_members_stand_beside_streets_and_about_half_may_be_sent(network):
    """Nobody is farther from a street than a tracker's error explains."""
    crowd = crowd_on(network, 500, seed=2)
    snapper = Snapper(network)
    for lon, lat in zip(crowd.lon.tolist(), crowd.lat.tolist(), strict=True):
        assert snapper.nearest(lon, lat, 30.0) is not None
    assert 0.4 < crowd.eligible.mean() < 0.7
    assert not (crowd.off_duty & crowd.busy).any()


@pytest.mark.parametrize("members", [1, 3, 50, 2_000])
def test_the_three_straight_lines_find_the_same_members(network, members):
    """The nearest first; fewer than asked for where there are no more."""
    crowd = crowd_on(network, members, seed=2)
    ways = searches(crowd, network.projection, 5)
    lon, lat = places_on(network, 100, np.random.default_rng(3), 2_000.0)
    metres = network.projection.many_to_m(np.column_stack((crowd.lon, crowd.lat)))
    for at in zip(lon.tolist(), lat.tolist(), strict=True):
        away_m = np.hypot(*(metres - network.projection.to_m(*at)).T)
        expected = np.argsort(away_m)[:5].tolist()
        for name, way in ways.items():
            assert np.atleast_1d(way(at)).tolist() == expected, name
