"""Places by name: the market, school gates, quarters, offices, posts and bridges, each with the
unit that leads past it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shapely.geometry import Point
from shapely.ops import nearest_points

from xiaohe.data.drawing.geojson import Feature, to_degrees
from xiaohe.data.drawing.layout import Piece
from xiaohe.data.drawing.source import Beat, Bridge, DrawingError, read_yaml, to_m
from xiaohe.data.drawing.units import Unit

PLACE_REACH_M = 80.0
"""A place farther than this from every road has been put down wrongly."""

COMMAND_CENTRE = "command_centre"


def beat_posts(units: Iterable[Unit], beats: Iterable[Beat]) -> dict[str, Point]:
    """Return for each beat the point of its ground-level roads nearest to its centre."""
    posts = {}
    for beat in beats:
        lines = [
            piece.line
            for unit in units
            if unit.beat.name == beat.name
            for piece in unit.pieces
            if piece.layer == 0
        ]
        if not lines:
            raise DrawingError(f"{beat.name} has no road: move its centre in area.yaml")
        on_road = [nearest_points(line, beat.centre)[0] for line in lines]
        posts[beat.name] = min(on_road, key=beat.centre.distance)
    return posts


def command_centre(units: Sequence[Unit]) -> Point:
    """Return the point of the road that leads past the command centre."""
    at = next(Point(to_m([row["at"]])[0]) for row in _rows() if row["kind"] == COMMAND_CENTRE)
    _, piece = _road_at(at, units)
    return nearest_points(piece.line, at)[0]


def place_features(
    units: Sequence[Unit],
    beats: Iterable[Beat],
    posts: Mapping[str, Point],
    bridges: Iterable[Bridge],
) -> list[Feature]:
    """Return one point a place: kind, name, name_en, road_id, community, invented."""
    places: list[tuple[Mapping[str, Any], Unit, Point]] = []
    for row in _rows():
        at = Point(to_m([row["at"]])[0])
        unit, piece = _road_at(at, units)
        if piece.line.distance(at) > PLACE_REACH_M:
            raise DrawingError(f"{row['name']} lies off every road: move it in places.yaml")
        places.append((row, unit, at))
    for beat in beats:
        post = posts[beat.name]
        row = {"kind": "post", "name": f"{beat.name}岗亭", "name_en": f"Post {beat.name_en}"}
        places.append((row | {"invented": True}, _road_at(post, units)[0], post))
    known = {bridge.name: bridge for bridge in bridges}
    for unit in units:
        for piece in unit.pieces:
            bridge = known.get(piece.bridge or "")
            if bridge is not None:
                row = {"kind": "bridge", "name": bridge.name, "name_en": bridge.name_en}
                middle = piece.line.interpolate(0.5, normalized=True)
                places.append((row | {"invented": bridge.invented}, unit, middle))
    return [_feature(row, unit, at) for row, unit, at in places]


def _rows() -> Iterator[Mapping[str, Any]]:
    yield from read_yaml("places.yaml")["places"]


def _road_at(at: Point, units: Iterable[Unit]) -> tuple[Unit, Piece]:
    """Return the nearest unit on the ground, and its piece."""
    rows = [(unit, piece) for unit in units for piece in unit.pieces if piece.layer == 0]
    return min(rows, key=lambda row: (round(row[1].line.distance(at), 1), row[0].road_id))


def _feature(row: Mapping[str, Any], unit: Unit, at: Point) -> Feature:
    (coordinates,) = to_degrees([(at.x, at.y)])
    return {
        "type": "Feature",
        "properties": {
            "kind": row["kind"],
            "name": row["name"],
            "name_en": row["name_en"],
            "road_id": unit.road_id,
            "community": unit.community,
            "invented": row["invented"],
        },
        "geometry": {"type": "Point", "coordinates": coordinates},
    }
