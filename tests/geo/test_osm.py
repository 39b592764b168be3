"""OpenStreetMap in."""

from collections import Counter

import pytest

from tests.geo import extracts
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.modes import directions, may_use
from xiaohe.geo.network import Network
from xiaohe.geo.osm import read_osm
from xiaohe.geo.osm_tags import road_of
from xiaohe.geo.roads import MODES, RoadsFileError, read_roads, write_roads

HEAD = '<?xml version="1.0"?><osm version="0.6">'


def osm_file(tmp_path, nodes, ways):
    """An OSM XML file of nodes {id: (lon, lat)} and ways [(id, node ids, tags)]."""
    lines = [HEAD]
    lines += [
        f'<node id="{n}" lon="{lon}" lat="{lat}" version="1"/>' for n, (lon, lat) in nodes.items()
    ]
    for way_id, refs, tags in ways:
        lines.append(f'<way id="{way_id}" version="1">')
        lines += [f'<nd ref="{ref}"/>' for ref in refs]
        lines += [f'<tag k="{key}" v="{value}"/>' for key, value in tags.items()]
        lines.append("</way>")
    path = tmp_path / "town.osm"
    path.write_text("\n".join([*lines, "</osm>"]), encoding="utf-8")
    return path


CROSS = {1: (0.0, 10.0), 2: (0.001, 10.0), 3: (0.002, 10.0), 4: (0.001, 10.001), 5: (0.001, 9.999)}
STREET = {"highway": "residential", "name": "长街"}


def test_ways_are_split_where_they_share_a_node(tmp_path):
    """Two ways through one node are four pieces; the name is the road_id, or the way's number."""
    path = osm_file(
        tmp_path, CROSS, [(7, [1, 2, 3], STREET), (8, [4, 2, 5], {"highway": "service"})]
    )
    found = read_osm(path)
    assert Counter(piece.road_id for piece in found.pieces) == {"长街": 2, "way/8": 2}
    assert found.ways == 2
    assert found.tally.dropped == {}
    assert Network.build(found.pieces, "v").node_count == 5


def test_a_bridge_over_a_street_shares_no_node_and_is_not_split(tmp_path):
    """Nor noded on import."""
    nodes = {1: (0.0, 10.0), 3: (0.002, 10.0), 4: (0.001, 10.001), 5: (0.001, 9.999)}
    over = {"highway": "primary", "bridge": "yes", "layer": "1"}
    report = import_roads(osm_file(tmp_path, nodes, [(7, [1, 3], STREET), (8, [4, 5], over)]))
    assert len(report.pieces) == 2
    assert not report.noded
    assert {(p.bridge, p.layer) for p in report.pieces} == {(False, 0), (True, 1)}


def test_a_crossing_without_a_node_is_noded_on_import(tmp_path):
    """The mapper forgot the junction: without a bridge or layer the streets meet."""
    nodes = {1: (0.0, 10.0), 3: (0.002, 10.0), 4: (0.001, 10.001), 5: (0.001, 9.999)}
    ways = [(7, [1, 3], STREET), (8, [4, 5], {"highway": "service"})]
    report = import_roads(osm_file(tmp_path, nodes, ways))
    assert report.noded
    assert len(report.pieces) == 4


def test_what_is_no_road_is_counted_by_reason(tmp_path):
    """Nothing is left out in silence."""
    ways = [
        (1, [1, 2], STREET),
        (2, [2, 3], {"highway": "construction"}),
        (3, [2, 4], {"highway": "pedestrian", "area": "yes"}),
        (4, [2, 5], {"highway": "service", "access": "private"}),
        (5, [2, 5], {"highway": "primary", "oneway": "reversible"}),
        (6, [99, 98], {"highway": "primary"}),
    ]
    found = read_osm(osm_file(tmp_path, CROSS, ways))
    assert found.ways == 6
    assert sum(found.tally.dropped.values()) == 5
    assert set(found.tally.dropped) == {
        "highway=construction",
        "area=yes",
        "open to nobody (access, foot, bicycle, motor_vehicle)",
        "oneway=reversible",
        "no length inside the extract",
    }


def test_a_way_is_cut_where_the_extract_lacks_its_nodes(tmp_path):
    """Two pieces with a gap, not one straight across it."""
    nodes = {1: (0.0, 10.0), 2: (0.001, 10.0), 4: (0.003, 10.0), 5: (0.004, 10.0)}
    found = read_osm(osm_file(tmp_path, nodes, [(1, [1, 2, 3, 4, 5], STREET)]))
    assert sorted(piece.points for piece in found.pieces) == [
        ((0.0, 10.0), (0.001, 10.0)),
        ((0.003, 10.0), (0.004, 10.0)),
    ]


def test_a_street_drawn_twice_is_kept_once(tmp_path):
    """A signed trail on top of its street: the street stays, for more may use it."""
    trail = {"highway": "steps", "name": "Trail"}
    report = import_roads(osm_file(tmp_path, CROSS, [(1, [1, 2], trail), (2, [2, 1], STREET)]))
    assert [piece.road_id for piece in report.pieces] == ["长街"]
    assert report.dropped == {"drawn twice (pieces)": 1}


