"""Which webhooks this gateway delivers: the topic's partitions, shared out by a consumer group.

Every gateway knows all webhooks; of each, one delivers at a time. A gateway that is gone has its
share taken over by the others when its session ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from xiaohe.topics import Topic
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.murmur2 import partition_of

SESSION_MS: Final = 10_000
"""After so long without a word from a gateway its webhooks are another's."""

TURN_MS: Final = 500
AGAIN_S: Final = 0.5

log = structlog.get_logger()

OnChange = Callable[[frozenset[int]], Awaitable[None]]


class Owned(ConsumerRebalanceListener):
    """This gateway's membership of the group; an async context manager.

    ``on_change`` is told of the partitions that are ours from now on; the group waits for it, so
    that what is given away is not delivered any more when it returns.
    """

    def __init__(self, cluster: Cluster, topic: Topic, on_change: OnChange) -> None:
        self._cluster = cluster
        self._topic = topic
        self._on_change = on_change
        self._partitions: frozenset[int] = frozenset()
        self._consumer: AIOKafkaConsumer | None = None
        self._staying: asyncio.Task[None] | None = None

    def owns(self, hook_id: str) -> bool:
        """Tell whether this gateway delivers a webhook."""
        return partition_of(hook_id.encode(), self._topic.partitions) in self._partitions

    async def __aenter__(self) -> Self:
        """Join the group."""
        self._consumer = AIOKafkaConsumer(
            **client_options(self._cluster),
            group_id=f"gateway-{self._topic.name}",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=SESSION_MS,
        )
        await self._consumer.start()
        self._consumer.subscribe([self._topic.name], listener=self)
        self._staying = asyncio.create_task(self._stay(self._consumer), name="webhooks' group")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group."""
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.gather(self._staying, return_exceptions=True)
        assert self._consumer is not None, "use `async with`"
        await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        """Give up what was ours before others get it."""
        if self._partitions:
            self._partitions = frozenset()
            await self._on_change(self._partitions)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take what is ours."""
        self._partitions = frozenset(place.partition for place in assigned)
        await self._on_change(self._partitions)

    async def _stay(self, consumer: AIOKafkaConsumer) -> None:
        """Ask for records, as a member has to; what they say is told by a follower."""
        while True:
            try:
                await consumer.getmany(timeout_ms=TURN_MS)
            except KafkaError as fault:
                log.warning("webhooks_group_waits", fault=type(fault).__name__)
                await asyncio.sleep(AGAIN_S)
