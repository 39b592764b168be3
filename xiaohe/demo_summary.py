"""How a demo went, as a table for people: the account, the windows, the intervals."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from xiaohe.live_picture import minutes
from xiaohe.sim.account import OVERDUE


def summary_table(summary: Mapping[str, Any]) -> Panel:
    """Draw the summary of a run."""
    return Panel(
        Group(
            _account(summary),
            Text(),
            _windows_table(summary),
            Text(),
            _intervals_table(summary),
            Text(),
            _latency(summary),
        ),
        title=f"{minutes(summary['seconds'])} at × {summary['speed']:g}, seed {summary['seed']}",
        title_align="left",
        border_style="green" if summary["lost"] == 0 else "red",
        expand=False,
        padding=(0, 2),
    )


def _account(summary: Mapping[str, Any]) -> Text:
    lost = summary["lost"]
    sign, style = ("✓", "bold green") if lost == 0 else ("✗", "bold red")
    repeats = f" ({summary['repeats']} said nothing new)" if summary["repeats"] else ""
    text = Text.assemble(
        (f"{sign} ", style),
        (f"{summary['alerts']} alerts in = {summary['decided']} decided{repeats} + "
         f"{summary['alerts_dead_lettered']} dead-lettered"
         + (f" + {lost} LOST" if lost else ", 0 lost"), style),
        f"\n  {summary['incidents']} incidents, {summary['orders']} orders, "
        f"{summary['dead_letters']} dead letters in all",
    )  # fmt: skip
    reasons = ", ".join(f"{n} {reason}" for reason, n in summary["dead_letter_reasons"].items())
    return text.append(f"\n  {reasons}" if reasons else "", style="bright_black")


def _windows_table(summary: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("window")
    for name in ("within", "met", "missed", "void", "still open"):
        table.add_column(name, justify="right")
    for title, key in (("priorities 1–2", "windows_urgent"), ("all", "windows")):
        for window in OVERDUE.values():
            counts = summary[key][window]
            ended = counts["met"] + counts["missed"]
            share = f"{100 * counts['met'] / ended:.0f} %" if ended else "—"
            cells = [str(counts[name]) for name in ("met", "missed", "void", "running")]
            within_s = summary["urgent_windows_s"][window] if key == "windows_urgent" else None
            label = "" if within_s is None else f" {within_s:g} s"
            table.add_row(f"{title}: {window}{label}", share, *cells)
    return table


def _intervals_table(summary: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("interval, simulated s")
    for name in ("p50", "p90", "mean", "n"):
        table.add_column(name, justify="right")
    for name, figures in summary["intervals"].items():
        digits = 2 if name == "alarm_processing_s" else 0
        cells = [
            "—" if figures[key] is None else f"{figures[key]:.{digits}f}"
            for key in ("p50", "p90", "mean")
        ]
        table.add_row(name.removesuffix("_s").replace("_", " "), *cells, str(figures["n"]))
    return table


def _latency(summary: Mapping[str, Any]) -> Text:
    took = summary["alert_to_order_ms"]
    if took["p50"] is None:
        return Text("alert to order: no order followed from an alert at once")
    return Text.assemble(
        "alert to order, this machine's milliseconds: ",
        (f"p50 {took['p50']:.1f}, p99 {took['p99']:.1f}", "bold"),
        f" (n {took['n']})",
    )
