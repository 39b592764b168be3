"""From courses to pieces: ends are drawn on to the street they lie near, streets that cross meet.

What comes out is noded: pieces of the ground touch at their end points alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import hypot

from shapely import STRtree
from shapely.geometry import LineString, MultiPoint, Point
from shapely.ops import substring

from xiaohe.data.drawing.source import XY, DrawingError, Street

END_REACH_M = 30.0
"""An end this near to another street is meant to meet it."""

NODE_APART_M = 14.0
"""Meetings nearer to each other than this are one crossing."""

TOUCH_M = 0.5
"""An end that has been drawn on to a street lies this near to it, whatever the rounding."""

TIE_ROUNDS = 4
"""An end moved in one round may be the one that another was drawn on to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Part of a street between two nodes, in metres along it and as points in metres."""

    street: Street
    points: tuple[XY, ...]
    start_m: float
    end_m: float
    bridge: str | None = None
    layer: int = 0

    @property
    def line(self) -> LineString:
        """The piece as a shape."""
        return LineString(self.points)


@dataclass(frozen=True, slots=True)
class Layout:
    """The pieces of the ground, and at which node two streets meet first."""

    pieces: tuple[Piece, ...]
    nodes: tuple[XY, ...]
    on_street: dict[str, tuple[tuple[float, int], ...]]

    def meetings_m(self, street: str, other: str) -> list[float]:
        """Return how far along ``street`` it meets ``other``, in order."""
        others = {node for _, node in self.on_street.get(other, ())}
        return [at_m for at_m, node in self.on_street[street] if node in others]


def lay_out(streets: Sequence[Street]) -> Layout:
    """Cut the streets of the ground into pieces that meet at nodes."""
    tied = tie_ends(streets)
    cuts = [sorted(set(own)) for own in _cuts(tied)]
    nodes, numbers = _nodes(tied, cuts)
    pieces: list[Piece] = []
    on_street: dict[str, tuple[tuple[float, int], ...]] = {}
    for street, own, numbered in zip(tied, cuts, numbers, strict=True):
        stops = _without_repeats(list(zip(own, numbered, strict=True)))
        on_street[street.name] = tuple(stops)
        pieces += _pieces(street, stops, nodes)
    return Layout(tuple(pieces), nodes, on_street)


def tie_ends(streets: Sequence[Street]) -> list[Street]:
    """Draw every end that lies near another street on to it."""
    tied = list(streets)
    for _ in range(TIE_ROUNDS):
        lines = [street.line for street in tied]
        tree = STRtree(lines)
        tied = [
            replace(
                street,
                points=(
                    _tied(street.points[0], index, lines, tree),
                    *street.points[1:-1],
                    _tied(street.points[-1], index, lines, tree),
                ),
            )
            for index, street in enumerate(tied)
        ]
    return tied


def _tied(end: XY, own: int, lines: list[LineString], tree: STRtree) -> XY:
    """Return the end of an earlier street in reach, else the nearest point of a street.

    Of two ends that lie near each other the later one moves, so that both do not.
    """
    point = Point(end)
    near = tree.query(point, predicate="dwithin", distance=END_REACH_M).tolist()
    reached: list[tuple[float, XY]] = []
    for index in sorted(set(near) - {own}):
        line = lines[index]
        tips = [Point(line.coords[0]), Point(line.coords[-1])]
        tip = min(tips, key=point.distance)
        if tip.distance(point) <= NODE_APART_M:
            if index < own:
                return (tip.x, tip.y)
            continue
        met = line.interpolate(line.project(point))
        reached.append((met.distance(point), (met.x, met.y)))
    return min(reached)[1] if reached else end


def _cuts(streets: Sequence[Street]) -> list[list[float]]:
    """Return for each street how far along it something meets it, its two ends included."""
    lines = [street.line for street in streets]
    cuts = [[0.0, line.length] for line in lines]
    tree = STRtree(lines)
    first, second = tree.query(lines, predicate="dwithin", distance=TOUCH_M)
    for i, j in sorted(zip(first.tolist(), second.tolist(), strict=True)):
        if i >= j:
            continue
        for point in _meetings(streets[i], streets[j]):
            cuts[i].append(lines[i].project(point))
            cuts[j].append(lines[j].project(point))
    return cuts


def _meetings(one: Street, other: Street) -> list[Point]:
    """Return where two streets cross or one ends on the other."""
    crossing = one.line.intersection(other.line)
    if crossing.length > TOUCH_M:
        at = crossing.centroid
        raise DrawingError(f"{one.name} and {other.name} run along each other at {at}: part them")
    points = _points(crossing)
    for street, line in ((one, other.line), (other, one.line)):
        ends = (Point(street.points[0]), Point(street.points[-1]))
        points += [end for end in ends if line.distance(end) <= TOUCH_M]
    return points


def _points(shape: object) -> list[Point]:
    if isinstance(shape, Point):
        return [] if shape.is_empty else [shape]
    if isinstance(shape, MultiPoint):
        return list(shape.geoms)
    return [part.centroid for part in getattr(shape, "geoms", ()) if not part.is_empty]


def _nodes(
    streets: Sequence[Street], cuts: list[list[float]]
) -> tuple[tuple[XY, ...], list[list[int]]]:
    """Give each cut a node; cuts near to each other share the one that was there first."""
    nodes: list[XY] = []
    numbers: list[list[int]] = []
    for street, own in zip(streets, cuts, strict=True):
        numbered = []
        for at_m in own:
            point = street.line.interpolate(at_m)
            number = _near(nodes, point.x, point.y)
            if number is None:
                number = len(nodes)
                nodes.append((point.x, point.y))
            numbered.append(number)
        numbers.append(numbered)
    return tuple(nodes), numbers


def _near(nodes: list[XY], x: float, y: float) -> int | None:
    distances = [(hypot(nx - x, ny - y), number) for number, (nx, ny) in enumerate(nodes)]
    distance_m, number = min(distances, default=(NODE_APART_M, 0))
    return number if distance_m < NODE_APART_M else None


def _without_repeats(stops: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Drop a stop at the node of the one before it."""
    kept = [stops[0]]
    for stop in stops[1:]:
        if stop[1] != kept[-1][1]:
            kept.append(stop)
    return kept


def _pieces(
    street: Street, stops: Iterable[tuple[float, int]], nodes: tuple[XY, ...]
) -> list[Piece]:
    line = street.line
    ordered = list(stops)
    pieces = []
    for (start_m, start), (end_m, end) in pairwise(ordered):
        inner = _inner_points(line, start_m, end_m)
        pieces.append(
            Piece(
                street=street,
                points=(nodes[start], *inner, nodes[end]),
                start_m=start_m,
                end_m=end_m,
            )
        )
    return pieces


def _inner_points(line: LineString, start_m: float, end_m: float) -> list[XY]:
    """Return the corners of the course strictly between two nodes, those at the nodes left out."""
    inner = []
    for xy in line.coords[1:-1]:
        at_m = line.project(Point(xy))
        if start_m + NODE_APART_M / 2 < at_m < end_m - NODE_APART_M / 2:
            inner.append((float(xy[0]), float(xy[1])))
    return inner


def part(piece: Piece, start_m: float, end_m: float, *, bridge: str | None) -> Piece:
    """Return the part of a piece between two distances along it; a bridge is on layer 1."""
    shape = substring(piece.line, start_m, end_m)
    points = [(float(x), float(y)) for x, y in shape.coords]
    return replace(piece, points=tuple(points), bridge=bridge, layer=0 if bridge is None else 1)
