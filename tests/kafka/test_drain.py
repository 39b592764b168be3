"""Raw topics into ``positions``, over the real Kafka: nothing is lost, whoever dies."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from tests.gateway.door_bench import client_of
from tests.gateway.fleet import NOON_MS, Fleet, entry_of, forwarded
from xiaohe.broker import Broker
from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.access.principal import About, Change, Permit, Principal, Visitor
from xiaohe.gateway.known import Known
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions import device_doors
from xiaohe.gateway.positions.drain import Drain
from xiaohe.gateway.positions.many_consumer import ManyConsumer
from xiaohe.places import POLICY
from xiaohe.topics import Topic, Topics

pytestmark = pytest.mark.kafka

COME_S = 30.0


@dataclass
class Reader:
    """Reads topics from their first record on, and waits for what it is told to."""

    consumer: AIOKafkaConsumer
    records: list[ConsumerRecord] = field(default_factory=list)

    async def until(self, wanted: Any, what: str) -> None:
        """Read until this holds."""
        async with asyncio.timeout(COME_S):
            while not wanted():
                for records in (await self.consumer.getmany(timeout_ms=200)).values():
                    self.records += records

    def fixes(self, topics: Topics) -> list[dict[str, Any]]:
        """The positions that have come."""
        packed = [json.loads(r.value) for r in self.records if r.topic == topics.positions.name]
        return [fix for record in packed for fix in record["batch"]]

    def letters(self, topics: Topics) -> list[dict[str, Any]]:
        """The dead letters that have come."""
        return [json.loads(r.value) for r in self.records if r.topic == topics.dead_letters.name]


@asynccontextmanager
async def reading(broker: Broker, *topics: Topic) -> AsyncIterator[Reader]:
    """A reader of these topics."""
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers) as consumer:
        places = [TopicPartition(t.name, n) for t in topics for n in range(t.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        yield Reader(consumer)


async def send(broker: Broker, topic: Topic, *values: bytes, key: bytes | None = None) -> None:
    """Write raw records, spread over the partitions by Traccar's own numbers."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for n, value in enumerate(values):
            await producer.send(topic.name, key=key or str(n).encode(), value=value)
        await producer.flush()


async def test_forwarded_positions_come_out_packed(broker: Broker, topics: Topics) -> None:
    """Records as Traccar writes them, through kcat where it is installed, are the members'."""
    fleet = Fleet(m1="T1", m2="T2")
    raw = topics.sources["traccar"]
    values = [forwarded("T1"), forwarded("T2"), forwarded("T1", at_ms=NOON_MS + 10_000)]
    if kcat := shutil.which("kcat"):
        given = b"\n".join(b"7:" + value for value in values)
        command = [kcat, "-P", "-b", broker.bootstrap_servers, "-t", raw.name, "-K", ":"]
        await asyncio.to_thread(subprocess.run, command, input=given, check=True)
    else:
        await send(broker, raw, *values, key=b"7")
    async with (
        Drain(broker.bootstrap_servers, topics, fleet.inflow),
        reading(broker, topics.positions) as reader,
    ):
        await reader.until(lambda: len(reader.fixes(topics)) == 3, "three fixes")
    assert [fix["member_id"] for fix in reader.fixes(topics)] == ["m1", "m2", "m1"]
    assert {record.key for record in reader.records} == {b"a"}


async def test_bad_records_and_strangers_are_dead_letters(broker: Broker, topics: Topics) -> None:
    """One a bad record, one an unknown device; a flood of strangers stops nobody's position."""
    fleet = Fleet(m1="T1")
    raw = topics.sources["traccar"]
    strangers = [forwarded(f"S{n % 3}", at_ms=NOON_MS + n) for n in range(300)]
    await send(broker, raw, b"{", *strangers, forwarded("T1"))
    async with (
        Drain(broker.bootstrap_servers, topics, fleet.inflow),
        reading(broker, topics.positions, topics.dead_letters) as reader,
    ):
        await reader.until(
            lambda: len(reader.fixes(topics)) == 1 and len(reader.letters(topics)) == 4, "all"
        )
    reasons = sorted(letter["reason"] for letter in reader.letters(topics))
    assert reasons == ["not_json", "unknown_device", "unknown_device", "unknown_device"]
    ids = {dict(r.headers)["ce_id"].decode() for r in reader.records if r.headers}
    assert ids == {
        f"{each['topic']}:{each['partition']}:{each['offset']}" for each in reader.letters(topics)
    }


async def test_a_device_moves_to_who_took_it_for_the_shift(broker: Broker, topics: Topics) -> None:
    """And back when they let it go: between members, and between areas."""
    fleet = Fleet(m1="T1")
    raw = topics.sources["traccar"]
    async with (
        Drain(broker.bootstrap_servers, topics, fleet.inflow),
        reading(broker, topics.positions) as reader,
    ):
        for n, view in enumerate([(), ("T1",), ()]):
            fleet.view("m9", *view, area_id="b")
            await send(broker, raw, forwarded("T1", at_ms=NOON_MS + n * 1_000))
            count = n + 1
            await reader.until(lambda c=count: len(reader.fixes(topics)) == c, "the fix")
    assert [(fix["member_id"]) for fix in reader.fixes(topics)] == ["m1", "m9", "m1"]
    assert [r.key for r in reader.records] == [b"a", b"b", b"a"]


