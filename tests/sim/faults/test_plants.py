"""Each bug that can be planted is seen by the judge of the promise that it breaks."""

from collections.abc import Iterator
from random import Random

import pytest

from xiaohe.sim.faults.faults import draw_plan
from xiaohe.sim.faults.plants import PLANTS, Plant, list_plants, planted
from xiaohe.sim.faults.seeds import run_seed

RUNS_MAX = 200
"""Runs with a bug within which it must be found."""

SEEDS_MAX = 5_000
"""Seeds whose plans are looked at: those with none of the faults it shows under are passed over."""

FOUND_FROM: dict[str, int] = {
    "acknowledged_before_append": 47,
    "alert_not_known_again": 6,
    "anybody_answers": 31,
    "attempts_not_folded": 41,
    "late_writes_folded": 262,
    "never_set_aside": 41,
    "no_barrier": 9,
    "no_hold": 6,
    "old_fix_moves_back": 81,
    "old_fixes_believed": 11,
    "one_decision_a_record": 439,
    "others_writes_not_looked_at": 9,
    "owed_not_published": 10,
    "positions_not_learned": 41,
    "published_before_append": 10,
    "read_on_from_the_group": 9,
    "repeated_delivery_taken": 10,
    "retry_forgotten": 60,
    "snapshot_of_many_moments": 166,
    "snapshot_without_alerts": 5,
    "snapshot_without_deadlines": 9,
    "snapshot_without_holding": 9,
    "snapshot_without_seq": 41,
    "stood_down_revived": 33,
    "surplus_kept": 19,
    "wake_up_always_heeded": 6,
}
"""Where the search begins: at the first seed that showed the bug when it was last looked for."""


def seeds_of(name: str, plant: Plant) -> Iterator[int]:
    """Give the seeds under whose faults a bug may show, in their order."""
    begin = FOUND_FROM.get(name, 0)
    for seed in range(begin, begin + SEEDS_MAX):
        if not plant.under or plant.under & draw_plan(seed, Random(seed)).rates.keys():
            yield seed


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_a_planted_bug_is_found_and_named(name: str) -> None:
    """Within some runs a promise is said to be broken that the same seed keeps without the bug."""
    plant = PLANTS[name]
    for runs, seed in enumerate(seeds_of(name, plant)):
        assert runs < RUNS_MAX, f"{name} was not found in {RUNS_MAX} runs"
        broken = {found.rule for found in run_seed(seed, name).violations} & plant.breaks
        if broken and not broken & {found.rule for found in run_seed(seed).violations}:
            return
    raise AssertionError(f"{name}: too few seeds have the faults that it shows under")


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_a_planted_bug_is_taken_out_again(name: str) -> None:
    """Whatever was swapped is as it was, also where the run failed."""
    places = [(each.owner, each.name) for each in PLANTS[name].swaps()]
    before = [vars(owner)[name] for owner, name in places]
    with planted(name):
        assert [vars(owner)[name] for owner, name in places] != before
    with pytest.raises(ZeroDivisionError), planted(name):
        1 / 0  # noqa: B018 - the run fails
    assert [vars(owner)[name] for owner, name in places] == before


def test_all_are_listed_with_what_is_wrong() -> None:
    """Whoever chooses one reads what it does."""
    assert [name for name, _ in list_plants()] == sorted(PLANTS)
    assert all(what[0].islower() and len(what) > 20 for _, what in list_plants())
