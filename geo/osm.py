"""Reads OpenStreetMap files (pbf or xml, also packed) into road pieces.

Kept are the highways that somebody can travel on; each is split at the nodes that it shares with
another, so that pieces meet at end vertices and a bridge does not meet what it crosses. What the
tags of a way say is ``osm_tags``'s matter, what a barrier on it does is that of ``barriers``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import osmium

from xiaohe.geo.address_points import ADDRESSES_MAX, AddressPoint
from xiaohe.geo.barriers import Place, open_modes, stopped_by, stretches
from xiaohe.geo.osm_tags import road_of
from xiaohe.geo.progress import Watch, unwatched
from xiaohe.geo.roads import COORDINATE_DECIMALS, LonLat, Mode, RoadPiece, RoadsFileError
from xiaohe.geo.tally import Tally

WATCH_EVERY: Final = 1000
"""Ways between two words on how far reading is: often enough to see it move."""

ARMS_OF_A_STREET: Final = 2
"""Ends of road that meet at a place which is no junction: the street goes on."""


HOUSE_NUMBER: Final = "addr:housenumber"
STREET: Final = "addr:street"


_READER_ERRORS: Final = (
    osmium.InvalidLocationError,
    ArithmeticError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What osmium raises over a file that is broken; it has no error class of its own for that."""


@dataclass(frozen=True, slots=True)
class Import:
    """What a file gave: the pieces, the highways read, and what was left out or passed over.

    ``addresses`` are the houses that state their street and number, of nodes and of outlines.
    """

    pieces: tuple[RoadPiece, ...]
    ways: int
    tally: Tally
    addresses: tuple[AddressPoint, ...] = ()


class _Way(NamedTuple):
    """A way fit for travel: its nodes, and the properties that all its pieces share."""

    way_id: int
    nodes: tuple[tuple[int, LonLat | None], ...]
    road: RoadPiece


@dataclass(slots=True)
class _Found:
    """What is gathered while a file is read."""

    ways: dict[int, _Way] = field(default_factory=dict)
    barriers: dict[int, frozenset[Mode]] = field(default_factory=dict)
    addresses: list[AddressPoint] = field(default_factory=list)
    count: int = 0


def read_osm(path: str | Path, watch: Watch = unwatched) -> Import:
    """Read the roads of an OpenStreetMap file.

    ``ways`` counts the highways read; the tally has those left out by reason, and the tags that
    were not understood and passed over. Raises ``RoadsFileError`` if the file cannot be read or
    has no roads.
    """
    tally = Tally()
    try:
        with Path(path).open("rb") as file:
            if not file.read(1):
                raise RoadsFileError([f"{path}: the file is empty: fetch it again"])
    except OSError as error:
        reason = error.strerror or error
        raise RoadsFileError([f"{path}: {reason}: name a file that can be read"]) from None
    try:
        found = _read(Path(path), tally, watch)
    except _READER_ERRORS as error:
        reason = (str(error) or type(error).__name__).removesuffix(f": {path}")
        text = (
            f"{path}: {reason}: give a whole OpenStreetMap file (.osm.pbf, .osm, .osm.gz); "
            "fetch it again if it was cut off on the way"
        )
        raise RoadsFileError([text]) from None
    pieces = tuple(_split(found, tally))
    if not pieces:
        text = (
            f"{path}: no road in {found.count} highways: is it the right extract, and does it "
            "hold the nodes of its ways?"
        )
        raise RoadsFileError([text])
    return Import(pieces, found.count, tally, tuple(found.addresses))


def _read(path: Path, tally: Tally, watch: Watch) -> _Found:
    found = _Found()
    reader = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY).with_locations()
    reader.with_filter(osmium.filter.KeyFilter("highway", "barrier", HOUSE_NUMBER))
    for thing in reader:
        if isinstance(thing, osmium.osm.Node | osmium.osm.Way) and HOUSE_NUMBER in thing.tags:
            _take_house(thing, found, tally)
        if isinstance(thing, osmium.osm.Node):
            if "barrier" in thing.tags:
                found.barriers[int(thing.id)] = stopped_by(thing.tags, tally.doubts)
        elif isinstance(thing, osmium.osm.Way) and "highway" in thing.tags and thing.visible:
            _take_way(thing, found, tally)
            if found.count % WATCH_EVERY == 0:
                watch("reading ways", found.count, None)
    return found


