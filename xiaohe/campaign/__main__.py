"""``python -m xiaohe.campaign``: faults on the real thing, slice after slice, into the ledger."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, Literal

from aiokafka.errors import KafkaError
from cyclopts import App, Parameter

from xiaohe.campaign import ledger
from xiaohe.campaign.faults import KINDS, ROUND, Kind
from xiaohe.campaign.seeds import NoSimulationError, Seeds, repeats
from xiaohe.campaign.slices import Plan, run_slice
from xiaohe.campaign.small_disk import as_root_of_its_own
from xiaohe.campaign.station import NotReadyError
from xiaohe.campaign.town import Rates
from xiaohe.java import BrokerUnavailable
from xiaohe.kernel_cache import keep_kernels
from xiaohe.output import note, say
from xiaohe.places import DATA_DIR

SLICE_S: Final = 300.0
"""Faults of a slice last so long: what a killed campaign loses, and what verify has to read."""

AROUND_S: Final = 25.0
"""Bringing a slice up, to rest, and to its verdict takes about so long."""

SLICE_S_MIN: Final = 20.0
"""A slice shorter than this is not worth its beginning."""

SEEDS_SHARE: Final = 0.25
"""Share of the time that goes to simulated seeds, where both are run."""

OVERDUE_S: Final = 900.0
"""A slice that takes so much longer than its faults, whatever the machine, hangs."""

BROKEN_MAX: Final = 3
"""After so many slices in a row that came to no verdict the campaign ends."""

EVIDENCE: Final = DATA_DIR / "campaign"

EXIT_HOLDS, EXIT_DOES_NOT_HOLD, EXIT_UNUSABLE = 0, 1, 2

app = App(name="xiaohe.campaign", help="Faults on real workers and a real broker, under load.")


@app.default
def run(
    *,
    minutes: float = 10.0,
    only: Literal["real", "seeds"] | None = None,
    seed: int | None = None,
    kinds: Annotated[tuple[Kind, ...], Parameter(consume_multiple=True)] = KINDS,
    alerts_per_s: float = 5.0,
    positions_per_s: float = 200.0,
    slice_s: float = SLICE_S,
    ledger_file: Path = ledger.LEDGER,
) -> int:
    """Go on with the campaign for some minutes; every slice adds a line to the ledger.

    Ctrl-C ends it in good order: the slice under way comes to rest, is judged and written. A second
    one ends it at once.

    Parameters
    ----------
    only
        ``real``: faults on real processes alone. ``seeds``: the simulation alone.
    seed
        Of the first slice; else the one behind the ledger's last.
    kinds
        Only these kinds of faults.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    keep_kernels()
    if only != "seeds":
        with TemporaryDirectory() as folder:
            as_root_of_its_own(Path(folder))
    rates = Rates(alerts_per_s, positions_per_s)
    campaign = _Campaign(minutes * 60, only, seed, kinds, rates, slice_s, ledger_file)
    try:
        return asyncio.run(campaign.run())
    except asyncio.CancelledError:
        note("xiaohe.campaign: ended at once; the slice under way came to no verdict")
        return EXIT_DOES_NOT_HOLD
    except (
        BrokerUnavailable,
        NotReadyError,
        KafkaError,
        TimeoutError,
        ledger.LedgerError,
    ) as fault:
        note(f"xiaohe.campaign: {fault}")
        return EXIT_DOES_NOT_HOLD


@app.command
def totals(*, ledger_file: Path = ledger.LEDGER) -> int:
    """Add the ledger up: faults by kind, what was lost, recoveries, seeds; in Markdown."""
    say(ledger.totals(ledger.read(ledger_file)))
    return EXIT_HOLDS


