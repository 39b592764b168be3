"""A topic read whole and followed: how the gateway knows the roster, its principals, its hooks."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.wire.cluster_access import Cluster, client_options

CAUGHT_UP_WITHIN_S: Final = 30.0
"""Reading a topic to its end may take so long when the gateway starts."""

RECORDS_AT_ONCE: Final = 1_000
"""Records taken before the event loop has its turn again."""

FETCH_WAIT_MS: Final = 250
"""How long a fetch waits at the end of the topic."""

AGAIN_S: Final = 0.5
"""Pause before reading goes on after the broker failed."""


class NotCaughtUp(Exception):
    """A topic that the gateway leans on could not be read to its end."""


class Follower:
    """Tells ``on_record`` every record of a topic, from the first on; an async context manager.

    Without a group: each gateway reads all of it. ``on_record`` is called from the event loop, in
    order within a partition, tombstones (value None) too, and may not fail: bad records are its
    own to refuse. A broker that is away is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        on_record: Callable[[ConsumerRecord], None],
    ) -> None:
        self.topic = topic
        self._cluster = cluster
        self._on_record = on_record
        self._consumer: AIOKafkaConsumer | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect, read to the end that the topic has now, and go on reading."""
        consumer = self._consumer = AIOKafkaConsumer(
            **client_options(self._cluster),
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(CAUGHT_UP_WITHIN_S):
                await self._read_to(await self._from_the_beginning(consumer))
        except TimeoutError:
            await consumer.stop()
            raise NotCaughtUp(
                f"{self.topic} was not read to its end in {CAUGHT_UP_WITHIN_S:.0f} s"
            ) from None
        except BaseException:
            await consumer.stop()
            raise
        self._reading = asyncio.create_task(self._go_on(), name=f"follow {self.topic}")
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
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        assert self._consumer is not None, "use `async with`"
        await self._consumer.stop()

    async def _from_the_beginning(self, consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, int]:
        """Take every partition from its first record; give where each of them ends now."""
        while not (numbers := consumer.partitions_for_topic(self.topic)):
            await consumer._client.force_metadata_update()  # noqa: SLF001 - no public way to ask
            await asyncio.sleep(FETCH_WAIT_MS / 1000)
        places = [TopicPartition(self.topic, number) for number in sorted(numbers)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        return dict(await consumer.end_offsets(places))

    async def _read_to(self, ends: Mapping[TopicPartition, int]) -> None:
        assert self._consumer is not None
        waiting = dict(ends)
        while waiting:
            await self._read_once()
            for place, end in list(waiting.items()):
                if await self._consumer.position(place) >= end:
                    del waiting[place]

    async def _read_once(self) -> None:
        assert self._consumer is not None
        fetched = await self._consumer.getmany(
            timeout_ms=FETCH_WAIT_MS, max_records=RECORDS_AT_ONCE
        )
        for records in fetched.values():
            for record in records:
                self._on_record(record)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._read_once()
            except KafkaError:
                await asyncio.sleep(AGAIN_S)
