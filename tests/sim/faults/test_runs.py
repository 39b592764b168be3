"""Whole runs under faults: the same again from the same seed, each kind injected, none broken."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from xiaohe.sim.faults.faults import Kind, draw_plan
from xiaohe.sim.faults.seeds import Outcome, run_seed, run_seeds

ROOT = Path(__file__).parents[3]
ONCE_BAD = ROOT / "tests" / "sim" / "seeds" / "once_bad.tsv"

SEEDS = 1_000
"""Seeds that are run with every test of the whole."""

PART = 250
"""Seeds of one test: several processes may take a share each."""

ALIKE = (3, 12)
"""Seeds with many faults, whose runs are repeated."""


def told(outcome: Outcome) -> str:
    """Say what is broken, and how to see it again."""
    found = "; ".join(f"{each.rule}: {each.what}" for each in outcome.violations[:5])
    return f"xiaohe sim faults --seeds 1 --start {outcome.seed}: {found} ({outcome.options})"


@pytest.mark.parametrize("start", range(0, SEEDS, PART))
def test_nothing_is_broken_in_a_thousand_runs(start: int) -> None:
    """Nothing is lost or doubled whatever happens, and everything comes to rest afterwards."""
    bad = [told(each) for each in run_seeds(range(start, start + PART)) if each.violations]
    assert not bad, "\n".join(bad)


def test_every_kind_of_fault_is_injected() -> None:
    """No kind is only a name: each is drawn, and happens when it was drawn."""
    injected: Counter[str] = Counter()
    missing = {kind.name.lower() for kind in Kind}
    for seed in range(SEEDS):
        kinds = draw_plan(seed, Random(seed)).rates.keys()
        if missing & {kind.name.lower() for kind in kinds}:
            injected.update(run_seed(seed).injected)
            missing -= injected.keys()
    assert not missing


def test_the_same_seed_is_the_same_run() -> None:
    """Also behind other runs in the same process."""
    assert [run_seed(each).hash for each in ALIKE] == [run_seed(each).hash for each in ALIKE]
    assert run_seed(ALIKE[0]).hash != run_seed(ALIKE[1]).hash


def test_the_same_seed_is_the_same_run_in_another_process() -> None:
    """Whatever the hashes of strings are there."""
    code = (
        "from xiaohe.sim.faults.seeds import run_seed\n"
        f"print(*[run_seed(each).hash for each in {ALIKE}])"
    )
    here = " ".join(run_seed(each).hash for each in ALIKE)
    for hash_seed in ("1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        there = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        assert there.stdout.strip() == here


def once_bad() -> list[int]:
    """Give the seeds that once showed something."""
    lines = ONCE_BAD.read_text().splitlines()
    return [int(line.split("\t")[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", once_bad())
def test_what_was_once_bad_is_good(seed: int) -> None:
    """A seed that has found something stays."""
    outcome = run_seed(seed)
    assert not outcome.violations, told(outcome)


def test_several_jobs_give_the_same_in_the_same_order() -> None:
    """How many processes are at work changes nothing."""
    alone = list(run_seeds(range(4)))
    assert list(run_seeds(range(4), jobs=2)) == alone
