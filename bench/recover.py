"""``xiaohe bench recover``: how long a killed worker's areas wait until they decide again.

Two workers of the product on the one-machine Kafka, each with half of the areas. One of them is
killed with `kill -9`, and at once every one of its areas gets an alert. The other worker has to
find out (the group's session), take the areas over and decide it. That is done with no open
incident, with some and with many: half of them have an order that nobody answers, the other half
wait for somebody to be free, so that they are tried again and again.
"""

import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from xiaohe.bench.load import quantile
from xiaohe.bench.places import Point, area_of_each, road_points, roster
from xiaohe.broker import Broker
from xiaohe.cluster import apply
from xiaohe.dispatch.times import rfc3339
from xiaohe.parts import Part
from xiaohe.places import ROADS
from xiaohe.roster_file import publish
from xiaohe.topics import Topics, load_topics
from xiaohe.wire.cluster_access import client_options

STILL: Final = 86_400
"""Seconds of every window: nothing falls due while it is measured, and all incidents stay open."""

SESSION_S: Final = 6.0
"""As ``xiaohe up`` has it: after so long without a heartbeat the group gives the areas away."""

FEW: Final = 1_000
"""The level between none and many."""

KEPT_BACK: Final = 2
"""One incident in so many has somebody to go to it."""

UNDER_WAY_MAX: Final = 2_000
"""Alerts sent and not opened: more at once would only wait in the topics."""

READY_S: Final = 60.0
"""Until both workers have their areas, on a machine with other things to do."""

OPEN_S: Final = 180.0
"""Until all incidents are open."""

RECOVERED_S_MAX: Final = 60.0
"""Longer than four times what is promised is no recovery."""

QUIET_S: Final = 2.0
"""After a take-over, before the next kill."""


@dataclass(frozen=True)
class RecoverBenchOptions:
    """What is measured: ``kills`` at each of the levels 0, FEW and ``incidents``."""

    incidents: int = 10_000
    kills: int = 3
    on_progress: Callable[[str], None] = lambda _: None

    @property
    def levels(self) -> list[int]:
        """The numbers of open incidents, ascending."""
        return sorted({0, min(FEW, self.incidents), self.incidents})


@dataclass
class _Kill:
    """One kill: when each area of the dead worker decided again, and where the time went."""

    area_s: list[float] = field(default_factory=list)
    group_s: float = 0.0
    took_ms: Mapping[str, int] = field(default_factory=dict)
    decide_s: float = 0.0


async def bench_recover(options: RecoverBenchOptions) -> dict[str, object]:
    """Run everything; give what the contract names as the last JSON line, and more."""
    with tempfile.TemporaryDirectory(prefix="xiaohe-bench-") as name:
        folder = Path(name)
        options.on_progress("starting the broker")
        broker = await asyncio.to_thread(Broker.start, folder / "broker", bound_to_parent=True)
        try:
            return await _Bench(options, folder, broker.bootstrap_servers).run()
        finally:
            await asyncio.to_thread(broker.stop)


