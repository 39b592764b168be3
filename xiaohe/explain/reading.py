"""What the topics hold of an incident: found by any of its ids, read from the events.

``incidents`` (compacted, never trimmed) says which incident an id belongs to and how far its
events go, so that of ``incident-events`` only the area's partition is read, from when the
incident began. ``dispatches`` is not needed: the events carry each order with its whole ``why``,
and are kept without limit. A plain reader without a group; nothing is written.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from xiaohe.audit.records import Fences, home_partition
from xiaohe.explain.faults import ExplainError
from xiaohe.explain.story import Event
from xiaohe.topics import Topic, Topics
from xiaohe.wire.cluster_access import Cluster, client_options

POLL_MS: Final = 200
"""How long one look for records waits."""

READ_TIMEOUT_S: Final = 30.0
"""A reading that brings nothing for so long, before the end that was promised, has failed."""

RECORDS_AT_ONCE: Final = 2_000
"""Records held in memory at a time."""

CLOCKS_APART_MS: Final = 60_000
"""Events carry their worker's clock, receipts the broker's: so much earlier is begun to read."""


class Found(NamedTuple):
    """An incident that an id belongs to."""

    incident_id: str
    area_id: str
    last_seq: int
    received_ms: int


Take = Callable[[ConsumerRecord], bool]
"""Takes a record; true once it has seen enough of the partition."""


class Reader:
    """Reads the topics of one Kafka. Use with ``async with``."""

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        """Nothing is read yet."""
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            **client_options(cluster),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=RECORDS_AT_ONCE,
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def find(self, wanted_id: str) -> list[Found]:
        """Find the incidents that are called so, or have an order or an alert called so.

        An alert_id is unique in its area only, so there may be several. Raises ExplainError where
        there is none.
        """
        views: dict[bytes, dict[str, Any]] = {}
        text = wanted_id.encode()

        def take(record: ConsumerRecord) -> bool:
            key = record.key or b""
            views.pop(key, None)
            if record.value is not None and text in record.value:
                view = orjson.loads(record.value)
                if wanted_id in _names(view):
                    views[key] = view
            return False

        await self._read(_whole(self._topics.incidents), take)
        if not views:
            raise ExplainError(
                f"no order, incident or alert is called {wanted_id}: give a dispatch_id, an "
                "incident_id or an alert_id as the topics have it; an alert that was never "
                "decided is named by `xiaohe verify`"
            )
        return [_found(view) for view in views.values()]

    async def events(self, found: Found) -> list[Event]:
        """Read all events of an incident. Raises ExplainError where they are not whole."""
        topic, partitions = self._topics.incident_events, self._topics.area_partitions
        at = TopicPartition(topic.name, home_partition(found.area_id, partitions))
        begin_ms = max(0, found.received_ms - CLOCKS_APART_MS)
        start = (await self._consumer.offsets_for_times({at: begin_ms}))[at]
        for offset in (None if start is None else start.offset, 0):
            if offset is None:
                continue
            events = _Events(found)
            await self._read({at: offset}, events.take)
            if events.is_whole:
                return events.in_order()
        raise ExplainError(
            f"the events of {found.incident_id} are not whole: `xiaohe verify` says what is missing"
        )

    async def names(self) -> dict[str, str]:
        """Read the roster's names by member_id."""
        found: dict[str, str] = {}

        def take(record: ConsumerRecord) -> bool:
            member_id = (record.key or b"").decode(errors="replace")
            found.pop(member_id, None)
            name = _name(record.value)
            if name is not None:
                found[member_id] = name
            return False

        await self._read(_whole(self._topics.roster), take)
        return found

    async def _read(self, starts: Mapping[TopicPartition, int], take: Take) -> None:
        """Read from some offsets up to the ends as of now, or until enough was seen."""
        ends = await self._consumer.end_offsets(list(starts))
        begins = await self._consumer.beginning_offsets(list(starts))
        left = {at for at in starts if max(starts[at], begins[at]) < ends[at]}
        self._consumer.assign(left)
        for at in left:
            self._consumer.seek(at, max(starts[at], begins[at]))
        deadline = time.monotonic() + READ_TIMEOUT_S
        while left:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            if fetched:
                deadline = time.monotonic() + READ_TIMEOUT_S
            elif time.monotonic() > deadline:
                raise ExplainError(
                    f"nothing came of {sorted({at.topic for at in left})} for "
                    f"{READ_TIMEOUT_S:.0f} s: see that the broker is well, and try again"
                )
            for at, records in fetched.items():
                enough = [take(record) for record in records if record.offset < ends[at]]
                if any(enough):
                    left.discard(at)
                    self._consumer.pause(at)
            for at in [at for at in left if await self._consumer.position(at) >= ends[at]]:
                self._consumer.pause(at)
                left.discard(at)


class _Events:
    """Collects one incident's events, each once, of the workers that counted."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._text = found.incident_id.encode()
        self._fences = Fences()
        self._events: dict[int, Event] = {}

    def take(self, record: ConsumerRecord) -> bool:
        """Take a record; true once the last event has been seen."""
        if record.value is None or self._text not in record.value:
            return False
        try:
            event = msgspec.json.decode(record.value, type=Event)
        except msgspec.DecodeError:
            return False
        if event.incident_id == self._found.incident_id and self._fences.admits(
            record.partition, event.area_id, event.epoch
        ):
            self._events.setdefault(event.seq, event)
        return self.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether every event up to the one that the view names is there."""
        return self._events.keys() >= set(range(1, self._found.last_seq + 1))

    def in_order(self) -> list[Event]:
        """Give the events by number."""
        return [self._events[seq] for seq in sorted(self._events)]


def _whole(topic: Topic) -> dict[TopicPartition, int]:
    return {TopicPartition(topic.name, partition): 0 for partition in range(topic.partitions)}


def _names(view: Mapping[str, Any]) -> Iterable[str]:
    """All ids that an incident answers to."""
    yield view["incident_id"]
    yield from view.get("alerts", ())
    yield from (each["dispatch_id"] for each in view.get("assignments", ()))


def _found(view: Mapping[str, Any]) -> Found:
    received = view["timeline"].get("received")
    received_ms = 0
    if received is not None:
        received_ms = int(datetime.fromisoformat(received).timestamp() * 1000)
    return Found(view["incident_id"], view["area_id"], view["last_seq"], received_ms)


def _name(value: bytes | None) -> str | None:
    """Give a roster record's name; None where it is gone or bad."""
    if value is None:
        return None
    try:
        name = orjson.loads(value).get("name")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return name if isinstance(name, str) else None
