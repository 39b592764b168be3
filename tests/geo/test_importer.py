"""GeoJSON of somebody else's in."""

import orjson
import pytest

from xiaohe.geo.importer import check_roads_file, import_roads
from xiaohe.geo.roads import RoadsFileError, write_roads


def geojson(tmp_path, *features):
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
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": collection}))
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
