"""Scenarios side by side as a table for a terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xiaohe.sim.whatif.compare import Comparison, Played
from xiaohe.sim.whatif.figures import (
    DAYS_MIN,
    EXPLAINED,
    FAIRNESS_KEY,
    FAIRNESS_LABEL,
    FIGURES,
    Estimate,
    Unit,
)

NOTHING = "—"
"""Shown for what is null: nothing to measure is not 0."""

MINUS = "−"

ROWS: tuple[tuple[str, str, Unit, bool], ...] = (
    *((figure.key, figure.label, figure.unit, figure.up) for figure in FIGURES),
    (FAIRNESS_KEY, FAIRNESS_LABEL, "number", False),
)
"""Key, label, unit, and whether more is better."""


def number(value: float | None, unit: Unit) -> str:
    """Write a figure in its unit: per cent, seconds, or two decimals."""
    if value is None:
        return NOTHING
    text = {"share": f"{100 * value:.1f} %", "s": f"{value:.0f} s", "number": f"{value:.2f}"}[unit]
    return text.replace("-", MINUS)


def interval(estimate: Estimate, unit: Unit) -> str:
    """Write an interval; nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    factor, digits = {"share": (100, 1), "s": (1, 0), "number": (1, 2)}[unit]
    ends = (f"{factor * end:.{digits}f}" for end in (estimate.low, estimate.high))
    return "[" + "; ".join(ends).replace("-", MINUS) + "]"


def difference(estimate: Estimate, unit: Unit) -> str:
    """Write a difference with its sign; shares in percentage points."""
    if estimate.value is None:
        return NOTHING
    factor, digits, name = {"share": (100, 1, " pp"), "s": (1, 0, " s"), "number": (1, 2, "")}[unit]
    return f"{factor * estimate.value:+.{digits}f}{name}".replace("-", MINUS)


def is_sure(estimate: Estimate) -> bool:
    """Tell whether the interval of a difference leaves out 0."""
    return estimate.low is not None and estimate.high is not None and (
        estimate.low > 0 or estimate.high < 0
    )  # fmt: skip


def is_better(estimate: Estimate, *, up: bool) -> bool:
    """Tell whether a difference is for the better."""
    return estimate.value is not None and (estimate.value > 0) == up


def comparison_table(comparison: Comparison) -> Group:
    """Draw the figures of all scenarios, and what is different from the first."""
    first, *others = comparison.played
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column(first.play.name, justify="right")
    for played in others:
        table.add_column(played.play.name, justify="right")
        table.add_column("difference", justify="right", header_style="bright_black")
    table.add_row("incidents", *_counted(first), *(c for p in others for c in (*_counted(p), "")))
    for key, label, unit, up in ROWS:
        cells = [_value(first.figures[key], unit)]
        for played in others:
            own = Text(number(played.figures[key].value, unit))
            cells += [own, _change(played.differences[key], unit, up)]
        table.add_row(label, *cells)
    foot = "\n".join((*EXPLAINED, footnote(comparison)))
    return Group(table, Text(), Text(foot, style="bright_black"))


def _counted(played: Played) -> tuple[str, ...]:
    result = played.result
    left = [f"{many} {what}" for many, what in ((result.open, "open"), (result.forgotten,
            "FORGOTTEN")) if many]  # fmt: skip
    return (f"{len(result.incidents)}" + (f" ({', '.join(left)})" if left else ""),)


def _value(estimate: Estimate, unit: Unit) -> Text:
    text = Text(number(estimate.value, unit))
    return text.append(f" {interval(estimate, unit)}", style="bright_black")


def _change(estimate: Estimate, unit: Unit, up: bool) -> Text:
    style = "bright_black"
    if is_sure(estimate):
        style = "green" if is_better(estimate, up=up) else "red"
    return Text(f"{difference(estimate, unit)} {interval(estimate, unit)}", style=style)


def footnote(comparison: Comparison) -> str:
    """Say how long was played, and how the intervals were made."""
    sure = (
        "95 % intervals: bootstrap over days, the same days for every scenario; coloured where "
        "the interval of a difference leaves out 0."
        if comparison.days >= DAYS_MIN and not comparison.cut_short
        else f"No intervals: they need {DAYS_MIN} whole days."
    )
    times = comparison.times_real_time
    fast = "" if times is None else f" Played at {times:,.0f} × real time."
    early = ", ended early" if comparison.cut_short else ""
    return f"{comparison.days} days{early}, seed {comparison.seed}. {sure}{fast}"
