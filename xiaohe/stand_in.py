"""The embedded stand-in: the same lanes and engine on topics in memory, in this process.

For machines on which no broker can be had. It decides by the very same code as a worker on Kafka;
what it lacks is what Kafka is for, and ``PROMISES`` says it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from xiaohe.java import JAVA_VERSION_MIN
from xiaohe.places import POLICY, ROADS, ROSTER
from xiaohe.roster_file import read_roster
from xiaohe.sim.bus import HEARD, Heard, Place
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.memory_log import MemoryBus, MemoryTopics
from xiaohe.streams.ports import Raw
from xiaohe.streams.service import Service, ServiceSettings
from xiaohe.topics import Topics, load_topics

PROMISES: Sequence[str] = (
    "No Kafka: this runs on the embedded stand-in. It decides by the same",
    "code, and cannot promise what Kafka does: nothing is kept when it ends,",
    "nobody else can connect, and there is one process and no second.",
)
"""What whoever runs on it has to know."""

REMEDY: Sequence[str] = (
    f"For the real thing install Java {JAVA_VERSION_MIN} or newer and Maven (on Debian, Ubuntu:",
    f"apt install openjdk-{JAVA_VERSION_MIN}-jre-headless maven), or name a Kafka that runs:",
    "--bootstrap-servers HOST:PORT.",
)
"""What to do about it."""


class StandIn:
    """Topics in memory with the engine on them; the brigade's bus. An async context manager."""

    def __init__(
        self,
        *,
        speed: float = 1.0,
        roads: Path = ROADS,
        roster: Path = ROSTER,
        policy: Path = POLICY,
    ) -> None:
        """Nothing is loaded until it is entered."""
        self.topics: Topics = load_topics()
        self._roster_file = roster
        self._settings = ServiceSettings(
            worker=WorkerSettings("", Path()),
            topics=self.topics,
            roads=roads,
            policy=policy,
            policy_base=POLICY,
            speed=speed,
        )
        self._names = {topic.id: topic.name for topic in self.topics}
        self._memory = MemoryTopics(
            SystemClock(),
            self.topics.area_partitions,
            {topic.id: topic.partitions for topic in self.topics if not topic.is_area},
        )
        self._bus: MemoryBus | None = None

    async def __aenter__(self) -> Self:
        """Load map, policy and roster, and own every area. Raises what a bad file raises."""
        service = await asyncio.to_thread(Service, self._settings)
        self._memory.listen("roster", service.on_roster)
        for entry in await asyncio.to_thread(read_roster, self._roster_file):
            key = str(entry["member_id"]).encode()
            self._memory.append("roster", key, orjson.dumps(entry))
        service.roster_loaded()
        self._bus = MemoryBus(self._memory, service.make_core)
        await self._bus.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish what is under way; then all is gone."""
        assert self._bus is not None, "it was entered"
        await self._bus.stop()

    async def send(self, topic: str, key: bytes | None, value: bytes) -> Place:
        """Write a record; where it was written."""
        raw = self._memory.append(topic, key, value)
        return Place(self._names[topic], raw.partition, raw.offset)

    def listen(self, on_record: Callable[[Heard], None]) -> None:
        """Have every record of the topics that the brigade reads told from now on."""

        def hear(raw: Raw) -> None:
            place = Place(self._names[raw.topic], raw.partition, raw.offset)
            on_record(Heard(raw.topic, place, raw.key, raw.value, time.monotonic()))

        for topic in HEARD:
            self._memory.listen(topic, hear)

    async def wait_failed(self) -> BaseException:
        """Return what ended the engine."""
        assert self._bus is not None, "it was entered"
        assert self._bus.failure is not None, "it was started"
        return await asyncio.shield(self._bus.failure)
