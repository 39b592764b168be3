"""The roads file: GeoJSON in and out, one feature a piece of road.

The form is the wire contract's ("Roads file"). Two properties are this engine's own additions,
both optional: ``oneway_bicycle`` (as ``oneway``, for e-bikes alone) and ``modes`` (the list of
travel modes that may use the piece, where that is not what its class says).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal, NamedTuple, cast

import orjson

from xiaohe.geo.datum import Datum, to_wgs84
from xiaohe.geo.reference import UnknownReferenceError, declared_datum

Mode = Literal["walk", "ebike", "car"]
"""How a member travels; the roster's ``travel_mode``."""

MODES: Final[tuple[Mode, ...]] = ("walk", "ebike", "car")

Oneway = Literal["yes", "-1", "no"]
"""May only be travelled as drawn, only against it, or both ways."""

LonLat = tuple[float, float]

COORDINATE_DECIMALS = 7
"""Decimals of a degree that the file keeps, about 1 cm: what OpenStreetMap keeps."""

ROAD_ID_CHARACTERS_MAX = 128
"""Length of a road_id, from the contract."""

MAXSPEED_KMH_MAX = 200.0
"""A speed limit above this is a slip of the pen or another unit."""

LAYER_MAX = 200
"""Layers above or below the ground: more than the floors of any building."""

PROBLEMS_MAX = 50
"""Problems that one error lists: enough to mend a file by, and still readable."""

HIGHWAY_DEFAULT = "unclassified"
"""The class of a piece that states none: an ordinary public road."""


