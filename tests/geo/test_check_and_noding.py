"""What is wrong with a roads file, and how ways are made to meet."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.geo import extracts, maps
from xiaohe.geo.check import check_roads, errors_in, has_errors
from xiaohe.geo.network import Network
from xiaohe.geo.noding import node_roads
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import RoadPiece

SOUND = """
    a---b---c
    |   |   |
    d---e---f
"""


def way(road_id, *metres, **properties):
    """A way through points in metres on the drawings' plane, to the file's seven decimals."""
    points = [maps.CENTRE.to_deg(*point) for point in metres]
    rounded = tuple((round(lon, 7), round(lat, 7)) for lon, lat in points)
    return RoadPiece(road_id=road_id, points=rounded, **properties)


def codes(pieces):
    """The (severity, code, road_id) of what is wrong."""
    return [(p.severity, p.code, p.road_id) for p in check_roads(pieces)]


ACROSS = way("across", (-100, 0), (100, 0))
DOWN = way("down", (0, 100), (0, -100))


def test_nothing_is_wrong_with_a_sound_file():
    """Blocks of streets that meet at their ends give an empty list."""
    assert check_roads(maps.pieces(SOUND)) == []
    assert check_roads([]) == []


def test_a_crossing_without_a_common_vertex_is_an_error():
    """It is named by both roads and by where it is, with the command that mends it."""
    (problem,) = check_roads([ACROSS, DOWN])
    assert (problem.severity, problem.code, problem.road_id) == (
        "error",
        "unnoded_junction",
        "across",
    )
    assert "'down'" in problem.text
    assert "xiaohe roads import" in problem.text
    assert ground_distance_m(problem.lon, problem.lat, *maps.CENTRE.to_deg(0, 0)) < 0.1
    assert has_errors([problem])


@pytest.mark.parametrize("over", [{"layer": 1}, {"bridge": True}, {"layer": -1}])
def test_a_bridge_or_tunnel_does_not_meet_what_it_crosses(over):
    """Not in the check, and not in noding."""
    pieces = [ACROSS, replace(DOWN, **over)]
    assert not has_errors(check_roads(pieces))
    assert len(node_roads(pieces)) == 2


def test_a_vertex_in_the_middle_of_both_is_still_to_be_noded():
    """Pieces meet at end vertices; a common one on the way is not enough."""
    pieces = [way("x", (-100, 0), (0, 0), (100, 0)), way("y", (0, 100), (0, 0), (0, -100))]
    assert ("error", "unnoded_junction", "x") in codes(pieces)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (replace(ACROSS, road_id=" "), ("error", "missing_road_id", " ")),
        (way("dot", (0, 0), (0, 0)), ("error", "zero_length", "dot")),
        (
            replace(ACROSS, points=((30.32, 120.14), (30.33, 120.14))),
            ("error", "impossible_coordinates", "across"),
        ),
        (
            replace(ACROSS, points=((0.0, 0.0), (0.0, 0.1))),
            ("error", "impossible_coordinates", "across"),
        ),
        (replace(ACROSS, highway="tramway"), ("warning", "unknown_highway", "across")),
    ],
)
def test_a_broken_piece_is_named(broken, problem):
    """One bad piece among sound ones is told, by its road_id."""
    sound = [way(f"s{i}", (i * 10, 300), (i * 10 + 10, 300)) for i in range(5)]
    assert problem in codes([*sound, broken])


def test_swapped_coordinates_are_called_so():
    """Lat before lon is the commonest slip, and its own words."""
    swapped = replace(ACROSS, points=tuple(point[::-1] for point in ACROSS.points))
    sound = [way(f"s{i}", (i * 10, 300), (i * 10 + 10, 300)) for i in range(5)]
    (text,) = [p.text for p in check_roads([*sound, swapped]) if p.code == "impossible_coordinates"]
    assert "swapped" in text


def test_a_piece_drawn_twice_is_an_error_when_two_would_answer_for_it():
    """The same road twice is untidy; two roads on one course leave open whose it is."""
    turned = replace(ACROSS, points=ACROSS.points[::-1])
    assert codes([ACROSS, turned]) == [("warning", "duplicate", "across")]
    assert codes([ACROSS, replace(turned, road_id="other")]) == [("error", "duplicate", "other")]


def test_a_piece_without_area_among_others_with_one_is_told():
    """No area would answer for it."""
    pieces = maps.pieces("a---b---c", {"ab": {"area_id": "xiaohe"}})
    assert codes(pieces) == [("warning", "missing_area_id", "bc")]


def test_an_island_is_told_for_the_modes_that_cannot_leave_it():
    """A square behind steps is an island for wheels, not for feet."""
    drawing = """
        a---b---c
                :
                d-e
    """
    (problem,) = check_roads(maps.pieces(drawing, {"cd": {"highway": "steps"}}))
    assert (problem.severity, problem.code, problem.road_id) == ("warning", "island", "de")
    assert "ebike, car" in problem.text
    assert "walk" not in problem.text


def test_a_one_way_trap_is_told():
    """A street that leads in and none that leads out; for feet there is no trap."""
    drawing = """
        a---b->-c---d
    """
    problems = check_roads(maps.pieces(drawing))
    assert {(p.code, "walk" in p.text) for p in problems} == {
        ("one_way_trap", False),
        ("one_way_source", False),
    }


def test_one_ways_that_lead_round_are_no_trap():
    """A block that can be left again."""
    drawing = """
        a->-b
        ^   v
        c-<-d
    """
    assert check_roads(maps.pieces(drawing)) == []


def test_a_road_in_far_apart_places_is_told():
    """Two streets of one name at two ends of town are hardly one responsibility."""
    pieces = [
        way("长街", (0, 0), (900, 0)),
        way("link", (900, 0), (3000, 0)),
        way("长街", (3000, 0), (3100, 0)),
    ]
    assert codes(pieces) == [("warning", "scattered_road", "长街")]
    assert codes([*pieces[:1], replace(pieces[1], road_id="长街"), pieces[2]]) == []


def test_a_piece_that_crosses_itself_is_told():
    """A ramp may wind over itself; a street that does has a junction that nobody can use."""
    loop = way("loop", (0, 0), (100, 0), (50, 50), (50, -50))
    assert codes([loop]) == [("warning", "self_crossing", "loop")]
    assert codes([way("ring", (0, 0), (100, 0), (50, 50), (0, 0))]) == []


def test_the_errors_alone_are_those_of_the_whole_check():
    """Found quicker, for an import."""
    broken = [
        ACROSS,
        DOWN,
        replace(ACROSS, road_id="other"),
        replace(DOWN, road_id=""),
        way("dot", (0, 0), (0, 0)),
    ]
    assert errors_in(broken) == [p for p in check_roads(broken) if p.severity == "error"]
    swapped = [*broken, replace(ACROSS, points=tuple(point[::-1] for point in ACROSS.points))]
    assert errors_in(swapped)


def test_an_end_that_all_but_touches_is_told():
    """30 cm short of the street is a slip of the hand."""
    problems = codes([ACROSS, way("t", (0, 100), (0, 0.3))])
    assert ("warning", "near_miss", "t") in problems


# --- noding


def test_a_crossing_becomes_four_pieces_with_one_node():
    """Each keeps its road_id and properties."""
    pieces = node_roads([replace(ACROSS, highway="primary", oneway="yes"), DOWN])
    assert sorted(p.road_id for p in pieces) == ["across", "across", "down", "down"]
    assert {(p.highway, p.oneway) for p in pieces if p.road_id == "across"} == {("primary", "yes")}
    network = Network.build(pieces, "v")
    assert (network.node_count, network.edge_count) == (5, 4)


@pytest.mark.parametrize("gap_m", [0.0, 0.3, -0.3])
def test_a_t_junction_meets_though_drawn_a_little_short_or_long(gap_m):
    """An end on, before or past the street becomes a junction of three pieces."""
    pieces = node_roads([ACROSS, way("t", (10, 100), (10, gap_m))])
    network = Network.build(pieces, "v")
    assert (network.node_count, network.edge_count) == (4, 3)
    assert check_roads(pieces) == []


def test_ends_that_all_but_meet_become_one():
    """Two streets that end 30 cm apart go on into each other."""
    pieces = node_roads([ACROSS, way("on", (100.2, 0.2), (200, 0))])
    assert Network.build(pieces, "v").node_count == 3


def test_a_bridge_lands_on_the_street_along_the_bank():
    """Its ends meet the embankments' middles; what it passes over it does not meet."""
    bridge = way("bridge", (0, -100), (0, 100), bridge=True, layer=1)
    banks = [way("north", (-50, 100), (50, 100)), way("south", (-50, -100), (50, -100))]
    pieces = node_roads([bridge, *banks, ACROSS])
    assert sorted(p.road_id for p in pieces) == [
        "across",
        "bridge",
        "north",
        "north",
        "south",
        "south",
    ]
    assert Network.build(pieces, "v").node_count == 8