class _Campaign:
    """One run: alternates slices and seeds until its time is over."""

    def __init__(
        self,
        seconds: float,
        only: str | None,
        seed: int | None,
        kinds: tuple[Kind, ...],
        rates: Rates,
        slice_s: float,
        path: Path,
    ) -> None:
        self._ends_s = time.monotonic() + seconds
        self._only = only
        self._kinds = kinds
        self._rates = rates
        self._slice_s = slice_s
        self._path = path
        lines = ledger.read(path)
        self._seed = ledger.next_seed(lines) if seed is None else seed
        self._seeds = Seeds(ledger.next_simulated(lines))
        self._simulates = only != "real"
        self._spent_s = {"real": 0.0, "seeds": 0.0}
        self._broken = 0
        self._ending: asyncio.Event

    @property
    def _left_s(self) -> float:
        return self._ends_s - time.monotonic()

    async def run(self) -> int:
        """Run to the end; 1 as soon as something does not hold."""
        self._ending = asyncio.Event()
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        assert this is not None

        def end() -> None:
            if self._ending.is_set():
                this.cancel()  # asked for twice: at once, without a verdict
            self._ending.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        say(
            f"faults for {self._left_s / 60:.0f} min, load {self._rates.alerts_per_s:g} alerts/s "
            f"and {self._rates.positions_per_s:g} positions/s, ledger {self._path}"
        )
        while not self._ending.is_set() and (part := self._next_part()) is not None:
            started_s = time.monotonic()
            line = await (self._real() if part == "real" else self._simulated())
            self._spent_s[part] += time.monotonic() - started_s
            if line is not None and not line["holds"]:
                return EXIT_DOES_NOT_HOLD
        return EXIT_HOLDS

    def _next_part(self) -> str | None:
        """Say what is next: the part that has had less than its share, while there is time."""
        fits = self._left_s >= SLICE_S_MIN + AROUND_S or not any(self._spent_s.values())
        real = self._only != "seeds" and fits
        seeds = self._simulates and self._left_s > 0
        if real and seeds:
            spent_s = sum(self._spent_s.values())
            return "seeds" if self._spent_s["seeds"] < SEEDS_SHARE * spent_s else "real"
        return "real" if real else "seeds" if seeds else None

    async def _real(self) -> dict[str, Any] | None:
        seed, self._seed = self._seed, self._seed + 1
        seconds = max(SLICE_S_MIN, min(self._slice_s, self._left_s - AROUND_S))
        say(f"--- seed {seed}, faults for {seconds:.0f} s")
        one_round = {kind: count for kind, count in ROUND.items() if kind in self._kinds}
        plan = Plan(seed, seconds=seconds, one_round=one_round, rates=self._rates)
        evidence = EVIDENCE / f"seed-{seed}"
        try:
            async with asyncio.timeout(seconds + OVERDUE_S):
                found = await run_slice(plan, _say_at(), self._ending, evidence)
        except (BrokerUnavailable, NotReadyError, KafkaError, TimeoutError) as fault:
            self._broke_down(seed, fault)
            return None
        self._broken = 0
        line = ledger.stamped(found)
        ledger.append(line, self._path)
        _show_real(line)
        if not line["holds"]:
            kinds = "" if len(self._kinds) == len(KINDS) else f" --kinds {' '.join(self._kinds)}"
            say(
                f"repeat: python -m xiaohe.campaign --only real --seed {seed} "
                f"--minutes {(seconds + AROUND_S) / 60:.1f}{kinds} "
                f"--alerts-per-s {self._rates.alerts_per_s:g} "
                f"--positions-per-s {self._rates.positions_per_s:g}"
            )
        return line

    def _broke_down(self, seed: int, fault: Exception) -> None:
        """Note a slice that came to no verdict; raise its fault when that goes on."""
        self._broken += 1
        why = f"{type(fault).__name__}: {fault}"
        ledger.append(ledger.stamped({"kind": "broken", "seed": seed, "why": why}), self._path)
        note(f"this slice came to no verdict: {why}")
        if self._broken >= BROKEN_MAX:
            raise fault

    async def _simulated(self) -> dict[str, Any] | None:
        try:
            found = await self._until_ended(self._seeds.piece(self._left_s))
        except NoSimulationError as fault:
            note(f"no seeds are simulated: {fault}")
            self._simulates = False
            return None
        if found is None:
            return None
        line = ledger.stamped(found)
        ledger.append(line, self._path)
        seeds = line["seeds"]
        say(
            f"--- simulated seeds {seeds['start']} to {seeds['start'] + seeds['count'] - 1}: "
            f"{line['violations']} violations in {line['simulated_hours']} h, {line['seconds']} s"
        )
        if not line["holds"]:
            say(f"repeat: {repeats(line['first_bad_seed'])}")
        return line

    async def _until_ended(
        self, work: Coroutine[Any, Any, dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Do something that is given up when the campaign is ended: a piece of seeds is short."""
        task, ending = asyncio.create_task(work), asyncio.create_task(self._ending.wait())
        await asyncio.wait([task, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        return None


def _say_at():  # noqa: ANN202 - a function of one line of text
    started_s = time.monotonic()
    return lambda text: say(f"{time.monotonic() - started_s:6.1f} s  {text}")


def _show_real(line: dict[str, Any]) -> None:
    say(f"faults {line['faults']}")
    say(f"alerts {line['alerts']}, answers {line['answers']}, positions {line['positions']}")
    for kind, of in line["recovery_s"].items():
        say(f"recovery after {kind}: p50 {of['p50']} s, p99 {of['p99']} s, max {of['max']} s "
            f"({of['n']} areas)")  # fmt: skip
    if line["left"]:
        say(f"workers that left by themselves: {line['left']}")
    say(
        f"lost {line['lost']}, duplicate {line['duplicate']}, "
        f"contradictory {line['contradictory']}, stuck {line['stuck']}: "
        f"{'everything holds' if line['holds'] else 'NOT everything holds'} ({line['seconds']} s)"
    )
    for each in line["findings"]:
        say(f"  {each}")


if __name__ == "__main__":
    status = app(result_action="return_value")
    sys.exit(status if isinstance(status, int) else EXIT_HOLDS)
