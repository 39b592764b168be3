"""What the gateway writes on Kafka, and the wait for it: nobody is told "taken" before it is."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from msgspec import Struct

from xiaohe.gateway.access.principal import Permit
from xiaohe.topics import Topic
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.murmur2 import partition_of

ACKNOWLEDGED_WITHIN_S: Final = 5.0
"""A write that the cluster has not acknowledged after so long is answered 503: the sender tries
again, and the same id makes a second arrival harmless."""

REQUEST_SHARE: Final = 0.8
"""One request of the producer may take so much of the wait for its acknowledgement."""

OWN_TOPICS: Final = frozenset(
    {"access", "audit", "webhooks", "webhook_progress", "webhook_dead_letters"}
)
"""Topics that the gateway writes for itself, without anybody's permit."""

BATCH_BYTES: Final = 16 * 1024
"""Records of one partition that wait for the same request may come to so much."""


class NotPublished(Exception):
    """The cluster did not acknowledge in time: it may or may not hold the record."""


class Record(Struct, frozen=True):
    """One record to be written."""

    topic: Topic
    key: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Written(Struct, frozen=True):
    """Where a record lies, and when the broker says that it came."""

    topic: str
    partition: int
    offset: int
    received_ms: int


class Witness(Protocol):
    """What writes down who changed what by hand."""

    async def changed(self, permit: Permit, written: Sequence[Written]) -> None:
        """Write it down. Raises NotPublished."""
        ...

    async def not_changed(self, permit: Permit) -> None:
        """Note that it may not have been written."""
        ...


class Publisher:
    """The gateway's one producer: idempotent, all copies acknowledged; an async context manager.

    ``witness`` is told of every change by hand, before whoever made it is.
    """

    def __init__(
        self,
        cluster: Cluster,
        batch_bytes: int = BATCH_BYTES,
        patience_s: float = ACKNOWLEDGED_WITHIN_S,
    ) -> None:
        self._cluster = cluster
        self._patience_s = patience_s
        self._batch_bytes = batch_bytes
        self._producer: AIOKafkaProducer | None = None
        self.witness: Witness | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **client_options(self._cluster),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=self._batch_bytes,
            request_timeout_ms=int(self._patience_s * REQUEST_SHARE * 1000),
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what is under way and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def publish(self, permit: Permit, record: Record) -> Written:
        """Write one record; return when it is acknowledged. Raises NotPublished."""
        return (await self.publish_all(permit, [record]))[0]

    async def publish_all(self, permit: Permit, records: Iterable[Record]) -> list[Written]:
        """Write records, those of one partition in order; return when all are acknowledged.

        ``permit`` is that of whoever wants it written. Raises NotPublished.
        """
        assert permit.principal is not None, "nothing is written for nobody"
        witness = self.witness if permit.principal.is_person else None
        try:
            written = await self._write(records)
        except NotPublished:
            if witness is not None:
                await witness.not_changed(permit)
            raise
        if witness is not None:
            await witness.changed(permit, written)
        return written

    async def note(self, records: Iterable[Record]) -> list[Written]:
        """Write what is the gateway's own to write: its audit, and who may come in.

        Raises NotPublished.
        """
        records = list(records)
        assert {r.topic.id for r in records} <= OWN_TOPICS, "all else takes a permit"
        return await self._write(records)

    async def _write(self, records: Iterable[Record]) -> list[Written]:
        return await (await self.relay(records))

    async def relay(self, records: Iterable[Record]) -> Awaitable[list[Written]]:
        """Send records for nobody in particular; give what waits for their acknowledgement.

        For what the gateway says itself (a dead letter), and for what already lies in a topic and
        is only given another form: the broker has let its writer in. Returns when the records are
        under way; both this and what it gives raise NotPublished.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                sent = [await self._send(record) for record in records]
        except (KafkaError, TimeoutError) as failed:
            raise _not_published() from failed
        return self._acknowledged(sent)

    async def _send(self, record: Record) -> "asyncio.Future[RecordMetadata]":
        producer = self._producer
        assert producer is not None, "use `async with`"
        key = record.key.encode()
        return await producer.send(
            record.topic.name,
            key=key,
            value=record.value,
            headers=list(record.headers),
            partition=partition_of(key, record.topic.partitions),
        )

    async def _acknowledged(
        self, sent: "Sequence[asyncio.Future[RecordMetadata]]"
    ) -> list[Written]:
        try:
            async with asyncio.timeout(self._patience_s):
                written = await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as failed:
            raise _not_published() from failed
        return [Written(w.topic, w.partition, w.offset, w.timestamp) for w in written]


def _not_published() -> NotPublished:
    return NotPublished(
        "the broker did not acknowledge in time: send the same again, with the same ids"
    )
