"""The lanes of one worker: taking partitions over, handing records to them, letting them go."""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from msgspec import structs

from xiaohe.streams.brokers_time import BrokersClock, HeededLog
from xiaohe.streams.lane import Flow, Lane, SnapshotTurn
from xiaohe.streams.ports import Clock, Core, Log, Raw
from xiaohe.streams.takeover import take_over

_log = structlog.get_logger(__name__)

RELEASE_S = 2.0
"""How long a lane may take to finish its batch when its partition is taken away."""

TAKE_OVERS_AT_ONCE = 4
"""Partitions folded at the same time: folding is the CPU's work, so more would gain nothing."""


class Lanes:
    """One lane for each partition that the worker owns.

    ``on_failure`` is called once, with what ended a lane: the worker must leave.

    Attributes
    ----------
    took_ms : how long each stage of the last take-overs took, for the slowest partition.
    """

    def __init__(
        self,
        make_core: Callable[[int], Core],
        log: Log,
        clock: Clock,
        make_flow: Callable[[int], Flow],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._make_core = make_core
        self._clock = BrokersClock(clock)
        self._io = HeededLog(log, self._clock)
        self._make_flow = make_flow
        self._on_failure = on_failure
        self._lanes: dict[int, tuple[Lane, Core]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._parked: dict[int, tuple[Lane, Core]] = {}
        self.took_ms: dict[str, int] = {}
        self._turn = SnapshotTurn()

    async def own(self, partitions: Iterable[int]) -> None:
        """Own exactly these partitions: take over those that are new and start their lanes."""
        assert not self._lanes, "the lanes of the last assignment are released first"
        gate = asyncio.Semaphore(TAKE_OVERS_AT_ONCE)
        self.took_ms = {}
        self._turn = SnapshotTurn()
        async with asyncio.TaskGroup() as group:
            for partition in sorted(partitions):
                group.create_task(self._open(partition, gate))
        self._parked.clear()
        for partition, (lane, _) in self._lanes.items():
            task = asyncio.create_task(lane.run(), name=f"lane-{partition}")
            task.add_done_callback(self._ended)
            self._tasks[partition] = task

    async def _open(self, partition: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            flow = self._make_flow(partition)
            kept = await self._kept(partition)
            if kept is not None:
                lane, core = kept
                ends = dict(await self._io.input_ends(partition))
                taken_over = structs.replace(lane.continued(), ends=ends)
            else:
                core = self._make_core(partition)
                taken_over = await take_over(self._io, core, self._clock, partition)
                for stage, ms in taken_over.took_ms.items():
                    self.took_ms[stage] = max(ms, self.took_ms.get(stage, 0))
            lane = Lane(core, self._io, self._clock, flow, taken_over, self._turn)
            self._lanes[partition] = (lane, core)

    async def _kept(self, partition: int) -> tuple[Lane, Core] | None:
        """The lane that had the partition before, if nobody has written to its log since."""
        kept = self._parked.pop(partition, None)
        if kept is None:
            return None
        _, end = await self._io.decisions_range(partition)
        return kept if end == kept[0].next_offset else None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)

    async def release(self) -> None:
        """Let go of all partitions: batches under way are finished, nothing else is begun."""
        lanes, self._lanes = self._lanes, {}
        tasks, self._tasks = self._tasks, {}
        for lane, _ in lanes.values():
            lane.stop()
        if tasks:
            done, _ = await asyncio.wait(tasks.values(), timeout=RELEASE_S)
            late = [task for task in tasks.values() if task not in done]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._parked = {p: kept for p, kept in lanes.items() if kept[0].clean}

    def abandon(self) -> None:
        """End all lanes where they stand, as a crash would."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._lanes.clear()
        self._parked.clear()

    def put(self, raw: Raw, ack: object) -> None:
        """Hand a record to the lane of its partition; one of a partition not owned is dropped,
        neither handled nor acknowledged."""
        kept = self._lanes.get(raw.partition)
        if kept is not None:
            kept[0].put(raw, ack)

    def next_inputs(self) -> dict[tuple[str, int], int]:
        """Where to read on, by topic and partition."""
        return {
            (topic, partition): offset
            for partition, (lane, _) in self._lanes.items()
            for topic, offset in lane.next_inputs.items()
        }

    @property
    def running(self) -> list[Lane]:
        """Those of the lanes that run: none does before all partitions have been taken over."""
        at_work = [partition for partition, task in self._tasks.items() if not task.done()]
        return [self._lanes[partition][0] for partition in at_work]

    @property
    def lanes(self) -> list[Lane]:
        """The lanes of the partitions that are owned, or are being taken over."""
        return [lane for lane, _ in self._lanes.values()]
