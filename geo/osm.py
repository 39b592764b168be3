"""Reads OpenStreetMap files (pbf or xml, also packed) into road pieces.

Kept are the highways that somebody can travel on; each is split at the nodes that it shares with
another, so that pieces meet at end vertices and a bridge does not meet what it crosses. Tags are
read as the OpenStreetMap wiki defines them. A tag on one means of transport wins over ``access``;
where the outcome is not what the road's class says, the piece lists its ``modes``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol
from unicodedata import normalize

import osmium

from xiaohe.geo.modes import ROAD_CLASSES, SHUT_ACCESS, may_use
from xiaohe.geo.roads import (
    COORDINATE_DECIMALS,
    MAXSPEED_KMH_MAX,
    MODES,
    ROAD_ID_CHARACTERS_MAX,
    LonLat,
    Mode,
    Oneway,
    RoadPiece,
    RoadsFileError,
)

KMH_PER_MPH: Final = 1.609344
KMH_PER_KNOT: Final = 1.852

MAXSPEED_WALK_KMH: Final = 7.0
"""``maxspeed=walk``: a brisk walking pace, as courts in the countries that use it have it."""

_SHUT: Final = SHUT_ACCESS | {
    "agricultural",
    "forestry",
    "military",
    "emergency",
    "dismount",
    "use_sidepath",
}
"""Values that shut a way to the means of transport that they are given for."""

_OPEN: Final = frozenset({"yes", "designated", "official", "permissive", "destination", "public"})

_TAGS_OF_MODE: Final[Mapping[Mode, tuple[str, ...]]] = MappingProxyType(
    {
        "walk": ("foot", "access"),
        "ebike": ("bicycle", "vehicle", "access"),
        "car": ("motorcar", "motor_vehicle", "vehicle", "access"),
    }
)
"""The tags that speak of a mode, the most particular first."""

_ONEWAY: Final[Mapping[str, Oneway]] = MappingProxyType(
    {
        "yes": "yes",
        "true": "yes",
        "1": "yes",
        "-1": "-1",
        "reverse": "-1",
        "no": "no",
        "false": "no",
        "0": "no",
    }
)

_REVERSIBLE: Final = frozenset({"reversible", "alternating"})

_MAXSPEED: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(km/h|kmh|kph|mph|knots)?$")


class Tags(Protocol):
    """What is read of a way's tags: a mapping's ``get`` from text to text."""

    def get(self, key: str, default: str | None = None, /) -> str | None:
        """Return the value of a tag."""


@dataclass(frozen=True, slots=True)
class Import:
    """What a file gave: the pieces, and what was left out and why (number of ways by reason)."""

    pieces: tuple[RoadPiece, ...]
    ways: int
    dropped: Mapping[str, int]
    doubts: Mapping[str, int]


class _Way(NamedTuple):
    """A way fit for travel: its nodes, and the properties that all its pieces share."""

    nodes: tuple[tuple[int, LonLat | None], ...]
    road: RoadPiece


def read_osm(path: str | Path) -> Import:
    """Read the roads of an OpenStreetMap file.

    ``ways`` counts the highways read, ``dropped`` those left out by reason, ``doubts`` tags
    that were not understood and passed over. Raises ``RoadsFileError`` if the file cannot be
    read or has no roads.
    """
    dropped: Counter[str] = Counter()
    doubts: Counter[str] = Counter()
    try:
        ways, count = _ways(Path(path), dropped, doubts)
    except (RuntimeError, OSError) as error:
        raise RoadsFileError(
            [f"{path}: {error}: give an OpenStreetMap file (.osm.pbf, .osm, .osm.gz)"]
        ) from None
    pieces = tuple(_split(ways, dropped))
    if not pieces:
        raise RoadsFileError([f"{path}: no road in {count} highways: is it the right extract?"])
    return Import(pieces, count, MappingProxyType(dict(dropped)), MappingProxyType(dict(doubts)))


def _ways(path: Path, dropped: Counter[str], doubts: Counter[str]) -> tuple[list[_Way], int]:
    ways: list[_Way] = []
    count = 0
    reader = osmium.FileProcessor(str(path)).with_locations()
    reader.with_filter(osmium.filter.KeyFilter("highway"))
    reader.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY))
    for way in reader:
        assert isinstance(way, osmium.osm.Way)
        count += 1
        road = road_of(way.tags, int(way.id), doubts)
        if isinstance(road, str):
            dropped[road] += 1
            continue
        nodes = tuple(
            (int(node.ref), _place(node.location) if node.location.valid() else None)
            for node in way.nodes
        )
        ways.append(_Way(nodes, road))
    return ways, count


def _place(location: "osmium.osm.Location") -> LonLat:
    return round(location.lon, COORDINATE_DECIMALS), round(location.lat, COORDINATE_DECIMALS)


def road_of(tags: Tags, way_id: int, doubts: Counter[str]) -> RoadPiece | str:
    """Return a way's properties as a piece without points, or the reason to leave the way out."""
    highway = tags.get("highway") or ""
    if highway not in ROAD_CLASSES:
        return f"highway={highway}"
    if tags.get("area") == "yes":
        return "area=yes"
    if tags.get("oneway") in _REVERSIBLE:
        return f"oneway={tags.get('oneway')}"
    name = _name(tags)
    oneway = _oneway(tags, highway, doubts)
    road = RoadPiece(
        road_id=name or f"way/{way_id}",
        points=(),
        name=name,
        highway=highway,
        oneway=oneway,
        maxspeed_kmh=_maxspeed_kmh(tags, doubts),
        bridge=tags.get("bridge") not in {None, "no"},
        layer=_layer(tags, doubts),
        access=tags.get("access"),
        oneway_bicycle=_oneway_bicycle(tags, oneway),
        modes=_modes(tags, highway),
    )
    if not any(may_use(road, mode) for mode in MODES):
        return "open to nobody (access, foot, bicycle, motor_vehicle)"
    return road


