"""When an area decides again, as the campaign reads it from the decisions log."""

from collections.abc import AsyncIterator

import pytest

from xiaohe.campaign.watch import Watch
from xiaohe.topics import load_topics

OWNER, NEXT_OWNER = 11, 12


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """A watch that is told entries by hand."""
    watch = Watch("127.0.0.1:1", load_topics())
    yield watch
    await watch._reader.stop()


def fence(watch: Watch, offset: int, pid: int) -> None:
    """Somebody takes partition 0 over."""
    watch._take(0, offset, 0, {"kind": "fence", "worker": f"host:{pid}"})


def decision(watch: Watch, at_ms: int, epoch: int, **more: bool) -> None:
    """An entry of partition 0."""
    watch._take(0, 0, at_ms, {"kind": "decision", "epoch": epoch, **more})


async def test_an_area_decides_when_the_last_decision_of_an_input_is_written(watch: Watch) -> None:
    """One that says that more follow counts for nothing before, and never behind a fence."""
    fence(watch, 0, OWNER)
    wait = watch.expect({0}, since_ms=1_000)
    decision(watch, 2_000, 0, more=True)
    fence(watch, 2, NEXT_OWNER)
    decision(watch, 3_000, 0)
    decision(watch, 4_000, 2, more=True)
    assert wait.missing == {0}
    decision(watch, 5_000, 2)
    assert wait.found_s == {0: 4.0}