async def test_many_records_are_those_that_getmany_gives(broker: Broker, topics: Topics) -> None:
    """The quick consumer leans on aiokafka's inside; also where reading begins within a batch."""
    raw = topics.sources["traccar"]
    await send(broker, raw, *[f"value {n}".encode() for n in range(3_000)], key=b"1")
    async with reading(broker, raw) as reader:
        await reader.until(lambda: len(reader.records) == 3_000, "all")
        place = TopicPartition(raw.name, reader.records[0].partition)
    for first in (0, 1_234):
        expected = [(r.offset, r.timestamp, r.value) for r in reader.records][first:]
        async with ManyConsumer(bootstrap_servers=broker.bootstrap_servers) as consumer:
            consumer.assign([place])
            consumer.seek(place, first)
            found: list[Any] = []
            async with asyncio.timeout(COME_S):
                while len(found) < len(expected):
                    for many in await consumer.get_columns(200, 500):
                        assert many.next_offset == many.offsets[-1] + 1
                        found += zip(many.offsets, many.timestamps, many.values, strict=True)
            assert found == expected
            assert await consumer.position(place) == 3_000
            assert await consumer.get_columns(50, 500) == []


async def test_a_gateway_that_is_killed_loses_nothing(
    broker: Broker, topics: Topics, topics_prefix: str
) -> None:
    """Killed while it drains, and another goes on: every raw position comes out, once or twice."""
    count = 40_000
    members = [f"m{n}" for n in range(100)]
    raw = topics.sources["traccar"]
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for n, member_id in enumerate(members):
            entry = entry_of(member_id, f"T{n}")
            await producer.send(
                topics.roster.name, key=member_id.encode(), value=json.dumps(entry).encode()
            )
        await producer.flush()
    values = [forwarded(f"T{n % 100}", at_ms=NOON_MS + n * 7) for n in range(count)]
    await send(broker, raw, *values)
    wanted = {(f"T{n % 100}", NOON_MS + n * 7) for n in range(count)}
    async with reading(broker, topics.positions) as reader:

        def came() -> set[tuple[str, str]]:
            return {(fix["device_id"], fix["fix_time"]) for fix in reader.fixes(topics)}

        first = _gateway(broker, topics_prefix)
        try:
            await reader.until(lambda: reader.records, "the first records")
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        assert len(reader.fixes(topics)) < count, "killed before it had done"
        second = _gateway(broker, topics_prefix)
        try:
            await reader.until(lambda: len(came()) == len(wanted), "all")
        finally:
            second.terminate()
            assert second.wait(COME_S) == 0


def _gateway(broker: Broker, prefix: str) -> subprocess.Popen[bytes]:
    program = f"from tests.kafka.lone_gateway import main; main({prefix!r})"
    servers = broker.bootstrap_servers
    return subprocess.Popen([sys.executable, "-c", program, servers])


class _AllMay:
    async def identify(self, visitor: Visitor) -> Principal:
        return Principal(principal_id="vendor", role="service", area_ids=None)

    async def authorise(self, principal: Principal, change: Change, about: About) -> Permit:
        return Permit(principal=principal, change=change, about=about)


async def test_an_operator_adopts_an_unknown_device(broker: Broker, topics: Topics) -> None:
    """Its message is shown from the raw topic; given to a member, the next one is the member's."""
    raw, servers = topics.sources["traccar"], broker.bootstrap_servers
    entry = entry_of("m1", "T0", a_field_of_tomorrow=1)
    await send(broker, topics.roster, json.dumps(entry).encode(), key=b"m1")
    known = Known(load_policy(POLICY.read_bytes()), ())
    parts = Parts(
        cluster=servers, topics=topics, known=known, now_ms=lambda: NOON_MS, access=_AllMay()
    )
    async with parts, reading(broker, topics.positions, topics.dead_letters) as reader:
        await send(broker, raw, forwarded("T9"))
        await reader.until(lambda: reader.letters(topics), "the refusal")
        async with client_of(device_doors.doors, parts) as client:
            shown = (await client.get("/v1/devices/T9")).json()
            assert shown["last_message"]["raw"].encode() == forwarded("T9")
            assert (shown["reason"], shown["count"]) == ("unknown_device", 1)
            answer = await client.post("/v1/devices/T9/adopt", json={"member_id": "m1"})
            assert answer.json() == {"device_id": "T9", "member_id": "m1", "area_id": "a"}
            async with asyncio.timeout(COME_S):
                while known.owners.one("T9", NOON_MS) is None:  # noqa: ASYNC110 - as it follows
                    await asyncio.sleep(0.02)
            await send(broker, raw, forwarded("T9", at_ms=NOON_MS + 1))
            await reader.until(lambda: reader.fixes(topics), "the fix")
            answer = await client.post("/v1/devices/T9/adopt", json={"member_id": "m1"})
            assert answer.status_code == 409
    assert reader.fixes(topics)[0]["member_id"] == "m1"
    async with reading(broker, topics.roster) as reader:
        await reader.until(lambda: len(reader.records) == 2, "both entries")
    assert json.loads(reader.records[1].value) == {**entry, "device_ids": ["T0", "T9"]}


async def test_traccars_default_topic_is_named_as_the_mistake(
    broker: Broker, topics: Topics
) -> None:
    """Whoever looks for a device that sends to `positions` is told what to set."""
    letter = {"topic": "positions", "reason": "traccar_shape"}
    await send(broker, topics.dead_letters, json.dumps(letter).encode())
    known = Known(load_policy(POLICY.read_bytes()), ())
    parts = Parts(
        cluster=broker.bootstrap_servers, topics=topics, known=known, now_ms=lambda: NOON_MS,
        access=_AllMay(),
    )  # fmt: skip
    async with client_of(device_doors.doors, parts) as client:
        answer = await client.get("/v1/devices/T1")
    assert answer.status_code == 404
    assert "forward.topic to raw.traccar" in answer.json()["detail"]
