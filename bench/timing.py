"""How long one call takes, and how many are done in a second."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple, TypeVar

from xiaohe.bench.load import quantile
from xiaohe.streams.service import GC_ALLOCATIONS

WARM_UP_CALLS = 50
"""Caches, connections and compiled code come first."""

CALLS_MIN = 20
"""Fewer than these have no median worth telling."""

RECORDS_MIN = 5
"""Fewer records than these have no rate worth telling."""

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000

T = TypeVar("T")


class Timing(NamedTuple):
    """Microseconds of one call, over so many calls."""

    p50_us: float | None
    p99_us: float | None
    calls: int


@contextmanager
def collector_as_in_a_worker() -> Iterator[None]:
    """What has been loaded is looked through no more, and what comes new not all the time."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def timing_of(took_ns: Sequence[int]) -> Timing:
    """Sum up what single calls took."""
    took_us = [ns / NS_PER_US for ns in took_ns]
    return Timing(quantile(took_us, 0.50), quantile(took_us, 0.99), len(took_us))


def timed(call: Callable[[T], object], arguments: Sequence[T], seconds: float) -> Timing:
    """Call again and again, one call after the other, for about so many seconds.

    The arguments are taken in turn, and some of them before the measuring begins.
    """
    return timed_by_turns([call], arguments, seconds)[0]


def timed_by_turns(
    calls: Sequence[Callable[[T], object]], arguments: Sequence[T], seconds: float
) -> list[Timing]:
    """As ``timed``, several calls in turn: whatever else the machine does burdens all alike."""
    assert arguments, "there is nothing to call with"
    for argument in islice(cycle(arguments), WARM_UP_CALLS):
        for call in calls:
            call(argument)
    took_ns: list[list[int]] = [[] for _ in calls]
    end_ns = time.perf_counter_ns() + int(seconds * NS_PER_S)
    for argument in cycle(arguments):
        for call, took in zip(calls, took_ns, strict=True):
            started_ns = time.perf_counter_ns()
            call(argument)
            took.append(time.perf_counter_ns() - started_ns)
        if time.perf_counter_ns() > end_ns and len(took_ns[0]) >= CALLS_MIN:
            break
    return [timing_of(took) for took in took_ns]


def each_us(call: Callable[[Sequence[T]], object], batch: Sequence[T], seconds: float) -> float:
    """Call with a whole batch for about so many seconds; the median of µs for each of it."""
    assert batch
    call(batch)
    took_us: list[float] = []
    end_ns = time.perf_counter_ns() + int(seconds * NS_PER_S)
    while not took_us or time.perf_counter_ns() < end_ns:
        started_ns = time.perf_counter_ns()
        call(batch)
        took_us.append((time.perf_counter_ns() - started_ns) / NS_PER_US / len(batch))
    return round(median(took_us), 2)


def per_s(call: Callable[[T], object], records: Iterable[T], size: int, seconds: float) -> float:
    """Call once with each record of ``size`` things, for about so many seconds: things a second.

    By the record that takes the median time, so that what else the machine does counts little.
    """
    took_ns: list[int] = []
    end_ns = time.perf_counter_ns() + int(seconds * NS_PER_S)
    for record in records:
        started_ns = time.perf_counter_ns()
        call(record)
        ended_ns = time.perf_counter_ns()
        took_ns.append(ended_ns - started_ns)
        if ended_ns > end_ns and len(took_ns) >= RECORDS_MIN:
            break
    return size * NS_PER_S / median(took_ns)
