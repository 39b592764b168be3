"""Toy workers on the real broker, clients that feed them, and all that lies in the topics."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.streams.toy import check
from xiaohe.streams.kafka_log import plain_reader, raw_of
from xiaohe.streams.ports import Raw
from xiaohe.topics import Topics

ROOT = Path(__file__).parents[2]
AREAS = [f"area{n}".encode() for n in range(7)]
READ = [
    "alerts",
    "positions",
    "member_actions",
    "dispatches",
    "incident_events",
    "dead_letters",
    "decisions",
    "wakeups",
]
SETTLE_S = 40.0
ANSWER_S_MAX = 1.2


class ToyCluster:
    """Workers, clients and a reader of everything, for one set of topics."""

    def __init__(self, servers: str, prefix: str, topics: Topics, data_dir: Path) -> None:
        self.servers = servers
        self.prefix = prefix
        self.topics = topics
        self.data_dir = data_dir
        self.seen: dict[str, list[Raw]] = {name: [] for name in READ}
        self.workers: list[Process] = []
        self.errors: dict[int, str] = {}
        self.answers = True
        self._moved = asyncio.Condition()
        self._draw = random.Random(prefix)
        self._alerts = 0
        self._looked_at = 0
        self._ordered: set[str] = set()
        self._answering: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Connect, and begin to read everything."""
        self.producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all")
        self.reader = plain_reader(self.servers)
        await self.producer.start()
        await self.reader.start()
        self.reader.assign(
            [
                TopicPartition(getattr(self.topics, name).name, p)
                for name in READ
                for p in range(getattr(self.topics, name).partitions)
            ]
        )
        await self.reader.seek_to_beginning()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the workers that are left, and disconnect."""
        for worker in self.workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        for task in (self._reading, *self._answering):
            task.cancel()
        await asyncio.gather(self._reading, *self._answering, return_exceptions=True)
        await self.reader.stop()
        await self.producer.stop()

    async def _read(self) -> None:
        ids = {getattr(self.topics, name).name: name for name in READ}
        while True:
            fetched = await self.reader.getmany(timeout_ms=1_000)
            for tp, records in fetched.items():
                self.seen[ids[tp.topic]] += [raw_of(ids[tp.topic], record) for record in records]
            self._answer()
            async with self._moved:
                self._moved.notify_all()

    def _answer(self) -> None:
        """Answer half of the orders that are new, some of them after their deadline."""
        for raw in self.seen["dispatches"][self._looked_at :]:
            alert_id = json.loads(raw.value)["alert_id"]
            new = alert_id not in self._ordered
            if self.answers and new and self._draw.random() < 0.5:
                delay_s = self._draw.uniform(0, ANSWER_S_MAX)
                self._answering.append(
                    asyncio.create_task(self._send_later(delay_s, raw, alert_id))
                )
            self._ordered.add(alert_id)
        self._looked_at = len(self.seen["dispatches"])

    async def _send_later(self, delay_s: float, order: Raw, alert_id: str) -> None:
        await asyncio.sleep(delay_s)
        await self.send("member_actions", order.key, {"alert_id": alert_id})

    # --- workers --------------------------------------------------------------------------

    async def worker(self, *, owns: bool = True, **told: Any) -> Process:
        """Start a worker; returns when it owns its partitions, or at once."""
        told = {
            "servers": self.servers,
            "prefix": self.prefix,
            "partitions": self.topics.area_partitions,
            "data_dir": str(self.data_dir),
            **told,
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("toy_worker.py")),
            json.dumps(told),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=PIPE,
            stderr=PIPE if told.get("errors") else DEVNULL,
        )
        self.workers.append(worker)
        if owns:
            await self.owned(worker)
        return worker

    async def owned(self, worker: Process) -> list[int]:
        """The partitions that a worker has just taken over."""
        line = await asyncio.wait_for(worker.stdout.readline(), SETTLE_S)
        return json.loads(line)["partitions"] if line else []

    async def stop(self, worker: Process) -> int:
        """End a worker in an orderly way."""
        worker.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(worker.wait(), SETTLE_S)

    # --- clients --------------------------------------------------------------------------

    async def traffic(self, alerts: int, *, window_ms: tuple[int, int] = (300, 900)) -> None:
        """Alerts, and positions with an alarm here and there; half of the orders are answered."""
        for _ in range(alerts):
            area = self._draw.choice(AREAS)
            alert_id = f"a{self._alerts}"
            self._alerts += 1
            window = self._draw.randint(*window_ms)
            await self.send("alerts", area, {"alert_id": alert_id, "window_ms": window})
            alarm = alert_id if self._draw.random() < 0.1 else None
            fix = {"member": f"m{self._draw.randrange(9)}", "lon": 1.0, "alarm": alarm}
            await self.send("positions", area, {"batch": [fix]})

    async def send(self, topic: str, key: bytes, value: dict | bytes) -> None:
        """Produce one record, acknowledged."""
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        await self.producer.send_and_wait(getattr(self.topics, topic).name, raw, key=key)

    # --- what came of it ------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be seen in the topics."""
        async with asyncio.timeout(SETTLE_S), self._moved:
            await self._moved.wait_for(holds)

    async def settled(self) -> dict[str, int]:
        """Wait until every alert has come to an end, and judge the topics."""
        await self.until(self._all_ended)
        await asyncio.gather(*self._answering)
        await self.until(self._all_ended)
        return check(self.seen.__getitem__)

    def _all_ended(self) -> bool:
        wanted = {json.loads(raw.value)["alert_id"] for raw in self.seen["alerts"]}
        for raw in self.seen["positions"]:
            for fix in json.loads(raw.value)["batch"]:
                if fix["alarm"]:
                    wanted.add(f"alarm:{fix['member']}:{fix['alarm']}")
        if sum(1 for w in wanted if not w.startswith("alarm")) < self._alerts:
            return False  # the reader has not come to the last ones
        answers = sum(task.done() for task in self._answering)
        if len(self.seen["member_actions"]) < answers:
            return False
        story: dict[str, set[str]] = defaultdict(set)
        for event in self.events():
            story[event["alert_id"]].add(event["type"])
        answered = {json.loads(raw.value)["alert_id"] for raw in self.seen["member_actions"]}
        return all(
            story[w] & ({"accepted", "late"} if w in answered else {"overdue"}) for w in wanted
        )

    def events(self) -> list[dict]:
        """What was published about incidents."""
        return [json.loads(raw.value) for raw in self.seen["incident_events"]]

    def decisions(self) -> list[dict]:
        """Entries of the decisions log, as JSON."""
        return [json.loads(raw.value.partition(b"\n")[0]) for raw in self.seen["decisions"]]

    def decided(self, kind: str) -> list[dict]:
        """Decisions of one type."""
        return [d for d in self.decisions() if d.get("record", {}).get("type") == kind]

    async def move_group_offsets(self, group: str) -> None:
        """Commit, by hand, the end of every input topic for a group that nobody is in."""
        hand = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=group, enable_auto_commit=False
        )
        await hand.start()
        inputs = [t.name for t in (*self.topics.deciding_inputs, self.topics.positions)]
        hand.assign(
            [TopicPartition(n, p) for n in inputs for p in range(self.topics.area_partitions)]
        )
        await hand.commit(await hand.end_offsets(hand.assignment()))
        await hand.stop()
