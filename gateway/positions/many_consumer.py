"""A consumer that gives the values of many records, and no object a record.

``getmany`` of aiokafka makes a dataclass of every record, through three Python frames: with 700
bytes a record that is more than half of what reading costs, and as much as all that the gateway
does with it. The batches that aiokafka's compiled reader gives are emptied here at once.

This leans on how aiokafka keeps what it has fetched (its version is exact in pyproject.toml, and
``tests/kafka/test_many_consumer.py`` holds it to what ``getmany`` gives).
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException


@dataclass(slots=True)
class ManyRecords:
    """Records of one partition by column, in order."""

    place: TopicPartition
    values: list[bytes | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    next_offset: int = 0

    def __len__(self) -> int:
        """Count the records."""
        return len(self.values)


class ManyConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose records are taken with ``get_columns`` alone, never with ``getmany``."""

    async def get_columns(self, timeout_ms: int, records_max: int) -> list[ManyRecords]:
        """Give what has been fetched; wait so long where nothing has.

        ``records_max`` may be passed by the records of one batch of a producer, which is taken
        whole. Raises what ``getmany`` raises.
        """
        self._coordinator.check_errors()
        with self._subscription.fetch_context():
            if self._subscription.reassignment_in_progress:
                await self._subscription.wait_for_assignment()
            taken = self._take(records_max)
            if not taken and timeout_ms:
                waiter = self._fetcher._create_fetch_waiter()  # noqa: SLF001 - see above
                done, _ = await asyncio.wait([waiter], timeout=timeout_ms / 1000)
                if not done:
                    waiter.cancel()
                elif not self._subscription.reassignment_in_progress:
                    waiter.result()
                    taken = self._take(records_max)
            return taken

    def _take(self, records_max: int) -> list[ManyRecords]:
        fetcher = self._fetcher
        taken: list[ManyRecords] = []
        left = records_max
        for place, result in list(fetcher._records.items()):  # noqa: SLF001 - see above
            if left <= 0:
                break
            if type(result) is not FetchResult:
                if not taken:
                    self._let_go(place)
                    result.check_raise()
                break
            many = _emptied(result, place, left)
            if not result.has_more():
                self._let_go(place)
            if many is not None and many.values:
                taken.append(many)
                left -= len(many)
        return taken

    def _let_go(self, place: TopicPartition) -> None:
        """Have the next records of a partition fetched."""
        del self._fetcher._records[place]  # noqa: SLF001 - see above
        self._fetcher._notify(self._fetcher._wait_consume_future)  # noqa: SLF001


def _emptied(result: Any, place: TopicPartition, records_max: int) -> ManyRecords | None:  # noqa: ANN401 - aiokafka has no types
    """Take whole batches until there are enough records; None of a partition that is not ours."""
    if not result.check_assignment(place):
        return None
    fetched = result._partition_records  # noqa: SLF001 - see above
    many = ManyRecords(place)
    batches = fetched._records  # noqa: SLF001 - see above
    while batches.has_next() and len(many) < records_max:
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {place}")
        if not batch.is_control_batch:
            _append(many, batch, fetched.next_fetch_offset)
        fetched.next_fetch_offset = batch.next_offset
    many.next_offset = fetched.next_fetch_offset
    result._update_position()  # noqa: SLF001 - see above
    if not batches.has_next():
        result._partition_records = None  # noqa: SLF001 - see above
    return many


def _append(many: ManyRecords, batch: Any, first: int) -> None:  # noqa: ANN401 - as above
    """Take a batch; of one that was sought into, what lies before ``first`` is passed over."""
    records = list(batch)
    if records and records[0].offset < first:
        records = [record for record in records if record.offset >= first]
    many.values += [record.value for record in records]
    many.offsets += [record.offset for record in records]
    many.timestamps += [record.timestamp for record in records]