class _Bench:
    """One run."""

    def __init__(self, options: RecoverBenchOptions, folder: Path, servers: str) -> None:
        self._options = options
        self._folder = folder
        self._servers = servers
        self._topics = load_topics()
        self._areas = area_of_each(self._topics)
        self._points = road_points(ROADS)
        self._workers: dict[int, Part] = {}
        self._owned: dict[int, tuple[frozenset[int], Mapping[str, int], float]] = {}
        self._moved = asyncio.Event()

    async def run(self) -> dict[str, object]:
        """Open more and more incidents, and kill a worker some times at each number."""
        await apply(self._servers, self._topics)
        chance = random.Random(1)  # noqa: S311 - places, not secrets
        count = self._options.incidents // KEPT_BACK
        entries = _members(self._areas, count, self._points, chance)
        await publish(self._servers, self._topics.roster.name, entries)
        (self._folder / "policy.yaml").write_text(_policy(self._areas), encoding="utf-8")
        try:
            for n in range(2):
                await self._start(n)
            await self._all_owned()
            async with _client(self._servers, self._topics, self._points) as client:
                levels = [await self._level(client, level) for level in self._options.levels]
        finally:
            await asyncio.gather(*(part.stop() for part in self._workers.values()))
        last = levels[-1]
        return {
            "open_incidents": self._options.incidents,
            "seconds": last["seconds"],
            "kills": self._options.kills,
            "session_timeout_s": SESSION_S,
            "levels": levels,
        }

    async def _level(self, client: "_Client", level: int) -> dict[str, object]:
        """Kill a worker, start it again, and kill the other one."""
        self._options.on_progress(f"opening incidents, up to {level:,}")
        started_s = time.monotonic()
        await client.open_up_to(level, list(self._areas.values()))
        opened_s = time.monotonic() - started_s
        kills = []
        for n in range(self._options.kills):
            self._options.on_progress(f"{level:,} open incidents: kill -9, {n + 1}")
            kills.append(await self._kill(client, n % 2))
            await self._start(n % 2)
            await self._all_owned()
            await asyncio.sleep(QUIET_S)
        return _summary(level, kills) | {"opened_s": round(opened_s, 1)}

    async def _kill(self, client: "_Client", n: int) -> _Kill:
        dead = self._workers.pop(n)
        partitions = self._owned[n][0]
        self._owned.pop(n)
        probes = {self._areas[partition]: client.next_alert() for partition in partitions}
        os.kill(dead.pid, signal.SIGKILL)
        killed_s = time.time()
        for area_id, alert_id in probes.items():
            await client.send(area_id, alert_id)
        here_s = await client.opened(list(probes.values()))
        await dead.stop()
        took_ms, owned_s = await self._taken_over(1 - n)
        fold_s = sum(took_ms.values()) / 1000
        return _Kill(
            area_s=[at_s - killed_s for at_s in here_s],
            group_s=owned_s - killed_s - fold_s,
            took_ms=took_ms,
            decide_s=max(here_s) - owned_s,
        )

    async def _taken_over(self, n: int) -> tuple[Mapping[str, int], float]:
        """Wait until the worker that is left has told that all areas are its own."""
        async with asyncio.timeout(READY_S):
            while self._owned[n][0] != frozenset(self._areas):
                self._moved.clear()
                await self._moved.wait()
        return self._owned[n][1:]

    async def _start(self, n: int) -> None:
        command = [
            sys.executable, "-m", "xiaohe", "worker",
            "--bootstrap-servers", self._servers,
            "--policy", str(self._folder / "policy.yaml"),
            "--data-dir", str(self._folder / f"worker-{n}"),
            "--session-timeout-s", str(SESSION_S),
            "--json",
        ]  # fmt: skip
        part = Part(f"worker-{n}", command, self._folder / f"worker-{n}.log")
        self._workers[n] = part
        await part.start(lambda event: self._told(n, event))

    def _told(self, n: int, event: Mapping[str, Any]) -> None:
        if event.get("event") == "owned" and n in self._workers:
            self._owned[n] = (frozenset(event["partitions"]), event["took_ms"], time.time())
            self._moved.set()

    async def _all_owned(self) -> None:
        """Wait until both workers have areas, and together all."""
        async with asyncio.timeout(READY_S):
            while not self._is_shared():
                self._moved.clear()
                await self._moved.wait()

    def _is_shared(self) -> bool:
        parts = [owned for owned, _, _ in self._owned.values() if owned]
        if len(parts) < 2:  # noqa: PLR2004 - both
            return False
        one, other = parts
        return one | other == frozenset(self._areas) and not one & other


