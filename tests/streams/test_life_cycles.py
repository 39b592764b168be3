"""Life cycles of the log, the inbox, wake-ups and a lane, each beside a model of a few lines.

Deterministic: the same steps are taken at every run.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.streams.test_lane import GAPS, Harness, kill
from tests.streams.toy import Gaps, check
from xiaohe.streams.decision_log import (
    Attempt,
    Decision,
    Fence,
    Mark,
    SnapshotPiece,
    SnapshotWriter,
    encode,
)
from xiaohe.streams.folding import NO_EPOCH, Folding
from xiaohe.streams.inbox import DUE_HEADER, Inbox
from xiaohe.streams.ports import (
    INPUTS,
    POSITIONS,
    WAKEUPS,
    LogRecord,
    Publication,
    Raw,
    WakeUpCall,
)
from xiaohe.streams.wakeups import REPEAT_MS, UNDER_WAY_MAX, WRITES_MAX, Calls, WakeUpLostError

ALERTS = "alerts"
STEPS = settings(
    max_examples=60,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Sum:
    """A core that is the list of what was folded."""

    def __init__(self) -> None:
        self.folded: list[int] = []

    def fold(self, record: Mapping[str, Any], epoch: int) -> tuple[Publication, ...]:
        """Add it; it owes itself."""
        self.folded.append(record["n"])
        return (Publication("incidents", 0, None, str(record["n"]).encode()),)

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Become what a snapshot holds."""
        self.folded = json.loads(b"".join(pieces))


