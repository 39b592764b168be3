"""Graphs in node-link form in."""

import gzip
import warnings

import networkx as nx
import orjson
import pytest

from tests.geo import maps
from xiaohe.geo.check import check_roads
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.modes import directions, speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.noding import node_roads
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import RoadsFileError

TOWN = """
    a---b---c
    |   |
    d---e
"""


def node(name):
    """A junction of the drawing as a node."""
    lon, lat = maps.place(TOWN, name)
    return {"id": name, "x": lon, "y": lat}


def link(way, **attributes):
    """A link between two junctions, such as ``ab``."""
    return {"source": way[0], "target": way[1], **attributes}


def graph(tmp_path, *links, name="graph.json", **members):
    """A file with the drawing's junctions and these links."""
    document = {"directed": True, "multigraph": True, "graph": {"crs": "epsg:4326"}}
    document |= {"nodes": [node(each) for each in "abcde"], "links": list(links), **members}
    raw = orjson.dumps(document)
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def only(report):
    """The only piece of an import."""
    (piece,) = report.pieces
    return piece


def test_links_to_and_fro_are_one_two_way_piece(tmp_path):
    """One that only leads one way is a one-way street."""
    path = graph(tmp_path, link("ab"), link("ba"), link("bc"), name="graph.json.gz")
    report = import_roads(path)
    assert (report.source, report.read) == ("node-link", 3)
    by_ways = {directions(piece, "car"): piece.points for piece in report.pieces}
    assert by_ways[True, False] == (maps.place(TOWN, "b"), maps.place(TOWN, "c"))
    assert set(by_ways[True, True]) == {maps.place(TOWN, "a"), maps.place(TOWN, "b")}


def test_an_undirected_graph_leads_both_ways(tmp_path):
    """Every link of it."""
    assert only(import_roads(graph(tmp_path, link("ab"), directed=False))).oneway == "no"


def test_what_networkx_writes_is_read(tmp_path):
    """Its own writer's form, with the old and the new name of the list of links."""
    made = nx.MultiDiGraph(crs="epsg:4326")
    for name in "ab":
        made.add_node(name, **{key: node(name)[key] for key in "xy"})
    made.add_edge("a", "b", name="长街", length=100.0, travel_time=12.0)
    for edges in ("links", "edges"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            document = nx.node_link_data(made, edges=edges)
        path = tmp_path / f"{edges}.json"
        path.write_bytes(orjson.dumps(document))
        assert only(import_roads(path)).road_id == "长街"


def test_the_stated_travel_time_is_kept(tmp_path):
    """Also where the course is drawn shorter than it is."""
    piece = only(import_roads(graph(tmp_path, link("ab", travel_time=36.0, length=400.0))))
    metres = ground_distance_m(*piece.points[0], *piece.points[-1])
    assert metres / speed_mps(piece, "car") == pytest.approx(36.0, rel=0.01)


@pytest.mark.parametrize(
    ("attributes", "kmh"),
    [
        ({"speed_kph": 42}, 42.0),
        ({"speed_kmph": 42.04}, 42.0),
        ({"maxspeed": "30 mph"}, 48.3),
        ({"maxspeed": ["50", "30"]}, 30.0),
        ({"speed_kph": 900}, None),
        ({"travel_time": 0, "speed_kph": 20}, 20.0),
        ({}, None),
    ],
)
def test_speeds(tmp_path, attributes, kmh):
    """Stated for the link, else by its tag; of a list the lowest."""
    assert only(import_roads(graph(tmp_path, link("ab", **attributes)))).maxspeed_kmh == kmh


def test_lists_of_values_are_read(tmp_path):
    """As links made of several ways have them."""
    listed = {"highway": ["odd", "primary"], "name": ["First", "Second"], "bridge": ["yes", "no"]}
    piece = only(import_roads(graph(tmp_path, link("ab", osmid=[9, 4], **listed))))
    assert (piece.road_id, piece.highway, piece.bridge) == ("First", "primary", True)
    unnamed = only(import_roads(graph(tmp_path, link("ab", osmid=[9, 4]))))
    assert unnamed.road_id == "way/4"
    assert only(import_roads(graph(tmp_path, link("ab")))).road_id == "link/a-b"


@pytest.mark.parametrize("form", ["geojson", "text", "bare", "turned"])
def test_courses_are_read_in_each_form(tmp_path, form):
    """From node to node, whichever way it is written."""
    points = [*map(list, (maps.place(TOWN, "a"), maps.place(TOWN, "e"), maps.place(TOWN, "b")))]
    geometry = {
        "geojson": {"type": "LineString", "coordinates": points},
        "text": "LINESTRING (" + ", ".join(f"{lon} {lat}" for lon, lat in points) + ")",
        "bare": points,
        "turned": points[::-1],
    }[form]
    piece = only(import_roads(graph(tmp_path, link("ab", geometry=geometry))))
    assert piece.points == tuple(map(tuple, points))


def test_links_that_cross_without_a_node_stay_apart(tmp_path):
    """The graph says where roads meet; the check and a second noding find nothing to join."""
    report = import_roads(graph(tmp_path, link("ae"), link("bd"), link("ab"), link("de")))
    assert len(report.pieces) == 4
    assert not report.noded
    assert not [problem for problem in check_roads(report.pieces) if problem.severity == "error"]
    assert set(node_roads(report.pieces)) == set(report.pieces)
    assert Network.build(report.pieces, "v").node_count == 4
    assert sum(report.doubts.values()) == 1


def test_what_is_left_out_is_counted(tmp_path):
    """Loops without a course, private ways, and the slower of two on one course."""
    links = [
        link("aa"),
        link("ab", access="private"),
        link("bc", speed_kph=20, osmid=1),
        link("bc", speed_kph=30, osmid=2),
    ]
    report = import_roads(graph(tmp_path, *links))
    assert only(report).maxspeed_kmh == 30.0
    assert sum(report.dropped.values()) == 3


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({"links": []}, "no links"),
        ({"links": [link("az")]}, "'z'"),
        ({"links": [5]}, "link 0"),
        ({"nodes": [node("a"), node("a")]}, "twice"),
        ({"nodes": [{"id": "a", "x": 600000.0, "y": 4500000.0}]}, "no degrees"),
        ({"nodes": [{"id": "a"}]}, "node 0"),
        ({"nodes": {}}, "nodes must be a list"),
        ({"graph": {"crs": "epsg:32618"}}, "EPSG:4326"),
        ({"links": [link("ab", geometry="LINESTRING (")]}, "well-known text"),
        ({"links": [link("ab", geometry=[[1, "2"]])]}, "lon, lat"),
    ],
)
def test_a_broken_graph_is_refused(tmp_path, members, names):
    """With the file's name, the node or link, and what to do."""
    path = graph(tmp_path, link("ab"), **members)
    with pytest.raises(RoadsFileError, match=names) as refused:
        import_roads(path)
    assert "graph.json: " in str(refused.value)


def test_the_check_wants_a_graph_imported_first(tmp_path):
    """It is no roads file yet."""
    with pytest.raises(RoadsFileError, match="xiaohe roads import"):
        check_roads_file(graph(tmp_path, link("ab")))
