"""From a place, a road_id or an address to the road."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geo import maps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import RoadPiece
from xiaohe.geo.snap import Snapper

TWO_STREETS = """
    a---b
    c---d
"""


def beside(drawing, junction, east_m=0.0, north_m=0.0):
    """A place so many metres from a junction of the drawing."""
    x, y = maps.CENTRE.to_m(*maps.place(drawing, junction))
    return maps.CENTRE.to_deg(x + east_m, y + north_m)


def test_a_place_goes_to_the_nearest_road():
    """30 m below the upper of two streets 100 m apart is the upper one's, at its middle."""
    snapper = Snapper(maps.network(TWO_STREETS))
    lon, lat = beside(TWO_STREETS, "a", 100, -30)
    site = snapper.snap(lon, lat)
    assert site.road_id == "ab"
    assert site.spot.frac == pytest.approx(0.5, abs=1e-4)
    assert site.off_road_m == pytest.approx(30, abs=0.1)
    assert (site.lon, site.lat) == (lon, lat)
    assert (site.access_lon, site.access_lat) == pytest.approx(
        beside(TWO_STREETS, "a", 100), abs=1e-6
    )


def test_the_stated_road_wins_where_it_is_near():
    """Between two streets the caller's word decides, up to 50 m and no farther."""
    snapper = Snapper(maps.network(TWO_STREETS))
    near_both = beside(TWO_STREETS, "a", 100, -52)
    assert snapper.snap(*near_both).road_id == "cd"
    assert snapper.snap(*near_both, prefer_road="ab", prefer_within_m=55).road_id == "ab"
    assert snapper.snap(*near_both, prefer_road="ab").road_id == "cd"
    assert snapper.snap(*near_both, prefer_road="not on the map").road_id == "cd"


def test_too_far_from_every_road_is_off_the_road():
    """Beyond the limit there is no site; without a limit there is one, however far."""
    snapper = Snapper(maps.network(TWO_STREETS))
    lake = beside(TWO_STREETS, "a", 0, 310)
    assert snapper.snap(*lake) is None
    assert snapper.snap(*lake, max_m=320).off_road_m == pytest.approx(310, abs=0.1)
    assert snapper.snap(*lake, max_m=inf).road_id == "ab"


def test_a_place_past_the_end_is_at_the_end_exactly():
    """The end of a road is share 0 or 1, not nearly so: there one may turn any way."""
    snapper = Snapper(maps.network(TWO_STREETS))
    assert snapper.snap(*beside(TWO_STREETS, "a", -20, 5)).spot.frac == 0.0
    assert snapper.snap(*beside(TWO_STREETS, "b", 20, 5)).spot.frac == 1.0


def test_a_road_that_nobody_can_use_is_never_found():
    """A private drive is no place to send anybody; the street beside it is."""
    snapper = Snapper(maps.network(TWO_STREETS, {"ab": {"access": "private"}}))
    assert snapper.snap(*beside(TWO_STREETS, "a", 100, 10)).road_id == "cd"
    assert snapper.snap_road("ab") is None


def test_a_mode_finds_its_own_roads():
    """For a car the footway at one's feet does not count."""
    drawing = """
        a...b
        c---d
    """
    snapper = Snapper(maps.network(drawing))
    there = beside(drawing, "a", 100, -10)
    assert snapper.snap(*there).road_id == "ab"
    assert snapper.snap(*there, mode="car").road_id == "cd"


@given(data=st.data())
def test_snapping_is_exact(data):
    """No edge is nearer than the one found: held against measuring every edge."""
    drawing = """
        a--b---c
        |  |   |
        d..e---f
    """
    network = maps.network(drawing)
    x = data.draw(st.floats(-200, 600))
    y = data.draw(st.floats(-400, 200))
    site = Snapper(network).snap(*maps.CENTRE.to_deg(x, y), max_m=inf)
    distances = [line.distance(type(line.centroid)(x, y)) for line in network.shapes.lines()]
    assert site.off_road_m == pytest.approx(min(distances), abs=1e-6)


def test_the_middle_of_a_road_is_half_way_along_its_longest_run():
    """Two arms of 200 m and a stray piece: the middle is where the arms meet."""
    drawing = """
        a---b---c   d--e
    """
    same = {"road_id": "长街"}
    network = maps.network(drawing, {"ab": same, "bc": same, "de": same})
    site = Snapper(network).snap_road("长街")
    assert (site.access_lon, site.access_lat) == pytest.approx(maps.place(drawing, "b"), abs=1e-6)
    assert site.off_road_m == 0.0
    assert (site.lon, site.lat) == (site.access_lon, site.access_lat)


def test_the_middle_lies_within_a_piece_whichever_way_it_is_drawn():
    """A piece of 300 m and one of 100 m: the middle is 200 m along the long one."""
    drawing = "a------b--c"
    same = {"road_id": "r"}
    for turned in (False, True):
        pieces = maps.pieces(drawing, {"ab": same, "bc": same})
        if turned:
            pieces = tuple(RoadPiece(road_id="r", points=piece.points[::-1]) for piece in pieces)
        network = Network.build(pieces, "v", maps.CENTRE)
        site = Snapper(network).snap_road("r")
        expected = maps.CENTRE.to_deg(5 * maps.COLUMN_M, 0)
        assert (site.lon, site.lat) == pytest.approx(expected, abs=1e-6)


def test_the_middle_of_a_ring_is_on_it():
    """A road that is one loop has a middle too."""
    ring = RoadPiece(
        road_id="ring", points=((120.0, 30.0), (120.001, 30.0), (120.001, 30.001), (120.0, 30.0))
    )
    assert Snapper(Network.build([ring], "v")).snap_road("ring").spot == (0, 0.5)


def test_an_unknown_road_has_no_middle():
    """A road_id that is not on the map is None, not an error: the alert opens all the same."""
    assert Snapper(maps.network(TWO_STREETS)).snap_road("zz") is None


NAMES = {
    "ab": {"road_id": "小河直街", "name": "小河直街"},
    "cd": {"road_id": "小河", "name": "小河"},
}


def test_an_address_names_its_road():
    """A road's name inside an address finds it; the longest match stands, not what is in it."""
    snapper = Snapper(maps.network(TWO_STREETS, NAMES))
    assert snapper.find_address("拱墅区小河直街12号") == ["小河直街"]
    assert snapper.find_address("小河直街近小河") == ["小河直街", "小河"]
    assert snapper.find_address("某地") == []
    assert snapper.find_address("") == []


def test_a_latin_name_is_found_as_whole_words_in_any_case():
    """Full-width letters and capitals do not matter; a name inside another word is not there."""
    snapper = Snapper(maps.network(TWO_STREETS, {"ab": {"road_id": "w/1", "name": "Pratt Street"}}))
    assert snapper.find_address("12 PRATT STREET, Baltimore") == ["w/1"]
    assert snapper.find_address("Ｐｒａｔｔ　Ｓｔｒｅｅｔ 5") == ["w/1"]
    assert snapper.find_address("Spratt Streets") == []


def test_of_roads_with_one_name_the_community_decides():
    """Two lanes of one name: that of the community in the address comes first."""
    changes = {
        "ab": {"road_id": "a/和睦路", "name": "和睦路", "community": "东苑"},
        "cd": {"road_id": "b/和睦路", "name": "和睦路", "community": "西苑"},
    }
    snapper = Snapper(maps.network(TWO_STREETS, changes))
    assert snapper.find_address("西苑社区和睦路3号") == ["b/和睦路", "a/和睦路"]
    assert snapper.find_address("和睦路3号") == ["a/和睦路", "b/和睦路"]
