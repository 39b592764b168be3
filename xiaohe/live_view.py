"""What the demo shows: a live picture in a terminal, lines elsewhere, JSON lines for programs.

All three are told the same. The live picture fits 80 × 24 and uses what more there is. Colour is
never the only sign: met windows have a ✓, those that run out a !, missed ones a ✗.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Protocol

import orjson
from rich.align import Align
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from xiaohe.sim.account import OVERDUE, WINDOWS, Ledger
from xiaohe.sim.brigade import Brigade
from xiaohe.sim.calls import IN_ENGLISH, times_real
from xiaohe.sim.figures import LIVE, REACHED, verdict
from xiaohe.sim.timescale import Timescale
from xiaohe.sim.words import RULES_SHORT, Line, street

REFRESH_PER_S: Final = 5
"""Pictures a second: smooth enough for countdowns, and next to no work."""

WIDE: Final = 120
"""From this many columns on, more is shown of each incident."""

LINES_KEPT: Final = 200
"""Events remembered; more than the tallest terminal shows."""

STATUS_EVERY_S: Final = 15.0
"""Without a terminal, a line on how things stand comes so often."""

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


class View(Protocol):
    """Whoever shows a demo."""

    def phase(self, what: str) -> None:
        """Something begins that takes time."""
        ...

    def banner(self, lines: Sequence[str]) -> None:
        """Something must be known before anything else."""
        ...

    def ready(self, scene: Scene, facts: Mapping[str, object], /) -> None:
        """All is up; from now on there is a scene."""
        ...

    def happened(self, at_ms: int, line: Line, record: Mapping[str, Any], /) -> None:
        """Something happened; ``at_ms`` is simulated."""
        ...

    def stack_event(self, event: Mapping[str, object]) -> None:
        """A part of the stack told something."""
        ...

    def tick(self) -> None:
        """Time passed."""
        ...

    def close(self) -> None:
        """Nothing more is live."""
        ...

    def summary(self, summary: Mapping[str, Any]) -> None:
        """How it went."""
        ...


class JsonView:
    """One JSON object a line on standard output, the summary last; nothing else."""

    def __init__(self, write: Callable[[bytes], object] | None = None) -> None:
        """``write`` takes whole lines; without one they go to standard output."""
        self._write = write or _to_stdout
        self._scene: Scene | None = None

    def _say(self, value: Mapping[str, object]) -> None:
        self._write(orjson.dumps(value) + b"\n")

    def phase(self, what: str) -> None:
        """Tell it."""
        self._say({"event": "progress", "what": what})

    def banner(self, lines: Sequence[str]) -> None:
        """Tell it as one warning."""
        self._say({"event": "warning", "what": " ".join(lines)})

    def ready(self, scene: Scene, facts: Mapping[str, object]) -> None:
        """Tell where it runs, and at what rate."""
        self._scene = scene
        self._say({"event": "ready", **facts})

    def happened(self, at_ms: int, line: Line, record: Mapping[str, Any]) -> None:
        """Tell an event."""
        clock = None if self._scene is None else self._scene.clock(at_ms)
        ids = {k: record[k] for k in ("type", "incident_id", "topic", "reason") if k in record}
        self._say({"event": "happened", "clock": clock, "words": line.words, **ids})

    def stack_event(self, event: Mapping[str, object]) -> None:
        """Pass it on."""
        self._say(event)

    def tick(self) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Tell how it went: the last line."""
        self._say(summary)


def _to_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


class PlainView:
    """Lines of text, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._scene: Scene | None = None
        self._status_due_s = 0.0

    def _say(self, text: str | Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def phase(self, what: str) -> None:
        """Write it."""
        self._say(f"… {what}")

    def banner(self, lines: Sequence[str]) -> None:
        """Write it, set off."""
        for line in lines:
            self._say(f"! {line}")

    def ready(self, scene: Scene, _facts: Mapping[str, object]) -> None:
        """Write what runs, at what rate."""
        self._scene = scene
        self._say(f"{scene.engine}; clock × {scene.scale.speed:g}; {scene.stated_rate()}")

    def happened(self, at_ms: int, line: Line, _record: Mapping[str, Any]) -> None:
        """Write an event."""
        assert self._scene is not None, "events come after the start"
        self._say(f"{self._scene.clock(at_ms)}  {line.words}")

    def stack_event(self, event: Mapping[str, object]) -> None:
        """Write that a part was started again."""
        if event.get("event") == "restarted":
            self._say(f"! {event.get('part')} was started again, pid {event.get('pid')}")

    def tick(self) -> None:
        """Write, now and then, how things stand."""
        scene = self._scene
        assert scene is not None, "time passes after the start"
        if scene.passed_s() >= self._status_due_s:
            self._status_due_s = scene.passed_s() + STATUS_EVERY_S
            counts = scene.brigade.counts()
            doing = ", ".join(
                f"{counts[doing]} {word}" for doing, (word, _) in DOING.items() if doing in counts
            )
            self._say(
                f"{scene.clock(scene.now_ms())}  — {len(scene.open_incidents())} open; {doing}"
            )

    def close(self) -> None:
        """Nothing is left to close."""

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Write how it went."""
        self._console.print(summary_table(summary))


