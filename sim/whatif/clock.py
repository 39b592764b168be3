"""Virtual time: what is to happen, in order. Between two events nothing happens.

Of events of one moment, words come before deadlines: a deadline is decided after every record
that was received before it, and a word received at the last moment of a window is in time. Among
each, the one set first comes first, so that a run is the same again.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Literal

Doing = Callable[[], None]

_RANKS: Final = {"word": 0, "deadline": 1}


class Clock:
    """A queue of events by their time, ms since the epoch; ``now_ms`` never goes back."""

    def __init__(self, start_ms: int) -> None:
        """Stand at the start with nothing to do."""
        self.now_ms = start_ms
        self.events = 0
        self._set = 0
        self._queue: list[tuple[int, int, int, Doing]] = []

    def at(self, when_ms: int, do: Doing, kind: Literal["word", "deadline"] = "word") -> None:
        """Let something happen at a moment; one that has passed means now."""
        self._set += 1
        heappush(self._queue, (max(when_ms, self.now_ms), _RANKS[kind], self._set, do))

    def next_ms(self) -> int | None:
        """Give when the next event is; None where there is none."""
        return self._queue[0][0] if self._queue else None

    def step(self, end_ms: int) -> bool:
        """Let the next event happen if it is before ``end_ms``; tell whether there was one."""
        if not self._queue or self._queue[0][0] >= end_ms:
            return False
        self.now_ms, _, _, do = heappop(self._queue)
        self.events += 1
        do()
        return True
