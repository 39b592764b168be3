"""The loop under the fault simulation: its time, its order, and clocks that are wrong."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from xiaohe.sim.faults.loop import StandstillError, TrueClock, VirtualLoop, WorkerClock

HOUR_MS = 3_600_000


def run(loop: VirtualLoop, coro: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end and close."""
    try:
        return loop.run_until_complete(coro)
    finally:
        loop.close()


def test_an_hour_passes_at_once() -> None:
    """Nobody waits for time to pass; afterwards it has passed."""
    loop, begun_s = VirtualLoop(5_000), time.monotonic()
    clock = TrueClock(loop)
    run(loop, clock.sleep_until(5_000 + HOUR_MS))
    assert clock.now_ms() == 5_000 + HOUR_MS
    assert time.monotonic() - begun_s < HOUR_MS / 1000 / 2


def test_timers_go_by_time_and_then_by_when_they_were_set() -> None:
    """Of one moment the one set first is called first; one taken back is not called."""
    loop, called = VirtualLoop(0), []
    loop.later(20, called.append, "last")
    loop.later(10, called.append, "first of two")
    loop.later(10, called.append, "second of two")
    loop.later(15, called.append, "taken back").cancel()
    run(loop, TrueClock(loop).sleep_until(20))
    assert called == ["first of two", "second of two", "last"]


def test_asyncio_s_own_timeouts_go_by_this_time() -> None:
    """What the product uses of asyncio works in it unchanged."""
    loop = VirtualLoop(0)

    async def wait() -> tuple[int, int]:
        async def for_ever() -> None:
            await asyncio.Event().wait()

        tasks = [loop.create_task(asyncio.sleep(each)) for each in (1, 5)]
        done, late = await asyncio.wait(tasks, timeout=2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await for_ever()
        return len(done), len(late)

    assert run(loop, wait()) == (1, 1)
    assert loop.now_ms() == 12_000


def test_sets_of_tasks_are_in_the_order_of_their_making() -> None:
    """No address decides who is cancelled first."""
    loop = VirtualLoop(0)

    async def order() -> list[int]:
        tasks = [loop.create_task(asyncio.sleep(1)) for _ in range(50)]
        numbers = [tasks.index(each) for each in set(tasks)]
        await asyncio.gather(*tasks)
        return numbers

    first = run(loop, order())
    loop = VirtualLoop(0)
    assert run(loop, order()) == first


def test_a_standstill_is_an_error() -> None:
    """Where nobody can go on and nothing is set, the simulation says so instead of waiting."""
    loop = VirtualLoop(0)
    with pytest.raises(StandstillError):
        run(loop, asyncio.Event().wait())


def test_a_worker_s_clock_can_be_wrong_and_go_wrong() -> None:
    """It is ahead from its start, and gains on the true time where it goes too fast."""
    loop = VirtualLoop(0)
    clock = WorkerClock(loop, lambda callback: callback(), ahead_ms=2_000, rate=1.0)
    clock.go_at(1.05)
    run(loop, TrueClock(loop).sleep_until(100_000))
    assert clock.now_ms() == 107_000
    assert loop.now_ms() == 100_000
