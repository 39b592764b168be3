"""A lane on topics in memory: order, crashes, deadlines, failing inputs, snapshots."""

import asyncio
import json
import random
from collections.abc import Callable
from hashlib import sha256

import pytest
from structlog.testing import capture_logs

from tests.streams.toy import POISON, GapCore, GapLog, Gaps, ToyCore, check
from xiaohe.sim.faults.judges.log_reading import read_log
from xiaohe.streams import journal
from xiaohe.streams import lane as lane_module
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.decision_log import (
    Attempt,
    Basis,
    Decision,
    Fence,
    Mark,
    SnapshotPiece,
    decode,
    encode,
)
from xiaohe.streams.delivery import RecordsSkippedError
from xiaohe.streams.inbox import DUE_HEADER
from xiaohe.streams.journal import FencedError
from xiaohe.streams.lane import InputFailedError, StalledError
from xiaohe.streams.memory_log import DECISIONS, MemoryBus, MemoryLog, MemoryTopics
from xiaohe.streams.ports import INPUTS, POSITIONS, WAKEUPS, Raw
from xiaohe.streams.takeover import LogDamagedError
from xiaohe.streams.wakeups import UNDER_WAY_MAX

START_MS = 1_700_000_000_000
AREA = b"canal"


class Killed(Exception):
    """The process is gone."""


class Gone(BaseException):
    """The process is gone, and no handler for exceptions has seen it go."""


def kill() -> None:
    """End the worker here."""
    raise Killed


class Harness:
    """One partition in memory, a worker that can be killed and started again, and clients."""

    def __init__(self, gaps: Gaps | None = None, partitions: int = 1) -> None:
        self.clock = VirtualClock(START_MS)
        self.topics = MemoryTopics(self.clock, partitions, {"incidents": 1, "dead_letters": 1})
        self.gaps = gaps or Gaps(kill)
        self.cores: list[ToyCore] = []
        self.poison: Callable[[Raw], bool] | None = None
        self.gate = None
        self.wrap_log = lambda log: log
        self.bus: MemoryBus | None = None

    def make_core(self, partition: int) -> GapCore:
        """A toy that says where it is."""
        self.cores.append(ToyCore(partition, self.poison))
        return GapCore(self.cores[-1], self.gaps)

    async def start(self) -> None:
        """Take over and read on."""
        self.bus = MemoryBus(self.topics, self.make_core, self.gate)
        self.bus.lanes._io = self.wrap_log(GapLog(MemoryLog(self.topics), self.gaps))
        await self.bus.start()

    async def survive(self, to_ms: int) -> int:
        """Run to a time, starting the worker again whenever it dies; how often that was."""
        deaths = 0
        while True:
            try:
                if self.bus is None:
                    await self.start()
                # A little at least: a wake-up waits until the moment it was due at is over.
                await self.clock.advance(max(to_ms, self.clock.now_ms() + 2))
            except BaseExceptionGroup as group:
                # A take-over that is killed while it folds sees a decision that cannot be folded.
                if group.subgroup((Killed, LogDamagedError)) is None:
                    raise
                self.bus.kill()
                failed = True
            else:
                failed = self.bus.failure.done()
                if failed:
                    assert isinstance(self.bus.failure.result(), Killed | InputFailedError)
            if not failed:
                return deaths
            deaths += 1
            assert deaths < 50
            self.bus = None

    def alert(self, alert_id: str, **more: object) -> Raw:
        """An alert comes in."""
        value = json.dumps({"alert_id": alert_id, **more}).encode()
        return self.topics.append("alerts", AREA, value)

    def accept(self, alert_id: str) -> Raw:
        """An answer comes in."""
        return self.topics.append(
            "member_actions", AREA, json.dumps({"alert_id": alert_id}).encode()
        )

    def position(self, *fixes: dict) -> Raw:
        """A batch of fixes comes in."""
        return self.topics.append(POSITIONS, AREA, json.dumps({"batch": list(fixes)}).encode())

    def entries(self, partition: int = 0) -> list:
        """All that lies in the decisions log."""
        return [decode(raw.value) for raw in self.topics.read(DECISIONS, partition)]

    def decisions(self) -> list[Decision]:
        """The decisions in the log."""
        return [entry for entry in self.entries() if isinstance(entry, Decision)]

    def events(self) -> list[dict]:
        """What was published about incidents."""
        return [json.loads(raw.value) for raw in self.topics.read_all("incident_events")]

    async def run_for(self, ms: int) -> None:
        """Let time pass."""
        await self.clock.advance(self.clock.now_ms() + ms)


@pytest.fixture
async def harness():
    """A harness whose worker has not been started."""
    made = Harness()
    yield made
    if made.bus is not None:
        made.bus.kill()
    await asyncio.sleep(0)


async def test_every_input_of_a_deciding_topic_gets_one_record(harness):
    """Alerts, answers and operators' actions each have one decision, «nothing to do» too."""
    await harness.start()
    harness.alert("a1")
    harness.alert("a1")
    harness.accept("unknown")
    harness.topics.append("operator_actions", AREA, b"{}")
    await harness.run_for(10)
    assert [(d.topic, d.offset, d.seq) for d in harness.decisions()] == [
        ("alerts", 0, 1),
        ("alerts", 1, 2),
        ("member_actions", 0, 3),
        ("operator_actions", 0, 4),
    ]
    assert check(harness.topics.read_all, settled=False)["alerts"] == 1


