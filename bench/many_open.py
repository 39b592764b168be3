"""``xiaohe bench deadlines``: what many open incidents cost a worker, and how late its steps are.

One worker of the product with all areas and the topics in memory: the real engine, lanes and
take-over, no Kafka. At each number of open incidents it takes over from a snapshot that holds them,
each with an order that nobody has answered and the deadlines that go with it. A while nothing is
due: that is a quiet second's cost. Then some steps a second fall due, as many whatever the number
of incidents, and each is timed from its deadline until its decision lies in the log.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
import structlog
from msgspec import structs

from xiaohe.bench.load import quantile
from xiaohe.bench.places import Point, area_of_each, road_points, roster
from xiaohe.bench.timing import collector_as_in_a_worker
from xiaohe.dispatch.evolve import put_incident
from xiaohe.dispatch.ids import dispatch_id_of, incident_id_of
from xiaohe.dispatch.policy import load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.importer import import_roads
from xiaohe.geo.network import Network
from xiaohe.geo.snap import Snapper
from xiaohe.places import POLICY, ROADS
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.decision_log import NO_SNAPSHOT, Decision, Fence, Mark, SnapshotWriter, encode
from xiaohe.streams.decision_log import decode as decode_entry
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.lane import TICK_MS
from xiaohe.streams.member_views import SWEEP_MS, VIEWS_PER_TICK_MAX
from xiaohe.streams.memory_log import DECISIONS, MemoryBus, MemoryTopics
from xiaohe.streams.ports import ALERTS, INPUTS, WAKEUPS, Raw
from xiaohe.topics import Topics, load_topics
from xiaohe.wire.codec import decode_roster

STILL_S: Final = 86_400
"""Seconds of every window: what falls due while it is measured is what was made to."""

STEPS_PER_S: Final = 20
"""Steps that fall due in a second, whatever is open: a city with a bad hour."""

FREE_SHARE: Final = 0.1
"""Members without an order, of all that have one: who is asked next."""

QUIET_S: Final = SWEEP_MS / 1000
"""So long nothing is due while it is measured what that costs: everybody is looked at once."""

SETTLE_S: Final = 2.0
"""After all that a take-over brings with it, before a second counts as quiet."""

LEAD_MS: Final = 3_600_000
"""From what is open to the first deadline: whatever a take-over takes on a busy machine. It is
passed over, not waited for."""

AHEAD_MS: Final = 2_000
"""Before the first deadline time goes on as it does: a lane looks at the clock every second."""


class _Clock(SystemClock):
    """The day's clock, which can be put forward."""

    def __init__(self) -> None:
        super().__init__()
        self._forward_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return super().now_ms() + self._forward_ms

    def put_to(self, at_ms: int) -> None:
        """Let it be ``at_ms`` now."""
        self._forward_ms += at_ms - self.now_ms()


@dataclass(frozen=True)
class ManyOpenOptions:
    """What is measured: at each of ``levels`` of open incidents ``seconds`` of deadlines."""

    levels: Sequence[int] = (1_000, 10_000, 100_000)
    seconds: float = 20.0
    quiet_s: float = QUIET_S
    on_progress: Callable[[str], None] = lambda _: None


def bench_many_open(options: ManyOpenOptions) -> list[dict[str, object]]:
    """Measure each level, one after the other; a row each."""
    roads = road_points(ROADS)
    network = Network.build(import_roads(ROADS).pieces, ROADS.name)
    known = load_topics()
    road_map = RoadMap(network, Snapper(network))
    rows = []
    with _hushed():
        for level in options.levels:
            options.on_progress(f"{level:,} open incidents")
            rows.append(asyncio.run(_Level(options, level, known, road_map, roads).run()))
    return rows


