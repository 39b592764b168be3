"""The raw topics, read in batches and written anew as packed records of ``positions``.

At least once: a raw record is read for good when all that came of it is acknowledged, and not
before, so that a gateway that dies in between loses nothing; its successor writes some of it
again, which moves nobody. All gateways of an installation share one group: each has some of the
partitions, and with them the devices whose messages lie there.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np
import orjson
import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from xiaohe.dispatch.inputs import Cause
from xiaohe.gateway.positions.inflow import Came, Feed, Inflow, Refusal
from xiaohe.gateway.positions.many_consumer import ManyConsumer, ManyRecords
from xiaohe.gateway.positions.source_formats import SourceReader, reader_of
from xiaohe.gateway.publisher import NotPublished, Publisher, Record, Written
from xiaohe.topics import Topics
from xiaohe.wire import cloudevents
from xiaohe.wire.cluster_access import Cluster, client_options
from xiaohe.wire.codec import dead_letter, dead_letter_id, digest_of

log = structlog.get_logger()

GROUP: Final = "gateway-positions"
"""The consumer group; topics.yaml gives it to the gateway's principal."""

ROUND_RECORDS_MAX: Final = 5_000
"""Raw records taken together: a hundredth of a second's work, after which doors have their turn."""

GATHER_MS: Final = 30
"""How long a round that is not full waits for more: few large records cost the engine less than
many small ones, and nobody is ordered later for it than a blink of an eye."""

IDLE_MS: Final = 500
"""How long a fetch waits where nothing comes."""

ROUNDS_UNDER_WAY_MAX: Final = 3
"""Rounds that wait for their acknowledgement while the next ones are read."""

COMMIT_EVERY_S: Final = 0.5
"""How often it is written down how far was read: so much comes again after a death."""

FETCH_BYTES_MAX: Final = 1024 * 1024
"""Bytes of a partition in one fetch, some 1,500 raw records; more is copied more slowly."""

SESSION_MS: Final = 6_000
"""A gateway that is not heard of for so long has died: another takes its partitions."""

BATCH_BYTES: Final = 900 * 1024
"""Packed records of a partition in one request: below what a topic takes."""

PATIENCE_S: Final = 30.0
"""How long an acknowledgement is waited for: to read and send all again would burden a slow broker
even more, and nobody waits at a door for it."""

AGAIN_S: Final = 0.5
"""Pause before the same is read again after the broker failed."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A raw topic and how it is read."""

    reader: SourceReader
    feed: Feed


@dataclass(frozen=True, slots=True)
class _Round:
    """What was read together: its acknowledgement, where it begins and ends, what it told."""

    written: "asyncio.Task[list[Written]]"
    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    told: Sequence[str]


def group_of(topics: Topics) -> str:
    """Give the consumer group of all gateways of an installation."""
    return f"{topics.positions.name.removesuffix('positions')}{GROUP}"