def test_a_common_vertex_is_a_junction_whatever_the_layers():
    """Who draws one means one."""
    pieces = [
        way("x", (-100, 0), (0, 0), (100, 0)),
        way("y", (0, 100), (0, 0), (0, -100), layer=1),
    ]
    assert len(node_roads(pieces)) == 4


def test_ways_that_share_a_stretch_are_cut_at_its_ends():
    """The stretch is then there twice, which the check tells."""
    pieces = node_roads([ACROSS, way("along", (-50, 0), (50, 0), (50, 50))])
    assert ("error", "duplicate", "along") in codes(pieces) or (
        "error",
        "duplicate",
        "across",
    ) in codes(pieces)
    assert not any(p.code == "unnoded_junction" for p in check_roads(pieces))


def test_streets_that_all_but_meet_in_one_point_are_noded_all_the_same():
    """Three that cross in a triangle of less than a metre: no crossing is left, none is near."""
    pieces = node_roads(
        [
            way("x", (-25, -75), (100, -25)),
            way("y", (-75, -125), (175, 25)),
            way("z", (100, 0), (25, -100)),
        ]
    )
    assert not [p for p in check_roads(pieces) if p.code in {"unnoded_junction", "near_miss"}]


def test_noding_goes_round_until_nothing_is_left():
    """A junction bends a way by up to the tolerance; what that makes it touch is noded as well."""
    scribble = [
        way("x", (-3.2, 0.8), (3.2, 2.4)),
        way("y", (-2.4, 0.8), (-2.8, 1.6)),
        way("z", (-2.4, 1.6), (-2.0, 0.4)),
    ]
    pieces = node_roads(scribble)
    assert node_roads(pieces) == pieces
    assert not any(p.code == "unnoded_junction" for p in check_roads(pieces))


