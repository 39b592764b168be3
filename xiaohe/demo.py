"""``xiaohe demo``: everything up, with a simulated brigade and alerts at a stated, high rate.

It runs on a real Kafka where one can be had, and else on the embedded stand-in. In the end it
draws the balance from the topics alone and gives 1 where an alert was lost.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.java import BrokerUnavailable
from xiaohe.live_picture import Scene
from xiaohe.live_view import View, make_view
from xiaohe.places import PACKAGE, POLICY, ROADS, ROSTER
from xiaohe.roster_file import read_roster
from xiaohe.sim.account import WINDOWS, Ledger
from xiaohe.sim.brigade import Brigade, Outgoing
from xiaohe.sim.bus import Bus, BusError, Heard, KafkaBus
from xiaohe.sim.calls import RATE_PER_H, STORY_S_MAX, Calls, load_landmarks
from xiaohe.sim.figures import URGENT, intervals, percentile, windows, within
from xiaohe.sim.members import Profile
from xiaohe.sim.streets import Streets
from xiaohe.sim.timescale import Timescale
from xiaohe.sim.words import Line, Narrator
from xiaohe.stack import Stack, StackFailed, StackOptions
from xiaohe.stand_in import PROMISES, REMEDY, StandIn
from xiaohe.wire.cluster_access import ClusterAccess

PLACES: Final = PACKAGE / "data" / "places.geojson"

SECONDS: Final = 180.0
"""How long a demo runs where nothing else is asked for: the story, the burst, the windows."""

TICK_S: Final = 0.1
"""How often the simulation is stepped: a tenth of the shortest human delay at speed 1."""

SETTLE_S: Final = (1.0, 15.0)
"""After the last alert the members go on for at least and at most so long, until the account is
even: a decision takes milliseconds, a worker that was just started again some seconds."""

EXIT_DONE, EXIT_FAILED = 0, 1


@dataclass(frozen=True)
class DemoOptions:
    """``seconds`` of the machine's clock, None until Ctrl-C; ``rate`` alerts a simulated hour.

    Without ``data_dir`` everything is kept in a folder of its own that is removed in the end.
    ``stand_in`` does without Kafka though there may be one.
    """

    seconds: float | None = SECONDS
    speed: float = 1.0
    rate: float = RATE_PER_H
    seed: int = 1
    data_dir: Path | None = None
    cluster: ClusterAccess | None = None
    json: bool = False
    http: str = "127.0.0.1:0"
    stand_in: bool = False


@dataclass(frozen=True)
class _Engine:
    """What the brigade is connected to. ``failures`` are awaited for the first that returns."""

    bus: Bus
    name: str
    facts: Mapping[str, object]
    failures: tuple[Callable[[], Awaitable[BaseException]], ...]


async def run_demo(options: DemoOptions, view: View | None = None) -> int:
    """Run a demo to its end; 1 where an alert was lost.

    Raises StackFailed, BusError and what a bad file raises.
    """
    began_s = time.monotonic()
    shown = view or make_view(json=options.json)
    stop = asyncio.Event()
    try:
        with _stopped_by_signals(stop), _quiet_log():
            return await _Demo(options, shown, stop, began_s).run()
    finally:
        shown.close()


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Logs would run through the picture: the parts keep theirs in files, the stand-in's failures
    end the demo with their reason, and aiokafka's client retries what it complains of."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_dropped])
    client, nowhere = logging.getLogger("aiokafka"), logging.NullHandler()
    propagated, client.propagate = client.propagate, False
    client.addHandler(nowhere)
    try:
        yield
    finally:
        structlog.configure(**before)
        client.propagate = propagated
        client.removeHandler(nowhere)


def _dropped(_logger: object, _name: str, _event: object) -> str:
    raise structlog.DropEvent


class _Demo:
    """One run."""

    def __init__(
        self, options: DemoOptions, view: View, stop: asyncio.Event, began_s: float
    ) -> None:
        self._options = options
        self._view = view
        self._stop = stop
        self._began_s = began_s
        self._unsent = 0
        self._first_order_s: float | None = None
        self._urgent_windows_s: dict[str, float | None] = {}

    async def run(self) -> int:
        async with AsyncExitStack() as stack:
            opening = asyncio.create_task(self._open(stack))
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait([opening, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                # The broker is started in a thread, which nothing can call back: what it has
                # begun is awaited and ended in order, or it would outlive its folder.
                self._view.phase("ending what was begun")
                await asyncio.gather(opening, return_exceptions=True)
                return EXIT_DONE
            stopped.cancel()
            engine, scene = opening.result()
            await self._play(engine, scene)
            summary = self._summary(scene, engine)
        self._view.close()
        self._view.summary(summary)
        return EXIT_DONE if summary["lost"] == 0 else EXIT_FAILED

    # --- up

    async def _open(self, stack: AsyncExitStack) -> tuple[_Engine, Scene]:
        loading = asyncio.create_task(asyncio.to_thread(_load))
        engine = await stack.enter_async_context(self._engine())
        streets, profiles, policy = await loading
        options = self._options
        scale = Timescale(time.time_ns() // 1_000_000, options.speed)
        span_s = STORY_S_MAX if options.seconds is None else options.seconds * options.speed
        brigade = Brigade(
            profiles,
            streets,
            Calls(streets, load_landmarks(PLACES), options.seed, options.rate, span_s),
            scale,
            seed=options.seed,
            run_id=f"demo-{scale.start_ms:x}",
            # On somebody's running cluster it is an exercise, and says so everywhere.
            drill=options.cluster is not None,
        )
        rules = policy.rules(max(URGENT), policy.mode_of(brigade.area_id), "", brigade.area_id)
        lengths_s = (rules.accept_s, rules.arrive_s, rules.backup_s)
        self._urgent_windows_s = dict(zip(WINDOWS, lengths_s, strict=True))
        ledger = Ledger()
        zone = ZoneInfo(policy.areas[brigade.area_id].timezone)
        scene = Scene(scale, brigade, ledger, options.rate, engine.name, zone, options.seconds)
        narrator = Narrator(brigade.name, options.speed)
        engine.bus.listen(lambda heard: self._heard(heard, scene, narrator))
        facts = {
            **engine.facts,
            "seconds": options.seconds,
            "speed": options.speed,
            "rate_per_h": options.rate,
            "seed": options.seed,
            "members": len(brigade.members),
        }
        if not self._stop.is_set():
            self._view.ready(scene, facts)
        return engine, scene

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[_Engine]:
        options = self._options
        if not options.stand_in:
            async with AsyncExitStack() as stack:
                try:
                    engine = await self._on_kafka(stack)
                except BrokerUnavailable as why:
                    self._view.banner((why.problem, *PROMISES, *REMEDY))
                else:
                    yield engine
                    return
        else:
            self._view.banner(PROMISES)
        self._view.phase("loading map and roster into the stand-in")
        async with StandIn(speed=options.speed) as stand_in:
            facts: dict[str, object] = {
                "bootstrap_servers": None,
                "http": None,
                "pids": {},
                "stand_in": True,
            }
            name = "embedded stand-in, no Kafka"
            yield _Engine(stand_in, name, facts, (stand_in.wait_failed,))

    async def _on_kafka(self, stack: AsyncExitStack) -> _Engine:
        options = self._options
        folder = options.data_dir
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="xiaohe-demo-")))
        stack_options = StackOptions(
            data_dir=folder,
            http=options.http,
            cluster=options.cluster,
            speed=options.speed,
        )
        running = await stack.enter_async_context(Stack(stack_options, self._told))
        self._view.phase("connecting the brigade")
        bus = await stack.enter_async_context(KafkaBus(running.access, running.topics))
        facts = {
            "bootstrap_servers": running.bootstrap_servers,
            "http": running.http,
            "pids": running.pids,
            "stand_in": False,
        }
        failures = (running.wait_failed, bus.wait_failed)
        return _Engine(bus, f"Apache Kafka {running.bootstrap_servers}", facts, failures)

    def _told(self, event: Mapping[str, object]) -> None:
        if event.get("event") == "progress":
            self._view.phase(str(event.get("what")))
        else:
            self._view.stack_event(event)

    # --- playing

    async def _play(self, engine: _Engine, scene: Scene) -> None:
        failures = [asyncio.ensure_future(wait_failed()) for wait_failed in engine.failures]
        try:
            seconds = self._options.seconds
            until_s = float("inf") if seconds is None else scene.begun_s + seconds
            while time.monotonic() < until_s and not self._stop.is_set():
                await self._turn(engine.bus, scene, failures)
            await self._settle(engine.bus, scene, failures)
        finally:
            for failure in failures:
                failure.cancel()
            await asyncio.gather(*failures, return_exceptions=True)

    async def _settle(
        self, bus: Bus, scene: Scene, failures: "Sequence[asyncio.Future[BaseException]]"
    ) -> None:
        """Let what is under way come to its decision; whoever presses Ctrl-C again need not."""
        scene.brigade.calling = False
        scene.settling = True
        self._stop.clear()
        least_s, most_s = SETTLE_S
        begun_s = time.monotonic()
        while not self._stop.is_set():
            await self._turn(bus, scene, failures)
            passed_s = time.monotonic() - begun_s
            even = scene.ledger.balance().lost == 0
            if passed_s >= most_s or (even and passed_s >= least_s):
                return

    async def _turn(
        self, bus: Bus, scene: Scene, failures: "Sequence[asyncio.Future[BaseException]]"
    ) -> None:
        """Step the brigade, send what it says, wait a tick."""
        outgoing = scene.brigade.step(scene.now_ms())
        await asyncio.gather(*(self._send(bus, scene, out) for out in outgoing))
        self._view.tick()
        stopped = asyncio.create_task(self._stop.wait())
        waited: list[asyncio.Future[Any]] = [stopped, *failures]
        done, _ = await asyncio.wait(waited, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for failure in failures:
            if failure in done:
                raise _fault(failure.result())

    async def _send(self, bus: Bus, scene: Scene, out: Outgoing) -> None:
        if out.raises and out.alert_id is not None:
            scene.ledger.sending(out.alert_id, time.monotonic())
        try:
            place = await bus.send(out.topic, out.key, out.value)
        except BusError as fault:
            self._unsent += 1
            self._tell(scene, Line("bad", f"✗ not sent: {fault}"), {"topic": out.topic})
            return
        if out.raises and out.topic == "positions":
            scene.ledger.alarm_sent(place)
        if out.note:
            self._tell(scene, Line("quiet", f"sent to {out.topic}: {out.note}"), {})

    def _heard(self, heard: Heard, scene: Scene, narrator: Narrator) -> None:
        value = scene.ledger.take(heard)
        if value is None:
            return
        if heard.topic == "dispatches" and self._first_order_s is None:
            self._first_order_s = heard.heard_s - self._began_s
        scene.brigade.take(heard, scene.now_ms())
        if heard.topic == "incident_events":
            line = narrator.tell(value)
        else:
            line = narrator.dead_letter(value) if heard.topic == "dead_letters" else None
        if line is not None:
            self._tell(scene, line, value)

    def _tell(self, scene: Scene, line: Line, record: Mapping[str, Any]) -> None:
        now_ms = scene.now_ms()
        scene.lines.append((now_ms, line))
        self._view.happened(now_ms, line, record)

    # --- the end

    def _summary(self, scene: Scene, engine: _Engine) -> dict[str, Any]:
        """Draw the account and the figures; the keys of the contract first."""
        ledger, options = scene.ledger, self._options
        balance = ledger.balance()
        took_ms = ledger.alert_to_order_ms()
        every, urgent = windows(ledger), windows(ledger, URGENT)
        return {
            "alerts": balance.alerts,
            "incidents": len(ledger.opened),
            "orders": len(ledger.ordered),
            "dead_letters": len(ledger.dead_letters),
            "lost": balance.lost,
            "within": within(every),
            "alert_to_order_ms": {
                "p50": _rounded(percentile(took_ms, 0.50)),
                "p99": _rounded(percentile(took_ms, 0.99)),
                "n": len(took_ms),
            },
            "decided": balance.decided + balance.repeats,
            "repeats": balance.repeats,
            "alerts_dead_lettered": balance.dead_lettered,
            "alarms": balance.alarms,
            "lost_at": [list(place) for place in balance.lost_at],
            "unsent": self._unsent,
            "within_urgent": within(urgent),
            "windows": every,
            "windows_urgent": urgent,
            "urgent_windows_s": self._urgent_windows_s,
            "intervals": intervals(ledger, options.speed),
            "dead_letter_reasons": ledger.dead_by_reason(),
            "events": dict(sorted(ledger.events.items())),
            "seconds": round(scene.passed_s(), 1),
            "first_order_s": _rounded(self._first_order_s),
            "speed": options.speed,
            "rate_per_h": options.rate,
            "seed": options.seed,
            "stand_in": bool(engine.facts["stand_in"]),
        }


def _load() -> tuple[Streets, list[Profile], Policy]:
    """Read what the brigade needs; in a thread, beside the start of the stack."""
    return (
        Streets.load(ROADS),
        [Profile.of(entry) for entry in read_roster(ROSTER)],
        load_policy(POLICY.read_bytes()),
    )


def _fault(error: BaseException) -> BaseException:
    """Say whose fault it is that the run cannot go on."""
    known = isinstance(error, StackFailed | BusError)
    return error if known else StackFailed(f"the engine ended: {type(error).__name__}: {error}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
