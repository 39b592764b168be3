"""Events put on the topics as the engine writes them, and a subscriber that reads a stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from tests.gateway.door_bench import TokenIsName
from xiaohe.gateway.access.principal import Principal, Visitor
from xiaohe.topics import Topics
from xiaohe.wire.cloudevents import headers, source_of, type_of
from xiaohe.wire.murmur2 import partition_of

WAIT_S = 20.0


class MembersToo(TokenIsName):
    """Whoever's token begins with ``m-`` is a member of this id, all others are services."""

    async def identify(self, visitor: Visitor) -> Principal:
        """Take the token for the name, and its beginning for the role."""
        principal = await super().identify(visitor)
        if not principal.principal_id.startswith("m-"):
            return principal
        return Principal(principal_id=principal.principal_id, role="member", area_ids=None)


@dataclass
class Engine:
    """Writes what an engine would; an async context manager."""

    servers: str
    topics: Topics
    seqs: dict[str, int] = field(default_factory=dict)
    clock_is_off_ms: int = 0

    async def __aenter__(self) -> Self:
        """Connect."""
        self.producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all")
        await self.producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.producer.stop()

    async def event(
        self, incident_id: str, kind: str = "incident.updated", area_id: str = "town", **data: Any
    ) -> str:
        """An incident's next event; give its id."""
        seq = self.seqs[incident_id] = self.seqs.get(incident_id, 0) + 1
        event_id = f"{incident_id}:{seq}"
        value = {
            "event_id": event_id, "incident_id": incident_id, "area_id": area_id, "seq": seq,
            "epoch": 1, "type": kind, "at": "2030-01-07T04:00:00.000Z",
            "cause": {"deadline": "retry"}, "data": {"by": "desk-1", "reason": None, **data},
        }  # fmt: skip
        await self.write("incident_events", area_id, value, event_id, kind)
        return event_id

    async def order(self, dispatch_id: str, member_id: str, area_id: str = "town") -> str:
        """An order to a member; give its id as an event."""
        value = {"dispatch_id": dispatch_id, "member_id": member_id, "state": "ordered",
                 "incident_id": "inc-1", "area_id": area_id}  # fmt: skip
        event_id = f"{dispatch_id}:ordered"
        await self.write("dispatches", area_id, value, event_id, "dispatch.ordered")
        return event_id

    async def view(self, incident_id: str, area_id: str = "town", **said: Any) -> None:
        """How an incident stands."""
        value = {"incident_id": incident_id, "area_id": area_id, "state": "open", "priority": 2,
                 "category": "dispute", "last_seq": 1, **said}  # fmt: skip
        await self.write("incidents", incident_id, value, f"{incident_id}@1", "incident")

    async def write(
        self, topic_id: str, key: str, value: dict[str, Any], ce_id: str, kind: str
    ) -> None:
        """One record, acknowledged."""
        at_ms = time.time_ns() // 1_000_000 + self.clock_is_off_ms
        topic = getattr(self.topics, topic_id)
        await self.producer.send_and_wait(
            topic.name,
            key=key.encode(),
            value=orjson.dumps(value),
            partition=partition_of(key.encode(), topic.partitions),
            headers=headers(
                ce_id, source_of(value["area_id"], topic.name), type_of(kind),
                at_ms,
            ),
            timestamp_ms=at_ms,
        )  # fmt: skip


@dataclass
class Got:
    """One event of a stream, and when it was here."""

    id: str
    kind: str
    event: dict[str, Any]
    here_s: float

    @property
    def event_id(self) -> str:
        """The id of the CloudEvent."""
        return str(self.event.get("id"))


class Stream:
    """What a subscriber has got so far; ``last_id`` is what it would hand back."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def next(self) -> Got:
        """Wait for the next event; what only moves the position is taken on the way."""
        said: dict[str, str] = {}
        async with asyncio.timeout(WAIT_S):
            async for line in self._lines:
                name, _, text = line.partition(": ")
                if line:
                    said[name] = text
                    continue
                self.last_id = said.get("id", self.last_id)
                if "data" in said:
                    event = json.loads(said["data"])
                    return Got(said.get("id", ""), said["event"], event, time.monotonic())
                said = {}
        raise EOFError

    async def to_the_end(self) -> None:
        """Read on until the stream ends. Raises EOFError."""
        while True:
            await self.next()

    async def begun(self) -> None:
        """Wait until the stream stands somewhere."""
        async with asyncio.timeout(WAIT_S):
            while not self.last_id:
                line = await anext(self._lines)
                if line.startswith("id: "):
                    self.last_id = line[4:]


@asynccontextmanager
async def stream(
    url: str, token: str = "desk", last_id: str = "", area_id: str = "town", **query: str
) -> AsyncIterator[Stream]:
    """Open a stream."""
    head = {"authorization": f"Bearer {token}"} | ({"last-event-id": last_id} if last_id else {})
    async with (
        httpx.AsyncClient(timeout=WAIT_S) as client,
        client.stream(
            "GET", f"{url}/v1/areas/{area_id}/events", headers=head, params=query
        ) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        opened = Stream(answer)
        await opened.begun()
        yield opened
