"""A short invented shift on topics in memory, whose worker is killed now and then: what it leaves.

Far less than the simulation has; enough to see what the judges say of a run that went well, and
of what somebody has changed in its topics afterwards.
"""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from tests.streams.station import AREA, NOON_MS, PARTITIONS, Station, member
from xiaohe.dispatch.times import rfc3339
from xiaohe.sim.faults.evidence import Ended, Evidence, Peak, Place
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.memory_log import MemoryBus, MemoryTopics
from xiaohe.streams.ports import Raw

PEOPLE = (
    member("m1", roads=[{"road_id": "ab", "role": "owner"}]),
    member("m2"),
    member("m3", team="blue", travel_mode="walk"),
    member("m4", team="blue", post={"lon": 120.141, "lat": 30.319}),
)
MOMENT_MS = 10_000
"""Everybody reports so often."""

MOMENTS = 24
QUIET_MS = 120_000
"""The end of the run, in which nothing new happens."""


class Trial:
    """One shift, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.station = Station(*PEOPLE)
        self.clock = VirtualClock(NOON_MS)
        self.topics = MemoryTopics(self.clock, PARTITIONS, {"incidents": 1, "dead_letters": 1})
        self.engines: dict[int, AreaEngine] = {}
        self.accepted: set[Place] = set()
        self.ended: list[Ended] = []
        self.bus: MemoryBus | None = None
        self.said = 0
        self.kills = True
        self.topics.listen("dispatches", self._hear)

    def _core(self, partition: int) -> AreaEngine:
        self.engines[partition] = AreaEngine(partition, self.station.shared)
        return self.engines[partition]

    async def start(self) -> None:
        """A worker takes over."""
        self.bus = MemoryBus(self.topics, self._core)
        await self.bus.start()

    def send(self, topic: str, value: Any) -> Raw:
        """A record comes in."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.topics.append(topic, AREA.encode(), body)

    def alert(self, alert_id: str, at: str, **said: Any) -> Raw:
        """An alert comes in, and its sender is told that it has."""
        value = {
            "alert_id": alert_id,
            "area_id": AREA,
            "source": "police-110",
            "category": "dispute",
            "occurred_at": rfc3339(self.clock.now_ms()),
            "position": self.station.place(at),
            **said,
        }
        raw = self.send("alerts", value)
        self.accepted.add(Place("alerts", raw.partition, raw.offset))
        return raw

    def _hear(self, raw: Raw) -> None:
        """A member hears of an order, and answers after a while, or never."""
        value = json.loads(raw.value or b"null")
        if value["state"] != "ordered":
            return
        wait_ms = self.chance.randrange(2_000, 40_000)
        answers = self.chance.choice(
            [["accept", "arrive", "complete"], ["decline"], ["accept"], []]
        )
        for n, action in enumerate(answers):
            at_ms = self.clock.now_ms() + wait_ms + n * 30_000
            self.clock.call_at(at_ms, self._says(action, value["dispatch_id"], value["member_id"]))

    def _says(self, action: str, dispatch_id: str, member_id: str) -> Callable[[], object]:
        def say() -> None:
            self.said += 1
            self.send(
                "member_actions",
                {
                    "action_id": f"w{self.said}",
                    "member_id": member_id,
                    "at": rfc3339(self.clock.now_ms()),
                    "action": action,
                    "dispatch_id": dispatch_id,
                },
            )

        return say

    async def run(self) -> Evidence:
        """The shift from beginning to end."""
        await self.start()
        for moment in range(MOMENTS):
            fixes = [
                self.station.fix_value(
                    m, self.chance.choice("ab"), fix_time=rfc3339(self.clock.now_ms()), accuracy_m=5
                )
                for m in ("m1", "m2", "m3")
            ]
            self.send("positions", {"area_id": AREA, "batch": fixes})
            if self.chance.random() < 0.4:
                self.alert(
                    f"a{moment}", self.chance.choice("abcdef"), priority=self.chance.randint(1, 4)
                )
            if self.chance.random() < 0.1:
                self.send("alerts", b"[")
            await self.pass_time(MOMENT_MS)
        healed_ms, self.kills = self.clock.now_ms(), False
        await self.pass_time(QUIET_MS)
        assert self.bus is not None
        assert self.bus.failure is not None
        assert not self.bus.failure.done(), self.bus.failure.result()
        await self.bus.stop()
        return self.evidence(healed_ms)

    async def pass_time(self, ms: int) -> None:
        """Let time pass; the worker may be killed on the way, and another takes over."""
        end_ms = self.clock.now_ms() + ms
        if self.kills and self.chance.random() < 0.3:
            await self.clock.advance(self.clock.now_ms() + self.chance.randrange(ms))
            assert self.bus is not None
            self.bus.kill()
            await asyncio.sleep(0)
            await self.start()
        await self.clock.advance(end_ms)

    def evidence(self, healed_ms: int) -> Evidence:
        """What it left."""
        return Evidence(
            topics=self.topics,
            shared=self.station.shared,
            engines=self.engines,
            accepted=frozenset(self.accepted),
            unauthorised=frozenset(),
            poison=frozenset(),
            ended=self.ended,
            peaks={"records waiting": Peak(3, 2000)},
            healed_ms=healed_ms,
            ended_ms=self.clock.now_ms(),
        )


def shift(seed: int) -> Evidence:
    """Run one shift."""
    return asyncio.run(Trial(seed).run())
