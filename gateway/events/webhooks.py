"""All of the webhooks of a gateway: the book, who delivers, and the keys they are signed with."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.events.delivering import Deliverer
from xiaohe.gateway.events.feed import Feed
from xiaohe.gateway.events.hooks import HookBook
from xiaohe.gateway.events.parcels import Render
from xiaohe.gateway.events.settings import WebhookSettings
from xiaohe.gateway.follower import Follower
from xiaohe.gateway.publisher import Publisher
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster


class Webhooks:
    """Follows the topics of webhooks and delivers; an async context manager."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        topics: Topics,
        feed: Feed,
        publisher: Publisher,
        settings: WebhookSettings,
        secret: Secret,
        now_ms: Callable[[], int],
        render: Render,
    ) -> None:
        self.book = HookBook()
        self._cluster = cluster
        self._topics = topics
        self._secret = secret
        self.deliverer = Deliverer(
            cluster=cluster, topics=topics, feed=feed, book=self.book, publisher=publisher,
            settings=settings, key_of=self.key_of, now_ms=now_ms, render=render,
        )  # fmt: skip
        self._running = contextlib.AsyncExitStack()

    def key_of(self, hook_id: str) -> bytes:
        """Give the key that a webhook's deliveries are signed with: derived, and never kept."""
        return self._secret.derive("webhook", hook_id)

    async def __aenter__(self) -> Self:
        """Read what there is, then begin to deliver."""
        book, topics = self.book, self._topics
        async with contextlib.AsyncExitStack() as starting:
            for topic, take in (
                (topics.webhook_progress, book.take_progress),
                (topics.webhook_dead_letters, book.take_letter),
                (topics.webhooks, book.take_hook),
            ):
                await starting.enter_async_context(Follower(self._cluster, topic.name, take))
            await starting.enter_async_context(self.deliverer)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop delivering."""
        await self._running.aclose()
