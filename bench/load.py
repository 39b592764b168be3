"""An open load of alerts and positions, and how long each alert takes to its answer.

Alerts are sent at fixed times whatever comes back, so that a slow answer does not slow the
question down. Every order is answered with `complete` at once, so that the member is free again.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from xiaohe.bench.places import Point
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options

AREA = "bench"

CATEGORIES = 40
"""Alerts of one category near each other are one matter; these keep them apart."""

MARKER = ("bench-marker", b"1")
"""Header of the last record of a backlog: a pass-through lets it through. The product needs none:
that record is a call for help, which it answers with an order."""

MARKED_BATCH = 1_000
"""Positions in a record of a backlog, as many as the contract allows."""

MARK_S = 60.0
"""How long a backlog may take."""

LAST_S = 2.0
"""How long after the last alert its answer is waited for."""


@dataclass(frozen=True)
class Load:
    """So many alerts and positions a second; ``pack`` positions in a record."""

    alerts_per_s: float
    positions_per_s: float
    pack: int
    members: int


@dataclass
class Measured:
    """What came of it: milliseconds from the sending of an alert to its answer, sorted."""

    answered_ms: list[float] = field(default_factory=list)
    sent: int = 0
    lag_ms: list[float] = field(default_factory=list)
    """How late alerts were sent, against the plan: the load's own trouble."""

    def quantile_ms(self, share: float) -> float | None:
        """Give the value that this share of the answers stays within."""
        return quantile(self.answered_ms, share)

    def quantiles(self) -> dict[str, float | None]:
        """Give p50 and p99, milliseconds."""
        return {"p50": self.quantile_ms(0.50), "p99": self.quantile_ms(0.99)}


