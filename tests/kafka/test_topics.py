"""A cluster is made to match topics.yaml, and what must not be done to it is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from xiaohe.broker import Broker
from xiaohe.cluster import EFFECT_TIMEOUT_S, LOOK_AGAIN_S, ClusterError, apply, diff
from xiaohe.topics import TOPICS_FILE, Topics, load_topics

pytestmark = pytest.mark.kafka


async def test_all_topics_are_made_and_then_nothing_differs(
    broker: Broker, unapplied_topics: Topics
):
    """Before, every topic differs; after applying, none; applying again does nothing."""
    before = await diff(broker.bootstrap_servers, unapplied_topics)
    assert [each.topic for each in before] == [topic.name for topic in unapplied_topics]
    assert {each.what for each in before} == {"topic"}

    applied = await apply(broker.bootstrap_servers, unapplied_topics)

    assert applied.done == before
    assert applied.refused == ()
    assert await diff(broker.bootstrap_servers, unapplied_topics) == ()
    assert (await apply(broker.bootstrap_servers, unapplied_topics)).done == ()


async def test_two_may_apply_at_once(broker: Broker, unapplied_topics: Topics):
    """Two workers that start together both find the topics made, whoever made them."""
    await asyncio.gather(*(apply(broker.bootstrap_servers, unapplied_topics) for _ in range(2)))
    assert await diff(broker.bootstrap_servers, unapplied_topics) == ()


async def test_a_setting_is_put_right_and_settings_of_others_stay(broker: Broker, topics: Topics):
    """Only what topics.yaml has a say in is changed on an existing topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        theirs = {"segment.bytes": "4194304", "retention.ms": "1000"}
        resource = ConfigResource(ConfigResourceType.TOPIC, topics.alerts.name, theirs)
        await admin.alter_configs([resource])
        async for _ in _while_the_controller_tells_the_broker():
            if await diff(broker.bootstrap_servers, topics):
                break

        applied = await apply(broker.bootstrap_servers, topics)

        assert "retention.ms" in {each.what for each in applied.done}
        assert {each.topic for each in applied.done} == {topics.alerts.name}
        assert await diff(broker.bootstrap_servers, topics) == ()
        asked = ConfigResource(ConfigResourceType.TOPIC, topics.alerts.name, {"segment.bytes": ""})
        [answer] = await admin.describe_configs([asked])
        assert answer.resources[0][4][0][:2] == ("segment.bytes", "4194304")
    finally:
        await admin.close()


async def test_an_area_topics_partitions_are_never_changed(
    broker: Broker, topics: Topics, topics_prefix: str
):
    """Another number of area partitions is refused for every area topic, with the reason."""
    wider = load_topics(prefix=topics_prefix, area_partitions=8, replication_factor=1)

    applied = await apply(broker.bootstrap_servers, wider)

    assert applied.done == ()
    assert {each.topic for each in applied.refused} == {t.name for t in topics.area_topics}
    assert all("two workers would own it" in (each.refused or "") for each in applied.refused)
    assert await diff(broker.bootstrap_servers, topics) == ()


async def test_a_new_area_topic_must_match_those_that_are_there(
    broker: Broker, unapplied_topics: Topics
):
    """Beside area topics with another number of partitions, no odd one is made."""
    there, name = unapplied_topics.area_partitions - 1, unapplied_topics.alerts.name
    await _create(broker, NewTopic(name, there, 1))

    applied = await apply(broker.bootstrap_servers, unapplied_topics)

    area = {topic.name for topic in unapplied_topics.area_topics}
    made = {each.topic for each in applied.done if each.what == "topic"}
    assert made == {topic.name for topic in unapplied_topics} - area
    missing = [each for each in applied.refused if each.what == "topic"]
    assert {each.topic for each in missing} == area - {name}
    assert all(f"set area_partitions to {there}" in (e.refused or "") for e in missing)


async def test_other_topics_may_get_more_partitions_but_not_fewer(broker: Broker, topics: Topics):
    """A topic that is no area topic is widened on request, and never narrowed."""
    more = _with_partitions(topics, topics.members.partitions + 2)
    assert [e.what for e in (await apply(broker.bootstrap_servers, more)).done] == ["partitions"]
    assert await diff(broker.bootstrap_servers, more) == ()

    [refused] = (await apply(broker.bootstrap_servers, topics)).refused
    assert refused.topic == topics.members.name
    assert "cannot take partitions away" in (refused.refused or "")


