"""The bus port: how the simulated brigade sends and hears records, and plain Kafka behind it.

The brigade is an outside client: it knows topics, keys and values, and nothing of the engine. The
second implementation is the embedded stand-in's (``xiaohe.stand_in``).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options

HEARD: tuple[str, ...] = ("alerts", "incident_events", "dispatches", "incidents", "dead_letters")
"""Keys in topics.yaml of the topics that the brigade reads; ``alerts`` for the account."""

ALERT_BYTES_MAX = 1024 * 1024
"""Topics take records up to 1 MiB, headers included."""

REQUEST_TIMEOUT_MS = 10_000

FETCH_WAIT_MS = 500
"""How long the broker keeps a fetch that finds nothing; data ends the wait at once."""


class Place(NamedTuple):
    """Where a record lies; ``topic`` is its name on the cluster."""

    topic: str
    partition: int
    offset: int


class Heard(NamedTuple):
    """A record that was read. ``topic`` is its key in topics.yaml, ``heard_s`` monotonic."""

    topic: str
    place: Place
    key: bytes | None
    value: bytes | None
    heard_s: float


class BusError(Exception):
    """The topics cannot be read or written; the message says what to do."""


class Bus(Protocol):
    """Topics, seen from outside. Topics are named by their keys in topics.yaml."""

    async def send(self, topic: str, key: bytes | None, value: bytes) -> Place:
        """Write a record; where it was written, when that is acknowledged."""
        ...

    def listen(self, on_record: Callable[[Heard], None]) -> None:
        """Have every record of the topics in HEARD told from now on."""
        ...

    async def wait_failed(self) -> BaseException:
        """Return when the topics cannot be read any more."""
        ...


class KafkaBus:
    """Plain aiokafka: a producer with Kafka's own partitioner, and a reader without a group.

    An async context manager. It reads from the ends that the topics have when it is entered, so
    that a cluster's past is not taken for this run's.
    """

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        self._names: Mapping[str, str] = {topic.id: topic.name for topic in topics}
        self._keys = {name: key for key, name in self._names.items()}
        self._producer = AIOKafkaProducer(
            **client_options(cluster),
            acks="all",
            linger_ms=0,
            max_request_size=ALERT_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        self._consumer = AIOKafkaConsumer(
            **client_options(cluster),
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        self._partitions = [
            TopicPartition(topic.name, n)
            for topic in topics
            if topic.id in HEARD
            for n in range(topic.partitions)
        ]
        self._on_record: Callable[[Heard], None] = lambda _: None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect, and begin to read."""
        try:
            await self._producer.start()
            await self._consumer.start()
            self._consumer.assign(self._partitions)
            await self._consumer.seek_to_end(*self._partitions)
            for partition in self._partitions:  # the ends of now, not of the first fetch
                await self._consumer.position(partition)
        except (KafkaError, OSError) as error:
            await self.__aexit__(None, None, None)
            raise BusError(
                f"the broker does not answer ({error}): see that it runs, and whether its "
                "topics are made (`xiaohe topics apply`)"
            ) from error
        self._reading = asyncio.create_task(self._read(), name="brigade-reader")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading and disconnect."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()
        with contextlib.suppress(KafkaError):  # the broker may be gone: nothing is left to send
            await self._producer.stop()

    async def send(self, topic: str, key: bytes | None, value: bytes) -> Place:
        """Write a record; where it was written. Raises BusError."""
        try:
            written = await self._producer.send_and_wait(self._names[topic], value, key)
        except KafkaError as error:
            raise BusError(
                f"{self._names[topic]} cannot be written: {error!r}: see whether the broker runs"
            ) from error
        return Place(written.topic, written.partition, written.offset)

    def listen(self, on_record: Callable[[Heard], None]) -> None:
        """Have every record told from now on."""
        self._on_record = on_record

    async def wait_failed(self) -> BaseException:
        """Return what ended the reading."""
        assert self._reading is not None, "the bus was entered"
        await asyncio.wait([self._reading])
        if self._reading.cancelled():
            return asyncio.CancelledError()
        return self._reading.exception() or BusError("the reading ended")

    async def _read(self) -> None:
        async for record in self._consumer:
            place = Place(record.topic, record.partition, record.offset)
            key = self._keys[record.topic]
            self._on_record(Heard(key, place, record.key, record.value, time.monotonic()))
