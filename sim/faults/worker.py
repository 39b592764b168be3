"""A simulated worker: the real lanes and engines of one process, its roster, its reading.

What is simulated is what lies around them: the process, its clock, its place in the group, and
the reader that Faust is in the product. ``xiaohe.streams.service`` and ``streams.app`` are the
product's own putting together; the order of things here is theirs.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from xiaohe.dispatch.inputs import Received
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.sim.faults.evidence import Place
from xiaohe.sim.faults.faults import Kind, Plan
from xiaohe.sim.faults.group import Group
from xiaohe.sim.faults.link import Link, UnansweredError
from xiaohe.sim.faults.log import Peaks, SimLog
from xiaohe.sim.faults.loop import VirtualLoop, WorkerClock
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.lane import INBOX_HIGH, Flow
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.memory_log import MemoryTopics
from xiaohe.streams.ports import INPUTS, Core, Publication, Raw, Step
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec import Gone, decode_roster

ROSTER: Final = "roster"
FETCH_RECORDS: Final = 50
"""Records that one fetch brings at most."""

FETCH_RETRY_MS: Final = 100
REDELIVER_SHARE: Final = 0.02
JITTER_MS: Final = 200.0


class PoisonError(Exception):
    """The core was made to fail."""


class Surroundings(Protocol):
    """What a process needs to know of the world around it."""

    loop: VirtualLoop
    topics: MemoryTopics
    group: Group
    plan: Plan
    peaks: Peaks

    def chance(self) -> float:
        """Draw a number from 0 to 1."""
        ...

    def gap(self, process: "Process", name: str) -> None:
        """Come past a place where a process can die or stand still."""
        ...

    def spoil(self, raw: Raw) -> None:
        """Raise PoisonError where the core is to fail on an input."""
        ...

    def decided(
        self,
        engine: "WatchedEngine",
        raw: Raw,
        before: Mapping[str, AreaState],
        steps: Sequence[Step],
    ) -> None:
        """Look at a decision that was drawn for it."""
        ...

    def wants_to_see(self, raw: Raw) -> bool:
        """Draw whether a decision is looked at."""
        ...

    def ended(self, process: "Process", error: BaseException) -> None:
        """Hear that a process has ended by itself."""
        ...

    def follow(
        self, topic: str, partition: int, listener: Callable[[], None]
    ) -> Callable[[], None]:
        """Have new records of a partition told, until what is returned is called."""
        ...


class WatchedEngine(AreaEngine):
    """The engine, which says where it has come to, and can be made to fail."""

    def __init__(self, partition: int, shared: Shared, process: "Process") -> None:
        super().__init__(partition, shared)
        self._process = process

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide one input."""
        around = self._process.around
        self._process.failing = Place(raw.topic, raw.partition, raw.offset)
        around.spoil(raw)
        before = self.states() if around.wants_to_see(raw) else None
        steps = super().take(raw, now_ms, epoch)
        self._process.failing = None
        if before is not None:
            around.decided(self, raw, before, steps)
        if not raw.replayed:
            around.gap(self._process, "decided")
        return steps

    def fold(self, record: Any, epoch: int) -> tuple[Publication, ...]:  # noqa: ANN401 - JSON
        """Fold a recorded decision."""
        publications = super().fold(record, epoch)
        self._process.around.gap(self._process, "folded")
        return publications

    def world_of(self, area_id: str) -> World:
        """Give the world as this area's decisions see it."""
        return self._area(area_id).world

    def received(self, raw: Raw) -> Received:
        """Give an input as the rules had it."""
        return self._received(raw)


