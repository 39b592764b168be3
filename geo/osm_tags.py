"""Reads the tags of an OpenStreetMap way: who may use it, in which direction, how fast.

Tags are read as the OpenStreetMap wiki defines them. Of the tags that speak of one means of
transport the most particular wins (``motorcar`` over ``motor_vehicle`` over ``vehicle`` over
``access``); where the outcome is not what the road's class says, the piece lists its ``modes``.
``destination``, ``customers`` and ``delivery`` leave a way as its class has it, for who is sent
there has business there. What is true only at some hours (``…:conditional``) is passed over and
counted. So is a one-way for people on foot (``oneway:foot``, an escalator's ``conveying``): the
contract's travel time on foot heeds no one-ways.
"""

import re
from collections import Counter
from collections.abc import Mapping
from math import floor
from types import MappingProxyType
from typing import Final, Protocol
from unicodedata import normalize

from xiaohe.geo.modes import ROAD_CLASSES, SHUT_ACCESS, may_use
from xiaohe.geo.roads import (
    LAYER_MAX,
    MAXSPEED_KMH_MAX,
    MODES,
    ROAD_ID_CHARACTERS_MAX,
    Mode,
    Oneway,
    RoadPiece,
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
    "employees",
    "permit",
    "residents",
    "dismount",
    "use_sidepath",
}
"""Values that shut a way to the means of transport that they are given for."""

_OPEN: Final = frozenset(
    {"yes", "designated", "official", "permissive", "destination", "public", "optional_sidepath"}
)

_ON_BUSINESS: Final = frozenset({"customers", "delivery"})
"""Values that let in who has business there: the way stays as its class has it."""

_UNSAID: Final = frozenset({"unknown", "variable"})
"""Values that say that nothing is known, or nothing for all hours."""

_TAGS_OF_MODE: Final[Mapping[Mode, tuple[str, ...]]] = MappingProxyType(
    {
        "walk": ("foot", "access"),
        "ebike": ("bicycle", "vehicle", "access"),
        "car": ("motorcar", "motor_vehicle", "vehicle", "access"),
    }
)
"""The tags that speak of a mode, the most particular first."""

_OWN_TAGS: Final = frozenset({"foot", "bicycle", "motorcar", "motor_vehicle"})
"""Tags on one means of transport: these open a way to it whatever the class; ``access=yes`` opens
no footpath to cars."""

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
        "alternating": "no",
    }
)
"""Values of ``oneway``; an ``alternating`` way is open in both directions by turns of a minute."""

_REVERSIBLE: Final = "reversible"
"""Changes its direction by the hour: which holds now, no file says."""

_CONTRAFLOW: Final = ("cycleway", "cycleway:left", "cycleway:right", "cycleway:both")

_CONDITIONAL: Final = tuple(
    f"{key}:conditional"
    for key in (
        "access", "foot", "bicycle", "vehicle", "motor_vehicle", "motorcar", "oneway",
        "oneway:bicycle", "maxspeed",
    )
)  # fmt: skip

_MAXSPEED: Final = re.compile(r"^(\d{1,4}(?:\.\d{1,3})?)\s*(km/h|kmh|kph|mph|knots)?$", re.ASCII)
_ZONE: Final = re.compile(r"^(?:[A-Z]{2}:)?zone:?(\d{2})$|^[A-Z]{2}:(\d{2})$", re.ASCII)

_ZONE_TAGS: Final = ("maxspeed:type", "source:maxspeed", "zone:maxspeed", "zone:traffic")
"""Tags that name the law which limits the speed, where ``maxspeed`` itself is not given."""

_NO_LIMIT: Final = frozenset({"none", "signals", "variable", "default", "implicit"})
"""Values that name no speed: the class's own holds."""

_LAW_KMH: Final = MappingProxyType(
    {
        "urban": {
            50: "AT BE CH CN CZ DE DK ES FR HR HU IT LU NL PL PT RO SI SK UA",
            60: "BY KZ RU",
        },
        "rural": {
            70: "CN",
            80: "CH DK FR NL",
            90: "BY CZ ES HR HU IT LU PL PT RO RU SI SK UA",
            100: "AT DE",
        },
        "motorway": {
            110: "BY RU",
            120: "BE CH CN ES PT",
            130: "AT CZ DK FR HR HU IT LU RO SI SK UA",
            140: "PL",
        },
        "living_street": {7: "DE", 20: "BE BY CH CZ ES FR PL RU SK UA"},
        "bicycle_road": {30: "BE DE"},
    }
)
"""General limits of the countries' road laws for cars, in km/h; those of a country that is not here
are passed over and counted. China's are those of article 45 of its regulations on road traffic
safety, for one lane in each direction."""