async def test_more_copies_than_brokers_is_a_clear_error(broker: Broker, topics_prefix: str):
    """Three copies on one broker: the error names both numbers and the setting."""
    three = load_topics(prefix=topics_prefix, area_partitions=1, replication_factor=3)
    with pytest.raises(ClusterError, match=r"3 copies.* 1 broker.*XIAOHE_REPLICATION_FACTOR"):
        await apply(broker.bootstrap_servers, three)


async def test_another_number_of_copies_is_left_to_the_operator(
    broker: Broker, topics: Topics, topics_prefix: str
):
    """Existing topics with one copy where three are wanted: refused, with the tool's name."""
    three = load_topics(
        prefix=topics_prefix, area_partitions=topics.area_partitions, replication_factor=3
    )
    refused = [each for each in await diff(broker.bootstrap_servers, three) if each.refused]
    assert {each.what for each in refused} == {"replication_factor"}
    assert all("kafka-reassign-partitions" in (each.refused or "") for each in refused)


async def test_nobody_there_is_a_clear_error(unapplied_topics: Topics, free_port: int):
    """An address where no Kafka listens gives an error that names it and the option."""
    address = f"127.0.0.1:{free_port}"
    with pytest.raises(ClusterError, match=rf"{address}.*--bootstrap-servers"):
        await diff(address, unapplied_topics)


async def test_the_brokers_clock_stamps_inputs(broker: Broker, topics: Topics):
    """A sender's own record time is replaced on inputs, and kept on outputs."""
    told_ms = 1_000_000_000_000
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        stamped = await producer.send_and_wait(topics.alerts.name, b"{}", timestamp_ms=told_ms)
        kept = await producer.send_and_wait(topics.members.name, b"{}", b"k", timestamp_ms=told_ms)
    finally:
        await producer.stop()
    assert await _timestamp_ms(broker, stamped) > told_ms
    assert await _timestamp_ms(broker, kept) == told_ms


async def test_a_record_beyond_a_mebibyte_is_refused_to_its_producer(
    broker: Broker, topics: Topics
):
    """The broker itself refuses it; a client that allows itself more is told so."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, max_request_size=4 * 2**20
    )
    await producer.start()
    try:
        await producer.send_and_wait(topics.alerts.name, b"x" * (2**20 - 1024))
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topics.alerts.name, b"x" * (2**20 + 1024))
    finally:
        await producer.stop()


async def test_sources_become_topics(broker: Broker, topics_prefix: str, tmp_path: Path):
    """A device feed declared under `sources` is made like the others, and kept for a day."""
    file = _with_source(tmp_path)
    topics = load_topics(file, prefix=topics_prefix, area_partitions=1, replication_factor=1)

    applied = await apply(broker.bootstrap_servers, topics)

    assert f"{topics_prefix}raw.trackers" in {each.topic for each in applied.done}
    assert topics.sources["trackers"].retention_ms == 86_400_000
    assert await diff(broker.bootstrap_servers, topics) == ()


async def _while_the_controller_tells_the_broker() -> AsyncIterator[None]:
    """Kafka has no event for it: one can but ask until the broker knows."""
    async with asyncio.timeout(EFFECT_TIMEOUT_S):
        while True:
            yield
            await asyncio.sleep(LOOK_AGAIN_S)


def _with_source(folder: Path) -> Path:
    source = (
        "sources:\n  trackers: {name: raw.trackers, what: a feed, partitions: 2, retention: 1 d, "
        "format: traccar, datum: wgs84, timezone: UTC, trust: 0.9}\n"
    )
    file = folder / "topics.yaml"
    text = TOPICS_FILE.read_text(encoding="utf-8")
    file.write_text(text.partition("\nsources:\n")[0] + "\n" + source, encoding="utf-8")
    return file


def _with_partitions(topics: Topics, partitions: int) -> Topics:
    members = msgspec.structs.replace(topics.members, partitions=partitions)
    return msgspec.structs.replace(topics, members=members)


async def _create(broker: Broker, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        answer = await admin.create_topics([topic])
        assert answer.topic_errors[0][1] == 0
        async for _ in _while_the_controller_tells_the_broker():
            if topic.name in await admin.list_topics():
                break
    finally:
        await admin.close()


async def _timestamp_ms(broker: Broker, sent) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    await consumer.start()
    try:
        partition = TopicPartition(sent.topic, sent.partition)
        consumer.assign([partition])
        consumer.seek(partition, sent.offset)
        return (await consumer.getone()).timestamp
    finally:
        await consumer.stop()