def test_long_ways_with_many_crossings_are_noded_at_all():
    """Twenty across and twenty down, each drawn past the others with vertices of its own."""
    span = [n * 40 - 20 for n in range(22)]
    across = [way(f"a{i}", *((x, i * 40) for x in span)) for i in range(20)]
    down = [way(f"d{i}", *((i * 40, y) for y in span)) for i in range(20)]
    pieces = node_roads([*across, *down])
    assert len(pieces) == 2 * 20 * 21
    assert not has_errors(check_roads(pieces))


def test_a_noded_file_stays_as_it_is():
    """Noding twice is noding once, to the byte."""
    pieces = maps.pieces(SOUND)
    assert node_roads(pieces) == pieces


def test_what_has_no_length_is_left_out():
    """A dot is no way."""
    assert node_roads([way("dot", (0, 0), (0, 0))]) == ()


ways = st.lists(
    st.tuples(*[st.integers(-8, 8).map(lambda n: n * 25)] * 4).filter(lambda c: c[:2] != c[2:]),
    min_size=1,
    max_size=7,
    unique_by=lambda c: frozenset((c[:2], c[2:])),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ways)
def test_after_noding_no_crossing_is_left(ends):
    """Any straight ways on a raster: nothing to node is left, no length is lost, and noding again
    changes nothing."""
    raw = [way(f"w{i}", c[:2], c[2:]) for i, c in enumerate(ends)]
    pieces = node_roads(raw)
    assert not [p for p in check_roads(pieces) if p.code in {"unnoded_junction", "near_miss"}]
    assert set(node_roads(pieces)) == set(pieces)
    for piece in raw:
        own = Network.build([p for p in pieces if p.road_id == piece.road_id], "v")
        assert own.length_m.sum() == pytest.approx(
            ground_distance_m(*piece.points[0], *piece.points[-1]), abs=0.5
        )


@pytest.mark.parametrize("name", extracts.NAMES)
def test_an_imported_city_has_no_errors(name):
    """What remains to say of a real extract are warnings: its rim cuts roads off."""
    problems = check_roads(extracts.imported(name).pieces)
    assert not has_errors(problems)
