"""A worker that makes no progress finds out by itself, says why, and makes room for another."""

import asyncio
from pathlib import Path

import pytest

from tests.kafka.toy_cluster import AREAS, ToyCluster
from xiaohe.broker import Broker
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

WAYS = {
    "agent": b"StuckError: alerts[",
    "consumer": b"StuckError: alerts[",
    "append": b"StuckError: lane turns[",
    "commit": b"StuckError: nothing was committed for",
    "loop": b"the event loop stood still for",
}
"""What stands still, and what the worker says of it. The times are shortened."""

LEFT_S_MAX = 20.0


@pytest.fixture
async def cluster(broker: Broker, topics: Topics, topics_prefix: str, tmp_path: Path):
    """Toy workers on topics of this test's own."""
    async with ToyCluster(broker.bootstrap_servers, topics_prefix, topics, tmp_path) as made:
        yield made


async def test_a_worker_that_stands_still_ends_itself_and_says_why(cluster):
    """Whatever it is that waits for ever: status 1, one sentence on stderr, and the next worker
    decides what was left."""
    for way, said in WAYS.items():
        worker = await cluster.worker(instance="w", errors=True, stands_still=way)
        area = AREAS[len(cluster.workers) % len(AREAS)]
        alert_id = f"at-{way}"
        await cluster.send("alerts", area, {"alert_id": alert_id, "window_ms": 60_000})
        _, errors = await asyncio.wait_for(worker.communicate(), LEFT_S_MAX)
        assert worker.returncode == 1, way
        last = errors.splitlines()[-1]
        assert last.startswith(b"xiaohe worker: left: "), way
        assert said in last, way
    healthy = await cluster.worker(instance="w")
    await cluster.until(lambda: len(cluster.decided("opened")) >= len(WAYS))
    opened = {decision["record"]["alert_id"] for decision in cluster.decided("opened")}
    assert opened == {f"at-{way}" for way in WAYS}
    assert await cluster.stop(healthy) == 0