@contextmanager
def _hushed() -> Iterator[None]:
    """Let the worker, which is in this process, say only what is wrong."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


class _Level:
    """One number of open incidents."""

    def __init__(
        self,
        options: ManyOpenOptions,
        level: int,
        known: Topics,
        roads: RoadMap,
        points: list[Point],
    ) -> None:
        self._options = options
        self._areas = area_of_each(known)
        self._each = -(-level // len(self._areas))
        self._level = self._each * len(self._areas)
        # The same at each level, for what members cost is not what incidents cost.
        most = -(-max(options.levels) // len(self._areas))
        self._members_each = most + max(1, round(most * FREE_SHARE))
        self._chance = random.Random(1)  # noqa: S311 - places, not secrets
        self._points = points
        self._shared = _shared(known, roads, self._areas, self._members())
        self._clock = _Clock()
        others = {topic.id: topic.partitions for topic in known if not topic.is_area}
        self._topics = MemoryTopics(self._clock, known.area_partitions, others)
        self._late_ms: list[float] = []

    def _members(self) -> Iterator[bytes]:
        """Give in each area as many members as there are ever incidents, and some more."""
        count = self._members_each
        for area_id in self._areas.values():
            for entry in roster(area_id, count, self._points, self._chance):
                yield orjson.dumps(entry | {"member_id": f"{area_id}-{entry['member_id']}"})

    async def run(self) -> dict[str, object]:
        """Take over, be quiet, and let steps fall due."""
        patterns = {p: self._pattern(p, area_id) for p, area_id in self._areas.items()}
        first_ms = self._clock.now_ms() + LEAD_MS
        for partition, pattern in patterns.items():
            self._write(partition, self._open(partition, pattern, first_ms))
        with collector_as_in_a_worker():
            took_s, quiet, busy = await self._measure(first_ms)
        return {
            "open_incidents": self._level,
            "quiet_second_ms": round(quiet * 1000, 2),
            "steps": len(self._late_ms),
            "late_p50_ms": quantile(self._late_ms, 0.5),
            "late_p99_ms": quantile(self._late_ms, 0.99),
            "late_max_ms": max(self._late_ms, default=None),
            "busy_share": round(busy, 4),
            "take_over_cpu_s": round(took_s, 2),
        }

    async def _measure(self, first_ms: int) -> tuple[float, float, float]:
        """Give what a take-over takes, a quiet second, and a second in which steps fall due."""
        bus = MemoryBus(self._topics, lambda partition: AreaEngine(partition, self._shared))
        started_s = time.process_time()
        await bus.start()
        took_s = time.process_time() - started_s
        await self._all_told()
        quiet = await self._burden(self._options.quiet_s)
        self._clock.put_to(first_ms - AHEAD_MS)
        await self._clock.sleep_until(first_ms)
        leave = self._topics.listen(DECISIONS, self._decided)
        busy = await self._burden(self._options.seconds)
        leave()
        if bus.failure is not None and bus.failure.done():
            raise bus.failure.result()
        await bus.stop()
        return took_s, quiet, busy

    async def _all_told(self) -> None:
        """Wait until the worker has looked at what every member is doing: it does so once after a
        take-over, some at each tick, and those are no quiet seconds."""
        ticks = -(-self._members_each // VIEWS_PER_TICK_MAX) + 1
        await asyncio.sleep(SETTLE_S + ticks * TICK_MS / 1000)

    async def _burden(self, seconds: float) -> float:
        """Let time pass; the share of it for which this process had the CPU."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        return (time.process_time() - cpu_s) / (time.monotonic() - wall_s)

    def _decided(self, raw: Raw) -> None:
        entry = decode_entry(raw.value or b"")
        if not isinstance(entry, Decision) or entry.topic != WAKEUPS:
            return
        decision = entry.record.get("decision")
        if isinstance(decision, Mapping) and decision.get("facts"):
            self._late_ms.append(float(raw.timestamp_ms - decision["due_ms"]))

    # --- what is open ---------------------------------------------------------------------

    def _pattern(self, partition: int, area_id: str) -> Incident:
        """Let an engine open an incident in an area."""
        engine, now_ms = AreaEngine(partition, self._shared), self._clock.now_ms()
        alert = _alert(self._chance.choice(self._points), now_ms)
        engine.take(Raw(ALERTS, partition, 0, now_ms, area_id.encode(), alert), now_ms, 0)
        [pattern] = engine.states()[area_id].incidents.values()
        return pattern

    def _open(self, partition: int, pattern: Incident, first_ms: int) -> AreaEngine:
        """Give an engine whose area has the incidents: the pattern again and again, with other
        names, members and times."""
        engine, area_id = AreaEngine(partition, self._shared), pattern.area_id
        span_ms = round(self._level * len(pattern.deadlines) * 1000 / STEPS_PER_S)
        state = AreaState(area_id, pattern.mode)
        for n in range(self._each):
            due_ms = sorted(self._chance.randrange(span_ms) for _ in pattern.deadlines)
            dues_ms = [first_ms + each for each in due_ms]
            state = put_incident(state, _again(pattern, f"open-{n}", f"{area_id}-b{n:05}", dues_ms))
        engine.adopt({area_id: state})
        return engine

    def _write(self, partition: int, engine: AreaEngine) -> None:
        """Put a snapshot into the log, as an owner before would have."""
        now_ms, nothing = self._clock.now_ms(), dict.fromkeys(INPUTS, 0)
        fence = self._topics.append(DECISIONS, None, encode(Fence("bench", now_ms)), (), partition)
        writer = SnapshotWriter(
            epoch=fence.offset, seq=0, at_ms=now_ms, next_offsets=nothing, snap=NO_SNAPSHOT
        )
        pieces = engine.snapshot()
        for n, body in enumerate(pieces):
            piece = writer.piece(body, last=n + 1 == len(pieces))
            self._topics.append(DECISIONS, None, encode(piece), (), partition)
        mark = Mark(fence.offset, fence.offset + 1, now_ms, 0)
        self._topics.append(DECISIONS, None, encode(mark), (), partition)


