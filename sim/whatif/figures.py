"""The figures of a run, and how sure they are.

A milestone that is missing makes a value null, never 0; so does one before its beginning. A window
that never was, or that was void (over before it ended), is in no share. Percentiles are by linear
interpolation.

**Intervals** are 95 % percentile bootstrap intervals over days: days are drawn again with
replacement, all calls of a day together, for what happens within a day hangs together. The same
days are drawn for every scenario, so that the interval of a difference is that of paired days.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from xiaohe.dispatch.deadlines import ACCEPT, ARRIVE, BACKUP
from xiaohe.dispatch.state import Incident
from xiaohe.dispatch.windows import MISSED
from xiaohe.sim.figures import URGENT
from xiaohe.sim.whatif.run import Result, day_of

Reduce = Literal["mean", "p50", "p90", "p10"]
Unit = Literal["share", "s", "number"]

Values = Sequence[tuple[float, int]]
"""Values with the number of the day that each belongs to."""

RESAMPLES: Final = 1000
"""Enough that the ends of an interval are steady to a tenth of its width."""

RESAMPLES_AT_ONCE: Final = 100
"""So many are held in memory at once."""

DAYS_MIN: Final = 5
"""Of fewer days an interval would be a guess, so there is none."""

LEVEL: Final = (2.5, 97.5)

_QUANTILES: Final = {"p10": 0.1, "p50": 0.5, "p90": 0.9}

MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is called, its unit, what it is made of. ``up``: more is better."""

    key: str
    label: str
    unit: Unit
    reduce: Reduce
    take: Callable[[Result], Values]
    up: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; None where there is nothing to make it of. ``n`` values."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


# --- what is measured


def verdict(incident: Incident, window: str) -> bool | None:
    """Tell whether a window of an incident was met; None where it never was one, or is void."""
    timeline = incident.timeline
    by_ms, reached_ms = {
        ACCEPT: (incident.accept_by_ms, timeline.accepted_ms),
        ARRIVE: (incident.arrive_by_ms if incident.is_measured else None, timeline.arrived_ms),
        BACKUP: (incident.backup_by_ms, timeline.backup_arrived_ms),
    }[window]
    never = window == BACKUP and timeline.backup_required_ms is None
    if by_ms is None or never:
        return None
    missed = MISSED[window].__struct_config__.tag in incident.overdue
    if reached_ms is None:
        return False if missed else None
    return reached_ms <= by_ms and not missed


def between_s(incident: Incident, begin: str, end: str) -> float | None:
    """Give the seconds from one milestone of the timeline to another."""
    from_ms = getattr(incident.timeline, f"{begin}_ms")
    to_ms = getattr(incident.timeline, f"{end}_ms")
    if from_ms is None or to_ms is None or to_ms < from_ms:
        return None
    seconds: float = (to_ms - from_ms) / MS_PER_S
    return seconds


def _of_incidents(
    measure: Callable[[Incident], float | None], priorities: Iterable[int] | None = None
) -> Callable[[Result], Values]:
    wanted = None if priorities is None else frozenset(priorities)

    def take(result: Result) -> Values:
        return [
            (float(value), day_of(result.days, incident.received_ms))
            for incident in result.incidents.values()
            if wanted is None or incident.priority in wanted
            if (value := measure(incident)) is not None
        ]

    return take


def _window(name: str) -> Callable[[Incident], float | None]:
    return lambda incident: verdict(incident, name)


def _interval(begin: str, end: str) -> Callable[[Incident], float | None]:
    return lambda incident: between_s(incident, begin, end)


def _orders(incident: Incident) -> float | None:
    return float(len(incident.orders))


def _cover(result: Result) -> Values:
    return [(seen.share, day_of(result.days, seen.at_ms)) for seen in result.cover]


def _utilisation(result: Result) -> Values:
    """Share of the hours on duty that is bound by orders taken, day by day."""
    found = []
    for day in range(len(result.days) - 1):
        duty_s = sum(loads[day].duty_s for loads in result.loads.values())
        busy_s = sum(loads[day].busy_s for loads in result.loads.values())
        if duty_s > 0:
            found.append((busy_s / duty_s, day))
    return found


