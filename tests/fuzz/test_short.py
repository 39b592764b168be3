"""A short fuzz run with the same inputs every time: nearly good ones, over everything that decodes.

The long runs are guided by coverage and need the fuzzer: ``make fuzz``.
"""

from collections.abc import Iterator
from random import Random

import pytest
import structlog

from tests.fuzz.minimise import minimised
from tests.fuzz.target import Target
from tests.fuzz.targets import ALL

SEED = 20260101
POOL_MAX = 200
"""Accepted inputs that are changed further, beside the seeds."""

INPUTS_MIN = 200_000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What is ignored is logged, and here that is nearly everything."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_nothing])
    yield
    structlog.configure(**before)


def _nothing(*_: object) -> str:
    raise structlog.DropEvent


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_nearly_good_inputs_are_taken_or_refused_by_the_one_error(target: Target) -> None:
    """Accept, or the one error; and what is accepted is as the contract says."""
    rng = Random(SEED)
    pool = list(target.seeds)
    accepted = 0
    for _ in range(target.quick):
        data = target.mutate(rng.choice(pool), rng)
        try:
            taken = target.run(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            small = minimised(target, data)
            pytest.fail(f"{target.name}: {error!r}\n{small!r}", pytrace=False)
        accepted += taken
        if taken and len(pool) < POOL_MAX:
            pool.append(data)
    assert accepted > 0, "the fuzzing sees refusals only"


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_what_the_fuzzing_starts_from_is_good(target: Target) -> None:
    """The seeds are accepted."""
    for seed in target.seeds:
        assert len(seed) <= target.bytes_max
        target.run(seed)
    assert any(map(target.run, target.seeds))


def test_the_short_run_is_not_too_short() -> None:
    """All together are as many inputs as promised."""
    assert sum(target.quick for target in ALL) >= INPUTS_MIN
