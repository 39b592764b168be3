"""What ``xiaohe bench geo`` found, for people: a table a city, then what was aimed at."""

from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, Final, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]

PAGE_WIDTH, TEXT_WIDTH = 132, 118
WHO_WIDTH, NUMBER_WIDTH = 30, 7
"""Characters: at most, of the notes, and of columns, so that tables stand under each other."""

STORES: Final = ("redis", "tile38", "postgis")
NAMES: Final = {
    "redis": "Redis GEOSEARCH",
    "tile38": "Tile38 NEARBY",
    "postgis": "PostGIS KNN",
}

CHOOSE_SMALL_US: Final = 60.0
CHOOSE_LARGE_US: Final = 120.0
CHOOSE_PYTHON_US: Final = 600.0
GROWTH: Final = 2.0
POSITIONS_PER_S: Final = 250_000
"""What is aimed at, on one core of an ordinary server."""

COLUMNS: Final = (
    "who",
    "µs",
    "p99",
    "batched",
    "trip",
    "ours ×",
    "no trip ×",
    "taken/s",
    "singly/s",
)


LEGEND: Final = (
    "µs: median of one question after the other; batched: of each in a batch; trip: an empty one",
    "ours ×: how many times as long our choice takes (below 1: quicker); no trip ×: trip taken off",
    "taken/s: positions a second in batches; singly/s: one by one",
)
"""What the columns mean."""


class Target(NamedTuple):
    """Something aimed at, what was measured, and whether it is met (None: not measured)."""

    target: str
    measured: str
    met: bool | None


def table(result: Mapping[str, Any]) -> str:
    """Write a result for people."""
    console = Console(file=StringIO(), width=PAGE_WIDTH, highlight=False, no_color=True)
    for row in result["sizes"]:
        console.print(_city(row))
    console.print(_aims(targets(result["sizes"])))
    for note in (*LEGEND, *result["notes"]):
        console.print(f"· {note}", width=TEXT_WIDTH)
    machine = result["machine"]
    console.print(
        f"· {machine['processor']}, {machine['cores']} cores, load {machine['load']}, "
        f"Python {machine['python']}"
    )
    file = console.file
    assert isinstance(file, StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def targets(rows: Iterable[Row]) -> list[Target]:
    """Hold the figures against what is aimed at."""
    by_name = {row["name"]: row for row in rows}
    small, large = by_name.get("xiaohe", {}), by_name.get("1m", {})
    growth = _ratio(large.get("choose_us"), by_name.get("baltimore", {}).get("choose_us"))
    found = [
        _at_most("a whole choice in Xiaohe", small.get("choose_us"), CHOOSE_SMALL_US, "µs"),
        _at_most("a whole choice in the largest", large.get("choose_us"), CHOOSE_LARGE_US, "µs"),
        _at_most("the largest against Baltimore", growth, GROWTH, "×"),
    ]
    found += [_quicker_than_stores(row, less_trip=False) for row in by_name.values()]
    if large:
        found.append(_quicker_than_stores(large, less_trip=True))
    for row in by_name.values():
        what = f"in plain Python, {row['name']}"
        found.append(_at_most(what, row.get("choose_python_us"), CHOOSE_PYTHON_US, "µs"))
    for row in by_name.values():
        rate = row.get("positions_per_s")
        measured = "not measured" if rate is None else f"{rate:,.0f}"
        met = None if rate is None else rate >= POSITIONS_PER_S
        what = f"positions a second, {row['name']}: at least {POSITIONS_PER_S:,}"
        found.append(Target(what, measured, met))
    for row in by_name.values():
        checked, wrong = row.get("oracle_checked"), row.get("oracle_mismatches")
        what = f"choices that are not the whole graph's, {row['name']}: none"
        found.append(Target(what, f"{wrong} of {checked}", wrong == 0 if checked else None))
    return found


def _at_most(what: str, measured: float | None, limit: float, unit: str) -> Target:
    shown = "not measured" if measured is None else f"{measured:,.1f} {unit}"
    return Target(
        f"{what}: at most {limit:g} {unit}", shown, None if measured is None else measured <= limit
    )


def _quicker_than_stores(row: Row, *, less_trip: bool) -> Target:
    """Hold a choice against the quickest store, one question after the other."""
    took_us = {
        name: max(0.0, row[f"{name}_us"] - (row[f"{name}_ping_us"] if less_trip else 0.0))
        for name in STORES
        if row.get(f"{name}_us") is not None
    }
    without = " less its round trip" if less_trip else ""
    what = f"quicker than the quickest store{without}, {row['name']}"
    if not took_us or row.get("choose_us") is None:
        return Target(what, "no store here", None)
    quickest = min(took_us, key=took_us.__getitem__)
    shown = f"{row['choose_us']:,.1f} µs against {took_us[quickest]:,.1f} of {quickest}"
    return Target(what, shown, row["choose_us"] < took_us[quickest])


def _city(row: Row) -> Table:
    title = (
        f"{row['name']}: {row['edges']:,} edges, {row['members']:,} members, "
        f"{row['eligible_share']:.0%} of them eligible"
    )
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    shown.add_column(COLUMNS[0], no_wrap=True, min_width=WHO_WIDTH)
    for name in COLUMNS[1:]:
        shown.add_column(name, justify="right", no_wrap=True, min_width=NUMBER_WIDTH)
    ours = row["choose_us"]
    _line(shown, "xiaohe, the whole choice", row, "choose", ours)
    _line(shown, "  of it the matching to a road", {"snap_us": row["snap_us"]}, "snap", None)
    _line(shown, "  all in plain Python", row, "choose_python", ours)
    _line(shown, f"straight line, {row['straight_way']}", row, "straight", ours)
    _line(shown, "networkx, by road", row, "networkx", ours)
    for store in STORES:
        _line(shown, NAMES[store], row, store, ours)
    return shown


def _line(shown: Table, who: str, row: Row, prefix: str, ours_us: float | None) -> None:
    took_us, trip_us = row.get(f"{prefix}_us"), row.get(f"{prefix}_ping_us")
    own = prefix == "choose"
    less_trip_us = None
    if took_us is not None and trip_us is not None:
        less_trip_us = max(0.0, took_us - trip_us)
    rates = "" if own else f"{prefix}_"
    shown.add_row(
        who,
        _number(took_us),
        _number(row.get(f"{prefix}_p99_us")),
        _number(row.get(f"{prefix}_batch_us")),
        _number(trip_us),
        "" if own or ours_us is None else _times(ours_us, took_us),
        "" if ours_us is None else _times(ours_us, less_trip_us),
        _rate(row.get(f"{rates}positions_per_s")),
        _rate(row.get(f"{rates}positions_single_per_s")),
    )


def _aims(found: Iterable[Target]) -> Table:
    shown = Table(title="aimed at", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in ("", "measured", "met"):
        shown.add_column(name)
    for target in found:
        met = {True: "yes", False: "no", None: "–"}[target.met]
        shown.add_row(target.target, target.measured, met)
    return shown


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _times(ours_us: float, theirs_us: float | None) -> str:
    """Say how many times as long ours takes: below 1 it is the quicker one."""
    ratio = _ratio(ours_us, theirs_us)
    return "" if ratio is None else f"{ratio:.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