class RoadsFileError(ValueError):
    """A roads file that cannot be read; ``problems`` has one line for each thing wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the lines and make the message of them."""
        self.problems: tuple[str, ...] = tuple(problems)
        shown = self.problems[:PROBLEMS_MAX]
        more = len(self.problems) - len(shown)
        super().__init__("\n".join(shown) + (f"\n… and {more} more" if more else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadPiece:
    """One piece of road as the file has it; ``points`` are (lon, lat) in WGS-84 degrees."""

    road_id: str
    points: tuple[LonLat, ...]
    name: str | None = None
    highway: str = HIGHWAY_DEFAULT
    oneway: Oneway = "no"
    maxspeed_kmh: float | None = None
    area_id: str | None = None
    community: str | None = None
    beat: str | None = None
    bridge: bool = False
    layer: int = 0
    access: str | None = None
    oneway_bicycle: Oneway | None = None
    modes: tuple[Mode, ...] | None = None


class _BadFeatureError(Exception):
    """One feature cannot be read; the message says what to do."""


class Read(NamedTuple):
    """What was read: the pieces, in WGS-84, and how many had to be turned into it, by datum."""

    pieces: tuple[RoadPiece, ...]
    turned: Mapping[Datum, int]


def read_roads(raw: bytes) -> tuple[RoadPiece, ...]:
    """Read a roads file.

    Raises ``RoadsFileError`` with one line for each feature that cannot be read: its index, its
    road_id where it has one, and what to do. What can be read but makes no sense on the ground
    is ``check.check_roads``'s matter. A file in another datum than WGS-84 is refused.
    """
    document = parsed(raw)
    pieces, turned = read_features(enumerate(features_of(document)), datum_of(document))
    if turned:
        raise RoadsFileError(
            f"{count} features are in datum {datum}: run `xiaohe roads import` on the file, "
            "which turns them into WGS-84"
            for datum, count in turned.items()
        )
    return pieces


def parsed(raw: bytes) -> object:
    """Read JSON; raises ``RoadsFileError``."""
    if not raw.strip():
        raise RoadsFileError(["the file is empty: export or fetch it again"])
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        text = f"not JSON ({error}): save it whole, as GeoJSON in UTF-8, with no NaN in it"
        raise RoadsFileError([text]) from None


def features_of(document: object) -> list[object]:
    """Return a GeoJSON FeatureCollection's features; raises ``RoadsFileError``."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise RoadsFileError(["not a GeoJSON FeatureCollection: export the roads as one"])
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise RoadsFileError(["no features: the collection needs at least one LineString"])
    return features


def datum_of(document: object) -> Datum:
    """Return the datum that a collection declares; raises ``RoadsFileError``."""
    assert isinstance(document, dict)
    try:
        return declared_datum(document)
    except UnknownReferenceError as error:
        raise RoadsFileError([str(error)]) from None


def read_features(features: Iterable[tuple[int, object]], otherwise: Datum) -> Read:
    """Read (index, feature) pairs, each in the datum it declares, else in ``otherwise``.

    Raises ``RoadsFileError`` with a line for each that cannot be read.
    """
    pieces: list[RoadPiece] = []
    turned: Counter[Datum] = Counter()
    problems: list[str] = []
    for index, feature in features:
        try:
            datum = _datum(feature, otherwise)
            pieces.append(_piece(feature, datum))
        except _BadFeatureError as error:
            problems.append(f"{_where(index, feature)}: {error}")
        else:
            if datum != "wgs84":
                turned[datum] += 1
    if problems:
        raise RoadsFileError(problems)
    return Read(tuple(pieces), turned)


def write_roads(
    pieces: Iterable[RoadPiece], addresses: Iterable[Mapping[str, object]] = ()
) -> bytes:
    """Write a roads file: the same pieces give the same bytes, whatever order they come in.

    ``addresses`` are house numbers as ``address_points.stated_addresses`` gives them.
    """
    ordered = sorted(pieces, key=_order)
    lines = [orjson.dumps(_feature(piece)) for piece in ordered]
    houses = [orjson.dumps(house) for house in addresses]
    beside = b',"addresses":[\n' + b",\n".join(houses) + b"\n]" if houses else b""
    features = b",\n".join(lines)
    return b'{"type":"FeatureCollection","features":[\n' + features + b"\n]" + beside + b"}\n"


def _order(piece: RoadPiece) -> tuple[object, ...]:
    return (piece.road_id, piece.points, orjson.dumps(_properties(piece)))


def _feature(piece: RoadPiece) -> dict[str, object]:
    coordinates = [
        [round(lon, COORDINATE_DECIMALS), round(lat, COORDINATE_DECIMALS)]
        for lon, lat in piece.points
    ]
    return {
        "type": "Feature",
        "properties": _properties(piece),
        "geometry": {"type": "LineString", "coordinates": coordinates},
    }


def _properties(piece: RoadPiece) -> dict[str, object]:
    """Return the piece's properties, those at their default left out."""
    stated: dict[str, object] = {
        "name": piece.name,
        "oneway": None if piece.oneway == "no" else piece.oneway,
        "oneway_bicycle": piece.oneway_bicycle,
        "maxspeed_kmh": piece.maxspeed_kmh,
        "area_id": piece.area_id,
        "community": piece.community,
        "beat": piece.beat,
        "bridge": piece.bridge or None,
        "layer": piece.layer or None,
        "access": piece.access,
        "modes": None if piece.modes is None else list(piece.modes),
    }
    kept = {key: value for key, value in stated.items() if value is not None}
    return {"road_id": piece.road_id, "highway": piece.highway, **kept}


def _where(index: int, feature: object) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    road_id = properties.get("road_id") if isinstance(properties, dict) else None
    return f"feature {index}" + (f" (road_id {road_id!r})" if road_id is not None else "")


def _datum(feature: object, otherwise: Datum) -> Datum:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(feature, dict):
        return otherwise
    try:
        own = declared_datum(feature, otherwise)
        return declared_datum(properties, own) if isinstance(properties, dict) else own
    except UnknownReferenceError as error:
        raise _BadFeatureError(str(error)) from None


def _piece(feature: object, datum: Datum) -> RoadPiece:
    """Read one feature; raises ``_BadFeatureError`` that says what to do."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise _BadFeatureError("not a GeoJSON Feature: leave only features in the list")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise _BadFeatureError("properties must be an object")
    return RoadPiece(
        road_id=_road_id(properties),
        points=_points(feature.get("geometry"), datum),
        name=_text(properties, "name"),
        highway=_text(properties, "highway") or HIGHWAY_DEFAULT,
        oneway=_oneway(properties, "oneway") or "no",
        maxspeed_kmh=_maxspeed(properties),
        area_id=_text(properties, "area_id"),
        community=_text(properties, "community"),
        beat=_text(properties, "beat"),
        bridge=_flag(properties, "bridge"),
        layer=_layer(properties),
        access=_text(properties, "access"),
        oneway_bicycle=_oneway(properties, "oneway_bicycle"),
        modes=_modes(properties),
    )


def _road_id(properties: Mapping[str, Any]) -> str:
    """Read the road_id; a missing one is left empty for ``check_roads`` to name with the rest."""
    value = properties.get("road_id")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _BadFeatureError(f"road_id must be text, not {value!r}: put it in quotes")
    if len(value) > ROAD_ID_CHARACTERS_MAX:
        raise _BadFeatureError(
            f"road_id is longer than {ROAD_ID_CHARACTERS_MAX} characters: shorten it"
        )
    return value


def _points(geometry: object, datum: Datum) -> tuple[LonLat, ...]:
    if not isinstance(geometry, dict) or geometry.get("type") != "LineString":
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        raise _BadFeatureError(f"geometry is {kind or 'missing'}: make it one LineString a feature")
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list) or len(coordinates) < 2:  # noqa: PLR2004 - a line has two ends
        raise _BadFeatureError("a LineString needs at least two points")
    points = tuple(_point(pair) for pair in coordinates)
    return points if datum == "wgs84" else tuple(to_wgs84(*point, datum) for point in points)


def _point(pair: object) -> LonLat:
    if not isinstance(pair, list) or len(pair) not in {2, 3}:
        raise _BadFeatureError(f"{pair!r} is no point: write [lon, lat]")
    lon, lat = pair[0], pair[1]
    if not (_is_number(lon) and _is_number(lat)):
        raise _BadFeatureError(f"{pair!r} is no point: lon and lat must be numbers")
    return float(lon), float(lat)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _text(properties: Mapping[str, Any], key: str) -> str | None:
    value = properties.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _BadFeatureError(f"{key} must be text, not {value!r}: put it in quotes")
    return value


def _oneway(properties: Mapping[str, Any], key: str) -> Oneway | None:
    value = properties.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text not in {"yes", "-1", "no"}:
        raise _BadFeatureError(f"{key} is {value!r}: write yes, -1 or no")
    return cast("Oneway", text)


def _maxspeed(properties: Mapping[str, Any]) -> float | None:
    value = properties.get("maxspeed_kmh")
    if value is None:
        return None
    if not _is_number(value) or not 0 < value <= MAXSPEED_KMH_MAX:
        raise _BadFeatureError(
            f"maxspeed_kmh is {value!r}: give km/h as a number above 0 and up to "
            f"{MAXSPEED_KMH_MAX:g}, or leave it out"
        )
    return float(value)


def _flag(properties: Mapping[str, Any], key: str) -> bool:
    value = properties.get(key)
    if value is None or value is False:
        return False
    if isinstance(value, (str, bool)):
        # OSM's own values too: yes, viaduct, movable …
        return value not in {"", "no", "false", "0"}
    raise _BadFeatureError(f"{key} is {value!r}: write true or false")


def _layer(properties: Mapping[str, Any]) -> int:
    value = properties.get("layer")
    if value is None or value == "":
        return 0
    try:
        layer = int(value)
    except (TypeError, ValueError, OverflowError):
        layer = LAYER_MAX + 1
    if abs(layer) > LAYER_MAX:
        raise _BadFeatureError(f"layer is {value!r}: give a whole number, 0 at ground level")
    return layer


def _modes(properties: Mapping[str, Any]) -> tuple[Mode, ...] | None:
    value = properties.get("modes")
    if value is None:
        return None
    if not isinstance(value, list) or any(mode not in MODES for mode in value):
        raise _BadFeatureError(f"modes is {value!r}: give a list of walk, ebike, car")
    return tuple(mode for mode in MODES if mode in value)
