"""One slice of the campaign: a station, faults drawn from a seed, rest, verdict, a ledger line."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from xiaohe.campaign.faults import ROUND, Round, draw
from xiaohe.campaign.figures import spread
from xiaohe.campaign.judging import Verdict, judge, keep_evidence
from xiaohe.campaign.small_disk import unmount
from xiaohe.campaign.station import DISK, Station
from xiaohe.campaign.strikes import Strikes
from xiaohe.campaign.town import USUAL, Rates, Town

REST_S: Final = 30.0
"""How long the town may take to come to rest. What goes on then is judged as it is: `verify` says
whether anything about it has been forgotten."""

AT_REST_S: Final = 1.5
"""At rest is where nothing has been going on for so long."""

LOOK_AGAIN_S: Final = 0.2

FOLDER: Final = "xiaohe-campaign-"
"""How the name of a slice's folder begins; the process id follows."""


@dataclass(frozen=True)
class Plan:
    """What a slice shall do: faults until ``seconds`` are over, or so many of them."""

    seed: int
    seconds: float | None = None
    faults: int | None = None
    one_round: Round = field(default_factory=lambda: ROUND)
    rates: Rates = USUAL


def sweep() -> None:
    """Remove what campaigns left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        pid = folder.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            unmount(folder / DISK)
            shutil.rmtree(folder, ignore_errors=True)


async def run_slice(
    plan: Plan, say: Callable[[str], None], ending: asyncio.Event, evidence: Path
) -> dict[str, Any]:
    """Run one slice; give what the ledger says of it, apart from commit and machine.

    ``ending`` ends it early, in good order. Where something does not hold, the workers' logs and
    the topics' records are kept in ``evidence``. Raises BrokerUnavailable, NotReadyError.
    """
    await asyncio.to_thread(sweep)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    started_s = time.monotonic()
    try:
        async with Station(folder, plan.seed, plan.rates, say) as station:
            strikes = Strikes(station, say)
            await _faults(plan, strikes, ending)
            await strikes.recovered()
            restless = await _rest(station.town)
            say("judging")
            verdict = await judge(station.servers, station.topics, station.town.alerts_taken)
            line = _line(plan, station, strikes, verdict)
            line["restless"] = restless
            line["seconds"] = round(time.monotonic() - started_s)
            if not line["holds"]:
                await keep_evidence(station.servers, station.topics, evidence)
                _keep_logs(folder, evidence)
                say(f"the topics' records and the workers' logs are kept in {evidence}")
            return line
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _faults(plan: Plan, strikes: Strikes, ending: asyncio.Event) -> None:
    deadline = time.monotonic() + plan.seconds if plan.seconds is not None else None
    over = asyncio.create_task(ending.wait())
    for fault in draw(plan.seed, plan.one_round):
        enough = plan.faults is not None and fault.number > plan.faults
        late = deadline is not None and time.monotonic() > deadline
        if enough or late or ending.is_set() or strikes.stuck:
            break
        striking = asyncio.create_task(strikes.strike(fault))
        await asyncio.wait([striking, over], return_when=asyncio.FIRST_COMPLETED)
        if striking.done():
            striking.result()
        else:
            striking.cancel()
            await asyncio.wait([striking])
    over.cancel()


async def _rest(town: Town) -> int:
    """Let the town come to rest; give how many incidents still go on."""
    town.calling = False
    deadline = time.monotonic() + REST_S
    quiet_since = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < AT_REST_S:
        await asyncio.sleep(LOOK_AGAIN_S)
        if town.live_incidents:
            quiet_since = time.monotonic()
    return town.live_incidents


def _line(plan: Plan, station: Station, strikes: Strikes, verdict: Verdict) -> dict[str, Any]:
    town = station.town
    return {
        "kind": "real",
        "seed": plan.seed,
        "holds": verdict.holds and not strikes.stuck,
        "faults": dict(sorted(strikes.counts.items())),
        "alerts": town.alerts,
        "answers": town.answers,
        "positions": town.positions,
        "lost": verdict.lost,
        "duplicate": verdict.duplicate,
        "contradictory": verdict.contradictory,
        "stuck": len(strikes.stuck),
        "recovery_s": {kind: spread(each) for kind, each in sorted(strikes.recovery_s.items())},
        "left": dict(station.crew.left),
        "findings": [*strikes.stuck, *verdict.told],
        "verify": verdict.account,
        "rates": plan.rates._asdict(),
        "kinds": sorted(plan.one_round),
        "kafka": station.broker.kafka_version,
    }


def _keep_logs(folder: Path, evidence: Path) -> None:
    for log in (*folder.glob("*.log"), folder / DISK / "broker" / "broker.log"):
        if log.is_file():
            shutil.copy(log, evidence / log.name)
