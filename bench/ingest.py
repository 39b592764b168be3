"""Positions on one core: how many a second are read, moved and taken, and where their time goes.

Every record goes through each stage in turn, so that whatever else the machine does burdens all
stages alike; the median of a stage's times counts. The limit beside them is ``orjson`` reading
the same bytes into nothing but dicts and lists.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from xiaohe.bench.places import Point, roster
from xiaohe.bench.timing import collector_as_in_a_worker
from xiaohe.dispatch.policy import load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.dispatch.tracking import concerned
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.geo.live import LivePositions
from xiaohe.places import POLICY
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.member_views import MemberViews
from xiaohe.streams.ports import POSITIONS, Raw
from xiaohe.streams.whose_fix import members_of
from xiaohe.topics import load_topics
from xiaohe.wire.codec import decode_roster
from xiaohe.wire.codec_common import are_identifiers
from xiaohe.wire.codec_positions import PositionsRecord, decode_positions
from xiaohe.wire.fix_columns import FixColumns
from xiaohe.wire.fix_times import parse_all
from xiaohe.wire.murmur2 import partition_of

AREA: Final = "bench"
KEY: Final = AREA.encode()

RECORD_SIZES: Final = (1, 100, 1_000)
"""Positions in a record: alone, what a gateway packs in a tenth of a second, the most allowed."""

BEGIN_MS: Final = parse_rfc3339("2030-01-07T12:00:00+08:00")
ROUND_MS: Final = 10_000
"""A tracker's usual interval."""

STEP_M: Final = 15.0
"""So far a member gets in a round: on foot or in traffic."""

DEGREE_M: Final = 111_000.0
ZONE_MS: Final = 8 * 3_600_000
TRACKERS_SHARE: Final = 0.1
"""Of the members, so many send the id of their device along."""

FIXES: Final = 20_000
"""Positions under the clock for each size of record: a second's work or so."""

BLOCK_FIXES: Final = 1_000
"""Positions between two looks at the clock, which takes some tenths of a microsecond."""


