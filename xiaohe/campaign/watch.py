"""When each area decides again: the decisions log, read while it grows.

An area decides when an input's last decision is written: before it, none of them counts.

Times are the broker's, which on one machine is the clock that faults are timed by.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options

NOBODY = -1

REQUEST_TIMEOUT_MS = 10_000


@dataclass(slots=True)
class Wait:
    """What is waited for: a decision in each of these partitions, after a fault.

    ``not_by`` are the processes that the fault hit: what they had under way does not count.
    ``found_s`` has the seconds from the fault to the first decision, by partition.
    """

    partitions: frozenset[int]
    since_ms: float
    not_by: frozenset[int]
    found_s: dict[int, float] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def missing(self) -> frozenset[int]:
        """The partitions that do not decide yet."""
        return self.partitions - self.found_s.keys()


class Watch:
    """Reads the decisions log; an asynchronous context manager."""

    def __init__(self, cluster: Cluster, topics: Topics) -> None:
        self._partitions = [
            TopicPartition(topics.decisions.name, n) for n in range(topics.decisions.partitions)
        ]
        self._owners: dict[int, tuple[int, int]] = {}
        self._waits: list[Wait] = []
        self._reading: asyncio.Task[None] | None = None
        self._reader = AIOKafkaConsumer(
            **client_options(cluster),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def __aenter__(self) -> Self:
        """Begin to read."""
        await self._reader.start()
        self._reader.assign(self._partitions)
        self._reading = asyncio.create_task(self._read(), name="watch")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._reader.stop()

    def expect(
        self, partitions: Iterable[int], since_ms: float, not_by: Iterable[int] = ()
    ) -> Wait:
        """Wait for decisions after a fault; ``done`` of what is given back tells."""
        wait = Wait(frozenset(partitions), since_ms, frozenset(not_by))
        self._waits.append(wait)
        self._look()
        return wait

    async def _read(self) -> None:
        while True:
            fetched = await self._reader.getmany(timeout_ms=200)
            for at, records in fetched.items():
                for record in records:
                    entry = orjson.loads(record.value.partition(b"\n")[0])
                    self._take(at.partition, record.offset, record.timestamp, entry)
            self._look()

    def _take(self, partition: int, offset: int, at_ms: int, entry: dict[str, object]) -> None:
        if entry["kind"] == "fence":
            pid = str(entry["worker"]).rpartition(":")[2]  # host:pid
            self._owners[partition] = (offset, int(pid))
        elif entry["kind"] == "decision":
            epoch, owner = self._owners.get(partition, (NOBODY, NOBODY))
            # One of several upon an input counts only with the last of them.
            if entry["epoch"] == epoch and not entry.get("more", False):
                self._decided(partition, at_ms, owner)

    def _decided(self, partition: int, at_ms: int, owner: int) -> None:
        for wait in self._waits:
            late = at_ms > wait.since_ms
            if late and partition in wait.missing and owner not in wait.not_by:
                wait.found_s[partition] = (at_ms - wait.since_ms) / 1000

    def _look(self) -> None:
        for wait in [wait for wait in self._waits if not wait.missing]:
            wait.done.set()
            self._waits.remove(wait)
