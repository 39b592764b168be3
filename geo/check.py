"""What is wrong with a roads file, said so that it can be mended.

An ``error`` makes the file unfit: a stretch that nobody can be found for, or a place where the
engine's roads and the true ones differ. A ``warning`` may be true on the ground (an island that
only a ferry reaches, a street that continues beyond the map's rim) and is for a person to judge.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Final, Literal, NamedTuple

import shapely

from xiaohe.geo.components import strong_components, weak_components
from xiaohe.geo.islands import island_edges
from xiaohe.geo.modes import ROAD_CLASSES
from xiaohe.geo.network import Network
from xiaohe.geo.noding import NODING_TOLERANCE_M, Plane
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.roads import MODES, LonLat, Mode, RoadPiece

SCATTERED_M: Final = 1000.0
"""Pieces of one road_id farther apart than this are hardly one person's responsibility."""

STREETS_LAT_DEG: Final = (-60.0, 80.0)
"""No streets lie beyond; a latitude there is a longitude in the wrong place."""

OUTLIER_M: Final = 200_000.0
"""A piece this far from the middle of all the others is not of the same city."""

FULL_CIRCLE_DEG: Final = 360.0
"""No number of degrees is larger, however it is counted."""

Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """One thing wrong: ``code`` for programs, ``text`` for people, and where it is."""

    code: str
    severity: Severity
    road_id: str
    lon: float
    lat: float
    text: str


def check_roads(pieces: Iterable[RoadPiece]) -> list[Problem]:
    """Return what is wrong with the pieces, errors first; an empty list if nothing is.

    Connections are looked at only where the file is noded, for a crossing without a common
    vertex would show once more as an island.
    """
    given = list(pieces)
    problems = [*_without_road_id(given), *impossible_places(given)]
    misplaced = {(problem.lon, problem.lat) for problem in problems if _is_misplaced(problem)}
    placed = [piece for piece in given if _misplaced_point(piece, misplaced) is None]
    problems += _zero_length(placed)
    ways = [piece for piece in placed if len(set(piece.points)) > 1]
    if ways:
        problems += [*_duplicates(ways), *_unknown_classes(ways), *_without_area(ways)]
        plane = Plane(ways)
        problems += _self_crossing(ways, plane)
        unnoded = [*_unnoded(ways, plane)]
        problems += unnoded or [*_near_misses(plane), *_connections(ways)]
        problems += _scattered(ways, plane)
    return sorted(problems)


def errors_in(pieces: Iterable[RoadPiece]) -> list[Problem]:
    """Return the errors alone: quicker than the whole check, and what an import must be free of."""
    given = list(pieces)
    problems = [*_without_road_id(given), *impossible_places(given), *_zero_length(given)]
    ways = [piece for piece in given if len(set(piece.points)) > 1]
    if ways and not any(map(_is_misplaced, problems)):
        problems += [*_duplicates(ways), *_unnoded(ways, Plane(ways))]
    return sorted(problem for problem in problems if problem.severity == "error")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Say whether the file is unfit for use."""
    return any(problem.severity == "error" for problem in problems)


# --- one piece at a time


def _without_road_id(pieces: list[RoadPiece]) -> Iterator[Problem]:
    for index, piece in enumerate(pieces):
        if not piece.road_id.strip():
            text = f"feature {index} has no road_id: nobody could answer for it; give it one"
            yield Problem("missing_road_id", "error", piece.road_id, *piece.points[0], text)


def impossible_places(given: Iterable[RoadPiece]) -> Iterator[Problem]:
    """Yield each piece with a point that is no place, or not one of the others' city."""
    pieces = list(given)
    firsts = [piece.points[0] for piece in pieces if all(map(_is_possible, piece.points))]
    middle = _median(firsts) if firsts else None
    for piece in pieces:
        for point in piece.points:
            if _is_possible(point) and not _is_outlier(point, middle):
                continue
            text = f"{point[0]}, {point[1]} is no place of this map (lon, lat in degrees)"
            swapped = point[::-1]
            if _is_possible(swapped) and not _is_outlier(swapped, middle):
                text += ": lon and lat seem to be swapped; write [lon, lat]"
            elif max(map(abs, point)) > FULL_CIRCLE_DEG:
                text += ": metres of a map projection? Export in WGS-84 degrees (EPSG:4326)"
            yield Problem("impossible_coordinates", "error", piece.road_id, *point, text)
            break


