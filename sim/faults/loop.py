"""An event loop that waits for nothing: its time is that of the next thing to do.

The real lanes run in it unchanged. Nothing depends on the machine: time begins at zero, moves only
when nobody can go on, and of two timers of one moment the one set first goes first. Sets of tasks
(``asyncio.wait``, ``TaskGroup``) are ordered by the number of each task, not by its address, so
that the same run is the same again in every process.
"""

# ruff: noqa: SLF001 - what runs the handles is part of them, as in asyncio itself

import asyncio
import itertools
from asyncio import base_events
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any, Final

from xiaohe.streams.ports import Alarm

MS_PER_S: Final = 1000.0


class StandstillError(Exception):
    """Nobody can go on and nothing is set for later: the simulation itself is wrong."""


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set follows from when it was made."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        loop: "VirtualLoop",
        **said: Any,  # noqa: ANN401 - asyncio.Task's own
    ) -> None:
        self.number = next(loop.numbers)
        super().__init__(coro, loop=loop, **said)

    def __hash__(self) -> int:
        return self.number


class _Timer:
    """Something to be called at a moment; what asyncio calls a handle."""

    __slots__ = ("_args", "_callback", "_cancelled", "_loop", "_when")
    _source_traceback = None

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: "VirtualLoop",
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self._cancelled

    def when(self) -> float:
        """When it is due, by the loop's time."""
        return self._when

    def _run(self) -> None:
        try:
            self._callback(*self._args)
        except Exception as error:  # noqa: BLE001 - as asyncio does: told, and the loop goes on
            told = {"message": f"a timer's call failed: {self._callback}", "exception": error}
            self._loop.call_exception_handler(told)


class VirtualLoop(base_events.BaseEventLoop):
    """The event loop of one simulated run. ``start_ms``: the date at which its time begins."""

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self._start_ms = start_ms
        self._now_s = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._set = 0
        self.numbers = itertools.count()
        self.set_task_factory(lambda _, coro, **said: _NumberedTask(coro, loop=self, **said))

    def time(self) -> float:
        """Seconds since the run began."""
        return self._now_s

    def now_ms(self) -> int:
        """The true time: ms since the epoch, UTC."""
        return self._start_ms + int(self._now_s * MS_PER_S + 0.5)

    def later(self, delay_ms: float, callback: Callable[..., object], *said: object) -> Alarm:
        """Call once, after a delay."""
        return self.call_at(self._now_s + delay_ms / MS_PER_S, callback, *said)

    def call_at(  # type: ignore[override]  # asyncio's own class, without what nobody asks it
        self, when: float, callback: Callable[..., object], *said: object, context: object = None
    ) -> _Timer:
        """Call once, at a moment of the loop's time; nobody here has a context of their own."""
        del context
        timer = _Timer(when, callback, said, self)
        self._set += 1
        heappush(self._timers, (when, self._set, timer))
        return timer

    def _run_once(self) -> None:
        """Call what can be called; where there is nothing, let time move on to the next timer."""
        timers, ready = self._timers, self._ready
        if not ready:
            while timers and timers[0][2]._cancelled:
                heappop(timers)
            if not timers:
                raise StandstillError("no task can go on and no timer is set")
            self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

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
