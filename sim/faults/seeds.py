"""Many seeds, one after the other or in several processes: what came of each, in their order."""

import gc
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from multiprocessing import get_context
from typing import Any, Final

import structlog
from msgspec import Struct

from xiaohe.sim.faults.city import START_MS
from xiaohe.sim.faults.evidence import Evidence, Violation
from xiaohe.sim.faults.faults import Plan
from xiaohe.sim.faults.hashing import hash_of
from xiaohe.sim.faults.judges import judge
from xiaohe.sim.faults.plants import planted
from xiaohe.sim.faults.run import World

SEEDS_AT_ONCE: Final = 4
"""Seeds that a process is given together; a failing one is told that much later."""

COLLECT_EVERY: Final = 50
"""Runs between two collections of what they left: one run's worlds are some MB."""

Trace = Callable[[int, str], None]


class Outcome(Struct, frozen=True):
    """What came of one seed.

    Attributes
    ----------
    hash : of all that the run left; empty where it could not be run to its end.
    injected : by kind, how many faults there were.
    options : what was drawn, in words.
    """

    seed: int
    hash: str
    simulated_ms: int
    injected: Mapping[str, int]
    options: str
    violations: tuple[Violation, ...]


def run_seed(seed: int, plant: str | None = None, trace: Trace | None = None) -> Outcome:
    """Run one seed and judge it; ``plant`` names a bug that is in the product meanwhile."""
    with _listening(trace):
        return _judged(seed, plant, trace)


def _judged(seed: int, plant: str | None, trace: Trace | None) -> Outcome:
    evidence: Evidence | None = None
    with planted(plant) if plant is not None else nullcontext():
        world = World(seed, trace)
        try:
            evidence = world.play()
        except Exception as error:  # noqa: BLE001 - whatever it is, this seed has shown it
            world.wrong("run", f"the run came to no end: {type(error).__name__}: {error}")
    found = set(world.violations)
    if evidence is not None:
        found |= set(judge(evidence))
    return Outcome(
        seed=seed,
        hash="" if evidence is None else hash_of(evidence),
        simulated_ms=world.loop.now_ms() - START_MS,
        injected={kind.name.lower(): n for kind, n in world.plan.injected.items()},
        options=told(world.plan),
        violations=tuple(sorted(found)),
    )


def told(plan: Plan) -> str:
    """Say what a run was made of."""
    faults = ", ".join(f"{kind.name.lower()} {rate}" for kind, rate in plan.rates.items())
    return (
        f"speed {plan.speed}, {plan.faults_ms / 1000:.0f} s, {plan.workers} workers, "
        f"{plan.partitions} partitions, {plan.members} members an area, {plan.alerts} alerts, "
        f"snapshot every {plan.snapshot_records} in pieces of {plan.piece_bytes} bytes, "
        f"gaps {'/'.join(plan.gaps)}; "
        f"faults: {faults or 'none'}"
    )


def run_seeds(seeds: range, plant: str | None = None, jobs: int = 1) -> Iterator[Outcome]:
    """Run seeds, and give what came of each in the order of the seeds."""
    if jobs == 1:
        _settle()
        for seed in seeds:
            yield _run((seed, plant))
        return
    context = get_context("spawn")
    with closing(context.Pool(jobs, initializer=_begin_job)) as pool:
        try:
            yield from pool.imap(_run, [(seed, plant) for seed in seeds], SEEDS_AT_ONCE)
        finally:
            pool.terminate()


def _begin_job() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever began it ends it
    _settle()


def _settle() -> None:
    """Leave what lives as long as the process out of every collection."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _run(what: tuple[int, str | None]) -> Outcome:
    seed, plant = what
    outcome = run_seed(seed, plant)
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    return outcome


@contextmanager
def _listening(trace: Trace | None) -> Iterator[None]:
    """Let the product's log lines be told to a trace, or to nobody."""

    def tell(_logger: object, _level: str, said: Any) -> Any:  # noqa: ANN401 - structlog's own
        if trace is not None:
            trace(-1, " ".join(f"{name}={value}" for name, value in said.items()))
        raise structlog.DropEvent

    least = "debug" if trace is not None else "critical"
    before = structlog.get_config()
    structlog.configure(
        processors=[tell], wrapper_class=structlog.make_filtering_bound_logger(least)
    )
    try:
        yield
    finally:
        structlog.configure(**before)