def _figures() -> Iterator[Figure]:
    for label, priorities, suffix in (("", None, ""), (", P1–2", URGENT, "_urgent")):
        for window, words in ((ACCEPT, "accepted"), (ARRIVE, "on scene"), (BACKUP, "reinforced")):
            take = _of_incidents(_window(window), priorities)
            name = f"{words} in time{label}"
            yield Figure(f"{window}_on_time{suffix}", name, "share", "mean", take, up=True)
    for key, label, begin, end in (
        ("accept", "acceptance", "received", "accepted"),
        ("turnout", "turnout", "dispatched", "en_route"),
        ("travel", "travel", "en_route", "arrived"),
        ("arrive", "total response", "received", "arrived"),
        ("backup", "reinforcement", "received", "backup_arrived"),
    ):
        take = _of_incidents(_interval(begin, end))
        yield Figure(f"{key}_p50_s", f"{label}, p50", "s", "p50", take, up=False)
        yield Figure(f"{key}_p90_s", f"{label}, p90", "s", "p90", take, up=False)
    yield Figure("cover_mean", "cover, mean", "share", "mean",
                 _cover, up=True)  # fmt: skip
    yield Figure("cover_p10", "cover, worst tenth", "share", "p10",
                 _cover, up=True)  # fmt: skip
    yield Figure("utilisation", "duty bound by calls", "share", "mean",
                 _utilisation, up=False)  # fmt: skip
    yield Figure("orders_per_incident", "orders an incident", "number", "mean",
                 _of_incidents(_orders), up=False)  # fmt: skip


FIGURES: Final = tuple(_figures())
"""All figures but fairness, in the order in which they are shown."""

EXPLAINED: Final = (
    "in time: of the windows that ended, each by its own length (policy; P1–2: 60, 180, 300 s)",
    "acceptance, total response, reinforcement: from receipt of the call",
    "turnout: from the order to under way; travel: from under way to on scene",
    "cover: share of the road length that those on duty and free reach within 3 minutes",
    "unevenness: 0 where all are bound for the same share of their duty, near 1 where one does all",
)
"""What the labels mean, a line each."""

FAIRNESS_KEY: Final = "unfairness"
FAIRNESS_LABEL: Final = "unevenness of work (Gini)"


# --- how sure it is


class Resampling:
    """Days drawn again: how often each day counts in each resample."""

    def __init__(self, days: int, seed: int, resamples: int = RESAMPLES) -> None:
        """Draw; the same seed draws the same days."""
        self.days = days
        drawn = np.random.default_rng(seed).integers(0, days, (resamples, days))
        self.counts: NDArray[np.float64] = np.stack(
            [np.bincount(row, minlength=days) for row in drawn]
        ).astype(np.float64)

    def of(self, values: Values, reduce: Reduce) -> NDArray[np.float64]:
        """Give the figure of each resample; nan where one has nothing to make it of."""
        numbers = np.array([value for value, _ in values], dtype=np.float64)
        days = np.array([day for _, day in values], dtype=np.int64)
        if reduce == "mean":
            sums = np.bincount(days, numbers, self.days) if len(days) else np.zeros(self.days)
            many = np.bincount(days, minlength=self.days)
            with np.errstate(invalid="ignore", divide="ignore"):
                return (self.counts @ sums) / (self.counts @ many)
        order = np.argsort(numbers, kind="stable")
        parts = np.array_split(self.counts, max(1, len(self.counts) // RESAMPLES_AT_ONCE))
        return np.concatenate(
            [_quantiles(numbers[order], part[:, days[order]], _QUANTILES[reduce]) for part in parts]
        )


def _quantiles(
    ordered: NDArray[np.float64], weights: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Give the weighted quantile of each row of weights."""
    if not len(ordered):
        return np.full(len(weights), np.nan)
    sums = weights.cumsum(axis=1)
    total = sums[:, -1:]
    at = (sums < share * total).sum(axis=1).clip(max=len(ordered) - 1)
    found: NDArray[np.float64] = np.where(total[:, 0] > 0, ordered[at], np.nan)
    return found


def point(values: Values, reduce: Reduce) -> float | None:
    """Give the figure itself; None where there is nothing to make it of."""
    if not values:
        return None
    numbers = [value for value, _ in values]
    if reduce == "mean":
        return float(np.mean(numbers))
    return float(np.quantile(numbers, _QUANTILES[reduce]))


def estimate(value: float | None, drawn: NDArray[np.float64] | None, n: int) -> Estimate:
    """Put a figure and its resamples together; no interval where a resample has no figure."""
    if value is None or drawn is None or not np.isfinite(drawn).all():
        return Estimate(value, n=n)
    low, high = np.percentile(drawn, LEVEL)
    return Estimate(value, float(low), float(high), n)


# --- fairness


def gini(values: Sequence[float]) -> float | None:
    """Give the Gini coefficient: 0 where all have the same, near 1 where one has all."""
    many, total = len(values), sum(values)
    if not many or total <= 0:
        return None
    ranked = sum((2 * n - many - 1) * value for n, value in enumerate(sorted(values), 1))
    return ranked / (many * total)


def unfairness(result: Result) -> Estimate:
    """Give how unevenly work is spread: the Gini coefficient of time bound per time on duty.

    Members who were never on duty are left out. It has no interval: days drawn again make every
    brigade look less even than it is.
    """
    served = [loads for loads in result.loads.values() if sum(d.duty_s for d in loads) > 0]
    shares = [sum(d.busy_s for d in loads) / sum(d.duty_s for d in loads) for loads in served]
    return Estimate(gini(shares), n=len(served))