class AnyLog(RuleBasedStateMachine):
    """Owners one after the other, late ones among them; writes that fail; snapshots, whole or not.

    The model is what the owners know: which of their decisions were acknowledged in their time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[bytes] = []
        self.epochs: list[int] = []
        self.counted: list[int] = []
        self.seq = 0
        self.batch_failed = False
        self.snapshots: list[int] = []
        self.writing: SnapshotWriter | None = None
        self.bodies: list[bytes] = []
        self.first: int | None = None
        self.n = 0
        self.next_alert = 0

    def _write(self, value: bytes) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _decision(self, epoch: int, seq: int, owed_from: int) -> int:
        self.n += 1
        entry = Decision(
            epoch, seq, owed_from, -1, ALERTS, 0, self.n, 1, 1, 0, {"n": self.n}
        )  # fmt: skip
        self._write(encode(entry))
        return self.n

    # --- what may happen

    @rule()
    def a_take_over(self) -> None:
        """A worker writes its fence."""
        self.epochs.append(self._write(encode(Fence("w", 1))))
        self.batch_failed = False
        self._abandon_snapshot()

    @precondition(lambda self: self.epochs and not self.batch_failed)
    @rule(count=st.integers(1, 4))
    def a_batch(self, count: int) -> None:
        """The owner decides, and all of it is acknowledged."""
        owed_from = self.seq + 1
        for _ in range(count):
            self.seq += 1
            self.counted.append(self._decision(self.epochs[-1], self.seq, owed_from))
        self.next_alert = self.n + 1

    @precondition(lambda self: self.epochs and not self.batch_failed)
    @rule(before=st.integers(0, 2), after=st.integers(1, 2))
    def a_batch_whose_write_fails(self, before: int, after: int) -> None:
        """One record in the middle is lost: the owner leaves and publishes nothing of it."""
        owed_from = self.seq + 1
        for _ in range(before):
            self.seq += 1
            self.counted.append(self._decision(self.epochs[-1], self.seq, owed_from))
            self.next_alert = self.n + 1
        for lost in range(after):
            self._decision(self.epochs[-1], self.seq + 2 + lost, owed_from)
        self.batch_failed = True
        self._abandon_snapshot()

    @precondition(lambda self: len(self.epochs) > 1)
    @rule(data=st.data(), ahead=st.integers(-1, 2))
    def a_late_write(self, data: st.DataObject, ahead: int) -> None:
        """A former owner writes what it had decided."""
        epoch = data.draw(st.sampled_from(self.epochs[:-1]))
        self._decision(epoch, max(1, self.seq + ahead), max(1, self.seq + ahead))

    @precondition(lambda self: self.counted)
    @rule(data=st.data())
    def a_write_repeated(self, data: st.DataObject) -> None:
        """A client library sends a record twice."""
        decisions = [value for value in self.values if b'"kind":"decision"' in value]
        self._write(data.draw(st.sampled_from(decisions)))

    @precondition(lambda self: self.epochs and not self.batch_failed and self.writing is None)
    @rule(pieces=st.integers(1, 3))
    def a_snapshot_begins(self, pieces: int) -> None:
        """The owner will write its state as it is now, between other things."""
        whole = json.dumps(self.counted).encode()
        size = len(whole) // pieces + 1
        self.bodies = [whole[at : at + size] for at in range(0, len(whole), size)]
        self.writing = SnapshotWriter(
            epoch=self.epochs[-1],
            seq=self.seq,
            at_ms=len(self.values),
            next_offsets={ALERTS: self.next_alert},
            snap=self.snapshots[-1] if self.snapshots else -1,
        )
        self.a_piece_of_it()  # the first is written at the moment whose state it is

    @precondition(lambda self: self.writing is not None)
    @rule()
    def a_piece_of_it(self) -> None:
        """The next piece of the snapshot; it counts once the last is there."""
        assert self.writing is not None
        body = self.bodies.pop(0)
        at = self._write(encode(self.writing.piece(body, last=not self.bodies)))
        self.first = at if self.first is None else self.first
        if not self.bodies:
            self.snapshots.append(self.first)
            self._abandon_snapshot()

    def _abandon_snapshot(self) -> None:
        self.writing, self.first = None, None

    @precondition(lambda self: len(self.epochs) > 1)
    @rule(data=st.data(), index=st.integers(0, 2), count=st.sampled_from([0, 0, 1, 2]))
    def a_late_piece(self, data: st.DataObject, index: int, count: int) -> None:
        """A former owner was writing a snapshot, too, when it was replaced."""
        epoch = data.draw(st.sampled_from(self.epochs[:-1]))
        seq, digest = max(0, self.seq - 1), sha256(b"[]").hexdigest() if count else ""
        self._write(encode(SnapshotPiece(epoch, seq, 5, index, count, digest, {}, b"[]", -1)))

    @precondition(lambda self: self.epochs)
    @rule(what=st.sampled_from(["mark", "attempt", "noise", "late mark"]))
    def something_else(self, what: str) -> None:
        """What is no decision, of the owner, of a former one, or of a stranger."""
        epoch = self.epochs[0] if what == "late mark" else self.epochs[-1]
        entry = Attempt(epoch, -1, 1, ALERTS, self.n, "e") if what == "attempt" else None
        self._write(b"\xff{" if what == "noise" else encode(entry or Mark(epoch, -1, 1, 0)))

    # --- what must hold

    def _folded(self, start: int) -> tuple[Folding, Sum]:
        core = Sum()
        folding = Folding(core, 0)  # type: ignore[arg-type]  # a core that folds alone
        for offset in range(start, len(self.values)):
            folding.feed(LogRecord(offset, 1, self.values[offset]))
        return folding, core

    @invariant()
    def every_reader_comes_to_the_state_of_the_owners(self) -> None:
        """From the beginning, and from the newest whole snapshot."""
        folding, core = self._folded(0)
        assert core.folded == self.counted
        assert folding.seq == self.seq
        assert folding.epoch == (self.epochs[-1] if self.epochs else NO_EPOCH)
        assert folding.next_offsets.get(ALERTS, 0) == self.next_alert
        owed = [int(each.value or b"") for each in folding.owed]
        assert owed == self.counted[len(self.counted) - len(owed) :]
        if self.snapshots:
            later, restored = self._folded(self.snapshots[-1])
            assert restored.folded == core.folded
            assert (later.seq, later.epoch) == (folding.seq, folding.epoch)
            assert later.next_offsets.get(ALERTS, 0) == self.next_alert
            assert later.owed == folding.owed


@pytest.mark.parametrize("index", [0, 1])
def test_a_former_owners_piece_between_those_of_a_snapshot_does_no_harm(index: int) -> None:
    """A fold that begins there takes the snapshot's own alone: it would else come to nothing, and
    no worker could take the partition over."""
    writer = SnapshotWriter(epoch=7, seq=0, at_ms=5, next_offsets={}, snap=-1)
    own = [writer.piece(b"[1,", last=False), writer.piece(b"2]", last=True)]
    late = SnapshotPiece(3, 0, 5, index, 0, "", {}, b"[9,", -1)
    core = Sum()
    folding = Folding(core, 0)  # type: ignore[arg-type]  # a core that folds alone
    for offset, piece in enumerate((own[0], late, own[1]), start=10):
        folding.feed(LogRecord(offset, 1, encode(piece)))
    assert (core.folded, folding.epoch, folding.snap) == ([1, 2], 7, 10)


def test_a_fold_that_begins_at_a_snapshot_knows_how_often_an_input_has_failed() -> None:
    """Else a snapshot between two attempts would let the input end one worker more."""
    attempts = {(ALERTS, 4): 3, (ALERTS, 9): 2, ("wakeups", 1): 1}
    writer = SnapshotWriter(
        epoch=7, seq=0, at_ms=5, next_offsets={ALERTS: 5}, snap=-1, attempts=attempts
    )
    piece = writer.piece(b"[1]", last=True)
    again = Attempt(7, 10, 6, ALERTS, 9, "KeyError")
    folding = Folding(Sum(), 0)  # type: ignore[arg-type]  # a core that folds alone
    for offset, entry in enumerate((piece, again), start=10):
        folding.feed(LogRecord(offset, 1, encode(entry)))
    assert folding.attempts == {(ALERTS, 9): 3, ("wakeups", 1): 1}


class AnyInbox(RuleBasedStateMachine):
    """Records of all topics, in and out of order, repeated and left out; taken one by one."""

    topics = st.sampled_from([t for t in INPUTS if t != WAKEUPS])

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox(dict.fromkeys(INPUTS, 0))
        self.next = dict.fromkeys(INPUTS, 0)
        self.arrived = 0
        self.now_ms = 1_000
        self.waiting: list[tuple[int, int, Raw]] = []
        self.calls: list[tuple[int, int, Raw]] = []
        self.gaps = 0

    def _put(self, raw: Raw, key_ms: int, line: list[tuple[int, int, Raw]]) -> None:
        is_new = raw.offset >= self.next[raw.topic]
        assert self.inbox.put(raw, None) == is_new
        if is_new:
            self.gaps += raw.offset > self.next[raw.topic]
            self.next[raw.topic] = raw.offset + 1
            self.arrived += 1
            line.append((key_ms, self.arrived, raw))

    @rule(topic=topics, skip=st.sampled_from([0, 0, 0, 0, 1, -1, -2]), later=st.integers(0, 40))
    def a_record(self, topic: str, skip: int, later: int) -> None:
        """One comes, is left out before, or comes again; receipts of a topic do not run back."""
        self.now_ms += later
        offset = max(0, self.next[topic] + skip)
        raw = Raw(topic, 0, offset, self.now_ms, b"a", b"{}")
        self._put(raw, self.now_ms, self.waiting)

    @rule(due=st.integers(-600, 600), header=st.sampled_from(["due", "none", "odd"]))
    def a_wakeup(self, due: int, header: str) -> None:
        """One comes, in no order of deadlines; a foreign hand may have written it."""
        due_ms = self.now_ms + due
        stated = {"due": ((DUE_HEADER, str(due_ms).encode()),), "odd": ((DUE_HEADER, b"x"),)}
        raw = Raw(
            WAKEUPS, 0, self.next[WAKEUPS], self.now_ms, b"a", b"{}", stated.get(header, ())
        )  # fmt: skip
        key_ms = min(due_ms, self.now_ms + 500) if header == "due" else self.now_ms
        self._put(raw, key_ms, self.calls)

    @precondition(lambda self: self.waiting)
    @rule()
    def a_record_is_taken(self) -> None:
        """The oldest at the head of its line."""
        item = self.inbox.first_record(positions=True)
        assert item is not None
        self.inbox.remove(item)
        self.waiting.remove(self._oldest(self._heads(INPUTS)))

    @precondition(lambda self: self.calls)
    @rule(earlier=st.integers(0, 300))
    def a_wakeup_is_taken(self, earlier: int) -> None:
        """The earliest, although another one comes while it is being tried."""
        item = self.inbox.first_wakeup()
        assert item is not None
        mine = self._oldest(self.calls)
        if earlier > 200:
            self.a_wakeup(-earlier, "due")
        self.inbox.remove(item)
        self.calls.remove(mine)

    def _heads(self, topics: Sequence[str]) -> list[tuple[int, int, Raw]]:
        heads: dict[str, tuple[int, int, Raw]] = {}
        for each in self.waiting:
            heads.setdefault(each[2].topic, each)
        return [each for topic, each in heads.items() if topic in topics]

    def _oldest(self, line: list[tuple[int, int, Raw]]) -> tuple[int, int, Raw]:
        return min(line, key=lambda each: each[:2])

    @invariant()
    def what_is_next_is_the_oldest(self) -> None:
        """Of the heads of all lines; wake-ups by their deadlines."""
        deciding = [topic for topic in INPUTS if topic != POSITIONS]
        for positions, topics in ((True, INPUTS), (False, deciding)):
            item, heads = self.inbox.first_record(positions=positions), self._heads(topics)
            assert (item.raw if item else None) == (self._oldest(heads)[2] if heads else None)
        item = self.inbox.first_wakeup()
        assert (item.raw if item else None) == (self._oldest(self.calls)[2] if self.calls else None)

    @invariant()
    def everything_is_counted(self) -> None:
        """What waits, what was left out, and how far each topic has come."""
        assert len(self.inbox) == len(self.waiting) + len(self.calls)
        assert len(self.inbox.gaps) == self.gaps
        assert self.inbox.fetched_next == self.next
        assert self.inbox.holds_deciding() == bool(
            self.calls or [each for each in self.waiting if each[2].topic != POSITIONS]
        )

    @invariant()
    def the_barrier_is_reached_when_nothing_older_waits_or_is_to_come(self) -> None:
        """For the ends as they are, and for ends that promise one record more."""
        for at_ms in (0, self.now_ms - 20, self.now_ms):
            older = any(key_ms <= at_ms for key_ms, _, _ in self._heads(INPUTS))
            assert self.inbox.reached(self.next, at_ms) == (not older)
            promised = self.next | {ALERTS: self.next[ALERTS] + 1}
            waits = [each for each in self._heads([ALERTS]) if each[0] > at_ms]
            assert self.inbox.reached(promised, at_ms) == (not older and bool(waits))


class AnyCalls(RuleBasedStateMachine):
    """Wake-ups written, lost, read back and taken, while time passes."""

    keys = st.sampled_from([b"a", b"b", b"c"])

    def __init__(self) -> None:
        super().__init__()
        self.calls = Calls()
        self.now_ms = 0
        self.writes: dict[bytes, int] = {}
        self.last_ms: dict[bytes, int] = {}
        self.come: set[bytes] = set()

    def _call(self, key: bytes) -> WakeUpCall:
        return WakeUpCall(5, key, b"{}")

    def _raw(self, key: bytes) -> Raw:
        return Raw(WAKEUPS, 0, 0, 5, key, b"{}")

    def _write(self, calls: list[WakeUpCall]) -> None:
        self.calls.written(calls, self.now_ms)
        for call in calls:
            self.writes[call.key] = self.writes.get(call.key, 0) + 1
            self.last_ms[call.key] = self.now_ms

    @rule(ms=st.sampled_from([1, 1_000, REPEAT_MS - 1, REPEAT_MS, 10 * REPEAT_MS]))
    def time_passes(self, ms: int) -> None:
        """And nothing else."""
        self.now_ms += ms

    @rule(key=keys)
    def a_deadline_is_due(self, key: bytes) -> None:
        """Written once while it is under way."""
        wanted = self.calls.to_write([self._call(key)])
        assert bool(wanted) == (key not in self.writes)
        self._write(wanted)

    @rule()
    def the_lane_turns(self) -> None:
        """What does not come is written again, and not for ever."""
        silent = {
            key
            for key in self.writes
            if key not in self.come and self.now_ms - self.last_ms[key] >= REPEAT_MS
        }
        if any(self.writes[key] >= WRITES_MAX for key in silent):
            with pytest.raises(WakeUpLostError):
                self.calls.to_repeat(self.now_ms)
            return
        wanted = self.calls.to_repeat(self.now_ms)
        assert {call.key for call in wanted} == silent
        self._write(wanted)

    @invariant()
    def there_is_room_for_what_is_not_under_way(self) -> None:
        """Up to the limit."""
        assert self.calls.room(holds=True) == UNDER_WAY_MAX - len(self.writes)
        assert self.calls.room(holds=False) == UNDER_WAY_MAX

    @rule(key=keys)
    def it_comes(self, key: bytes) -> None:
        """One that was written is read; or a stranger's."""
        self.calls.come(self._raw(key))
        if key in self.writes:
            self.come.add(key)

    @rule(key=keys)
    def it_is_taken(self, key: bytes) -> None:
        """And the core has closed its deadline."""
        self.calls.taken(self._raw(key), still_due=False)
        self.come.discard(key)
        self.writes.pop(key, None)


