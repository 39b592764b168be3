"""GeoJSON of somebody else's in."""

import gzip

import orjson
import pytest

from xiaohe.geo.datum import from_wgs84
from xiaohe.geo.files import load_network, load_pieces
from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES, RoadsFileError, write_roads


def geojson(tmp_path, *features, **members):
    """A GeoJSON file of (geometry type, coordinates, properties)."""
    path = tmp_path / "raw.geojson"
    collection = [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": kind, "coordinates": coordinates},
        }
        for kind, coordinates, properties in features
    ]
    document = {"type": "FeatureCollection", "features": collection, **members}
    path.write_bytes(orjson.dumps(document))
    return path


ACROSS = [[120.14, 30.32], [120.142, 30.32]]
DOWN = [[120.141, 30.321], [120.141, 30.319]]


def test_a_raw_file_is_noded_and_then_sound(tmp_path):
    """Two ways that cross become four pieces, and the written file passes the check."""
    raw = geojson(
        tmp_path, ("LineString", ACROSS, {"road_id": "x"}), ("LineString", DOWN, {"road_id": "y"})
    )
    assert [problem.code for problem in check_roads_file(raw)] == ["unnoded_junction"]
    report = import_roads(raw)
    assert report.noded
    assert (report.source, report.read, len(report.pieces)) == ("geojson", 2, 4)
    raw.write_bytes(write_roads(report.pieces))
    assert check_roads_file(raw) == []
    assert not import_roads(raw).noded


def test_finer_coordinates_than_are_kept_are_no_junctions(tmp_path):
    """A single street with ten digits, or turned from another datum, was not made to meet."""
    street = [[120.14000000049, 30.32], [120.15, 30.32000000049]]
    for members in ({}, {"datum": "gcj02"}):
        report = import_roads(
            geojson(tmp_path, ("LineString", street, {"road_id": "x"}), **members)
        )
        assert (report.noded, report.junctions) == (False, 0)


def test_lines_of_several_parts_are_taken_apart_and_points_dropped(tmp_path):
    """What is no line is counted."""
    raw = geojson(
        tmp_path,
        ("MultiLineString", [ACROSS, [[120.15, 30.32], [120.16, 30.32]]], {"road_id": "x"}),
        ("Point", [120.14, 30.32], {"name": "market"}),
    )
    report = import_roads(raw)
    assert [piece.road_id for piece in report.pieces] == ["x", "x"]
    assert report.dropped == {"geometry Point": 1}


def test_a_missing_road_id_is_taken_from_the_name(tmp_path):
    """A road that has neither stays without, for the check to name."""
    raw = geojson(
        tmp_path,
        ("LineString", ACROSS, {"name": "小河路"}),
        ("LineString", [[120.15, 30.32], [120.16, 30.32]], {}),
    )
    report = import_roads(raw)
    assert {piece.road_id for piece in report.pieces} == {"小河路", ""}


@pytest.mark.parametrize("coordinates", [None, 5, [5], [[5]], [[[5]]]])
@pytest.mark.parametrize("kind", ["LineString", "MultiLineString"])
def test_broken_lines_are_refused_not_dropped(tmp_path, kind, coordinates):
    """A line that cannot be read is an error that names it, for a road would be missing."""
    sound = ("LineString", ACROSS, {"road_id": "x"})
    raw = geojson(tmp_path, sound, (kind, coordinates, {"road_id": "y"}))
    with pytest.raises(RoadsFileError, match=r"road_id 'y'"):
        import_roads(raw)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"features": [1]}'])
def test_what_is_no_geojson_is_refused(tmp_path, content):
    """With the file's name."""
    path = tmp_path / "bad.geojson"
    path.write_bytes(content)
    with pytest.raises(RoadsFileError, match=r"bad\.geojson"):
        import_roads(path)


# --- datums and reference systems


def crs(name):
    """The ``crs`` member of the older GeoJSON standard."""
    return {"type": "name", "properties": {"name": name}}


@pytest.mark.parametrize("datum", ["gcj02", "bd09", "GCJ-02"])
@pytest.mark.parametrize("where", ["collection", "feature", "crs"])
def test_a_declared_datum_is_turned_on_import(tmp_path, datum, where):
    """To where the road is on the ground, and the report says how many were."""
    plain = datum.lower().replace("-", "")
    there = [list(from_wgs84(*point, plain)) for point in ACROSS]
    properties = {"road_id": "x", **({"datum": datum} if where == "feature" else {})}
    members = {"collection": {"datum": datum}, "crs": {"crs": crs(datum)}}.get(where, {})
    raw = geojson(tmp_path, ("LineString", there, properties), **members)
    (problem, *_) = check_roads_file(raw)
    assert (problem.code, problem.severity) == ("wrong_datum", "error")
    with pytest.raises(RoadsFileError, match="xiaohe roads import"):
        load_pieces(raw)
    report = import_roads(raw)
    assert report.turned == {plain: 1}
    for got, meant in zip(report.pieces[0].points, ACROSS, strict=True):
        assert ground_distance_m(*got, *meant) < 0.02
    raw.write_bytes(write_roads(report.pieces))
    assert check_roads_file(raw) == []


