"""Whether what the reader of the topics delivers is all that lies in them.

Offsets that hold no record are never delivered: those of a transaction's control records, and
those that retention has removed. Any other gap means that the reader left records out, and the
worker leaves before it decides anything behind it.
"""

from collections.abc import Mapping

from xiaohe.streams.inbox import Gap, Inbox
from xiaohe.streams.ports import Log


class RecordsSkippedError(Exception):
    """The reader of an input topic left records out."""


class Delivery:
    """Looks into the topics where an inbox has gaps, or an end is not reached."""

    def __init__(self, inbox: Inbox, log: Log, partition: int) -> None:
        self._inbox = inbox
        self._io = log
        self._partition = partition

    async def account_for_gaps(self) -> None:
        """Let gaps that held no records pass.

        Raises
        ------
        RecordsSkippedError
            where one did.
        """
        while self._inbox.gaps:
            gap = self._inbox.gaps.pop()
            if await self._holds_records(gap):
                raise RecordsSkippedError(
                    f"{gap.topic}[{self._partition}]: records {gap.start} to {gap.end - 1} exist "
                    "and were not delivered"
                )

    async def pass_empty(self, ends: Mapping[str, int]) -> bool:
        """Go past offsets before the ends that hold no record; whether there were any."""
        passed = False
        for topic, end in ends.items():
            start = self._inbox.fetched_next[topic]
            if start >= end or await self._holds_records(Gap(topic, start, end)):
                continue
            if self._inbox.fetched_next[topic] == start:
                self._inbox.fetched_next[topic] = end
                passed = True
        return passed

    async def _holds_records(self, gap: Gap) -> bool:
        async for _ in self._io.read_input(gap.topic, self._partition, gap.start, gap.end):
            return True
        return False
