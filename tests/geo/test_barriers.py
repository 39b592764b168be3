"""Barriers on ways: whom they stop, and where."""

from collections import Counter

import pytest

from tests.geo.test_osm import STREET, osm_file
from xiaohe.geo.barriers import STRETCH_M, stopped_by
from xiaohe.geo.importer import import_roads
from xiaohe.geo.modes import may_use
from xiaohe.geo.osm import read_osm
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES

LINE = {1: (0.0, 10.0), 2: (0.001, 10.0), 3: (0.002, 10.0), 4: (0.001, 10.001)}


def town(tmp_path, ways, barriers):
    """An OSM file with tags on some of the nodes."""
    path = osm_file(tmp_path, LINE, ways)
    text = path.read_text(encoding="utf-8")
    for node, tags in barriers.items():
        inner = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        lon, lat = LINE[node]
        plain = f'<node id="{node}" lon="{lon}" lat="{lat}" version="1"/>'
        assert plain in text
        text = text.replace(plain, plain.replace("/>", f">{inner}</node>"))
    path.write_text(text, encoding="utf-8")
    return path


def reach(pieces, mode):
    """The groups of places that a mode can go between, as sets of lon."""
    groups = []
    for piece in pieces:
        if may_use(piece, mode):
            ends = {piece.points[0], piece.points[-1]}
            joined = [group for group in groups if group & ends]
            groups = [group for group in groups if not group & ends] + [ends.union(*joined)]
    return len(groups)


@pytest.mark.parametrize(
    ("tags", "stopped"),
    [
        ({"barrier": "bollard"}, "car"),
        ({"barrier": "block"}, "car"),
        ({"barrier": "bollard", "motor_vehicle": "yes"}, ""),
        ({"barrier": "bollard", "access": "yes"}, "car"),
        ({"barrier": "bollard", "bicycle": "no"}, "ebike car"),
        ({"barrier": "gate"}, ""),
        ({"barrier": "gate", "access": "private"}, "walk ebike car"),
        ({"barrier": "gate", "access": "private", "foot": "yes"}, "ebike car"),
        ({"barrier": "gate", "access": "customers"}, ""),
        ({"barrier": "gate", "locked": "yes"}, "walk ebike car"),
        ({"barrier": "lift_gate"}, ""),
        ({"barrier": "stile"}, "ebike car"),
        ({"barrier": "fence"}, "walk ebike car"),
        ({"barrier": "toll_booth"}, ""),
        ({"barrier": "a kind of its own"}, ""),
    ],
)
def test_whom_a_barrier_stops(tags, stopped):
    """By its kind, unless its own tags say otherwise."""
    found = stopped_by(tags, Counter())
    assert " ".join(mode for mode in MODES if mode in found) == stopped


def test_a_bollard_parts_a_street_for_cars_alone(tmp_path):
    """The stretch behind it is open to feet and e-bikes; noding does not close the gap."""
    path = town(tmp_path, [(7, [1, 2, 3], STREET)], {2: {"barrier": "bollard"}})
    pieces = import_roads(path).pieces
    assert [reach(pieces, mode) for mode in MODES] == [1, 1, 2]
    (short,) = [piece for piece in pieces if not may_use(piece, "car")]
    length_m = ground_distance_m(*short.points[0], *short.points[-1])
    assert length_m == pytest.approx(STRETCH_M, abs=0.02)
    assert short.points[0] == LINE[2]


def test_a_street_divided_at_its_bollard_is_parted_once(tmp_path):
    """Two ways that meet there, drawn either way, are one street with one bollard."""
    for ways in ([[1, 2], [2, 3]], [[1, 2], [3, 2]], [[2, 1], [2, 3]], [[2, 1], [3, 2]]):
        numbered = [(i, refs, STREET) for i, refs in enumerate(ways, start=1)]
        path = town(tmp_path, numbered, {2: {"barrier": "bollard"}})
        pieces = import_roads(path).pieces
        assert [reach(pieces, mode) for mode in MODES] == [1, 1, 2], ways
        assert sum(not may_use(piece, "car") for piece in pieces) == 1


def test_a_locked_gate_parts_a_street_for_all(tmp_path):
    """Its stretch is left out, and counted."""
    path = town(tmp_path, [(7, [1, 2, 3], STREET)], {2: {"barrier": "gate", "locked": "yes"}})
    report = import_roads(path)
    assert [reach(report.pieces, mode) for mode in MODES] == [2, 2, 2]
    assert report.dropped == {"shut by a barrier (stretches)": 1}
    assert {island.modes for island in report.islands} == {MODES}


def test_a_bollard_on_a_path_without_cars_changes_nothing(tmp_path):
    """Whoever it would stop may not be there anyway."""
    path = town(tmp_path, [(7, [1, 2, 3], {"highway": "footway"})], {2: {"barrier": "bollard"}})
    assert len(read_osm(path).pieces) == 1


def test_a_barrier_on_a_junction_is_counted_and_shuts_nothing(tmp_path):
    """It does not say which of the streets it stands in."""
    ways = [(7, [1, 2, 3], STREET), (8, [2, 4], {"highway": "service"})]
    found = read_osm(town(tmp_path, ways, {2: {"barrier": "bollard"}}))
    assert all(may_use(piece, "car") for piece in found.pieces)
    assert found.tally.doubts == {"barrier on a junction: which way it shuts is not said": 1}


def test_a_barrier_at_a_dead_end_shuts_nothing(tmp_path):
    """Behind it is nothing."""
    found = read_osm(town(tmp_path, [(7, [1, 2], STREET)], {2: {"barrier": "bollard"}}))
    assert len(found.pieces) == 1
