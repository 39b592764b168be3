"""The files, in degrees: one feature a line, the same drawing gives the same bytes."""

from collections.abc import Iterable, Sequence

import orjson
from shapely.geometry import Polygon

from xiaohe.data.drawing.source import AREA_ID, PLANE, SPEEDS_KMH, XY, Bridge, Community, Water
from xiaohe.data.drawing.units import Unit

DEGREE_DECIMALS = 6
"""About a decimetre: finer than anything that is drawn here."""

Feature = dict[str, object]


def to_degrees(points: Iterable[XY]) -> list[list[float]]:
    """Return points in metres as [lon, lat], rounded; points that fall together are one."""
    pairs: list[list[float]] = []
    for x, y in points:
        lon, lat = PLANE.to_deg(x, y)
        pair = [round(lon, DEGREE_DECIMALS), round(lat, DEGREE_DECIMALS)]
        if not pairs or pairs[-1] != pair:
            pairs.append(pair)
    return pairs


def feature_collection(features: Sequence[Feature]) -> bytes:
    """Return a GeoJSON FeatureCollection."""
    lines = b",\n".join(orjson.dumps(feature) for feature in features)
    return b'{"type":"FeatureCollection","features":[\n' + lines + b"\n]}\n"


def road_features(units: Iterable[Unit], bridges: Iterable[Bridge]) -> list[Feature]:
    """Return one feature a piece of road, with the roads file's properties."""
    invented_bridges = {bridge.name for bridge in bridges if bridge.invented}
    features: list[tuple[str, list[list[float]], Feature]] = []
    for unit in units:
        for piece in unit.pieces:
            street = piece.street
            properties: Feature = {
                "road_id": unit.road_id,
                "name": street.name,
                "highway": street.highway,
                "oneway": street.oneway,
                "maxspeed_kmh": SPEEDS_KMH[street.highway],
                "area_id": AREA_ID,
                "community": unit.community,
                "beat": unit.beat.name,
                "invented": street.invented,
            }
            if piece.bridge is not None:
                properties |= {
                    "bridge": "yes",
                    "layer": piece.layer,
                    "bridge_name": piece.bridge,
                    "bridge_invented": piece.bridge in invented_bridges,
                }
            coordinates = to_degrees(piece.points)
            geometry = {"type": "LineString", "coordinates": coordinates}
            feature: Feature = {"type": "Feature", "properties": properties, "geometry": geometry}
            features.append((unit.road_id, coordinates, feature))
    return [feature for *_, feature in sorted(features, key=lambda row: row[:2])]


def area_features(
    boundary: Polygon, waters: Iterable[Water], communities: Iterable[Community]
) -> list[Feature]:
    """Return the border, the waters and the communities as polygons."""
    rows: list[tuple[Feature, Polygon]] = [
        (
            {
                "kind": "boundary",
                "area_id": AREA_ID,
                "name": "小河街道",
                "name_en": "Xiaohe sub-district",
                "area_km2": round(boundary.area / 1e6, 3),
                "invented": True,
            },
            boundary,
        )
    ]
    rows += [
        (
            {
                "kind": "community",
                "name": one.name,
                "name_en": one.name_en,
                "code": one.code,
                "invented": True,
            },
            one.surface,
        )
        for one in communities
    ]
    rows += [
        ({"kind": one.kind, "name": one.name, "name_en": one.name_en, "invented": False}, surface)
        for one in waters
        for surface in _polygons(one.surface.intersection(boundary))
    ]
    return [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": "Polygon", "coordinates": [_ring(surface)]},
        }
        for properties, surface in rows
    ]


def _polygons(shape: object) -> list[Polygon]:
    if isinstance(shape, Polygon):
        return [shape]
    return [part for part in getattr(shape, "geoms", ()) if isinstance(part, Polygon)]


def _ring(surface: Polygon) -> list[list[float]]:
    """Return the outer ring, anticlockwise as RFC 7946 asks for, closed."""
    points = list(surface.exterior.coords)
    if not surface.exterior.is_ccw:
        points.reverse()
    ring = to_degrees((float(x), float(y)) for x, y in points[:-1])
    return [*ring, ring[0]]