@dataclass(frozen=True)
class _Fleet:
    """Invented members who walk about, round by round, and send what trackers send."""

    member_ids: list[str]
    starts: list[Point]
    chance: random.Random

    def values(self, size: int, fixes: int) -> Iterator[bytes]:
        """Give the values of so many positions in records of a size, everybody in turn."""
        waiting: list[dict[str, Any]] = []
        places = list(self.starts)
        for n in range(fixes):
            at_round, who = divmod(n, len(places))
            places[who] = self._step(places[who])
            waiting.append(self._fix(who, places[who], BEGIN_MS + at_round * ROUND_MS))
            if len(waiting) == size:
                yield orjson.dumps(waiting[0] if size == 1 else {"area_id": AREA, "batch": waiting})
                waiting = []

    def _step(self, place: Point) -> Point:
        step_deg = STEP_M / DEGREE_M
        return (
            place[0] + self.chance.uniform(-step_deg, step_deg),
            place[1] + self.chance.uniform(-step_deg, step_deg),
        )

    def _fix(self, who: int, place: Point, round_ms: int) -> dict[str, Any]:
        chance = self.chance
        fix_ms = round_ms + chance.randrange(ROUND_MS // 2)
        fix = {
            "member_id": self.member_ids[who],
            "lon": round(place[0], 6),
            "lat": round(place[1], 6),
            "fix_time": _in_china(fix_ms) if who % 2 else rfc3339(fix_ms),
            "accuracy_m": round(chance.uniform(3, 30), 1),
            "speed_mps": round(chance.uniform(0, 6), 1),
            "course_deg": round(chance.uniform(0, 359), 1),
            "seq": round_ms // 1_000 % 100_000,
            "battery": round(chance.random(), 2),
        }
        if who % round(1 / TRACKERS_SHARE) == 0:
            fix["device_id"] = f"tracker-{who}"
        return fix


def _in_china(ms: int) -> str:
    return rfc3339(ms + ZONE_MS)[:-1] + "+08:00"


class _Station:
    """An engine and, apart from it, live positions of the same members."""

    def __init__(self, roads: RoadMap, entries: list[dict[str, Any]]) -> None:
        self.roster = Roster()
        for entry in entries:
            self.roster.put(decode_roster(entry["member_id"].encode(), orjson.dumps(entry)))  # type: ignore[arg-type]  # nobody is gone
        topics = load_topics()
        names = {topic.id: topic.name for topic in topics}
        base = POLICY.read_bytes()
        shared = Shared(
            load_policy(b"{}", base=base),
            self.roster,
            roads,
            names,
            frozenset(),
            topics.area_partitions,
        )
        self.partition = partition_of(KEY, topics.area_partitions)
        self.engine = AreaEngine(self.partition, shared)
        self.views = MemberViews(self.roster, names)
        self.live = LivePositions(roads.snapper)
        for member in self.roster.members(AREA).values():
            self.live.enrol(member.member_id, member.travel_mode)
        self.world = World(shared.policy, self.roster, roads, self.live)
        self.state = AreaState(AREA, "peacetime")
        self._offset = 0

    def take(self, value: bytes) -> None:
        """All that the engine does with a record."""
        self._offset += 1
        at_ms = BEGIN_MS + 86_400_000
        raw = Raw(POSITIONS, self.partition, self._offset, at_ms, KEY, value)
        steps = self.engine.take(raw, at_ms, 1)
        assert not steps, "nobody is on the way, so nothing follows from a position"

    def move(self, record: PositionsRecord) -> None:
        """Only the live positions of a record that has been read."""
        fixes = record.fixes
        if isinstance(fixes, FixColumns):
            self.live.move_many(
                members_of(self.roster, self.state, fixes, BEGIN_MS),  # type: ignore[arg-type]  # all are known
                fixes.lon,
                fixes.lat,
                fixes.fix_ms,
                fixes.accuracy_m,
                fixes.speed_mps,
                fixes.course_deg,
            )
            return
        for fix in fixes:
            assert fix.member_id is not None, "the fleet names its members"
            self.live.move(
                fix.member_id,
                fix.lon,
                fix.lat,
                fix.fix_ms,
                accuracy_m=fix.accuracy_m,
                speed_mps=fix.speed_mps,
                course_deg=fix.course_deg,
            )


def measure_ingest(
    roads: RoadMap, points: list[Point], members: int = 5_000, fixes: int = FIXES
) -> dict[str, object]:
    """Measure on one core; ``points`` (lon, lat) are where the invented members may begin.

    ``fixes`` positions are counted for each size of record, after each member has sent one: the
    first compile what is compiled, and say where everybody begins.

    For each size of record: positions a second through ``json_only`` (the limit: nothing but
    orjson), ``decode`` (checked, in WGS-84 and milliseconds), ``decode_and_move`` (into the live
    positions), and ``take`` (the engine whole). ``parts_us``: where the microseconds of one
    position go in the largest record, each part on its own.
    """
    chance = random.Random(5)  # noqa: S311 - places, not secrets
    entries = roster(AREA, members, points, chance)
    starts = [(entry["post"]["lon"], entry["post"]["lat"]) for entry in entries]
    member_ids = [entry["member_id"] for entry in entries]
    warm_up = -(-members // BLOCK_FIXES)
    sent = warm_up * BLOCK_FIXES + fixes
    records = []
    for size in RECORD_SIZES:
        station = _Station(roads, entries)
        values = list(_Fleet(member_ids, starts, chance).values(size, sent))
        with collector_as_in_a_worker():
            records.append(_rates(station, values, size, warm_up))
    return {"members": members, "records": records, "parts_us": _parts_us(station, values, fixes)}


def _rates(station: _Station, values: list[bytes], size: int, warm_up: int) -> dict[str, object]:
    stages: dict[str, Callable[[bytes], object]] = {
        "json_only": orjson.loads,
        "decode": lambda value: decode_positions(KEY, value),
        "decode_and_move": lambda value: station.move(decode_positions(KEY, value)),
        "take": station.take,
    }
    took_s: dict[str, list[float]] = {name: [] for name in stages}
    together = BLOCK_FIXES // size
    for first in range(0, len(values), together):
        block = values[first : first + together]
        for name, stage in stages.items():
            took_s[name].append(_seconds(stage, block) / (len(block) * size))
    per_s = {
        f"{name}_per_s": round(1 / statistics.median(each[warm_up:]))
        for name, each in took_s.items()
    }
    return {"positions": size, "bytes_per_position": round(len(values[-1]) / size), **per_s}


def _parts_us(station: _Station, values: list[bytes], fixes: int) -> dict[str, float]:
    """Time the parts of a record, each on the same records."""
    took_s: dict[str, list[float]] = {}
    for value in values[-fixes // RECORD_SIZES[-1] :]:
        columns = decode_positions(KEY, value).fixes
        assert isinstance(columns, FixColumns), "the largest record lies in columns"
        for name, part in _parts(station, value, columns).items():
            took_s.setdefault(name, []).append(_seconds(part, [columns]) / len(columns))
    return {name: round(statistics.median(each) * 1e6, 3) for name, each in took_s.items()}


def _parts(
    station: _Station, value: bytes, fixes: FixColumns
) -> dict[str, Callable[[FixColumns], object]]:
    names = [name for name in (*fixes.member_ids, *fixes.device_ids) if name is not None]
    texts = [said.fix_time for said in fixes.said]
    whose = list(fixes.member_ids)
    known = [member_id for member_id in whose if member_id is not None]
    return {
        "decode": lambda _: decode_positions(KEY, value),
        "decode: identifiers": lambda _: are_identifiers(names),
        "decode: times": lambda _: parse_all(texts),
        "whose": lambda columns: members_of(station.roster, station.state, columns, BEGIN_MS),
        "concerned": lambda columns: list(
            concerned(station.state, station.world, BEGIN_MS, whose, columns.alarms, 0)
        ),
        "not newer than receipt": lambda columns: np.minimum(columns.fix_ms, BEGIN_MS),
        "touch the views": lambda _: station.views.touch_each(known),
    }


def _seconds(stage: Callable[[Any], object], given: Sequence[object]) -> float:
    """Give the processor's time: what else the machine does is not counted."""
    started_s = time.thread_time()
    for each in given:
        stage(each)
    return time.thread_time() - started_s


def table(result: dict[str, Any]) -> str:
    """Write a result for people."""
    stages = ("json_only", "decode", "decode_and_move", "take")
    head = "positions a second, one core".ljust(32) + "".join(f"{name:>18}" for name in stages)
    lines = [head]
    for record in result["records"]:
        told = f"  records of {record['positions']:,}"
        lines.append(told.ljust(32) + "".join(f"{record[f'{s}_per_s']:18,}" for s in stages))
    lines.append("of one position, in the largest record, µs")
    lines += [f"  {name:28} {us:8.3f}" for name, us in result["parts_us"].items()]
    return "\n".join(lines)
