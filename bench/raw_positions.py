"""Raw positions through the gateway: Traccar's forwarding in, packed records of positions out.

Beside it, on the same records in the same run, a plain aiokafka reader that passes them over
unread: ``python -m xiaohe.bench.raw_positions SERVERS RECORDS`` tells its records a second.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Self

import orjson
import psutil
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from xiaohe.bench.load import AREA
from xiaohe.bench.places import Point
from xiaohe.topics import Topics, load_topics
from xiaohe.wire.cluster_access import client_options
from xiaohe.wire.murmur2 import partition_of

BACKLOG: Final = 150_000
"""Raw positions in a backlog, some 100 MB."""

BACKLOG_TIMES: Final = 3
"""A backlog is taken so often; the median counts."""

TAKEN_S: Final = 60.0
"""How long a backlog may take."""

ROUND_S: Final = 10
"""A tracker's usual interval: so far apart are a device's fixes in a backlog."""

FIX_MARK: Final = b'"fix_time"'
"""Stands once in each position of a packed record."""

JOINED_LOOK_S: Final = 0.05
"""Pause between two looks whether the reader has its partitions."""

BATCH_BYTES: Final = 512 * 1024


def device_of(member: int) -> str:
    """Give the device of an invented member."""
    return f"T{member:05}"


def forwarded(member: int, place: Point, fix_s: float, chance: random.Random) -> bytes:
    """Give what a Traccar server forwards of one position: its fields, in its order."""
    text = f"{datetime.fromtimestamp(fix_s, UTC):%Y-%m-%dT%H:%M:%S}.000+00:00"
    position = {
        "id": 0,
        "attributes": {"batteryLevel": chance.randrange(101) / 1.0, "motion": True},
        "deviceId": member,
        "protocol": "osmand",
        "serverTime": text,
        "deviceTime": text,
        "fixTime": text,
        "valid": True,
        "latitude": place[1],
        "longitude": place[0],
        "altitude": 0.0,
        "speed": round(chance.uniform(0, 12), 2),
        "course": round(chance.uniform(0, 359), 1),
        "address": None,
        "accuracy": round(chance.uniform(3, 30), 1),
        "network": None,
        "geofenceIds": None,
    }
    device = {
        "id": member,
        "attributes": {},
        "groupId": 0,
        "calendarId": 0,
        "name": f"member-{member:05}",
        "uniqueId": device_of(member),
        "status": "online",
        "lastUpdate": text,
        "positionId": 0,
        "phone": None,
        "model": None,
        "contact": None,
        "category": None,
        "disabled": False,
        "expirationTime": None,
    }
    return orjson.dumps({"position": position, "device": device})


async def measure_raw(
    servers: str, topics: Topics, gateway: int, members: int, points: list[Point]
) -> dict[str, object]:
    """Give raw positions a second through a gateway process, and through the plain reader; of each
    also the processor's microseconds a position, which a busy machine leaves as they are.

    The gateway is stopped until a backlog lies in the raw topic; its time ends when every fix of
    it lies in ``positions``.
    """
    process = psutil.Process(gateway)
    chance = random.Random(11)  # noqa: S311 - places, not secrets
    rates, costs_us = [], []
    begin_s = time.time() - BACKLOG_TIMES * BACKLOG / members * ROUND_S
    values = [
        forwarded(n % members, chance.choice(points), begin_s + n // members * ROUND_S, chance)
        for n in range(BACKLOG_TIMES * BACKLOG)
    ]
    async with _Watch(servers, topics) as watch:
        for first in range(0, len(values), BACKLOG):
            process.suspend()
            try:
                await _send(servers, topics, values[first : first + BACKLOG], members)
                await watch.to_the_end()
                before, started_s = process.cpu_times(), time.perf_counter()
            finally:
                process.resume()
            took_s = await watch.until(BACKLOG) - started_s
            after = process.cpu_times()
            rates.append(BACKLOG / took_s)
            used_s = after.user + after.system - before.user - before.system
            costs_us.append(used_s / BACKLOG * 1e6)
    process.suspend()  # so that the peer has the machine for itself
    try:
        plain, plain_us = await _plain(servers, len(values))
    finally:
        process.resume()
    rate = statistics.median(rates)
    return {
        "raw_positions_per_s": round(rate),
        "raw_positions_aiokafka_per_s": round(plain),
        "raw_positions_ratio": round(rate / plain, 2),
        "raw_positions_bytes": round(sum(map(len, values)) / len(values)),
        "raw_positions_cpu_us": round(statistics.median(costs_us), 2),
        "raw_positions_aiokafka_cpu_us": round(plain_us, 2),
    }


async def _send(servers: str, topics: Topics, values: list[bytes], members: int) -> None:
    producer = AIOKafkaProducer(**client_options(servers), max_batch_size=BATCH_BYTES, linger_ms=5)
    async with producer:
        for n, value in enumerate(values):
            # Traccar's key: the decimal of the server's own number of the device.
            await producer.send(
                topics.sources["traccar"].name, key=str(n % members).encode(), value=value
            )
        await producer.flush()


class _Watch:
    """Counts the fixes that arrive in ``positions``."""

    def __init__(self, servers: str, topics: Topics) -> None:
        topic = topics.positions
        self._place = TopicPartition(topic.name, partition_of(AREA.encode(), topic.partitions))
        self._consumer = AIOKafkaConsumer(**client_options(servers))

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign([self._place])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def to_the_end(self) -> None:
        """Count from here on."""
        await self._consumer.seek_to_end(self._place)
        await self._consumer.position(self._place)

    async def until(self, fixes: int) -> float:
        """Return when so many have come; give the moment."""
        seen = 0
        async with asyncio.timeout(TAKEN_S):
            while seen < fixes:
                for records in (await self._consumer.getmany(timeout_ms=100)).values():
                    seen += sum(record.value.count(FIX_MARK) for record in records)
        return time.perf_counter()


async def _plain(servers: str, records: int) -> tuple[float, float]:
    """Run the plain reader as a process; give records a second, and processor µs a record."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "xiaohe.bench.raw_positions", servers, str(records),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), TAKEN_S)
    told = orjson.loads(said)
    return float(told["per_s"]), float(told["cpu_us"])


@asynccontextmanager
async def _reader(servers: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(servers),
        group_id=f"{topic}-plain",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    async with consumer:
        async with asyncio.timeout(TAKEN_S):
            while not consumer.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
                await asyncio.sleep(JOINED_LOOK_S)
        yield consumer


async def read_plainly(servers: str, topics: Topics, records: int) -> tuple[float, float]:
    """Read so many raw records and do nothing with them.

    Gives records a second, and the processor's microseconds a record.
    """
    async with _reader(servers, topics.sources["traccar"].name) as consumer:
        seen, started_s, used_s = 0, time.perf_counter(), time.process_time()
        while seen < records:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=5_000)
            seen += sum(map(len, fetched.values()))
        took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
        return records / took_s, used_s / records * 1e6


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    per_s, cpu_us = asyncio.run(read_plainly(sys.argv[1], load_topics(), int(sys.argv[2])))
    sys.stdout.write(orjson.dumps({"per_s": per_s, "cpu_us": cpu_us}).decode())
