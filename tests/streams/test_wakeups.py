"""Wake-ups under way: how often one is written again, and when the worker gives up."""

import pytest

from xiaohe.streams.ports import WakeUpCall
from xiaohe.streams.wakeups import (
    REPEAT_MS,
    UNDER_WAY_MAX,
    WRITES_MAX,
    Calls,
    WakeUpLostError,
)

CALL = WakeUpCall(due_ms=1_000, key=b"town", value=b"{}")


def test_one_that_does_not_come_is_written_again_and_then_the_worker_leaves() -> None:
    """Every few seconds; the topic is not readable where nothing of it comes."""
    calls = Calls()
    assert calls.to_write([CALL]) == [CALL]
    calls.written([CALL], 1_000)
    assert calls.to_write([CALL]) == []
    for n in range(1, WRITES_MAX):
        now_ms = 1_000 + n * REPEAT_MS
        assert calls.to_repeat(now_ms - 1) == []
        assert calls.to_repeat(now_ms) == [CALL]
        calls.written([CALL], now_ms)
    with pytest.raises(WakeUpLostError, match="is the wakeups topic readable"):
        calls.to_repeat(1_000 + WRITES_MAX * REPEAT_MS)


def test_an_outage_of_the_broker_is_not_held_against_the_topic() -> None:
    """A wake-up whose writing took half a minute has had no time to be read."""
    calls = Calls()
    calls.written([CALL], 1_000)
    assert calls.to_repeat(6_000) == [CALL]
    calls.written([CALL], 36_000)
    assert calls.to_repeat(36_000 + REPEAT_MS) == [CALL]


def test_retries_take_no_room_from_deadlines() -> None:
    """A deadline that holds others up is written whatever is under way: retries may wait for it."""
    calls = Calls()
    retries = [WakeUpCall(1_000, b"town", b"%d" % n, holds=False) for n in range(UNDER_WAY_MAX)]
    calls.written(retries, 1_000)
    assert calls.room(holds=False) == 0
    assert calls.room(holds=True) == UNDER_WAY_MAX
    calls.written([CALL], 1_000)
    assert calls.room(holds=True) == UNDER_WAY_MAX - 1
