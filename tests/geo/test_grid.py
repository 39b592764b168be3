"""The compiled way to the nearest road, held to its twin."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geo import maps
from tests.geo.extracts import NAMES, loaded
from xiaohe.geo import grid as kernels
from xiaohe.geo.files import load_network
from xiaohe.geo.grid import ANY, Grid
from xiaohe.geo.network import Network, mode_bit
from xiaohe.geo.roads import MODES
from xiaohe.places import ROADS

XIAOHE, _ = load_network(ROADS)
TOLERANCE_M = 1e-9


def agrees(network: Network, mode, x, y, max_m):
    """Hold the grid to the tree: one edge, share and distance.

    Of two edges whose distances differ by rounding alone either may be named.
    """
    index = network.index(mode)
    bit = ANY if mode is None else mode_bit(mode)
    edge, frac, distance_m = network.grid.nearest(x, y, max_m, bit)
    twin = index.tree.nearest(x, y, max_m)
    if twin is None:
        assert edge == -1
        return
    assert distance_m == pytest.approx(twin.distance_m, abs=TOLERANCE_M)
    if edge != twin.edge:
        other = index.nearest_of(x, y, inf, {edge})
        assert other.distance_m == pytest.approx(twin.distance_m, abs=TOLERANCE_M)
        assert other.distance_m != twin.distance_m
    else:
        assert frac == pytest.approx(twin.frac, abs=1e-8)


@given(
    vertex=st.integers(0, len(XIAOHE.shapes.metres) - 1),
    off=st.tuples(st.floats(-500, 500), st.floats(-500, 500)) | st.just((0.0, 0.0)),
    mode=st.sampled_from((None, *MODES)),
    max_m=st.sampled_from((0.5, 50.0, 300.0, inf)),
)
@settings(max_examples=400, deadline=None)
def test_the_grid_answers_as_the_tree(vertex, off, mode, max_m):
    """On Xiaohe's own map, by mode, near and far, at junctions and off the map."""
    x, y = XIAOHE.shapes.metres[vertex] + off
    agrees(XIAOHE, mode, float(x), float(y), max_m)


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_answers_as_the_tree_on_real_roads(name):
    """On OpenStreetMap extracts, thousands of edges with bends, by mode."""
    network, _ = loaded(name)
    chance = np.random.default_rng(3)
    vertices = network.shapes.metres[chance.integers(0, len(network.shapes.metres), 400)]
    spread = np.repeat([0.0, 5.0, 60.0, 900.0], 100)[:, None]
    for mode in (None, *MODES):
        for x, y in (vertices + chance.normal(0.0, 1.0, (400, 2)) * spread).tolist():
            agrees(network, mode, x, y, 300.0)


def test_many_at_once_are_as_one_by_one():
    """A batch gives the same numbers, the place off every road too."""
    points = np.array([[0.0, 0.0], [120.0, -300.0], [9e4, 0.0]])
    edges, fracs, distances = XIAOHE.grid.nearest_many(points, 300.0)
    single = [XIAOHE.grid.nearest(x, y, 300.0) for x, y in points.tolist()]
    assert list(zip(edges.tolist(), fracs.tolist(), distances.tolist(), strict=True)) == single
    assert edges[2] == -1


def test_of_equally_near_edges_the_lowest_number_is_taken():
    """At a crossing all arms are as near; the answer does not depend on the cells."""
    drawing = """
          b
          |
        a-c-d
          |
          e
    """
    network = maps.network(drawing)
    x, y = maps.CENTRE.to_m(*maps.place(drawing, "c"))
    for cell_m in (25.0, 40.0, 1000.0):
        shapes = network.shapes
        bits = np.ones(network.edge_count, np.uint8)
        grid = Grid.of(shapes.metres, shapes.along_m, shapes.start, bits, cell_m)
        assert grid.nearest(x, y, 10.0)[0] == 0


@given(x=st.floats(-2500, 2500), y=st.floats(-2500, 2500), radius_m=st.floats(1, 200))
@settings(max_examples=100, deadline=None)
def test_candidates_are_all_edges_around_each_once_by_its_nearest_place(x, y, radius_m):
    """Held against measuring every edge; the nearest first, and cut to as many as were asked."""
    network = XIAOHE
    found = network.grid.candidates(x, y, radius_m, 64, mode_bit("car"))
    usable = network.graphs["car"].usable
    point = type(network.shapes.lines()[0].centroid)(x, y)
    distances = {
        edge: line.distance(point)
        for edge, line in enumerate(network.shapes.lines())
        if usable[edge]
    }
    within = {edge for edge, far_m in distances.items() if far_m <= radius_m}
    assert {edge for edge, _, _ in found} == within
    for edge, _, far_m in found:
        assert far_m == pytest.approx(distances[edge], abs=TOLERANCE_M)
    assert [far_m for _, _, far_m in found] == sorted(far_m for _, _, far_m in found)
    assert network.grid.candidates(x, y, radius_m, 2, mode_bit("car")) == found[:2]


def test_the_kernel_gives_the_same_interpreted():
    """Where nothing is compiled, the same function runs as plain Python."""
    plain = getattr(kernels.nearest, "py_func", kernels.nearest)
    grid = XIAOHE.grid
    for x, y in ((0.0, 0.0), (431.5, -88.25), (-1700.0, 1500.0)):
        args = (x, y, 300.0, ANY, grid.head, grid.ptr, grid.rows)
        assert plain(*args) == pytest.approx(grid.nearest(x, y, 300.0))


def test_an_index_without_edges_finds_nothing():
    """A map of footways has nothing for cars."""
    network = maps.network("a...b")
    assert network.index("car").nearest(0.0, 0.0, inf) is None
    assert network.index("car").tree.nearest(0.0, 0.0, inf) is None
    assert network.grid.candidates(0.0, 0.0, 500.0, 4, mode_bit("car")) == []