class LiveView:
    """The picture in a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._scene: Scene | None = None
        self._live: Live | None = None
        self._phases: list[tuple[float, str]] = []
        self._notes: list[str] = []
        self._spinner = Spinner("dots", style="cyan")
        self._start_up = Live(
            console=console, get_renderable=self._starting, refresh_per_second=REFRESH_PER_S
        )
        self._start_up.start()

    def _starting(self) -> Group:
        """What the start is at, and how long each step took."""
        done: list[Text | Spinner] = []
        for (begun_s, what), (ended_s, _) in zip(self._phases, self._phases[1:], strict=False):
            done.append(Text(f"✓ {what}  {ended_s - begun_s:.1f} s", style="bright_black"))
        if self._phases and self._scene is None:
            begun_s, what = self._phases[-1]
            self._spinner.update(text=Text(f"{what}  {time.monotonic() - begun_s:.0f} s"))
            done.append(self._spinner)
        return Group(*done)

    def phase(self, what: str) -> None:
        """Show what is begun, and how long it takes."""
        self._phases.append((time.monotonic(), what))

    def banner(self, lines: Sequence[str]) -> None:
        """Show it above all else, and keep it for the end."""
        self._notes = list(lines)
        self._console.print(_banner(lines))

    def ready(self, scene: Scene, _facts: Mapping[str, object]) -> None:
        """Go over to the picture."""
        self._phases.append((time.monotonic(), ""))
        self._scene = scene
        self._start_up.stop()
        self._live = Live(
            Picture(scene),
            console=self._console,
            screen=True,
            refresh_per_second=REFRESH_PER_S,
        )
        self._live.start()

    def happened(self, _at_ms: int, _line: Line, _record: Mapping[str, Any]) -> None:
        """The picture shows the scene's own lines."""

    def stack_event(self, event: Mapping[str, object]) -> None:
        """Show that a part was started again."""
        if event.get("event") == "restarted" and self._scene is not None:
            words = f"! {event.get('part')} was started again, pid {event.get('pid')}"
            self._scene.lines.append((self._scene.now_ms(), Line("warn", words)))

    def tick(self) -> None:
        """The picture refreshes by itself."""

    def close(self) -> None:
        """Give the terminal back."""
        self._start_up.stop()
        if self._live is not None:
            self._live.stop()
            self._live = None
            if self._notes:
                self._console.print(_banner(self._notes))

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Show how it went."""
        self._console.print(summary_table(summary))


def make_view(*, json: bool) -> View:
    """Choose by what standard output is."""
    if json:
        return JsonView()
    console = Console()
    return LiveView(console) if console.is_terminal else PlainView(console)


def _banner(lines: Iterable[str]) -> Panel:
    return Panel(Text("\n".join(lines)), border_style="yellow", title="stand-in", expand=False)


# --- the picture


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
            line.add_row(ProgressBar(pulse=True), Text(f"{_minutes(passed_s)}, until Ctrl-C"))
        else:
            bar = ProgressBar(total=scene.total_s, completed=min(passed_s, scene.total_s))
            line.add_row(bar, Text(f"{_minutes(passed_s)} of {_minutes(scene.total_s)}"))
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


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


# --- the summary


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
        title=f"{_minutes(summary['seconds'])} at × {summary['speed']:g}, seed {summary['seed']}",
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
            label = summary["urgent_windows"].get(window, "") if key == "windows_urgent" else ""
            table.add_row(f"{title}: {window} {label}".rstrip(), share, *cells)
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
