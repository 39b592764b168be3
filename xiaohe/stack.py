"""Everything on one machine: broker, topics, roster, gateway, workers; watched until the end.

``async with Stack(options, on_event=…) as stack`` returns when all is ready: roads and roster
loaded, every area owned. A part that dies is started again. Leaving the block ends all parts; the
death of this process, by any means, ends them too.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import psutil

from xiaohe.broker import Broker
from xiaohe.cluster import apply
from xiaohe.dispatch.policy import load_policy
from xiaohe.gateway.serve import address_of, listen
from xiaohe.geo.address_points import stated_addresses
from xiaohe.geo.files import load_pieces
from xiaohe.geo.importer import import_roads
from xiaohe.geo.roads import RoadPiece, RoadsFileError, write_roads
from xiaohe.parts import Part
from xiaohe.places import POLICY, ROADS, ROSTER, read_file
from xiaohe.roster_file import publish_missing, read_roster
from xiaohe.secure_broker import let_in
from xiaohe.topics import GATEWAY, WORKER, Topics, load_topics
from xiaohe.whole_file import write_whole
from xiaohe.wire.cluster_access import ClusterAccess

READY_TIMEOUT_S = 90.0
"""Longest wait for a part to be ready, on a machine under load."""

RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a part is started again, the last one for all further times."""

LOOK_AGAIN_S = 0.2
"""How often it is looked whether the broker lives."""

STEADY_S = 30.0
"""A part that ran for so long starts again without a pause."""

Event = dict[str, object]


class StackFailed(Exception):
    """A part cannot be brought up; the message says why and what to do."""


@dataclass(frozen=True)
class StackOptions:
    """What is to run. None for roads, roster or policy means what the package ships.

    Without ``cluster`` a broker of its own is started in the data folder, ``secure`` or not. With
    roads of one's own and no roster, the roster is whatever the topic holds.
    """

    data_dir: Path
    roads: Path | None = None
    roster: Path | None = None
    policy: Path | None = None
    feeds: Path | None = None
    http: str = "127.0.0.1:8080"
    workers: int = 1
    cluster: ClusterAccess | None = None
    secure: bool = False
    speed: float = 1.0
    session_timeout_s: float = 6.0