class AnyLane(RuleBasedStateMachine):
    """A worker that is killed at any step and started again, while alerts and answers come."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.harness = Harness(Gaps(kill))
        self.alerts = 0
        self._survive(0)

    def _survive(self, ms: int) -> None:
        to_ms = self.harness.clock.now_ms() + ms
        self.runner.run(self.harness.survive(to_ms))

    @rule(window_ms=st.sampled_from([20, 60, 500]), later=st.integers(0, 30))
    def an_alert(self, window_ms: int, later: int) -> None:
        """Something happens."""
        self.harness.alert(f"a{self.alerts}", window_ms=window_ms)
        self.alerts += 1
        self._survive(later)

    @precondition(lambda self: self.alerts)
    @rule(n=st.integers(0, 40), later=st.integers(0, 30))
    def an_answer(self, n: int, later: int) -> None:
        """Somebody answers, in time or late, once or again."""
        self.harness.accept(f"a{n % self.alerts}")
        self._survive(later)

    @rule(alarm=st.sampled_from([None, None, "x", "y"]))
    def a_position(self, alarm: str | None) -> None:
        """Somebody is somewhere, or in need."""
        self.harness.position({"member": "m", "lon": 1.0, "alarm": alarm})

    @rule(gap=st.sampled_from(GAPS), nth=st.integers(1, 3))
    def a_death_to_come(self, gap: str, nth: int) -> None:
        """The worker will be killed when it comes past this place."""
        gaps = self.harness.gaps
        gaps.at, gaps.nth = gap, gaps.seen[gap] + nth

    @rule()
    def a_death_now(self) -> None:
        """Whatever it is doing, which is nothing."""
        assert self.harness.bus is not None
        self.harness.bus.kill()
        self.harness.bus = None
        self._survive(0)

    @rule(
        inputs=st.lists(
            st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from([1, 15, 40, 300])),
            max_size=6,
        )
    )
    def nobody_works_for_a_while(self, inputs: list[tuple[int, bool, int]]) -> None:
        """Alerts and answers come, and deadlines pass, with no worker there."""
        assert self.harness.bus is not None
        self.harness.bus.kill()
        self.harness.bus = None
        for n, is_alert, ms in inputs:
            if is_alert:
                self.harness.alert(f"a{self.alerts}", window_ms=60)
                self.alerts += 1
            elif self.alerts:
                self.harness.accept(f"a{n % self.alerts}")
            clock = self.harness.clock
            self.runner.run(clock.advance(clock.now_ms() + ms))
        self._survive(0)

    @rule(ms=st.sampled_from([1, 50, 700, 12_000]))
    def time_passes(self, ms: int) -> None:
        """Deadlines, marks and ticks come."""
        self._survive(ms)

    @invariant()
    def decisions_are_numbered_through(self) -> None:
        """Over all owners."""
        seqs = [decision.seq for decision in self.harness.decisions()]
        assert seqs == list(range(1, len(seqs) + 1))

    def teardown(self) -> None:
        """In the end the topics show one clean run."""
        try:
            self.harness.gaps.at = ""
            self._survive(2_000)
            counted = check(self.harness.topics.read_all)
            assert counted["alerts"] >= self.alerts
            assert self.harness.bus is not None
            self.harness.bus.kill()
        finally:
            self.runner.close()


TestAnyLog, TestAnyInbox = AnyLog.TestCase, AnyInbox.TestCase
TestAnyCalls, TestAnyLane = AnyCalls.TestCase, AnyLane.TestCase
TestAnyLog.settings = TestAnyInbox.settings = TestAnyCalls.settings = STEPS
TestAnyLane.settings = settings(STEPS, max_examples=25, stateful_step_count=25)