def read(**tags):
    """Read the tags of one way; returns the piece."""
    return road_of({"highway": "residential", **tags}, 1, Counter())


@pytest.mark.parametrize(
    ("tags", "oneway", "for_ebike"),
    [
        ({}, "no", None),
        ({"oneway": "yes"}, "yes", None),
        ({"oneway": "1"}, "yes", None),
        ({"oneway": "-1"}, "-1", None),
        ({"oneway": "no", "junction": "roundabout"}, "no", None),
        ({"junction": "roundabout"}, "yes", None),
        ({"junction": "circular"}, "yes", None),
        ({"highway": "motorway"}, "yes", None),
        ({"oneway": "yes", "oneway:bicycle": "no"}, "yes", "no"),
        ({"oneway": "yes", "oneway:bicycle": "yes"}, "yes", None),
        ({"oneway": "yes", "cycleway": "opposite_lane"}, "yes", "no"),
        ({"oneway": "odd"}, "no", None),
        ({"oneway": "alternating"}, "no", None),
        ({"oneway": "yes", "cycleway:left": "opposite_track"}, "yes", "no"),
        ({"oneway": "yes", "cycleway:left:oneway": "-1"}, "yes", "no"),
        ({"oneway": "yes", "cycleway:right:oneway": "yes"}, "yes", None),
        ({"oneway": "no", "oneway:bicycle": "yes"}, "no", "yes"),
        ({"junction": "roundabout", "oneway:bicycle": "no"}, "yes", "no"),
        ({"oneway": "yes", "oneway:motor_vehicle": "no"}, "no", "yes"),
        ({"oneway:motorcar": "yes"}, "yes", "no"),
        ({"oneway:vehicle": "-1"}, "-1", None),
        ({"vehicle:backward": "no"}, "yes", None),
        ({"motor_vehicle:forward": "no"}, "-1", "no"),
        ({"oneway": "yes", "bicycle:backward": "yes"}, "yes", "no"),
        ({"highway": "footway", "oneway": "yes"}, "yes", None),
    ],
)
def test_one_ways(tags, oneway, for_ebike):
    """Stated, implied by a roundabout or motorway, and other for bicycles."""
    piece = read(**tags)
    assert (piece.oneway, piece.oneway_bicycle) == (oneway, for_ebike)


@pytest.mark.parametrize(
    ("stated", "kmh"),
    [
        ("50", 50.0),
        ("30 mph", 48.3),
        ("25mph", 40.2),
        ("40 km/h", 40.0),
        ("walk", 7.0),
        ("none", None),
        ("50;30", 30.0),
        ("CN:urban", 50.0),
        ("DE:urban", 50.0),
        ("DE:rural", 100.0),
        ("DE:motorway", None),
        ("GB:nsl_single", 96.6),
        ("FR:zone30", 30.0),
        ("DE:zone:20", 20.0),
        ("XX:urban", None),
        ("signals", None),
        ("0", None),
        ("-5", None),
        ("500", None),
        ("50;fast", None),
        ("٣٠", None),
    ],
)
def test_speed_limits(stated, kmh):
    """In km/h whatever the unit, by the law where it is named; else left out."""
    assert read(maxspeed=stated).maxspeed_kmh == kmh


@pytest.mark.parametrize(
    ("tags", "kmh"),
    [
        ({"maxspeed:forward": "50", "maxspeed:backward": "30"}, 30.0),
        ({"maxspeed": "50", "maxspeed:backward": "30"}, 30.0),
        ({"maxspeed": "30", "maxspeed:forward": "50", "oneway": "yes"}, 50.0),
        ({"maxspeed:forward": "50", "maxspeed:backward": "30", "oneway": "yes"}, 50.0),
        ({"maxspeed:forward": "50", "maxspeed:backward": "30", "oneway": "-1"}, 30.0),
        ({"maxspeed:forward": "none", "maxspeed:backward": "100"}, 100.0),
        ({"source:maxspeed": "DE:rural"}, 100.0),
        ({"zone:maxspeed": "DE:30"}, 30.0),
        ({"maxspeed": "40", "source:maxspeed": "DE:urban"}, 40.0),
        ({"source:maxspeed": "sign"}, None),
    ],
)
def test_speed_limits_of_two_directions_and_of_the_law(tags, kmh):
    """Of the directions that may be travelled the lower; the law's where no sign is tagged."""
    doubts = Counter()
    assert road_of({"highway": "residential", **tags}, 1, doubts).maxspeed_kmh == kmh
    assert not doubts


def test_what_is_not_understood_is_counted():
    """Odd values are passed over, and the report says how many."""
    doubts = Counter()
    tags = {"highway": "service", "maxspeed": "fast", "layer": "up", "oneway": "often"}
    road_of(tags, 1, doubts)
    assert doubts == {"maxspeed not understood": 1, "layer not understood": 1, "oneway=often": 1}


