"""How long an alert waits for its order while one kind of record floods the same area.

The real engine and lane on topics in memory, in one process with the load: what is measured is
what the lane does, without Kafka. Each flood runs on a lane of its own, and the same lane is first
measured without one, under the usual load.
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from xiaohe.bench.load import CATEGORIES, quantile
from xiaohe.bench.places import Point, roster
from xiaohe.dispatch.policy import load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import RoadMap
from xiaohe.places import POLICY
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.codec import decode_roster
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.memory_log import MemoryBus, MemoryTopics
from xiaohe.streams.ports import POSITIONS, Raw
from xiaohe.streams.service import GC_ALLOCATIONS
from xiaohe.topics import load_topics

AREA: Final = "bench"
KEY: Final = AREA.encode()

ALERTS_PER_S: Final = 20
"""Beside every flood: enough for a 99th percentile, far below what a lane can do."""

USUAL_POSITIONS_PER_S: Final = 1_000
"""Of a thousand members, each with a fix a second."""

PACK: Final = 100
"""Positions in a record, as the gateway packs them."""

BURST_ALERTS: Final = 2_000

TURN_S: Final = 0.002
"""Between two looks at the clock of whoever sends."""

LAST_S: Final = 10.0
"""How long after a flood the last orders are waited for."""


@dataclass(frozen=True)
class Flood:
    """So many records a second on one topic; ``burst`` alerts once, in the middle."""

    name: str
    topic: str = POSITIONS
    records_per_s: int = 0
    make: Callable[["_Load"], bytes] | None = None
    burst: int = 0
    members: int = 3_000


@dataclass
class _Load:
    """Invented members who stand about, and what is sent."""

    member_ids: list[str]
    points: list[Point]
    chance: random.Random
    numbers: int = 0
    sent_ms: dict[str, float] = field(default_factory=dict)
    untaken_ms: dict[str, float] = field(default_factory=dict)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def alert(self) -> bytes:
        n = self.number()
        lon, lat = self.chance.choice(self.points)
        alert_id = f"a{n}"
        self.sent_ms[alert_id] = self.untaken_ms[alert_id] = time.perf_counter() * 1000
        value = {
            "alert_id": alert_id,
            "source": "sensor",
            "category": f"kind-{n % CATEGORIES}",
            "occurred_at": rfc3339(_now_ms()),
            "position": {"lon": lon, "lat": lat},
        }
        return orjson.dumps(value)

    def fix(self, member_id: str) -> dict[str, Any]:
        lon, lat = self.chance.choice(self.points)
        when = rfc3339(_now_ms())
        return {"member_id": member_id, "lon": lon, "lat": lat, "fix_time": when}

    def packed(self) -> bytes:
        n = self.number()
        ids = self.member_ids
        fixes = [self.fix(ids[(n * PACK + k) % len(ids)]) for k in range(PACK)]
        return orjson.dumps({"area_id": AREA, "batch": fixes})

    def single(self) -> bytes:
        return orjson.dumps(self.fix(self.member_ids[self.number() % len(self.member_ids)]))

    def one_device(self) -> bytes:
        return orjson.dumps(self.fix(self.member_ids[0]))


def _garbage(load: _Load) -> bytes:
    return b'{"no": ' + str(load.number()).encode()


def _unknown_member(load: _Load) -> bytes:
    return orjson.dumps(load.fix(f"stranger-{load.number()}"))


def _bad_batch(load: _Load) -> bytes:
    return orjson.dumps({"batch": [{"n": load.number()}] * 1_000, "area_id": AREA})


FLOODS: Final = (
    Flood("positions x 10, packed", records_per_s=9_000 // PACK, make=_Load.packed),
    Flood("positions x 50, packed", records_per_s=49_000 // PACK, make=_Load.packed),
    Flood("positions x 10, one a record", records_per_s=9_000, make=_Load.single),
    Flood("one device, 1,000 fixes a second", records_per_s=1_000, make=_Load.one_device),
    Flood("bad positions, 3,000/s", records_per_s=3_000, make=_garbage),
    Flood("positions of strangers, 3,000/s", records_per_s=3_000, make=_unknown_member),
    Flood("batches of 1,000 bad positions, 5/s", records_per_s=5, make=_bad_batch),
    Flood("bad alerts, 3,000/s", "alerts", 3_000, make=_garbage),
    Flood("bad member actions, 3,000/s", "member_actions", 3_000, make=_garbage),
    Flood("bad member actions, 10,000/s", "member_actions", 10_000, make=_garbage),
    Flood("bad operator actions, 10,000/s", "operator_actions", 10_000, make=_garbage),
    Flood("2,000 alerts at once", burst=BURST_ALERTS),
    Flood("2,000 alerts at once, 300 members", burst=BURST_ALERTS, members=300),
)


async def bench_flood(
    roads: RoadMap,
    points: list[Point],
    *,
    seconds: float = 6.0,
    floods: tuple[Flood, ...] = FLOODS,
) -> list[dict[str, object]]:
    """Measure each flood; a row has ms from alert to order without and with it."""
    found = []
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    for flood in floods:
        quiet, _ = await _measure(roads, points, Flood("none"), seconds / 3)
        busy, lane = await _measure(roads, points, flood, seconds)
        found.append({"flood": flood.name, "usual_ms": quiet, "flood_ms": busy, **lane})
    return found


async def _measure(
    roads: RoadMap, points: list[Point], flood: Flood, seconds: float
) -> tuple[dict[str, object], dict[str, object]]:
    chance = random.Random(11)  # noqa: S311 - places, not secrets
    entries = roster(AREA, flood.members, points, chance)
    known = Roster()
    for entry in entries:
        known.put(decode_roster(entry["member_id"].encode(), orjson.dumps(entry)))  # type: ignore[arg-type]  # nobody is gone
    names = {topic.id: topic.name for topic in load_topics()}
    policy = load_policy(b"areas: [{area_id: bench, name: Bench}]", base=POLICY.read_bytes())
    shared = Shared(policy, known, roads, names, frozenset(), 1)
    topics = MemoryTopics(SystemClock(), 1, {})
    bus = MemoryBus(topics, lambda partition: AreaEngine(partition, shared))
    load = _Load([entry["member_id"] for entry in entries], points, chance)
    waits_ms: list[float] = []
    topics.listen("dispatches", lambda raw: _answer(topics, load, raw, waits_ms))
    taken_ms: list[float] = []
    topics.listen("incident_events", lambda raw: _note_taken(load, raw, taken_ms))
    await bus.start()
    started_s = time.perf_counter()
    await _send(topics, load, flood, seconds)
    sent_s = time.perf_counter() - started_s
    deadline = time.perf_counter() + LAST_S
    while load.sent_ms and time.perf_counter() < deadline:  # noqa: ASYNC110 - ends by itself
        await asyncio.sleep(0.01)
    assert bus.failure is not None
    if bus.failure.done():
        raise bus.failure.result()
    lane = bus.lanes.lanes[0]
    behind = {topic: topics.end(topic, 0) - lane.next_inputs[topic] for topic in lane.next_inputs}
    told: dict[str, object] = {
        "p50": quantile(waits_ms, 0.5),
        "p99": quantile(waits_ms, 0.99),
        "max": quantile(waits_ms, 1.0),
        "taken_p99": quantile(taken_ms, 0.99),
        "taken_max": quantile(taken_ms, 1.0),
        "orders": len(waits_ms),
        "unanswered": len(load.sent_ms),
    }
    bus.kill()
    return told, {"sent_s": round(sent_s, 2), "behind": {t: n for t, n in behind.items() if n}}


def _answer(topics: MemoryTopics, load: _Load, raw: Raw, waits_ms: list[float]) -> None:
    """Note how long the order took, and let the member be free again."""
    order = orjson.loads(raw.value or b"")
    sent_ms = load.sent_ms.pop(order["alert_id"], None)
    if order["state"] != "ordered":
        return
    if sent_ms is not None:
        waits_ms.append(time.perf_counter() * 1000 - sent_ms)
    word = {
        "action_id": f"w{load.number()}",
        "member_id": order["member_id"],
        "dispatch_id": order["dispatch_id"],
        "at": rfc3339(_now_ms()),
        "action": "complete",
    }
    topics.append("member_actions", KEY, orjson.dumps(word))


def _note_taken(load: _Load, raw: Raw, taken_ms: list[float]) -> None:
    """Note how long an alert took to be taken, whoever is free to be sent."""
    event = orjson.loads(raw.value or b"")
    sent_ms = load.untaken_ms.pop(event["data"].get("alert_id", ""), None)
    if sent_ms is not None:
        taken_ms.append(time.perf_counter() * 1000 - sent_ms)


async def _send(topics: MemoryTopics, load: _Load, flood: Flood, seconds: float) -> None:
    """Send for so long whatever is due, however late it is."""
    due = list(_due(topics, load, flood))
    counts = [0] * len(due)
    started_s = time.perf_counter()
    burst = flood.burst
    while (passed_s := time.perf_counter() - started_s) < seconds:
        for n, (per_s, send) in enumerate(due):
            while counts[n] < passed_s * per_s:
                counts[n] += 1
                send()
        if burst and passed_s > seconds / 2:
            for _ in range(burst):
                topics.append("alerts", KEY, load.alert())
            burst = 0
        await asyncio.sleep(TURN_S)


def _due(
    topics: MemoryTopics, load: _Load, flood: Flood
) -> Iterator[tuple[float, Callable[[], object]]]:
    yield ALERTS_PER_S, lambda: topics.append("alerts", KEY, load.alert())
    per_s = USUAL_POSITIONS_PER_S / PACK
    yield per_s, lambda: topics.append(POSITIONS, KEY, load.packed())
    make = flood.make
    if make is not None:
        ready = [make(load) for _ in range(64)] if make is _Load.packed else None
        yield (
            flood.records_per_s,
            lambda: topics.append(
                flood.topic, KEY, make(load) if ready is None else load.chance.choice(ready)
            ),
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def table(rows: list[dict[str, Any]]) -> str:
    """Write a result for people."""
    heads = ("usual p50", "p99", "flood p50", "p99", "max", "taken p99")
    lines = ["alert → order, ms".ljust(40) + "".join(f"{head:>11}" for head in heads)]
    for row in rows:
        usual, busy = row["usual_ms"], row["flood_ms"]
        told = (usual["p50"], usual["p99"], busy["p50"], busy["p99"], busy["max"])
        line = row["flood"].ljust(40) + "".join(f"{ms!s:>11}" for ms in (*told, busy["taken_p99"]))
        lines.append(line + (f"  left behind: {row['behind']}" if row["behind"] else ""))
    return "\n".join(lines)
