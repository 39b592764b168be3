"""Files that people bring: policy, topics, roads, rosters, calls and rates.

A file is used, or refused by the error of its reader, which names it; what was read is within the
limits that its format states.
"""

import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from tests.fuzz import judge, wire
from tests.fuzz.mutation import JsonMutator, Mutate, TextMutator
from tests.fuzz.target import Target
from tests.geo import maps
from tests.streams.station import AREAS, POLICY, STREETS
from xiaohe.dispatch.policy import DURATIONS, PolicyError, load_policy
from xiaohe.geo.check import check_roads
from xiaohe.geo.files import load_network
from xiaohe.geo.importer import import_roads
from xiaohe.geo.roads import (
    LAYER_MAX,
    MAXSPEED_KMH_MAX,
    ROAD_ID_CHARACTERS_MAX,
    RoadPiece,
    RoadsFileError,
    read_roads,
    write_roads,
)
from xiaohe.geo.snap import Snapper
from xiaohe.places import FileUnreadable
from xiaohe.roster_file import RosterFileError, read_roster
from xiaohe.sim.streets import Streets
from xiaohe.sim.whatif.files import DemandFileError, read_calls, read_rates
from xiaohe.sim.whatif.scenario import parse_scenario, read_scenarios
from xiaohe.topics import TOPICS_FILE, TopicsFileError, load_topics

MONTH_S: Final = 31 * 86_400

Read = Callable[[Path], Any]


