"""Calls, rates and scenarios from files: what people have, and what is wrong with it.

A bad row of a calls file is left out, counted by its reason and shown by its line; a file of which
no row can be used is refused. Times without an offset are the area's own.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from math import isfinite
from pathlib import Path
from typing import Final

from xiaohe.dispatch.yaml_text import BadYaml, read_yaml
from xiaohe.sim.streets import Streets
from xiaohe.sim.whatif.demand import DAYS, HOURS, Call, Rates, Spot

PRIORITY_DEFAULT: Final = 2
"""Where the file states none: the contract's default."""

PRIORITY_MOST: Final = 4

CATEGORY_DEFAULT: Final = "unknown"

CATEGORY_CHARACTERS_MAX: Final = 128
"""Of the contract."""

CALLS_MAX: Final = 2_000_000
"""More rows than a province has calls in a year; beyond it the file is something else."""

BAD_SHOWN: Final = 3
"""Lines of bad rows that are shown by number, a reason."""

HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "timestamp", "received", "received_at", "occurred_at", "departure_time",
             "datetime", "date"),
    "lon": ("lon", "lng", "long", "longitude", "o_lon", "x"),
    "lat": ("lat", "latitude", "o_lat", "y"),
    "category": ("category", "title", "type", "call_type"),
    "priority": ("priority", "prio"),
    "road_id": ("road_id",),
}  # fmt: skip
"""What a column may be called in the exports that are about, lower case."""

FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M",
)
"""Times beside ISO 8601."""


class DemandFileError(Exception):
    """A file of calls, rates or scenarios cannot be used; the message says what to write."""


@dataclass(frozen=True, slots=True)
class CallsFile:
    """What a calls file holds: calls in order of time, and what was left out, by reason."""

    calls: tuple[Call, ...]
    left_out: Mapping[str, int]
    lines: Mapping[str, tuple[int, ...]]

    def told(self) -> list[str]:
        """Say what was left out, a line a reason."""
        return [
            f"{count} left out: {reason} (line {', '.join(map(str, self.lines[reason]))}"
            + (", …)" if count > len(self.lines[reason]) else ")")
            for reason, count in sorted(self.left_out.items())
        ]


class _Bad(Exception):
    """A row that cannot be used, and why."""


def read_calls(path: Path, streets: Streets, zone: tzinfo) -> CallsFile:
    """Read a CSV file, plain or gzipped. Raises DemandFileError where nothing of it is of use."""
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    calls: list[Call] = []
    left_out: Counter[str] = Counter()
    lines: dict[str, list[int]] = {}
    try:
        columns = _columns(path, rows.fieldnames or ())
        for number, row in enumerate(rows):
            if number >= CALLS_MAX:
                raise DemandFileError(f"{path} has more than {CALLS_MAX:,} calls: divide it")
            try:
                calls.append(_call(row, columns, f"c{number + 1}", streets, zone))
            except _Bad as bad:
                left_out[str(bad)] += 1
                if len(lines.setdefault(str(bad), [])) < BAD_SHOWN:
                    lines[str(bad)].append(rows.line_num)
    except csv.Error as fault:
        raise DemandFileError(f"{path}, line {rows.line_num}: {fault}") from None
    calls.sort(key=lambda call: (call.at_ms, call.call_id))
    found = CallsFile(tuple(calls), left_out, {k: tuple(v) for k, v in lines.items()})
    if not calls:
        raise DemandFileError("\n  ".join([f"{path}: no call that can be used", *found.told()]))
    return found


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as fault:
        raise DemandFileError(f"{path}: {fault}: name a file that can be read") from None
    return raw.decode("utf-8-sig", errors="replace")


def _columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    """Find which column is which."""
    known = {(name or "").strip().lower(): name for name in header}
    found = {
        wanted: known[alias]
        for wanted, aliases in HEADERS.items()
        for alias in reversed(aliases)
        if alias in known
    }
    missing = [name for name in ("time", "lon", "lat") if name not in found]
    if missing:
        raise DemandFileError(
            f"{path} has no column for {' and '.join(missing)}: its first line must name them, "
            "as time,lon,lat,category,priority,road_id"
        )
    return found


def _call(
    row: Mapping[str, str | None], columns: Mapping[str, str], call_id: str, streets: Streets,
    zone: tzinfo,
) -> Call:  # fmt: skip
    said = {name: (row.get(column) or "").strip() for name, column in columns.items()}
    at_ms = _moment_ms(said["time"], zone)
    lon, lat = _degrees(said["lon"], 180.0), _degrees(said["lat"], 90.0)
    if not streets.is_here((lon, lat)):
        raise _Bad("outside the map")
    priority = said.get("priority") or PRIORITY_DEFAULT
    try:
        priority = int(float(priority))
    except (ValueError, OverflowError):
        raise _Bad("priority is no number") from None
    if not 1 <= priority <= PRIORITY_MOST:
        raise _Bad("priority is not 1 to 4")
    category = (said.get("category") or CATEGORY_DEFAULT)[:CATEGORY_CHARACTERS_MAX]
    return Call(call_id, at_ms, lon, lat, category, priority, said.get("road_id") or None)


