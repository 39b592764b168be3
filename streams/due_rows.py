"""The open deadlines of all areas of a partition, earliest first."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from xiaohe.dispatch.inputs import WakeUp
from xiaohe.streams.codec import encode_wakeup
from xiaohe.streams.ports import WakeUpCall


class DueRow(NamedTuple):
    """One deadline of one incident, as it stood when it was set."""

    due_ms: int
    area_id: str
    incident_id: str
    name: str


class DueRows:
    """A heap that follows the state lazily: ``holds`` tells whether a row is still so there."""

    def __init__(self, holds: Callable[[DueRow], bool]) -> None:
        self._holds = holds
        self._heap: list[DueRow] = []

    def add(self, row: DueRow) -> None:
        """Note a deadline that was set."""
        heappush(self._heap, row)

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()

    def next_ms(self) -> int | None:
        """Give when the earliest is due."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0].due_ms if self._heap else None

    def due(self, now_ms: int) -> Iterator[WakeUpCall]:
        """Give those that are due, earliest first. They stay until they no longer hold."""
        found: dict[DueRow, None] = {}
        while self._heap and self._heap[0].due_ms <= now_ms:
            row = heappop(self._heap)
            if self._holds(row):
                found[row] = None
        for row in found:
            heappush(self._heap, row)
            yield wake_up_call(row)


def wake_up_call(row: DueRow) -> WakeUpCall:
    """Give the wake-up that is written for a deadline."""
    wake_up = WakeUp(
        area_id=row.area_id, incident_id=row.incident_id, deadline=row.name, due_ms=row.due_ms
    )
    key, value = encode_wakeup(wake_up)
    return WakeUpCall(row.due_ms, key, value)
