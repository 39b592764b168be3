"""What waits in front of a lane: one line a topic, and which record is next.

Records are taken in the order of their receipt, as far as they have come; each topic's own order
is always kept. A wake-up stands at the time of its deadline, behind every record received up to
then. That is all the order that there is between topics: what has not come yet may be older.
"""

import heapq
from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from xiaohe.streams.ports import ALERTS, POSITIONS, WAKEUPS, Raw
from xiaohe.streams.stated_ms import stated_ms

DUE_HEADER = "due_ms"
"""Header of a wake-up: the deadline that it was written for, ms since the epoch, as text."""

CLOCK_SKEW_MS_MAX = 1_500
"""How far a wake-up may be ahead of its receipt: it is written when a deadline is due by the
worker's clock and received by the broker's."""

Key = tuple[int, int, int]


class Item(Struct):
    """One record that waits. ``key`` is its place in time, ``arrival`` counts all records of the
    inbox, ``ack`` is whatever the reader of the topic needs to acknowledge it, ``since_ms`` when
    it was put here."""

    raw: Raw
    ack: object
    arrival: int
    key: Key
    since_ms: int = 0

    def __lt__(self, other: "Item") -> bool:
        """By place in time."""
        return self.key < other.key

    @property
    def due_ms(self) -> int:
        """Deadline of a wake-up, receipt of any other record."""
        return self.key[0]


class Gap(Struct, frozen=True):
    """Offsets of an input topic that were not delivered."""

    topic: str
    start: int
    end: int


class Inbox:
    """The waiting records of one partition's input topics.

    ``received_ms`` is the latest receipt of all that came: so late it was by the broker's clock.
    """

    def __init__(self, next_inputs: Mapping[str, int]) -> None:
        self.received_ms = 0
        self.fetched_next = dict(next_inputs)
        self.arrivals = 0
        self.gaps: list[Gap] = []
        self._lines: dict[str, deque[Item]] = {
            topic: deque() for topic in next_inputs if topic != WAKEUPS
        }
        self._deciding = [line for topic, line in self._lines.items() if topic != POSITIONS]
        self._wakeups: list[Item] = []
        self._bytes: dict[str, int] = dict.fromkeys(self._lines, 0)

    def put(self, raw: Raw, ack: object, now_ms: int = 0) -> bool:
        """Let a record wait; False for one that is known already (a delivery repeated)."""
        expected = self.fetched_next[raw.topic]
        if raw.offset < expected:
            return False
        if raw.offset > expected:
            self.gaps.append(Gap(raw.topic, expected, raw.offset))
        self.fetched_next[raw.topic] = raw.offset + 1
        self.received_ms = max(self.received_ms, raw.timestamp_ms)
        self.arrivals += 1
        if raw.topic == WAKEUPS:
            key = (_due_ms(raw), 1, self.arrivals)
            heapq.heappush(self._wakeups, Item(raw, ack, self.arrivals, key, now_ms))
        else:
            key = (raw.timestamp_ms, 0, self.arrivals)
            self._lines[raw.topic].append(Item(raw, ack, self.arrivals, key, now_ms))
            self._bytes[raw.topic] += _size(raw)
        return True

    def first_record(self, *, positions: bool) -> Item | None:
        """The oldest record at the head of a line, wake-ups apart."""
        lines = self._lines.values() if positions else self._deciding
        return min((line[0] for line in lines if line), default=None)

    def first_alert(self) -> Item | None:
        """The alert that came first."""
        line = self._lines[ALERTS]
        return line[0] if line else None

    def first_wakeup(self) -> Item | None:
        """The wake-up with the earliest deadline."""
        return self._wakeups[0] if self._wakeups else None

    def remove(self, item: Item) -> None:
        """Take out what was the head of its line when it was looked at.

        A wake-up with an earlier deadline may have come since: it waits for its own turn.
        """
        if item.raw.topic != WAKEUPS:
            taken = self._lines[item.raw.topic].popleft()
            assert taken is item, "records are taken in the order of their topic"
            self._bytes[item.raw.topic] -= _size(item.raw)
        elif self._wakeups[0] is item:
            heapq.heappop(self._wakeups)
        else:
            self._wakeups = [each for each in self._wakeups if each is not item]
            heapq.heapify(self._wakeups)

    def reached(self, ends: Mapping[str, int], at_ms: int) -> bool:
        """Whether every record below ``ends`` received up to ``at_ms`` has come and been taken."""
        return all(self._line_reached(topic, ends[topic], at_ms) for topic in self._lines)

    def _line_reached(self, topic: str, end: int, at_ms: int) -> bool:
        line = self._lines[topic]
        if line:
            return line[0].due_ms > at_ms
        return self.fetched_next[topic] >= end

    def waiting(self, topic: str) -> int:
        """How many records of a topic wait."""
        return len(self._wakeups) if topic == WAKEUPS else len(self._lines[topic])

    def waiting_bytes(self, topic: str) -> int:
        """How many bytes the keys and values of a topic's waiting records have, wake-ups apart."""
        return self._bytes.get(topic, 0)

    def waiting_next(self, topic: str) -> int:
        """First offset of a topic that has not been taken."""
        line = self._lines[topic]
        return line[0].raw.offset if line else self.fetched_next[topic]

    def __len__(self) -> int:
        """How many records wait in all."""
        return len(self._wakeups) + sum(map(len, self._lines.values()))

    def holds_deciding(self) -> bool:
        """Whether anything waits that will be decided."""
        return bool(self._wakeups) or any(self._deciding)


def _size(raw: Raw) -> int:
    return len(raw.key or b"") + len(raw.value or b"")


def _due_ms(raw: Raw) -> int:
    """The deadline a wake-up was written for; its receipt where a foreign hand wrote it."""
    stated = stated_ms(raw.headers, DUE_HEADER)
    if stated is None:
        return raw.timestamp_ms
    return min(stated, raw.timestamp_ms + CLOCK_SKEW_MS_MAX)
