"""The topics on Kafka, as a lane sees them: one producer, and plain readers without a group.

The producer is the engine's own (Faust's is not idempotent, and cannot be waited for by batch):
``acks=all``, idempotent, no linger. A lane's batch goes as one record batch, which Kafka writes
whole or not at all, and takes one acknowledgement.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from xiaohe.streams.ports import INPUTS, Appended, LogRecord, Publication, Raw
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.reaching import BROKER_WAIT_S, reach

REQUEST_TIMEOUT_S = 8.0
"""An unanswered write ends the worker after so long: longer than a broker's leader election, far
shorter than the first window. Whether it was written is then found out by folding."""

BATCH_BYTES_MAX = 1_000_000
"""Bytes of one record batch; the topics take 1 MiB with the batch's own header."""

FETCH_WAIT_MS = 100
"""How long a reader's fetch waits at the end of a topic."""

READ_TIMEOUT_S = 10.0
"""A reading that brings nothing for so long has failed."""


class ReadTimeoutError(Exception):
    """Records that a topic's end promises were not delivered."""


class KafkaLog:
    """A lane's view of the topics on a cluster; an asynchronous context manager."""

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        self._cluster = cluster
        self._topics = topics
        self._names = {topic.id: topic.name for topic in topics}
        self._decisions = topics.decisions.name
        self._producer: AIOKafkaProducer | None = None
        self._asker: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **client_options(self._cluster),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        # A reader that is assigned nothing never fetches, so that its questions are not queued
        # behind a fetch that waits at the end of a topic.
        self._asker = AIOKafkaConsumer(
            **client_options(self._cluster),
            enable_auto_commit=False,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        await self._producer.start()
        await self._asker.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; what is under way is given up."""
        await self._open_producer.stop()
        await self._open_asker.stop()

    @property
    def _open_producer(self) -> AIOKafkaProducer:
        assert self._producer is not None, "use `async with`"
        return self._producer

    @property
    def _open_asker(self) -> AIOKafkaConsumer:
        assert self._asker is not None, "use `async with`"
        return self._asker

    # --- writing --------------------------------------------------------------------------

    async def append_decisions(
        self, partition: int, records: Sequence[bytes]
    ) -> Sequence[Appended]:
        """Append in order to the decisions log; return when all are acknowledged."""
        appended: list[Appended] = []
        at = 0
        while at < len(records):
            builder = self._open_producer.create_batch()
            first = at
            while at < len(records):
                if builder.append(key=None, value=records[at], timestamp=None) is None:
                    break
                at += 1
            assert at > first, "a record that fits into no batch is refused before"
            future = await self._open_producer.send_batch(
                builder, self._decisions, partition=partition
            )
            written = await future
            appended += [
                Appended(written.offset + index, written.timestamp) for index in range(at - first)
            ]
        return appended

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Send in order within a stage, acknowledge stage after stage."""
        stages: dict[int, list[Publication]] = defaultdict(list)
        for each in publications:
            stages[each.stage].append(each)
        for stage in sorted(stages):
            await self._publish_stage(stages[stage])

    async def _publish_stage(self, publications: Sequence[Publication]) -> None:
        waiting: list[Awaitable[Any]] = [
            await self._open_producer.send(
                self._names[each.topic],
                key=each.key,
                value=each.value,
                headers=list(each.headers),
                partition=each.partition,
            )
            for each in publications
        ]
        await asyncio.gather(*waiting)

    # --- asking ---------------------------------------------------------------------------

    async def decisions_range(self, partition: int) -> tuple[int, int]:
        """First offset and end offset of the decisions log."""
        where = TopicPartition(self._decisions, partition)
        starts = await self._open_asker.beginning_offsets([where])
        ends = await self._open_asker.end_offsets([where])
        return starts[where], ends[where]

    async def input_ends(self, partition: int) -> Mapping[str, int]:
        """End offset of each input topic of the partition, by topic key, as of now."""
        where = self._inputs(partition)
        ends = await self._open_asker.end_offsets(list(where.values()))
        return {topic: ends[at] for topic, at in where.items()}

    async def input_starts(self, partition: int) -> Mapping[str, int]:
        """First offset that each input topic of the partition still holds, by topic key."""
        where = self._inputs(partition)
        starts = await self._open_asker.beginning_offsets(list(where.values()))
        return {topic: starts[at] for topic, at in where.items()}

    async def input_offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """Offset of the first record received at or after ``at_ms``; the end where none was."""
        where = TopicPartition(self._names[topic], partition)
        found = (await self._open_asker.offsets_for_times({where: at_ms}))[where]
        if found is not None:
            return int(found.offset)
        return int((await self._open_asker.end_offsets([where]))[where])

    def _inputs(self, partition: int) -> dict[str, TopicPartition]:
        return {topic: TopicPartition(self._names[topic], partition) for topic in INPUTS}

    # --- reading --------------------------------------------------------------------------

    async def read_decisions(
        self, partition: int, start: int, end: int
    ) -> AsyncIterator[LogRecord]:
        """Records of the decisions log with ``start <= offset < end``."""
        async for record in self._read(TopicPartition(self._decisions, partition), start, end):
            yield LogRecord(record.offset, record.timestamp, record.value or b"")

    async def read_input(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[Raw]:
        """Records of an input topic with ``start <= offset < end``."""
        async for record in self._read(TopicPartition(self._names[topic], partition), start, end):
            yield raw_of(topic, record)

    async def _read(self, where: TopicPartition, start: int, end: int) -> AsyncIterator[Any]:
        if start >= end:
            return
        async with plain_reader(self._cluster) as reader:
            reader.assign([where])
            first = (await reader.beginning_offsets([where]))[where]
            start = max(start, first)  # what retention has removed is not waited for
            reader.seek(where, start)
            while start < end:
                fetched = await reader.getmany(where, timeout_ms=int(READ_TIMEOUT_S * 1000))
                for record in fetched.get(where, ()):
                    if record.offset >= end:
                        return
                    yield record
                moved = await reader.position(where)  # past control records too
                if moved <= start:
                    raise ReadTimeoutError(f"{where}: nothing read at {start}, the end is {end}")
                start = moved


async def broker_there(cluster: Cluster) -> None:
    """Return when a broker answers and lets this worker in.

    Raises Unreachable after BROKER_WAIT_S, and NotLetIn at once: waiting mends no password.
    """
    await reach(cluster, wait_s=BROKER_WAIT_S)


def plain_reader(cluster: Cluster) -> AIOKafkaConsumer:
    """A reader without a group, whose offsets nobody keeps."""
    return AIOKafkaConsumer(
        **client_options(cluster),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_poll_records=5_000,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
    )


def raw_of(topic: str, record: Any) -> Raw:  # noqa: ANN401 - aiokafka's ConsumerRecord has no types
    """A record as the lanes know it."""
    return Raw(
        topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers or ()),
    )
