"""Reads a road graph in node-link form into road pieces: NetworkX's JSON, as OSMnx graphs come in.

Nodes have ``id``, ``x``, ``y`` in WGS-84 degrees; links have ``source`` and ``target`` and lead one
way where the graph is directed. Two links that lead to and fro on one course become one two-way
piece. A link's ``travel_time`` (s) is kept: the piece's speed is its drawn length over that time;
else ``speed_kph`` or the tag ``maxspeed`` holds. Other OpenStreetMap tags are read as those of a
way; of a list of values the first counts, of speeds the lowest.

The graph itself says where roads meet: at nodes. Links that cross on the drawing without one, as
over- and underpasses do and as courses drawn straight may, are put on layers of their own.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, pairwise
from math import isfinite
from typing import Any, Final, NamedTuple

import orjson
import shapely

from xiaohe.geo.modes import KMH_PER_MPS, ROAD_CLASSES
from xiaohe.geo.noding import NODING_TOLERANCE_M, Plane
from xiaohe.geo.osm_tags import road_of
from xiaohe.geo.projection import ground_distance_m
from xiaohe.geo.reference import UnknownReferenceError, datum_of_crs
from xiaohe.geo.roads import (
    COORDINATE_DECIMALS,
    HIGHWAY_DEFAULT,
    MAXSPEED_KMH_MAX,
    ROAD_ID_CHARACTERS_MAX,
    LonLat,
    RoadPiece,
    RoadsFileError,
)
from xiaohe.geo.tally import Tally

LINK_KEYS: Final = ("links", "edges")
"""The list of links: its name in NetworkX before 3.6, and since."""

LON_MAX_DEG: Final = 180.0
LAT_MAX_DEG: Final = 90.0

SPEED_KEYS: Final = ("speed_kph", "speed_kmph")

DIFFERENT_KMH: Final = 1.0
"""Speeds of two directions that differ by more are told; less is rounding in ``travel_time``."""

_TAG_KEYS: Final = (
    "highway", "name", "access", "bridge", "tunnel", "layer", "level", "maxspeed", "area",
    "motorroad", "foot", "bicycle", "vehicle", "motor_vehicle", "motorcar",
)  # fmt: skip
"""Tags that are read. Directions are not among them: the links themselves say those."""


class _BadLinkError(Exception):
    """One node or link cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A link as it leads: from its first point to its last, both ways if ``both``."""

    road: RoadPiece
    both: bool

    @property
    def course(self) -> tuple[LonLat, ...]:
        """Return its points in the same order whichever way it leads."""
        return min(self.road.points, self.road.points[::-1])


class Graph(NamedTuple):
    """What a graph gave: its pieces, and how many links were read."""

    pieces: tuple[RoadPiece, ...]
    links: int


def is_node_link(document: object) -> bool:
    """Say whether a JSON document is a graph in node-link form."""
    return isinstance(document, dict) and "nodes" in document and _links_of(document) is not None


def read_node_link(document: Mapping[str, Any], tally: Tally) -> Graph:
    """Read a graph; raises ``RoadsFileError`` with one line for each node or link that is bad."""
    _refuse_other_systems(document.get("graph"))
    problems: list[str] = []
    nodes = _nodes(document["nodes"], problems)
    found = _links_of(document)
    if not isinstance(found, list) or not found:
        raise RoadsFileError(["no links: the graph needs at least one"])
    both = document.get("directed") is False
    links: list[_Link] = []
    for number, link in enumerate(found):
        try:
            road = _road(link, nodes, tally)
        except _BadLinkError as error:
            problems.append(f"link {number}: {error}")
        else:
            if road is not None:
                links.append(_Link(road, both))
    if problems:
        raise RoadsFileError(problems)
    return Graph(tuple(_apart(list(_paired(links, tally)), tally)), len(found))


def _links_of(document: Mapping[str, Any]) -> object:
    return next((document[key] for key in LINK_KEYS if key in document), None)


def _refuse_other_systems(about: object) -> None:
    """Refuse a graph that says it is not in WGS-84, such as one projected to metres."""
    try:
        if isinstance(about, list):  # as an older NetworkX wrote it: pairs
            about = dict(about)
        crs = about.get("crs") if isinstance(about, dict) else None
        datum = "wgs84" if crs is None else datum_of_crs(str(crs))
    except UnknownReferenceError as error:
        raise RoadsFileError([str(error)]) from None
    except (TypeError, ValueError):
        return
    if datum != "wgs84":
        raise RoadsFileError([f"the graph is in datum {datum}: give one in WGS-84 (EPSG:4326)"])


def _nodes(listed: object, problems: list[str]) -> dict[Hashable, LonLat]:
    if not isinstance(listed, list):
        raise RoadsFileError(["nodes must be a list of objects with id, x and y"])
    nodes: dict[Hashable, LonLat] = {}
    for number, node in enumerate(listed):
        if not isinstance(node, dict) or "id" not in node:
            problems.append(f"node {number}: no object with an id: give it one")
            continue
        key = _key(node["id"])
        lon, lat = _number(node.get("x")), _number(node.get("y"))
        if key in nodes:
            problems.append(f"node {number}: id {node['id']!r} is there twice: delete one")
        elif lon is None or lat is None or not _is_on_earth(lon, lat):
            problems.append(
                f"node {number}: x {node.get('x')!r}, y {node.get('y')!r} are no degrees: "
                "give x and y as longitude and latitude in WGS-84"
            )
        else:
            nodes[key] = _rounded((lon, lat))
    return nodes


def _key(node_id: object) -> Hashable:
    """Return a node's id as a key: a pair, which JSON has as a list, is one too."""
    return node_id if isinstance(node_id, (str, int)) else orjson.dumps(node_id)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return float(value)


