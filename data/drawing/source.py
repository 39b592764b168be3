"""The drawing as its author wrote it: YAML and TSV beside this module, read into metres.

Everything behind this module works on a plane in metres around the middle of the sub-district;
degrees come back only when a file is written (``geojson``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from shapely.geometry import LineString, Point, Polygon

from xiaohe.geo.projection import Projection

SOURCE_FOLDER = Path(__file__).parent

PLANE = Projection(120.133, 30.315)
"""Touches the map in the middle of the sub-district."""

AREA_ID = "xiaohe"

SPEEDS_KMH = {
    "trunk": 80,
    "trunk_link": 40,
    "primary": 60,
    "secondary": 50,
    "tertiary": 40,
    "residential": 30,
    "living_street": 15,
    "pedestrian": 10,
    "footway": 10,
}
"""Speed limit by class. The walking lanes' is for e-bikes, which share them with people."""

XY = tuple[float, float]


class DrawingError(ValueError):
    """The drawing contradicts itself; the message says where and what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """One street as drawn, ``points`` in metres; ``cut`` names where its units begin and end."""

    name: str
    highway: str
    points: tuple[XY, ...]
    cut: tuple[str, ...] = ()
    oneway: str = "no"
    invented: bool = False

    @property
    def line(self) -> LineString:
        """The course as a shape."""
        return LineString(self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viaduct:
    """Two one-way carriageways above the street ``above``, from one crossing to another."""

    name: str
    above: str
    apart_m: float
    ramp_m: float
    cut: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """Where ``street`` goes over the water ``over``."""

    name: str
    name_en: str
    street: str
    over: str
    invented: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Water:
    """A canal, river or creek: its course and its surface."""

    name: str
    name_en: str
    kind: str
    course: LineString
    surface: Polygon


@dataclass(frozen=True, slots=True, kw_only=True)
class Community:
    """One of the nine communities."""

    name: str
    name_en: str
    code: str
    surface: Polygon


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The ground that one member of each shift answers for."""

    name: str
    name_en: str
    squadron: int
    communities: tuple[str, ...]
    centre: Point


def to_m(pairs: Iterable[Sequence[float]]) -> tuple[XY, ...]:
    """Return [lon, lat] pairs as metres on the plane."""
    return tuple(PLANE.to_m(lon, lat) for lon, lat in pairs)


def read_yaml(name: str) -> Mapping[str, Any]:
    """Read one file of the drawing."""
    with (SOURCE_FOLDER / name).open(encoding="utf-8") as file:
        content: Mapping[str, Any] = yaml.safe_load(file)
    return content


def read_streets() -> tuple[Street, ...]:
    """Read the named streets and the lanes between them; every name is there once."""
    rows = read_yaml("streets.yaml")["streets"]
    streets = [
        Street(
            name=row["name"],
            highway=row["highway"],
            points=to_m(row["line"]),
            cut=tuple(row.get("cut", ())),
            oneway=row.get("oneway", "no"),
            invented=row.get("invented", False),
        )
        for row in rows
    ] + read_lanes()
    names = [street.name for street in streets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DrawingError(f"drawn twice: {', '.join(twice)}: give each street a name of its own")
    return tuple(streets)


def read_lanes() -> list[Street]:
    """Read ``lanes.tsv``: name, class, one-way, course as ``lon,lat lon,lat …``."""
    lanes = []
    text = (SOURCE_FOLDER / "lanes.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        name, highway, oneway, course = line.split("\t")
        pairs = [[float(part) for part in pair.split(",")] for pair in course.split()]
        lanes.append(
            Street(name=name, highway=highway, oneway=oneway, points=to_m(pairs), invented=True)
        )
    return lanes


def read_viaducts() -> tuple[Viaduct, ...]:
    """Read the elevated roads."""
    rows = read_yaml("streets.yaml")["viaducts"]
    return tuple(Viaduct(**{**row, "cut": tuple(row["cut"])}) for row in rows)


def read_bridges() -> tuple[Bridge, ...]:
    """Read where streets may go over water."""
    return tuple(Bridge(**row) for row in read_yaml("streets.yaml")["bridges"])