def _take_house(thing: "osmium.osm.Node | osmium.osm.Way", found: _Found, tally: Tally) -> None:
    """Keep a house where its street, its number and its place are known."""
    street, number = thing.tags.get(STREET), thing.tags.get(HOUSE_NUMBER)
    if not (street and number and thing.visible):
        return  # of another country's way of numbering, or a block's: no street says where it is
    nodes = [thing] if isinstance(thing, osmium.osm.Node) else list(thing.nodes)
    at = [_place(node.location) for node in nodes if node.location.valid()]
    if len(found.addresses) >= ADDRESSES_MAX:
        tally.doubts["house numbers beyond what a roads file may have"] += 1
        return
    if not at:
        return
    lons, lats = zip(*at, strict=True)
    point = AddressPoint(str(street), str(number), sum(lons) / len(lons), sum(lats) / len(lats))
    found.addresses.append(point)


def _take_way(way: "osmium.osm.Way", found: _Found, tally: Tally) -> None:
    found.count += 1
    way_id = int(way.id)
    road = road_of(way.tags, way_id, tally.doubts)
    if isinstance(road, str):
        tally.drop(road, f"way/{way_id}")
        return
    if way_id in found.ways:
        tally.drop("given twice: the later one is kept", f"way/{way_id}")
    nodes = tuple(
        (int(node.ref), _place(node.location) if node.location.valid() else None)
        for node in way.nodes
    )
    found.ways[way_id] = _Way(way_id, nodes, road)


def _place(location: "osmium.osm.Location") -> LonLat:
    return round(location.lon, COORDINATE_DECIMALS), round(location.lat, COORDINATE_DECIMALS)


def _split(found: _Found, tally: Tally) -> Iterator[RoadPiece]:
    """Split every way at its shared nodes and barriers, and where the extract lacks a node."""
    ways = found.ways.values()
    uses = Counter(ref for way in ways for ref, _ in way.nodes)
    standing = _standing(found, tally)
    for way in ways:
        pieces = [piece for run in _runs(way, uses, standing) for piece in _pieces(way, run, tally)]
        if not pieces:
            tally.drop("no length inside the extract", f"way/{way.way_id}")
        yield from pieces


def _standing(found: _Found, tally: Tally) -> dict[int, tuple[int, frozenset[Mode]]]:
    """Return the barriers that stop somebody: by node, the one way to cut there, and whom.

    A barrier on a junction says not which of its arms it shuts, and shuts none.
    """
    arms: Counter[int] = Counter()
    owner: dict[int, int] = {}
    for way in found.ways.values():
        for i, (ref, _) in enumerate(way.nodes):
            if found.barriers.get(ref):
                arms[ref] += (i > 0) + (i + 1 < len(way.nodes))
                owner.setdefault(ref, way.way_id)
    for ref in arms:
        if arms[ref] > ARMS_OF_A_STREET:
            tally.doubts["barrier on a junction: which way it shuts is not said"] += 1
    return {
        ref: (owner[ref], found.barriers[ref])
        for ref, count in arms.items()
        if count == ARMS_OF_A_STREET
    }


def _runs(
    way: _Way, uses: Mapping[int, int], standing: Mapping[int, tuple[int, frozenset[Mode]]]
) -> Iterator[list[Place]]:
    run: list[Place] = []
    for ref, at in way.nodes:
        if at is None:
            yield run
            run = []
            continue
        owner, stopped = standing.get(ref, (None, frozenset()))
        place = Place(at, stopped if owner == way.way_id else frozenset())
        if run and run[-1].at == at:
            place = Place(at, place.stopped | run.pop().stopped)
        run.append(place)
        if uses[ref] > 1:
            yield run
            # What stands at the end of a run shuts that one; it need not shut the next as well.
            run = [place if len(run) == 1 else Place(at)]
    yield run


def _pieces(way: _Way, run: list[Place], tally: Tally) -> Iterator[RoadPiece]:
    if len({place.at for place in run}) < 2:  # noqa: PLR2004 - a line has two ends
        return
    users = open_modes(way.road, frozenset())
    for points, stopped in stretches(Place(at, stops.intersection(users)) for at, stops in run):
        modes = open_modes(way.road, stopped)
        if not modes:
            tally.drop("shut by a barrier (stretches)", f"way/{way.way_id}")
        elif stopped:
            yield replace(way.road, points=points, modes=modes)
        else:
            yield replace(way.road, points=points)
