"""What strangers may put into a map file: it is read, or refused by its one error."""

import copy
import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xiaohe.geo.check import check_roads
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.roads import RoadsFileError, read_roads, write_roads

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEYS = st.sampled_from(
    [
        *("type", "features", "geometry", "coordinates", "properties", "road_id", "name", "oneway"),
        *("highway", "maxspeed_kmh", "layer", "bridge", "access", "modes", "oneway_bicycle"),
        *("datum", "crs", "area_id", "nodes", "links", "edges", "source", "target", "id", "x"),
        *("y", "graph", "travel_time", "speed_kph", "osmid", "directed"),
    ]
)
WORDS = st.sampled_from(
    [
        *("FeatureCollection", "Feature", "LineString", "MultiLineString", "Point", "yes", "no"),
        *("-1", "gcj02", "bd09", "wgs84", "walk", "car", "residential", "footway", "private"),
        *("EPSG:3857", "urn:ogc:def:crs:OGC:1.3:CRS84"),
    ]
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-200, 200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-200, 200),
    st.sampled_from([0, -0.0, 180, 90, 90.0000001, 1e308, 5e-324]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=8))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, WORDS), inner, max_size=5)
    ),
    max_leaves=25,
)


def line(points, **properties):
    """A feature with a course in degrees."""
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": points},
    }


COLLECTION = {
    "type": "FeatureCollection",
    "features": [
        line([[120.14, 30.32], [120.142, 30.32]], road_id="x", oneway="yes", maxspeed_kmh=30),
        line([[120.141, 30.321], [120.141, 30.319]], road_id="y", bridge=False, layer=0),
        line([[120.142, 30.32], [120.143, 30.32], [120.143, 30.321]], name="z", modes=["walk"]),
    ],
}
GRAPH = {
    "directed": True,
    "graph": {"crs": "epsg:4326"},
    "nodes": [{"id": n, "x": 120.14 + n / 1000, "y": 30.32} for n in range(3)],
    "links": [
        {"source": 0, "target": 1, "osmid": [7, 8], "travel_time": 9.5, "highway": "residential"},
        {"source": 1, "target": 0, "name": ["a", "b"], "speed_kph": 30},
        {"source": 1, "target": 2, "geometry": "LINESTRING (120.141 30.32, 120.142 30.32)"},
    ],
}


def places(value, path=()):
    """Every place in a JSON value, as the keys that lead there."""
    yield path
    if isinstance(value, (dict, list)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def mutated(document, path, value):
    """The document with something else at one place."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


mutations = st.one_of(
    *(
        st.builds(mutated, st.just(sound), st.sampled_from(sorted(places(sound), key=str)), JSON)
        for sound in (COLLECTION, GRAPH)
    )
)


def outcome(read, given):
    """What a reader makes of something: (what it gives, None) or (None, why it refuses)."""
    try:
        return read(given), None
    except RoadsFileError as error:
        return None, str(error)


def swallow(raw, name="raw.geojson"):
    """Give a file to all that read one: each takes it or says why not, and where."""
    pieces, why = outcome(read_roads, raw)
    assert pieces or why
    if pieces:
        check_roads(pieces)
        again = read_roads(write_roads(pieces))
        assert len(again) == len(pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(raw)
        problems, why = outcome(check_roads_file, path)
        assert problems is not None or str(path) in why
        report, why = outcome(import_roads, path)
        assert report is not None or str(path) in why
        assert report is None or read_roads(write_roads(report.pieces))


@QUICK
@given(JSON)
@example({"nodes": [], "links": []})
@example({"nodes": 5, "edges": {}})
@example({"type": "FeatureCollection", "features": [{}], "crs": []})
def test_any_json_is_read_or_refused(document):
    """Whatever a JSON document holds."""
    swallow(orjson.dumps(document))


@QUICK
@given(mutations)
def test_a_sound_file_with_one_odd_value_is_read_or_refused(document):
    """Anything at any place of a roads file or a graph."""
    swallow(orjson.dumps(document))


@QUICK
@given(st.binary(max_size=60), st.integers(0, 2000), st.sampled_from([COLLECTION, GRAPH]))
def test_bytes_put_into_a_file_are_read_or_refused(some, at, sound):
    """Cut, torn or overwritten."""
    raw = orjson.dumps(sound)
    swallow(raw[:at])
    swallow(raw[:at] + some + raw[at + len(some) :])


XML = b"""<?xml version="1.0"?><osm version="0.6">
<node id="1" lon="0.0" lat="10.0" version="1"/><node id="2" lon="0.001" lat="10.0" version="1">
<tag k="barrier" v="bollard"/></node><node id="3" lon="0.002" lat="10.0" version="1"/>
<way id="7" version="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="residential"/>
<tag k="maxspeed" v="30 mph"/><tag k="layer" v="1"/><tag k="oneway" v="yes"/></way></osm>"""


@QUICK
@given(st.binary(max_size=20), st.integers(0, len(XML)))
def test_bytes_put_into_an_openstreetmap_file_are_read_or_refused(some, at):
    """The XML reader's own errors come out as ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "town.osm"
        for raw in (XML[:at], XML[:at] + some + XML[at + len(some) :]):
            path.write_bytes(raw)
            report, why = outcome(import_roads, path)
            assert report.pieces if report else str(path) in why


@pytest.mark.parametrize("name", ["raw.json.gz", "raw.geojson.gz"])
@given(some=st.binary(max_size=40))
@settings(max_examples=20, deadline=None)
def test_what_is_no_packed_file_is_refused(name, some):
    """Named .gz and none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(some)
        with pytest.raises(RoadsFileError, match="raw"):
            import_roads(path)
