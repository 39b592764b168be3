"""The demo's picture: members, open incidents with their three windows, the last events.

It fits 80 × 24 and uses what more there is. Colour is never the only sign: met windows have a ✓,
those that run out a !, missed ones a ✗.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from rich.align import Align
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from xiaohe.sim.account import WINDOWS, Ledger
from xiaohe.sim.brigade import Brigade
from xiaohe.sim.calls import IN_ENGLISH, times_real
from xiaohe.sim.figures import LIVE, REACHED, verdict
from xiaohe.sim.timescale import Timescale
from xiaohe.sim.words import RULES_SHORT, Line, street

WIDE: Final = 120
"""From this many columns on, more is shown of each incident."""

RUNNING_OUT: Final = 1 / 3
"""A window with less than this share left is shown as running out."""

HEADER_ROWS: Final = 5
"""Rows that the header takes, its frame among them."""

FRAME_ROWS: Final = 3
"""Rows of a table's frame and head."""

EVENTS_SHARE: Final = 0.42
"""Share of the rows below the header that the events take."""

TONES: Final = {
    "plain": "default",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "quiet": "bright_black",
}

DOING: Final = {
    "patrol": ("on patrol", "default"),
    "asked": ("asked", "yellow"),
    "turning_out": ("setting out", "cyan"),
    "under_way": ("on the way", "cyan"),
    "on_scene": ("on scene", "green"),
    "distress": ("in distress", "bold red"),
    "off_duty": ("off duty", "bright_black"),
}
"""What members do, in the order in which it is shown."""

ORDER_SIGNS: Final = {
    "ordered": ("?", "yellow"),
    "accepted": ("›", "cyan"),
    "en_route": ("»", "cyan"),
    "arrived": ("●", "green"),
}
"""How an order stands."""

NARROW_HEADS: Final = {"accept": "acc", "arrive": "scene", "backup": "back"}
"""The windows where a column has five places."""

LEGEND: Final = "? asked  › accepted  » on the way  ● on scene  + backup | ✓ met ! soon ✗ missed"

LINES_KEPT: Final = 200
"""Events remembered; more than the tallest terminal shows."""


