"""The roster, read whole by every worker: a compacted topic of one partition.

No group and no committed offsets: each worker reads from the beginning and goes on reading. Before
inputs are decided, ``caught_up`` waits until everything has been read that lay in the topic when
it was called, so that a roster published before an alert counts for it.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from xiaohe.streams.kafka_log import REQUEST_TIMEOUT_S, plain_reader, raw_of
from xiaohe.streams.ports import Raw
from xiaohe.wire.cluster_access import Cluster, client_options

ROSTER = "roster"
"""Key in topics.yaml."""

CAUGHT_UP_TIMEOUT_S = 10.0
"""How long reading may take to the end that was asked for; then the worker leaves."""

RECORDS_AT_ONCE = 1_000
"""Records taken before the event loop has its turn again."""


class RosterStuckError(Exception):
    """The roster topic could not be read to its end in time."""


class RosterReader:
    """Reads the roster and tells ``on_record`` each record, in order; an async context manager.

    ``on_record`` is called from the event loop, with tombstones (value None) too. ``on_failure`` is
    called with what ended the reading.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        on_record: Callable[[Raw], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._where = TopicPartition(topic, 0)
        self._on_record = on_record
        self._on_failure = on_failure
        self._reader = plain_reader(cluster)
        self._asker = AIOKafkaConsumer(
            **client_options(cluster),
            enable_auto_commit=False,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        self._next = 0
        self._progress = asyncio.Condition()
        self._asking: asyncio.Task[int] | None = None
        self._asking_next: asyncio.Task[int] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect and begin to read."""
        await self._reader.start()
        await self._asker.start()
        self._reader.assign([self._where])
        await self._reader.seek_to_beginning(self._where)
        self._reading = asyncio.create_task(self._read(), name="roster")
        self._reading.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading and disconnect."""
        tasks = [t for t in (self._reading, self._asking, self._asking_next) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reader.stop()
        await self._asker.stop()

    @property
    def version(self) -> str:
        """What has been read, for decisions to name: the next offset of the topic."""
        return f"{ROSTER}@{self._next}"

    async def ready(self) -> None:
        """Return when the roster has been read whole for the first time."""
        await self.caught_up()

    async def caught_up(self) -> None:
        """Return when all that lay in the topic at the time of the call has been told.

        Raises
        ------
        RosterStuckError
            where that takes longer than CAUGHT_UP_TIMEOUT_S.
        """
        try:
            async with asyncio.timeout(CAUGHT_UP_TIMEOUT_S):
                end = await self._end()
                if self._next < end:
                    async with self._progress:
                        await self._progress.wait_for(lambda: self._next >= end)
        except TimeoutError as error:
            raise RosterStuckError(
                f"{self._where.topic} was read to {self.version} in {CAUGHT_UP_TIMEOUT_S:.0f} s "
                "and not to its end"
            ) from error

    async def _end(self) -> int:
        """The topic's end, asked after the call: lanes that ask meanwhile share the next answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            return await asyncio.shield(self._asking)
        if self._asking_next is None or self._asking_next.done():
            self._asking_next = asyncio.create_task(self._ask_after(self._asking))
        return await asyncio.shield(self._asking_next)

    async def _ask(self) -> int:
        ends = await self._asker.end_offsets([self._where])
        return int(ends[self._where])

    async def _ask_after(self, earlier: asyncio.Task[int]) -> int:
        await asyncio.wait([earlier])
        self._asking = asyncio.current_task()
        self._asking_next = None
        return await self._ask()

    async def _read(self) -> None:
        while True:
            fetched = await self._reader.getmany(
                self._where, timeout_ms=1_000, max_records=RECORDS_AT_ONCE
            )
            for record in fetched.get(self._where, ()):
                self._on_record(raw_of(ROSTER, record))
            moved = await self._reader.position(self._where)  # past what compaction removed too
            if moved != self._next:
                self._next = moved
                async with self._progress:
                    self._progress.notify_all()

    def _ended(self, reading: asyncio.Task[None]) -> None:
        if not reading.cancelled() and (error := reading.exception()) is not None:
            self._on_failure(error)
