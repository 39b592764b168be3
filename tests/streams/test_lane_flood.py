"""A lane under a flood: what comes in masses takes its turn, and an alert waits for none of it."""

import json
from collections.abc import Sequence

import pytest

from tests.streams.test_lane import AREA, START_MS, Harness
from tests.streams.toy import GapCore, ToyCore
from xiaohe.streams import lane as lane_module
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.memory_log import MemoryTopics
from xiaohe.streams.ports import ALERTS, INPUTS, POSITIONS, WAKEUPS, Raw, Step

WORK_MS = 1
"""What each record takes the core in these tests."""


class WorkingClock(VirtualClock):
    """A virtual clock that goes on while something is worked at."""

    def work(self, ms: int) -> None:
        """So much time passes at once."""
        self._now_ms += ms

    async def advance(self, to_ms: int) -> None:
        """Move to a time, unless work has taken longer."""
        await super().advance(max(to_ms, self.now_ms()))


class WorkingCore(GapCore):
    """A core for which every record takes its time, and which notes when each was taken."""

    def __init__(self, core: ToyCore, harness: "FloodedHarness") -> None:
        super().__init__(core, harness.gaps)
        self.harness = harness

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide, and let the time pass."""
        steps = super().take(raw, now_ms, epoch)
        if raw.replayed:
            return steps
        self.harness.clock.work(WORK_MS)
        self.harness.taken.append((raw.topic, self.harness.clock.now_ms()))
        return steps


class FloodedHarness(Harness):
    """The harness with a core that needs time."""

    clock: WorkingClock

    def __init__(self) -> None:
        super().__init__()
        self.clock = WorkingClock(START_MS)
        self.topics = MemoryTopics(self.clock, 1, {"incidents": 1, "dead_letters": 1})
        self.taken: list[tuple[str, int]] = []

    def make_core(self, partition: int) -> WorkingCore:
        """A toy that takes its time."""
        self.cores.append(ToyCore(partition))
        return WorkingCore(self.cores[-1], self)

    def flood(self, topic: str, count: int, value: bytes = b"{}") -> None:
        """So many records come in at once, and what comes next comes later."""
        for _ in range(count):
            self.topics.append(topic, AREA, value)
        self.clock.work(1)

    def waited_ms(self, topic: str) -> int:
        """How long after the start the first record of a topic was taken."""
        return next(at_ms for each, at_ms in self.taken if each == topic) - START_MS

    async def until_taken(self, count: int) -> None:
        """Let the lane work until it has taken so many records."""
        for _ in range(count):
            await self.clock.advance(self.clock.now_ms() + 1)
            if len(self.taken) >= count:
                return
        raise AssertionError(f"{len(self.taken)} of {count} taken")


@pytest.fixture
async def harness():
    """A harness whose worker has not been started."""
    made = FloodedHarness()
    yield made
    if made.bus is not None:
        made.bus.kill()
    await made.clock.settle()


WAITS_MS_MAX = lane_module.ALERT_WAITS_MS_MAX + 2 * lane_module.BATCH_MS_MAX
"""What an alert waits at most: its share, the batch under way, and its own."""


@pytest.mark.parametrize("topic", [each for each in INPUTS if each != ALERTS])
async def test_an_alert_waits_for_no_flood_of_another_topic(harness, topic):
    """However much was received before it, it is taken within ALERT_WAITS_MS_MAX and a batch."""
    harness.flood(topic, 1_500)
    harness.alert("a1")
    await harness.start()
    await harness.until_taken(1_501)
    assert harness.waited_ms(ALERTS) <= WAITS_MS_MAX


async def test_records_are_in_the_order_of_their_receipt_while_nothing_waits_long(harness):
    """An alert goes first only where it has waited: else what was received before comes first."""
    harness.flood("member_actions", 100)
    harness.alert("a1")
    await harness.start()
    await harness.until_taken(101)
    assert harness.taken[-1][0] == ALERTS


async def test_a_storm_of_alerts_does_not_stop_the_answers(harness):
    """Alerts that go first are at most every other record of a batch."""
    harness.flood("member_actions", 400)
    for n in range(900):
        harness.alert(f"a{n}", window_ms=10_000_000)
    await harness.start()
    await harness.until_taken(1_300)
    topics = [topic for topic, _ in harness.taken]
    first = topics.index(ALERTS)
    assert first < 400, "they go first before the answers are done"
    last_answer = len(topics) - 1 - topics[::-1].index("member_actions")
    assert last_answer <= first + 2 * (400 - first)


async def test_a_wake_up_that_does_not_come_holds_no_alert(harness):
    """The hold is for answers: an alert goes on after ALERT_WAITS_MS_MAX, the answers wait."""
    await harness.start()
    alert = harness.alert("a1", window_ms=1_000)
    await harness.clock.advance(alert.timestamp_ms + 990)
    harness.bus._leave.pop(INPUTS.index(WAKEUPS))()
    await harness.run_for(20)
    harness.accept("a1")
    harness.alert("a2")
    await harness.run_for(lane_module.ALERT_WAITS_MS_MAX - 50)
    assert [e["alert_id"] for e in harness.events()] == ["a1"]
    await harness.run_for(100)
    assert [e["alert_id"] for e in harness.events()] == ["a1", "a2"]
    harness.bus.lanes.put(harness.topics.read_all(WAKEUPS)[0], None)
    await harness.run_for(10)
    assert [e["type"] for e in harness.events()] == ["opened", "opened", "overdue", "late"]


async def test_positions_that_are_decided_upon_use_their_share_up(harness):
    """Small records of positions that each give a decision do not fill the batch of the others."""
    for n in range(200):
        harness.position({"member": f"m{n}", "lon": 1.0, "alarm": "sos"})
    harness.clock.work(1)
    harness.flood("member_actions", 1)
    await harness.start()
    await harness.until_taken(201)
    share = lane_module.BATCH_POSITIONS_BYTES // lane_module.POSITION_DECISION_BYTES
    assert [topic for topic, _ in harness.taken].index("member_actions") <= share + 1


async def test_a_batch_is_written_when_its_time_is_up(harness):
    """What the first record led to does not wait for 64 slow ones."""
    for n in range(lane_module.BATCH_DECISIONS_MAX):
        harness.alert(f"a{n}", window_ms=10_000_000)
    await harness.start()
    await harness.until_taken(lane_module.BATCH_DECISIONS_MAX)
    await harness.clock.settle()
    batches = {d.owed_from for d in harness.decisions()}
    assert batches == {1, lane_module.BATCH_MS_MAX // WORK_MS + 1}


async def test_a_topic_is_paused_by_bytes_too(harness, monkeypatch):
    """Few large records stop the fetching as many small ones do, and it goes on when they went."""
    monkeypatch.setattr(lane_module, "INBOX_BYTES_HIGH", 10_000)
    monkeypatch.setattr(lane_module, "INBOX_BYTES_LOW", 2_000)
    told: list[str] = []
    await harness.start()
    lane = harness.bus.lanes.lanes[0]
    lane._flow = lane_module.Flow(
        ack=lambda _ack: None,
        pause=lambda topic: told.append(f"pause {topic}"),
        resume=lambda topic: told.append(f"resume {topic}"),
    )
    large = json.dumps({"batch": [], "padding": "." * 3_000}).encode()
    for _ in range(4):
        harness.topics.append(POSITIONS, AREA, large)
    assert told == [f"pause {POSITIONS}"]
    await harness.until_taken(4)
    await harness.clock.settle()
    assert told == [f"pause {POSITIONS}", f"resume {POSITIONS}"]
    assert lane._inbox.waiting_bytes(POSITIONS) == 0