@cache
def _folder() -> Path:
    """Where the files of this process lie; in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    where = tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    return Path(where)


def file_of(name: str, data: bytes) -> Path:
    """Put bytes into a file of this name."""
    path = _folder() / name
    path.write_bytes(data)
    return path


# --- policy and topics


def policies(data: bytes) -> bool:
    """A policy, laid over the shipped one and alone: figures in their ranges, or PolicyError."""
    with suppress(PolicyError):
        load_policy(data)
    try:
        policy = load_policy(data, base=POLICY)
    except PolicyError:
        return False
    for area in policy.areas.values():
        assert judge.identifier(area.area_id)
    for priority, mode, category in ((1, "emergency", "dispute"), (4, "peacetime", "fire")):
        rules = policy.rules(priority, mode, category, "town")
        for name in DURATIONS:
            value = getattr(rules, name)
            assert value is None or 0 <= value <= MONTH_S or name == "retry_s"
        assert math.isfinite(rules.retry_s)
        assert rules.retry_s > 0
        assert 1 <= rules.needed <= 50
    return True


def topics(data: bytes) -> bool:
    """A topics file: topics with their settings, or TopicsFileError."""
    try:
        loaded = load_topics(file_of("topics.yaml", data))
    except TopicsFileError:
        return False
    names = [topic.name for topic in loaded]
    assert len(set(names)) == len(names)
    for topic in loaded:
        assert 1 <= topic.partitions <= 1024
        assert topic.retention_ms == -1 or 0 < topic.retention_ms < 2**63
        assert topic.configs
    return True


# --- roads


def roads(data: bytes) -> bool:
    """A roads file: pieces that can be written and read again, or RoadsFileError."""
    try:
        pieces = read_roads(data)
    except RoadsFileError:
        return False
    _check_pieces(pieces)
    written = write_roads(pieces)
    assert write_roads(read_roads(written)) == written
    assert len(read_roads(written)) == len(pieces)
    for problem in check_roads(pieces):
        assert problem.text
    try:
        network, _ = load_network(file_of("roads.geojson", data))
    except RoadsFileError:
        return True
    assert network.edge_count >= 0
    return True


def _check_pieces(pieces: tuple[RoadPiece, ...]) -> None:
    for piece in pieces:
        assert len(piece.road_id) <= ROAD_ID_CHARACTERS_MAX
        assert len(piece.points) > 1
        assert all(judge.is_number(number) for point in piece.points for number in point)
        assert piece.maxspeed_kmh is None or 0 < piece.maxspeed_kmh <= MAXSPEED_KMH_MAX
        assert abs(piece.layer) <= LAYER_MAX
        assert piece.oneway in {"yes", "no", "-1"}


def _imported(name: str) -> Callable[[bytes], bool]:
    def run(data: bytes) -> bool:
        path = file_of(name, data)
        try:
            report = import_roads(path)
        except RoadsFileError as error:
            return _is_named(path, error)
        assert report.pieces
        assert all(
            abs(lon) <= 180 and abs(lat) <= 90
            for piece in report.pieces
            for lon, lat in piece.points
        )
        assert read_roads(write_roads(report.pieces))
        return True

    return run


def _is_named(path: Path, error: RoadsFileError) -> bool:
    assert str(path) in str(error), "a refusal that does not say of what"
    return False


# --- rosters and calls


def roster_files(data: bytes) -> bool:
    """A roster file: members that can be published as they are, or RosterFileError."""
    try:
        members = read_roster(file_of("roster.json", data))
    except (RosterFileError, FileUnreadable):
        return False
    for entry in members:
        assert judge.roster(entry) is not False, "a wrong acceptance"
        assert orjson.dumps(entry)
        assert str(entry["member_id"]).encode()
    return True


@cache
def _streets() -> Streets:
    network = maps.network(STREETS)
    return Streets(network, Snapper(network))


def calls(data: bytes) -> bool:
    """A calls file: calls on the map, in order of time, or DemandFileError."""
    try:
        found = read_calls(file_of("calls.csv", data), _streets(), UTC)
    except DemandFileError:
        return False
    assert found.calls
    assert [call.at_ms for call in found.calls] == sorted(call.at_ms for call in found.calls)
    for call in found.calls:
        assert _streets().is_here((call.lon, call.lat))
        assert 1 <= call.priority <= 4
        assert 1 <= len(call.category) <= 128
    assert found.told() or not found.left_out
    return True


def rates(data: bytes) -> bool:
    """A rates file: 7 × 24 finite rates, or DemandFileError."""
    suffix, rest = (".csv" if data[:1] == b"c" else ".yaml"), data[1:]
    try:
        found = read_rates(file_of("rates" + suffix, rest))
    except DemandFileError:
        return False
    assert [len(day) for day in found.per_hour] == [24] * 7
    assert all(judge.is_number(rate) and rate >= 0 for day in found.per_hour for rate in day)
    for spot in found.spots:
        assert judge.is_number(spot.weight)
        assert spot.weight >= 0
        assert spot.place is None or all(map(judge.is_number, spot.place))
    return True


def scenarios(data: bytes) -> bool:
    """Scenarios, in a file or as an option: what can be played, or ScenarioError."""
    try:
        if data[:1] == b"f":
            found = read_scenarios(file_of("scenarios.yaml", data[1:]))
        else:
            found = (parse_scenario(data[1:].decode(errors="replace")),)
    except DemandFileError:
        return False
    for scenario in found:
        assert scenario.name
        assert judge.is_number(scenario.rate)
        assert 0 <= scenario.rate <= 100
        assert scenario.members is None or scenario.members > 0
    return True


# --- what they start from


class _Either:
    """Changes a text, or writes a changed JSON value: YAML reads both."""

    def __init__(self, text: TextMutator, values: JsonMutator, prefix: bytes = b"") -> None:
        self._text = text
        self._json = values
        self._prefix = prefix

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another file."""
        body = data[len(self._prefix) :]
        mutate: Mutate = self._json if rng.random() < 0.5 else self._text
        return self._prefix + mutate(body, rng)


_YAML_WORDS: Final = (
    *(b": ", b"- ", b"  ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<: *a", b"!!int x", b"null"),
    *(
        b"!!binary x",
        b"!!timestamp x",
        b"2001-99-99",
        b"1_0",
        b"0x_",
        b"~",
        b"# ",
        b"'",
        b'"',
        b"? ",
    ),
    *(
        b"!!float x",
        b".nan",
        b".inf",
        b"1e400",
        b"9" * 4400,
        b"[" * 1200,
        b"\n",
        b"|",
        b">",
        b"---\n",
    ),
    *(b"=", b"yes", b"12:30:45", b"!!set {a}", b"!!omap [a: 1]", b"%YAML 9.9\n", b"@"),
)
_POLICIES: Final = (
    b"rules: [{when: {category: quiet}, set: {backup: never, accept_s: 30}}]\n",
    b"areas: [{area_id: town, name: Town, mode: emergency}]\ndead_letters: {keep_heads: true}\n",
    AREAS.encode(),
)
_POLICY_VALUES: Final = (
    {
        "areas": [{"area_id": "town", "name": "Town", "timezone": "UTC", "neighbours": ["east"]}],
        "rules": [
            {"when": {"priority": [1, 2], "mode": "emergency"}, "set": {"retry_s": 5}},
            {"when": {"category": "fire", "area": "town"}, "set": {"needed": 2, "backup_s": None}},
            {"set": dict.fromkeys(DURATIONS, 9) | {"forces": ["brigade"], "swap_max": 1}},
        ],
        "dead_letters": {"keep_heads": True},
    },
)


