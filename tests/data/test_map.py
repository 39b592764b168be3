"""The map of Xiaohe: what must hold on the ground."""

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest
from shapely import STRtree
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

import xiaohe.data
from xiaohe.geo.check import check_roads
from xiaohe.geo.components import strong_components
from xiaohe.geo.modes import directions, may_use
from xiaohe.geo.noding import node_roads
from xiaohe.geo.projection import Projection, ground_distance_m
from xiaohe.geo.roads import MODES, RoadPiece

DATA = Path(xiaohe.data.__file__).parent
PLANE = Projection(120.133, 30.315)
COMMUNITIES = {
    "大浒路社区",
    "紫荆家园社区",
    "长征桥社区",
    "小河社区",
    "明真宫社区",
    "董家新村社区",
    "娑婆桥社区",
    "余杭塘路社区",
    "塘河新村社区",
}
TRUE_ROADS = {
    "莫干山路",
    "登云路",
    "小河路",
    "上塘路",
    "上塘高架",
    "湖墅北路",
    "丽水路",
    "大关路",
    "和睦路",
    "赵伍路",
    "教工路",
    "衢州路",
    "湖州路",
    "育苗路",
    "石祥路",
    "桥弄街",
    "小河直街",
    "桥西直街",
    "金华路",
    "余杭塘路",
}
KNOWN_CROSSINGS = {
    ("莫干山路", "登云路"): (120.1203, 30.3089),
    ("莫干山路", "小河路"): (120.1252, 30.3056),
    ("莫干山路", "教工路"): (120.1308, 30.3017),
    ("教工路", "余杭塘路"): (120.1300, 30.2954),
    ("登云路", "湖墅北路"): (120.1256, 30.3140),
    ("登云路", "上塘路"): (120.1425, 30.3158),
    ("大关路", "上塘路"): (120.1434, 30.3094),
    ("大关路", "和睦路"): (120.1344, 30.3043),
    ("衢州路", "湖州路"): (120.1267, 30.3251),
    ("衢州路", "育苗路"): (120.1274, 30.3316),
    ("小河路", "湖州路"): (120.1316, 30.3263),
    ("小河路", "育苗路"): (120.1306, 30.3300),
}
LEEWAY_M = 60.0
"""How far the drawing may lie from a crossing's known place, itself good to some tens of metres."""


def to_m(lonlat) -> tuple[float, float]:
    """Give a place in degrees in metres."""
    return PLANE.to_m(*lonlat[:2])


def line(piece: RoadPiece) -> LineString:
    """Give a piece in metres."""
    return LineString([to_m(point) for point in piece.points])


def surface(feature: dict) -> Polygon:
    """Give a polygon feature in metres."""
    return Polygon([to_m(point) for point in feature["geometry"]["coordinates"][0]])


def of_kind(features: list[dict], *kinds: str) -> list[dict]:
    """Give the features of these kinds."""
    return [feature for feature in features if feature["properties"]["kind"] in kinds]


def test_it_is_as_large_as_the_sub_district(area_features):
    """The border encloses 6.38 km², and says so."""
    (boundary,) = of_kind(area_features, "boundary")
    area_km2 = surface(boundary).area / 1e6
    assert area_km2 == pytest.approx(6.38, abs=0.02)
    assert boundary["properties"]["area_km2"] == pytest.approx(area_km2, abs=0.001)


def test_it_has_as_many_pieces_as_a_dispatch_needs(pieces):
    """Hundreds of pieces, each a block or so long, on units that one person can walk."""
    assert 350 <= len(pieces) <= 650
    lengths_m: dict[str, float] = defaultdict(float)
    for piece in pieces:
        assert 14 <= line(piece).length <= 950
        lengths_m[piece.road_id] += line(piece).length
    streets = {road: m for road, m in lengths_m.items() if not road.startswith("上塘高架")}
    assert len(lengths_m) >= 200
    assert max(streets.values()) <= 1100


def test_every_road_lies_in_the_area(pieces, area_features):
    """Nothing leaves the border."""
    (boundary,) = of_kind(area_features, "boundary")
    border = surface(boundary)
    assert [piece.road_id for piece in pieces if not border.contains(line(piece))] == []


def test_the_roads_check_finds_nothing(pieces):
    """Neither an error nor a warning."""
    assert check_roads(pieces) == []


