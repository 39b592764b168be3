"""A soak from its beginning to its end: the stack up, the load on it, looks at it, the verdict."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import orjson

from xiaohe.geo.warming import warm_up
from xiaohe.places import POLICY
from xiaohe.sim.bus import KafkaBus
from xiaohe.sim.streets import Streets
from xiaohe.soak.city import area_ids, map_version, policy_of, roster_of
from xiaohe.soak.gauges import GroupOffsets, Sample, disk_mib, parts_of
from xiaohe.soak.load import Load
from xiaohe.soak.verdict import failures, memory, spread, use
from xiaohe.stack import Event, Stack, StackFailed, StackOptions
from xiaohe.whole_file import write_whole

LOOK_S: Final = 10.0
"""How often everything is looked at."""

TELL_S: Final = 60.0
"""How often it is told how it stands."""

MAP_EVERY_S: Final = 600.0
"""A new version of the map so often."""

SETTLE_S: Final = 60.0
"""After the last call the members go on for so long: most of what is under way comes to its end."""

VERIFY_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True)
class SoakOptions:
    """What is done, for how long, and where everything is kept."""

    folder: Path
    minutes: float = 60.0
    alerts_per_s: float = 1.0
    positions_per_s: float = 500.0
    members: int = 1000
    workers: int = 2
    seed: int = 1
    settle_s: float = SETTLE_S
    say: Callable[[str], None] = lambda _: None


async def soak(options: SoakOptions) -> dict[str, Any]:
    """Run one; give what it came to. Ctrl-C or SIGTERM ends it early, with the account so far.

    Raises StackFailed, BusError and what a broker that cannot be had raises.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        return await _Soak(options, stop).run()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class _Soak:
    """One run."""

    def __init__(self, options: SoakOptions, stop: asyncio.Event) -> None:
        self._options = options
        self._stop = stop
        self._samples: list[Sample] = []
        self._restarted: list[str] = []
        self._commit = commit()  # now: whoever goes on working here commits meanwhile

    async def run(self) -> dict[str, Any]:
        """Bring it up, keep it up, take the account."""
        options = self._options
        streets, entries, stack = await asyncio.to_thread(self._prepared)
        began = datetime.now(UTC)
        async with (
            stack,
            KafkaBus(stack.bootstrap_servers, stack.topics) as bus,
            GroupOffsets(stack.bootstrap_servers, stack.topics) as offsets,
        ):
            load = Load(
                bus,
                entries,
                streets,
                alerts_per_s=options.alerts_per_s,
                positions_per_s=options.positions_per_s,
                seed=options.seed,
            )
            tasks = [
                asyncio.create_task(load.run(), name="load"),
                asyncio.create_task(self._look(stack, load, offsets), name="looks"),
                asyncio.create_task(self._maps(), name="maps"),
                asyncio.create_task(bus.wait_failed(), name="bus"),
                asyncio.create_task(stack.wait_failed(), name="stack"),
            ]
            options.say("the load is on")
            try:
                await self._wait(tasks, 60 * options.minutes)
                seconds = load.passed_s
                measured = self._measured(load, seconds)
                self._stop.clear()
                load.quiet()
                options.say("no more calls; settling (Ctrl-C: no longer)")
                await self._wait(tasks, options.settle_s)
                measured["verify"] = await self._verify(stack.bootstrap_servers)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return self._result(began, len(entries), measured)

    def _prepared(self) -> tuple[Streets, list[dict[str, Any]], Stack]:
        options = self._options
        options.folder.mkdir(parents=True, exist_ok=True)
        roads, roster, policy = (
            options.folder / name for name in ("map.geojson", "roster.json", "policy.yaml")
        )
        roads.write_bytes(map_version(0))
        streets = Streets.load(roads)
        # Compiled here, once: what the compiler takes is then no part of a worker's memory.
        options.say("compiling, where that was not done before")
        warm_up(streets.snapper)
        stack = Stack(
            StackOptions(
                data_dir=options.folder / "data",
                roads=roads,
                roster=roster,
                policy=policy,
                http="127.0.0.1:0",
                workers=options.workers,
            ),
            self._told,
        )
        areas = area_ids(stack.topics.area_partitions)
        chance = Random(options.seed)  # noqa: S311 - a simulation must be repeatable
        entries = roster_of(areas, options.members, streets, chance)
        roster.write_bytes(orjson.dumps(entries))
        policy.write_bytes(policy_of(areas))
        return streets, entries, stack

    def _told(self, event: Event) -> None:
        if event["event"] == "progress":
            self._options.say(str(event["what"]))
        else:
            self._options.say(f"{event}")
            self._restarted.append(f"{event.get('part')} ({event.get('status')})")

    async def _wait(self, tasks: list[asyncio.Task[Any]], seconds: float) -> None:
        """Wait for so long, for a signal, or for something that went wrong."""
        stopped = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait(
                [*tasks, stopped], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        for task in done - {stopped}:
            fault = task.exception() or task.result()
            raise fault if isinstance(fault, BaseException) else StackFailed(f"{task} ended")

    # --- looking

    async def _look(self, stack: Stack, load: Load, offsets: GroupOffsets) -> None:
        log = (self._options.folder / "samples.jsonl").open("ab", buffering=0)
        told_s = 0.0
        with log:
            while True:
                for (topic, partition), offset in (await offsets.taken()).items():
                    load.lag.taken(topic, partition, offset)
                oldest_s = load.lag.oldest_s(time.monotonic())
                load.lag.prune(time.monotonic())
                sample = Sample(
                    at_s=round(load.passed_s, 1),
                    parts=parts_of(stack.pids),
                    disk_mib=await asyncio.to_thread(disk_mib, self._options.folder),
                    oldest_s=round(oldest_s, 3),
                    behind=load.lag.behind(),
                    machine_load=round(os.getloadavg()[0], 2),
                )
                self._samples.append(sample)
                log.write(msgspec.json.encode(sample) + b"\n")
                if sample.at_s - told_s >= TELL_S:
                    told_s = sample.at_s
                    self._options.say(_told(sample, load))
                await asyncio.sleep(LOOK_S)

    async def _maps(self) -> None:
        """Put another version of the map in place, again and again."""
        number = 0
        while True:
            await asyncio.sleep(MAP_EVERY_S)
            number += 1
            content = await asyncio.to_thread(map_version, number)
            write_whole(self._options.folder / "map.geojson", content)

    async def _verify(self, servers: str) -> dict[str, Any]:
        """Let the program's own ``verify`` read the topics, as anybody would."""
        command = [sys.executable, "-m", "xiaohe", "verify", "--json"]
        child = await asyncio.create_subprocess_exec(
            *command, "--bootstrap-servers", servers,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._options.say("verify")
        try:
            out, err = await asyncio.wait_for(child.communicate(), VERIFY_TIMEOUT_S)
        except TimeoutError:
            child.kill()
            return {"holds": False, "fault": f"no answer within {VERIFY_TIMEOUT_S:.0f} s"}
        with contextlib.suppress(orjson.JSONDecodeError):
            found: dict[str, Any] = orjson.loads(out)
            return found
        return {"holds": False, "fault": err.decode(errors="replace")[-500:]}

    # --- the end

    def _measured(self, load: Load, seconds: float) -> dict[str, Any]:
        """Draw the figures of the load's time, before it is settled."""
        samples = self._samples
        return {
            "seconds": round(seconds, 1),
            "rates_per_s": {
                name: round(load.counts[key] / seconds, 2)
                for name, key in (
                    ("positions", "positions"),
                    ("position_records", "sent to positions"),
                    ("alerts", "sent to alerts"),
                    ("member_actions", "sent to member_actions"),
                    ("operator_actions", "sent to operator_actions"),
                )
            },
            "lag_s": spread([delay_s for _, delay_s in load.lag.delays_s]),
            "lag_by_topic_s": {
                topic: spread(delays_s) for topic, delays_s in load.lag.by_topic.items()
            },
            "alert_to_order_s": spread(load.order_s),
            "received_to_decided_s": spread(load.decided_s),
            "late_s": spread(load.late_s),
            "reader_late_s": spread(load.reader_late_s),
            "oldest_s": spread([sample.oldest_s for sample in samples]),
            "cores": os.cpu_count(),
            "machine_load": spread([sample.machine_load for sample in samples]),
            "memory": memory(samples),
            "use": use(samples),
            "disk_mib": [samples[0].disk_mib, samples[-1].disk_mib] if samples else [None, None],
            "counts": dict(sorted(load.counts.items())),
            "busy": dict(load.busy()),
            "unsent": load.unsent,
            "left_out": load.left_out,
            "slowest_turn_s": round(load.slowest_turn_s, 3),
        }

    def _result(self, began: datetime, members: int, measured: dict[str, Any]) -> dict[str, Any]:
        options = self._options
        result = {
            "at": began.isoformat(timespec="seconds"),
            "commit": self._commit,
            "minutes": round(measured["seconds"] / 60, 2),
            "alerts_per_s": options.alerts_per_s,
            "positions_per_s": options.positions_per_s,
            "members": members,
            "workers": options.workers,
            "seed": options.seed,
            "restarted": self._restarted,
            **measured,
        }
        result["memory_judged"] = any(m["growth"] is not None for m in result["memory"].values())
        result["failures"] = failures(result)
        result["holds"] = not result["failures"]
        return result


def commit() -> str | None:
    """Give the commit of this checkout, with ``+`` where files differ from it; None where this is
    no checkout."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return None if head is None else head + ("+" if changed else "")


def _git(*words: str) -> str | None:
    command = ["git", "-C", str(POLICY.parent), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode().strip()


def _told(sample: Sample, load: Load) -> str:
    sizes = ", ".join(f"{name} {part.rss_mib:.1f}" for name, part in sample.parts.items())
    delays_s = [delay_s for _, delay_s in load.lag.delays_s[-2000:]]
    lag = spread(delays_s)
    return (
        f"{sample.at_s / 60:5.1f} min; MiB: {sizes}; lag p50 {lag['p50']} p99 {lag['p99']} max "
        f"{lag['max']} s; opened {load.counts['incident.opened']}, resolved "
        f"{load.counts['incident.resolved']}; disk {sample.disk_mib} MiB; {dict(load.busy())}"
    )
