"""The roads file."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geo import maps
from xiaohe.geo.roads import RoadPiece, RoadsFileError, read_roads, write_roads

LINE = {"type": "LineString", "coordinates": [[120.14, 30.32], [120.15, 30.32]]}


def file_of(*features):
    """A roads file with these features."""
    return orjson.dumps({"type": "FeatureCollection", "features": list(features)})


def feature(geometry=LINE, **properties):
    """A feature with some properties."""
    return {"type": "Feature", "properties": properties, "geometry": geometry}


FULL = RoadPiece(
    road_id="小河路",
    points=((120.14, 30.32), (120.141, 30.3205), (120.15, 30.32)),
    name="小河路",
    highway="secondary",
    oneway="-1",
    maxspeed_kmh=40.0,
    area_id="xiaohe",
    community="小河",
    beat="b1",
    bridge=True,
    layer=1,
    access="destination",
    oneway_bicycle="no",
    modes=("walk", "ebike"),
)


def test_what_is_written_is_read_again():
    """Every property survives a round trip."""
    plain = RoadPiece(road_id="x", points=((120.0, 30.0), (120.1, 30.0)))
    assert set(read_roads(write_roads([FULL, plain]))) == {FULL, plain}


def test_the_same_pieces_make_the_same_bytes():
    """The order in which pieces come does not show in the file, so its version does not change."""
    pieces = list(maps.pieces("a--b--c"))
    random.Random(7).shuffle(pieces)
    assert write_roads(pieces) == write_roads(reversed(pieces))


def test_coordinates_keep_seven_decimals():
    """More than a centimetre is not kept."""
    piece = RoadPiece(road_id="x", points=((120.123456789, 30.0), (120.2, 30.00000004)))
    (read,) = read_roads(write_roads([piece]))
    assert read.points == ((120.1234568, 30.0), (120.2, 30.0))


def test_defaults_are_those_of_the_contract():
    """A piece that states only its road_id is a two-way ordinary road on the ground."""
    (piece,) = read_roads(file_of(feature(road_id="x")))
    assert (piece.oneway, piece.bridge, piece.layer, piece.highway) == (
        "no",
        False,
        0,
        "unclassified",
    )
    assert piece.maxspeed_kmh is None
    assert piece.access is None
    assert piece.area_id is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [("yes", "yes"), ("-1", "-1"), (-1, "-1"), ("no", "no"), (None, "no"), (True, "yes")],
)
def test_oneway_is_read_in_every_usual_spelling(written, expected):
    """Text as OSM has it, a number, JSON's true: one meaning."""
    (piece,) = read_roads(file_of(feature(road_id="x", oneway=written)))
    assert piece.oneway == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("yes", True), ("viaduct", True), ("no", False), (True, True)]
)
def test_bridge_is_read_in_every_usual_spelling(written, expected):
    """OSM's values and JSON's."""
    (piece,) = read_roads(file_of(feature(road_id="x", bridge=written)))
    assert piece.bridge is expected


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (feature(road_id=7), "road_id must be text"),
        (feature(road_id="x" * 129), "longer than 128"),
        (feature(road_id="x", oneway="both"), "write yes, -1 or no"),
        (feature(road_id="x", maxspeed_kmh=0), "maxspeed_kmh"),
        (feature(road_id="x", maxspeed_kmh="50"), "maxspeed_kmh"),
        (feature(road_id="x", layer="up"), "layer"),
        (feature(road_id="x", bridge=[1]), "bridge"),
        (feature(road_id="x", modes=["tram"]), "walk, ebike, car"),
        (feature(road_id="x", name=5), "name must be text"),
        (feature({"type": "Point", "coordinates": [1, 2]}, road_id="x"), "Point"),
        (feature({"type": "LineString", "coordinates": [[1, 2]]}, road_id="x"), "two points"),
        (feature({"type": "LineString", "coordinates": [[1, 2], [3]]}, road_id="x"), "[lon, lat]"),
        (feature({"type": "LineString", "coordinates": [[1, "2"], [3, 4]]}, road_id="x"), "number"),
        (feature(None, road_id="x"), "missing"),
        ({"type": "Feature", "properties": [1], "geometry": LINE}, "properties"),
        ([], "Feature"),
    ],
)
def test_a_bad_feature_is_named_with_what_to_do(bad, says):
    """The error has the index of the feature, its road_id if any, and what to write instead."""
    with pytest.raises(RoadsFileError) as caught:
        read_roads(file_of(feature(road_id="good"), bad))
    (problem,) = caught.value.problems
    assert problem.startswith("feature 1")
    assert says in problem


def test_all_bad_features_are_told_at_once():
    """One look at the error is enough to mend the file."""
    with pytest.raises(RoadsFileError) as caught:
        read_roads(
            file_of(feature(road_id=1), feature(road_id="ok"), feature(road_id="y", layer=[]))
        )
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "feature 0 (road_id 1)",
        "feature 2 (road_id 'y')",
    ]


def test_a_long_list_of_problems_is_cut_in_the_message_alone():
    """A thousand bad features do not fill the screen, and none is lost."""
    with pytest.raises(RoadsFileError, match="… and 950 more") as caught:
        read_roads(file_of(*[feature(road_id=1)] * 1000))
    assert len(caught.value.problems) == 1000


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b'{"type":"Feature"}', b'{"type":"FeatureCollection","features":[]}'],
)
def test_what_is_no_roads_file_is_refused(raw):
    """Anything but a FeatureCollection with features is the one error, never another."""
    with pytest.raises(RoadsFileError):
        read_roads(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = [*RoadPiece.__slots__, "extra"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), JSON, st.lists(JSON, max_size=3))
def test_any_json_is_read_or_refused(properties, other, coordinates):
    """Whatever stands in a feature: pieces, or the one error, never anything else."""
    lines = [LINE, {"type": "LineString", "coordinates": coordinates}, other]
    for geometry in lines:
        try:
            (piece,) = read_roads(file_of(feature(geometry, **properties)))
        except RoadsFileError:
            continue
        assert isinstance(piece, RoadPiece)