async def test_what_waits_is_one_batch_published_stage_by_stage(harness):
    """All stage 0 publications of a batch lie before its stage 1, and its records share a start."""
    seen: list[str] = []
    for topic in ("incident_events", "dispatches", "incidents"):
        harness.topics.listen(topic, lambda raw: seen.append(raw.topic))
    for n in range(3):
        harness.alert(f"a{n}")
    await harness.start()
    await harness.run_for(10)
    assert seen == ["incident_events"] * 3 + ["dispatches"] * 3 + ["incidents"] * 3
    assert {d.owed_from for d in harness.decisions()} == {1}


async def test_no_batch_is_larger_than_its_limit(harness):
    """A backlog is decided in batches of BATCH_DECISIONS_MAX."""
    for n in range(lane_module.BATCH_DECISIONS_MAX + 5):
        harness.alert(f"a{n}")
    await harness.start()
    await harness.run_for(10)
    assert {d.owed_from for d in harness.decisions()} == {1, lane_module.BATCH_DECISIONS_MAX + 1}


async def test_records_are_taken_in_the_order_of_their_receipt(harness):
    """Heads of different topics are merged by receive timestamp."""
    harness.alert("a1")
    await harness.run_for(5)
    harness.accept("a1")
    await harness.run_for(5)
    harness.alert("a2")
    await harness.run_for(5)
    harness.accept("a2")
    await harness.start()
    await harness.run_for(5)
    topics = [topic for topic, _ in harness.cores[0].order]
    assert topics == ["alerts", "member_actions", "alerts", "member_actions"]


async def test_nothing_is_published_or_acknowledged_before_its_decision_is(harness):
    """While the log does not answer, nothing leaves the lane."""
    answer = asyncio.Event()
    acked: list[object] = []

    class SlowLog(GapLog):
        async def append_decisions(self, partition, records):
            appended = await super().append_decisions(partition, records)
            if isinstance(decode(records[0]), Decision):
                await answer.wait()
            return appended

    harness.wrap_log = lambda log: SlowLog(log.inner, log.gaps)
    await harness.start()
    lane = harness.bus.lanes.lanes[0]
    lane._flow = lane_module.Flow(ack=acked.append)
    harness.alert("a1")
    await harness.run_for(10)
    assert harness.decisions()
    assert not harness.events()
    assert not acked
    answer.set()
    await harness.run_for(10)
    assert harness.events()
    assert acked == [None]


GAPS = [
    "decided",
    "appending",
    "appended",
    "published_0",
    "published_1",
    "published_2",
    "published_all",
    "fence_written",
    "folded",
    "wakeup_written",
]


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("nth", [1, 2, 5])
async def test_a_crash_at_any_gap_loses_nothing_and_decides_nothing_twice(gap, nth):
    """Killed between any two steps and started again, the topics show one clean run."""
    harness = Harness(Gaps(kill, gap, nth))
    draw = random.Random(f"{gap}{nth}")
    deaths = await harness.survive(START_MS)
    for n in range(24):
        harness.alert(f"a{n}", window_ms=draw.choice([40, 90]))
        if draw.random() < 0.6:
            harness.accept(f"a{draw.randrange(n + 1)}")
        harness.position({"member": "m", "lon": float(n), "alarm": draw.choice([None, None, "x"])})
        deaths += await harness.survive(harness.clock.now_ms() + draw.randrange(20))
        if gap in {"fence_written", "folded"} and n % 6 == 5:
            harness.bus.kill()
            harness.bus = None
    deaths += await harness.survive(harness.clock.now_ms() + 1_000)
    harness.bus.kill()
    assert harness.gaps.seen[gap] >= nth
    assert deaths >= 1
    seqs = [d.seq for d in harness.decisions()]
    assert seqs == sorted(set(seqs)) == list(range(1, len(seqs) + 1))
    counted = check(harness.topics.read_all)
    assert counted["alerts"] >= 24


async def test_a_take_over_publishes_the_whole_last_batch_again(harness):
    """A crash after the decisions of a batch leaves all their publications to the next owner."""
    harness.gaps = Gaps(kill, "appended", 1)
    for n in range(3):
        harness.alert(f"a{n}")
    assert await harness.survive(START_MS + 10) == 1
    orders = [json.loads(r.value)["order_id"] for r in harness.topics.read_all("dispatches")]
    assert orders == ["canal:1", "canal:2", "canal:3"]
    assert len(harness.decisions()) == 3


async def test_an_idle_owner_leaves_nothing_to_publish_again(harness):
    """After a mark nothing is owed, so a take-over publishes nothing."""
    await harness.start()
    harness.alert("a1")
    await harness.run_for(5_000)
    harness.position({"member": "m", "lon": 1.0})
    await harness.run_for(journal.MARK_MS + 1_000)
    assert isinstance(harness.entries()[-1], Mark)
    events = len(harness.events())
    harness.bus.kill()
    await harness.start()
    assert len(harness.events()) == events


# --- fences ---------------------------------------------------------------------------------


async def test_a_former_owner_finds_out_by_its_own_ack_and_does_nothing_more(harness):
    """A lane whose partition was taken over ends Fenced, without publishing or acknowledging."""
    await harness.start()
    harness.alert("a1")
    await harness.run_for(10)
    zombie = harness.bus
    successor = MemoryBus(harness.topics, harness.make_core)
    await successor.start()
    successor.kill()
    events = len(harness.events())
    harness.alert("a2")
    await harness.run_for(10)
    assert isinstance(zombie.failure.result(), FencedError)
    assert len(harness.events()) == events


