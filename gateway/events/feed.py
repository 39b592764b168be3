"""What the engine publishes, read once for all subscribers of a gateway.

Theory of operation
-------------------
A subscriber is nothing but a **position**: the next offset to be read of each event topic, in the
partition of its area (all area topics have the same number of partitions, so one number names the
partition in each). It asks for what follows its position and gets records and the position after
them. So a slow one costs no memory, one that comes again goes on where it was, and nobody misses
or gets twice what lies between what was read from memory and what was read from Kafka.

One consumer follows the ends of all topics and keeps the newest records of each partition. Who is
further behind is served from Kafka by a few readers that are shared, a piece at a time.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from heapq import merge
from itertools import accumulate
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from xiaohe.gateway.events.entry import Entry, entry_of
from xiaohe.gateway.events.position import Position
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.murmur2 import partition_of

EVENT_TOPICS: Final = ("incident_events", "dispatches", "area_events", "matter_events")
"""The topics that subscribers get, in the order in which one decision's records are written."""

RECENT_KEPT_MAX: Final = 256
"""Newest records of a partition of a topic that are kept: some seconds of a storm. With 16
partitions of 4 topics and some 1.5 KB a record that is 25 MB at most."""

FETCH_WAIT_MS: Final = 50
"""How long the broker may hold back a fetch that has nothing; a record is given at once."""

TURN_MS: Final = 250
"""How long one look for new records lasts while nothing comes."""

HISTORY_READERS_MAX: Final = 2
"""Consumers that read for those who are behind, at one time."""

HISTORY_PIECE: Final = 500
"""Records of a topic that are read at once for one who is behind; then another has a turn."""

HISTORY_WAIT_MS: Final = 2_000
"""How long a reader waits for records that the topic must have."""

AGAIN_S: Final = 0.5
"""Pause before reading goes on after the broker failed."""

log = structlog.get_logger()


class Batch(Struct, frozen=True):
    """What follows a position, and the position after it. ``gap``: some of it is kept no more."""

    entries: Sequence[Entry]
    position: Position
    gap: bool = False


class FeedClosed(Exception):
    """The gateway is leaving: come again, with the position."""


