"""A worker whose clock is wrong: deadlines go by the broker's clock all the same."""

import time

import pytest

from tests.streams.toy import WINDOW_MS, ToyCore
from xiaohe.streams.brokers_time import BELIEVED_MS, BrokersClock
from xiaohe.streams.clocks import SystemClock, VirtualClock
from xiaohe.streams.lane import Flow
from xiaohe.streams.lanes import Lanes
from xiaohe.streams.memory_log import MemoryLog, MemoryTopics
from xiaohe.streams.ports import INPUTS, Alarm

START_MS = 1_000_000
HOUR_MS = 3_600_000


class WrongClock:
    """A clock that is wrong by ``ahead_ms`` against another."""

    def __init__(self, true: VirtualClock, ahead_ms: int) -> None:
        self._true = true
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        """What it shows."""
        return self._true.now_ms() + self._ahead_ms

    def call_at(self, at_ms: int, callback: object) -> Alarm:
        """Call when it shows that."""
        return self._true.call_at(at_ms - self._ahead_ms, callback)  # type: ignore[arg-type]

    async def sleep_until(self, at_ms: int) -> None:
        """Return when it shows that."""
        await self._true.sleep_until(at_ms - self._ahead_ms)


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS, 5_000, 0])
async def test_an_answer_in_time_counts_whatever_the_worker_s_clock_says(ahead_ms: int) -> None:
    """The deadline is not decided before it is due by the broker's clock, and soon after."""
    true = VirtualClock(START_MS)
    topics = MemoryTopics(true, 1)
    lanes = Lanes(
        ToyCore, MemoryLog(topics), WrongClock(true, ahead_ms), lambda _: Flow(lambda _: None),
        lambda error: pytest.fail(repr(error)),
    )  # fmt: skip
    for topic in INPUTS:
        topics.listen(topic, lambda raw: lanes.put(raw, None))
    await lanes.own([0])
    topics.append("alerts", b"town", b'{"alert_id": "a"}', partition=0)
    topics.append("alerts", b"town", b'{"alert_id": "b"}', partition=0)
    await true.advance(START_MS + WINDOW_MS - 50)
    topics.append("member_actions", b"town", b'{"alert_id": "a"}', partition=0)
    await true.advance(START_MS + WINDOW_MS + 1_000)
    told = [raw.value or b"" for raw in topics.read("incident_events", 0)]
    assert [b'"accepted"' in each for each in told if b'"alert_id": "a"' in each][-1]
    assert [b'"overdue"' in each for each in told if b'"alert_id": "b"' in each][-1]
    overdue_ms = [raw.timestamp_ms for raw in topics.read("wakeups", 0)]
    assert START_MS + WINDOW_MS <= overdue_ms[0] <= START_MS + WINDOW_MS + 600
    lanes.abandon()


def test_the_own_clock_is_believed_within_what_an_acknowledgement_allows() -> None:
    """A receipt between sending and acknowledgement corrects nothing; one outside, just so far."""
    own = VirtualClock(10_000)
    clock = BrokersClock(own)
    clock.heard(receipt_ms=9_990, sent_ms=9_980)
    assert clock.now_ms() == 10_000
    clock.heard(receipt_ms=9_970, sent_ms=9_980)
    assert clock.now_ms() == 9_990
    clock.heard(receipt_ms=12_000, sent_ms=9_980)
    assert clock.now_ms() == 12_000


def test_a_slow_acknowledgement_is_no_reason_to_be_early() -> None:
    """Where a write took seconds, the broker's time is taken to be little more than its receipt."""
    own = VirtualClock(10_000)
    clock = BrokersClock(own)
    clock.heard(receipt_ms=7_000, sent_ms=5_000)
    assert clock.now_ms() == 7_000 + BELIEVED_MS


def test_acknowledgements_of_several_lanes_do_not_add_up() -> None:
    """Two writes that were under way together correct the clock once."""
    clock = BrokersClock(VirtualClock(HOUR_MS))
    clock.heard(receipt_ms=2_000, sent_ms=HOUR_MS - 5)
    clock.heard(receipt_ms=2_001, sent_ms=HOUR_MS - 4)
    assert clock.now_ms() == 2_005


def test_the_machine_s_clock_is_not_followed_when_it_is_put_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What passes counts, not what a wall clock is set to."""
    clock = SystemClock()
    before_ms = clock.now_ms()
    wall_s = time.time()
    monkeypatch.setattr(time, "time", lambda: wall_s + 3_600)
    assert clock.now_ms() - before_ms < HOUR_MS / 2
