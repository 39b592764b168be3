"""The ledger of the campaign: a line a slice, never changed, and what they come to together."""

import os
import platform
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from xiaohe.campaign.figures import spread
from xiaohe.java import BrokerUnavailable, find_java

CHECKOUT: Final = Path(__file__).resolve().parents[2]

LEDGER: Final = CHECKOUT / "docs" / "promises" / "slices.jsonl"

Line = Mapping[str, Any]


class LedgerError(Exception):
    """The ledger cannot be read; the message names the line."""


def read(path: Path = LEDGER) -> list[dict[str, Any]]:
    """Give every slice so far; a last line that was not written whole is left out.

    Raises LedgerError.
    """
    if not path.exists():
        return []
    found = []
    lines = path.read_bytes().splitlines(keepends=True)
    for n, line in enumerate(lines, start=1):
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as fault:
            if n == len(lines) and not line.endswith(b"\n"):
                break
            raise LedgerError(f"{path}, line {n}, is not JSON: {fault}") from None
    return found


def append(line: Line, path: Path = LEDGER) -> None:
    """Write a slice behind the others, whole or not at all as far as a reader can tell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                _drop_torn_line(file.fileno(), path)
        file.write(orjson.dumps(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _drop_torn_line(number: int, path: Path) -> None:
    os.ftruncate(number, path.read_bytes().rfind(b"\n") + 1)


def next_seed(lines: Iterable[Line]) -> int:
    """Give the seed of the next real slice."""
    return 1 + max((line["seed"] for line in lines if line["kind"] != "seeds"), default=0)


def next_simulated(lines: Iterable[Line]) -> int:
    """Give the first simulated seed that no piece has run yet."""
    ends = (
        line["seeds"]["start"] + line["seeds"]["count"] for line in lines if line["kind"] == "seeds"
    )
    return max(ends, default=0)


def stamped(line: Line) -> dict[str, Any]:
    """Say of a slice when, of which commit and on what machine it was."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        **line,
        "python": platform.python_version(),
        "java": _java(),
        "cores": os.cpu_count(),
    }


def _commit() -> str:
    """Give the commit of the checkout, with a plus sign where the code differs from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", ":!docs")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*words: str) -> str:
    line = [shutil.which("git") or "git", *words]
    done = subprocess.run(line, cwd=CHECKOUT, capture_output=True, text=True, check=True)  # noqa: S603 - git
    return done.stdout.strip()


def _java() -> str | None:
    try:
        line = [str(find_java()), "-version"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603 - java
        return done.stderr.splitlines()[0].split('"')[1]
    except (BrokerUnavailable, OSError, IndexError):
        return None


# --- what they come to --------------------------------------------------------------------


def totals(lines: Iterable[Line]) -> str:
    """Add the ledger up, as tables in Markdown."""
    lines = list(lines)
    real = [line for line in lines if line["kind"] == "real"]
    seeds = [line for line in lines if line["kind"] == "seeds"]
    broken = len(lines) - len(real) - len(seeds)
    told = [f"| slices that came to no verdict | {broken} |"] if broken else []
    return "\n".join([*_real(real), *told, "", *_recoveries(real), "", *_seeds(seeds)])


def _real(lines: list[Line]) -> list[str]:
    faults = Counter[str]()
    sums = Counter[str]()
    for line in lines:
        faults.update(line["faults"])
        names = ("alerts", "answers", "positions", "lost", "duplicate", "contradictory", "stuck")
        sums.update({name: line[name] for name in names})
        sums["seconds"] += line["seconds"]
        sums["broken"] += not line["holds"]
    rows = [(f"`{kind}`", count) for kind, count in sorted(faults.items())]
    rows += [
        ("alerts", sums["alerts"]),
        ("answers", sums["answers"]),
        ("positions", sums["positions"]),
        ("**lost / duplicate / contradictory**",
         f"**{sums['lost']} / {sums['duplicate']} / {sums['contradictory']}**"),
        ("areas stuck", sums["stuck"]),
        ("slices, of them not holding", f"{len(lines)}, {sums['broken']}"),
        ("hours", f"{sums['seconds'] / 3600:.1f}"),
        ("commits", _commits(lines)),
        ("from, to", _dates(lines)),
    ]  # fmt: skip
    return ["| real Kafka, real workers | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]


def _recoveries(lines: list[Line]) -> list[str]:
    each: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for kind, recovery in line["recovery_s"].items():
            each[kind] += recovery["each"]
    table = [
        "| seconds from the fault to an area's next decision | areas | p50 | p99 | max |",
        "|---|---|---|---|---|",
    ]
    for kind, found in sorted(each.items()):
        of = spread(found)
        table.append(f"| `{kind}` | {of['n']} | {of['p50']} | {of['p99']} | {of['max']} |")
    return table


def _seeds(lines: list[Line]) -> list[str]:
    count = sum(line["seeds"]["count"] for line in lines)
    rows = [
        ("seeds", count),
        ("faults", sum(line["faults_injected"] for line in lines)),
        ("simulated hours", f"{sum(line['simulated_hours'] for line in lines):.0f}"),
        ("**violations**", f"**{sum(line['violations'] for line in lines)}**"),
        ("hours", f"{sum(line['seconds'] for line in lines) / 3600:.1f}"),
        ("commits", _commits(lines)),
        ("from, to", _dates(lines)),
    ]
    return ["| simulated | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]


def _commits(lines: list[Line]) -> str:
    found = dict.fromkeys(f"`{line['commit']}`" for line in lines)
    return ", ".join(found) or "none"


def _dates(lines: list[Line]) -> str:
    dates = sorted(line["date"][:10] for line in lines)
    return f"{dates[0]}, {dates[-1]}" if dates else "none"
