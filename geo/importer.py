"""From a file of somebody else's to a roads file: what `xiaohe roads import` and `check` do."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from xiaohe.geo.address_points import AddressPoint, addresses_in
from xiaohe.geo.check import Problem, check_roads, errors_in, impossible_places
from xiaohe.geo.datum import Datum
from xiaohe.geo.files import read_bytes
from xiaohe.geo.islands import Island, islands
from xiaohe.geo.modes import may_use
from xiaohe.geo.node_link import is_node_link, read_node_link
from xiaohe.geo.noding import node_roads
from xiaohe.geo.osm import read_osm
from xiaohe.geo.progress import Watch, unwatched
from xiaohe.geo.roads import (
    COORDINATE_DECIMALS,
    MODES,
    ROAD_ID_CHARACTERS_MAX,
    LonLat,
    Read,
    RoadPiece,
    RoadsFileError,
    datum_of,
    features_of,
    parsed,
    read_features,
)
from xiaohe.geo.tally import Tally

OSM_SUFFIXES: Final = (".pbf", ".osm", ".xml", ".osm.gz", ".osm.bz2", ".xml.gz", ".xml.bz2")
JSON_SUFFIXES: Final = (".geojson", ".json", ".geojson.gz", ".json.gz")

_IMPORT_FIRST: Final = "not a roads file yet: run `xiaohe roads import` on it, and check the result"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import gave.

    ``source`` is ``osm``, ``geojson`` or ``node-link``; ``read`` counts its ways, features or
    links. ``dropped`` counts those left out by reason and ``examples`` names some of each;
    ``doubts`` counts what was not understood, or not followed, and passed over. ``noded`` says
    that ways had to be split where they meet, ``junctions`` at how many places. ``turned``
    counts the features that were in another datum than WGS-84, by datum. ``islands`` are the
    parts that nothing joins to the rest, the longest first; ``errors`` is what the check finds
    in the result that only a person can mend, such as a road without a road_id. ``addresses``
    are the house numbers that the file has.
    """

    pieces: tuple[RoadPiece, ...]
    source: str
    read: int
    dropped: Mapping[str, int]
    doubts: Mapping[str, int]
    examples: Mapping[str, list[str]]
    noded: bool
    junctions: int
    turned: Mapping[Datum, int]
    islands: tuple[Island, ...]
    errors: tuple[Problem, ...]
    addresses: tuple[AddressPoint, ...] = ()


def import_roads(path: str | Path, watch: Watch = unwatched) -> ImportReport:
    """Read roads from OpenStreetMap, GeoJSON or a node-link graph, so that they meet at ends.

    Of OpenStreetMap and GeoJSON, ways that cross or touch without a common vertex are noded; a
    graph says itself where its links meet. A GeoJSON may be raw: lines of several parts are
    taken apart, other shapes are dropped, a missing ``road_id`` is taken from ``name``, and
    what it declares to be in GCJ-02 or BD-09 is turned into WGS-84.
    Write pieces and addresses with ``roads.write_roads``. ``watch`` is told how far it is. Raises
    ``RoadsFileError``.
    """
    name = str(path).lower()
    if name.endswith(OSM_SUFFIXES):
        found = read_osm(path, watch)
        report = _report("osm", found.ways, found.pieces, found.tally, watch)
        return replace(report, addresses=found.addresses)
    if not name.endswith(JSON_SUFFIXES):
        known = ", ".join(OSM_SUFFIXES + JSON_SUFFIXES)
        raise RoadsFileError([f"{path}: unknown kind of file: give one that ends in {known}"])
    watch("reading", 0, None)
    raw = read_bytes(path)
    try:
        return _import_json(parsed(raw), watch)
    except RoadsFileError as error:
        raise RoadsFileError(f"{path}: {problem}" for problem in error.problems) from None


def check_roads_file(path: str | Path) -> list[Problem]:
    """Return what is wrong with a roads file; raises ``RoadsFileError`` if it cannot be read."""
    if str(path).lower().endswith(OSM_SUFFIXES):
        raise RoadsFileError([f"{path}: {_IMPORT_FIRST}"])
    raw = read_bytes(path)
    try:
        pieces, turned = _read_to_check(parsed(raw))
    except RoadsFileError as error:
        raise RoadsFileError(f"{path}: {problem}" for problem in error.problems) from None
    first = pieces[0]
    wrong = [
        Problem(
            "wrong_datum",
            "error",
            first.road_id,
            *first.points[0],
            f"{count} features are in datum {datum}: run `xiaohe roads import` on the file, which "
            "turns them into WGS-84",
        )
        for datum, count in turned.items()
    ]
    return [*wrong, *check_roads(pieces)]


def _read_to_check(document: object) -> Read:
    if is_node_link(document):
        raise RoadsFileError([_IMPORT_FIRST])
    return read_features(enumerate(features_of(document)), datum_of(document))


def _import_json(document: object, watch: Watch) -> ImportReport:
    tally = Tally()
    if is_node_link(document):
        assert isinstance(document, dict)
        graph = read_node_link(document, tally)
        return _report("node-link", graph.links, graph.pieces, tally, watch)
    if isinstance(document, dict) and isinstance(document.get("elements"), list):
        raise RoadsFileError(["this is Overpass JSON: fetch the same as XML, with [out:xml]"])
    features = features_of(document)
    lines = ((i, line) for i, each in enumerate(features) for line in _lines(i, each, tally))
    given, turned = read_features(lines, datum_of(document))
    misplaced = list(impossible_places(given))
    if misplaced:
        raise RoadsFileError(f"road_id {each.road_id!r}: {each.text}" for each in misplaced)
    pieces = tuple(_once(given, tally))
    report = _report("geojson", len(features), pieces, tally, watch, turned)
    return replace(report, addresses=addresses_in(document, datum_of(document)))