def _is_possible(point: LonLat) -> bool:
    lon, lat = point
    in_range = isfinite(lon) and isfinite(lat) and abs(lon) <= 180  # noqa: PLR2004 - degrees
    return in_range and STREETS_LAT_DEG[0] <= lat <= STREETS_LAT_DEG[1]


def _is_outlier(point: LonLat, middle: LonLat | None) -> bool:
    return middle is not None and ground_distance_m(*point, *middle) > OUTLIER_M


def _median(points: list[LonLat]) -> LonLat:
    half = len(points) // 2
    return sorted(lon for lon, _ in points)[half], sorted(lat for _, lat in points)[half]


def _is_misplaced(problem: Problem) -> bool:
    return problem.code == "impossible_coordinates"


def _misplaced_point(piece: RoadPiece, misplaced: set[LonLat]) -> LonLat | None:
    return next((point for point in piece.points if point in misplaced), None)


def _zero_length(pieces: list[RoadPiece]) -> Iterator[Problem]:
    for piece in pieces:
        if len(set(piece.points)) == 1:
            text = "the piece has no length: all its points are one; delete it"
            yield Problem("zero_length", "error", piece.road_id, *piece.points[0], text)


def _unknown_classes(pieces: list[RoadPiece]) -> Iterator[Problem]:
    known: set[str] = set()
    for piece in pieces:
        if piece.highway not in ROAD_CLASSES and piece.highway not in known:
            known.add(piece.highway)
            text = f"highway={piece.highway} is not known and counts as an ordinary road"
            yield Problem("unknown_highway", "warning", piece.road_id, *piece.points[0], text)


def _without_area(pieces: list[RoadPiece]) -> Iterator[Problem]:
    if all(piece.area_id is None for piece in pieces):
        return
    for piece in pieces:
        if piece.area_id is None:
            text = "the piece has no area_id, though others have: no area would answer for it"
            yield Problem("missing_area_id", "warning", piece.road_id, *piece.points[0], text)


# --- pieces beside each other


def _duplicates(pieces: list[RoadPiece]) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], RoadPiece] = {}
    for piece in pieces:
        key = (min(piece.points, piece.points[::-1]), piece.layer)
        first = seen.setdefault(key, piece)
        if first is piece:
            continue
        if first.road_id == piece.road_id:
            text = "the piece is there twice: delete one"
            yield Problem("duplicate", "warning", piece.road_id, *piece.points[0], text)
        else:
            text = f"the piece is there twice, also as {first.road_id!r}: whose is it? Delete one"
            yield Problem("duplicate", "error", piece.road_id, *piece.points[0], text)


def _unnoded(pieces: list[RoadPiece], plane: Plane) -> Iterator[Problem]:
    for a, b, contact in plane.meetings(plane.touching()):
        common = set(plane.ends(a)) & set(plane.ends(b))
        if contact in common or any(_is_same_place(contact, end) for end in common):
            continue
        if pieces[a].points in {pieces[b].points, pieces[b].points[::-1]}:
            continue  # a duplicate, and told as one
        text = (
            f"meets {pieces[b].road_id!r} here without a common end vertex: run "
            "`xiaohe roads import` on the file, or mark the bridge or layer"
        )
        yield Problem("unnoded_junction", "error", pieces[a].road_id, *contact, text)


def _self_crossing(pieces: list[RoadPiece], plane: Plane) -> Iterator[Problem]:
    """Find pieces that cross or touch themselves: a spiral ramp may, a street hardly does."""
    simple = shapely.is_simple(plane.lines.to_numpy())
    crossing: list[int] = (~simple).nonzero()[0].tolist()
    for piece in (pieces[i] for i in crossing):
        text = (
            "crosses or touches itself: nobody can turn off there; if it is a junction, split the "
            "piece at it"
        )
        yield Problem("self_crossing", "warning", piece.road_id, *piece.points[0], text)


