"""Addresses as people write them, on a small invented map."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geo.maps import pieces, place
from tests.geo.test_osm import CROSS, STREET, osm_file
from xiaohe.geo.address_points import AddressPoint, read_addresses, stated_addresses
from xiaohe.geo.address_words import number_key, plain_words
from xiaohe.geo.addresses import SURE_SCORE, AddressBook
from xiaohe.geo.files import load_addresses
from xiaohe.geo.importer import import_roads
from xiaohe.geo.roads import RoadsFileError, read_roads, write_roads

MAP = """
a---b---c---d
    |       |
    e---f---g   h---k
"""
ROADS = {
    "ab": {"name": "湖州街", "road_id": "湖州街/西", "area_id": "one"},
    "bc": {"name": "湖州街", "road_id": "湖州街/东", "area_id": "one"},
    "cd": {"name": "永庆弄", "road_id": "永庆弄", "area_id": "one"},
    "be": {"name": "Harbour Street", "road_id": "harbour", "area_id": "one"},
    "dg": {"name": "Old Mill Lane", "road_id": "mill", "area_id": "one"},
    "ef": {"name": "中山路", "road_id": "中山路/东园", "area_id": "one", "community": "东园社区"},
    "fg": {"name": "中山路", "road_id": "中山路/西园", "area_id": "one", "community": "西园社区"},
    "hk": {"name": "永庆弄", "road_id": "永庆弄二", "area_id": "two"},
}
HOUSES = (
    ("湖州街", "160号", "a"), ("湖州街", "168", "b"), ("湖州街", "168弄3号", "c"),
    ("湖州街", "170", "c"), ("Harbour Street", "7a", "e"), ("Harbour Street", "12", "b"),
    ("中山路", "1", "e"), ("中山路", "1", "g"),
)  # fmt: skip


def house(street: str, number: str, junction: str) -> AddressPoint:
    """A house at a junction of the map."""
    return AddressPoint(street, number, *place(MAP, junction))


BOOK = AddressBook(pieces(MAP, ROADS), (house(*each) for each in HOUSES))


@pytest.mark.parametrize(
    ("address", "how", "where"),
    [
        ("湖州街168号", "exact", "b"),
        ("湖州街１６８号", "exact", "b"),
        ("湖州街168號2幢301室", "exact", "b"),
        ("湖州街一百六十八号", "exact", "b"),
        ("湖州街一六八号", "exact", "b"),
        ("杭州市拱墅区湖州街 168 号附近", "exact", "b"),
        ("湖州街168弄3号", "exact", "c"),
        ("湖州街168弄", "exact", "b"),
        ("湖州街162号", "interpolated", None),
        ("湖州街9号", "several", None),
        ("湖州街", "several", None),
        ("永庆弄", "road", None),
        ("7A Harbour Street", "exact", "e"),
        ("Harbour St. 7a", "exact", "e"),
        ("HARBOUR ST, No. 12", "exact", "b"),
        ("12, Harbour St", "exact", "b"),
        ("Harbour Street", "road", None),
        ("Harbor Street 12", "exact", "b"),
        ("Harbor Street", "road", None),
        ("Old Mill Ln", "road", None),
        ("湖州街与永庆弄路口", "crossing", "c"),
        ("Harbour St / 中山路", "crossing", "e"),
        ("中山路1号", "several", None),
        ("中山路", "several", None),
        ("东园社区中山路", "road", None),
        ("Harbourstreetwise", "none", None),
        ("Nowhere Road", "none", None),
        ("", "none", None),
        ("168", "none", None),
    ],
)
def test_an_address_is_found_as_it_is_written(address: str, how: str, where: str | None) -> None:
    """How it was understood, and where that is on the map."""
    found = BOOK.resolve(address, "one")
    assert found.how == how, found
    if where is not None:
        assert found.place == pytest.approx(place(MAP, where))


def test_what_is_not_sure_is_no_place() -> None:
    """A road alone, several, or a misspelt name without a house send nobody by themselves."""
    for address in ("永庆弄", "湖州街", "中山路1号", "Harbor Street", "胡州街"):
        assert BOOK.resolve(address, "one").place is None
    assert BOOK.resolve("胡州街168号", "one").place == pytest.approx(place(MAP, "b"))
    assert BOOK.resolve("胡州街168号", "one").score == pytest.approx(0.75)
    assert BOOK.resolve("胡州街162号", "one").score < SURE_SCORE


def test_a_house_between_two_known_ones_lies_between_them() -> None:
    """162 is a quarter of the way from 160 to 168."""
    (lon, lat), (west, _), (east, _) = (
        BOOK.resolve("湖州街162号", "one").place, place(MAP, "a"), place(MAP, "b"),
    )  # fmt: skip
    assert lon == pytest.approx(west + (east - west) / 4)
    assert lat == pytest.approx(place(MAP, "a")[1])


def test_the_candidates_are_told() -> None:
    """A person who has to choose sees the roads, or the places, that may be meant."""
    roads = BOOK.resolve("湖州街", "one").candidates
    assert {each.road_id for each in roads} == {"湖州街/西", "湖州街/东"}
    places = BOOK.resolve("中山路1号", "one").candidates
    assert [(each.lon, each.lat) for each in places] == [
        pytest.approx(place(MAP, "e")),
        pytest.approx(place(MAP, "g")),
    ]


def test_the_areas_own_road_of_a_name_is_meant() -> None:
    """Another area's street of the same name is not asked for."""
    assert BOOK.resolve("永庆弄", "one").candidates[0].road_id == "永庆弄"
    assert BOOK.resolve("永庆弄", "two").candidates[0].road_id == "永庆弄二"
    assert len(BOOK.resolve("永庆弄").candidates) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    """Nothing that a caller may say fails, and a place is given only where the score is sure."""
    found = BOOK.resolve(text, "one")
    assert 0 <= found.score <= 1
    assert found.place is None or found.score >= SURE_SCORE


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Ｈａｒｂｏｕｒ　Ｓｔｒｅｅｔ", "harbour st"),
        ("湖州街 168 號", "湖州街168号"),
        ("一千零五号", "1005号"),
        ("十二弄", "12弄"),
        ("三元里", "三元里"),
        ("St. John's Road", "st john s rd"),
    ],
)
def test_words_are_brought_to_one_form(written: str, plain: str) -> None:
    """Width, case, marks, long words and Chinese numbers do not matter; names stay names."""
    assert plain_words(written) == plain


