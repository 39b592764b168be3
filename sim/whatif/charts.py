"""The report's charts: matplotlib drawings as SVG that takes its colours from the page.

Each colour is drawn as a stand-in that no chart would choose and is then replaced by the page's
own (``var(--…)``), so that the same picture serves by day, by night and in print. Text stays text:
the reader's own fonts write it, in any script.
"""

import io
import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from xiaohe.dispatch.deadlines import ARRIVE
from xiaohe.sim.whatif.compare import Played
from xiaohe.sim.whatif.demand import HOURS
from xiaohe.sim.whatif.figures import between_s, verdict

ARRIVE_S: Final = 180.0
"""The line in the chart of arrivals: the second window of urgent calls."""

ARRIVALS_SHOWN_S: Final = 600.0
"""Arrivals are drawn up to here; the rest is beyond the edge."""

SIZE: Final = (6.4, 3.2)
"""Inches; the page scales it."""

HOURS_TOGETHER: Final = 3
"""Hours of the day that share a bar: of one alone there are too few calls to say anything."""

MEMBERS_SHOWN_MAX: Final = 60
"""Bars that can still be told apart."""

COLOURS: Final = {
    "#010203": "var(--ink)",
    "#020304": "var(--faint)",
    "#030405": "var(--line)",
    **{f"#0a0b{n:02x}": f"var(--s{n})" for n in range(6)},
}
INK, FAINT, LINE, *SERIES = COLOURS
"""Stand-ins: text, quiet text, rules, and the scenarios one after another."""

STYLE: Final = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.transparent": True,
}


def colour(n: int) -> str:
    """Give the stand-in of a scenario's colour."""
    return SERIES[n % len(SERIES)]


def arrivals(played: Sequence[Played]) -> str:
    """Draw what share of the incidents somebody had reached by when."""

    def draw(axes: Any) -> None:  # noqa: ANN401 - matplotlib has no types of use here
        for n, each in enumerate(played):
            took = sorted(
                s for i in each.result.incidents.values()
                if (s := between_s(i, "received", "arrived")) is not None
            )  # fmt: skip
            if took:
                shares = 100 * np.arange(1, len(took) + 1) / len(took)
                axes.step(took, shares, where="post", color=colour(n), label=each.play.name)
        axes.axvline(ARRIVE_S, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.text(ARRIVE_S + 6, 3, "3 min", color=INK)
        axes.set(xlim=(0, ARRIVALS_SHOWN_S), ylim=(0, 101), xlabel="seconds from receipt",
                 ylabel="on scene, % of those reached")  # fmt: skip

    return _svg("arrivals", draw)


def on_time_by_hour(played: Sequence[Played], zone: tzinfo) -> str:
    """Draw the share on scene in time by the hour in which the call came."""

    def draw(axes: Any) -> None:  # noqa: ANN401 - as above
        wide = 0.84 * HOURS_TOGETHER / len(played)
        begins = range(0, HOURS, HOURS_TOGETHER)
        for n, each in enumerate(played):
            met: dict[int, list[bool]] = {hour: [] for hour in begins}
            for incident in each.result.incidents.values():
                was = verdict(incident, ARRIVE)
                if was is not None:
                    hour = _hour(incident.received_ms, zone)
                    met[hour - hour % HOURS_TOGETHER].append(was)
            hours = [hour for hour in begins if met[hour]]
            shares = [100 * float(np.mean(met[hour])) for hour in hours]
            places = [hour + 0.08 * HOURS_TOGETHER + wide * (n + 0.5) for hour in hours]
            axes.bar(places, shares, 0.9 * wide, color=colour(n), label=each.play.name)
        axes.set(xlim=(0, HOURS), ylim=(0, 101), xticks=range(0, HOURS + 1, HOURS_TOGETHER),
                 xlabel="hour of the day", ylabel="on scene in time, %")  # fmt: skip

    return _svg("hours", draw)


def workload(played: Sequence[Played]) -> str:
    """Draw what share of their duty each member was bound by calls, most first."""

    def draw(axes: Any) -> None:  # noqa: ANN401 - as above
        for n, each in enumerate(played):
            shares = []
            for loads in each.result.loads.values():
                duty_s = sum(day.duty_s for day in loads)
                if duty_s > 0:
                    shares.append(100 * sum(day.busy_s for day in loads) / duty_s)
            shares = sorted(shares, reverse=True)[:MEMBERS_SHOWN_MAX]
            axes.step(range(1, len(shares) + 1), shares, where="mid", color=colour(n),
                      label=each.play.name)  # fmt: skip
            axes.fill_between(range(1, len(shares) + 1), shares, step="mid", color=colour(n),
                              alpha=0.12)  # fmt: skip
        axes.set(xlabel="members, the most bound first", ylabel="bound by calls, % of duty")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=1)
        axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))

    return _svg("work", draw)


def cover_by_hour(played: Sequence[Played], zone: tzinfo) -> str:
    """Draw what share of the roads those free could reach within the second window."""

    def draw(axes: Any) -> None:  # noqa: ANN401 - as above
        for n, each in enumerate(played):
            seen: dict[float, list[float]] = {}
            for look in each.result.cover:
                then = datetime.fromtimestamp(look.at_ms / 1000, zone)
                seen.setdefault(then.hour + then.minute / 60, []).append(100 * look.share)
            hours = sorted(seen)
            axes.plot(hours, [float(np.mean(seen[h])) for h in hours], color=colour(n),
                      label=each.play.name)  # fmt: skip
            axes.fill_between(hours, [min(seen[h]) for h in hours], [max(seen[h]) for h in hours],
                              color=colour(n), alpha=0.12, linewidth=0)  # fmt: skip
        axes.set(xlim=(0, HOURS), ylim=(0, 101), xticks=range(0, HOURS + 1, 3),
                 xlabel="hour of the day", ylabel="road length reached in 3 min, %")  # fmt: skip

    return _svg("cover", draw)


def _hour(at_ms: int, zone: tzinfo) -> int:
    return datetime.fromtimestamp(at_ms / 1000, zone).hour


def _svg(name: str, draw: Callable[[Any], None]) -> str:
    """Draw, and take from the file whatever a page does not need; ``name`` keeps ids apart."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        canvas = Canvas(figsize=SIZE, layout="constrained")
        draw(canvas.add_subplot())
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None})
    return _for_the_page(out.getvalue(), name)


def _for_the_page(drawn: str, name: str) -> str:
    svg = drawn[drawn.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    # The page's own fonts; sizes stay.
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for stand_in, own in COLOURS.items():
        svg = svg.replace(stand_in, own)
    # Without a size of its own it is as wide as the page lets it.
    return re.sub(r' (width|height)="[^"]*"', "", svg, count=2)
