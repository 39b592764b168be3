"""Road networks drawn as text, so that a test reads like the street.

Letters and digits are junctions; what lies between two of them on a line or in a column is a
road, its length read off the drawing (``COLUMN_M`` and ``ROW_M`` metres a character)::

    a---b-->c      ``-`` and ``|`` both ways, ``>`` ``<`` ``^`` ``v`` one way only
    |       v      ``.`` and ``:`` footways (across, down)
    d...e---f

Each road is a piece of its own, with its two ends for a road_id (``ab``); ``changes`` names
other properties for some of them. The letter v is taken by the arrow.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from xiaohe.geo.geometry import Spot
from xiaohe.geo.network import Network
from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import LonLat, RoadPiece

CENTRE = Projection(120.14, 30.32)
COLUMN_M = 50.0
ROW_M = 100.0

ACROSS = frozenset("-.<>")
DOWN = frozenset("|:^v")

Changes = Mapping[str, Mapping[str, Any]]


def place(drawing: str, junction: str) -> LonLat:
    """Return the (lon, lat) of a junction of the drawing, to the file's seven decimals."""
    rows = _rows(drawing)
    row, column = next((r, line.index(junction)) for r, line in enumerate(rows) if junction in line)
    lon, lat = CENTRE.to_deg(column * COLUMN_M, -row * ROW_M)
    return round(lon, 7), round(lat, 7)


def pieces(drawing: str, changes: Changes | None = None) -> tuple[RoadPiece, ...]:
    """Return the roads of a drawing."""
    rows = _rows(drawing)
    width = max(map(len, rows))
    columns = ["".join(line.ljust(width)[c] for line in rows) for c in range(width)]
    found = [_piece(drawing, *run) for line in rows for run in _runs(line, ACROSS)]
    found += [_piece(drawing, *run) for column in columns for run in _runs(column, DOWN)]
    changed = changes or {}
    assert changed.keys() <= {road["road_id"] for road in found}, "changes name a road not drawn"
    return tuple(RoadPiece(**{**road, **changed.get(road["road_id"], {})}) for road in found)


def network(drawing: str, changes: Changes | None = None) -> Network:
    """Return the network of a drawing."""
    return Network.build(pieces(drawing, changes), "drawn", CENTRE)


def spot(on: Network, road: str, frac: float) -> Spot:
    """Return the place at share ``frac`` of a drawn road ``ab``, from a to b."""
    edge = next(e for e in range(on.edge_count) if on.road_of(e) == road)
    return Spot(edge, frac)


def _rows(drawing: str) -> list[str]:
    lines = [line for line in drawing.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return [line[margin:].rstrip() for line in lines]


def _runs(line: str, strokes: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (from, strokes, to) of each road along a line."""
    start: int | None = None
    for at, character in enumerate(line):
        if character in strokes:
            continue
        if character.isalnum() and character != "v":
            if start is not None and at - start > 1:
                yield line[start], line[start + 1 : at], character
            start = at
        else:
            start = None


def _piece(drawing: str, start: str, stroke: str, end: str) -> dict[str, Any]:
    oneway = "yes" if set(stroke) & set(">v") else "-1" if set(stroke) & set("<^") else "no"
    footway = set(stroke) <= set(".:")
    return {
        "road_id": start + end,
        "points": (place(drawing, start), place(drawing, end)),
        "oneway": oneway,
        "highway": "footway" if footway else "residential",
    }