def _line(points: list[list[float]], **properties: Any) -> dict[str, Any]:
    geometry = {"type": "LineString", "coordinates": points}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


_COLLECTION: Final = {
    "type": "FeatureCollection",
    "features": [
        _line([[120.14, 30.32], [120.142, 30.32]], road_id="x", oneway="yes", maxspeed_kmh=30),
        _line([[120.141, 30.321], [120.141, 30.319]], road_id="y", bridge=False, layer=0),
        _line([[120.142, 30.32], [120.143, 30.32]], road_id="z", modes=["walk"], area_id="town"),
    ],
}
_RAW: Final = {
    "type": "FeatureCollection",
    "datum": "gcj02",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    "features": [
        _line([[120.14, 30.32], [120.142, 30.32]], name="a", highway="residential"),
        {
            "type": "Feature",
            "properties": {"name": "b"},
            "geometry": {
                "type": "MultiLineString",
                "coordinates": [[[120.141, 30.321], [120.141, 30.319]]],
            },
        },
    ],
}
_GRAPH: Final = {
    "directed": True,
    "graph": {"crs": "epsg:4326"},
    "nodes": [{"id": n, "x": 120.14 + n / 1000, "y": 30.32} for n in range(3)],
    "links": [
        {"source": 0, "target": 1, "osmid": [7, 8], "travel_time": 9.5, "highway": "residential"},
        {"source": 1, "target": 0, "name": ["a", "b"], "speed_kph": 30, "maxspeed": "30 mph"},
        {"source": 1, "target": 2, "geometry": "LINESTRING (120.141 30.32, 120.142 30.32)"},
    ],
}
_OSM: Final = b"""<?xml version="1.0"?><osm version="0.6">
<node id="1" lon="120.14" lat="30.32" version="1"/>
<node id="2" lon="120.141" lat="30.32" version="1"><tag k="barrier" v="bollard"/></node>
<node id="3" lon="120.142" lat="30.321" version="1"/>
<way id="7" version="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/>
<tag k="highway" v="residential"/><tag k="name" v="a"/><tag k="maxspeed" v="30 mph"/></way>
<way id="8" version="1"><nd ref="3"/><nd ref="1"/><tag k="highway" v="footway"/></way>
</osm>"""
_OSM_WORDS: Final = (
    *(
        b"<nd ref=",
        b'"1"',
        b"<tag k=",
        b' v="',
        b"/>",
        b'id="9999999999999999999"',
        b"</way>",
        b"&lt;",
    ),
    *(b'lon="200"', b'lat="nan"', b'lon="1e400"', b"highway", b"oneway", b"-1", b"service", b"yes"),
    *(b"&#0;", b"<!DOCTYPE a>", b"<relation>", b'visible="false"', b"layer", b"access", b"no"),
)
_MEMBERS: Final = list(wire.ROSTER)
_CALLS: Final = (
    b"time,lon,lat,category,priority,road_id\n2026-01-01 08:00:00,120.1405,30.3195,fire,2,ab\n"
    b"2026-01-01T09:00:00+08:00,120.141,30.3195,,,\n01/02/2026 10:00:00 PM,120.1402,30.3191,x,1,\n"
)
_CSV_WORDS: Final = (
    *(b",", b"\n", b'"', b"\r\n", b"time", b"lon", b"lat", b"nan", b"inf", b"1e400", b"0001-01-01"),
    *(
        b"9999-12-31T23:59:59-23:59",
        b"\x00",
        b"\x1f\x8b",
        b"x" * 140_000,
        b"2026-W01-1",
        b"24",
        b"-1",
    ),
    *(b"hour,calls_per_hour,weekday", b"mon", b"0001-01-01T00:00:00+14:00", b"9" * 5000),
)
_RATES: Final = (
    b"y" + json.dumps({"per_day": 40, "categories": {"fire": 1}}).encode(),
    b"yhours: [" + b", ".join([b"1.5"] * 24) + b"]\nplaces: [{lon: 120.14, lat: 30.32, weight: 2}]",
    b"chour,calls_per_hour,weekday\n0,1.5,mon\n1,2,\n",
)
_RATE_VALUES: Final = (
    {"per_day": 40, "places": [{"road_id": "ab", "weight": 1}, {"lon": 1, "lat": 2}]},
    {"weekdays": {day: [1] * 24 for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}},
    {"hours": [0.5] * 24, "categories": {"fire": 0.5}},
)
_SCENARIOS: Final = (
    b"ofewer:members=45,rate=1.5,posture=patrol,mode=ebike,move=a>b",
    b"fscenarios:\n  - {name: fewer, members: 45, move: {a: b}, mode: {a: car}, rate: 2}\n",
)
_SCENARIO_VALUES: Final = (
    {"scenarios": [{"name": "a", "members": 4, "rate": 1.5, "mode": {"a": "car"}, "roster": "x"}]},
)