async def test_a_late_write_of_a_former_owner_counts_for_nobody(harness):
    """A decision with an old epoch is ignored by the fold, and does not end the new owner."""
    await harness.start()
    harness.alert("a1")
    await harness.run_for(10)
    harness.bus.kill()
    await harness.start()
    late = Decision(
        epoch=0, seq=2, owed_from=2, snap=-1, topic="alerts", partition=0, offset=1,
        received_ms=0, at_ms=0, positions_next=0,
        record={"type": "opened", "area": "canal", "alert_id": "ghost", "due_ms": START_MS},
    )  # fmt: skip
    harness.topics.append(DECISIONS, None, encode(late), (), 0)
    harness.alert("a2")
    await harness.run_for(10)
    assert not harness.bus.failure.done()
    harness.bus.kill()
    await harness.start()
    assert set(harness.cores[-1].state["alerts"]) == {"a1", "a2"}
    assert check(harness.topics.read_all, settled=False)["alerts"] == 2


async def test_the_rest_of_a_batch_whose_write_failed_does_not_count(harness):
    """A number missing within an unpublished batch ends it there; its inputs are decided again."""
    await harness.start()
    harness.bus.kill()
    for offset, seq in ((0, 1), (2, 3)):
        harness.alert(f"a{offset}")
        record = {"type": "opened", "area": "canal", "alert_id": f"a{offset}", "due_ms": START_MS}
        torn = Decision(
            epoch=0, seq=seq, owed_from=1, snap=-1, topic="alerts", partition=0, offset=offset,
            received_ms=0, at_ms=0, positions_next=0, record=record,
        )  # fmt: skip
        harness.topics.append(DECISIONS, None, encode(torn), (), 0)
    harness.alert("a1")
    with capture_logs() as logs:
        await harness.start()
    assert "decision_missing_in_unpublished_batch" in [log["event"] for log in logs]
    await harness.run_for(10)
    assert check(harness.topics.read_all, settled=False)["alerts"] == 3


async def test_a_recorded_decision_that_is_gone_raises_an_alarm(harness):
    """A number missing before a later batch is a loss: it is told, and the fold goes on."""
    await harness.start()
    harness.bus.kill()
    for offset, seq in ((0, 1), (2, 3)):
        record = {"type": "opened", "area": "canal", "alert_id": f"a{offset}", "due_ms": START_MS}
        gone = Decision(
            epoch=0, seq=seq, owed_from=seq, snap=-1, topic="alerts", partition=0, offset=offset,
            received_ms=0, at_ms=0, positions_next=0, record=record,
        )  # fmt: skip
        harness.topics.append(DECISIONS, None, encode(gone), (), 0)
    with capture_logs() as logs:
        await harness.start()
    alarms = [log for log in logs if log["event"] == "recorded_decision_missing"]
    assert alarms
    assert alarms[0]["page"]


async def test_after_a_hole_the_decisions_of_one_input_count_together(harness):
    """What follows the first of them is measured against it, not against what lay before the
    hole."""
    await harness.start()
    harness.bus.kill()
    for seq, more in ((1, False), (3, True), (4, False)):
        record = {"type": "opened", "area": "canal", "alert_id": f"a{seq}", "due_ms": START_MS}
        entry = Decision(
            epoch=0, seq=seq, owed_from=min(seq, 3), snap=-1, topic="positions", partition=0,
            offset=min(seq, 3), received_ms=0, at_ms=0, positions_next=0, record=record, more=more,
        )  # fmt: skip
        harness.topics.append(DECISIONS, None, encode(entry), (), 0)
    with capture_logs() as logs:
        await harness.start()
    assert [log["event"] for log in logs].count("recorded_decision_missing") == 1
    assert set(harness.cores[-1].state["alerts"]) == {"a1", "a3", "a4"}
    reading = read_log(0, harness.topics.read(DECISIONS, 0))
    assert [each.seq for each in reading.counted] == [1, 3, 4]
    assert reading.missing == [2]


async def test_what_decisions_are_based_on_is_no_decision(harness, monkeypatch):
    """The owner counts what lies behind its snapshot as who takes over from it does."""
    versions = iter({"roster": str(n)} for n in range(100))
    monkeypatch.setattr(ToyCore, "basis", lambda _: next(versions))
    await harness.start()
    for n in range(4):
        harness.alert(f"a{n}", window_ms=10_000_000)
        await harness.run_for(10)
    assert sum(isinstance(each, Basis) for each in harness.entries()) >= 4
    owner = harness.bus.lanes.lanes[0]._journal
    counted = (owner.since_snapshot, owner.since_bytes)
    harness.bus.kill()
    await harness.start()
    successor = harness.bus.lanes.lanes[0]._journal
    assert (successor.since_snapshot, successor.since_bytes) == counted
    assert counted[0] == 4


async def test_released_and_owned_again_a_partition_needs_no_fold(harness):
    """Where nobody has written since, the same worker goes on without a new epoch."""
    await harness.start()
    harness.alert("a1")
    await harness.run_for(10)
    await harness.bus.stop()
    harness.alert("a2")
    await harness.bus.start()
    await harness.run_for(10)
    assert len(harness.cores) == 1
    assert len([e for e in harness.entries() if isinstance(e, Fence)]) == 1
    await harness.bus.stop()
    other = MemoryBus(harness.topics, harness.make_core)
    await other.start()
    other.kill()
    await harness.bus.start()
    assert len(harness.cores) == 3, "somebody has written: folded anew"


# --- deadlines ------------------------------------------------------------------------------