@pytest.mark.parametrize(
    "name",
    [
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "EPSG:4326",
        "urn:ogc:def:crs:EPSG::4326",
        "urn:ogc:def:crs:EPSG:9.9:4326",
        "epsg:4490",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "http://www.opengis.net/def/crs/EPSG/0/4326",
    ],
)
def test_names_of_wgs_84_are_known(tmp_path, name):
    """And the file is taken as it is."""
    raw = geojson(tmp_path, ("LineString", ACROSS, {"road_id": "x"}), crs=crs(name))
    assert import_roads(raw).turned == {}
    assert check_roads_file(raw) == []


@pytest.mark.parametrize("name", ["EPSG:3857", "urn:ogc:def:crs:EPSG::32650", "EPSG:14326", ""])
def test_another_reference_system_is_refused(tmp_path, name):
    """On import, in the check and when loaded, with what to do."""
    raw = geojson(tmp_path, ("LineString", ACROSS, {"road_id": "x"}), crs=crs(name))
    for read in (import_roads, check_roads_file, load_network):
        with pytest.raises(RoadsFileError, match=r"raw\.geojson.*EPSG:4326"):
            read(raw)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([[13374000.0, 3540000.0], [13374100.0, 3540000.0]], "projection"),
        ([[30.32, 120.14], [30.32, 120.142]], "swapped"),
        ([[0.0, 0.0], [0.0, 0.001]], "no place"),
    ],
)
def test_places_that_cannot_be_are_refused_on_import(tmp_path, points, says):
    """Metres, swapped degrees, and the island where unset positions lie."""
    sound = [("LineString", ACROSS, {"road_id": f"s{i}"}) for i in range(3)]
    raw = geojson(tmp_path, *sound, ("LineString", points, {"road_id": "odd"}))
    with pytest.raises(RoadsFileError, match="odd") as refused:
        import_roads(raw)
    assert says in str(refused.value)


# --- what is there twice, apart, or nothing


def test_what_is_there_twice_is_kept_once(tmp_path):
    """Drawn either way; what has no length is left out as well."""
    raw = geojson(
        tmp_path,
        ("LineString", ACROSS, {"road_id": "x"}),
        ("LineString", ACROSS[::-1], {"road_id": "x"}),
        ("LineString", [ACROSS[0], ACROSS[0]], {"road_id": "x"}),
    )
    report = import_roads(raw)
    assert len(report.pieces) == 1
    assert report.dropped == {"there twice": 1, "no length": 1}
    assert not report.errors


@pytest.mark.parametrize(
    ("first", "second", "ways"),
    [
        (("yes", 1), ("yes", -1), ["no"]),
        (("yes", 1), ("-1", 1), ["no"]),
        (("yes", 1), ("-1", -1), ["yes"]),
        (("yes", 1), ("no", 1), ["no", "yes"]),
    ],
)
def test_two_one_ways_to_and_fro_are_one_street(tmp_path, first, second, ways):
    """As the tables of a road graph have it; where the two differ, a person must say."""
    lines = [("LineString", ACROSS[::turn], {"road_id": "x", "oneway": oneway})
             for oneway, turn in (first, second)]  # fmt: skip
    report = import_roads(geojson(tmp_path, *lines))
    assert sorted(piece.oneway for piece in report.pieces) == ways


def test_whose_a_road_is_that_two_claim_is_for_a_person_to_say(tmp_path):
    """The import keeps both and tells the error that the check will find."""
    lines = [("LineString", ACROSS, {"road_id": road_id}) for road_id in "xy"]
    report = import_roads(geojson(tmp_path, *lines))
    assert [problem.code for problem in report.errors] == ["duplicate"]


def test_islands_are_told_by_mode_length_and_place(tmp_path):
    """A street that steps alone lead to is an island for wheels; one apart is one for all."""
    raw = geojson(
        tmp_path,
        ("LineString", ACROSS, {"road_id": "main"}),
        ("LineString", [ACROSS[1], [120.1425, 30.32]], {"road_id": "s", "highway": "steps"}),
        ("LineString", [[120.1425, 30.32], [120.1435, 30.32]], {"road_id": "upper"}),
        ("LineString", [[120.15, 30.33], [120.1505, 30.33]], {"road_id": "far"}),
    )
    found = {island.road_ids: island for island in import_roads(raw).islands}
    assert found["upper",].modes == ("ebike", "car")
    assert found["far",].modes == MODES
    assert found["far",].at == (120.15, 30.33)
    assert found["upper",].length_m == pytest.approx(96.2, abs=0.2)


def test_how_far_it_is_is_told(tmp_path):
    """Whoever watches hears of each stage."""
    heard = []
    raw = geojson(tmp_path, ("LineString", ACROSS, {"road_id": "x"}), ("LineString", DOWN, {}))
    import_roads(raw, lambda stage, done, total: heard.append(stage))
    assert heard[0] == "reading"
    assert any(stage.startswith("noding") for stage in heard)


def test_a_packed_file_is_read(tmp_path):
    """On import, in the check, and when loaded."""
    raw = geojson(tmp_path, ("LineString", ACROSS, {"road_id": "x"}))
    packed = tmp_path / "roads.geojson.gz"
    packed.write_bytes(gzip.compress(raw.read_bytes()))
    assert import_roads(packed).pieces == import_roads(raw).pieces
    assert check_roads_file(packed) == []
    assert load_network(packed)[0].edge_count == 1


def test_heights_are_passed_over(tmp_path):
    """A third coordinate is a height, whatever it says."""
    raw = geojson(tmp_path, ("LineString", [[*ACROSS[0], 5.0], [*ACROSS[1], None]], {"name": "x"}))
    assert import_roads(raw).pieces[0].points == tuple(map(tuple, ACROSS))
