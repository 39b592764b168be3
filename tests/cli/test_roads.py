"""`xiaohe roads import|check` from the outside: what is written, said, and left alone."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.geo import extracts
from xiaohe.cli import EXIT_DONE as DONE
from xiaohe.cli import EXIT_FAILED as FAILED
from xiaohe.cli import run
from xiaohe.geo.files import load_network
from xiaohe.places import FileUnwritable
from xiaohe.whole_file import check_writable, write_whole

ACROSS = [[120.14, 30.32], [120.142, 30.32]]
DOWN = [[120.141, 30.321], [120.141, 30.319]]

NODE = '<node id="%d" lon="%f" lat="10" version="1"/>'
OSM = (
    '<?xml version="1.0"?><osm version="0.6">'
    + "".join(NODE % (i, i / 1000) for i in (1, 2))
    + '<way id="7" version="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="residential"/></way>'
    "</osm>"
).encode()


def line(points: list[list[Any]], road_id: str = "x", **properties: object) -> dict[str, object]:
    """A feature."""
    return {
        "type": "Feature",
        "properties": {"road_id": road_id, **properties},
        "geometry": {"type": "LineString", "coordinates": points},
    }


def collection(*features: object, **members: object) -> bytes:
    """A GeoJSON file's bytes."""
    document = {"type": "FeatureCollection", "features": features, **members}
    return json.dumps(document).encode()


SOUND = collection(line(ACROSS, "x"), line(DOWN, "y"))
GRAPH = {"directed": True, "nodes": [{"id": 1, "x": 120.0, "y": 30.0}], "links": [{"source": 1}]}