async def test_a_deadline_is_decided_at_its_time_by_one_wake_up(harness):
    """One wake-up is written when the deadline is due, and it is decided once."""
    await harness.start()
    harness.alert("a1", window_ms=60_000)
    await harness.run_for(59_999)
    assert not harness.topics.read_all(WAKEUPS)
    await harness.run_for(1)
    assert len(harness.topics.read_all(WAKEUPS)) == 1
    await harness.run_for(50)
    assert [e["type"] for e in harness.events()] == ["opened", "overdue"]
    assert len(harness.topics.read_all(WAKEUPS)) == 1


@pytest.mark.parametrize(("received", "answer"), [(-1, "accepted"), (0, "accepted"), (1, "late")])
async def test_an_answer_is_in_time_by_its_receipt_not_by_when_it_is_read(
    harness, received, answer
):
    """An answer received up to the deadline counts though read after it; a later one never does."""
    alert = harness.alert("a1", window_ms=1_000)
    due_ms = alert.timestamp_ms + 1_000
    await harness.start()
    await harness.run_for(10)
    harness.bus.kill()  # nobody works while the answer comes in
    await harness.clock.advance(due_ms + received)
    harness.accept("a1")
    await harness.clock.advance(due_ms + 5_000)
    await harness.start()
    await harness.run_for(100)
    wanted = ["opened", "accepted"] if answer == "accepted" else ["opened", "overdue", "late"]
    story = {e["event_id"]: e["type"] for e in harness.events()}
    assert list(story.values()) == wanted
    written = len(harness.topics.read_all(WAKEUPS))
    assert written == (answer == "late"), "the backlog is taken before deadlines are called"


async def test_an_answer_on_its_way_is_not_overtaken_by_its_deadline(harness):
    """The wake-up waits for a record that lies in the log and has not been delivered yet."""
    await harness.start()
    alert = harness.alert("a1", window_ms=1_000)
    await harness.clock.advance(alert.timestamp_ms + 999)
    harness.bus._leave.pop(INPUTS.index("member_actions"))()  # its delivery stops
    answer = harness.accept("a1")
    await harness.run_for(3_000)
    assert len(harness.topics.read_all(WAKEUPS)) == 1
    assert [e["type"] for e in harness.events()] == ["opened"]
    harness.bus.lanes.put(answer, None)
    await harness.run_for(10)
    assert [e["type"] for e in harness.events()] == ["opened", "accepted"]


async def test_a_record_received_after_a_deadline_waits_for_it(harness):
    """The hold: a late record, though delivered first, is decided behind the deadline."""
    await harness.start()
    alert = harness.alert("a1", window_ms=1_000)
    await harness.clock.advance(alert.timestamp_ms + 990)
    leave = harness.bus._leave.pop(INPUTS.index(WAKEUPS))
    leave()  # the wake-up is written and is slow to come
    await harness.run_for(20)
    harness.accept("a1")
    harness.alert("a2")
    await harness.run_for(100)
    assert [e["type"] for e in harness.events()] == ["opened"]
    harness.bus.lanes.put(harness.topics.read_all(WAKEUPS)[0], None)
    await harness.run_for(10)
    types = [(e["alert_id"], e["type"]) for e in harness.events()]
    assert types == [("a1", "opened"), ("a1", "overdue"), ("a1", "late"), ("a2", "opened")]


async def test_deadlines_that_are_due_together_share_one_barrier(harness):
    """Many deadlines at once cost one question for the topics' ends, not one each."""
    asked = []

    class Counting(GapLog):
        async def input_ends(self, partition):
            asked.append(partition)
            return await self.inner.input_ends(partition)

    harness.wrap_log = lambda log: Counting(log.inner, log.gaps)
    await harness.start()
    for n in range(20):
        harness.alert(f"a{n}", window_ms=1_000)
    await harness.run_for(10)
    before = len(asked)
    await harness.run_for(2_000)
    assert [e["type"] for e in harness.events()].count("overdue") == 20
    assert len(asked) - before == 1


async def test_of_many_deadlines_due_at_once_few_wake_ups_are_under_way(harness):
    """Each is written once, and no more wait in the topic than are decided in one batch: a worker
    that is late does not bury itself."""
    await harness.start()
    outstanding: list[int] = []

    def look(_: Raw) -> None:
        taken = sum(d.topic == WAKEUPS for d in harness.decisions())
        outstanding.append(len(harness.topics.read_all(WAKEUPS)) - taken)

    harness.topics.listen(WAKEUPS, look)
    for n in range(200):
        harness.alert(f"a{n}", window_ms=1_000)
    await harness.run_for(2_000)
    assert [e["type"] for e in harness.events()].count("overdue") == 200
    assert len(outstanding) == 200
    assert max(outstanding) <= UNDER_WAY_MAX


async def test_records_between_two_deadlines_are_decided_between_them(harness):
    """After an outage deadlines and records come in the order of their times."""
    first = harness.alert("a1", window_ms=1_000)
    harness.alert("a2", window_ms=2_000)
    await harness.start()
    await harness.run_for(10)
    harness.bus.kill()
    await harness.clock.advance(first.timestamp_ms + 1_500)
    harness.accept("a1")
    harness.accept("a2")
    await harness.run_for(60_000)
    await harness.start()
    await harness.run_for(100)
    story = {e["event_id"]: (e["alert_id"], e["type"]) for e in harness.events()}
    assert list(story.values()) == [
        ("a1", "opened"), ("a2", "opened"), ("a1", "overdue"), ("a1", "late"), ("a2", "accepted"),
    ]  # fmt: skip


