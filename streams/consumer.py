"""Faust's consumer, made to read on from where the decisions log says.

The offsets of a consumer group are advice: Faust commits past an unacknowledged event where
nothing was committed before, and anybody can move them by hand. The log is the truth.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

FETCH_WAIT_MS = 100
"""How long a fetch may wait at the end of the topics. Faust has it fixed at 1,500 ms, and a fetch
that was sent before the seek of a take-over keeps the first one behind it waiting for so long."""


RECORDS_AT_ONCE = 64
"""Records of one partition handed over before the others have their turn. A fetch brings up to
1 MiB, ten thousand small records of a flood, and an alert that came just behind it would wait for
all of them on their way through Faust."""


class Commits:
    """What has been acknowledged since the group's offsets were last committed.

    Attributes
    ----------
    pending : acknowledgements since then.
    """

    def __init__(self) -> None:
        self.pending = 0
        self._since_s: float | None = None

    def acknowledged(self) -> None:
        """A record was acknowledged, which is committed some time later."""
        self.pending += 1
        if self._since_s is None:
            self._since_s = time.monotonic()

    def committed(self) -> None:
        """The broker has taken offsets."""
        self.pending = 0
        self._since_s = None

    @property
    def overdue_s(self) -> float:
        """For how long there has been something to commit and nothing was."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s


class _ConsumerThread(AIOKafkaConsumerThread):
    """Makes the consumer with a fetch wait of our own, and takes what was fetched in turns."""

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's own
        max_records: int | None = None,  # noqa: ARG002 - always RECORDS_AT_ONCE of each
    ) -> dict[TP, list[Any]]:
        """Give some of each partition that has any; where none has, wait as Faust does."""
        found: dict[TP, list[Any]] = {}
        for tp in list(consumer._fetcher._records):  # noqa: SLF001 - what lies there, by partition
            if tp in active_partitions:
                found |= await super()._fetch_records(
                    consumer, {tp}, timeout=0, max_records=RECORDS_AT_ONCE
                )
        if found:
            return found
        return await super()._fetch_records(
            consumer, active_partitions, timeout=timeout, max_records=RECORDS_AT_ONCE
        )

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        assert consumer._fetch_max_wait_ms > FETCH_WAIT_MS  # noqa: SLF001 - no other way in
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - read when it starts
        return consumer


class LogConsumer(Consumer):
    """Seeks to the positions that ``next_offsets`` gives, never to committed ones.

    ``next_offsets`` is called after ``app.on_rebalance_complete``; a partition that it does not
    name stays where it is, and no lane takes what it brings.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - passed on as Faust gives them
        next_offsets: Callable[[], Mapping[tuple[str, int], int]],
        commits: Commits,
        **kwargs: Any,  # noqa: ANN401 - passed on as Faust gives them
    ) -> None:
        super().__init__(*args, **kwargs)
        self._next_offsets = next_offsets
        self._commits = commits

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, and note that it was done."""
        done = await super()._commit(offsets)
        if done:
            self._commits.committed()
        return done

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all owned partitions; what Faust takes for their committed offsets."""
        wanted = {TP(topic, p): offset for (topic, p), offset in self._next_offsets().items()}
        assigned = self.assignment()
        self._commits.committed()  # what the last assignment had to commit is no longer ours
        found = {tp: offset for tp, offset in wanted.items() if tp in assigned}
        if found:
            await self.seek_wait(found)
        return found
