"""One contract, two logs: what a lane relies on holds in memory and on the real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.streams.toy import collect
from xiaohe.broker import Broker
from xiaohe.cluster import apply
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.kafka_log import KafkaLog
from xiaohe.streams.memory_log import MemoryLog, MemoryTopics
from xiaohe.streams.ports import INPUTS, Log, Publication, Raw
from xiaohe.streams.roster_reader import RosterReader
from xiaohe.topics import Topics

P = 2


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    """A log with empty topics of four partitions."""
    if request.param == "memory":
        yield MemoryLog(MemoryTopics(SystemClock(), 4))
        return
    broker: Broker = request.getfixturevalue("broker")
    topics: Topics = request.getfixturevalue("unapplied_topics")
    await apply(broker.bootstrap_servers, topics)
    async with KafkaLog(broker.bootstrap_servers, topics) as opened:
        yield opened


async def test_decisions_are_appended_in_order_without_a_gap(log):
    """Offsets of one append are continuous, and those of the next go on from there."""
    first = await log.append_decisions(P, [b"a", b"b", b"c"])
    second = await log.append_decisions(P, [b"d"])
    assert [each.offset for each in (*first, *second)] == [0, 1, 2, 3]
    assert await log.decisions_range(P) == (0, 4)
    read = await collect(log.read_decisions(P, 1, 4))
    assert [(each.offset, each.value) for each in read] == [(1, b"b"), (2, b"c"), (3, b"d")]
    assert await collect(log.read_decisions(P, 4, 4)) == []


async def test_an_append_may_be_larger_than_one_record_batch(log):
    """Three records of 0.6 MB are written, though a topic takes 1 MiB at a time."""
    records = [bytes([65 + n]) * 600_000 for n in range(3)]
    appended = await log.append_decisions(P, records)
    assert [each.offset for each in appended] == [0, 1, 2]
    read = await collect(log.read_decisions(P, 0, 3))
    assert [each.value for each in read] == records


async def test_publications_keep_key_value_headers_and_place(log):
    """What is published to an input topic is read back as it was, in the partition of its key."""
    headers = (("ce_id", b"1"), ("ce_type", b"x"))
    await log.publish(
        [
            Publication("alerts", 1, b"area", b"second", headers, P),
            Publication("alerts", 0, b"area", b"first", headers, P),
            Publication("alerts", 1, b"area", None, (), P),
        ]
    )
    read = await collect(log.read_input("alerts", P, 0, 3))
    assert [raw.value for raw in read] == [b"first", b"second", None]
    assert read[0].key == b"area"
    assert tuple(read[0].headers) == headers
    assert (read[0].topic, read[0].partition, read[0].offset) == ("alerts", P, 0)


async def test_a_key_has_the_same_partition_in_every_log(log):
    """Without a partition, murmur2 over the key decides: «canal» lies in the last of four."""
    await log.publish([Publication("alerts", 0, b"canal", b"x")])
    ends = [(await log.input_ends(p))["alerts"] for p in range(4)]
    assert ends == [0, 0, 0, 1]


async def test_ends_starts_and_times_of_the_inputs(log):
    """Ends count what was written, starts what is left, and a time finds its first record."""
    await log.publish([Publication("positions", 0, b"a", b"1", (), P)])
    await asyncio.sleep(0.02)  # the broker's clock is what is tested
    await log.publish([Publication("positions", 0, b"a", b"2", (), P)])
    first, second = await collect(log.read_input("positions", P, 0, 2))
    assert first.timestamp_ms < second.timestamp_ms
    assert await log.input_ends(P) == {topic: 2 * (topic == "positions") for topic in INPUTS}
    assert set((await log.input_starts(P)).values()) == {0}
    assert await log.input_offset_at("positions", P, second.timestamp_ms) == 1
    assert await log.input_offset_at("positions", P, first.timestamp_ms) == 0
    assert await log.input_offset_at("positions", P, second.timestamp_ms + 1) == 2


@pytest.mark.kafka
async def test_the_roster_is_read_to_where_it_went_at_the_call(broker: Broker, topics: Topics):
    """After ``caught_up`` every record acknowledged before it has been told, tombstones too."""
    told: list[Raw] = []
    failures: list[BaseException] = []
    async with KafkaLog(broker.bootstrap_servers, topics) as log:

        def put(value: bytes | None) -> Awaitable[None]:
            return log.publish([Publication("roster", 0, b"m1", value)])

        await put(b"first")
        reader = RosterReader(
            broker.bootstrap_servers, topics.roster.name, told.append, failures.append
        )
        async with reader:
            await reader.ready()
            assert [raw.value for raw in told] == [b"first"]
            for n in range(20):
                await put(None if n % 2 else b"%d" % n)
                await asyncio.gather(*[reader.caught_up() for _ in range(5)])
                assert len(told) == n + 2
            assert reader.version == "roster@21"
    assert not failures


@pytest.mark.kafka
async def test_what_ends_the_reading_of_the_roster_is_told(broker: Broker, topics: Topics):
    """A record that cannot be taken is no reason to fall silent."""
    failed = asyncio.get_running_loop().create_future()

    def refuse(_raw: Raw) -> None:
        raise ValueError("not this one")

    async with KafkaLog(broker.bootstrap_servers, topics) as log:
        await log.publish([Publication("roster", 0, b"m1", b"x")])
    on_failure: Callable[[BaseException], None] = failed.set_result
    async with RosterReader(broker.bootstrap_servers, topics.roster.name, refuse, on_failure):
        assert isinstance(await asyncio.wait_for(failed, 10), ValueError)
