"""Real extracts against their raw tags, by rules written anew from the OpenStreetMap wiki."""

from collections import Counter
from itertools import pairwise

import osmium
import pytest

from tests.geo import extracts
from xiaohe.geo.check import check_roads
from xiaohe.geo.importer import import_roads
from xiaohe.geo.modes import directions, may_use, speed_mps
from xiaohe.geo.osm_tags import road_of
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES, write_roads

CAR_ROADS = {
    *("motorway", "trunk", "primary", "secondary", "tertiary", "unclassified", "residential"),
    *("motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link"),
    *("living_street", "service", "road"),
}
NO_FEET_OR_WHEELS = {"motorway", "motorway_link", "trunk", "trunk_link"}
FEET_ALONE = {"steps", "bridleway", "platform", "corridor", "busway"}
ALL_KINDS = CAR_ROADS | FEET_ALONE | {"track", "footway", "path", "pedestrian", "cycleway"}
NOT_FOR_US = {"no", "private", "use_sidepath", "dismount", "military", "emergency"}
FOR_US = {"yes", "designated", "permissive", "official", "destination"}
MILE_KM = 1.609344


def raw_ways(name):
    """The highways of an extract, as (tags, points)."""
    reader = osmium.FileProcessor(str(extracts.extract(name))).with_locations()
    reader.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY))
    for way in reader.with_filter(osmium.filter.KeyFilter("highway")):
        points = [(n.location.lon, n.location.lat) for n in way.nodes if n.location.valid()]
        yield way.id, dict(way.tags), points


def wiki_modes(tags):
    """Who may travel on a way: its kind, then ``access``, then each tag more particular."""
    kind = tags["highway"]
    if kind not in ALL_KINDS or tags.get("area") == "yes":
        return set()
    chains = {
        "walk": (kind not in NO_FEET_OR_WHEELS, ["access", "foot"]),
        "ebike": (
            kind not in NO_FEET_OR_WHEELS | FEET_ALONE,
            ["access", "vehicle", "bicycle"],
        ),
        "car": (
            kind in CAR_ROADS | {"track"},
            ["access", "vehicle", "motor_vehicle", "motorcar"],
        ),
    }
    found = set()
    for mode, (by_kind, chain) in chains.items():
        allowed = by_kind
        for key in chain:
            if tags.get(key) in NOT_FOR_US:
                allowed = False
            elif tags.get(key) in FOR_US:
                allowed = by_kind or key not in {"access", "vehicle"}
        if allowed:
            found.add(mode)
    return found


def wiki_ways_along(tags, for_bicycles=False):
    """Whether one may travel (as drawn, against it)."""
    value = tags.get("oneway")
    if value is None:
        ring = tags.get("junction") in {"roundabout", "circular"}
        value = "yes" if ring or tags["highway"] == "motorway" else "no"
    if for_bicycles:
        contraflow = any(
            part.startswith("opposite") for key, part in tags.items() if key.startswith("cycleway")
        )
        value = tags.get("oneway:bicycle", "no" if contraflow else value)
    return value not in {"-1", "reverse"}, value not in {"yes", "true", "1"}


def wiki_kmh(tags):
    """The stated limit in km/h."""
    value = tags.get("maxspeed")
    if value is None:
        return None
    number = float(value.split()[0])
    return number * MILE_KM if value.endswith("mph") else number


@pytest.mark.parametrize("name", extracts.NAMES)
def test_every_way_is_read_as_its_tags_say(name):
    """Who, which way and how fast, for every highway of the extract."""
    seen = 0
    for way_id, tags, _ in raw_ways(name):
        road = road_of(tags, way_id, Counter())
        modes = wiki_modes(tags)
        if isinstance(road, str):
            assert not modes, (way_id, tags, road)
            continue
        seen += 1
        assert {mode for mode in MODES if may_use(road, mode)} == modes, (way_id, tags)
        assert directions(road, "car") == wiki_ways_along(tags), (way_id, tags)
        assert directions(road, "ebike") == wiki_ways_along(tags, for_bicycles=True), (way_id, tags)
        assert directions(road, "walk") == (True, True)
        kmh = wiki_kmh(tags)
        if kmh is not None:
            assert speed_mps(road, "car") * 3.6 == pytest.approx(kmh, abs=0.06), (way_id, tags)
    assert seen > 800


@pytest.mark.parametrize(
    ("name", "one_way", "of"),
    [
        ("baltimore.osm.pbf", 971, 3289),
        ("harrisburg.osm.pbf", 388, 2493),
        ("monaco.osm.gz", 238, 509),
    ],
)
def test_the_extracts_one_way_streets_are_as_counted_elsewhere(name, one_way, of):
    """The number of streets for cars that state a one-way, and none of them is read otherwise."""
    streets = [(i, tags) for i, tags, _ in raw_ways(name) if tags["highway"] in CAR_ROADS]
    stated = [(i, tags) for i, tags in streets if tags.get("oneway") in {"yes", "-1"}]
    assert (len(stated), len(streets)) == (one_way, of)
    roads = [road_of(tags, i, Counter()) for i, tags in stated]
    assert all(isinstance(road, str) or road.oneway != "no" for road in roads)


@pytest.mark.parametrize("name", extracts.NAMES)
def test_no_metre_of_road_is_lost_or_won(name):
    """Metres each mode may travel, each direction counted, agree with the raw ways to 0.3 %."""
    raw_m, got_m = Counter(), Counter()
    for _, tags, points in raw_ways(name):
        length_m = sum(ground_distance_m(*a, *b) for a, b in pairwise(points))
        for mode in wiki_modes(tags):
            ways = 2 if mode == "walk" else sum(wiki_ways_along(tags, mode == "ebike"))
            raw_m[mode] += ways * length_m
    for piece in extracts.imported(name).pieces:
        length_m = sum(ground_distance_m(*a, *b) for a, b in pairwise(piece.points))
        for mode in MODES:
            got_m[mode] += may_use(piece, mode) * sum(directions(piece, mode)) * length_m
    for mode in MODES:
        assert got_m[mode] == pytest.approx(raw_m[mode], rel=0.003)


@pytest.mark.parametrize("name", [*extracts.NAMES, extracts.GRAPH])
def test_importing_a_city_once_more_changes_nothing(name, tmp_path):
    """Nothing is left to node, to drop or to mend by hand."""
    report = extracts.imported(name)
    assert report.errors == ()
    path = tmp_path / "roads.geojson"
    path.write_bytes(write_roads(report.pieces))
    again = import_roads(path)
    assert (again.noded, again.dropped, set(again.pieces)) == (False, {}, set(report.pieces))


def test_a_city_s_graph_keeps_its_links_and_times():
    """Manhattan as a graph: nothing to warn of, and cars take the time that its links state."""
    report = extracts.imported(extracts.GRAPH)
    assert (report.source, report.read, report.noded) == ("node-link", 7534, False)
    assert check_roads(report.pieces) == []
    stated_s = extracts.graph_links_s()
    found = 0
    for piece in report.pieces:
        length_m = sum(ground_distance_m(*a, *b) for a, b in pairwise(piece.points))
        times_s = stated_s.get((piece.points[0], piece.points[-1]))
        if times_s and piece.maxspeed_kmh is not None and piece.oneway == "yes":
            # The file keeps a tenth of a km/h.
            took_s = length_m / speed_mps(piece, "car")
            assert took_s == pytest.approx(min(times_s), rel=0.02, abs=0.1)
            found += 1
    assert found > 7000