class Feed:
    """The one reader of the event topics; an async context manager."""

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        self._cluster = cluster
        self._topics = topics
        self._names = {getattr(topics, each).name: each for each in EVENT_TOPICS}
        self._partitions = topics.area_partitions
        self._recent: dict[tuple[str, int], deque[Entry]] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._came = [asyncio.Event() for _ in range(self._partitions)]
        self._readers: asyncio.Queue[AIOKafkaConsumer] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._running = contextlib.AsyncExitStack()
        self._closed = False

    async def __aenter__(self) -> Self:
        """Connect, stand at the end of every topic, and go on reading."""
        async with contextlib.AsyncExitStack() as starting:
            consumer = await self._consumer(starting)
            places = self._places(range(self._partitions))
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            for place in places:
                at = (self._names[place.topic], place.partition)
                self._next[at] = await consumer.position(place)
                self._recent[at] = deque(maxlen=RECENT_KEPT_MAX)
            for _ in range(HISTORY_READERS_MAX):
                self._readers.put_nowait(await self._consumer(starting))
            self._running = starting.pop_all()
        self._reading = asyncio.create_task(self._go_on(consumer), name="feed")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let subscribers go and disconnect."""
        self.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._running.aclose()

    def close(self) -> None:
        """Tell all who wait, and all who come, that they have to go elsewhere."""
        self._closed = True
        for came in self._came:
            came.set()

    def partition_of(self, area_id: str) -> int:
        """Give the partition in which an area's records lie, of every event topic."""
        return partition_of(area_id.encode(), self._partitions)

    def partitions_of(self, area_ids: Iterable[str] | None) -> Sequence[int]:
        """Give the partitions of some areas; None is all."""
        if area_ids is None:
            return range(self._partitions)
        return sorted({self.partition_of(each) for each in area_ids})

    def now(self, partition: int) -> Position:
        """Give the position after all that has been read: what comes next is new."""
        return Position({each: self._next[each, partition] for each in EVENT_TOPICS})

    async def read(self, partition: int, position: Position, wait_s: float) -> Batch:
        """Give what follows a position; wait so long for something to come. Raises FeedClosed.

        A topic that the position does not know is read from now on. Nothing came: no entries.
        """
        position = self.now(partition).but(position)
        while True:
            if self._closed:
                raise FeedClosed
            came = self._came[partition]
            behind = [each for each in EVENT_TOPICS if self._is_behind(each, partition, position)]
            if behind:
                try:
                    return await self._from_kafka(partition, position, behind)
                except KafkaError as fault:
                    log.warning("feed_waits", fault=type(fault).__name__)
                    await asyncio.sleep(AGAIN_S)
                    return Batch((), position)
            entries = self._from_memory(partition, position)
            if entries:
                return Batch(entries, position.after(entries))
            try:
                async with asyncio.timeout(wait_s):
                    await came.wait()
            except TimeoutError:
                return Batch((), position)

    async def usable(self, partition: int, position: Position) -> tuple[Position, bool]:
        """Give a position that can be read from, and whether it is another than was asked for.

        One that the topics do not have, because they are others than those it came from, begins
        now. Another gateway may have read further than this one: Kafka says where the ends are.
        """
        places = {self._place(each, partition): each for each in position}
        async with self._reader() as reader:
            ends = await reader.end_offsets(list(places))
        beyond = [each for place, each in places.items() if position[each] > ends[place]]
        now = self.now(partition)
        return position.but({each: now[each] for each in beyond}), bool(beyond)

    async def read_one(self, topic_id: str, partition: int, offset: int) -> Entry | None:
        """Give one record by where it lies; None if it is kept no more, or not there yet."""
        if topic_id not in EVENT_TOPICS or not 0 <= partition < self._partitions:
            return None
        if not 0 <= offset < self._next[topic_id, partition]:
            return None
        async with self._reader() as reader:
            place = self._place(topic_id, partition)
            found, _, _ = await self._piece(reader, {place: offset}, most=1)
        one = found[place]
        return one[0] if one and one[0].offset == offset else None

    # --- from memory

    def _is_behind(self, topic_id: str, partition: int, position: Position) -> bool:
        """Tell whether what is wanted of a topic has left the memory."""
        recent = self._recent[topic_id, partition]
        first = recent[0].offset if recent else self._next[topic_id, partition]
        return position[topic_id] < first

    def _from_memory(self, partition: int, position: Position) -> list[Entry]:
        return _merged(
            [entry for entry in self._recent[each, partition] if entry.offset >= position[each]]
            for each in EVENT_TOPICS
        )

    async def _go_on(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                fetched = await consumer.getmany(timeout_ms=TURN_MS)
            except KafkaError as fault:
                log.warning("feed_waits", fault=type(fault).__name__)
                await asyncio.sleep(AGAIN_S)
                continue
            for records in fetched.values():
                for record in records:
                    self._take(record)
            for partition in {place.partition for place in fetched}:
                came, self._came[partition] = self._came[partition], asyncio.Event()
                came.set()

    def _take(self, record: ConsumerRecord) -> None:
        at = (self._names[record.topic], record.partition)
        entry = entry_of(at[0], record)
        if entry is not None:
            self._recent[at].append(entry)
        self._next[at] = record.offset + 1

    # --- from Kafka

    async def _from_kafka(self, partition: int, position: Position, behind: Iterable[str]) -> Batch:
        """Read a piece of what is behind, up to where the memory begins; in order of time."""
        places = {self._place(each, partition): position[each] for each in behind}
        async with self._reader() as reader:
            found, after, gap = await self._piece(reader, places, most=HISTORY_PIECE)
        ends = {place: self._next[self._names[place.topic], partition] for place in places}
        timed = {place: _timed(entries) for place, entries in found.items()}
        # Beyond the last of a topic that has more, the others wait for what it has in between.
        cut_ms = min(
            (timed[x][-1][0] for x in places if after[x] < ends[x] and timed[x]), default=None
        )
        given: list[list[Entry]] = []
        reached: dict[str, int] = {}
        for place, entries in timed.items():
            taken = [entry for ms, entry in entries if cut_ms is None or ms <= cut_ms]
            given.append(taken)
            whole = len(taken) == len(entries)
            reached[self._names[place.topic]] = (
                after[place] if whole else entries[len(taken)][1].offset
            )
        return Batch(_merged(given), position.but(Position(reached)), gap)

    async def _piece(
        self, reader: AIOKafkaConsumer, places: Mapping[TopicPartition, int], most: int
    ) -> tuple[dict[TopicPartition, list[Entry]], dict[TopicPartition, int], bool]:
        """Read so many records at most of each place; give them, where reading stopped, and
        whether the topic no longer has the first of them."""
        reader.assign(list(places))
        begins = await reader.beginning_offsets(list(places))
        gap = any(offset < begins[place] for place, offset in places.items())
        after = {place: max(offset, begins[place]) for place, offset in places.items()}
        ends = {p: self._next[self._names[p.topic], p.partition] for p in places}
        found: dict[TopicPartition, list[Entry]] = {place: [] for place in places}
        for place, offset in after.items():
            reader.seek(place, offset)
        waiting = {place for place in places if after[place] < ends[place]}
        while waiting:
            fetched = await reader.getmany(
                *waiting, timeout_ms=HISTORY_WAIT_MS, max_records=most * len(waiting)
            )
            if not fetched:
                break
            for place, records in fetched.items():
                for record in records:
                    entry = entry_of(self._names[place.topic], record)
                    if record.offset < ends[place] and len(found[place]) < most:
                        after[place] = record.offset + 1
                        if entry is not None:
                            found[place].append(entry)
                if after[place] >= ends[place] or len(found[place]) >= most:
                    waiting.discard(place)
        return found, after, gap

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        reader = await self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put_nowait(reader)

    async def _consumer(self, stack: contextlib.AsyncExitStack) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **client_options(self._cluster),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        return consumer

    def _place(self, topic_id: str, partition: int) -> TopicPartition:
        return TopicPartition(getattr(self._topics, topic_id).name, partition)

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [self._place(each, number) for number in partitions for each in EVENT_TOPICS]


def _timed(entries: Sequence[Entry]) -> list[tuple[int, Entry]]:
    """Give each entry of a topic a time that never goes back: after a take-over another worker's
    clock says when, and it may be behind."""
    times = accumulate((entry.written_ms for entry in entries), max)
    return list(zip(times, entries, strict=True))


def _merged(topics: Iterable[Sequence[Entry]]) -> list[Entry]:
    """Put topics together by time, of one time in the order in which a decision is written; within
    a topic the order stays, whatever its clocks say: a position has nothing behind it unread."""
    timed = merge(*(_timed(entries) for entries in topics), key=_when)
    return [entry for _, entry in timed]


def _when(timed: tuple[int, Entry]) -> tuple[int, int]:
    ms, entry = timed
    return ms, EVENT_TOPICS.index(entry.topic_id)
