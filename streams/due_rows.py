"""The open deadlines of all areas of a partition, earliest first."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.inputs import WakeUp
from xiaohe.streams.ports import WakeUpCall
from xiaohe.wire.codec import encode_wakeup


class DueRow(NamedTuple):
    """One deadline of one incident, as it stood when it was set."""

    due_ms: int
    area_id: str
    incident_id: str
    name: str


class DueRows:
    """A heap that follows the state lazily: ``holds`` tells whether a row is still so there.

    Rows that were given out wait in a heap of their own until they no longer hold, so that those
    that fall due next are found without looking at all that are being decided.
    """

    def __init__(self, holds: Callable[[DueRow], bool]) -> None:
        self._holds = holds
        self._heap: list[DueRow] = []
        self._given: list[DueRow] = []

    def add(self, row: DueRow) -> None:
        """Note a deadline that was set."""
        heappush(self._heap, row)

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._given.clear()

    def next_ms(self) -> int | None:
        """Give when the earliest is due, given out or not."""
        firsts = [first for heap in (self._heap, self._given) if (first := self._first(heap))]
        return min(firsts).due_ms if firsts else None

    def _first(self, heap: list[DueRow]) -> DueRow | None:
        while heap and not self._holds(heap[0]):
            heappop(heap)
        return heap[0] if heap else None

    def give_again(self) -> None:
        """Take none as given out."""
        given, self._given = self._given, []
        for row in given:
            heappush(self._heap, row)

    def newly_due(self, now_ms: int) -> Iterator[WakeUpCall]:
        """Give out those that are due and were not before, earliest first, as far as it is gone
        through."""
        last: DueRow | None = None
        while (row := self._first(self._heap)) is not None and row.due_ms <= now_ms:
            heappop(self._heap)
            heappush(self._given, row)
            if row != last:  # set twice alike, it is one deadline
                last = row
                yield wake_up_call(row)

    def due(self, now_ms: int) -> Iterator[WakeUpCall]:
        """Give all that are due, given out before or not, earliest first. They stay until they no
        longer hold."""
        for _ in self.newly_due(now_ms):
            pass
        self._given = sorted({row for row in self._given if self._holds(row)})  # a heap, too
        return map(wake_up_call, self._given)


def wake_up_call(row: DueRow) -> WakeUpCall:
    """Give the wake-up that is written for a deadline."""
    wake_up = WakeUp(
        area_id=row.area_id, incident_id=row.incident_id, deadline=row.name, due_ms=row.due_ms
    )
    key, value = encode_wakeup(wake_up)
    return WakeUpCall(row.due_ms, key, value, holds=row.name != RETRY)
