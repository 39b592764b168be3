"""The ground: the border of the sub-district, its waters, its communities and their beats."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from shapely.geometry import LineString, Point, Polygon
from shapely.ops import polygonize, unary_union

from xiaohe.data.drawing.source import (
    XY,
    Beat,
    Community,
    DrawingError,
    Water,
    read_yaml,
    to_m,
)

BorderRow = Mapping[str, str] | Sequence[Sequence[float]]
"""A border along a water, by its name, or by its own control points."""

ROUNDINGS = 2
"""How often the corners of a river's course are cut before its banks are drawn."""

BORDER_TOLERANCE_M = 1
"""A road on a border is as near to both sides; only whole metres decide between them."""


def read_boundary() -> Polygon:
    """Return the sub-district as a polygon in metres."""
    return Polygon(to_m(read_yaml("area.yaml")["boundary"]))


def read_waters() -> tuple[Water, ...]:
    """Return the waters, their banks drawn at half the width on both sides of the course."""
    waters = []
    for row in read_yaml("area.yaml")["waters"]:
        course = LineString(round_corners(to_m(row["line"])))
        waters.append(
            Water(
                name=row["name"],
                name_en=row["name_en"],
                kind=row["kind"],
                course=course,
                surface=course.buffer(row["width_m"] / 2, quad_segs=2),
            )
        )
    return tuple(waters)


def round_corners(points: tuple[XY, ...]) -> tuple[XY, ...]:
    """Cut every corner at a quarter of its sides, ends kept (Chaikin 1974)."""
    for _ in range(ROUNDINGS):
        cut = [points[0]]
        for (x1, y1), (x2, y2) in pairwise(points):
            cut.append((0.75 * x1 + 0.25 * x2, 0.75 * y1 + 0.25 * y2))
            cut.append((0.25 * x1 + 0.75 * x2, 0.25 * y1 + 0.75 * y2))
        points = (*cut, points[-1])
    return points


def read_communities(boundary: Polygon, waters: Iterable[Water]) -> tuple[Community, ...]:
    """Cut the sub-district along the borders; each part is the community whose label it holds."""
    courses = {water.name: water.course for water in waters}
    content = read_yaml("area.yaml")
    cuts = [_border(row, courses) for row in content["borders"]]
    parts = list(polygonize(unary_union([boundary.exterior, *cuts])))
    labels = [Point(to_m([row["label"]])[0]) for row in content["communities"]]
    surfaces: dict[int, list[Polygon]] = {index: [] for index in range(len(labels))}
    for part in parts:
        if boundary.contains(part.representative_point()):
            surfaces[_label_of(part, labels)].append(part)
    return tuple(
        Community(
            name=row["name"],
            name_en=row["name_en"],
            code=row["code"],
            surface=_one(row["name"], surfaces[index]),
        )
        for index, row in enumerate(content["communities"])
    )


def _border(row: BorderRow, courses: Mapping[str, LineString]) -> LineString:
    return courses[row["along"]] if isinstance(row, Mapping) else LineString(to_m(row))


def _label_of(part: Polygon, labels: list[Point]) -> int:
    """Return the label inside the part, or the nearest one for a sliver that holds none."""
    return min(range(len(labels)), key=lambda index: part.distance(labels[index]))


def _one(name: str, parts: list[Polygon]) -> Polygon:
    joined = unary_union(parts)
    if not isinstance(joined, Polygon) or joined.is_empty:
        raise DrawingError(f"{name} is not one piece of ground: mend its borders in area.yaml")
    return joined


def read_beats() -> tuple[Beat, ...]:
    """Return the beats in the file's order."""
    return tuple(
        Beat(
            name=row["name"],
            name_en=row["name_en"],
            squadron=row["squadron"],
            communities=tuple(row["communities"]),
            centre=Point(to_m([row["centre"]])[0]),
        )
        for row in read_yaml("area.yaml")["beats"]
    )


def community_of(place: Point, communities: Iterable[Community]) -> str:
    """Return the community that a place lies in or, on a border, the first by code."""
    nearest = min(
        communities,
        key=lambda one: (round(one.surface.distance(place) / BORDER_TOLERANCE_M), one.code),
    )
    return nearest.name


def beat_of(place: Point, community: str, beats: Iterable[Beat]) -> Beat:
    """Return the beat of the community whose centre is nearest to the place."""
    inside = [beat for beat in beats if community in beat.communities]
    if not inside:
        raise DrawingError(f"{community} has no beat: add one to area.yaml")
    return min(inside, key=lambda beat: (round(beat.centre.distance(place)), beat.name))