async def test_a_lost_wake_up_is_written_again_and_then_the_worker_leaves(harness):
    """A wake-up that is never read is repeated; the hold does not block for ever."""
    await harness.start()
    harness.bus._leave.pop(INPUTS.index(WAKEUPS))()
    harness.alert("a1", window_ms=1_000)
    await harness.run_for(1_010)
    harness.accept("a1")
    await harness.run_for(8_000)
    assert len(harness.topics.read_all(WAKEUPS)) == 2
    await harness.run_for(40_000)
    assert harness.bus.failure.done()


async def test_a_barrier_passes_offsets_that_hold_no_record(harness):
    """A transaction's control record at a topic's end does not hold a deadline up."""

    class Controlled(GapLog):
        async def input_ends(self, partition):
            ends = dict(await self.inner.input_ends(partition))
            ends["alerts"] += 1
            return ends

    harness.wrap_log = lambda log: Controlled(log.inner, log.gaps)
    await harness.start()
    harness.alert("a1", window_ms=1_000)
    await harness.run_for(3_000)
    assert [e["type"] for e in harness.events()] == ["opened", "overdue"]


async def test_a_barrier_that_is_never_reached_ends_the_worker(harness):
    """Records that exist and are never delivered end the hold with an error, not with silence."""
    await harness.start()
    harness.alert("a1", window_ms=1_000)
    await harness.run_for(100)
    harness.bus._leave.pop(INPUTS.index("alerts"))()
    harness.alert("a2")
    await harness.run_for(lane_module.STALL_MS + 5_000)
    assert isinstance(harness.bus.failure.result(), StalledError)


async def test_records_left_out_by_the_reader_end_the_worker(harness):
    """A gap in the offsets that holds records is never stepped over."""
    await harness.start()
    harness.bus._leave.pop(INPUTS.index("alerts"))()
    harness.alert("a1")
    second = harness.alert("a2")
    harness.bus.lanes.put(second, None)
    await harness.run_for(10)
    assert isinstance(harness.bus.failure.result(), RecordsSkippedError)
    assert not harness.decisions()


async def test_a_record_delivered_twice_is_decided_once(harness):
    """Offsets that were taken are acknowledged and left."""
    await harness.start()
    raw = harness.alert("a1")
    await harness.run_for(10)
    harness.bus.lanes.put(raw, None)
    await harness.run_for(10)
    assert len(harness.decisions()) == 1


# --- positions ------------------------------------------------------------------------------


async def test_a_take_over_learns_where_everybody_is(harness):
    """The positions of the last two minutes are shown to a new owner as replayed."""
    await harness.start()
    harness.position({"member": "old", "lon": 1.0})
    await harness.run_for(121_000)
    harness.position({"member": "new", "lon": 2.0})
    await harness.run_for(15_000)
    harness.bus.kill()
    await harness.start()
    assert harness.cores[-1].members == {"new": 2.0}
    assert harness.cores[-1].replayed == [1]
    await harness.run_for(10)
    assert harness.cores[-1].order == [], "a mark said that they had been taken"


async def test_positions_that_no_record_has_seen_are_taken_again_as_live(harness):
    """An alarm among positions that were taken and not decided upon is not lost."""
    await harness.start()
    harness.alert("a1")
    await harness.run_for(10)
    harness.gaps = harness.bus.lanes._io.gaps = Gaps(kill, "appending", 1)
    harness.position({"member": "m", "lon": 1.0})
    harness.position({"member": "m", "lon": 2.0, "alarm": "sos"}, {"member": "n", "lon": 3.0})
    deaths = await harness.survive(harness.clock.now_ms() + 10)
    assert deaths == 1
    assert check(harness.topics.read_all, settled=False)["alerts"] == 2


async def test_decisions_of_one_record_torn_apart_are_made_again(harness):
    """Of two alarms in one batch of positions, a crash between their records loses and doubles
    none: what was written of the first does not count."""

    class Tearing(GapLog):
        torn = False

        async def append_decisions(self, partition, records):
            if len(records) == 2 and not Tearing.torn:
                Tearing.torn = True
                await self.inner.append_decisions(partition, records[:1])
                raise Killed
            return await self.inner.append_decisions(partition, records)

    harness.wrap_log = lambda log: Tearing(log.inner, log.gaps)
    harness.position(
        {"member": "m", "lon": 1.0, "alarm": "sos"}, {"member": "n", "lon": 1.0, "alarm": "fall"}
    )
    assert await harness.survive(START_MS + 10) == 1
    assert [(d.seq, d.more) for d in harness.decisions()] == [(1, True), (1, True), (2, False)]
    assert check(harness.topics.read_all, settled=False)["alerts"] == 2


