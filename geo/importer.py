"""From a file of somebody else's to a roads file: what `xiaohe roads import` and `check` do."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from xiaohe.geo.check import Problem, check_roads
from xiaohe.geo.files import load_pieces, read_bytes
from xiaohe.geo.modes import may_use
from xiaohe.geo.noding import node_roads
from xiaohe.geo.osm import read_osm
from xiaohe.geo.roads import (
    MODES,
    ROAD_ID_CHARACTERS_MAX,
    RoadPiece,
    RoadsFileError,
    read_roads,
)

OSM_SUFFIXES: Final = (".pbf", ".osm", ".xml", ".osm.gz", ".osm.bz2", ".xml.gz", ".xml.bz2")
GEOJSON_SUFFIXES: Final = (".geojson", ".json")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import gave.

    ``read`` counts the ways or features of the source, ``dropped`` those left out by reason,
    ``doubts`` what was not understood and passed over; ``noded`` says that ways had to be split
    where they meet.
    """

    pieces: tuple[RoadPiece, ...]
    source: str
    read: int
    dropped: Mapping[str, int]
    doubts: Mapping[str, int]
    noded: bool


def import_roads(path: str | Path) -> ImportReport:
    """Read roads from OpenStreetMap (pbf, xml) or GeoJSON, so that roads meet at end vertices.

    Ways that cross or touch without a common vertex are noded. A GeoJSON may be raw: lines of
    several parts are taken apart, other shapes are dropped, and a missing ``road_id`` is taken
    from ``name``.
    Write the pieces with ``roads.write_roads``. Raises ``RoadsFileError``.
    """
    name = str(path).lower()
    if name.endswith(OSM_SUFFIXES):
        found = read_osm(path)
        pieces, noded = _noded(found.pieces)
        once = _without_doubles(pieces)
        dropped = dict(found.dropped)
        if len(once) < len(pieces):
            dropped["drawn twice (pieces)"] = len(pieces) - len(once)
        return ImportReport(once, "osm", found.ways, MappingProxyType(dropped), found.doubts, noded)
    if name.endswith(GEOJSON_SUFFIXES):
        return _import_geojson(path)
    known = ", ".join(OSM_SUFFIXES + GEOJSON_SUFFIXES)
    raise RoadsFileError([f"{path}: unknown kind of file: give one that ends in {known}"])


def check_roads_file(path: str | Path) -> list[Problem]:
    """Return what is wrong with a roads file; raises ``RoadsFileError`` if it cannot be read."""
    pieces, _ = load_pieces(path)
    return check_roads(pieces)


def _import_geojson(path: str | Path) -> ImportReport:
    raw = read_bytes(path)
    dropped: Counter[str] = Counter()
    try:
        document = orjson.loads(raw)
        features = document.get("features") if isinstance(document, dict) else None
        if isinstance(features, list):
            lines = [line for feature in features for line in _lines(feature, dropped)]
            raw = orjson.dumps({"type": "FeatureCollection", "features": lines})
        given = read_roads(raw)
    except orjson.JSONDecodeError as error:
        raise RoadsFileError([f"{path}: not JSON ({error}): save it in UTF-8"]) from None
    except RoadsFileError as error:
        raise RoadsFileError(f"{path}: {problem}" for problem in error.problems) from None
    pieces, noded = _noded(given)
    read = len(features) if isinstance(features, list) else 0
    return ImportReport(
        pieces, "geojson", read, MappingProxyType(dict(dropped)), MappingProxyType({}), noded
    )


def _noded(given: tuple[RoadPiece, ...]) -> tuple[tuple[RoadPiece, ...], bool]:
    pieces = node_roads(given)
    return pieces, {piece.points for piece in pieces} != {piece.points for piece in given}


def _without_doubles(pieces: tuple[RoadPiece, ...]) -> tuple[RoadPiece, ...]:
    """Keep one of each two pieces with the same course: the one that most modes may use.

    In OpenStreetMap a signed trail is sometimes drawn on top of the street that it follows.
    """
    best: dict[tuple[object, ...], RoadPiece] = {}
    for piece in pieces:
        key = (min(piece.points, piece.points[::-1]), piece.layer)
        first = best.setdefault(key, piece)
        if _use(piece) > _use(first):
            best[key] = piece
    return tuple(best.values())


def _use(piece: RoadPiece) -> tuple[int, bool]:
    return sum(may_use(piece, mode) for mode in MODES), piece.name is not None


def _lines(feature: Any, dropped: Counter[str]) -> list[Any]:  # noqa: ANN401 - JSON, not yet read
    """Return a feature as LineString features with a road_id; what cannot be read is left as is."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict):
        return [feature]
    kind = geometry.get("type")
    if kind not in ("LineString", "MultiLineString"):
        dropped[f"geometry {kind}"] += 1
        return []
    properties = feature.get("properties")
    if isinstance(properties, dict) and not properties.get("road_id"):
        name = properties.get("name")
        if isinstance(name, str) and name.strip():
            properties = {**properties, "road_id": name.strip()[:ROAD_ID_CHARACTERS_MAX]}
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list):
        return [feature]
    parts = [coordinates] if kind == "LineString" else coordinates
    return [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": "LineString", "coordinates": part},
        }
        for part in parts
    ]