def test_noding_it_again_changes_nothing(pieces):
    """The file is noded as it is."""
    noded = node_roads(pieces)
    assert sorted(piece.points for piece in noded) == sorted(piece.points for piece in pieces)


def test_pieces_cross_only_where_one_is_above_the_other(pieces):
    """Two pieces of one level touch at common ends or not at all."""
    lines = [line(piece) for piece in pieces]
    tree = STRtree(lines)
    crossings_above = 0
    for i, j in zip(*tree.query(lines, predicate="intersects").tolist(), strict=True):
        if i >= j:
            continue
        one, other = pieces[i], pieces[j]
        common = {one.points[0], one.points[-1]} & {other.points[0], other.points[-1]}
        beyond = lines[i].intersection(lines[j]) - unary_union(
            [Point(to_m(point)).buffer(0.2) for point in common]
        )
        if not beyond.is_empty:
            assert one.layer != other.layer, (one.road_id, other.road_id)
            crossings_above += 1
    assert crossings_above > 0, "the viaduct passes over the streets that meet the one below"


@pytest.mark.parametrize("mode", MODES)
def test_everybody_gets_everywhere(pieces, mode):
    """On foot, by e-bike and by car, each end that the mode can reach leads to each other one."""
    number: dict[tuple[float, float], int] = {}
    leaving: list[list[int]] = []
    for piece in pieces:
        if not may_use(piece, mode):
            continue
        ends = []
        for end in (piece.points[0], piece.points[-1]):
            if end not in number:
                number[end] = len(leaving)
                leaving.append([])
            ends.append(number[end])
        forward, backward = directions(piece, mode)
        if forward:
            leaving[ends[0]].append(ends[1])
        if backward:
            leaving[ends[1]].append(ends[0])
    assert len(leaving) > 300
    assert len(set(strong_components(leaving))) == 1


def test_water_is_crossed_on_bridges_alone(pieces, area_features):
    """Canal, rivers and creek are barriers for every other piece."""
    water = unary_union(
        [surface(feature) for feature in of_kind(area_features, "canal", "river", "stream")]
    )
    wet = [piece for piece in pieces if line(piece).intersection(water).length > 0]
    assert [piece.road_id for piece in wet if not (piece.bridge and piece.layer == 1)] == []
    assert 15 <= len(wet) <= 25


def test_the_canal_has_few_bridges(road_features, area_features):
    """Four lead over the Grand Canal, one of them on foot."""
    canal = unary_union([surface(feature) for feature in of_kind(area_features, "canal")])
    over = {
        feature["properties"]["bridge_name"]
        for feature in road_features
        if LineString([to_m(p) for p in feature["geometry"]["coordinates"]]).crosses(canal)
    }
    assert over == {"登云大桥", "拱宸桥", "湖州路运河桥", "大关桥"}


def test_without_its_bridges_the_canal_parts_the_map(pieces, road_features):
    """East and west hang together by the four bridges and nothing else."""
    names = {"登云大桥", "拱宸桥", "湖州路运河桥", "大关桥"}
    number: dict[tuple[float, float], int] = {}
    links: list[list[int]] = []
    for feature in road_features:
        if feature["properties"].get("bridge_name") in names:
            continue
        coordinates = feature["geometry"]["coordinates"]
        ends = []
        for end in (tuple(coordinates[0]), tuple(coordinates[-1])):
            if end not in number:
                number[end] = len(links)
                links.append([])
            ends.append(number[end])
        links[ends[0]].append(ends[1])
        links[ends[1]].append(ends[0])
    sizes = sorted(Counter(strong_components(links)).values())
    assert len(sizes) == 2
    assert sizes[0] > 100


def test_the_true_roads_are_there(road_features):
    """Each true name is on the map, and not marked as made up."""
    made_up = {f["properties"]["name"]: f["properties"]["invented"] for f in road_features}
    assert {name for name in TRUE_ROADS if made_up.get(name, True)} == set()
    assert sum(made_up.values()) > 100, "the lanes between them are marked as made up"


@pytest.mark.parametrize(("streets", "known"), KNOWN_CROSSINGS.items())
def test_known_crossings_are_where_they_are(pieces, streets, known):
    """The main roads run as the known points of their crossings say."""
    ends = [
        {
            end
            for piece in pieces
            if piece.name == name
            for end in (piece.points[0], piece.points[-1])
        }
        for name in streets
    ]
    distances_m = [ground_distance_m(*end, *known) for end in ends[0] & ends[1]]
    assert min(distances_m) <= LEEWAY_M


