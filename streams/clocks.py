"""Clocks: the day's own, one that runs faster, and one that stands until it is moved."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from xiaohe.streams.ports import Alarm


class SystemClock:
    """The machine's clock at the moment it is made; from then on what passes, ``speed`` times.

    It does not follow a wall clock that is put forward or back: a lane's deadlines would. What is
    wrong with the machine's clock, acknowledgements of the broker put right (``brokers_time.py``).
    """

    def __init__(self, speed: float = 1.0) -> None:
        assert speed > 0
        self._speed = speed
        self._started_s = time.time()
        self._since_s = time.monotonic()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        passed_s = time.monotonic() - self._since_s
        return int((self._started_s + passed_s * self._speed) * 1000)

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once, not before ``at_ms``."""
        delay_s = max(0, at_ms - self.now_ms()) / 1000 / self._speed
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def sleep_until(self, at_ms: int) -> None:
        """Return not before ``at_ms``."""
        come = asyncio.Event()
        alarm = self.call_at(at_ms, come.set)
        try:
            await come.wait()
        finally:
            alarm.cancel()


class _Timer:
    """One call of a VirtualClock."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Do not call."""
        self.callback = None


class VirtualClock:
    """A clock that stands still until ``advance`` moves it; the same run again gives the same."""

    SETTLE_TURNS = 25
    """Turns of the event loop given to the tasks between two timers: longer than the longest
    chain of wake-ups between two lanes that do no real I/O."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._now_ms

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once ``advance`` has come to ``at_ms``."""
        timer = _Timer(callback)
        heapq.heappush(self._timers, (max(at_ms, self._now_ms), next(self._order), timer))
        return timer

    async def sleep_until(self, at_ms: int) -> None:
        """Return once ``advance`` has come to ``at_ms``."""
        if at_ms <= self._now_ms:
            return
        come = asyncio.Event()
        timer = self.call_at(at_ms, come.set)
        try:
            await come.wait()
        finally:
            timer.cancel()

    async def advance(self, to_ms: int) -> None:
        """Move to ``to_ms``, letting everything happen that falls due on the way, in order."""
        assert to_ms >= self._now_ms
        await self.settle()
        while self._timers and self._timers[0][0] <= to_ms:
            at_ms, _, timer = heapq.heappop(self._timers)
            if timer.callback is None:
                continue
            self._now_ms = max(self._now_ms, at_ms)
            timer.callback()
            await self.settle()
        self._now_ms = to_ms

    async def settle(self) -> None:
        """Let the tasks run until they wait for something."""
        for _ in range(self.SETTLE_TURNS):
            await asyncio.sleep(0)
