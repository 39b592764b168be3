"""One worker process: connects, runs the app, and leaves when anything is wrong.

A worker does not repair itself. What cannot be decided, written or read ends the process with the
reason on stderr; whoever started it starts it again, and the log tells the next one everything.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn, Protocol

import structlog
import uvloop
from aiokafka.errors import KafkaError

from xiaohe.streams.app import WorkerSettings, build_app
from xiaohe.streams.clocks import SystemClock
from xiaohe.streams.consumer import Commits
from xiaohe.streams.kafka_log import KafkaLog
from xiaohe.streams.lane import Flow, Lane
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.ports import Clock, Core, Log
from xiaohe.topics import Topics
from xiaohe.wire.fault_text import kind_of, told

_log = structlog.get_logger(__name__)

LEAVE_S = 3.0
"""How long a failed worker may take to say good-bye to the group, so that its areas need not
wait for the end of its session."""

LEFT_S = 6.0
"""A failed worker that is still there after so long, for whatever it says good-bye to does not
answer either, is ended by the watchdog."""

LOOP_BLOCKED_S = 20.0
"""An event loop that does not turn for so long is ended by the watchdog."""

LAG_CHECK_S = 10.0
"""How often it is looked whether the topics are read at all."""

STUCK_S = 40.0
"""How long a topic may grow unread, a lane stand still, or what was acknowledged go uncommitted:
longer than a lane's own limit, shorter than the first window."""

EXIT_DONE, EXIT_FAILED = 0, 1


class StuckError(Exception):
    """Something does not move that should; the message says what."""


class _Stoppable(Protocol):
    async def stop(self) -> None: ...


class Worker:
    """The lanes of one process and the app that feeds them.

    ``gate`` is awaited before inputs are decided (the roster's ``caught_up``). ``on_owned`` is
    called whenever all partitions given to this worker have been taken over. ``wrap_log`` stands
    between the lanes and Kafka.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        topics: Topics,
        make_core: Callable[[int], Core],
        *,
        gate: Callable[[], Awaitable[None]] | None = None,
        on_owned: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
        wrap_log: Callable[[Log], Log] = lambda log: log,
        wrap_flow: Callable[[Flow], Flow] = lambda flow: flow,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._make_core = make_core
        self._gate = gate
        self._on_owned = on_owned
        self._clock = clock or SystemClock()
        self._wrap_log = wrap_log
        self._wrap_flow = wrap_flow
        self._lanes: Lanes | None = None
        self._ended: asyncio.Future[BaseException | None] | None = None
        self._ending = asyncio.Event()
        self._reason: BaseException | None = None
        self.on_failing: Callable[[BaseException], None] = lambda _: None

    @property
    def lanes(self) -> Lanes:
        """The lanes, while the worker runs."""
        assert self._lanes is not None
        return self._lanes

    def stop(self) -> None:
        """Finish the batches under way, leave the group, return from ``run``."""
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if not self._ending.is_set():
            self._reason = error
            self._ending.set()
            if error is not None:
                self.on_failing(error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)

    async def run(self) -> BaseException | None:
        """Work until ``stop`` or until something is wrong; what that was."""
        self._ended = asyncio.get_running_loop().create_future()
        if self._ending.is_set():
            return self._reason
        async with KafkaLog(self._settings.cluster, self._topics) as kafka:
            io, commits = self._wrap_log(kafka), Commits()
            app = build_app(
                self._settings, self._topics, lambda flow: self._make(io, flow),
                self._end, self._on_owned, commits,
            )  # fmt: skip
            watching = self._watch(io, commits)
            crash = asyncio.create_task(app.wait_until_stopped())
            starting = asyncio.create_task(app.start())
            starting.add_done_callback(self._ended_by)
            await asyncio.wait([crash, self._ended], return_when=asyncio.FIRST_COMPLETED)
            error = self._ended.result() if self._ended.done() else app.crash_reason
            if error is None and not self._ended.done():
                error = RuntimeError("Faust stopped by itself")
            for task in (watching, crash, starting):
                task.cancel()
            await self._leave(app, error)
        return error

    def _watch(self, io: Log, commits: Commits) -> asyncio.Task[None]:
        watching = asyncio.create_task(_StuckWatch(self.lanes, io, commits).run(self._end))
        watching.add_done_callback(self._ended_by)
        return watching

    def _ended_by(self, task: asyncio.Task[None]) -> None:
        """Leave with what a task failed on, if it did: that is a fault of ours."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._end(fault)

    def _make(self, io: Log, make_flow: Callable[[int], Flow]) -> Lanes:
        def flow(partition: int) -> Flow:
            return self._wrap_flow(replace(make_flow(partition), gate=self._gate))

        self._lanes = Lanes(self._make_core, io, self._clock, flow, self._end)
        return self._lanes

    async def _leave(self, app: _Stoppable, error: BaseException | None) -> None:
        if error is not None:
            self.lanes.abandon()  # nothing is acknowledged any more
            # Not waited for any longer, not even until it has heard that it is given up.
            await asyncio.wait([asyncio.create_task(app.stop())], timeout=LEAVE_S)
            return
        await self.lanes.release()
        await app.stop()