@pytest.mark.parametrize(
    ("tags", "modes"),
    [
        ({}, "walk ebike car"),
        ({"foot": "no"}, "ebike car"),
        ({"bicycle": "no"}, "walk car"),
        ({"motor_vehicle": "no"}, "walk ebike"),
        ({"vehicle": "no"}, "walk"),
        ({"vehicle": "no", "bicycle": "yes"}, "walk ebike"),
        ({"access": "no", "foot": "yes"}, "walk"),
        ({"access": "private", "foot": "yes", "bicycle": "designated"}, "walk ebike"),
        ({"access": "destination"}, "walk ebike car"),
        ({"highway": "footway"}, "walk ebike"),
        ({"highway": "footway", "access": "yes"}, "walk ebike"),
        ({"highway": "footway", "bicycle": "dismount"}, "walk"),
        ({"highway": "pedestrian", "motor_vehicle": "yes"}, "walk ebike car"),
        ({"highway": "trunk"}, "car"),
        ({"highway": "trunk", "foot": "yes"}, "walk car"),
        ({"highway": "primary", "motorroad": "yes"}, "car"),
        ({"access": "customers"}, "walk ebike car"),
        ({"motor_vehicle": "delivery"}, "walk ebike car"),
        ({"highway": "pedestrian", "motor_vehicle": "delivery"}, "walk ebike"),
        ({"access": "no", "motor_vehicle": "delivery"}, "car"),
        ({"access": "permit"}, None),
        ({"access": "residents", "foot": "yes"}, "walk"),
        ({"bicycle": "optional_sidepath"}, "walk ebike car"),
        ({"access": "no", "bus": "yes", "bicycle": "yes"}, "ebike"),
    ],
)
def test_access(tags, modes):
    """The tag on one means wins over that on all; the class says the rest."""
    piece = read(**tags)
    if modes is None:
        assert piece == "open to nobody (access, foot, bicycle, motor_vehicle)"
    else:
        assert " ".join(mode for mode in MODES if may_use(piece, mode)) == modes


def test_what_holds_at_some_hours_is_counted_and_not_followed():
    """Nor a one-way for people on foot, for the contract heeds none."""
    doubts = Counter()
    tags = {"motor_vehicle:conditional": "no @ (Sa)", "oneway:foot": "yes", "access": "odd"}
    road = road_of({"highway": "residential", **tags}, 1, doubts)
    assert all(may_use(road, mode) for mode in MODES)
    assert directions(road, "walk") == (True, True)
    assert doubts == {
        "motor_vehicle:conditional: holds at some hours only, not followed": 1,
        "one-way on foot (oneway:foot, conveying): on foot one-ways are not heeded": 1,
        "access=odd": 1,
    }
    doubts.clear()
    road_of({"highway": "steps", "conveying": "forward"}, 1, doubts)
    assert len(doubts) == 1


def test_floors_of_a_building_lie_on_layers():
    """A corridor upstairs does not meet the one below it; a layer says more than a level."""
    assert read(highway="corridor", level="2").layer == 2
    assert read(highway="steps", level="0;1").layer == 0
    assert read(level="1", layer="-1").layer == -1
    assert read(level="attic").layer == 0


def test_bridges_tunnels_and_layers():
    """A tunnel without a layer lies under the ground."""
    assert (read(bridge="yes").bridge, read(bridge="no").bridge) == (True, False)
    assert read(bridge="viaduct", layer="2").layer == 2
    assert read(tunnel="yes").layer == -1
    assert read(tunnel="yes", layer="-3").layer == -3
    assert read(tunnel="building_passage").layer == 0


def test_a_way_given_twice_counts_once(tmp_path):
    """Two extracts put together have the ways of their common rim twice: the later one holds."""
    later = {**STREET, "maxspeed": "30"}
    path = osm_file(tmp_path, CROSS, [(7, [1, 2], STREET), (7, [1, 2], later)])
    found = read_osm(path)
    assert [piece.maxspeed_kmh for piece in found.pieces] == [30.0]
    assert found.tally.dropped == {"given twice: the later one is kept": 1}


def test_a_file_that_is_none_is_refused(tmp_path):
    """Missing, of another kind, or without roads: the error names the file."""
    with pytest.raises(RoadsFileError, match=r"none\.osm"):
        import_roads(tmp_path / "none.osm")
    odd = tmp_path / "roads.docx"
    odd.write_bytes(b"")
    with pytest.raises(RoadsFileError, match=r"\.osm\.gz"):
        import_roads(odd)
    broken = tmp_path / "broken.osm"
    broken.write_text("<osm", encoding="utf-8")
    with pytest.raises(RoadsFileError, match=r"broken\.osm"):
        import_roads(broken)
    with pytest.raises(RoadsFileError, match="no road"):
        import_roads(osm_file(tmp_path, CROSS, []))


@pytest.mark.parametrize("name", extracts.NAMES)
def test_a_city_survives_a_round_trip(name, tmp_path):
    """What is imported, written, checked and read again is the same roads."""
    report = extracts.imported(name)
    assert len(report.pieces) > 1000
    assert sum(report.dropped.values()) < report.read
    path = tmp_path / "roads.geojson"
    path.write_bytes(write_roads(report.pieces))
    assert set(read_roads(path.read_bytes())) == set(report.pieces)
    assert all(problem.severity == "warning" for problem in check_roads_file(path))
