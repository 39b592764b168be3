"""Lanes on the real broker, killed at each gap, stopped, joined, misled: nothing lost or twice."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.kafka.toy_cluster import AREAS, ToyCluster
from xiaohe.broker import Broker
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

GAPS = [
    ("decided", 9),
    ("appending", 4),
    ("appended", 5),
    ("published_0", 3),
    ("published_1", 4),
    ("published_2", 2),
    ("published_all", 3),
    ("acked", 7),
    ("fence_written", 2),
    ("folded", 3),
    ("wakeup_written", 2),
]

WAKE_UP_LATE_MS_MAX = 250
"""From the contract: a step falls due within so long of its deadline."""


@pytest.fixture
async def cluster(broker: Broker, topics: Topics, topics_prefix: str, tmp_path: Path):
    """Toy workers on topics of this test's own."""
    async with ToyCluster(broker.bootstrap_servers, topics_prefix, topics, tmp_path) as made:
        yield made


async def test_kill_9_at_each_gap_loses_nothing_and_decides_nothing_twice(cluster):
    """A worker killed between any two of its steps leaves a log from which the next goes on."""
    await cluster.traffic(10)
    for gap, nth in GAPS:
        worker = await cluster.worker(owns=False, instance="w", gap=gap, nth=nth)
        ended = asyncio.create_task(worker.wait())
        while not ended.done():
            await cluster.traffic(2)
            await asyncio.sleep(0.1)  # a rate, not a wait
        assert ended.result() == -signal.SIGKILL, gap
    last = await cluster.worker(instance="w")
    await cluster.traffic(10)
    counted = await cluster.settled()
    assert await cluster.stop(last) == 0
    assert counted["alerts"] > 5 * len(GAPS)
    assert counted["order_copies"] > 0, "no publication was repeated: the gaps were not met"


@pytest.mark.parametrize("gap", ["decided", "appended"])
async def test_a_stopped_worker_that_wakes_up_changes_nothing(cluster, gap):
    """A worker stopped past its session, and replaced, leaves when it goes on, or joins again
    like a new one; its late writes and publications do no harm."""
    zombie = await cluster.worker(gap=gap, nth=6, stop=True, errors=True)
    await cluster.traffic(10)
    successor = await cluster.worker()
    fences = [entry["worker"] for entry in cluster.decisions() if entry["kind"] == "fence"]
    assert len(set(fences)) == 2
    await cluster.traffic(10)
    zombie.send_signal(signal.SIGCONT)
    ended = asyncio.create_task(zombie.communicate())
    joined = asyncio.create_task(cluster.owned(successor))  # what the zombie has left to it
    await asyncio.wait([ended, joined], timeout=30, return_when=asyncio.FIRST_COMPLETED)
    if gap == "decided":  # its write comes behind the successor's fence
        _, errors = await ended
        assert zombie.returncode == 1
        assert b"was taken over at offset" in errors
    await cluster.traffic(10)
    await cluster.settled()
    joined.cancel()
    assert await cluster.stop(successor) == 0


async def test_workers_that_join_and_die_hand_areas_over_whole(cluster):
    """Two more workers join under load and one is killed: areas move with all their topics."""
    stopping = asyncio.Event()

    async def load() -> None:
        while not stopping.is_set():
            await cluster.traffic(1)
            await asyncio.sleep(0.02)  # a rate, not a wait

    loading = asyncio.create_task(load())
    first = await cluster.worker()
    second = await cluster.worker()
    third = await cluster.worker()
    second.kill()
    while set(await cluster.owned(first)) | set(await cluster.owned(third)) != {0, 1, 2, 3}:
        pass
    stopping.set()
    await loading
    await cluster.settled()
    assert await cluster.stop(first) == 0
    assert await cluster.stop(third) == 0


async def test_group_offsets_moved_by_hand_lose_nothing(cluster):
    """The next worker reads on from where the log says, wherever the group's offsets stand."""
    worker = await cluster.worker()
    await cluster.traffic(10)
    await cluster.settled()
    assert await cluster.stop(worker) == 0
    await cluster.traffic(30)
    await cluster.move_group_offsets(cluster.prefix + "toy")
    worker = await cluster.worker()
    await cluster.settled()
    assert await cluster.stop(worker) == 0


async def test_a_deadline_is_decided_within_250_ms(cluster):
    """Wake-ups are written, read, and decided at once, under load too."""
    worker = await cluster.worker()
    cluster.answers = False
    for n in range(50):
        value = {"alert_id": f"d{n}", "window_ms": 500 + 13 * n}
        await cluster.send("alerts", AREAS[n % len(AREAS)], value)
    await cluster.until(lambda: len(cluster.decided("overdue")) == 50)
    late_ms = sorted(d["at_ms"] - d["record"]["due_ms"] for d in cluster.decided("overdue"))
    assert late_ms[0] >= 0
    assert late_ms[-1] <= WAKE_UP_LATE_MS_MAX, late_ms
    assert await cluster.stop(worker) == 0


async def test_an_input_that_ends_three_workers_is_set_aside(cluster):
    """Each leaves with status 1 and the reason on stderr; the fourth goes on without it."""
    await cluster.send("alerts", AREAS[0], {"alert_id": "a", "window_ms": 300})
    await cluster.send("alerts", AREAS[0], b"poison")
    for _ in range(3):
        worker = await cluster.worker(owns=False, instance="w", errors=True)
        _, errors = await asyncio.wait_for(worker.communicate(), 30)
        assert worker.returncode == 1
        assert b"InputFailedError" in errors
        assert b"could not be decided" in errors
    worker = await cluster.worker(instance="w")
    await cluster.until(lambda: bool(cluster.seen["dead_letters"]))
    assert json.loads(cluster.seen["dead_letters"][0].value)["offset"] == 1
    assert await cluster.stop(worker) == 0