@dataclass(slots=True)
class Scene:
    """All that is shown. ``total_s`` None: until somebody ends it."""

    scale: Timescale
    brigade: Brigade
    ledger: Ledger
    rate_per_h: float
    engine: str
    zone: tzinfo
    total_s: float | None
    begun_s: float = field(default_factory=time.monotonic)
    settling: bool = False
    lines: deque[tuple[int, Line]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))

    def now_ms(self) -> int:
        """Give the simulated time."""
        return self.scale.simulated_ms(time.time() * 1000)

    def clock(self, simulated_ms: int) -> str:
        """Give a simulated time of day, in the area's zone."""
        moment = datetime.fromtimestamp(simulated_ms / 1000, UTC).astimezone(self.zone)
        return moment.strftime("%H:%M:%S")

    def passed_s(self) -> float:
        """Give the seconds of the run so far."""
        return time.monotonic() - self.begun_s

    def stated_rate(self) -> str:
        """Say how exaggerated the rate is."""
        times = times_real(self.rate_per_h)
        return f"{self.rate_per_h:g} alerts/h, {times:.0f} × a real day's"

    def open_incidents(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Give the incidents that are being handled, the newest first."""
        found = [
            (incident_id, view)
            for incident_id, view in self.ledger.incidents.items()
            if view["state"] in LIVE
        ]
        return sorted(found, key=lambda item: str(item[1]["timeline"]["received"]), reverse=True)


class Picture:
    """A scene as rich draws it, in whatever room there is."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out header, incidents, events and legend."""
        width, height = options.max_width, options.height or options.size.height
        room = max(8, height - HEADER_ROWS - 1)
        events_rows = max(4, round(room * EVENTS_SHARE))
        yield self._header(width)
        yield self._incidents(width, room - events_rows)
        yield self._events(width, events_rows)
        yield Align.center(Text(LEGEND, style="bright_black", no_wrap=True, overflow="ellipsis"))

    # --- header

    def _header(self, width: int) -> Panel:
        scene = self._scene
        top = Table.grid(expand=True)
        top.add_column(no_wrap=True)
        top.add_column(justify="right", no_wrap=True)
        clock = Text(scene.clock(scene.now_ms()), style="bold")
        if scene.scale.speed != 1.0:
            clock.append(f"  × {scene.scale.speed:g}", style="bold magenta")
        top.add_row(clock, Text(scene.stated_rate()))
        body = Group(top, self._progress(width - 4), self._members())
        title = Text.assemble(("Xiaohe 小河", "bold"), "  ", (scene.engine, "bright_black"))
        return Panel(body, title=title, title_align="left", border_style="blue", padding=(0, 1))

    def _progress(self, width: int) -> Table:
        scene = self._scene
        passed_s = scene.passed_s()
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(ratio=1)
        line.add_column(justify="right", no_wrap=True)
        if scene.settling:
            line.add_row(ProgressBar(pulse=True), Text("settling the account"))
        elif scene.total_s is None:
            line.add_row(ProgressBar(pulse=True), Text(f"{minutes(passed_s)}, until Ctrl-C"))
        else:
            bar = ProgressBar(total=scene.total_s, completed=min(passed_s, scene.total_s))
            line.add_row(bar, Text(f"{minutes(passed_s)} of {minutes(scene.total_s)}"))
        assert width > 0, "a terminal has columns"
        return line

    def _members(self) -> Text:
        scene = self._scene
        counts = scene.brigade.counts()
        line = Text(no_wrap=True, overflow="ellipsis")
        for doing, (word, style) in DOING.items():
            if counts.get(doing):
                line.append(f"{counts[doing]} ", style=f"bold {style}" if style != "default"
                            else "bold").append(f"{word}   ", style=style)  # fmt: skip
        if silent := scene.brigade.silent():
            line.append(f"({silent} without GPS)", style="yellow")
        return line

    # --- incidents

    def _incidents(self, width: int, rows: int) -> Panel:
        wide = width >= WIDE
        found = self._scene.open_incidents()
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="bright_black")
        table.add_column("P", width=1)
        table.add_column("what", width=26 if wide else 14, no_wrap=True, overflow="ellipsis")
        table.add_column("where", ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column("sent", width=30 if wide else 12, no_wrap=True, overflow="ellipsis")
        table.add_column("rule", width=7, no_wrap=True)
        table.add_column("eta s", width=6 if wide else 5, justify="right", no_wrap=True)
        if wide:
            table.add_column("m", width=5, justify="right", no_wrap=True)
            table.add_column("since", width=8, no_wrap=True)
            table.add_column("state", width=10, no_wrap=True)
        for window in WINDOWS:
            head = window if wide else NARROW_HEADS[window]
            table.add_column(head, width=9 if wide else 5, justify="right", no_wrap=True)
        shown = found[: max(1, rows - FRAME_ROWS)]
        for incident_id, view in shown:
            table.add_row(*self._row(incident_id, view, wide=wide))
        for _ in range(rows - FRAME_ROWS - len(shown)):
            table.add_row()
        hidden = len(found) - len(shown)
        more = f", {hidden} older not shown" if hidden else ""
        ended = len(self._scene.ledger.incidents) - len(found)
        title = f"{len(found)} open incidents{more}, {ended} over"
        return Panel(table, title=title, title_align="left", border_style="blue", padding=(0, 1))

    def _row(self, incident_id: str, view: Mapping[str, Any], *, wide: bool) -> list[Text]:
        scene = self._scene
        orders = [a for a in view["assignments"] if a["end"] is None]
        first = next((a for a in orders if a["role"] == "primary"), None)
        record = scene.ledger.ordered.get(first["dispatch_id"]) if first is not None else None
        priority = view["priority"]
        style = {1: "bold red", 2: "yellow"}.get(priority, "default")
        category = IN_ENGLISH.get(view["category"], view["category"])
        row = [
            Text(str(priority), style=style),
            Text(category),
            Text((view["road_id"] if wide else street(view["road_id"])) or "no known road"),
            self._sent(orders, view, wide=wide),
            _rule(view, record),
            _seconds(record["eta_s"] if record else None, scene.scale.speed),
        ]
        if wide:
            metres = record["distance_m"] if record else None
            received_ms = scene.scale.read(view["timeline"]["received"])
            row += [
                Text("" if metres is None else f"{metres:.0f}"),
                Text("" if received_ms is None else scene.clock(received_ms)),
                Text(str(view["state"]).replace("_", " ")),
            ]
        return row + [self._window(incident_id, view, window) for window in WINDOWS]

    def _sent(
        self, orders: Sequence[Mapping[str, Any]], view: Mapping[str, Any], *, wide: bool
    ) -> Text:
        if not orders:
            unfilled = view.get("unfilled")
            return Text("✗ nobody", style="bold red") if unfilled else Text("—")
        sent = Text()
        for order in sorted(orders, key=lambda each: each["role"] != "primary"):
            sign, style = ORDER_SIGNS.get(order["state"], ("?", "yellow"))
            plus = "+" if order["role"] == "backup" else ""
            name = self._scene.brigade.name(order["member_id"])
            sent.append(f"{plus}{sign}", style=style).append(name + (" " if wide else ""))
        return sent

    def _window(self, incident_id: str, view: Mapping[str, Any], window: str) -> Text:
        """Count a window down; when it has ended, say how, and after how long."""
        scene = self._scene
        overdue = (incident_id, window) in scene.ledger.overdue
        ended = verdict(view, window, overdue=overdue)
        timeline = view["timeline"]
        begun_ms = scene.scale.read(timeline["received"])
        by_ms = scene.scale.read(view["deadlines"].get(f"{window}_by"))
        if ended is None or by_ms is None or begun_ms is None:
            return Text("·", style="bright_black")
        reached_ms = scene.scale.read(timeline.get(REACHED[window]))
        if reached_ms is not None:
            took_s = (reached_ms - begun_ms) / 1000
            return (
                Text(f"✓ {took_s:.0f}", style="green")
                if ended == "met"
                else Text(f"✗ {took_s:.0f}", style="bold red")
            )
        left_s = (by_ms - scene.now_ms()) / 1000
        if left_s <= 0:
            return Text(f"✗ +{-left_s:.0f}", style="bold red")
        if left_s < RUNNING_OUT * (by_ms - begun_ms) / 1000:
            return Text(f"! {left_s:.0f}", style="bold yellow")
        return Text(f"{left_s:.0f}", style="green")

    # --- events

    def _events(self, width: int, rows: int) -> Panel:
        scene = self._scene
        last = list(scene.lines)[-(rows - 2) :]
        told = Text(no_wrap=True, overflow="ellipsis")
        for n, (at_ms, line) in enumerate(last):
            told.append("\n" if n else "").append(scene.clock(at_ms) + "  ", style="bright_black")
            told.append(line.words, style=TONES[line.tone])
        assert width > 0, "a terminal has columns"
        return Panel(told, title="events", title_align="left", border_style="blue",
                     padding=(0, 1), height=rows)  # fmt: skip


def _rule(view: Mapping[str, Any], record: Mapping[str, Any] | None) -> Text:
    if record is None:
        own = view["timeline"].get("dispatched") is None and view["timeline"].get("arrived")
        return Text("found" if own else "", style="bright_black")
    rule = str(record["why"]["rule"])
    return Text(RULES_SHORT.get(rule, rule))


def _seconds(value: float | None, speed: float) -> Text:
    return Text("" if value is None else f"{value * speed:.0f}")


def minutes(seconds: float) -> str:
    """Write a length of time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
