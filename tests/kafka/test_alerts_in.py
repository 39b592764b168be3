"""Alerts through the gateway's doors reach members as orders, on the whole product's Kafka."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.running import connected_parts, running_gateway
from tests.kafka.city import City
from tests.kafka.outside import WAIT_S, Client, Value
from xiaohe.gateway.alerts.feed_file import load_feeds
from xiaohe.gateway.alerts.open311 import read_services
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.geo.address_points import AddressPoint
from xiaohe.geo.files import load_pieces
from xiaohe.places import PACKAGE, SERVICES
from xiaohe.topics import load_topics

pytestmark = pytest.mark.kafka

TOKEN = {"authorization": "Bearer call-system"}
GAS = (Path(__file__).parents[1] / "data" / "alerts" / "gas.xml").read_text(encoding="utf-8")
NUMBER = "9999号"
"""A house number that the map does not have; the test puts the house where it is wanted."""


@pytest.fixture(scope="module")
def spot(own_city: City) -> tuple[float, float]:
    """Where all of it happens."""
    scene, _ = own_city.around(random.Random("alerts in"), [20])
    return scene.lon, scene.lat


@pytest.fixture(scope="module")
def url(servers: str, own_city: City, spot: tuple[float, float]) -> Iterator[str]:
    """A gateway beside the product's own, whose doors ask nobody for a key."""

    def parts() -> Parts:
        made = connected_parts(servers, load_topics())
        pieces, _ = load_pieces(own_city.path)
        made.known = Known(made.known.policy, pieces)
        made.addresses = (AddressPoint(str(pieces[0].name), NUMBER, *spot),)
        made.feeds = load_feeds(PACKAGE / "data" / "feeds")
        made.services = read_services(SERVICES.read_bytes(), "services")
        return made

    with running_gateway(parts) as where:
        yield where


@pytest.fixture
async def door(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    async with httpx.AsyncClient(base_url=url, headers=TOKEN, timeout=WAIT_S) as client:
        yield client


async def posted(door: httpx.AsyncClient, path: str, **request: object) -> httpx.Response:
    """Post; again while the gateway has not heard of the area's first member yet."""
    deadline = time.monotonic() + WAIT_S
    while True:
        answer = await door.post(path, **request)
        if "unknown_area" not in answer.text or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.05)


async def told(door: httpx.AsyncClient, path: str, wanted: str) -> Value:
    """Ask for a request's status until it is as wanted."""
    deadline = time.monotonic() + WAIT_S
    while True:
        answer = await door.get(path)
        found = answer.json()[0] if answer.status_code == 200 else {}
        if found.get("status_notes") == wanted or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


async def test_an_alert_over_http_is_an_order_and_the_same_again_is_nothing(
    client: Client, door: httpx.AsyncClient, spot: tuple[float, float]
) -> None:
    """202 means that it lies in the log, the order follows; sent again it changes nothing."""
    area = client.name("area")
    post = {"lon": spot[0], "lat": spot[1]}
    member = await client.member(area, post=post)
    alert = client.an_alert(area_id=area, position=post)
    first = await posted(door, "/v1/alerts", json=alert)
    assert first.status_code == 202, first.text
    order = await client.order(alert["alert_id"])
    again = await posted(door, "/v1/alerts", json=[alert, alert])
    assert again.status_code == 202
    marker = client.an_alert(area_id=area, position=post, category="marker")
    await posted(door, "/v1/alerts", json=marker)
    await client.opened(marker["alert_id"])
    incident_id = order["incident_id"]
    assert order["member_id"] == member
    assert len(client.orders(alert["alert_id"])) == 1
    assert not client.of("incident-events", incident_id=incident_id, type="alert.attached")


async def test_an_address_with_a_house_number_is_where_somebody_is_sent(
    client: Client, door: httpx.AsyncClient, own_city: City, spot: tuple[float, float]
) -> None:
    """The words of a caller become the place of the incident."""
    area = client.name("area")
    await client.member(area, post={"lon": spot[0], "lat": spot[1]})
    pieces, _ = load_pieces(own_city.path)
    alert = client.an_alert(area_id=area, address=f"{pieces[0].name}{NUMBER}门口")
    answer = await posted(door, "/v1/alerts", json=alert)
    assert answer.json()["address_match"]["how"] == "exact"
    opened = await client.opened(alert["alert_id"])
    at = opened["data"]["position"]
    assert (at["lon"], at["lat"]) == pytest.approx(spot, abs=1e-6)
    await client.order(alert["alert_id"])


async def test_a_cap_message_is_an_order_and_its_cancel_ends_it(
    client: Client, door: httpx.AsyncClient, spot: tuple[float, float]
) -> None:
    """What was withdrawn by its sender is cancelled, and whoever was on the way is told."""
    area, name = client.name("area"), client.name("gas")
    await client.member(area, post={"lon": spot[0], "lat": spot[1]})
    circle = f"{spot[1]},{spot[0]} 0.1"
    message = GAS.replace("30.3298,120.1406 0.2", circle).replace("GAS-2030-0131-7", name)
    xml = {"content-type": "application/cap+xml"}
    path = f"/v1/alerts/cap?area_id={area}"
    answer = await posted(door, path, content=message, headers=xml)
    assert answer.status_code == 202, answer.text
    order = await client.order(answer.json()["alert_id"])
    reference = f"<references>duty@gas.example,{name},2030-01-31T08:00:00+08:00</references>"
    cancel = message.replace("<msgType>Alert", "<msgType>Cancel").replace(name, f"{name}-c", 1)
    cancel = cancel.replace("</scope>", f"</scope>{reference}")
    withdrawn = await posted(door, path, content=cancel, headers=xml)
    assert withdrawn.json()["cancels"] == order["incident_id"]
    assert (await client.ended(order))["end"] == "cancelled"


async def test_a_request_of_open311_is_open_until_it_is_over(
    client: Client, door: httpx.AsyncClient, spot: tuple[float, float]
) -> None:
    """Its status follows the incident as it goes on."""
    area = client.name("area")
    await client.member(area, post={"lon": spot[0], "lat": spot[1]})
    form = {"jurisdiction_id": area, "service_code": "lamp", "lat": spot[1], "long": spot[0]}
    created = await posted(door, "/v1/open311/requests.json", data=form)
    assert created.status_code == 201, created.text
    request = created.json()[0]["service_request_id"]
    order = await client.order(request)
    path = f"/v1/open311/requests/{request}.json?jurisdiction_id={area}"
    assert (await told(door, path, "dispatched"))["status"] == "open"
    await client.answer(order, "complete", outcome="mended")
    assert (await told(door, path, "resolved"))["status"] == "closed"


async def test_another_systems_own_json_is_an_incident(
    client: Client, door: httpx.AsyncClient, spot: tuple[float, float]
) -> None:
    """An event in somebody else's words becomes an incident of the area that its file names."""
    call = client.name("call")
    event = {"uuid": call, "tsMs": 1_896_048_000_000, "algorithm": "smoke", "score": 90}
    body = {"event": event, "camera": {"name": "east", "gps": list(spot)}}
    path = "/v1/feeds/example-camera"
    answer = await posted(door, path, json=body)
    assert answer.status_code == 202, answer.text
    opened = await client.opened(f"cam:{call}")
    assert (opened["data"]["source"], opened["data"]["category"]) == ("camera", "smoke")
