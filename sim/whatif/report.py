"""The report: one HTML file that needs nothing else, from any disk, by day, by night, on paper."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, radians
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from xiaohe.dispatch.deadlines import ARRIVE
from xiaohe.geo.network import Network
from xiaohe.geo.roads import LonLat
from xiaohe.sim.whatif import charts, table
from xiaohe.sim.whatif.compare import Comparison, Played
from xiaohe.sim.whatif.figures import EXPLAINED, Estimate, verdict

TEMPLATE: Final = Path(__file__).parent / "report.html.j2"

MAP_WIDTH: Final = 1000.0
"""Units of the map's drawing; the page scales it."""

CALLS_DRAWN_MAX: Final = 4000
"""More dots hide each other; every so manyeth is drawn then."""

WIDE_ROADS: Final = frozenset({"motorway", "trunk", "primary", "secondary", "tertiary"})
"""Drawn broader, so that the map is read at a glance."""

HEADLINES: Final = ("accept_on_time", "arrive_on_time", "backup_on_time", "arrive_p90_s",
                    "cover_mean")  # fmt: skip
"""Figures that stand at the top, big."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A call on the map; ``verdict`` is on-time, late, or none (never measured)."""

    x: float
    y: float
    verdict: str
    title: str


def render(comparison: Comparison, notes: Sequence[str]) -> str:
    """Give the report as HTML."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    played, first = comparison.played, comparison.played[0]
    setting = first.play.setting
    known = setting.policy.areas.get(setting.area_id)
    zone = ZoneInfo("UTC" if known is None else known.timezone)
    return template.render(
        title=setting.area_id if known is None else known.name,
        span=_span(comparison, zone),
        scenarios=[_scenario(n, each) for n, each in enumerate(played)],
        headlines=list(_headlines(comparison)),
        rows=list(_rows(comparison)),
        explained=EXPLAINED,
        footnote=table.footnote(comparison),
        charts=[
            ("When somebody was on scene", charts.arrivals(played)),
            ("On scene in time, by hour of the call", charts.on_time_by_hour(played, zone)),
            ("Cover over the day (mean; band: least and most)", charts.cover_by_hour(played, zone)),
            ("How work is spread", charts.workload(played)),
        ],
        map=_map(first),
        notes=notes,
    )


def _span(comparison: Comparison, zone: ZoneInfo) -> str:
    days = comparison.played[0].result.days
    first, end = (datetime.fromtimestamp(ms / 1000, zone) for ms in (days[0], days[-1]))
    last = end - timedelta(days=1)
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, {comparison.days} days, seed {comparison.seed}"


def _scenario(n: int, played: Played) -> dict[str, Any]:
    result = played.result
    return {
        "n": n % len(charts.SERIES),
        "name": played.play.name,
        "says": played.play.says,
        "members": len(played.play.setting.roster),
        "calls": len(result.calls),
        "incidents": len(result.incidents),
        "open": result.open,
        "forgotten": result.forgotten,
    }


def _headlines(comparison: Comparison) -> Iterator[dict[str, Any]]:
    units = {key: (label, unit, up) for key, label, unit, up in table.ROWS}
    for key in HEADLINES:
        label, unit, up = units[key]
        cells = [
            {
                "n": n % len(charts.SERIES),
                "value": table.number(each.figures[key].value, unit),
                "change": _change(each.differences[key], unit, up=up) if n else None,
            }
            for n, each in enumerate(comparison.played)
        ]
        yield {"label": label, "cells": cells}


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for key, label, unit, up in table.ROWS:
        cells = [
            {
                "value": table.number(each.figures[key].value, unit),
                "interval": table.interval(each.figures[key], unit),
                "change": _change(each.differences[key], unit, up=up) if n else None,
            }
            for n, each in enumerate(comparison.played)
        ]
        yield {"label": label, "cells": cells}


def _change(estimate: Estimate, unit: table.Unit, *, up: bool) -> dict[str, str]:
    tone = "unsure"
    if table.is_sure(estimate):
        tone = "better" if table.is_better(estimate, up=up) else "worse"
    return {
        "value": table.difference(estimate, unit),
        "interval": table.interval(estimate, unit),
        "tone": tone,
    }


# --- the map


class _Sheet:
    """Degrees to units of the drawing; north is up."""

    def __init__(self, network: Network) -> None:
        points = network.shapes.degrees
        self._west, south = (float(v) for v in points.min(axis=0))
        east, self._north = (float(v) for v in points.max(axis=0))
        self._narrow = cos(radians((south + self._north) / 2))
        self._scale = MAP_WIDTH / max((east - self._west) * self._narrow, self._north - south, 1e-9)
        self.width = (east - self._west) * self._narrow * self._scale
        self.height = (self._north - south) * self._scale

    def at(self, place: LonLat) -> tuple[float, float]:
        lon, lat = place
        x = (lon - self._west) * self._narrow * self._scale
        return round(x, 1), round((self._north - lat) * self._scale, 1)


def _map(played: Played) -> dict[str, Any]:
    network = played.play.setting.streets.network
    sheet = _Sheet(network)
    roads = {"wide": [], "narrow": []}  # type: dict[str, list[str]]
    for edge, piece in enumerate(network.pieces):
        points = (sheet.at(p) for p in network.shapes.between(edge, 0.0, 1.0))
        line = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        roads["wide" if piece.highway in WIDE_ROADS else "narrow"].append(line)
    return {
        "width": sheet.width,
        "height": sheet.height,
        "roads": {name: "".join(lines) for name, lines in roads.items()},
        "dots": list(_dots(played, sheet)),
        "posts": sorted(
            {
                (*sheet.at((e.post.lon, e.post.lat)), e.team)
                for e in played.play.setting.roster
                if e.post is not None
            }
        ),
    }


def _dots(played: Played, sheet: _Sheet) -> Iterator[Dot]:
    incidents = list(played.result.incidents.values())
    every = 1 + len(incidents) // CALLS_DRAWN_MAX
    for incident in incidents[::every]:
        if incident.position is None:
            continue
        met = verdict(incident, ARRIVE)
        name = {True: "met", False: "missed", None: "void"}[met]
        x, y = sheet.at((incident.position.lon, incident.position.lat))
        words = {True: "in time", False: "late", None: "not measured"}[met]
        title = f"{incident.category}, P{incident.priority}, {incident.road_id or '—'}: {words}"
        yield Dot(x, y, name, title)
