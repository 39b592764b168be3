"""What is not on the ground: bridges over the waters, and the elevated road with its ramps."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import dist

from shapely.geometry import LineString, Point
from shapely.ops import substring

from xiaohe.data.drawing.layout import Layout, Piece, part
from xiaohe.data.drawing.source import XY, Bridge, DrawingError, Street, Viaduct, Water

ABUTMENT_M = 5.0
"""A bridge begins this far before the water's edge."""

STUB_M = 12.0
"""No piece shorter than this is left between a bridge and the crossing before it."""

BRIDGE_LAYER = 1

CORNER_APART_M = 5.0
"""A carriageway cut near one of its corners does not keep both."""


def bridge_waters(
    rows: Iterable[tuple[str, Piece]], waters: Sequence[Water], bridges: Sequence[Bridge]
) -> list[tuple[str, Piece]]:
    """Cut out of each piece what lies over water, as a bridge of the drawing; road_ids stay.

    Raises ``DrawingError`` for a crossing without a bridge, and for a bridge without a crossing.
    """
    declared = {(bridge.street, bridge.over): bridge.name for bridge in bridges}
    used: set[tuple[str, str]] = set()
    faults: list[str] = []
    result: list[tuple[str, Piece]] = []
    for road_id, piece in rows:
        spans = sorted(_spans(piece, waters))
        for _, _, water in spans:
            key = (piece.street.name, water)
            if key not in declared:
                faults.append(f"{piece.street.name} runs into {water}: draw a bridge or move it")
            used.add(key)
        named = [
            (start_m, end_m, declared.get((piece.street.name, water), ""))
            for start_m, end_m, water in spans
        ]
        result += [(road_id, one) for one in _bridged(piece, named)]
    faults += [f"no water under {declared[key]}: move it" for key in declared.keys() - used]
    if faults:
        raise DrawingError("\n".join(sorted(set(faults))))
    return result


def _spans(piece: Piece, waters: Sequence[Water]) -> list[tuple[float, float, str]]:
    """Return from where to where along the piece there is water, abutments included."""
    line = piece.line
    spans = []
    for water in waters:
        wet = line.intersection(water.surface)
        for stretch in getattr(wet, "geoms", [wet]):
            if stretch.length == 0:
                continue
            ends = [line.project(Point(xy)) for xy in (stretch.coords[0], stretch.coords[-1])]
            start_m, end_m = min(ends) - ABUTMENT_M, max(ends) + ABUTMENT_M
            start_m = 0.0 if start_m < STUB_M else start_m
            end_m = line.length if line.length - end_m < STUB_M else end_m
            spans.append((start_m, end_m, water.name))
    return spans


def _bridged(piece: Piece, spans: list[tuple[float, float, str]]) -> list[Piece]:
    """Return the piece as its parts, ground and bridge in turn."""
    parts: list[Piece] = []
    done_m = 0.0
    for start_m, end_m, name in spans:
        if start_m > done_m:
            parts.append(part(piece, done_m, start_m, bridge=None))
        parts.append(part(piece, max(start_m, done_m), end_m, bridge=name))
        done_m = end_m
    length_m = piece.line.length
    if done_m < length_m:
        parts.append(part(piece, done_m, length_m, bridge=None) if parts else piece)
    return parts


def raise_viaduct(viaduct: Viaduct, base: Street, layout: Layout) -> list[tuple[str, Piece]]:
    """Return the viaduct's pieces with their road_ids.

    One carriageway runs on the right of the street below, as it is drawn, the other on its left
    and against it; each has a ramp up at its beginning and one down at its end, so that cars
    come on and off where the streets named first and last in ``cut`` meet the one below.
    """
    stops_m = [layout.meetings_m(base.name, name)[0] for name in viaduct.cut]
    along = _between(base, layout, stops_m[0], stops_m[-1])
    middle_m = [stop_m - stops_m[0] for stop_m in stops_m[1:-1]]
    edges_m = [viaduct.ramp_m, *middle_m, along.length - viaduct.ramp_m]
    names = [f"{viaduct.name}/{one}-{other}" for one, other in pairwise(viaduct.cut)]
    raised: list[tuple[str, Piece]] = []
    for side_m, backwards in ((-viaduct.apart_m, False), (viaduct.apart_m, True)):
        lane = along.offset_curve(side_m, join_style="mitre")
        cuts = [lane.project(along.interpolate(edge_m)) for edge_m in edges_m]
        spans = [substring(lane, a, b) for a, b in pairwise(cuts)]
        up = LineString([along.coords[0], spans[0].coords[0]])
        down = LineString([spans[-1].coords[-1], along.coords[-1]])
        rows = [(names[0], "trunk_link", up)]
        rows += [(name, "trunk", span) for name, span in zip(names, spans, strict=True)]
        rows.append((names[-1], "trunk_link", down))
        raised += [
            (road_id, _elevated(viaduct, highway, line, backwards=backwards))
            for road_id, highway, line in rows
        ]
    return raised


def _between(base: Street, layout: Layout, start_m: float, end_m: float) -> LineString:
    """Return the course of a street between two of its nodes, through the nodes themselves."""
    points = [
        point
        for piece in layout.pieces
        if piece.street.name == base.name and start_m <= piece.start_m and piece.end_m <= end_m
        for point in piece.points
    ]
    return LineString([point for i, point in enumerate(points) if i == 0 or point != points[i - 1]])


def _apart(points: list[XY]) -> list[XY]:
    """Return the points without those that all but fall together with the one before."""
    first, *inner, last = points
    kept = [first]
    for point in inner:
        if dist(point, kept[-1]) > CORNER_APART_M < dist(point, last):
            kept.append(point)
    return [*kept, last]


def _elevated(viaduct: Viaduct, highway: str, line: LineString, *, backwards: bool) -> Piece:
    points = _apart([(float(x), float(y)) for x, y in line.coords])
    if backwards:
        points.reverse()
    street = Street(name=viaduct.name, highway=highway, points=tuple(points), oneway="yes")
    return Piece(
        street=street,
        points=street.points,
        start_m=0.0,
        end_m=line.length,
        bridge=viaduct.name,
        layer=BRIDGE_LAYER,
    )
