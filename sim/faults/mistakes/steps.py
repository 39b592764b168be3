"""Mistakes in the steps of a lane: what is done before what, and what waits for what."""

# ruff: noqa: SLF001 - a mistake is made where nobody else may reach

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from xiaohe.sim.faults.mistakes import Swap, Swaps
from xiaohe.streams import lane, takeover
from xiaohe.streams.folding import Folding
from xiaohe.streams.inbox import Inbox, Item
from xiaohe.streams.ports import POSITIONS, WAKEUPS, Log, Raw

GROUP_COMMITS_MS: Final = 2_800
"""How often a Faust consumer commits what it acknowledged."""

Batch = Callable[[lane.Lane], Coroutine[Any, Any, bool]]


def published_before_append() -> Swaps:
    """Publish a batch, then write it to the log."""
    return (Swap(lane.Lane, "_batch", _batch(publish_first=True)),)


def acknowledged_before_append() -> Swaps:
    """Acknowledge a batch, then write it to the log; read on from what is acknowledged."""
    return (Swap(lane.Lane, "_batch", _batch(acknowledge_first=True)), *_from_the_group(0))


def read_on_from_the_group() -> Swaps:
    """Read on from the offsets that the consumer group has committed."""
    return _from_the_group(GROUP_COMMITS_MS)


def _batch(*, publish_first: bool = False, acknowledge_first: bool = False) -> Batch:
    """Give a lane's batch with its steps in another order."""

    async def batch(self: lane.Lane) -> bool:
        arrived = self._inbox.arrivals
        if self._next_item(arrived, positions=True) is None:
            return False
        await self._delivery.account_for_gaps()
        if self._flow.gate is not None and self._inbox.holds_deciding():
            await self._flow.gate()
        self.clean = False
        found = lane._Batch([], [], [])
        await self._decide_all(found, arrived)
        if acknowledge_first:
            self._acknowledge(found.items)
        if publish_first and found.publications:
            await self._io.publish(found.publications)
        if found.values:
            await self._journal.decisions(found.values, self._next_inputs[POSITIONS])
        if not publish_first and found.publications:
            await self._io.publish(found.publications)
        self.clean = True
        if not acknowledge_first:
            self._acknowledge(found.items)
        return True

    return batch


class _Group:
    """What a consumer group has acknowledged in one run, and how much of it is committed."""

    def __init__(self) -> None:
        self._acknowledged: dict[tuple[str, int], int] = {}
        self._committed_ms = 0
        self.committed: Mapping[tuple[str, int], int] = {}

    def acknowledge(self, raw: Raw) -> None:
        """Take note that a record is done with."""
        where = (raw.topic, raw.partition)
        self._acknowledged[where] = max(self._acknowledged.get(where, 0), raw.offset + 1)

    def commit(self, now_ms: int, every_ms: int) -> None:
        """Commit what was acknowledged, if it is time."""
        if now_ms - self._committed_ms >= every_ms:
            self.committed, self._committed_ms = dict(self._acknowledged), now_ms


def _from_the_group(commits_ms: int) -> Swaps:
    groups: WeakKeyDictionary[asyncio.AbstractEventLoop, _Group] = WeakKeyDictionary()
    acknowledge, read_on = lane.Lane._acknowledge, takeover._next_inputs

    def group() -> _Group:
        return groups.setdefault(asyncio.get_running_loop(), _Group())

    def acknowledging(self: lane.Lane, items: Sequence[Item]) -> None:
        acknowledge(self, items)
        for item in items:
            group().acknowledge(item.raw)
        group().commit(self._clock.now_ms(), commits_ms)

    async def reading_on(log: Log, partition: int, folding: Folding) -> dict[str, int]:
        found = await read_on(log, partition, folding)
        return {topic: group().committed.get((topic, partition), 0) for topic in found}

    return (
        Swap(lane.Lane, "_acknowledge", acknowledging),
        Swap(takeover, "_next_inputs", reading_on),
    )


def no_hold() -> Swaps:
    """Take a record that was received after a deadline while that is still open."""

    def next_item(self: lane.Lane, arrived: int, *, positions: bool) -> Item | None:
        record = self._inbox.first_record(positions=positions)
        wakeup = self._inbox.first_wakeup()
        if wakeup is not None and (record is None or wakeup < record):
            covered = wakeup.raw.offset < self._barrier[WAKEUPS]
            reached = covered and self._inbox.reached(self._barrier, wakeup.due_ms)
            return wakeup if reached else None
        return None if record is None or record.arrival > arrived else record

    return (Swap(lane.Lane, "_next_item", next_item),)


def no_barrier() -> Swaps:
    """Decide a deadline although records received before it have not been taken."""
    return (Swap(Inbox, "reached", lambda _self, _ends, _at_ms: True),)


def repeated_delivery_taken() -> Swaps:
    """Let a record wait that has come before."""
    put = Inbox.put

    def putting(self: Inbox, raw: Raw, ack: object, now_ms: int = 0) -> bool:
        self.fetched_next[raw.topic] = min(self.fetched_next[raw.topic], raw.offset)
        return put(self, raw, ack, now_ms)

    return (Swap(Inbox, "put", putting),)


def never_set_aside() -> Swaps:
    """Try an input that fails again and again."""
    return (Swap(lane, "ATTEMPTS_MAX", 1_000_000),)
