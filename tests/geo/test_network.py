"""The network built from pieces."""

import numpy as np
import pytest

from tests.geo import maps
from xiaohe.geo.files import load_network, version_of
from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.roads import RoadPiece, RoadsFileError, write_roads

CROSS = """
    a---b>>>c
        |
        d
"""


def test_pieces_that_share_an_end_vertex_meet():
    """Three streets at one crossing make four nodes and three edges."""
    network = maps.network(CROSS)
    assert (network.node_count, network.edge_count) == (4, 3)


def test_ends_that_differ_by_less_than_the_files_precision_are_one_node():
    """Rounding noise below a centimetre does not part a road."""
    pieces = [
        RoadPiece(road_id="x", points=((120.0, 30.0), (120.001, 30.0))),
        RoadPiece(road_id="y", points=((120.001 + 2e-8, 30.0), (120.002, 30.0))),
    ]
    assert Network.build(pieces, "v").node_count == 3


def test_lengths_are_those_on_the_ground():
    """Four columns of the drawing are 200 m, and so are two rows."""
    network = maps.network(CROSS)
    lengths = dict(zip((p.road_id for p in network.pieces), network.length_m, strict=True))
    assert lengths["ab"] == pytest.approx(200, rel=1e-3)
    assert lengths["bd"] == pytest.approx(200, rel=1e-3)


def test_arrays_cannot_be_written():
    """A network is shared by many; nobody changes it under the others."""
    network = maps.network(CROSS)
    with pytest.raises(ValueError, match="read-only"):
        network.length_m[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        network.graphs["car"].time_s[0] = 1.0


def test_a_road_knows_its_edges_and_area():
    """The pieces of one road_id, and the area that most of its length lies in."""
    network = maps.network(
        CROSS,
        {
            "ab": {"road_id": "长街", "area_id": "west"},
            "bc": {"road_id": "长街", "area_id": "east"},
            "bd": {"road_id": "长街", "area_id": "east"},
        },
    )
    assert [network.road_of(edge) for edge in network.roads["长街"]] == ["长街"] * 3
    assert network.area_of_road("长街") == "east"
    assert network.area_ids == {"west", "east"}
    assert network.area_of_road("nowhere") is None


def test_the_reversed_graph_has_the_arcs_that_enter_a_node():
    """At b arrive both ways' arcs; from the one-way it takes for ever, on foot it does not."""
    network = maps.network(CROSS)
    b = int(network.v[network.roads["ab"][0]])
    times = {arc >> 1: time for _, arc, time in network.graphs["car"].entering[b]}
    oneway = network.roads["bc"][0]
    assert np.isinf(times[oneway])
    assert np.isfinite(times[network.roads["ab"][0]])
    on_foot = {arc >> 1: time for _, arc, time in network.graphs["walk"].entering[b]}
    assert on_foot[oneway] == pytest.approx(200 / 5 * 3.6, rel=1e-3)


def test_the_speed_factor_divides_every_time():
    """A demonstration at ten times the speed travels every edge in a tenth of the time."""
    pieces = maps.pieces(CROSS)
    plain, fast = Network.build(pieces, "v"), Network.build(pieces, "v", speed_factor=10)
    for mode in ("walk", "ebike", "car"):
        expected = plain.graphs[mode].forward_s / 10
        assert fast.graphs[mode].forward_s == pytest.approx(expected)


def test_a_place_on_a_bent_road_is_found_by_length():
    """Half of an L of two equal arms is its corner."""
    corner = RoadPiece(road_id="L", points=((120.0, 30.0), (120.001, 30.0), (120.001, 30.000868)))
    network = Network.build([corner], "v")
    assert network.point_at(Spot(0, 0.5)) == pytest.approx((120.001, 30.0), abs=2e-6)
    assert network.point_at(Spot(0, 0.0)) == corner.points[0]
    assert network.point_at(Spot(0, 1.0)) == corner.points[-1]


def test_part_of_a_road_is_cut_out_in_the_order_of_travel():
    """From three quarters back to one quarter of an L goes round its corner, backwards."""
    corner = RoadPiece(road_id="L", points=((120.0, 30.0), (120.001, 30.0), (120.001, 30.000868)))
    shapes = Network.build([corner], "v").shapes
    forth, back = shapes.between(0, 0.25, 0.75), shapes.between(0, 0.75, 0.25)
    assert len(forth) == 3
    assert forth[1] == (120.001, 30.0)
    assert back == forth[::-1]


def test_pieces_without_length_are_left_out():
    """A piece whose points are all one has no place in a graph."""
    dot = RoadPiece(road_id="dot", points=((120.0, 30.0), (120.0, 30.0)))
    network = Network.build([dot, *maps.pieces("a--b")], "v")
    assert list(network.roads) == ["ab"]
    with pytest.raises(RoadsFileError, match="no road"):
        Network.build([dot], "v")


def test_a_car_stops_at_the_mouth_of_the_footway():
    """A spot that a mode cannot use stands for the nearest point that it can; feet stay there."""
    network = maps.network("a--b....c")
    inside = maps.spot(network, "bc", 0.5)
    assert network.usable(inside, "walk") == inside
    assert network.usable(inside, "car") == maps.spot(network, "ab", 1.0)


def test_a_mode_with_no_road_near_has_no_place():
    """A footpath far from every street is beyond a car's reach."""
    network = maps.network("a--b....................c")
    assert network.usable(maps.spot(network, "bc", 0.9), "car") is None


def test_a_file_is_loaded_with_its_version(tmp_path):
    """The version is the start of the SHA-256 of the file's bytes, so other bytes have another."""
    raw = write_roads(maps.pieces(CROSS))
    path = tmp_path / "roads.geojson"
    path.write_bytes(raw)
    network, snapper = load_network(path, speed_factor=2.0)
    assert network.version == version_of(raw)
    assert len(network.version) == 12
    assert version_of(raw + b" ") != network.version
    assert network.speed_factor == 2.0
    assert snapper.network is network


def test_a_file_that_cannot_be_loaded_says_which(tmp_path):
    """Missing, unreadable or nameless: the error names the file."""
    missing = tmp_path / "none.geojson"
    with pytest.raises(RoadsFileError, match=r"none\.geojson"):
        load_network(missing)
    broken = tmp_path / "broken.geojson"
    broken.write_bytes(b"{")
    with pytest.raises(RoadsFileError, match=r"broken\.geojson"):
        load_network(broken)
    nameless = tmp_path / "nameless.geojson"
    nameless.write_bytes(write_roads([RoadPiece(road_id="", points=((1.0, 2.0), (1.0, 3.0)))]))
    with pytest.raises(RoadsFileError, match="no road_id"):
        load_network(nameless)
