"""``xiaohe sim faults``: the whole engine under drawn faults and virtual time, seed by seed."""

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Final

from cyclopts import Parameter

from xiaohe.commands.options import Json
from xiaohe.output import note, say, say_json
from xiaohe.sim.faults.hashing import hash_all
from xiaohe.sim.faults.plants import PLANTS, list_plants
from xiaohe.sim.faults.seeds import Outcome, run_seed, run_seeds

SEEDS: Final = 1_000
"""Seeds that are run where nothing else is asked for: a minute or so."""

SEEDS_MOST: Final = 100_000_000
JOBS_MOST: Final = 256

TELL_S: Final = 30.0
"""How often it is said how far the seeds have been run."""

SHOWN_MAX: Final = 10
"""Violations of one seed that are shown; the rest is counted."""

MS_PER_HOUR: Final = 3_600_000


def _seeds(_: object, number: int) -> None:
    if not 1 <= number <= SEEDS_MOST:
        raise ValueError(f"must be 1 to {SEEDS_MOST:,}")


def _start(_: object, number: int) -> None:
    if number < 0:
        raise ValueError("must be 0 or more")


def _jobs(_: object, number: int) -> None:
    if not 1 <= number <= JOBS_MOST:
        raise ValueError(f"must be 1 to {JOBS_MOST}")


def _plant(_: object, name: str | None) -> None:
    if name is not None and name not in PLANTS:
        raise ValueError(f"{name!r} is no bug that can be planted: see --list-plants")


@dataclass
class _Sum:
    """What has come out so far."""

    seeds: int = 0
    violations: int = 0
    first_bad_seed: int | None = None
    simulated_ms: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    hashes: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.violations += len(outcome.violations)
        if outcome.violations and self.first_bad_seed is None:
            self.first_bad_seed = outcome.seed
        self.simulated_ms += outcome.simulated_ms
        self.injected.update(outcome.injected)
        self.hashes.append(outcome.hash)

    def as_json(self) -> dict[str, object]:
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "first_bad_seed": self.first_bad_seed,
            "simulated_hours": round(self.simulated_ms / MS_PER_HOUR, 3),
            "faults_injected": self.injected.total(),
            "hash": hash_all(self.hashes),
            "faults_by_kind": dict(sorted(self.injected.items())),
        }


def faults_(
    *,
    seeds: Annotated[int, Parameter(validator=_seeds)] = SEEDS,
    start: Annotated[int, Parameter(validator=_start)] = 0,
    plant: Annotated[str | None, Parameter(validator=_plant)] = None,
    list_plants: Annotated[bool, Parameter(negative="")] = False,
    jobs: Annotated[int, Parameter(validator=_jobs)] = 1,
    trace: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Run the real engine under drawn faults, and judge what it promised.

    Everything is drawn from the seed: machines that die, stand still and come back, a broker that
    goes away, messages lost and doubled, clocks that are wrong, people who do not answer. First
    there are faults, then everything heals and must come to rest. The same seed is the same run,
    to the byte. Exit status 1 where anything was broken; also where a planted bug was found.

    Parameters
    ----------
    seeds
        How many seeds.
    start
        The first of them.
    plant
        Have a known bug in the engine, which must be found; ends with the first seed that does.
    list_plants
        Show the bugs that can be planted.
    jobs
        Processes at work at the same time.
    trace
        Tell what happens in the one seed, in its order.
    """
    if list_plants:
        return _list(json=json)
    if trace:
        if seeds != 1:
            note("xiaohe: --trace tells of one seed: give --seeds 1 and --start SEED")
            return 2
        found = _traced(start, plant)
        total = _Sum()
        total.add(found)
    else:
        total = _run_all(range(start, start + seeds), plant, jobs, json=json)
    _tell_sum(total, plant, json=json)
    return 1 if total.violations else 0


def _list(*, json: bool) -> int:
    for name, what in list_plants():
        if json:
            say_json({"plant": name, "what": what})
        else:
            say(f"{name:32} {what}")
    return 0


def _traced(seed: int, plant: str | None) -> Outcome:
    last_ms = 0

    def tell(at_ms: int, what: str) -> None:
        nonlocal last_ms
        last_ms = at_ms if at_ms >= 0 else last_ms
        note(f"{last_ms / 1000:9.3f} s  {what}")

    found = run_seed(seed, plant, tell)
    if found.violations:
        _tell_bad(found, plant, json=False)
    return found


def _run_all(seeds: range, plant: str | None, jobs: int, *, json: bool) -> _Sum:
    """Run them all, or until Ctrl-C, or until a planted bug is found."""
    total, told_s = _Sum(), monotonic()
    begun_s = told_s
    try:
        for outcome in run_seeds(seeds, plant, jobs):
            total.add(outcome)
            if outcome.violations:
                _tell_bad(outcome, plant, json=json)
                if plant is not None:
                    break
            if monotonic() - told_s >= TELL_S:
                told_s = monotonic()
                a_second = total.seeds / (told_s - begun_s)
                bad = f"first bad one {total.first_bad_seed}" if total.violations else "none bad"
                note(f"{total.seeds:,} of {len(seeds):,} seeds, {a_second:.1f} a second, {bad}")
    except KeyboardInterrupt:
        note(f"ended after {total.seeds:,} of {len(seeds):,} seeds")
    return total


def _tell_bad(outcome: Outcome, plant: str | None, *, json: bool) -> None:
    again = f"xiaohe sim faults --seeds 1 --start {outcome.seed}"
    if plant is not None:
        again += f" --plant {plant}"
    if json:
        say_json(
            {
                "event": "found" if plant is not None else "violations",
                "seed": outcome.seed,
                "violations": [{"rule": v.rule, "what": v.what} for v in outcome.violations],
                "options": outcome.options,
                "again": again,
            }
        )
        return
    word = f"found {plant}" if plant is not None else "broken"
    note(f"seed {outcome.seed}: {word}: {len(outcome.violations)} violations")
    for each in outcome.violations[:SHOWN_MAX]:
        note(f"  {each.rule}: {each.what}")
    if len(outcome.violations) > SHOWN_MAX:
        note(f"  … and {len(outcome.violations) - SHOWN_MAX} more")
    note(f"  {outcome.options}")
    note(f"  again: {again}")


def _tell_sum(total: _Sum, plant: str | None, *, json: bool) -> None:
    if json:
        planted = {} if plant is None else {"plant": plant, "found": total.violations > 0}
        say_json({**total.as_json(), **planted})
        return
    hours = total.simulated_ms / MS_PER_HOUR
    say(
        f"{total.seeds:,} seeds, {hours:,.1f} simulated hours, "
        f"{total.injected.total():,} faults, {total.violations:,} violations"
    )
    say(f"hash {hash_all(total.hashes)}")
    if plant is not None and not total.violations:
        say(f"{plant} was not found: give more seeds")
