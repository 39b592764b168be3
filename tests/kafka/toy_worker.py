"""A worker process with the toy core, which can be told where to kill itself.

Run as ``python tests/kafka/toy_worker.py '<json>'`` with the checkout in PYTHONPATH; says on
stdout, one JSON object a line, when it owns its partitions.
"""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import structlog

from tests.streams.toy import GapCore, GapLog, Gaps, ToyCore
from xiaohe.streams import worker as worker_module
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.consumer import _ConsumerThread
from xiaohe.streams.journal import Journal
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.worker import Worker, run_worker
from xiaohe.topics import load_topics


def main() -> int:
    """Run the worker that argv tells of."""
    told = json.loads(sys.argv[1])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    topics = load_topics(
        prefix=told["prefix"], area_partitions=told["partitions"], replication_factor=1
    )
    action = signal.SIGSTOP if told.get("stop") else signal.SIGKILL
    gaps = Gaps(lambda: os.kill(os.getpid(), action), told.get("gap", ""), told.get("nth", 1))
    settings = WorkerSettings(
        cluster=told["servers"],
        data_dir=Path(told["data_dir"]),
        group=told["prefix"] + "toy",
        instance=told.get("instance"),
    )
    worker = Worker(
        settings,
        topics,
        lambda partition: GapCore(ToyCore(partition), gaps),
        on_owned=lambda: say(worker),
        wrap_log=lambda log: GapLog(log, gaps),
        wrap_flow=lambda flow: replace(flow, ack=gaps.ack(flow.ack)),
    )
    if "stands_still" in told:
        stand_still(told["stands_still"])
    return run_worker(worker)


def stand_still(what: str) -> None:
    """Stage a fault of which nothing is told: from the first record on something only waits."""
    worker_module.LAG_CHECK_S, worker_module.STUCK_S, worker_module.LOOP_BLOCKED_S = 0.3, 1.5, 1.5

    async def for_ever(*_: object, **__: object) -> NoReturn:
        await asyncio.get_running_loop().create_future()

    match what:
        case "agent":  # fetched by Faust and never handed over
            Lanes.put = lambda *_: None
        case "consumer":
            _ConsumerThread.getmany = for_ever
        case "commit":
            _ConsumerThread.commit = for_ever
        case "append":
            Journal.decisions = for_ever
        case "loop":
            GapCore.take = lambda *_: time.sleep(3600)


def say(worker: Worker) -> None:
    """Say which partitions are owned."""
    owned = sorted(lane.partition for lane in worker.lanes.lanes)
    sys.stdout.write(json.dumps({"event": "owned", "partitions": owned}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