def _is_on_earth(lon: float, lat: float) -> bool:
    return abs(lon) <= LON_MAX_DEG and abs(lat) <= LAT_MAX_DEG


def _rounded(point: LonLat) -> LonLat:
    return round(point[0], COORDINATE_DECIMALS), round(point[1], COORDINATE_DECIMALS)


# --- one link


def _road(link: object, nodes: Mapping[Hashable, LonLat], tally: Tally) -> RoadPiece | None:
    """Return a link as a piece drawn the way it leads, None if it is left out."""
    if not isinstance(link, dict):
        raise _BadLinkError("not an object: give it a source and a target")
    ends = [nodes.get(_key(link.get(key))) for key in ("source", "target")]
    if ends[0] is None or ends[1] is None:
        raise _BadLinkError(
            f"source {link.get('source')!r} or target {link.get('target')!r} is no node of the "
            "graph: add the node or delete the link"
        )
    name = _link_name(link)
    points = _points(link.get("geometry"), ends[0], ends[1])
    if len(set(points)) == 1:
        tally.drop("no length: from a node to itself", name)
        return None
    tags = {key: text for key in _TAG_KEYS if (text := _text(key, link.get(key)))}
    road = road_of({"highway": HIGHWAY_DEFAULT, **tags}, "", tally.doubts)
    if isinstance(road, str):
        tally.drop(road, name)
        return None
    speed = _speed_kmh(link, points, tally)
    return replace(
        road,
        points=points,
        road_id=road.name or name,
        oneway="no",
        oneway_bicycle=None,
        maxspeed_kmh=road.maxspeed_kmh if speed is None else speed,
    )


def _link_name(link: Mapping[str, Any]) -> str:
    """Return what a link without a street's name is called: by its way in OpenStreetMap."""
    ways = link.get("osmid")
    numbers = [way for way in (ways if isinstance(ways, list) else [ways]) if type(way) is int]
    if numbers:
        return f"way/{min(numbers)}"
    return f"link/{link.get('source')}-{link.get('target')}"[:ROAD_ID_CHARACTERS_MAX]


def _text(key: str, value: object) -> str | None:
    """Return a tag's value as text: of a list the one that counts."""
    values = [str(each) for each in (value if isinstance(value, list) else [value]) if _says(each)]
    if key == "maxspeed":
        return ";".join(values) or None
    if key == "highway":
        values = [each for each in values if each in ROAD_CLASSES] or values
    return values[0] if values else None