class _StuckWatch:
    """Notices what stands still without an error: Faust's consumer or its agent may fall silent,
    a lane may wait for an answer that never comes, commits may stop.

    A lane that does not run yet is not looked at: a take-over has a limit of its own, which is
    longer.
    """

    def __init__(self, lanes: Lanes, io: Log, commits: Commits) -> None:
        self._lanes = lanes
        self._io = io
        self._commits = commits
        self._since: dict[tuple[int, str], tuple[int, float]] = {}

    async def run(self, fail: Callable[[BaseException], None]) -> None:
        """Look every LAG_CHECK_S; ``fail`` is called with what stands still."""
        while True:
            await asyncio.sleep(LAG_CHECK_S)
            lanes = self._lanes.running
            owned = {lane.partition for lane in lanes}
            self._since = {key: seen for key, seen in self._since.items() if key[0] in owned}
            try:
                for lane in lanes:
                    self._look_at_lane(lane)
                    await self._look_at_topics(lane)
                self._look_at_commits()
            except StuckError as stuck:
                fail(stuck)

    def _look_at_lane(self, lane: Lane) -> None:
        """A lane turns whether there is anything to do or not, and takes what waits."""
        self._note(lane.partition, "lane turns", lane.turns)
        waits = lane.waiting > 0
        self._note(lane.partition, "lane records", lane.taken_count if waits else None)

    async def _look_at_topics(self, lane: Lane) -> None:
        try:
            async with asyncio.timeout(LAG_CHECK_S):
                ends = await self._io.input_ends(lane.partition)
        except (KafkaError, TimeoutError):
            return  # the broker is away: whoever writes or reads will say so
        for topic, offset in lane.fetched_next.items():
            behind = offset < ends[topic] and not lane.paused(topic)
            self._note(lane.partition, topic, offset if behind else None)

    def _look_at_commits(self) -> None:
        if self._commits.overdue_s > STUCK_S:
            raise StuckError(
                f"nothing was committed for {self._commits.overdue_s:.0f} s, though "
                f"{self._commits.pending} records were acknowledged"
            )

    def _note(self, partition: int, what: str, at: int | None) -> None:
        key = (partition, what)
        now_s = time.monotonic()
        known = self._since.get(key)
        if at is None:
            self._since.pop(key, None)
        elif known is None or known[0] != at:
            self._since[key] = (at, now_s)
        elif now_s - known[1] > STUCK_S:
            raise StuckError(f"{what}[{partition}] has stood at {at} for {STUCK_S:.0f} s")


def run_worker(worker: Worker) -> int:
    """Run a worker in this process until SIGTERM or SIGINT (exit status 0) or a failure.

    A failure is written to stderr, and the process ends at once with status 1: threads that are
    stuck must not keep it.
    """
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Faust's consumer thread's loop too
    asyncio.run(_supervised(worker))
    return EXIT_DONE


def _left(error: BaseException) -> str:
    return f"xiaohe worker: left: {kind_of(error)}"


async def _supervised(worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    watchdog = _Watchdog()
    worker.on_failing = watchdog.expect_end
    watchdog.start()
    error = await worker.run()
    if error is not None:
        sys.stderr.write(told(error) + "\n")
        _die(_left(error))  # here, for a task that will not end would keep the loop
    watchdog.stop()


class _Watchdog:
    """A thread that ends the process when the event loop does not turn, or does not end."""

    def __init__(self) -> None:
        self._beat_s = time.monotonic()
        self._stopped = threading.Event()
        self._end_by: tuple[float, str] | None = None
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._beating = asyncio.create_task(self._beat())
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._beating is not None:
            self._beating.cancel()

    def expect_end(self, error: BaseException) -> None:
        """The worker leaves for this reason, and should be gone soon."""
        self._end_by = (time.monotonic() + LEFT_S, _left(error))

    async def _beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(1.0)

    def _watch(self) -> None:
        while not self._stopped.wait(1.0):
            now_s = time.monotonic()
            if self._end_by is not None:
                end_by_s, reason = self._end_by
                if now_s > end_by_s:
                    _die(reason)
            elif now_s - self._beat_s > LOOP_BLOCKED_S:
                _die(f"xiaohe worker: left: the event loop stood still for {LOOP_BLOCKED_S:.0f} s")


def _die(reason: str) -> NoReturn:
    sys.stderr.write(reason + "\n")
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