class _Prefixed:
    """Changes a file whose first byte says which reader reads it."""

    def __init__(self, text: TextMutator, values: JsonMutator) -> None:
        self._by_text, self._by_value = text, values

    def __call__(self, data: bytes, rng: Random) -> bytes:
        """Give another file."""
        kind = data[:1] or b"y"
        if kind in {b"y", b"f"} and rng.random() < 0.5:
            return kind + self._by_value(data[1:], rng)
        return kind + self._by_text(data[1:], rng)


_TOPICS: Final = TOPICS_FILE.read_bytes()

TARGETS: Final = (
    Target("policies", policies, [*_POLICIES, *(orjson.dumps(v) for v in _POLICY_VALUES)],
           _Either(TextMutator(_POLICIES, _YAML_WORDS), JsonMutator(_POLICY_VALUES)),
           bytes_max=8_192, quick=150),
    Target("topics", topics, [_TOPICS], TextMutator([_TOPICS], (*_YAML_WORDS, b"d", b"d", b" d")),
           bytes_max=16_384, share=0.5, quick=15),
    Target("roads", roads, [orjson.dumps(_COLLECTION)], JsonMutator([_COLLECTION, _RAW]),
           quick=200),
    Target("roads_raw", _imported("raw.geojson"), [orjson.dumps(_RAW), orjson.dumps(_COLLECTION)],
           JsonMutator([_COLLECTION, _RAW]), quick=200),
    Target("graphs", _imported("graph.json"), [orjson.dumps(_GRAPH)],
           JsonMutator([_GRAPH], ("LINESTRING EMPTY", "POINT (1 2)", "epsg:3857")), quick=300),
    Target("osm", _imported("map.osm"), [_OSM], TextMutator([_OSM], _OSM_WORDS), quick=300),
    Target("roster_files", roster_files, [orjson.dumps(_MEMBERS)],
           JsonMutator([_MEMBERS], (*wire.WORDS, "member_id")), bytes_max=8_192, quick=500),
    Target("calls", calls, [_CALLS], TextMutator([_CALLS], _CSV_WORDS), bytes_max=200_000,
           quick=1_000),
    Target("rates", rates, [*_RATES, *(b"y" + orjson.dumps(v) for v in _RATE_VALUES)],
           _Prefixed(TextMutator([each[1:] for each in _RATES], (*_YAML_WORDS, *_CSV_WORDS)),
                     JsonMutator(_RATE_VALUES)), bytes_max=8_192, quick=500),
    Target("scenarios", scenarios, _SCENARIOS,
           _Prefixed(TextMutator([each[1:] for each in _SCENARIOS],
                                 (*_YAML_WORDS, b"members=", b"rate=", b"mode=", b">", b",")),
                     JsonMutator(_SCENARIO_VALUES)), quick=1_000),
)  # fmt: skip