_LAW_MPH: Final = MappingProxyType(
    {"GB:nsl_restricted": 30, "GB:urban": 30, "GB:nsl_single": 60, "GB:nsl_dual": 70,
     "GB:motorway": 70}
)  # fmt: skip

ZONE_KMH: Final[Mapping[str, float]] = MappingProxyType(
    {
        f"{country}:{zone}": float(kmh)
        for zone, by_speed in _LAW_KMH.items()
        for kmh, countries in by_speed.items()
        for country in countries.split()
    }
    | {zone: round(mph * KMH_PER_MPH, 1) for zone, mph in _LAW_MPH.items()}
)
"""Speed by the name of the law that limits it, such as ``DE:urban``."""

_LAWS_WITHOUT_LIMIT: Final = frozenset({"DE:motorway"})


class Tags(Protocol):
    """What is read of an object's tags: a mapping's ``get`` from text to text."""

    def get(self, key: str, /) -> str | None:
        """Return the value of a tag."""


def road_of(tags: Tags, way_id: int | str, doubts: Counter[str]) -> RoadPiece | str:
    """Return a way's properties as a piece without points, or the reason to leave the way out.

    What is not understood, or understood and not followed, is counted in ``doubts``.
    """
    highway = tags.get("highway") or ""
    if highway not in ROAD_CLASSES:
        return f"highway={highway}"
    if tags.get("area") == "yes":
        return "area=yes"
    if tags.get("oneway") == _REVERSIBLE:
        return f"oneway={_REVERSIBLE}"
    name = _name(tags)
    oneway, oneway_bicycle = _oneways(tags, highway, doubts)
    road = RoadPiece(
        road_id=name or f"way/{way_id}",
        points=(),
        name=name,
        highway=highway,
        oneway=oneway,
        maxspeed_kmh=_maxspeed_kmh(tags, oneway, doubts),
        bridge=tags.get("bridge") not in {None, "no"},
        layer=_layer(tags, doubts),
        access=tags.get("access") or None,
        oneway_bicycle=None if oneway_bicycle == oneway else oneway_bicycle,
        modes=_modes(tags, highway, doubts),
    )
    if not any(may_use(road, mode) for mode in MODES):
        return "open to nobody (access, foot, bicycle, motor_vehicle)"
    _count_what_is_not_followed(tags, doubts)
    return road


def is_open(tags: Tags, mode: Mode, otherwise: bool, doubts: Counter[str]) -> bool:
    """Say whether the access tags let ``mode`` pass; ``otherwise`` holds where they say nothing."""
    for key in _TAGS_OF_MODE[mode]:
        value = tags.get(key)
        if value in _SHUT:
            return False
        if value in _OPEN:
            return otherwise or key in _OWN_TAGS
        if value in _ON_BUSINESS:
            return otherwise
        if value and value not in _UNSAID:
            doubts[f"{key}={value}"] += 1
    return otherwise


def _name(tags: Tags) -> str | None:
    name = normalize("NFC", tags.get("name") or "").strip()
    return name[:ROAD_ID_CHARACTERS_MAX].strip() or None


def _modes(tags: Tags, highway: str, doubts: Counter[str]) -> tuple[Mode, ...] | None:
    """Return who may use the way, None where that is what its class and ``access`` say."""
    bare = RoadPiece(road_id="", points=(), highway=highway)
    express = tags.get("motorroad") == "yes"
    odd: Counter[str] = Counter()
    modes = tuple(
        mode
        for mode in MODES
        if is_open(tags, mode, may_use(bare, mode) and not (express and mode != "car"), odd)
    )
    doubts.update(dict.fromkeys(odd, 1))
    plain = RoadPiece(road_id="", points=(), highway=highway, access=tags.get("access"))
    by_class = tuple(mode for mode in MODES if may_use(plain, mode))
    return None if modes == by_class else modes


# --- directions


def _oneways(tags: Tags, highway: str, doubts: Counter[str]) -> tuple[Oneway, Oneway]:
    """Return the directions for cars, and for bicycles."""
    plain = _stated_oneway(tags, ("oneway",), doubts)
    if plain is None:
        ring = tags.get("junction") in {"roundabout", "circular"}
        plain = "yes" if ring or highway == "motorway" else "no"
    motor_tags = ("oneway:motorcar", "oneway:motor_vehicle", "oneway:vehicle")
    car = _stated_oneway(tags, motor_tags, doubts) or plain
    bicycle = _stated_oneway(tags, ("oneway:bicycle", "oneway:vehicle"), doubts)
    if bicycle is None:
        bicycle = "no" if plain != "no" and _has_contraflow(tags) else plain
    return (
        _by_direction(tags, _TAGS_OF_MODE["car"], car),
        _by_direction(tags, _TAGS_OF_MODE["ebike"], bicycle),
    )