def test_house_numbers_are_brought_to_one_form() -> None:
    """What a caller says and what a map says meet."""
    assert {number_key(n) for n in ("168", "168号", "１６８ 号", "No. 168")} == {"168"}


def test_house_numbers_go_through_a_roads_file() -> None:
    """They are written beside the roads and read again; who knows them not reads the roads."""
    points = tuple(house(*each) for each in HOUSES)
    raw = write_roads(pieces(MAP, ROADS), stated_addresses(points))
    assert set(read_addresses(raw)) == set(points)
    assert len(read_roads(raw)) == len(pieces(MAP, ROADS))
    assert read_addresses(write_roads(pieces(MAP, ROADS))) == ()


@pytest.mark.parametrize(
    "stated",
    [
        b'{}', b'[7]', b'[{"street":"a","number":7,"lon":1,"lat":1}]',
        b'[{"street":"a","number":"7","lon":1,"lat":91}]',
        b'[{"street":"","number":"7","lon":1,"lat":1}]',
        b'[{"street":"a","number":"7","lon":true,"lat":1}]',
    ],
)  # fmt: skip
def test_a_bad_house_number_is_named(stated: bytes) -> None:
    """A file with one is refused, with its place in the list."""
    with pytest.raises(RoadsFileError, match="address"):
        read_addresses(b'{"addresses":' + stated + b"}")


def test_openstreetmaps_houses_are_imported(tmp_path) -> None:
    """A node and a building's outline with street and number become addresses of the roads file."""
    nodes = CROSS | {11: (0.0004, 10.0001), 12: (0.0006, 10.0001), 13: (0.0005, 10.0004)}
    tags = {"building": "yes", "addr:street": "长街", "addr:housenumber": "8号"}
    path = osm_file(
        tmp_path,
        nodes,
        [(7, [1, 2, 3], STREET), (8, [11, 12, 13], tags), (9, [4, 5], {"building": "yes"})],
    )
    text = path.read_text(encoding="utf-8").replace(
        '<node id="5" lon="0.001" lat="9.999" version="1"/>',
        '<node id="5" lon="0.001" lat="9.999" version="1">'
        '<tag k="addr:street" v="长街"/><tag k="addr:housenumber" v="9"/></node>',
    )
    path.write_text(text, encoding="utf-8")
    report = import_roads(path)
    assert {(a.street, a.number) for a in report.addresses} == {("长街", "8号"), ("长街", "9")}
    out = tmp_path / "roads.geojson"
    out.write_bytes(write_roads(report.pieces, stated_addresses(report.addresses)))
    assert len(load_addresses(out)) == 2
    assert AddressBook(report.pieces, load_addresses(out)).resolve("长街8号").how == "exact"
    again = import_roads(out)
    assert len(again.addresses) == 2