class _Client:
    """Sends alerts and hears what is opened."""

    def __init__(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, topics: Topics,
        points: Sequence[Point],
    ) -> None:  # fmt: skip
        self._producer = producer
        self._consumer = consumer
        self._topics = topics
        self._points = points
        self._chance = random.Random(2)  # noqa: S311 - places, not secrets
        self._run = time.time_ns()
        self._count = 0
        self._open = 0
        self._here_s: dict[str, float] = {}
        self._came = asyncio.Condition()

    def next_alert(self) -> str:
        """Give the next alert's identifier."""
        self._count += 1
        return f"recover-{self._run}-{self._count}"

    async def send(self, area_id: str, alert_id: str) -> None:
        """Send an alert that is like no other."""
        lon, lat = self._chance.choice(self._points)
        alert = {
            "alert_id": alert_id,
            "source": "bench",
            "category": alert_id,
            "occurred_at": rfc3339(time.time_ns() // 1_000_000),
            "position": {"lon": lon, "lat": lat},
        }
        name = self._topics.alerts.name
        await self._producer.send(name, key=area_id.encode(), value=orjson.dumps(alert))

    async def open_up_to(self, level: int, area_ids: Sequence[str]) -> None:
        """Send alerts until so many incidents are open."""
        async with asyncio.timeout(OPEN_S):
            while (missing := level - len(self._here_s)) > 0:
                batch = [self.next_alert() for _ in range(min(missing, UNDER_WAY_MAX))]
                for n, alert_id in enumerate(batch):
                    await self.send(area_ids[n % len(area_ids)], alert_id)
                await self.opened(batch)

    async def opened(self, alert_ids: Sequence[str]) -> list[float]:
        """Wait until these are open; give when each was heard of, seconds since the epoch."""
        async with asyncio.timeout(RECOVERED_S_MAX), self._came:
            await self._came.wait_for(lambda: all(i in self._here_s for i in alert_ids))
        return [self._here_s[alert_id] for alert_id in alert_ids]

    async def read(self) -> None:
        """Hear what is opened, for ever."""
        while True:
            fetched = await self._consumer.getmany(timeout_ms=1_000)
            here_s = time.time()
            for records in fetched.values():
                for record in records:
                    if b'"incident.opened"' in record.value:
                        alert_id = orjson.loads(record.value)["data"]["alert_id"]
                        self._here_s.setdefault(alert_id, here_s)
            async with self._came:
                self._came.notify_all()


@asynccontextmanager
async def _client(servers: str, topics: Topics, points: Sequence[Point]) -> AsyncIterator[_Client]:
    producer = AIOKafkaProducer(**client_options(servers), acks="all")
    consumer = AIOKafkaConsumer(
        topics.incident_events.name, **client_options(servers), fetch_max_wait_ms=50
    )
    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    client = _Client(producer, consumer, topics, points)
    reading = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await producer.stop()
        await consumer.stop()


def _policy(areas: Mapping[int, str]) -> str:
    lines = [f"  - {{area_id: {a}, name: {a}, timezone: UTC}}" for a in areas.values()]
    still = ", ".join(
        f"{name}: {STILL}"
        for name in ("accept_s", "arrive_s", "offer_s", "squadron_leader_s", "brigade_leader_s")
    )
    # Thousands of alerts within seconds are a way to fill a state, not a burst to be decided well.
    rules = f"rules:\n  - set: {{{still}, backup: never, joint_s: 0}}"
    return "\n".join(["areas:", *lines, rules]) + "\n"


def _members(
    areas: Mapping[int, str], count: int, points: list[Point], chance: random.Random
) -> list[dict[str, object]]:
    """Make invented members, as many in each area."""
    each = -(-count // len(areas))
    return [
        entry | {"member_id": f"{area_id}-{entry['member_id']}"}
        for area_id in areas.values()
        for entry in roster(area_id, each, points, chance)
    ]


def _summary(level: int, kills: Sequence[_Kill]) -> dict[str, object]:
    area_s = [s for kill in kills for s in kill.area_s]
    stages = sorted({stage for kill in kills for stage in kill.took_ms})
    parts = {stage: [kill.took_ms.get(stage, 0) / 1000 for kill in kills] for stage in stages}
    parts["session_and_rebalance"] = [kill.group_s for kill in kills]
    parts["first_decisions"] = [kill.decide_s for kill in kills]
    return {
        "open_incidents": level,
        "seconds": quantile(area_s, 0.99),
        "p50_s": quantile(area_s, 0.5),
        "max_s": round(max(area_s), 2),
        "areas": len(area_s),
        "of_it_s": {name: round(statistics.median(values), 2) for name, values in parts.items()},
    }


TOLD: Final = (
    ("session_and_rebalance", "session, rebalance"),
    ("fence", "fence"),
    ("fold", "fold"),
    ("owed", "owed"),
    ("positions", "positions"),
    ("first_decisions", "decide"),
)
"""Where the time goes: key and heading."""


def table(result: Mapping[str, Any]) -> str:
    """Write a result for people."""
    headings = ["open incidents", "p50", "p99", "max", *(heading for _, heading in TOLD)]
    rows = [headings]
    for level in result["levels"]:
        of_it_s = level["of_it_s"]
        figures = [level["p50_s"], level["seconds"], level["max_s"]]
        figures += [of_it_s.get(key, 0.0) for key, _ in TOLD]
        rows.append([f"{level['open_incidents']:,}", *(f"{figure:.2f}" for figure in figures)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(headings))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return (
        "seconds from kill -9 of one of two workers until its areas decide again\n\n"
        + "\n".join(lines)
        + f"\n\n{result['kills']} kills each, session {result['session_timeout_s']:g} s; stages "
        "are medians, each that of its slowest area, and areas are taken over side by side"
    )
