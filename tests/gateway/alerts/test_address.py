"""What an alert's address adds to it on its way to the topic."""

from typing import Any

from tests.gateway.alerts.bench import desk
from tests.gateway.alerts.test_http import ALERT
from tests.gateway.door_bench import parts_for
from xiaohe.gateway.parts import Parts
from xiaohe.geo.address_points import AddressPoint
from xiaohe.geo.roads import RoadPiece


def street(road_id: str, name: str, *points: tuple[float, float]) -> RoadPiece:
    """A street of the area."""
    return RoadPiece(road_id=road_id, name=name, points=points, area_id="xiaohe")


def parts() -> Parts:
    """Three streets and a house."""
    made = parts_for()
    made.known.pieces = (
        street("湖州街/西", "湖州街", (120.14, 30.32), (120.141, 30.32)),
        street("湖州街/东", "湖州街", (120.141, 30.32), (120.142, 30.32)),
        street("永庆弄", "永庆弄", (120.142, 30.32), (120.142, 30.321)),
    )
    made.addresses = (AddressPoint("湖州街", "168号", 120.1405, 30.3201),)
    return made


async def written(address: str, **more: object) -> dict[str, Any]:
    """The alert that lies on the topic for an address."""
    alert = ALERT | {"position": None, "address": address} | more
    async with desk(parts()) as at:
        answer = await at.post("/v1/alerts", alert)
        assert answer.status_code == 202, answer.text
        (value,) = at.shelf.values()
        assert answer.json().get("address_match") == value.get("address_match")
    return value


async def test_a_known_house_gives_the_position_and_the_words_stay() -> None:
    """The caller's address is kept as stated, the place and how it is known stand beside it."""
    value = await written("湖州街１６８号 门口")
    assert value["address"] == "湖州街１６８号 门口"
    assert value["position"] == {"lon": 120.1405, "lat": 30.3201}
    assert (value["address_match"]["how"], value["address_match"]["score"]) == ("exact", 1.0)
    assert "lon" not in str(value["address_match"])


async def test_a_road_that_is_named_without_doubt_is_stated() -> None:
    """Half way along it is where the engine sends somebody."""
    value = await written("永庆弄口")
    assert (value["road_id"], value.get("position")) == ("永庆弄", None)


async def test_several_go_on_with_their_candidates_and_without_a_place() -> None:
    """Nobody is sent anywhere by a guess: the candidates are there for a person."""
    value = await written("湖州街")
    assert value.get("position") is None
    assert "road_id" not in value
    names = {each["road_id"] for each in value["address_match"]["candidates"]}
    assert names == {"湖州街/西", "湖州街/东"}
    assert set(value["road_candidates"]) == names


async def test_a_misspelt_name_alone_sends_nobody() -> None:
    """One letter off is a candidate, not a place."""
    value = await written("永庄弄")
    assert (value.get("position"), value.get("road_id")) == (None, None)
    assert value["address_match"]["misspelt"] is True
    assert value["road_candidates"] == ["永庆弄"]


async def test_what_is_surer_is_not_touched() -> None:
    """A position, or a road of the map, comes before the words; an unknown road does not."""
    position = {"lon": 120.1, "lat": 30.3}
    value = await written("湖州街168号", position=position)
    assert value["position"] == position
    assert "address_match" not in value
    assert "address_match" not in await written("湖州街168号", road_id="永庆弄")
    assert "address_match" in await written("湖州街168号", road_id="no such road")