def quantile(values: Sequence[float], share: float) -> float | None:
    """Give the value that this share of ``values`` stays within; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


class Client:
    """Sends the load and takes the answers, in one process; an asynchronous context manager.

    ``answers`` is the topic where what follows from an alert comes out. The first record that
    names an alert is its answer.
    """

    def __init__(self, cluster: Cluster, topics: Topics, points: list[Point]) -> None:
        self._cluster = cluster
        self._topics = topics
        self._points = points
        self._chance = random.Random(7)  # noqa: S311 - places, not secrets
        self._sent_s: dict[str, float] = {}
        self._measured = Measured()
        self._numbers = 0
        self._open: set[asyncio.Task[None]] = set()
        self._mark: asyncio.Future[float] | None = None
        self._marks = 0

    async def __aenter__(self) -> Self:
        """Connect, and stand at the end of the answers."""
        self._producer = AIOKafkaProducer(
            **client_options(self._cluster), acks="all", enable_idempotence=True, linger_ms=0
        )
        self._consumer = AIOKafkaConsumer(
            self._topics.dispatches.name,
            **client_options(self._cluster),
            group_id=None,
            auto_offset_reset="latest",
        )
        await self._producer.start()
        await self._consumer.start()
        for where in self._consumer.assignment():
            await self._consumer.position(where)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        self._reading.cancel()
        await asyncio.gather(self._reading, *self._open, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def run(self, load: Load, seconds: float) -> Measured:
        """Keep the load up for so long; give what was measured."""
        self._measured = Measured()
        positions = asyncio.create_task(self._send_positions(load, seconds))
        await self._send_alerts(load, seconds)
        await positions
        deadline = time.perf_counter() + LAST_S
        while self._sent_s and time.perf_counter() < deadline:  # noqa: ASYNC110 - ends by itself
            await asyncio.sleep(0.01)
        self._sent_s.clear()
        return self._measured

    async def backlog(self, records: int, members: int) -> asyncio.Future[float]:
        """Write packed positions, and behind them a call for help.

        Gives what will be the moment (``perf_counter``) at which that was answered.
        """
        at = self._topics.positions.name
        size = MARKED_BATCH
        raws = [
            positions_record([m % members for m in range(n, n + size)], self._points, self._chance)
            for n in range(0, records * size, size)
        ]
        writing = [await self._producer.send(at, key=AREA.encode(), value=raw) for raw in raws]
        self._marks += 1
        help_wanted = orjson.loads(positions_record([self._marks], self._points, self._chance))
        help_wanted |= {"alarm": "sos", "alert_id": "alarm:marker"}
        await asyncio.gather(*writing)
        self._mark = asyncio.get_running_loop().create_future()
        await self._producer.send_and_wait(
            at, key=AREA.encode(), value=orjson.dumps(help_wanted), headers=[MARKER]
        )
        return self._mark

    async def _send_alerts(self, load: Load, seconds: float) -> None:
        started_s = time.perf_counter()
        for n in range(int(load.alerts_per_s * seconds)):
            planned_s = started_s + n / load.alerts_per_s
            await asyncio.sleep(max(0.0, planned_s - time.perf_counter()))
            self._measured.lag_ms.append((time.perf_counter() - planned_s) * 1000)
            await self._send_alert()

    async def _send_alert(self) -> None:
        self._numbers += 1
        lon, lat = self._chance.choice(self._points)
        alert_id = f"bench-{self._numbers}-{time.time_ns()}"
        alert = {
            "alert_id": alert_id,
            "source": "sensor",
            "category": f"kind-{self._numbers % CATEGORIES}",
            "occurred_at": _now(),
            "position": {"lon": lon, "lat": lat},
        }
        raw = orjson.dumps(alert)
        self._measured.sent += 1
        self._sent_s[alert_id] = time.perf_counter()
        await self._producer.send(self._topics.alerts.name, key=AREA.encode(), value=raw)

    async def _send_positions(self, load: Load, seconds: float) -> None:
        records = int(load.positions_per_s * seconds / load.pack)
        started_s = time.perf_counter()
        for n in range(records):
            planned_s = started_s + n * load.pack / load.positions_per_s
            if planned_s > time.perf_counter():
                await asyncio.sleep(planned_s - time.perf_counter())
            first = n * load.pack
            members = range(first, first + load.pack)
            raw = positions_record([m % load.members for m in members], self._points, self._chance)
            await self._producer.send(self._topics.positions.name, key=AREA.encode(), value=raw)

    async def _read(self) -> None:
        async for record in self._consumer:
            here_s = time.perf_counter()
            order = orjson.loads(record.value)
            if order.get("state") == "ended":
                continue
            if order["alert_id"].startswith("alarm:") and self._mark and not self._mark.done():
                self._mark.set_result(here_s)
            sent_s = self._sent_s.pop(order["alert_id"], None)
            if sent_s is not None:
                self._measured.answered_ms.append((here_s - sent_s) * 1000)
            answering = asyncio.create_task(self._complete(order))
            self._open.add(answering)
            answering.add_done_callback(self._open.discard)

    async def _complete(self, order: dict[str, Any]) -> None:
        self._numbers += 1
        word = {
            "action_id": f"bench-{self._numbers}-{time.time_ns()}",
            "member_id": order.get("member_id", "b00000"),
            "dispatch_id": order.get("dispatch_id", "none"),
            "at": _now(),
            "action": "complete",
        }
        await self._producer.send(
            self._topics.member_actions.name, key=AREA.encode(), value=orjson.dumps(word)
        )


def positions_record(members: list[int], points: list[Point], chance: random.Random) -> bytes:
    """One record of `positions`: a single one, or a batch as the gateway packs them."""
    fix_time = _now()
    fixes = []
    for member in members:
        lon, lat = chance.choice(points)
        fixes.append(
            {
                "member_id": f"b{member:05}",
                "lon": lon,
                "lat": lat,
                "fix_time": fix_time,
                "accuracy_m": 8.0,
                "speed_mps": 4.0,
            }
        )
    return orjson.dumps(fixes[0] if len(fixes) == 1 else {"area_id": AREA, "batch": fixes})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