def _is_same_place(a: LonLat, b: LonLat) -> bool:
    return ground_distance_m(*a, *b) <= NODING_TOLERANCE_M


def _near_misses(plane: Plane) -> Iterator[Problem]:
    """Find ends that all but touch another piece, or lie on one of another level."""
    for end, own, other in plane.ends_on():
        text = (
            f"ends within {NODING_TOLERANCE_M:g} m of {plane.ways[other].road_id!r} and does not "
            "meet it: run `xiaohe roads import` on the file"
        )
        yield Problem("near_miss", "warning", plane.ways[own].road_id, *end, text)


def _scattered(pieces: list[RoadPiece], plane: Plane) -> Iterator[Problem]:
    """Find road_ids whose pieces lie in far-apart places."""
    by_road: dict[str, list[int]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        if piece.road_id.strip():
            by_road[piece.road_id].append(i)
    for road_id, members in by_road.items():
        parts = _joined(pieces, members)
        if len(parts) == 1:
            continue
        lines = [shapely.multilinestrings([plane.line(i) for i in part]) for part in parts]
        near = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=SCATTERED_M)
        group_of = weak_components(len(lines), zip(*near.tolist(), strict=True))
        groups = sorted(set(group_of))
        if len(groups) > 1:
            text = (
                f"lies in {len(groups)} places more than {SCATTERED_M:g} m apart: if they are "
                "different roads, give them different road_ids"
            )
            where = pieces[parts[groups[1]][0]].points[0]
            yield Problem("scattered_road", "warning", road_id, *where, text)


def _joined(pieces: list[RoadPiece], members: list[int]) -> list[list[int]]:
    """Group a road's pieces by which are joined end to end: of thousands, few groups are left."""
    first_at: dict[LonLat, int] = {}
    links = [
        (first_at.setdefault(end, i), i)
        for i, member in enumerate(members)
        for end in (pieces[member].points[0], pieces[member].points[-1])
    ]
    groups: dict[int, list[int]] = defaultdict(list)
    for member, group in zip(members, weak_components(len(members), links), strict=True):
        groups[group].append(member)
    return list(groups.values())


# --- the whole as a network


def _connections(pieces: list[RoadPiece]) -> Iterator[Problem]:
    network = Network.build(pieces, "check")
    found: dict[tuple[str, tuple[int, ...]], list[Mode]] = defaultdict(list)
    for mode in MODES:
        for edges in island_edges(network, mode):
            found["island", edges].append(mode)
        for code, edges in _one_way_traps(network, mode):
            found[code, edges].append(mode)
    for (code, edges), modes in found.items():
        metres = sum(network.lengths_m[edge] for edge in edges)
        piece = network.pieces[edges[0]]
        text = (
            f"{_CONNECTION_TEXTS[code]} ({', '.join(modes)}; {len(edges)} pieces, {metres:.0f} m)"
        )
        yield Problem(code, "warning", piece.road_id, *piece.points[0], text)


_CONNECTION_TEXTS: Final = {
    "island": "not connected with the rest of the roads",
    "one_way_trap": "can be entered but not left: look at the one-ways",
    "one_way_source": "can be left but not entered: look at the one-ways",
}


def _one_way_traps(network: Network, mode: Mode) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the edges of each part that one-ways let into but not out of, or the reverse."""
    leaving: list[list[int]] = [[] for _ in range(network.node_count)]
    arcs: list[tuple[int, int, int]] = []
    for head, entering in enumerate(network.graphs[mode].entering):
        for tail, arc, time_s in entering:
            if time_s < float("inf"):
                leaving[tail].append(head)
                arcs.append((tail, head, arc >> 1))
    part_of = strong_components(leaving)
    entered: set[int] = set()
    left: set[int] = set()
    edges: dict[int, set[int]] = defaultdict(set)
    for tail, head, edge in arcs:
        edges[part_of[tail]].add(edge)
        edges[part_of[head]].add(edge)
        if part_of[tail] != part_of[head]:
            left.add(part_of[tail])
            entered.add(part_of[head])
    for part in sorted(entered ^ left):
        yield "one_way_trap" if part in entered else "one_way_source", tuple(sorted(edges[part]))
