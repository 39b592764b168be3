"""The drawing is the source of the files, and says so where it contradicts itself."""

from pathlib import Path

import pytest
from shapely.geometry import LineString

import xiaohe.data
from xiaohe.data.drawing.crossings import bridge_waters
from xiaohe.data.drawing.draw import draw
from xiaohe.data.drawing.layout import Layout, lay_out
from xiaohe.data.drawing.source import XY, Bridge, DrawingError, Street, Water
from xiaohe.data.drawing.units import road_ids

DATA = Path(xiaohe.data.__file__).parent


def street(name: str, *points: XY, cut: tuple[str, ...] = ()) -> Street:
    """Give a street through these points, in metres."""
    return Street(name=name, highway="residential", points=points, cut=cut)


def water(name: str, *points: XY) -> Water:
    """Give a river of 20 m along these points."""
    course = LineString(points)
    return Water(name=name, name_en=name, kind="river", course=course, surface=course.buffer(10))


def ends(layout: Layout, name: str) -> list[tuple[XY, XY]]:
    """Give from where to where each piece of a street runs."""
    return [
        (piece.points[0], piece.points[-1]) for piece in layout.pieces if piece.street.name == name
    ]


def test_drawing_again_gives_the_same_bytes():
    """What lies in data/ is what the drawing gives, byte for byte."""
    files = draw()
    assert sorted(files) == ["area.geojson", "places.geojson", "roads.geojson", "roster.json"]
    for name, content in files.items():
        assert content == (DATA / name).read_bytes(), f"{name}: run the drawing again"


def test_streets_that_cross_meet_at_one_node():
    """A crossing cuts both streets at the same point."""
    layout = lay_out([street("a", (-100, 0), (100, 0)), street("b", (0, -100), (0, 100))])
    assert ends(layout, "a") == [((-100, 0), (0, 0)), ((0, 0), (100, 0))]
    assert ends(layout, "b") == [((0, -100), (0, 0)), ((0, 0), (0, 100))]


@pytest.mark.parametrize("gap_m", [-20, 0, 20])
def test_an_end_near_a_street_is_drawn_on_to_it(gap_m: int):
    """A rough end short of a street, or just past it, meets it."""
    layout = lay_out([street("a", (-100, 0), (100, 0)), street("b", (0, 100), (0, gap_m))])
    assert ends(layout, "b")[0] == ((0, 100), (0, 0))
    assert len(ends(layout, "a")) == 2


def test_an_end_far_from_every_street_stays_where_it_is():
    """A dead end is kept as drawn."""
    layout = lay_out([street("a", (-100, 0), (100, 0)), street("b", (0, 100), (0, 40))])
    assert ends(layout, "b") == [((0, 100), (0, 40))]
    assert len(ends(layout, "a")) == 1


def test_two_streets_on_one_course_are_refused():
    """Nobody could say whose the common stretch is."""
    with pytest.raises(DrawingError, match="a and b run along each other"):
        lay_out([street("a", (-100, 0), (100, 0)), street("b", (-50, 0), (50, 0))])


def test_a_long_street_is_cut_where_the_drawing_says():
    """Units run from one named crossing to the next; other crossings do not divide them."""
    main = street("main", (0, 0), (600, 0), cut=("west", "east", "far"))
    others = [
        street(name, (x, -50), (x, 50))
        for name, x in (("west", 0), ("lane", 150), ("east", 300), ("far", 600))
    ]
    layout = lay_out([main, *others])
    pieces = [piece for piece in layout.pieces if piece.street.name == "main"]
    assert road_ids(main, pieces, layout) == ["main/west-east", "main/west-east", "main/east-far"]


def test_a_cut_at_a_street_that_is_not_met_is_refused():
    """The drawing names the street whose `cut` is wrong."""
    main = street("main", (0, 0), (600, 0), cut=("west", "nowhere"))
    layout = lay_out([main, street("west", (0, -50), (0, 50))])
    with pytest.raises(DrawingError, match="main does not meet nowhere"):
        road_ids(main, layout.pieces, layout)


def test_a_long_street_without_cuts_is_refused():
    """One person cannot answer for a whole main road."""
    main = street("main", (0, 0), (701, 0))
    layout = lay_out([main])
    with pytest.raises(DrawingError, match="main is 701 m long"):
        road_ids(main, layout.pieces, layout)


def test_a_bridge_is_cut_out_of_its_street():
    """Ground, bridge on layer 1 with its abutments, ground."""
    layout = lay_out([street("a", (-100, 0), (100, 0))])
    bridge = Bridge(name="b", name_en="b", street="a", over="r")
    rows = [("a", piece) for piece in layout.pieces]
    parts = [piece for _, piece in bridge_waters(rows, [water("r", (0, -50), (0, 50))], [bridge])]
    assert [(part.layer, part.bridge) for part in parts] == [(0, None), (1, "b"), (0, None)]
    assert parts[1].line.bounds == pytest.approx((-15, 0, 15, 0))


def test_a_street_into_the_water_is_refused():
    """A river is a barrier unless a bridge is drawn."""
    layout = lay_out([street("a", (-100, 0), (100, 0))])
    rows = [("a", piece) for piece in layout.pieces]
    with pytest.raises(DrawingError, match="a runs into r: draw a bridge"):
        bridge_waters(rows, [water("r", (0, -50), (0, 50))], [])


def test_a_bridge_without_water_is_refused():
    """A bridge whose street was moved away is not forgotten."""
    layout = lay_out([street("a", (-100, 0), (100, 0))])
    rows = [("a", piece) for piece in layout.pieces]
    bridge = Bridge(name="b", name_en="b", street="a", over="r")
    with pytest.raises(DrawingError, match="no water under b"):
        bridge_waters(rows, [water("r", (500, -50), (500, 50))], [bridge])
