"""The records of one input partition, read forward once; those passed are held for a while."""

from collections import deque
from collections.abc import Iterator

from xiaohe.replay.recording import Recording
from xiaohe.streams.ports import Raw


class Tape:
    """One input topic's partition of a recording.

    Attributes
    ----------
    start : the first offset that the topic still held when it was recorded.
    """

    def __init__(self, recording: Recording, topic: str, partition: int) -> None:
        self.start = recording.extent(topic, partition).start
        self._records = recording.read(topic, partition)
        self._ahead: Raw | None = next(self._records, None)
        self._held: dict[int, Raw] = {}
        self._order: deque[int] = deque()

    def take(self, offset: int) -> Raw | None:
        """Give a record that is asked for once; None where the topic no longer held it."""
        self._read(offset + 1)
        return self._held.pop(offset, None)

    def look(self, offset: int) -> Raw | None:
        """Give a record and go on holding it."""
        self._read(offset + 1)
        return self._held.get(offset)

    def span(self, start: int, end: int) -> Iterator[Raw]:
        """Give the records with ``start <= offset < end``, as far as they are there."""
        self._read(end)
        first = self._order[0] if self._order else end
        for offset in range(max(start, first), end):
            raw = self._held.get(offset)
            if raw is not None:
                yield raw

    def first_since(self, at_ms: int) -> int:
        """Give the offset of the first held record received at ``at_ms`` or later; of those that
        were read already the end where there is none."""
        while self._ahead is not None and self._ahead.timestamp_ms < at_ms:
            self._read(self._ahead.offset + 1)
        later = (o for o in self._order if self._held[o].timestamp_ms >= at_ms)
        end = self._order[-1] + 1 if self._order else self.start
        return next(later, end if self._ahead is None else self._ahead.offset)

    def forget_before(self, at_ms: int) -> None:
        """Hold no longer what was received before ``at_ms``."""
        while self._order:
            raw = self._held.get(self._order[0])
            if raw is not None and raw.timestamp_ms >= at_ms:
                return
            self._held.pop(self._order.popleft(), None)

    def _read(self, end: int) -> None:
        while self._ahead is not None and self._ahead.offset < end:
            self._held[self._ahead.offset] = self._ahead
            self._order.append(self._ahead.offset)
            self._ahead = next(self._records, None)
