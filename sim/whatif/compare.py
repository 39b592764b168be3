"""Scenarios side by side: the same calls, the same people's luck, one change after another.

All scenarios are played over the same days with the same seed. What differs between them is then
what was changed; the interval of a difference is that of paired days and is narrower than the two
scenarios' own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from xiaohe.sim.whatif.demand import Call
from xiaohe.sim.whatif.figures import (
    DAYS_MIN,
    FAIRNESS_KEY,
    FIGURES,
    Estimate,
    Resampling,
    estimate,
    point,
    unfairness,
)
from xiaohe.sim.whatif.people import Beats
from xiaohe.sim.whatif.run import Result, Run, Setting

Progress = Callable[[str, float], None]
"""Told the scenario's name and how much of it is played, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario ready to be played."""

    name: str
    says: str
    setting: Setting
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario with its figures, and with how these differ from the first scenario's."""

    play: Play
    result: Result
    figures: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All scenarios that were played to the end, or, of the first, as far as it came."""

    played: tuple[Played, ...]
    days: int
    seed: int

    @property
    def times_real_time(self) -> float | None:
        """Simulated seconds over wall seconds of all runs, loading left out."""
        wall_s = sum(each.result.wall_s for each in self.played)
        simulated_s = sum(each.result.simulated_s for each in self.played)
        return simulated_s / wall_s if wall_s > 0 else None

    @property
    def cut_short(self) -> bool:
        """Whether somebody ended it early."""
        return any(each.result.cut_short for each in self.played)


def compare(
    plays: Sequence[Play],
    days: Sequence[int],
    seed: int,
    on_progress: Progress | None = None,
) -> Comparison:
    """Play the scenarios one after another; ``days`` are midnights. Ctrl-C ends it with the rest.

    A scenario that was not played to the end is left out, unless it is the only one.
    """
    assert plays, "there is at least what is"
    played: list[tuple[Play, Result]] = []
    beats: dict[int, Beats] = {}
    for play in plays:
        streets = play.setting.streets
        kept = beats.setdefault(id(streets.network), Beats(streets, play.setting.habits, seed))
        run = Run(play.setting, play.calls, days, seed, kept)
        result = run.play(_named(on_progress, play.name))
        if not result.cut_short or not played:
            played.append((play, result))
        if result.cut_short:
            break
    many = len(days) - 1
    enough = many >= DAYS_MIN and not any(result.cut_short for _, result in played)
    return Comparison(_measured(played, Resampling(many, seed) if enough else None), many, seed)


def _named(on_progress: Progress | None, name: str) -> Callable[[float], None] | None:
    return None if on_progress is None else lambda share: on_progress(name, share)


def _measured(
    played: Sequence[tuple[Play, Result]], resampling: Resampling | None
) -> tuple[Played, ...]:
    found: list[Played] = []
    first: tuple[dict[str, Estimate], dict[str, NDArray[np.float64] | None]] | None = None
    for play, result in played:
        figures, drawn = _figures(result, resampling)
        first = first or (figures, drawn)
        differences = {
            key: _difference(figures[key], drawn[key], first[0][key], first[1][key])
            for key in figures
        }
        found.append(Played(play, result, figures, differences))
    return tuple(found)


def _figures(
    result: Result, resampling: Resampling | None
) -> tuple[dict[str, Estimate], dict[str, NDArray[np.float64] | None]]:
    figures: dict[str, Estimate] = {}
    drawn: dict[str, NDArray[np.float64] | None] = {}
    for figure in FIGURES:
        values = figure.take(result)
        drawn[figure.key] = None if resampling is None else resampling.of(values, figure.reduce)
        value = point(values, figure.reduce)
        figures[figure.key] = estimate(value, drawn[figure.key], len(values))
    figures[FAIRNESS_KEY], drawn[FAIRNESS_KEY] = unfairness(result), None
    return figures, drawn


def _difference(
    mine: Estimate,
    my_drawn: NDArray[np.float64] | None,
    first: Estimate,
    first_drawn: NDArray[np.float64] | None,
) -> Estimate:
    if mine.value is None or first.value is None:
        return Estimate(None)
    by = mine.value - first.value
    if my_drawn is None or first_drawn is None:
        return Estimate(by)
    return estimate(by, my_drawn - first_drawn, 0)


def at_rate(
    calls: Sequence[Call], rate: float, seed: int, more: Callable[[float], Sequence[Call]]
) -> tuple[Call, ...]:
    """Give so many times as many calls: a share of these, or these and ``more(rate - 1)`` drawn.

    Of calls that are left out each is so by its own luck: whatever happens at 0.5 happens at 0.8.
    """
    if rate <= 1:
        return tuple(call for call in calls if _luck(seed, call) < rate)
    return tuple(sorted((*calls, *more(rate - 1)), key=lambda call: (call.at_ms, call.call_id)))


def _luck(seed: int, call: Call) -> float:
    return Random(f"{seed}:{call.call_id}:rate").random()  # noqa: S311 - must be repeatable
