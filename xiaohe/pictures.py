"""The pictures of the README: ``python -m xiaohe.pictures`` draws them from a run of the demo.

It runs as ``xiaohe demo`` does, on Kafka or on the stand-in, faster than the clock, and keeps two
moments: the live view part of the way through, and the summary at the end. They are drawn as SVG
that loads nothing from elsewhere.
"""

import asyncio
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME

from xiaohe.demo import DemoOptions, run_demo
from xiaohe.demo_summary import summary_table
from xiaohe.live_picture import Picture, Scene
from xiaohe.output import note
from xiaohe.sim.words import Line

FOLDER: Final = Path(__file__).parent.parent / "docs" / "pictures"
LIVE_VIEW: Final = "demo.svg"
SUMMARY: Final = "summary.svg"

SECONDS: Final = 60.0
"""How long the run is, on the machine's clock."""

SPEED: Final = 10.0
"""Ten simulated minutes in a minute: by then each of the three windows has ended for somebody."""

TAKEN_AT: Final = 0.45
"""Share of the run after which the live view is kept: some windows run, some have ended."""

COLUMNS, ROWS = 100, 30
"""Of the terminal in the picture: as much as can still be read at the width of a web page."""

FONT_PX: Final = 20.0
CELL_PX: Final = 12.2
ROW_PX: Final = 23.5
MARGIN_PX: Final = 14.0
TITLE_PX: Final = 40.0
"""The terminal's measures; fonts are fitted into its cells, whichever a viewer has."""

FONTS: Final = "'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK SC', monospace"

RUN: Final = re.compile(r" +|[^ ]+")
"""Spaces, or a word. Each word gets its own place: no two viewers agree on spaces."""


class Photographer:
    """Watches a demo and keeps the two moments. A view, as `run_demo` takes one."""

    def __init__(self, taken_at_s: float) -> None:
        """``taken_at_s`` is how long the run is to be under way for the live view."""
        self._taken_at_s = taken_at_s
        self._scene: Scene | None = None
        self.live_view: str | None = None
        self.at_the_end: str | None = None

    def phase(self, what: str) -> None:
        """Tell it, for the start takes seconds."""
        note(f"… {what}")

    def banner(self, lines: Sequence[str]) -> None:
        """Tell it."""
        note("\n".join(lines))

    def ready(self, scene: Scene, _facts: Mapping[str, object], /) -> None:
        """From now on there is something to see."""
        self._scene = scene
        note("… the brigade is at work")

    def happened(self, _at_ms: int, _line: Line, _record: Mapping[str, Any], /) -> None:
        """The scene has it."""

    def stack_event(self, event: Mapping[str, object]) -> None:
        """Tell it."""
        note(str(event))

    def tick(self) -> None:
        """Keep the live view when its moment has come."""
        assert self._scene is not None, "time passes after the start"
        if self.live_view is None and self._scene.passed_s() >= self._taken_at_s:
            self.live_view = drawn(Picture(self._scene), "xiaohe demo", rows=ROWS)

    def close(self) -> None:
        """Nothing is open."""

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Keep how it went."""
        self.at_the_end = drawn(summary_table(summary), "xiaohe demo: the end")


def drawn(what: RenderableType, title: str, rows: int | None = None) -> str:
    """Draw something as the SVG of a terminal; without ``rows`` it is as high as it needs.

    Rich has an export of its own, which squeezes Chinese characters into half their width and
    fetches its font from elsewhere.
    """
    console = Console(
        file=io.StringIO(),
        width=COLUMNS,
        height=rows,
        force_terminal=True,
        color_system="truecolor",
    )
    lines = console.render_lines(what, console.options.update(height=rows), pad=False)
    width = COLUMNS * CELL_PX + 2 * MARGIN_PX
    height = len(lines) * ROW_PX + TITLE_PX + MARGIN_PX
    theme = SVG_EXPORT_THEME
    paper, ink = theme.background_color.hex, theme.foreground_color.hex
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"',
        f' font-family="{FONTS}" font-size="{FONT_PX:g}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{paper}"/>',
        f'<g text-anchor="middle" font-weight="bold" fill="{ink}">',
        f'<text x="{width / 2:g}" y="27">{escape(title)}</text></g>',
    ]
    for row, line in enumerate(lines):
        svg.extend(_line(line, TITLE_PX + row * ROW_PX + FONT_PX))
    return "\n".join([*svg, "</svg>", ""])


def _line(segments: Iterable[Segment], y: float) -> Iterator[str]:
    """Draw a line of text, each run of it at its own column."""
    column = 0
    for text, style, _ in segments:
        look = _look(style or Style())
        for run in RUN.findall(text):
            for _, signs in itertools.groupby(run, lambda sign: cell_len(sign) > 1):
                piece = "".join(signs)
                cells = cell_len(piece)
                if not piece.isspace():
                    x = MARGIN_PX + column * CELL_PX
                    yield (
                        f'<text x="{x:.1f}" y="{y:.1f}" textLength="{cells * CELL_PX:.1f}" '
                        f'lengthAdjust="spacingAndGlyphs"{look}>{escape(piece)}</text>'
                    )
                column += cells


def _look(style: Style) -> str:
    """Give a style's colour and weight as attributes."""
    theme = SVG_EXPORT_THEME
    color = style.color.get_truecolor(theme) if style.color else theme.foreground_color
    return f' fill="{color.hex}"' + (' font-weight="bold"' if style.bold else "")


def draw(
    folder: Annotated[Path, Parameter(name="--out", help="Where to write them.")] = FOLDER,
    *,
    seconds: float = SECONDS,
    speed: float = SPEED,
    stand_in: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run a demo and write its pictures; status 1 where an alert was lost.

    Parameters
    ----------
    seconds
        How long the run is.
    speed
        How much faster than the day.
    stand_in
        Run on the embedded stand-in though there may be a Kafka.
    """
    watching = Photographer(TAKEN_AT * seconds)
    status = asyncio.run(
        run_demo(DemoOptions(seconds=seconds, speed=speed, stand_in=stand_in), watching)
    )
    kept = {LIVE_VIEW: watching.live_view, SUMMARY: watching.at_the_end}
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in kept.items():
        if svg is None:
            note(f"the run ended before {name} could be taken; nothing was written")
            return 1
        (folder / name).write_text(svg)
        note(f"wrote {folder / name}")
    return status


def main() -> None:
    """Run it as a program."""
    app = App(name="python -m xiaohe.pictures", default_command=draw)
    raise SystemExit(app())


if __name__ == "__main__":
    main()