def _report(
    source: str,
    read: int,
    given: tuple[RoadPiece, ...],
    tally: Tally,
    watch: Watch,
    turned: Mapping[Datum, int] | None = None,
) -> ImportReport:
    """Node the pieces, unless a graph says itself where they meet, and look for islands."""
    pieces = given if source == "node-link" else node_roads(given, watch)
    # As a roads file has them: digits that are lost by rounding are no junctions.
    drawn = {_rounded(piece.points) for piece in given}
    made = {_rounded(piece.points) for piece in pieces}
    noded = made != drawn
    junctions = len(_ends(made) - _ends(drawn)) if noded else 0
    if source == "osm":
        pieces = _without_doubles(pieces, tally)
    if not pieces:
        left_out = "; ".join(f"{count} × {reason}" for reason, count in tally.dropped.items())
        text = "no road with any length: the file needs at least one line"
        raise RoadsFileError([text + (f" (left out: {left_out})" if left_out else "")])
    watch("checking", 0, None)
    return ImportReport(
        pieces=pieces,
        source=source,
        read=read,
        dropped=dict(tally.dropped),
        doubts=dict(tally.doubts),
        examples=dict(tally.examples),
        noded=noded,
        junctions=junctions,
        turned=dict(turned or {}),
        islands=tuple(islands(pieces)),
        errors=tuple(errors_in(pieces)),
    )


def _ends(lines: Iterable[tuple[LonLat, ...]]) -> set[LonLat]:
    return {end for line in lines for end in (line[0], line[-1])}


def _rounded(points: Iterable[LonLat]) -> tuple[LonLat, ...]:
    return tuple(
        (round(lon, COORDINATE_DECIMALS), round(lat, COORDINATE_DECIMALS)) for lon, lat in points
    )


def _without_doubles(pieces: tuple[RoadPiece, ...], tally: Tally) -> tuple[RoadPiece, ...]:
    """Keep one of each two pieces with the same course: the one that most modes may use.

    In OpenStreetMap a signed trail is sometimes drawn on top of the street that it follows.
    """
    best: dict[tuple[object, ...], RoadPiece] = {}
    for piece in pieces:
        key = (min(piece.points, piece.points[::-1]), piece.layer)
        first = best.setdefault(key, piece)
        if first is piece:
            continue
        if _use(piece) > _use(first):
            best[key] = piece
        tally.drop("drawn twice (pieces)", (first if best[key] is piece else piece).road_id)
    return tuple(best.values())


def _use(piece: RoadPiece) -> tuple[int, bool]:
    return sum(may_use(piece, mode) for mode in MODES), piece.name is not None


# --- GeoJSON


def _lines(index: int, feature: Any, tally: Tally) -> list[Any]:  # noqa: ANN401 - JSON, not yet read
    """Return a feature as LineString features with a road_id; what cannot be read is left as is."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict):
        return [feature]
    kind = geometry.get("type")
    if kind not in ("LineString", "MultiLineString"):
        tally.drop(f"geometry {str(kind)[:40]}", f"feature {index}")
        return []
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list):
        return [feature]
    parts = [coordinates] if kind == "LineString" else coordinates
    if not parts:
        tally.drop("no line in it", f"feature {index}")
    properties = _with_road_id(feature.get("properties"))
    return [
        {
            **feature,
            "properties": properties,
            "geometry": {"type": "LineString", "coordinates": part},
        }
        for part in parts
    ]


def _with_road_id(properties: Any) -> Any:  # noqa: ANN401 - JSON, not yet read
    """Return a feature's properties with its name for a road_id, where it has none."""
    if not isinstance(properties, dict) or properties.get("road_id"):
        return properties
    name = properties.get("name")
    if not isinstance(name, str) or not name.strip():
        return properties
    return {**properties, "road_id": name.strip()[:ROAD_ID_CHARACTERS_MAX]}


def _once(pieces: Iterable[RoadPiece], tally: Tally) -> Iterator[RoadPiece]:
    """Leave out what has no length or is there twice; two one-ways to and fro become one piece.

    Only what is alike in all else is taken together: of two that differ somebody must say which
    holds, and the check tells them.
    """
    kept: dict[RoadPiece, RoadPiece] = {}
    first: dict[RoadPiece, RoadPiece] = {}
    for piece in pieces:
        points = _rounded(piece.points)
        if len(set(points)) == 1:
            tally.drop("no length", piece.road_id)
            continue
        drawn = _drawn_forward(replace(piece, points=points))
        alike = replace(drawn, points=min(points, points[::-1]))
        if alike not in kept:
            kept[alike], first[alike] = piece, drawn
        elif kept[alike].oneway != "no" and first[alike].points != drawn.points:
            kept[alike] = replace(first[alike], oneway="no")
        else:
            tally.drop("there twice", piece.road_id)
    yield from kept.values()


def _drawn_forward(piece: RoadPiece) -> RoadPiece:
    """Draw a street that leads against its drawing the other way round."""
    if piece.oneway == "-1" and piece.oneway_bicycle is None:
        return replace(piece, points=piece.points[::-1], oneway="yes")
    return piece