def test_the_viaduct_is_apart_from_the_road_below(pieces):
    """上塘高架 is one-way, on layer 1, for cars, and joins the ground at its ends alone."""
    above = [piece for piece in pieces if piece.name == "上塘高架"]
    ground = {
        end
        for piece in pieces
        if piece.name != "上塘高架"
        for end in (piece.points[0], piece.points[-1])
    }
    assert all(piece.bridge and piece.layer == 1 and piece.oneway == "yes" for piece in above)
    assert not any(may_use(piece, "ebike") or may_use(piece, "walk") for piece in above)
    joints = {end for piece in above for end in (piece.points[0], piece.points[-1])} & ground
    assert len(joints) == 2
    carriageways = [line(piece) for piece in above if piece.highway == "trunk"]
    below = unary_union([line(piece) for piece in pieces if piece.name == "上塘路"])
    assert all(below.distance(carriageway) > 5 for carriageway in carriageways)


def test_the_historic_quarters_are_for_walking(pieces):
    """小河直街 and 桥西直街 and the lanes beside them are shut to cars."""
    for name in ("小河直街", "桥西直街", "酱园弄", "船帮弄", "拱宸桥"):
        own = [piece for piece in pieces if piece.name == name]
        assert own
        assert not any(may_use(piece, "car") for piece in own)
        assert all(may_use(piece, "walk") for piece in own)


def test_some_lanes_are_one_way(pieces):
    """One-ways are drawn in both directions, apart from the viaduct."""
    lanes = {piece.name: piece.oneway for piece in pieces if piece.name != "上塘高架"}
    counts = Counter(lanes.values())
    assert counts["yes"] >= 8
    assert counts["-1"] >= 6


def test_every_piece_says_who_and_where(pieces):
    """Area, community, beat and speed limit are on each piece, one of each on a road."""
    by_road: dict[str, set] = defaultdict(set)
    for piece in pieces:
        assert piece.area_id == "xiaohe"
        assert piece.name
        assert piece.road_id.split("/")[0] == piece.name
        assert piece.maxspeed_kmh
        by_road[piece.road_id].add((piece.community, piece.beat))
    assert {len(found) for found in by_road.values()} == {1}
    assert {piece.community for piece in pieces} == COMMUNITIES
    assert len({piece.beat for piece in pieces}) == 12


def test_the_communities_share_out_the_area(area_features):
    """Nine, without gap or overlap."""
    parts = of_kind(area_features, "community")
    (boundary,) = of_kind(area_features, "boundary")
    assert {part["properties"]["name"] for part in parts} == COMMUNITIES
    surfaces = [surface(part) for part in parts]
    assert all(each.is_valid and each.area > 50_000 for each in surfaces)
    assert sum(each.area for each in surfaces) == pytest.approx(surface(boundary).area, rel=1e-4)
    assert all(a.intersection(b).area < 20 for a, b in combinations(surfaces, 2))


def test_the_places_are_there_and_on_known_roads(places, pieces):
    """What a demo needs, each with the road that leads past it."""
    kinds = Counter(place["properties"]["kind"] for place in places)
    assert kinds["school_gate"] >= 4
    assert kinds["community_office"] == 9
    assert kinds["post"] == 12
    assert kinds["market"] >= 1
    assert {"command_centre", "police_station", "hospital", "business_quarter"} <= set(kinds)
    names = [place["properties"]["name"] for place in places]
    assert {"远洋乐堤港", "万通中心", "运河CBD", "小河网驿指挥中心", "大关桥"} <= set(names)
    lines: dict[str, list[LineString]] = defaultdict(list)
    for piece in pieces:
        lines[piece.road_id].append(line(piece))
    for place in places:
        own = place["properties"]
        assert own["name_en"].isascii()
        assert isinstance(own["invented"], bool)
        at = Point(to_m(place["geometry"]["coordinates"]))
        assert min(at.distance(each) for each in lines[own["road_id"]]) <= 80


def test_the_readme_counts_right(road_features, places, pieces):
    """The figures in data/README.md are those of the files."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    roads = len({piece.road_id for piece in pieces})
    length_km = round(sum(line(piece).length for piece in pieces) / 1000)
    assert f"{len(road_features)} pieces, {roads} `road_id`s, {length_km} km" in readme
    assert f"{len(places)} points" in readme
