"""How long a decision takes, seen from outside: from the sending of a record to what names it.

Every event and dead letter names the record that caused it. The time between is the broker's, the
worker's and this reader's; nothing is asked of the worker.
"""

from collections import deque
from typing import Final

from xiaohe.sim.bus import Place

WAITED_S: Final = 300.0
"""A record that led to nothing in so long leads to nothing: most positions do not."""

EARLY_MAX: Final = 10_000
"""Causes heard of before their own acknowledgement was: some, within milliseconds."""


class Lag:
    """Delays, seconds, by when the record was sent; and the age of what is not taken yet."""

    def __init__(self) -> None:
        self.delays_s: list[tuple[float, float]] = []
        self.by_topic: dict[str, list[float]] = {}
        self._waiting: dict[Place, float] = {}
        self._early: dict[Place, float] = {}
        self._lines: dict[tuple[str, int], deque[tuple[int, float]]] = {}
        self._said: set[tuple[str, int]] = set()

    def sent(self, place: Place, at_s: float) -> None:
        """Note where a record lies that was sent at ``at_s`` (monotonic)."""
        self._lines.setdefault((place.topic, place.partition), deque()).append((place.offset, at_s))
        heard_s = self._early.pop(place, None)
        if heard_s is not None:
            self._note(place.topic, at_s, heard_s)
        else:
            self._waiting[place] = at_s

    def heard(self, place: Place, at_s: float) -> None:
        """Note that something names a record as its cause; the first time counts."""
        sent_s = self._waiting.pop(place, None)
        if sent_s is not None:
            self._note(place.topic, sent_s, at_s)
        else:
            self._early.setdefault(place, at_s)
            if len(self._early) > EARLY_MAX:
                del self._early[next(iter(self._early))]

    def _note(self, topic: str, sent_s: float, heard_s: float) -> None:
        self.delays_s.append((sent_s, heard_s - sent_s))
        self.by_topic.setdefault(topic, []).append(heard_s - sent_s)

    def taken(self, topic: str, partition: int, offset: int) -> None:
        """Note that the group has taken everything before an offset."""
        self._said.add((topic, partition))
        line = self._lines.get((topic, partition))
        while line and line[0][0] < offset:
            line.popleft()

    def oldest_s(self, now_s: float) -> float:
        """Give the age of the oldest record that the group does not say to have taken.

        Of a partition the group says nothing at all until its second record.
        """
        said = (line for at, line in self._lines.items() if line and at in self._said)
        return max((now_s - line[0][1] for line in said), default=0.0)

    def behind(self) -> int:
        """Count the records that the group does not say to have taken."""
        return sum(map(len, self._lines.values()))

    def prune(self, now_s: float) -> None:
        """Forget records that lead to nothing."""
        for place, sent_s in list(self._waiting.items()):
            if now_s - sent_s < WAITED_S:
                return
            del self._waiting[place]