class Feed:
    """Brings what lies in one partition of an input topic to the lane, a fetch at a time."""

    def __init__(self, process: "Process", topic: str, partition: int, start: int) -> None:
        self._process = process
        self._topic = topic
        self._partition = partition
        self._next = start
        self._fetching = False
        self._stopped = False
        self.paused = False
        self._leave = process.around.follow(topic, partition, self.wake)
        self.wake()

    def stop(self) -> None:
        """Bring nothing any more."""
        self._stopped = True
        self._leave()

    def wake(self) -> None:
        """Fetch, unless that is under way or there is nothing."""
        around = self._process.around
        if self._fetching or self._stopped or self.paused:
            return
        if self._next < around.topics.end(self._topic, self._partition):
            self._fetching = True
            around.loop.later(self._takes_ms(), self._fetch)

    def _takes_ms(self) -> float:
        around, link = self._process.around, self._process.link
        takes_ms = link.latency_ms()
        if link.faulty and around.plan.has(Kind.REORDER):
            around.plan.note(Kind.REORDER)
            takes_ms += around.chance() * around.plan.rate(Kind.REORDER) * JITTER_MS
        return takes_ms

    def _fetch(self) -> None:
        process = self._process
        if self._stopped or process.link.dead:
            return
        if not process.link.reachable or process.link.lost():
            process.around.loop.later(FETCH_RETRY_MS, self._fetch)
            return
        start = self._start()
        end = self._next + FETCH_RECORDS
        records = process.around.topics.read(self._topic, self._partition, start, end)
        process.around.loop.later(process.link.latency_ms(), process.link.hold,
                                  partial(self._deliver, records))  # fmt: skip

    def _start(self) -> int:
        """Where to read from: where the last fetch ended, or earlier."""
        around = self._process.around
        if self._next > 0 and self._process.link.faulty:
            for kind in (Kind.OFFSETS_MOVED, Kind.DUPLICATE):
                if around.plan.has(kind) and around.chance() < REDELIVER_SHARE:
                    around.plan.note(kind)
                    return int(around.chance() * self._next)
        return self._next

    def _deliver(self, records: Sequence[Raw]) -> None:
        self._fetching = False
        if self._stopped:
            return
        for raw in records:
            self._next = max(self._next, raw.offset + 1)
            self._process.lanes.put(raw, (raw.topic, raw.partition, raw.offset))
        self.wake()


