"""What the demo shows: a live picture in a terminal, lines elsewhere, JSON lines for programs.

All three are told the same.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.text import Text

from xiaohe.demo_summary import summary_table
from xiaohe.live_picture import DOING, Picture, Scene
from xiaohe.sim.words import Line

REFRESH_PER_S: Final = 5
"""Pictures a second: smooth enough for countdowns, and next to no work."""

STATUS_EVERY_S: Final = 15.0
"""Without a terminal, a line on how things stand comes so often."""


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
