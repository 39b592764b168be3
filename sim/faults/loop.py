"""An event loop that waits for nothing: its time is that of the next thing to do.

The real lanes run in it unchanged. Nothing depends on the machine: time begins at zero, moves only
when nobody can go on, and of two timers of one moment the one set first goes first. Sets of tasks
(``asyncio.wait``, ``TaskGroup``) are ordered by the number of each task, not by its address, so
that the same run is the same again in every process.
"""

import asyncio
import itertools
from asyncio import base_events
from collections.abc import Callable, Coroutine
from typing import Any, Final

from xiaohe.streams.ports import Alarm

MS_PER_S: Final = 1000.0


class StandstillError(Exception):
    """Nobody can go on and nothing is set for later: the simulation itself is wrong."""


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set follows from when it was made."""

    def __init__(
        self, coro: Coroutine[Any, Any, Any], *, loop: "VirtualLoop", **said: Any
    ) -> None:
        self.number = next(loop.numbers)
        super().__init__(coro, loop=loop, **said)

    def __hash__(self) -> int:
        return self.number


class _Waiting:
    """Where a loop waits for the outside: there is none, so time moves on at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Move to the next timer where nobody can go on before it."""
        if timeout is None:
            raise StandstillError("no task can go on and no timer is set")
        if timeout > 0:
            self._loop.move_to_next_timer()
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """The event loop of one simulated run. ``start_ms``: the date at which its time begins."""

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self._start_ms = start_ms
        self._now_s = 0.0
        self._selector = _Waiting(self)
        self._clock_resolution = 1e-9
        self.numbers = itertools.count()
        self.set_task_factory(lambda _, coro, **said: _NumberedTask(coro, loop=self, **said))

    def time(self) -> float:
        """Seconds since the run began."""
        return self._now_s

    def now_ms(self) -> int:
        """The true time: ms since the epoch, UTC."""
        return self._start_ms + int(self._now_s * MS_PER_S + 0.5)

    def move_to_next_timer(self) -> None:
        """Let time pass until the first timer is due."""
        self._now_s = self._scheduled[0].when()

    def later(self, delay_ms: float, callback: Callable[..., object], *said: Any) -> Alarm:
        """Call once, after a delay."""
        return self.call_at(self._now_s + delay_ms / MS_PER_S, callback, *said)

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


class TrueClock:
    """The time as it is: the broker's, the members' and the desk's."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._loop.now_ms()

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once, not before ``at_ms``."""
        return self._loop.later(max(0, at_ms - self.now_ms()), callback)

    async def sleep_until(self, at_ms: int) -> None:
        """Return not before ``at_ms``."""
        await _sleep_until(self, at_ms)


class WorkerClock:
    """The clock of a worker's process: wrong by ``ahead_ms`` from its start, going at ``rate``.

    ``hold`` is given what a timer calls: a process that stands still notices it afterwards.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        hold: Callable[[Callable[[], object]], object],
        ahead_ms: float,
        rate: float,
    ) -> None:
        self._loop = loop
        self._hold = hold
        self._ahead_ms = ahead_ms
        self._rate = rate
        self._since_s = loop.time()

    def go_at(self, rate: float) -> None:
        """Go faster (more than 1) or slower from now on."""
        self._ahead_ms = self._error_ms()
        self._since_s = self._loop.time()
        self._rate = rate

    def _error_ms(self) -> float:
        passed_s = self._loop.time() - self._since_s
        return self._ahead_ms + passed_s * (self._rate - 1.0) * MS_PER_S

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as this worker believes."""
        return self._loop.now_ms() + round(self._error_ms())

    def call_at(self, at_ms: int, callback: Callable[[], object]) -> Alarm:
        """Call once, not before ``at_ms`` by this clock as it goes now."""
        delay_ms = max(0, at_ms - self.now_ms()) / self._rate
        return self._loop.later(delay_ms, self._hold, callback)

    async def sleep_until(self, at_ms: int) -> None:
        """Return not before ``at_ms``."""
        await _sleep_until(self, at_ms)


async def _sleep_until(clock: TrueClock | WorkerClock, at_ms: int) -> None:
    come = asyncio.Event()
    alarm = clock.call_at(at_ms, come.set)
    try:
        await come.wait()
    finally:
        alarm.cancel()