def _name(tags: Tags) -> str | None:
    name = normalize("NFC", tags.get("name") or "").strip()
    return name[:ROAD_ID_CHARACTERS_MAX].strip() or None


def _modes(tags: Tags, highway: str) -> tuple[Mode, ...] | None:
    """Return who may use the way, None where that is what its class and ``access`` say."""
    plain = RoadPiece(road_id="", points=(), highway=highway, access=tags.get("access"))
    modes = tuple(mode for mode in MODES if _is_open(tags, plain, mode))
    by_class = tuple(mode for mode in MODES if may_use(plain, mode))
    return None if modes == by_class else modes


def _is_open(tags: Tags, plain: RoadPiece, mode: Mode) -> bool:
    by_class = may_use(RoadPiece(road_id="", points=(), highway=plain.highway), mode)
    if tags.get("motorroad") == "yes" and mode != "car":
        by_class = False
    for key in _TAGS_OF_MODE[mode]:
        value = tags.get(key)
        if value in _SHUT:
            return False
        if value in _OPEN:
            # A word on this very means opens the way; one on all of them opens no footpath to cars.
            return by_class or key in {"foot", "bicycle", "motorcar", "motor_vehicle"}
    return by_class


def _oneway(tags: Tags, highway: str, doubts: Counter[str]) -> Oneway:
    value = tags.get("oneway")
    if value is not None:
        known = _ONEWAY.get(value)
        if known is not None:
            return known
        doubts[f"oneway={value}"] += 1
    ring = tags.get("junction") in {"roundabout", "circular"}
    return "yes" if ring or highway == "motorway" else "no"


def _oneway_bicycle(tags: Tags, oneway: Oneway) -> Oneway | None:
    stated = _ONEWAY.get(tags.get("oneway:bicycle") or "")
    if stated is None and oneway != "no":
        lanes = ("cycleway", "cycleway:left", "cycleway:right", "cycleway:both")
        if any((tags.get(key) or "").startswith("opposite") for key in lanes):
            stated = "no"
    return None if stated == oneway else stated


def _maxspeed_kmh(tags: Tags, doubts: Counter[str]) -> float | None:
    """Read ``maxspeed``: km/h unless it states another unit; of several the lowest."""
    stated = tags.get("maxspeed")
    if stated is None or stated in {"none", "signals", "variable"}:
        return None
    if stated == "walk":
        return MAXSPEED_WALK_KMH
    found = [_MAXSPEED.match(part.strip()) for part in stated.split(";")]
    factors = {"mph": KMH_PER_MPH, "knots": KMH_PER_KNOT}
    speeds = [float(m[1]) * factors.get(m[2] or "", 1.0) for m in found if m is not None]
    if len(speeds) != len(found) or not 0 < min(speeds) <= MAXSPEED_KMH_MAX:
        doubts["maxspeed not understood"] += 1
        return None
    return round(min(speeds), 1)


def _layer(tags: Tags, doubts: Counter[str]) -> int:
    stated = tags.get("layer")
    if stated is not None:
        try:
            return int(stated)
        except ValueError:
            doubts["layer not understood"] += 1
    return -1 if tags.get("tunnel") in {"yes", "culvert"} else 0


def _split(ways: list[_Way], dropped: Counter[str]) -> Iterator[RoadPiece]:
    """Split every way at its shared nodes, and where the extract lacks a node of it."""
    uses = Counter(ref for way in ways for ref, _ in way.nodes)
    for way in ways:
        found = False
        run: list[LonLat] = []
        for ref, place in way.nodes:
            if place is not None:
                run.append(place)
            if place is None or uses[ref] > 1:
                if _has_length(run):
                    found = True
                    yield _piece(way.road, run)
                run = [] if place is None else [place]
        if _has_length(run):
            found = True
            yield _piece(way.road, run)
        if not found:
            dropped["no length inside the extract"] += 1


def _has_length(run: list[LonLat]) -> bool:
    return len(set(run)) > 1


def _piece(road: RoadPiece, run: list[LonLat]) -> RoadPiece:
    return RoadPiece(
        **{name: getattr(road, name) for name in RoadPiece.__slots__ if name != "points"},
        points=tuple(run),
    )