def _says(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _speed_kmh(link: Mapping[str, Any], points: tuple[LonLat, ...], tally: Tally) -> float | None:
    """Return the speed that makes the link's stated time of its drawn length, in km/h."""
    time_s = _number(link.get("travel_time"))
    if time_s is not None and time_s > 0:
        length_m = sum(ground_distance_m(*a, *b) for a, b in pairwise(points))
        kmh = length_m / time_s * KMH_PER_MPS
    else:
        stated = (_number(link.get(key)) for key in SPEED_KEYS)
        found = next((speed for speed in stated if speed is not None), None)
        if found is None:
            return None
        kmh = found
    if 0 < round(kmh, 1) <= MAXSPEED_KMH_MAX:
        return round(kmh, 1)
    tally.doubts[f"speed of a link not between 0 and {MAXSPEED_KMH_MAX:g} km/h"] += 1
    return None


def _points(geometry: object, start: LonLat, end: LonLat) -> tuple[LonLat, ...]:
    """Return the course from node to node, straight where none is given."""
    if geometry is None:
        return start, end
    course = _course(geometry)
    if ground_distance_m(*course[0], *end) < ground_distance_m(*course[0], *start):
        course.reverse()
    if ground_distance_m(*course[0], *start) <= NODING_TOLERANCE_M:
        del course[0]
    if course and ground_distance_m(*course[-1], *end) <= NODING_TOLERANCE_M:
        del course[-1]
    points = [start, *course, end]
    return tuple(b for a, b in zip([None, *points], points, strict=False) if a != b) or (start, end)


def _course(geometry: object) -> list[LonLat]:
    """Read a course: GeoJSON, well-known text, or a bare list of points."""
    if isinstance(geometry, str):
        try:
            line = shapely.from_wkt(geometry)
        except shapely.errors.ShapelyError:
            raise _BadLinkError(f"geometry {geometry[:40]!r} is no well-known text") from None
        listed: object = shapely.get_coordinates(line).tolist()
    else:
        listed = geometry.get("coordinates") if isinstance(geometry, dict) else geometry
    if not isinstance(listed, list) or not listed:
        raise _BadLinkError("geometry is no line: give GeoJSON or well-known text, or leave it out")
    return [_rounded(_point(pair)) for pair in listed]


def _point(pair: object) -> LonLat:
    if isinstance(pair, list) and len(pair) > 1:
        lon, lat = _number(pair[0]), _number(pair[1])
        if lon is not None and lat is not None and _is_on_earth(lon, lat):
            return lon, lat
    raise _BadLinkError(f"geometry has {pair!r}: give points as [lon, lat] in WGS-84 degrees")


# --- links beside each other


def _paired(links: Iterable[_Link], tally: Tally) -> Iterator[RoadPiece]:
    """Make one piece of the links on one course, to and fro."""
    by_course: dict[tuple[LonLat, ...], list[_Link]] = defaultdict(list)
    for link in links:
        by_course[link.course].append(link)
    for group in by_course.values():
        quickest = sorted(group, key=lambda link: -(link.road.maxspeed_kmh or 0.0))
        ways = {way: each for each in reversed(quickest) for way in _ways(each)}
        for each in group:
            if all(each is not kept for kept in ways.values()):
                tally.drop("drawn twice: the quickest is kept (links)", each.road.road_id)
        speeds = [each.road.maxspeed_kmh for each in ways.values()]
        stated = [speed for speed in speeds if speed is not None]
        if stated and max(stated) - min(stated) > DIFFERENT_KMH:
            tally.doubts["two directions at different speeds: the lower is kept"] += 1
        yield replace(
            group[0].road,
            oneway="no" if len(ways) > 1 else "yes",
            maxspeed_kmh=min(stated, default=None),
        )


def _ways(link: _Link) -> tuple[bool, ...]:
    """Return the directions of its course that a link leads: with it (True), against it."""
    along = link.road.points == link.course
    return (True, False) if link.both else (along,)


def _apart(pieces: list[RoadPiece], tally: Tally) -> Iterator[RoadPiece]:
    """Put pieces that touch elsewhere than at a common end on layers of their own."""
    if not pieces:
        raise RoadsFileError(["no road among the links: is it the right graph?"])
    plane = Plane(pieces)
    crossing: dict[int, set[int]] = defaultdict(set)
    for a, b, at in plane.meetings(plane.touching(on_any_level=True)):
        common = set(plane.ends(a)) & set(plane.ends(b))
        if not any(ground_distance_m(*at, *end) <= NODING_TOLERANCE_M for end in common):
            crossing[a].add(b)
            crossing[b].add(a)
    layers = [piece.layer for piece in pieces]
    for i in sorted(crossing):
        others = {other for other in crossing[i] if not pieces[other].bridge}
        if not pieces[i].bridge and any(layers[i] == layers[k] for k in others if k < i):
            taken = {layers[other] for other in others}
            layers[i] = next(layer for layer in count(layers[i]) if layer not in taken)
    moved = sum(piece.layer != layer for piece, layer in zip(pieces, layers, strict=True))
    if moved:
        tally.doubts["crosses another without a node: put on a layer of its own (pieces)"] += moved
    for piece, layer in zip(pieces, layers, strict=True):
        yield replace(piece, layer=layer)
