"""Taking a recording from a running Kafka: a plain reader without a group; nothing is written."""

import time
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.geo.progress import Watch, unwatched
from xiaohe.replay.faults import ReplayError
from xiaohe.replay.recording import Extent, RecordingWriter
from xiaohe.streams.kafka_log import plain_reader, raw_of
from xiaohe.streams.memory_log import DECISIONS
from xiaohe.streams.ports import INPUTS
from xiaohe.streams.service import ROSTER
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster

POLL_MS: Final = 200
"""How long one look for records waits."""

READ_TIMEOUT_S: Final = 30.0
"""A reading that brings nothing for so long, before the end that was promised, has failed."""


async def record_topics(
    cluster: Cluster, topics: Topics, folder: Path, watch: Watch = unwatched
) -> None:
    """Write what a replay needs into a new folder, as it lies in the topics now.

    The decisions' ends are asked for before all others, so that the inputs of every decision are
    there. Raises ReplayError where the topics cannot be read, RecordingError where the folder
    cannot be written.
    """
    names = {topic.id: topic.name for topic in topics}
    writer = RecordingWriter(folder, topics.area_partitions, names)
    reader = plain_reader(cluster)
    try:
        await reader.start()
        reading = _Reading(reader, topics, writer, watch)
        for topics_at_once in ((DECISIONS,), (*INPUTS, ROSTER)):
            await reading.copy(topics_at_once)
    except (KafkaError, OSError) as fault:
        raise ReplayError(
            f"the topics cannot be read ({fault}): see that the broker is well, and whether its "
            "topics are made (`xiaohe topics diff`)"
        ) from None
    finally:
        await reader.stop()
    writer.finish()


class _Reading:
    """Copies topics partition by partition."""

    def __init__(
        self, reader: AIOKafkaConsumer, topics: Topics, writer: RecordingWriter, watch: Watch
    ) -> None:
        self._reader = reader
        self._topics = {topic.id: topic for topic in topics}
        self._writer = writer
        self._watch = watch

    async def copy(self, topics: tuple[str, ...]) -> None:
        """Copy some topics up to their ends as of now."""
        places = {
            TopicPartition(self._topics[topic].name, partition): topic
            for topic in topics
            for partition in range(self._topics[topic].partitions)
        }
        ends = await self._reader.end_offsets(list(places))
        starts = await self._reader.beginning_offsets(list(places))
        total, done = sum(ends[at] - starts[at] for at in places), 0
        for at, topic in places.items():
            await self._copy(at, topic, range(starts[at], ends[at]))
            done += ends[at] - starts[at]
            self._watch(f"record {topics[0]}", done, total)

    async def _copy(self, at: TopicPartition, topic: str, span: range) -> None:
        with self._writer.file(topic, at.partition) as file:
            if span:
                self._reader.assign([at])
                self._reader.seek(at, span.start)
            position, deadline = span.start, time.monotonic() + READ_TIMEOUT_S
            while position < span.stop:
                fetched = await self._reader.getmany(at, timeout_ms=POLL_MS)
                for record in fetched.get(at, ()):
                    if record.offset < span.stop:
                        file.write(raw_of(topic, record))
                moved = await self._reader.position(at)  # past what holds no record, too
                if moved > position:
                    position, deadline = moved, time.monotonic() + READ_TIMEOUT_S
                elif time.monotonic() > deadline:
                    raise ReplayError(
                        f"nothing came of {at.topic}[{at.partition}] at {position} for "
                        f"{READ_TIMEOUT_S:.0f} s: see that the broker is well, and try again"
                    )
        extent = Extent(topic, at.partition, span.start, span.stop, file.records)
        self._writer.add(extent)