async def test_a_backlog_of_positions_does_not_keep_an_alert_waiting(harness):
    """After BATCH_POSITIONS_BYTES of positions the deciding inputs have their turn."""
    padding = "." * (lane_module.BATCH_POSITIONS_BYTES // 10)
    for n in range(30):
        harness.position({"member": "m", "lon": float(n), "padding": padding})
    await harness.run_for(5)
    harness.alert("a1")
    await harness.start()
    await harness.run_for(10)
    order = harness.cores[-1].order
    assert order.index(("alerts", 0)) == 10


# --- inputs that fail -----------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["alerts", POSITIONS])
async def test_an_input_that_fails_three_times_is_set_aside(harness, topic):
    """The worker leaves before the ack, three times; then the input is a recorded failure."""
    harness.alert("a1")
    harness.topics.append(topic, AREA, POISON)
    harness.alert("a2")
    with capture_logs() as logs:
        assert await harness.survive(START_MS + 10) == 3
    attempts = [e for e in harness.entries() if isinstance(e, Attempt)]
    assert len(attempts) == 3
    assert attempts[0].error.startswith("ValueError at toy.py:")  # kind and place, no message
    assert [json.loads(r.value)["topic"] for r in harness.topics.read_all("dead_letters")] == [
        topic
    ]
    assert [log["page"] for log in logs if log["event"] == "input_set_aside"] == [True]
    opened = [e["alert_id"] for e in harness.events() if e["type"] == "opened"]
    assert sorted(set(opened)) == ["a1", "a2"]


async def test_an_input_whose_failure_leaves_no_trace_is_found_all_the_same(harness):
    """After some barren take-overs the trace is written first, whatever ends the process."""
    for n in range(3):
        harness.alert(f"a{n}")
    killer = {"count": 0}

    class Killing(GapCore):
        def take(self, raw, now_ms, epoch):
            if raw.topic == "alerts" and raw.offset == 2:
                killer["count"] += 1
                raise Gone
            return super().take(raw, now_ms, epoch)

    harness.make_core = lambda p: Killing(ToyCore(p), harness.gaps)
    for _ in range(20):
        await harness.start()
        lane = harness.bus.lanes.lanes[0]
        run = harness.bus.lanes._tasks.pop(0)
        run.remove_done_callback(harness.bus.lanes._ended)
        run.cancel()
        try:
            await asyncio.wait_for(_run_inline(lane), 0.05)
        except Gone:
            harness.bus.kill()
            continue
        break
    assert killer["count"] == 6, "three without a trace, three with one"
    assert len(harness.topics.read_all("dead_letters")) == 1


async def test_positions_ahead_of_an_input_that_fails_are_not_set_aside_with_it(harness):
    """In careful times their traces are written as well; that they went well is noted, too."""
    for n in range(5):
        harness.position({"member": "m", "lon": float(n)})
    harness.topics.append(POSITIONS, AREA, POISON)
    for _ in range(lane_module.CAREFUL_FENCES):  # take-overs that lead to nothing
        await harness.start()
        harness.bus.kill()
    harness.bus = None
    await harness.survive(START_MS + 10)
    letters = [json.loads(r.value) for r in harness.topics.read_all("dead_letters")]
    assert [letter["offset"] for letter in letters] == [5]


async def _run_inline(lane) -> None:
    """Drive a lane without a task, so that what it raises ends here."""
    while lane.waiting:
        lane._wake.clear()
        await lane._call_due()
        await lane._fetch_barrier()
        assert await lane._batch()


async def test_a_deadline_that_its_wake_up_does_not_close_is_an_error(harness):
    """A core that asks for the same wake-up again would spin; it fails on that input instead."""

    class Stubborn(GapCore):
        def take(self, raw, now_ms, epoch):
            if raw.topic == WAKEUPS:
                return [self.inner._step({"type": "nothing", "area": "canal"}, epoch)]
            return super().take(raw, now_ms, epoch)

    harness.make_core = lambda p: Stubborn(ToyCore(p), harness.gaps)
    harness.alert("a1", window_ms=10)
    assert await harness.survive(START_MS + 5_000) == 3
    assert len(harness.topics.read_all("dead_letters")) == 1


async def test_a_decision_too_large_for_the_log_is_a_failed_input(harness, monkeypatch):
    """What would not fit into a topic never reaches the log half."""
    monkeypatch.setattr(lane_module, "RECORD_BYTES_MAX", 800)
    harness.alert("x" * 1_000)
    harness.alert("a1")
    assert await harness.survive(START_MS + 10) == 3
    assert [e["alert_id"] for e in harness.events()] == ["a1"]


# --- snapshots ------------------------------------------------------------------------------


async def test_a_fold_begins_at_the_newest_snapshot(harness, monkeypatch):
    """The state is restored from pieces, and only later decisions are folded."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 20)
    await harness.start()
    for n in range(50):
        harness.alert(f"a{n}", window_ms=10_000_000)
        await harness.run_for(1)
    pieces = [e for e in harness.entries() if isinstance(e, SnapshotPiece)]
    assert len({p.seq for p in pieces}) == 2
    assert pieces[-1].count > 1
    assert harness.decisions()[-1].snap > 0
    harness.bus.kill()
    before = harness.cores[-1].state
    await harness.start()
    assert harness.gaps.seen["folded"] == 10
    assert harness.cores[-1].state == before
    harness.alert("a50")
    await harness.run_for(1)
    assert check(harness.topics.read_all, settled=False)["alerts"] == 51


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
async def test_decisions_go_on_while_a_snapshot_is_being_written(
    harness, monkeypatch, killed_after
):
    """What is decided between its pieces is folded on top; one cut short counts for nobody."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 20)

    class Busy(GapLog):
        pieces = 0

        async def append_decisions(self, partition, records):
            appended = await super().append_decisions(partition, records)
            if isinstance(decode(records[0]), SnapshotPiece):
                Busy.pieces += 1
                harness.alert(f"between-{Busy.pieces}", window_ms=10_000_000)
                if killed_after == Busy.pieces:
                    raise Killed
            return appended

    harness.wrap_log = lambda log: Busy(log.inner, log.gaps)
    for n in range(21):
        harness.alert(f"a{n}", window_ms=10_000_000)
    assert await harness.survive(START_MS + 10) == (killed_after > 0)
    places = [
        n for n, e in enumerate(harness.entries()) if isinstance(e, SnapshotPiece) and e.count == 0
    ]
    between = harness.entries()[places[-2] : places[-1]]
    assert any(isinstance(entry, Decision) for entry in between)
    before = harness.cores[-1].state
    decided = len(harness.decisions())
    harness.bus.kill()
    harness.gaps.seen["folded"] = 0
    await harness.start()
    assert harness.cores[-1].state == before
    assert 0 < harness.gaps.seen["folded"] < 20 < decided
    assert harness.bus.lanes.lanes[0]._journal.since_snapshot == harness.gaps.seen["folded"]
    assert check(harness.topics.read_all, settled=False)["alerts"] == 21 + Busy.pieces


async def test_one_snapshot_is_written_at_a_time(monkeypatch):
    """The lanes of a worker share its time: their pieces do not lie between one another."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 5)
    harness = Harness(partitions=2)
    written: list[int] = []

    class Noting(GapLog):
        async def append_decisions(self, partition, records):
            if isinstance(decode(records[0]), SnapshotPiece):
                written.append(partition)
            return await super().append_decisions(partition, records)

    harness.wrap_log = lambda log: Noting(log.inner, log.gaps)
    await harness.start()
    for n in range(6):
        for partition in (0, 1):
            value = json.dumps({"alert_id": f"a{n}-{partition}", "window_ms": 10_000_000})
            harness.topics.append("alerts", AREA, value.encode(), (), partition)
    await harness.run_for(1_500)
    harness.bus.kill()
    assert sorted(written) in (written, written[::-1])
    assert set(written) == {0, 1}


async def test_a_snapshot_of_an_older_log_is_read(harness):
    """There all pieces lay together, and each named the digest of all."""
    await harness.start()
    for n in range(9):
        harness.alert(f"a{n}", window_ms=10_000_000)
    await harness.run_for(1)
    before = harness.cores[-1].state
    bodies = harness.cores[-1].snapshot()
    harness.bus.kill()
    digest = sha256(b"".join(bodies)).hexdigest()
    snap = len(harness.entries())
    for n, body in enumerate(bodies):
        piece = SnapshotPiece(0, 9, START_MS, n, len(bodies), digest, {"alerts": 9}, body)
        harness.topics.append(DECISIONS, None, encode(piece), (), 0)
    harness.topics.append(DECISIONS, None, encode(Mark(0, snap, START_MS, 0)), (), 0)
    await harness.start()
    assert harness.gaps.seen["folded"] == 0
    assert harness.cores[-1].state == before
    assert harness.bus.lanes.next_inputs()["alerts", 0] == 9


async def test_a_large_snapshot_is_written_less_often(harness, monkeypatch):
    """It is worth its room only once as much has been decided, up to a bound."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 5)
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS_MAX", 40)
    await harness.start()
    held = harness.bus.lanes.lanes[0]._journal
    held.snapshot_bytes = 10**9
    for n in range(39):
        harness.alert(f"a{n}", window_ms=10_000_000)
    await harness.run_for(1)
    assert held.snap == -1
    harness.alert("a39", window_ms=10_000_000)
    await harness.run_for(1)
    assert held.snap > 0
    assert 0 < held.snapshot_bytes < 10**9


@pytest.mark.parametrize("history", [60, 600])
async def test_what_a_take_over_folds_does_not_grow_with_the_history(harness, monkeypatch, history):
    """It begins at the newest snapshot, and no snapshot is put off for ever."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 20)
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS_MAX", 40)
    await harness.start()
    for n in range(history):
        harness.alert(f"a{n}", window_ms=10_000_000)
        await harness.run_for(1)
    harness.bus.kill()
    await harness.start()
    assert harness.gaps.seen["folded"] <= 40
    assert len(harness.cores[-1].state["alerts"]) == history


async def test_the_newest_snapshot_is_found_behind_a_long_tail(harness, monkeypatch):
    """The look backwards grows until an entry names a snapshot."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 5)
    await harness.start()
    for n in range(6):
        harness.alert(f"a{n}")
        await harness.run_for(1)
    harness.bus.kill()
    for _ in range(700):
        harness.topics.append(DECISIONS, None, b"not ours", (), 0)
    await harness.start()
    assert harness.gaps.seen["folded"] <= 5
    assert len(harness.cores[-1].state["alerts"]) == 6


async def test_a_snapshot_cut_short_is_not_used(harness, monkeypatch):
    """Nothing names a snapshot whose owner was killed while writing it."""
    monkeypatch.setattr(journal, "SNAPSHOT_RECORDS", 10)

    class Cutting(GapLog):
        cuts = 0

        async def append_decisions(self, partition, records):
            piece = decode(records[0])
            if isinstance(piece, SnapshotPiece) and piece.index == 1 and not Cutting.cuts:
                Cutting.cuts += 1
                raise Killed
            return await super().append_decisions(partition, records)

    harness.wrap_log = lambda log: Cutting(log.inner, log.gaps)
    for n in range(12):
        harness.alert(f"a{n}")
    assert await harness.survive(START_MS + 10) == 1
    assert check(harness.topics.read_all, settled=False)["alerts"] == 12
    harness.bus.kill()
    await harness.start()
    assert len(harness.cores[-1].state["alerts"]) == 12


async def test_an_idle_partition_is_snapshotted_now_and_then(harness, monkeypatch):
    """A snapshot never grows older than SNAPSHOT_AGE_MS while somebody owns the partition."""
    monkeypatch.setattr(journal, "SNAPSHOT_AGE_MS", 600_000)
    await harness.start()
    harness.alert("a1")
    await harness.run_for(journal.SNAPSHOT_AGE_MS + 2_000)
    snapshots = [e for e in harness.entries() if isinstance(e, SnapshotPiece)]
    assert len({s.at_ms for s in snapshots}) == 1
    harness.bus.kill()
    await harness.start()
    assert harness.gaps.seen["folded"] == 0
    assert set(harness.cores[-1].state["alerts"]) == {"a1"}


# --- what the reader is told ----------------------------------------------------------------


async def test_a_topic_is_paused_while_too_much_of_it_waits(harness, monkeypatch):
    """Fetching stops at INBOX_HIGH and goes on at INBOX_LOW; the wake-ups are never paused."""
    monkeypatch.setattr(lane_module, "INBOX_HIGH", 20)
    monkeypatch.setattr(lane_module, "INBOX_LOW", 5)
    told: list[str] = []
    await harness.start()
    lane = harness.bus.lanes.lanes[0]
    lane._flow = lane_module.Flow(
        ack=lambda _ack: None,
        pause=lambda topic: told.append(f"pause {topic}"),
        resume=lambda topic: told.append(f"resume {topic}"),
    )
    for n in range(30):
        harness.alert(f"a{n}", window_ms=1_000)
        harness.topics.append(WAKEUPS, AREA, b"{}")
    assert told == ["pause alerts"]
    assert lane.paused("alerts")
    await harness.run_for(10)
    assert told == ["pause alerts", "resume alerts"]
    assert len(harness.decisions()) == 60


async def test_a_rebalance_in_the_middle_of_a_take_over_starts_it_again(harness):
    """A take-over that is given up leaves nothing behind but its fence."""
    await harness.start()
    for n in range(3):
        harness.alert(f"a{n}")
    await harness.run_for(10)
    harness.bus.kill()
    answer = asyncio.Event()

    class Slow(GapLog):
        async def read_decisions(self, partition, start, end):
            async for record in self.inner.read_decisions(partition, start, end):
                await answer.wait()
                yield record

    harness.wrap_log = lambda log: Slow(log.inner, log.gaps)
    starting = asyncio.create_task(harness.start())
    await harness.run_for(1)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await harness.bus.lanes.release()
    assert not harness.bus.lanes.lanes
    answer.set()
    await harness.bus.start()
    await harness.run_for(10)
    assert set(harness.cores[-1].state["alerts"]) == {"a0", "a1", "a2"}
    assert check(harness.topics.read_all, settled=False)["alerts"] == 3


async def test_a_worker_clock_that_is_behind_does_not_hurry_a_deadline(harness):
    """What counts is the broker's clock: a wake-up written too early waits until it is time."""
    await harness.start()
    alert = harness.alert("a1", window_ms=1_000)
    due_ms = alert.timestamp_ms + 1_000
    await harness.run_for(900)
    harness.topics.append(WAKEUPS, AREA, b'{"alert_id": "a1"}', ((DUE_HEADER, b"%d" % due_ms),))
    await harness.run_for(50)
    assert [e["type"] for e in harness.events()] == ["opened"]
    harness.accept("a1")
    await harness.run_for(2_000)
    assert [e["type"] for e in harness.events()] == ["opened", "accepted"]


async def test_what_falls_due_within_a_turn_is_called_with_the_next(harness, monkeypatch):
    """And not a tick later: the lane does not rest on it."""

    def tick(_self: ToyCore, _now_ms: int, _epoch: int) -> tuple[()]:
        harness.clock._now_ms += 5  # it takes its time
        return ()

    await harness.start()
    harness.alert("a1", window_ms=lane_module.TICK_MS + 2)
    await harness.run_for(10)
    monkeypatch.setattr(ToyCore, "tick", tick)
    await harness.run_for(lane_module.TICK_MS)
    assert harness.clock.now_ms() > START_MS + lane_module.TICK_MS + 2
    assert [e["type"] for e in harness.events()] == ["opened", "overdue"]


async def test_while_a_wake_up_is_dated_ahead_the_lane_goes_on(harness):
    """What was received up to its deadline is decided at once, and an alert waits no longer than
    for any other deadline; the deadline itself is not early."""
    await harness.start()
    first = harness.alert("a1", window_ms=60_000)
    await harness.run_for(10)
    due_ms = harness.clock.now_ms() + 1_400
    harness.topics.append(WAKEUPS, AREA, b'{"alert_id": "a1"}', ((DUE_HEADER, b"%d" % due_ms),))
    harness.accept("a1")
    await harness.run_for(10)
    assert [e["type"] for e in harness.events()] == ["opened", "accepted"]
    harness.alert("a2", window_ms=60_000)
    await harness.run_for(10)
    assert [e["alert_id"] for e in harness.events()] == ["a1", "a1", "a2"]
    assert [d.topic for d in harness.decisions()].count(WAKEUPS) == 0
    await harness.clock.advance(due_ms + 100)
    [woken] = [d for d in harness.decisions() if d.topic == WAKEUPS]
    assert woken.at_ms > due_ms > first.timestamp_ms


# --- the gate -------------------------------------------------------------------------------


async def test_inputs_that_come_while_the_gate_is_awaited_wait_for_the_next_one(harness):
    """What is decided has come before the roster was asked how far it goes."""
    opened: list[asyncio.Event] = []

    async def gate() -> None:
        opened.append(asyncio.Event())
        await opened[-1].wait()

    harness.gate = gate
    await harness.start()
    harness.alert("a1")
    await harness.run_for(10)
    harness.alert("a2")
    opened[0].set()
    await harness.run_for(10)
    assert [d.offset for d in harness.decisions()] == [0]
    assert len(opened) == 2
    opened[1].set()
    await harness.run_for(10)
    assert [d.offset for d in harness.decisions()] == [0, 1]
