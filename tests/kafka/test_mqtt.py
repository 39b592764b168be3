"""OwnTracks over a real Mosquitto, into the real Kafka."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from tests.gateway.fleet import NOON_MS, Fleet
from tests.kafka.mosquitto import Mosquitto, mosquitto, trusting
from tests.kafka.test_drain import COME_S, reading
from xiaohe.broker import Broker
from xiaohe.gateway.positions.asking import Asking
from xiaohe.gateway.positions.mqtt import OwnTracksOverMqtt
from xiaohe.gateway.positions.settings import MqttSettings
from xiaohe.gateway.publisher import Publisher
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

PHONE = "owntracks/jane/phone"


def location(n: int = 0, **more: object) -> bytes:
    """What the app sends of where it is."""
    said = {"_type": "location", "lat": 30.31, "lon": 120.14, "tst": NOON_MS // 1000 - 900 + n}
    return json.dumps({**said, "acc": 8, "vel": 18, "batt": 71, "tid": "ja", **more}).encode()


def settings(broker: Mosquitto) -> MqttSettings:
    """How the gateway reaches the broker."""
    password = broker.folder / "password"
    password.write_text(f"{broker.password}\n", encoding="utf-8")
    return MqttSettings(
        name="phones", host="localhost", port=broker.port, user=broker.user, trust=0.7,
        password_file=password, tls=broker.tls,
        ca=broker.folder / "cert.pem" if broker.tls else None,
    )  # fmt: skip


@asynccontextmanager
async def gateway(
    broker: Broker, topics: Topics, phones: Mosquitto, fleet: Fleet, asking: Asking | None = None
) -> AsyncIterator[OwnTracksOverMqtt]:
    """The gateway's way in for phones."""
    async with (
        Publisher(broker.bootstrap_servers) as publisher,
        OwnTracksOverMqtt(
            settings(phones), inflow=fleet.inflow, publisher=publisher, topics=topics,
            asking=asking or Asking(), now_ms=lambda: NOON_MS,
        ) as taking,
    ):  # fmt: skip
        yield taking


@asynccontextmanager
async def phone(phones: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    """A client shaped like the app."""
    async with aiomqtt.Client(
        "localhost", phones.port, username=phones.user, password=phones.password,
        tls_context=trusting(phones),
    ) as client:  # fmt: skip
        yield client


async def send(phones: Mosquitto, payloads: Iterable[bytes], topic: str = PHONE) -> None:
    """Send messages, each acknowledged by the broker."""
    async with phone(phones) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=1)


@pytest.mark.parametrize("tls", [False, True])
async def test_phones_come_in_over_mqtt(
    broker: Broker, topics: Topics, tmp_path: Path, free_port: int, tls: bool
) -> None:
    """With a password, and over TLS; what is no location, or of nobody, stops no other."""
    fleet = Fleet(m1="jane:phone")
    with mosquitto(tmp_path, free_port, tls=tls) as phones:
        async with (
            gateway(broker, topics, phones, fleet),
            reading(broker, topics.positions) as reader,
        ):
            # Before the gateway's session exists nobody keeps anything for it: retained, it comes.
            async with phone(phones) as client:
                await client.publish(PHONE, location(), qos=1, retain=True)
            await reader.until(lambda: len(reader.fixes(topics)) == 1, "the retained fix")
            await send(phones, [b"", b"{", b'{"_type": "lwt", "tst": 1}', location(1)])
            await send(phones, [location()], topic="owntracks/stranger/phone")
            await reader.until(lambda: len(reader.fixes(topics)) == 2, "both")
            await _until(lambda: len(fleet.inflow.unknown) == 1)
    fix = reader.fixes(topics)[0]
    assert (fix["member_id"], fix["device_id"], fix["speed_mps"]) == ("m1", "jane:phone", 5.0)
    record = json.loads(reader.records[0].value)
    assert (record["source"], record["trust"], record["area_id"]) == ("phones", 0.7, "a")
    assert fleet.inflow.unknown.get("stranger:phone") is not None


async def test_what_comes_while_the_gateway_is_away_is_kept(
    broker: Broker, topics: Topics, tmp_path: Path, free_port: int
) -> None:
    """The session holds it; and a broker that comes back is found again."""
    fleet = Fleet(m1="jane:phone")
    async with reading(broker, topics.positions) as reader:
        with mosquitto(tmp_path, free_port) as phones:
            async with gateway(broker, topics, phones, fleet):
                async with phone(phones) as client:
                    await client.publish(PHONE, location(), qos=1, retain=True)
                await reader.until(lambda: len(reader.fixes(topics)) == 1, "the first")
            await send(phones, [location(n) for n in range(1, 201)])
            async with gateway(broker, topics, phones, fleet):
                await reader.until(lambda: len(reader.fixes(topics)) == 201, "all that was kept")
        with mosquitto(tmp_path, free_port) as phones:
            async with gateway(broker, topics, phones, fleet):
                await send(phones, [location(500)])
                await reader.until(lambda: len(reader.fixes(topics)) == 202, "after a restart")


async def test_a_phone_is_asked_where_it_is(
    broker: Broker, topics: Topics, tmp_path: Path, free_port: int
) -> None:
    """Once, on its own topic for commands, when an incident was opened near its member."""
    fleet, asking = Fleet(m1="jane:phone"), Asking()
    with mosquitto(tmp_path, free_port) as phones:
        async with (
            phone(phones) as client,
            gateway(broker, topics, phones, fleet, asking),
            reading(broker, topics.positions) as reader,
        ):
            await client.subscribe(f"{PHONE}/cmd", qos=1)
            await client.publish(PHONE, location(), qos=1, retain=True)
            await reader.until(lambda: len(reader.fixes(topics)) == 1, "the fix")
            asking.opened("i1", ["jane:phone", "john:phone"], NOON_MS, NOON_MS)
            async with asyncio.timeout(COME_S):
                message = await anext(aiter(client.messages))
            assert json.loads(message.payload) == {"_type": "cmd", "action": "reportLocation"}
            assert asking.waiting(NOON_MS) == ("john:phone",)


async def _until(wanted) -> None:
    async with asyncio.timeout(COME_S):
        while not wanted():  # noqa: ASYNC110 - what a phone said has no event of its own
            await asyncio.sleep(0.02)