class Process:
    """One worker process, from its start to its end.

    Attributes
    ----------
    failing : the input that the core is deciding, or failed on.
    engines : by partition, the engine of the lane that owns it.
    """

    def __init__(
        self,
        around: Surroundings,
        name: str,
        link: Link,
        clock: WorkerClock,
        shared: Shared,
    ) -> None:
        self.around = around
        self.name = name
        self.link = link
        self.clock = clock
        self.roster = Roster()
        self.shared = replace(shared, roster=self.roster)
        self.failing: Place | None = None
        self.engines: dict[int, WatchedEngine] = {}
        log = SimLog(
            around.topics, link, name, around.plan, partial(around.gap, self), around.peaks,
            around.chance,
        )  # fmt: skip
        self.lanes = Lanes(self._make_core, log, clock, self._make_flow, self._failed)
        self._feeds: dict[tuple[str, int], Feed] = {}
        self._rejoin = asyncio.Event()
        self._joining = False
        self._main: asyncio.Task[None] | None = None
        self._roster_next = 0
        self._roster_read = False
        self._leave_roster: Callable[[], None] = lambda: None

    def __str__(self) -> str:
        """Its name."""
        return self.name

    @property
    def alive(self) -> bool:
        """Whether it runs, or stands still."""
        return not self.link.dead

    # --- its life

    def start(self) -> None:
        """Begin."""
        self._main = self.around.loop.create_task(self._live())

    def die(self) -> None:
        """End where it stands, as by kill -9."""
        self.link.dead = True
        self.lanes.abandon()
        if self._main is not None:
            self._main.cancel()
        self._stop_feeds()
        self._leave_roster()

    def _failed(self, error: BaseException) -> None:
        """Leave, with the reason; the group is told."""
        if self.alive:
            self.die()
            self.around.group.leave(self)
            self.around.ended(self, error)

    async def stop(self) -> None:
        """Finish the batches under way and leave in order."""
        self._stop_feeds()
        await self.lanes.release()
        if self.alive:
            self.around.group.leave(self)
            self.die()

    def told_to_rejoin(self) -> None:
        """Hear that the partitions are dealt anew; who is joining knows."""
        if not self._joining:
            self._rejoin.set()

    def told_unknown(self) -> None:
        """Hear that the group has gone on without it."""
        self._rejoin.set()

    async def _live(self) -> None:
        try:
            await self._caught_up()
            self._roster_read = True
            self._leave_roster = self.around.follow(ROSTER, 0, self._roster_news)
            while self.alive:
                self._rejoin.clear()
                self._joining = True
                partitions = await self._unless_rejoin(self.around.group.join(self))
                self._joining = False
                if partitions is not None:
                    await self._own(partitions)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is ends the process, as in the product
            self._failed(error)

    async def _own(self, partitions: list[int]) -> None:
        """Take over, work until the next rebalance, release."""
        owning = self.around.loop.create_task(self.lanes.own(partitions))
        waiting = self.around.loop.create_task(self._rejoin.wait())
        await asyncio.wait([owning, waiting], return_when=asyncio.FIRST_COMPLETED)
        if owning.done():
            owning.result()
            self._start_feeds()
            await waiting
        self._stop_feeds()
        if not owning.done():
            owning.cancel()
            await asyncio.wait([owning])
        await self.lanes.release()

    async def _unless_rejoin(self, joining: Coroutine[Any, Any, list[int]]) -> list[int] | None:
        task = self.around.loop.create_task(joining)
        waiting = self.around.loop.create_task(self._rejoin.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not task.done():
            task.cancel()
            return None
        try:
            return task.result()
        except UnansweredError:
            return None

    # --- its parts

    def _make_core(self, partition: int) -> Core:
        engine = self.engines[partition] = WatchedEngine(partition, self.shared, self)
        return engine

    def _make_flow(self, partition: int) -> Flow:
        def pause(topic: str) -> None:
            feed = self._feeds.get((topic, partition))
            if feed is not None:
                feed.paused = True

        def resume(topic: str) -> None:
            feed = self._feeds.get((topic, partition))
            if feed is not None:
                feed.paused = False
                feed.wake()

        return Flow(lambda _: self.around.gap(self, "acknowledged"), self._caught_up, pause, resume)

    def _start_feeds(self) -> None:
        for (topic, partition), offset in self.lanes.next_inputs().items():
            self._feeds[topic, partition] = Feed(self, topic, partition, offset)

    def _stop_feeds(self) -> None:
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            feed.stop()

    def measure(self) -> None:
        """Note how much waits."""
        for lane in self.lanes.lanes:
            self.around.peaks.see("INBOX_HIGH", lane.waiting, INBOX_HIGH * len(INPUTS))

    # --- the map and the roster

    def take_roads(self, roads: RoadMap) -> None:
        """Decide on another map from now on."""
        self.shared = replace(self.shared, roads=roads)
        for engine in self.engines.values():
            engine.take_roads(roads)

    async def _caught_up(self) -> None:
        """Read the roster to where it ends now, before inputs are decided."""
        end = await self.link.ask(lambda: self.around.topics.end(ROSTER, 0))
        if self._roster_next < end:
            self._read_roster(await self.link.ask(self._roster_rest))

    def _roster_rest(self) -> list[Raw]:
        return self.around.topics.read(ROSTER, 0, self._roster_next)

    def _roster_news(self) -> None:
        def read() -> None:
            if self.link.reachable:
                self._read_roster(self._roster_rest())
            elif self.alive:
                self.around.loop.later(FETCH_RETRY_MS, self.link.hold, read)

        self.around.loop.later(self.link.latency_ms(), self.link.hold, read)

    def _read_roster(self, records: Sequence[Raw]) -> None:
        for raw in records:
            if raw.offset == self._roster_next:
                self._roster_next += 1
                self._take_roster(raw)

    def _take_roster(self, raw: Raw) -> None:
        self.roster.version = f"{ROSTER}@{raw.offset + 1}"
        try:
            entry = decode_roster(raw.key, raw.value, raw.headers)
        except BadInput:
            return
        if isinstance(entry, Gone):
            self.roster.remove(entry.member_id)
        else:
            self.roster.put(entry, raw.timestamp_ms)
        for engine in self.engines.values():
            engine.roster_changed(entry.member_id, raw, tell=self._roster_read)