def _again(pattern: Incident, alert_id: str, member_id: str, dues_ms: Sequence[int]) -> Incident:
    """Give an incident like another one, with its own ids and times."""
    incident_id = incident_id_of(pattern.area_id, alert_id)
    dispatch_id = dispatch_id_of(incident_id, 1)
    [order] = pattern.orders
    named = sorted(pattern.deadlines, key=lambda each: each.due_ms)
    deadlines = tuple(
        structs.replace(each, name=each.name.replace(order.dispatch_id, dispatch_id), due_ms=due_ms)
        for each, due_ms in zip(named, dues_ms, strict=True)
    )
    own = structs.replace(order, dispatch_id=dispatch_id, alert_id=alert_id, member_id=member_id)
    return structs.replace(
        pattern,
        incident_id=incident_id,
        alert_id=alert_id,
        alerts=(alert_id,),
        orders=(own,),
        deadlines=deadlines,
    )


def _alert(place: Point, now_ms: int) -> bytes:
    return orjson.dumps(
        {
            "alert_id": "pattern",
            "source": "bench",
            "category": "dispute",
            "occurred_at": rfc3339(now_ms),
            "position": {"lon": place[0], "lat": place[1]},
        }
    )


def _shared(
    known: Topics, roads: RoadMap, areas: Mapping[int, str], members: Iterator[bytes]
) -> Shared:
    people = Roster()
    for value in members:
        entry = decode_roster(msgspec.json.decode(value)["member_id"].encode(), value)
        people.put(entry)  # type: ignore[arg-type]  # a value that is there is an entry
    return Shared(
        policy=load_policy(_policy(areas).encode(), base=POLICY.read_bytes()),
        roster=people,
        roads=roads,
        topic_names={topic.id: topic.name for topic in known},
        personal=frozenset(),
        partitions=known.area_partitions,
    )


def _policy(areas: Mapping[int, str]) -> str:
    lines = [f"  - {{area_id: {a}, name: {a}, timezone: UTC}}" for a in areas.values()]
    names = ("accept_s", "arrive_s", "offer_s", "squadron_leader_s", "brigade_leader_s")
    still = ", ".join(f"{name}: {STILL_S}" for name in names)
    return "\n".join(["areas:", *lines, "rules:", f"  - set: {{{still}, backup: never}}"]) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the rows for people."""
    head = ("open incidents", "quiet second ms", "steps", "late p50", "p99", "max ms", "core")
    lines = [
        "  ".join(
            (
                f"{row['open_incidents']:>14,}",
                f"{row['quiet_second_ms']:>15.1f}",
                f"{row['steps']:>5}",
                f"{row['late_p50_ms']:>8.0f}",
                f"{row['late_p99_ms']:>3.0f}",
                f"{row['late_max_ms']:>6.0f}",
                f"{row['busy_share'] * 100:>3.0f}%",
            )
        )
        for row in rows
    ]
    return "\n".join(
        (
            f"one worker, topics in memory; {STEPS_PER_S} steps a second fall due",
            "",
            "  ".join(head),
            *lines,
        )
    )