BAD = {
    "empty.geojson": (b"", "empty"),
    "empty.osm": (b"", "empty"),
    "empty.osm.pbf": (b"", "empty"),
    "nothing.geojson": (collection(), "no features"),
    "cut.geojson": (SOUND[:-40], "not JSON"),
    "nan.geojson": (SOUND.replace(b"120.14,", b"NaN,"), "NaN"),
    "one-point.geojson": (collection(line(ACROSS[:1])), "two points"),
    "text.geojson": (collection(line([["120", "30"], ["121", "30"]])), "numbers"),
    "no-shape.geojson": (SOUND.replace(b'"coordinates"', b'"points"'), "two points"),
    "area.geojson": (SOUND.replace(b"LineString", b"Polygon"), "Polygon"),
    "dots.geojson": (collection(line([ACROSS[0], ACROSS[0]])), "length"),
    "mercator.geojson": (
        collection(
            line(ACROSS), crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
        ),
        "EPSG:4326",
    ),
    "metres.geojson": (collection(line([[13374000, 3540000], [13374100, 3540000]])), "projection"),
    "swapped.geojson": (collection(line([[30.32, 120.14], [30.32, 120.142]])), "swapped"),
    "tokyo.geojson": (collection(line(ACROSS), datum="tokyo"), "gcj02"),
    "overpass.json": (b'{"elements": []}', "xml"),
    "graph.json": (json.dumps(GRAPH).encode(), "link 0"),
    "binary.geojson": (bytes(range(256)), "UTF-8"),
    "binary.osm": (bytes(range(256)), "OpenStreetMap"),
    "binary.osm.pbf": (bytes(range(256)), "OpenStreetMap"),
    "binary.json.gz": (bytes(range(256)), "gzip"),
    "cut.json.gz": (gzip.compress(SOUND)[:-30], "fetch it again"),
    "cut.osm": (OSM[:-60], "fetch it again"),
    "cut.osm.gz": (gzip.compress(OSM)[:-30], "fetch it again"),
    "no-roads.osm": (OSM.replace(b"residential", b"proposed"), "no road"),
    "no-nodes.osm": (OSM.replace(b"<node ", b"<other "), "nodes"),
    "map.docx": (SOUND, ".osm.gz"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_map_is_named_with_what_to_do(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, the file's name and a reason on stderr, no traceback, nothing on stdout; what lay
    at the place of the output stays as it was."""
    content, says = BAD[name]
    source, out = tmp_path / name, tmp_path / "roads.geojson"
    source.write_bytes(content)
    out.write_bytes(b"earlier")
    for options in ([], ["--json"]):
        status = run(["roads", "import", str(source), "--out", str(out), *options])
        said = capsys.readouterr()
        assert status == FAILED
        assert str(source) in said.err
        assert says in said.err
        assert said.err.startswith("xiaohe: ")
        assert said.out == ""
    assert out.read_bytes() == b"earlier"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({name, "roads.geojson"})


@pytest.mark.parametrize("name", sorted(BAD))
def test_the_check_finds_fault_with_a_bad_map(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 and words that name the file, whether it can be read or not."""
    source = tmp_path / name
    source.write_bytes(BAD[name][0])
    assert run(["roads", "check", str(source)]) == FAILED
    said = capsys.readouterr()
    assert str(source) in said.out + said.err


def test_what_is_no_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder and a name that nothing has, for every kind of reader."""
    for suffix in (".geojson", ".osm", ".osm.pbf", ".json.gz"):
        folder = tmp_path / f"folder{suffix}"
        folder.mkdir()
        for source in (folder, tmp_path / f"missing{suffix}"):
            out = tmp_path / "out.geojson"
            assert run(["roads", "import", str(source), "--out", str(out)]) == FAILED
            assert str(source) in capsys.readouterr().err
            assert not out.exists()


def test_an_import_says_what_it_did_for_people_and_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal nothing is on stderr; with --json one object is on stdout."""
    source, out = tmp_path / "raw.geojson", tmp_path / "roads.geojson"
    features = [
        line(ACROSS),
        line(DOWN, "y"),
        line(DOWN, "y"),
        line([[120.2, 30.3], [120.201, 30.3]]),
    ]
    point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": []}}
    source.write_bytes(collection(*features, point))
    assert run(["roads", "import", str(source), "--out", str(out)]) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    for words in ("5 pieces of 2 roads, from 5 features read", "there twice", "geometry Point",
                  "made to meet: at 1 places", "islands: 1", "120.200000, 30.300000"):  # fmt: skip
        assert words in said.out
    assert run(["roads", "import", str(source), "--out", str(out), "--json"]) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    (told,) = map(json.loads, said.out.splitlines())
    assert told["dropped"] == {"there twice": 1, "geometry Point": 1}
    assert told["examples"]["geometry Point"] == ["feature 4"]
    assert (told["pieces"], told["roads"], told["noded"], told["junctions"]) == (5, 2, True, 1)
    (island,) = told["islands"]
    assert (island["modes"], island["road_ids"], island["at"]) == (
        ["walk", "ebike", "car"],
        ["x"],
        [120.2, 30.3],
    )
    assert run(["roads", "check", str(out)]) == DONE


def test_an_error_that_only_a_person_can_mend_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The import points to the check, which names it."""
    source, out = tmp_path / "raw.geojson", tmp_path / "roads.geojson"
    source.write_bytes(collection(line(ACROSS, "x"), line(ACROSS, "y")))
    assert run(["roads", "import", str(source), "--out", str(out)]) == DONE
    assert f"1 errors; see `xiaohe roads check {out}`" in capsys.readouterr().out
    assert run(["roads", "check", str(out)]) == FAILED


@pytest.mark.parametrize("name", ["monaco.osm.gz", extracts.GRAPH])
def test_a_city_is_imported_checked_and_loaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the file as it is published to a network, by the program's words alone."""
    source, out = extracts.extract(name), tmp_path / "roads.geojson"
    assert run(["roads", "import", str(source), "--out", str(out), "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == []
    assert run(["roads", "check", str(out)]) == DONE
    assert ": 0 errors, " in capsys.readouterr().out
    assert load_network(out)[0].edge_count == told["pieces"]


# --- writing


def test_an_output_that_cannot_be_is_named_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder, and a folder that is not there."""
    source = tmp_path / "raw.geojson"
    source.write_bytes(SOUND)
    for out in (tmp_path, tmp_path / "none" / "roads.geojson"):
        assert run(["roads", "import", str(source), "--out", str(out)]) == FAILED
        said = capsys.readouterr()
        assert str(out) in said.err
        assert "name a" in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["raw.geojson"]


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """And nothing is written."""
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(FileUnwritable, match="permission"):
            check_writable(tmp_path / "roads.geojson")
        with pytest.raises(FileUnwritable, match="roads"):
            write_whole(tmp_path / "roads.geojson", b"new")
    finally:
        tmp_path.chmod(0o700)


FULL = """
import resource, signal, sys
from xiaohe.cli import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.exit(run(["roads", "import", sys.argv[1], "--out", sys.argv[2]]))
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """The write fails after 200 bytes: the earlier file stays whole, and no part of the new one."""
    source, out = tmp_path / "raw.geojson", tmp_path / "roads.geojson"
    source.write_bytes(SOUND)
    out.write_bytes(b"earlier")
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(source), str(out)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == FAILED, said.stderr
    assert str(out) in said.stderr
    assert "Traceback" not in said.stderr
    assert out.read_bytes() == b"earlier"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["raw.geojson", "roads.geojson"]


def test_a_file_is_replaced_whole_and_keeps_its_rights(tmp_path: Path) -> None:
    """Through a link the file it leads to is replaced; a pipe or /dev/null is written to."""
    file, link = tmp_path / "roads.geojson", tmp_path / "link"
    file.write_bytes(b"earlier")
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)
    write_whole(Path(os.devnull), b"new")
    assert Path(os.devnull).is_char_device()


def test_a_file_may_be_imported_over_itself(tmp_path: Path) -> None:
    """It is read whole before it is written."""
    file = tmp_path / "roads.geojson"
    file.write_bytes(SOUND)
    assert run(["roads", "import", str(file), "--out", str(file)]) == DONE
    assert load_network(file)[0].edge_count == 4


def test_a_terminal_shows_a_bar_on_stderr_alone(tmp_path: Path) -> None:
    """Standard output has the same lines as without one."""
    pty = pytest.importorskip("pty")
    source, out = tmp_path / "raw.geojson", tmp_path / "roads.geojson"
    source.write_bytes(SOUND)
    seen, terminal = pty.openpty()
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "xiaohe",
            "roads",
            "import",
            str(source),
            "--out",
            str(out),
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
        timeout=60,
        check=False,
    )
    os.close(terminal)
    shown = os.read(seen, 65_536)
    os.close(seen)
    assert said.returncode == DONE
    assert b"\x1b[" in shown
    assert b"reading" in shown
    assert json.loads(said.stdout)["pieces"] == 4