class Drain(ConsumerRebalanceListener):
    """Reads all raw topics of ``topics.yaml``; an async context manager.

    A broker that is away is waited for; a fault of ours ends the reading, and ``failed`` says so.
    """

    def __init__(self, cluster: Cluster, topics: Topics, inflow: Inflow) -> None:
        """Raises UnknownFormat where a source has a format that nobody reads."""
        self._cluster = cluster
        self._topics = topics
        self._inflow = inflow
        self._sources = {
            topics.sources[key].name: _Source(
                reader_of(entry), Feed(topics.sources[key].name, entry.trust)
            )
            for key, entry in topics.source_entries.items()
        }
        self._publisher = Publisher(cluster, BATCH_BYTES, PATIENCE_S)
        self._consumer: ManyConsumer | None = None
        self._reading: asyncio.Task[None] | None = None
        self._under_way: deque[_Round] = deque()
        self._ends: dict[TopicPartition, int] = {}
        self._committed_s = 0.0
        self._turn = asyncio.Lock()

    @property
    def failed(self) -> bool:
        """Whether the reading has ended by a fault of ours."""
        task = self._reading
        return task is not None and task.done() and not task.cancelled()

    async def __aenter__(self) -> Self:
        """Connect and begin to read; without a source there is nothing to do."""
        if not self._sources:
            return self
        await self._publisher.__aenter__()
        self._consumer = ManyConsumer(
            **client_options(self._cluster),
            group_id=group_of(self._topics),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
        )
        self._consumer.subscribe(list(self._sources), listener=self)
        try:
            await self._consumer.start()
        except BaseException:
            await self._publisher.__aexit__(None, None, None)
            raise
        self._reading = asyncio.create_task(self._read(), name="drain raw topics")
        self._reading.add_done_callback(_told_of)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish what is under way, write down how far was read, and disconnect."""
        if self._reading is None or self._consumer is None:
            return
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        with contextlib.suppress(KafkaError, NotPublished):
            await self._finish_all()
        await self._consumer.stop()
        await self._publisher.__aexit__(kind, error, trace)

    # --- reading

    async def _read(self) -> None:
        while True:
            try:
                await self._one_round()
            except (KafkaError, NotPublished) as fault:
                log.warning("drain_again", fault=type(fault).__name__)
                await self._go_back()
                await asyncio.sleep(AGAIN_S)

    async def _one_round(self) -> None:
        fetched = await self._fetch()
        async with self._turn:
            if fetched:
                self._under_way.append(await self._take(fetched))
            full = sum(map(len, fetched)) >= ROUND_RECORDS_MAX
            while len(self._under_way) > (ROUNDS_UNDER_WAY_MAX if full else 0):
                await self._finish_first()
            if not full or time.monotonic() - self._committed_s >= COMMIT_EVERY_S:
                await self._commit()

    async def _fetch(self) -> list[ManyRecords]:
        """Take what waits; where that is not much, also what comes within a moment."""
        assert self._consumer is not None
        fetched = await self._consumer.get_columns(IDLE_MS, ROUND_RECORDS_MAX)
        left = ROUND_RECORDS_MAX - sum(map(len, fetched))
        if fetched and left > 0:
            if not self._under_way:
                await asyncio.sleep(GATHER_MS / 1000)
            fetched += await self._consumer.get_columns(0, left)
        return fetched

    async def _take(self, fetched: Sequence[ManyRecords]) -> _Round:
        """Read, sort and send what was fetched, without waiting for the acknowledgement."""
        records: list[Record] = []
        told: list[str] = []
        for name, source in self._sources.items():
            raw = [many for many in fetched if many.place.topic == name]
            if not raw:
                continue
            values = [value for many in raw for value in many.values]
            came = _came(raw)
            done = self._inflow.sort(
                source.reader.read(values, came.received_ms), came, source.feed
            )
            told += done.told
            records += [Record(self._topics.positions, p.area_id, p.value) for p in done.packed]
            records += [
                letter_of(self._topics, name, came, values[refusal.message], refusal)
                for refusal in done.refusals
                if refusal.aloud
            ]
        written = await self._publisher.relay(records)
        begins: dict[TopicPartition, int] = {}
        for many in fetched:
            begins.setdefault(many.place, many.offsets[0])
        ends = {many.place: many.next_offset for many in fetched}
        return _Round(asyncio.ensure_future(written), begins, ends, told)

    # --- writing down how far

    async def _finish_first(self) -> None:
        """Wait until the oldest round is acknowledged; it stays the oldest where it is not."""
        done = self._under_way[0]
        await done.written
        self._under_way.popleft()
        self._ends.update(done.ends)

    async def _finish_all(self) -> None:
        while self._under_way:
            await self._finish_first()
        await self._commit()

    async def _commit(self) -> None:
        assert self._consumer is not None
        mine = self._consumer.assignment()
        ends = {place: end for place, end in self._ends.items() if place in mine}
        self._ends.clear()
        self._committed_s = time.monotonic()
        if not ends:
            return
        # Who has lost a partition since reads no further in it: what was read comes again.
        with contextlib.suppress(CommitFailedError, IllegalStateError):
            await self._consumer.commit(ends)

    async def _go_back(self) -> None:
        """Read again all that may not have been written."""
        assert self._consumer is not None
        async with self._turn:
            for each in reversed(self._under_way):
                each.written.cancel()
                await asyncio.gather(each.written, return_exceptions=True)
                for place, begin in each.begins.items():
                    if place in self._consumer.assignment():
                        self._consumer.seek(place, begin)
            self._inflow.not_written([name for each in self._under_way for name in each.told])
            self._under_way.clear()

    # --- the group

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - all of it
        """Write down how far was read, before somebody else reads on."""
        async with self._turn:
            with contextlib.suppress(KafkaError, NotPublished):
                await self._finish_all()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Begin where the group has written down."""


def _came(raw: Sequence[ManyRecords]) -> Came:
    return Came(
        np.array([ms for many in raw for ms in many.timestamps], dtype=np.int64),
        np.repeat([many.place.partition for many in raw], [len(many) for many in raw]),
        np.array([offset for many in raw for offset in many.offsets], dtype=np.int64),
    )


def letter_of(
    topics: Topics, topic: str, came: Came, value: bytes | None, refusal: Refusal
) -> Record:
    """Make the dead letter of a raw record; its id is that of the record, whoever writes it."""
    place = came.place(refusal.message)
    assert place is not None, "a raw record lies in a topic"
    cause, at_ms = Cause(topic, *place), came.received_ms[refusal.message].item()
    bad = refusal.bad
    letter = dead_letter(cause, bad.index, bad.reason, bad.detail, digest_of(value), at_ms)
    name = topics.dead_letters.name
    head = cloudevents.headers(
        dead_letter_id(cause, bad.index),
        cloudevents.source_of("-", name),
        cloudevents.type_of("dead_letter"),
        at_ms,
    )
    return Record(topics.dead_letters, topic, orjson.dumps(letter), head)


def _told_of(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("drain_failed", fault=type(fault).__name__)
