"""Single records fetched from Kafka, for people who ask about one."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from xiaohe.topics import Topic
from xiaohe.wire.cluster_access import Cluster, client_options

FETCHED_WITHIN_S: Final = 5.0
"""How long somebody who asks waits for a record."""


async def record_at(
    cluster: Cluster, topic: str, partition: int, offset: int
) -> ConsumerRecord | None:
    """Fetch one record; None where it has expired, or does not come in time. Raises KafkaError."""
    place = TopicPartition(topic, partition)
    async with AIOKafkaConsumer(**client_options(cluster)) as consumer:
        consumer.assign([place])
        first = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not first <= offset < end:
            return None
        consumer.seek(place, offset)
        try:
            async with asyncio.timeout(FETCHED_WITHIN_S):
                record = await consumer.getone()
        except TimeoutError:
            return None
        return record if record.offset == offset else None


async def latest_of(cluster: Cluster, topic: Topic, most: int) -> Sequence[ConsumerRecord]:
    """Fetch the last records of each partition of a topic, so many at most. Raises KafkaError."""
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    found: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(**client_options(cluster)) as consumer:
        consumer.assign(places)
        firsts = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        left = {p for p in places if ends[p] > firsts[p]}
        for place in places:
            consumer.seek(place, max(firsts[place], ends[place] - most))
        try:
            async with asyncio.timeout(FETCHED_WITHIN_S):
                while left:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found += records
                    left = {p for p in left if await consumer.position(p) < ends[p]}
        except TimeoutError:
            pass  # what has come is told
    return found