def _stated_oneway(tags: Tags, keys: tuple[str, ...], doubts: Counter[str]) -> Oneway | None:
    for key in keys:
        value = tags.get(key)
        if value is None:
            continue
        known = _ONEWAY.get(value)
        if known is not None:
            return known
        doubts[f"{key}={value}"] += 1
    return None


def _has_contraflow(tags: Tags) -> bool:
    """Say whether a lane leads bicycles against a one-way street."""
    return any(
        (tags.get(key) or "").startswith("opposite") or tags.get(f"{key}:oneway") in {"no", "-1"}
        for key in _CONTRAFLOW
    )


def _by_direction(tags: Tags, keys: tuple[str, ...], oneway: Oneway) -> Oneway:
    """Heed access tags on one direction: ``vehicle:backward=no`` makes a street one-way."""
    sides: tuple[tuple[str, Oneway], ...] = ((":backward", "yes"), (":forward", "-1"))
    for side, left in sides:
        said = next((value for key in keys if (value := tags.get(key + side))), None)
        if oneway == "no" and said in _SHUT:
            return left
        if oneway == left and said in _OPEN and tags.get(keys[0] + side):
            return "no"
    return oneway


# --- speed and level


def _maxspeed_kmh(tags: Tags, oneway: Oneway, doubts: Counter[str]) -> float | None:
    """Return the limit in km/h: of several, and of two directions, the lowest."""
    sides = {"yes": ("forward",), "-1": ("backward",), "no": ("forward", "backward")}[oneway]
    stated = {tags.get(f"maxspeed:{side}") or tags.get("maxspeed") for side in sides} - {None}
    if not stated:
        stated = {value for key in _ZONE_TAGS if _names_a_law(value := tags.get(key) or "")}
    speeds: list[float] = []
    for value in sorted(filter(None, stated)):
        kmh = _speed_kmh(value)
        if kmh is not None:
            speeds.append(kmh)
        elif value not in _NO_LIMIT | _LAWS_WITHOUT_LIMIT:
            doubts["maxspeed not understood"] += 1
    return min(speeds, default=None)


def _names_a_law(value: str) -> bool:
    return value in ZONE_KMH or _ZONE.match(value) is not None


def _speed_kmh(value: str) -> float | None:
    """Read one value of ``maxspeed``: km/h unless it states another unit; of a list the lowest."""
    found = [_one_speed_kmh(part.strip()) for part in value.split(";")]
    speeds = [kmh for kmh in found if kmh is not None and 0 < kmh <= MAXSPEED_KMH_MAX]
    return round(min(speeds), 1) if speeds and len(speeds) == len(found) else None


def _one_speed_kmh(value: str) -> float | None:
    if value == "walk":
        return MAXSPEED_WALK_KMH
    if value in ZONE_KMH:
        return ZONE_KMH[value]
    zone = _ZONE.match(value)
    if zone is not None:
        return float(zone[1] or zone[2])
    number = _MAXSPEED.match(value)
    if number is None:
        return None
    return float(number[1]) * {"mph": KMH_PER_MPH, "knots": KMH_PER_KNOT}.get(number[2], 1.0)


def _layer(tags: Tags, doubts: Counter[str]) -> int:
    """Return the layer; indoors, where it is seldom given, the ``level`` parts the floors."""
    for key in ("layer", "level"):
        stated = tags.get(key)
        if stated is None:
            continue
        try:
            layer = floor(float(stated.split(";")[0]))
        except (ValueError, OverflowError):
            layer = LAYER_MAX + 1
        if abs(layer) <= LAYER_MAX:
            return layer
        doubts[f"{key} not understood"] += 1
    return -1 if tags.get("tunnel") in {"yes", "culvert"} else 0


def _count_what_is_not_followed(tags: Tags, doubts: Counter[str]) -> None:
    for key in _CONDITIONAL:
        if tags.get(key):
            doubts[f"{key}: holds at some hours only, not followed"] += 1
    one_way_on_foot = _ONEWAY.get(tags.get("oneway:foot") or "no") != "no"
    if one_way_on_foot or tags.get("conveying") not in {None, "no"}:
        doubts["one-way on foot (oneway:foot, conveying): on foot one-ways are not heeded"] += 1