class Stack:
    """The running parts."""

    def __init__(
        self, options: StackOptions, on_event: Callable[[Event], None] = lambda _: None
    ) -> None:
        self._options = options
        self._on_event = on_event
        self._exit = contextlib.AsyncExitStack()
        self._watching: set[asyncio.Task[None]] = set()
        self._owned: dict[int, frozenset[int]] = {}
        self._ready = asyncio.Event()
        self._gateway_ready = asyncio.Event()
        self._failed: asyncio.Future[StackFailed] | None = None
        self._broker: Broker | None = None
        self._parts: dict[str, Part] = {}
        self._recorded = False
        self.is_ready = False
        self.topics: Topics = load_topics()
        self._access = options.cluster
        self.http = options.http

    @property
    def pids(self) -> Event:
        """The process ids, as the contract shows them."""
        return {
            "broker": self._broker.pid if self._broker is not None else None,
            "worker": [p.pid for name, p in self._parts.items() if name.startswith("worker")],
            "gateway": self._parts["gateway"].pid if "gateway" in self._parts else None,
        }

    @property
    def access(self) -> ClusterAccess:
        """How this process reaches the cluster; known when its own broker runs."""
        assert self._access is not None, "the stack was entered"
        return self._access

    @property
    def bootstrap_servers(self) -> str:
        """Where the cluster is, ``host:port``, several separated by commas."""
        return self.access.bootstrap_servers

    async def __aenter__(self) -> Self:
        """Bring everything up. Raises StackFailed, BrokerUnavailable and what a bad file raises."""
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all parts."""
        await self._stop()

    async def wait_failed(self) -> StackFailed:
        """Return when a part cannot be kept up."""
        assert self._failed is not None, "the stack was entered"
        return await asyncio.shield(self._failed)

    # --- up

    async def _start(self) -> None:
        options = self._options
        options.data_dir.mkdir(parents=True, exist_ok=True)
        running = read_record(options.data_dir)
        if running is not None:
            raise StackFailed(
                f"xiaohe already runs on {options.data_dir} (process {running['pid']}, "
                f"http://{running['http']}/): end that one, or name another folder with --data-dir"
            )
        _check_policy(options)
        roads = await asyncio.to_thread(_usable_roads, options)
        entries = await asyncio.to_thread(_roster_entries, options)
        listener = listen(options.http)
        self.http = address_of(listener)
        listener.close()
        if options.cluster is None:
            self._say("starting the broker")
            self._broker = await self._broker_started()
            self._access = self._broker.access()
            if self._broker.secure:
                self._say("giving passwords and rights")
                await let_in(self._broker, self.topics)
            self._watch(self._watch_broker())
        self._say("making the topics")
        applied = await apply(self.access, self.topics)
        if applied.refused:
            reasons = "; ".join(str(each.refused) for each in applied.refused)
            raise StackFailed(f"the cluster's topics do not fit: {reasons}")
        if entries:
            self._say("publishing the roster")
            await publish_missing(self.access, self.topics.roster.name, entries)
        self._say("starting worker and gateway")
        await self._start_part("gateway", self._gateway_command(roads))
        for n in range(options.workers):
            await self._start_part(f"worker-{n}", self._worker_command(n, roads))
        await self._await_ready()
        self.is_ready = True
        self._write_record()

    async def _broker_started(self) -> Broker:
        """Start the broker; a start that is given up midway is waited for, so that it is ended."""
        starting = asyncio.create_task(asyncio.to_thread(self._start_broker))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                self._broker = await starting
            raise

    def _start_broker(self) -> Broker:
        folder = self._options.data_dir / "broker"
        secure = self._options.secure
        return Broker.start(folder, bound_to_parent=True, secure=secure, say=self._say)

    def _gateway_command(self, roads: Path) -> list[str]:
        return [
            *_program(),
            "gateway",
            "--bootstrap-servers", self.bootstrap_servers,
            "--http", self.http,
            "--roads", str(roads),
            "--policy", str(self._options.policy or POLICY),
            *(("--feeds", str(self._options.feeds)) if self._options.feeds else ()),
            "--json",
        ]  # fmt: skip

    def _worker_command(self, n: int, roads: Path) -> list[str]:
        options = self._options
        return [
            *_program(),
            "worker",
            "--bootstrap-servers", self.bootstrap_servers,
            "--roads", str(roads),
            "--policy", str(options.policy or POLICY),
            "--data-dir", str(options.data_dir),
            "--instance", f"worker-{n}",
            "--speed", str(options.speed),
            "--session-timeout-s", str(options.session_timeout_s),
            "--json",
        ]  # fmt: skip

    async def _start_part(self, name: str, command: list[str]) -> None:
        part = self._part(name, command)
        await part.start(lambda event: self._told(name, event))
        self._parts[name] = part
        self._watch(self._keep_up(name, part, command))

    def _part(self, name: str, command: list[str]) -> Part:
        log_file = self._options.data_dir / "log" / f"{name}.log"
        principal = GATEWAY if name == "gateway" else WORKER
        access = self.access if self._broker is None else self._broker.access(principal)
        return Part(name, command, log_file, access.environment_of_child())

    def _told(self, name: str, event: Event) -> None:
        if name == "gateway" and event.get("event") == "ready":
            self._gateway_ready.set()
        elif event.get("event") == "owned":
            partitions = event["partitions"]
            assert isinstance(partitions, list), "a worker tells its partitions"
            self._owned[self._parts[name].pid] = frozenset(partitions)
            alive = {part.pid for part in self._parts.values()}
            owned = frozenset[int]().union(
                *(owned for pid, owned in self._owned.items() if pid in alive)
            )
            if len(owned) == self.topics.area_partitions:
                self._ready.set()

    async def _await_ready(self) -> None:
        ready = asyncio.gather(self._ready.wait(), self._gateway_ready.wait())
        failed = asyncio.create_task(self.wait_failed())
        try:
            done, _ = await asyncio.wait(
                [ready, failed], timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if failed in done:
                raise failed.result()
            if ready not in done:
                raise StackFailed(
                    f"not ready after {READY_TIMEOUT_S:.0f} s; the parts' logs are in "
                    f"{self._options.data_dir / 'log'}"
                )
        finally:
            ready.cancel()
            failed.cancel()
            await asyncio.gather(ready, failed, return_exceptions=True)

    # --- kept up

    def _watch(self, watching: "asyncio.Coroutine[object, object, None]") -> None:
        task = asyncio.create_task(watching)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _keep_up(self, name: str, part: Part, command: list[str]) -> None:
        """Start a part again whenever it ends by itself."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started_s = loop.time()
            status = await part.ended()
            first = not self._ready.is_set()
            if loop.time() - started_s > STEADY_S:
                failures = 0
            if first and failures >= len(RESTART_PAUSES_S):
                self._fail(f"{name} ended with status {status}:\n{part.last_lines()}")
                return
            await asyncio.sleep(RESTART_PAUSES_S[min(failures, len(RESTART_PAUSES_S) - 1)])
            failures += 1
            part = self._part(name, command)
            self._parts[name] = part
            await part.start(lambda event: self._told(name, event))
            self._on_event(
                {
                    "event": "restarted",
                    "part": name.partition("-")[0],
                    "pid": part.pid,
                    "status": status,
                }
            )
            self._write_record()

    async def _watch_broker(self) -> None:
        """Start the broker again, on its folder and address, whenever it dies."""
        while True:
            broker = self._broker
            assert broker is not None, "it was started"
            while broker.alive:  # noqa: ASYNC110 - a process tells nobody that it has ended
                await asyncio.sleep(LOOK_AGAIN_S)
            try:
                self._broker = await self._broker_started()
            except Exception as fault:  # noqa: BLE001 - whatever it is, a person has to hear it
                self._fail(f"the broker ended and cannot be started again: {fault}")
                return
            self._on_event({"event": "restarted", "part": "broker", "pid": self._broker.pid})
            self._write_record()

    def _fail(self, why: str) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(StackFailed(why))

    # --- down

    async def _stop(self) -> None:
        for task in list(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        workers = [part for name, part in self._parts.items() if name != "gateway"]
        await asyncio.gather(*(part.stop() for part in workers))
        if "gateway" in self._parts:
            await self._parts["gateway"].stop()
        if self._broker is not None and self._broker.started_here:
            await asyncio.to_thread(self._broker.stop)
        if self._recorded:
            record_path(self._options.data_dir).unlink(missing_ok=True)

    # --- told

    def _say(self, what: str) -> None:
        self._on_event({"event": "progress", "what": what})

    def _write_record(self) -> None:
        record = {
            "pid": os.getpid(),
            "at_s": time.time(),
            "bootstrap_servers": self.bootstrap_servers,
            "http": self.http,
            "pids": self.pids,
        }
        path = record_path(self._options.data_dir)
        with contextlib.suppress(OSError):  # a full disk: `status` then knows less
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as written:
                written.write(orjson.dumps(record))
            Path(written.name).replace(path)
            self._recorded = True


def record_path(data_dir: Path) -> Path:
    """Give the file in which a running stack says what it is."""
    return data_dir / "up.json"


def read_record(data_dir: Path) -> Event | None:
    """Give what a running stack said of itself, or None where none runs."""
    try:
        found = json.loads(record_path(data_dir).read_bytes())
        process = psutil.Process(found["pid"])
        # The same number may be another process by now.
        return found if process.create_time() <= found["at_s"] else None
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return None


def _program() -> list[str]:
    return [sys.executable, "-m", "xiaohe"]


def _usable_roads(options: StackOptions) -> Path:
    """Give a roads file that can be used as it is; one that is raw is noded first.

    Raises RoadsFileError.
    """
    if options.roads is None:
        return ROADS
    report = import_roads(options.roads)
    if report.source == "geojson" and not report.noded and _holds(options.roads, report.pieces):
        return options.roads
    path = options.data_dir / "roads.geojson"
    write_whole(path, write_roads(report.pieces, stated_addresses(report.addresses)))
    return path


def _holds(path: Path, pieces: tuple[RoadPiece, ...]) -> bool:
    try:
        return load_pieces(path)[0] == pieces
    except RoadsFileError:
        return False


def _check_policy(options: StackOptions) -> None:
    """Find a bad policy before anything is started. Raises PolicyError."""
    if options.policy is not None:
        load_policy(read_file(options.policy), base=POLICY.read_bytes())


def _roster_entries(options: StackOptions) -> Iterable[dict[str, object]]:
    if options.roster is not None:
        return read_roster(options.roster)
    return read_roster(ROSTER) if options.roads is None else ()