def _moment_ms(text: str, zone: tzinfo) -> int:
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        then = _by_format(text)
    then = then if then.tzinfo is not None else then.replace(tzinfo=zone)
    try:
        return round(then.timestamp() * 1000)
    except (OverflowError, ValueError):
        raise _Bad("time cannot be read") from None


def _by_format(text: str) -> datetime:
    for each in FORMATS:
        try:
            return datetime.strptime(text, each)  # noqa: DTZ007 - the area's zone is put to it
        except ValueError:
            continue
    raise _Bad("time cannot be read")


def _degrees(text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _Bad("no position") from None
    if not isfinite(value) or abs(value) > most:
        raise _Bad("no possible position")
    return value


# --- rates


def read_rates(path: Path) -> Rates:
    """Read how many calls come when and where: YAML, or CSV ``hour,calls_per_hour[,weekday]``.

    YAML: ``hours`` (24 calls an hour) or ``weekdays`` ({mon: 24 numbers, …}) or ``per_day``;
    ``places`` ([{lon, lat, weight}, {road_id, weight}]); ``categories`` ({name: weight}).
    Raises DemandFileError.
    """
    text = _text(path)
    try:
        if path.suffix.lower() == ".csv":
            return Rates(_hours_of_csv(text))
        return _rates(read_yaml(text))
    except (BadYaml, csv.Error, DemandFileError) as fault:
        raise DemandFileError(f"{path}: {fault}") from None


def _hours_of_csv(text: str) -> tuple[tuple[float, ...], ...]:
    table = [[0.0] * HOURS for _ in DAYS]
    rows = csv.DictReader(io.StringIO(text, newline=""))
    for row in rows:
        try:
            hour, rate = int(row["hour"]), float(row["calls_per_hour"])
            days = range(len(DAYS)) if not row.get("weekday") else (DAYS.index(row["weekday"]),)
        except (KeyError, TypeError, ValueError):
            raise DemandFileError(
                f"line {rows.line_num} is not hour,calls_per_hour[,weekday] with a weekday of "
                f"{', '.join(DAYS)}"
            ) from None
        if not 0 <= hour < HOURS or not _is_rate(rate):
            raise DemandFileError(f"line {rows.line_num}: hour is 0 to 23, a rate is 0 or more")
        for day in days:
            table[day][hour] = rate
    return tuple(tuple(day) for day in table)


def _rates(found: object) -> Rates:
    if not isinstance(found, dict):
        raise DemandFileError("it must name hours, weekdays or per_day")
    unknown = found.keys() - {"hours", "weekdays", "per_day", "places", "categories"}
    if unknown:
        raise DemandFileError(f"it knows no {min(map(str, unknown))!r}: hours, weekdays, per_day, "
                              "places, categories")  # fmt: skip
    made_up = False
    if "weekdays" in found:
        days = found["weekdays"]
        if not isinstance(days, dict) or set(days) != set(DAYS):
            raise DemandFileError(f"weekdays needs all of {', '.join(DAYS)}")
        hours = tuple(_day(days[day]) for day in DAYS)
    elif "hours" in found:
        hours = (_day(found["hours"]),) * len(DAYS)
    else:
        per_day = found.get("per_day")
        if not _is_rate(per_day):
            raise DemandFileError("it must name hours, weekdays or per_day (a number, 0 or more)")
        hours, made_up = Rates.of_day(float(per_day)).per_hour, True
    categories = found.get("categories")
    if categories is not None and not _are_weights(categories):
        raise DemandFileError("categories must be {name: weight}, with a weight above 0")
    return Rates(hours, tuple(_spots(found.get("places") or [])), categories, made_up)


def _day(values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != HOURS or not all(map(_is_rate, values)):
        raise DemandFileError("a day is a list of 24 rates, calls an hour, 0 or more each")
    return tuple(map(float, values))


def _spots(found: object) -> Iterable[Spot]:
    if not isinstance(found, list):
        raise DemandFileError("places is a list of {lon, lat, weight} or {road_id, weight}")
    for each in found:
        fine = isinstance(each, dict) and _is_rate(each.get("weight", 1.0))
        if fine and isinstance(each.get("road_id"), str):
            yield Spot(float(each.get("weight", 1.0)), road_id=each["road_id"])
        elif fine and _is_number(each.get("lon")) and _is_number(each.get("lat")):
            yield Spot(float(each.get("weight", 1.0)), place=(each["lon"], each["lat"]))
        else:
            raise DemandFileError("a place is {lon, lat, weight} or {road_id, weight}")


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # a whole number that no float is large enough for
        return False


def _is_rate(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # a number


def _are_weights(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(
        isinstance(name, str) and _is_rate(weight) and weight > 0 for name, weight in value.items()
    )  # fmt: skip
