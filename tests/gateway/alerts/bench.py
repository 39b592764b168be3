"""The doors of alerts without a broker: what is written is kept, and can be read back."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.gateway.door_bench import NOON_MS, client_of, parts_for
from xiaohe.gateway.access.principal import Permit
from xiaohe.gateway.alerts.doors import doors
from xiaohe.gateway.alerts.feed_file import load_feeds
from xiaohe.gateway.alerts.open311 import read_services
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.publisher import NotPublished, Publisher, Record, Written
from xiaohe.places import PACKAGE, SERVICES
from xiaohe.wire.murmur2 import partition_of

FEEDS = PACKAGE / "data" / "feeds"
TOKEN = {"authorization": "Bearer police-110"}


@dataclass
class Shelf(Publisher):
    """A cluster of one list; ``fails`` makes it acknowledge nothing."""

    records: list[Record] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    fails: bool = False

    async def publish_all(self, permit: Permit, records: Iterable[Record]) -> list[Written]:
        """Put the records on the shelf."""
        if self.fails:
            raise NotPublished("the broker did not acknowledge in time: send the same again")
        written = []
        for record in records:
            partition = partition_of(record.key.encode(), record.topic.partitions)
            written.append(Written(record.topic.name, partition, len(self.records), NOON_MS))
            self.records.append(record)
            self.permits.append(permit)
        return written

    def values(self) -> list[dict[str, Any]]:
        """What lies there, as JSON."""
        return [orjson.loads(record.value) for record in self.records]


@dataclass
class Desk:
    """A client of the doors of alerts and what they wrote."""

    http: httpx.AsyncClient
    shelf: Shelf
    parts: Parts

    async def post(
        self, path: str, body: object, media_type: str = "application/json", **headers: str
    ) -> httpx.Response:
        """Post bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        head = TOKEN | {"content-type": media_type} | headers
        return await self.http.post(path, content=content, headers=head)


@asynccontextmanager
async def desk(parts: Parts | None = None) -> AsyncIterator[Desk]:
    """The doors of alerts, open."""
    shelf = Shelf()
    if parts is None:
        parts = parts_for()
        parts.feeds = load_feeds(FEEDS)
        parts.services = read_services(SERVICES.read_bytes(), "services")
    parts.publisher = shelf
    async with client_of(doors, parts) as client:
        yield Desk(client, shelf, parts)
