"""How late a step is: from its deadline until the record of it is in the topic.

Alerts go to an area of their own where nobody is on duty and the windows are a second or two, so
that each brings two deadlines that pass: nobody has accepted, nobody is on scene.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from xiaohe.bench.load import quantile
from xiaohe.bench.places import Point
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster, client_options

AREA: Final = "bench-deadlines"

POLICY: Final = f"""
areas:
  - {{area_id: {AREA}, name: Deadlines, timezone: UTC}}
rules:
  - when: {{area: {AREA}}}
    set: {{accept_s: 1, arrive_s: 2, backup: never}}
"""
"""Laid over the defaults by the measured worker."""

ALERTS: Final = 30
PAUSE_S: Final = 0.1
PASSED: Final = frozenset({"acceptance.overdue", "arrival.overdue"})
TIMEOUT_S: Final = 20.0


async def deadline_late_ms(
    cluster: Cluster, topics: Topics, points: list[Point]
) -> dict[str, float | None]:
    """Give p50 and the largest lateness, ms, by the clock of this machine."""
    async with _clients(cluster, topics) as (producer, consumer):
        for n in range(ALERTS):
            lon, lat = points[n % len(points)]
            alert = {
                "alert_id": f"late-{time.time_ns()}",
                "source": "bench",
                "category": f"late-{n}",
                "occurred_at": rfc3339(time.time_ns() // 1_000_000),
                "position": {"lon": lon, "lat": lat},
            }
            await producer.send_and_wait(topics.alerts.name, orjson.dumps(alert), AREA.encode())
            await asyncio.sleep(PAUSE_S)
        async with asyncio.timeout(TIMEOUT_S):
            late_ms = await _lateness_ms(consumer, ALERTS * len(PASSED))
    return {"p50": quantile(late_ms, 0.5), "max": max(late_ms)}


@asynccontextmanager
async def _clients(
    cluster: Cluster, topics: Topics
) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    producer = AIOKafkaProducer(**client_options(cluster), acks="all")
    consumer = AIOKafkaConsumer(topics.incident_events.name, **client_options(cluster))
    await producer.start()
    await consumer.start()
    try:
        await consumer.seek_to_end()
        yield producer, consumer
    finally:
        await producer.stop()
        await consumer.stop()


async def _lateness_ms(consumer: AIOKafkaConsumer, wanted: int) -> list[float]:
    late_ms: list[float] = []
    while len(late_ms) < wanted:
        record = await consumer.getone()
        event = orjson.loads(record.value)
        if event["area_id"] == AREA and event["type"] in PASSED:
            late_ms.append(float(record.timestamp - parse_rfc3339(event["data"]["due_at"])))
    return late_ms
