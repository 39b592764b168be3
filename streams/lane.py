"""A lane: the one task that decides for one partition.

It works in batches. One turn of the lane, for the records that wait:

1. deadlines that are due get their wake-ups written;
2. the core decides the records one by one, in the order of their receipt, and evolves at once;
3. all decisions of the batch are appended to the log and acknowledged;
4. the offsets of the acknowledgements are continuous, or somebody else has written in between:
   if that was a fence, the partition is another worker's, and this one leaves;
5. what follows is published stage by stage, the whole batch's stage 0 before its stage 1;
6. the records are acknowledged to the reader of the topic.

A crash between any two of these loses nothing: before 3 the records are read again and decided
by the next owner, after 3 the next owner publishes the same again. Nothing is published before
its decision is acknowledged. Any exception ends the lane, and with it the worker.

Time: a record received after the earliest open deadline waits until that deadline is decided
(the *hold*; a retry holds nothing, or thousands of incidents that nobody can go to would keep a new
alert waiting), and a deadline is decided only when every record received up to it has been taken
(the *barrier*: the input topics' ends, asked for after the wake-up was read). An alert alone waits
no longer than ALERT_WAITS_MS_MAX for anything that was received before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil

import structlog
from msgspec import Struct

from xiaohe.streams.decision_log import Basis, Decision, encode
from xiaohe.streams.delivery import Delivery
from xiaohe.streams.inbox import Inbox, Item
from xiaohe.streams.journal import Journal
from xiaohe.streams.ports import (
    POSITIONS,
    WAKEUPS,
    Care,
    Clock,
    Core,
    Log,
    Publication,
    Raw,
    SnapshotPart,
    Step,
)
from xiaohe.streams.takeover import TakenOver
from xiaohe.streams.wakeups import Calls, publication
from xiaohe.wire.fault_text import briefly

_log = structlog.get_logger(__name__)

BATCH_DECISIONS_MAX = 64
"""Decisions written together: bounds what a take-over publishes again, and how long the first of
a batch waits for the last (64 × about 0.5 ms)."""

BATCH_MS_MAX = 50
"""How long a batch may be decided: what its first record led to is not published before."""

BATCH_POSITIONS_BYTES = 64 * 1024
"""Positions taken in one batch, some 400 fixes or 10 ms: a backlog of them does not keep an alert
waiting."""

POSITION_DECISION_BYTES = 2_500
"""What a decision on a position counts as, a refusal too: written and published, it takes the time
of so many bytes of fixes that only move somebody (0.4 ms)."""

FASTEST_CLOCK = 1.06
"""So much faster than the broker's a worker's clock may go: a wait then seems longer than it is."""

ALERT_WAITS_MS_MAX = 200
"""How long an alert waits here for what was received before it, or for a deadline: then it goes
first, every other record of a batch. A hundred times what it usually waits; what floods the other
topics, or a wake-up that is slow to come, costs an alert no more."""

CAREFUL_INPUTS = 256
"""Inputs that are tried one by one after take-overs that led to nothing: more than one batch."""

RECORD_BYTES_MAX = 1_000_000
"""Largest decision or publication: topics take records up to 1 MiB, headers and key included."""

TICK_MS = 1_000
"""How often the core may publish without a decision."""

ATTEMPTS_MAX = 3
"""An input that made a worker leave so often is set aside; once more, and no rule is asked how;
twice more, and nobody looks into it."""

CAREFUL_FENCES = 3
"""Take-overs in a row without a decision after which an input's trace is written before it is
tried: whatever ends the process then (memory, a loop) cannot hide which input it was."""

STALL_MS = 30_000
"""The worker leaves when records wait and none is taken for so long: half the shortest window."""

CHECK_MS = 500
"""After how long of waiting for records that the topic's end promises it is looked whether there
are any: a transaction's control record takes an offset and is never delivered."""

INBOX_HIGH, INBOX_LOW = 2_000, 500
"""Records of one topic waiting when its fetching is paused and when it goes on."""

INBOX_BYTES_HIGH, INBOX_BYTES_LOW = 8 * 1024 * 1024, 2 * 1024 * 1024
"""The same in bytes, for a record may have 1 MiB: 16 partitions with four such topics stay below
512 MiB, and a fetch more."""


class InputFailedError(Exception):
    """The core failed on an input; the trace of it is in the log."""


class StalledError(Exception):
    """Records wait and nothing is taken."""


@dataclass(frozen=True)
class Flow:
    """How a lane speaks to the reader of its topics.

    ``pause`` and ``resume`` stop and start the fetching of one topic; ``gate`` is awaited before
    inputs that have come are decided (the roster has been read as far as it went by then).
    """

    ack: Callable[[object], None]
    gate: Callable[[], Awaitable[None]] | None = None
    pause: Callable[[str], None] | None = None
    resume: Callable[[str], None] | None = None


class SnapshotTurn(Struct):
    """Whose turn it is, of a worker's lanes, to write a snapshot: one at a time, or an alert would
    wait for a piece of each. ``partition`` None: nobody's."""

    partition: int | None = None


class _Batch(Struct):
    items: list[Item]
    values: list[bytes]
    publications: list[Publication]
    basis: bytes | None = None


class Lane:
    """The owner of one partition. ``put`` hands it records, ``run`` works until ``stop``.

    Attributes
    ----------
    clean : nothing is decided that is not written, published and acknowledged.
    taken_count : records taken so far; moves whenever the lane takes one.
    turns : rounds of ``run`` so far; moves every TICK_MS at least, whatever there is to do.
    """

    def __init__(
        self,
        core: Core,
        log: Log,
        clock: Clock,
        flow: Flow,
        taken_over: TakenOver,
        turn: SnapshotTurn | None = None,
    ) -> None:
        self.partition = taken_over.partition
        self.epoch = taken_over.epoch
        self.clean = True
        self.taken_count = 0
        self.turns = 0
        self._core = core
        self._io = log
        self._clock = clock
        self._flow = flow
        self._seq = taken_over.seq
        self._journal = Journal(log, clock, taken_over)
        self._attempts = taken_over.attempts
        careful = taken_over.barren >= CAREFUL_FENCES
        self._careful_left = CAREFUL_INPUTS if careful else 0
        self._inbox = Inbox(taken_over.next_inputs)
        self._delivery = Delivery(self._inbox, log, self.partition)
        self._next_inputs = dict(taken_over.next_inputs)
        self._backlog: dict[str, int] | None = dict(taken_over.ends)
        self._barrier = dict(taken_over.ends)
        self._barrier_ms = 0
        self._past_ms = 0
        self._called_ms = 0
        self._ahead: set[int] = set()
        self._basis: Mapping[str, str] = {}
        self._learned = taken_over.learned
        self._calls = Calls()
        self._begins = True
        self._turn = turn or SnapshotTurn()
        self._parts: Iterator[SnapshotPart | None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._paused: set[str] = set()
        self._now_ms = 0
        self._tick_at_ms = clock.now_ms() + TICK_MS
        self._moved_at_ms = clock.now_ms()

    # --- what others call -----------------------------------------------------------------

    def put(self, raw: Raw, ack: object) -> None:
        """Hand over a record of one of the input topics."""
        now_ms = self._clock.now_ms()
        if not self._inbox.put(raw, ack, now_ms):
            if raw.offset < self._next_inputs[raw.topic]:
                self._flow.ack(ack)  # taken before: the log names it
            return
        if len(self._inbox) == 1:
            self._moved_at_ms = now_ms
        if raw.topic == WAKEUPS:
            self._calls.come(raw)
        elif raw.topic not in self._paused and self._is_full(raw.topic):
            self._paused.add(raw.topic)
            if self._flow.pause is not None:
                self._flow.pause(raw.topic)
        self._wake.set()

    def _is_full(self, topic: str) -> bool:
        return (
            self._inbox.waiting(topic) >= INBOX_HIGH
            or self._inbox.waiting_bytes(topic) >= INBOX_BYTES_HIGH
        )

    def _has_room(self, topic: str) -> bool:
        return (
            self._inbox.waiting(topic) <= INBOX_LOW
            and self._inbox.waiting_bytes(topic) <= INBOX_BYTES_LOW
        )

    def stop(self) -> None:
        """Finish the batch under way and return from ``run``."""
        self._stopping = True
        self._wake.set()

    @property
    def next_inputs(self) -> dict[str, int]:
        """First offset of each input topic that has not been taken."""
        return dict(self._next_inputs)

    @property
    def next_offset(self) -> int:
        """Where the lane's next write to the log belongs, if nobody else has written."""
        return self._journal.next_offset

    @property
    def waiting(self) -> int:
        """Records that wait."""
        return len(self._inbox)

    def paused(self, topic: str) -> bool:
        """Whether the fetching of a topic is stopped because too much of it waits."""
        return topic in self._paused

    @property
    def fetched_next(self) -> dict[str, int]:
        """First offset of each input topic that has not come."""
        return dict(self._inbox.fetched_next)

    def continued(self) -> TakenOver:
        """What another lane on the same core goes on from, if the log has not grown since."""
        assert self.clean
        return TakenOver(
            partition=self.partition,
            epoch=self.epoch,
            next_offset=self._journal.next_offset,
            seq=self._seq,
            next_inputs=self.next_inputs,
            ends=self._barrier,
            attempts=self._attempts,
            snap=self._journal.snap,
            snapped_at_ms=self._journal.snapped_at_ms,
            snapshot_bytes=self._journal.snapshot_bytes,
            since_snapshot=self._journal.since_snapshot,
            since_bytes=self._journal.since_bytes,
            barren=0,
            folded=0,
            republished=0,
        )

    async def run(self) -> None:
        """Work until ``stop``; every exception means that the worker must leave."""
        while not self._stopping:
            self.turns += 1
            self._wake.clear()
            await self._call_due()
            await self._fetch_barrier()
            moved = await self._batch()
            await self._housekeeping()
            if moved or self._parts is not None:
                await asyncio.sleep(0)  # a backlog of positions alone waits for nothing
            else:
                await self._rest()

    # --- deadlines ------------------------------------------------------------------------

    async def _call_due(self) -> None:
        """Write the wake-ups of all deadlines that are due and have none under way."""
        due_ms = self._core.next_due_ms()
        now_ms = self._now()
        first = self._inbox.first_record(positions=True)
        if first is not None:
            now_ms = max(now_ms, first.due_ms - 1)  # the broker's clock is ahead of ours
        self._called_ms = now_ms
        if due_ms is None:
            return
        if due_ms > now_ms or not self._backlog_reached(due_ms):
            return
        # A core that another lane had before has given some out that are under way no more.
        again, self._begins = self._begins, False
        calls = self._calls.to_repeat(now_ms)
        for holds in (True, False):
            due = self._core.newly_due(now_ms, holds=holds, again=again)
            calls += self._calls.to_write(islice(due, self._calls.room(holds=holds)))
        if calls:
            await self._io.publish([publication(call, self.partition) for call in calls])
            self._calls.written(calls, self._now())  # it may have waited for the broker

    def _backlog_reached(self, due_ms: int) -> bool:
        """Whether all that lay there at the take-over and was received by then has been taken."""
        if self._backlog is None:
            return True
        if self._inbox.reached(self._backlog, due_ms):
            if all(self._inbox.fetched_next[t] >= end for t, end in self._backlog.items()):
                self._backlog = None
            return True
        return False

    async def _fetch_barrier(self) -> None:
        """Ask for the topics' ends once a wake-up stands that they do not cover yet."""
        wakeup = self._inbox.first_wakeup()
        if wakeup is None or self._covers(wakeup) or not self._is_past(wakeup):
            return
        late_ms = max(self._inbox.received_ms, wakeup.due_ms + 1)
        self._barrier = dict(await self._io.input_ends(self.partition))
        self._barrier_ms = late_ms
        assert self._covers(wakeup)

    def _is_past(self, wakeup: Item) -> bool:
        """Whether a deadline is past by the broker's clock, too: where that is behind ours it may
        still receive something «in time». If not, the lane goes on, and is woken when it is."""
        ahead_ms = wakeup.due_ms - wakeup.raw.timestamp_ms
        if ahead_ms < 0 or wakeup.due_ms <= self._past_ms:
            return True
        if wakeup.due_ms not in self._ahead:
            self._ahead.add(wakeup.due_ms)
            until_ms = self._clock.now_ms() + ceil(ahead_ms * FASTEST_CLOCK) + 1
            self._clock.call_at(until_ms, partial(self._now_past, wakeup.due_ms))
        return False

    def _now_past(self, due_ms: int) -> None:
        self._ahead.discard(due_ms)
        self._past_ms = max(self._past_ms, due_ms)
        self._wake.set()

    def _covers(self, wakeup: Item) -> bool:
        """Whether the ends are known of a moment, by the broker's clock, after the deadline."""
        return wakeup.raw.offset < self._barrier[WAKEUPS] and wakeup.due_ms < self._barrier_ms

    def _next_item(self, arrived: int, *, positions: bool) -> Item | None:
        """The record to take now, or None where the next must wait for something."""
        record = self._inbox.first_record(positions=positions)
        wakeup = self._inbox.first_wakeup()
        if wakeup is not None and (record is None or wakeup < record):
            if self._covers(wakeup) and self._inbox.reached(self._barrier, wakeup.due_ms):
                return wakeup
            return None
        if record is None or record.arrival > arrived:
            return None
        due_ms = self._core.next_hold_ms()
        return record if due_ms is None or record.due_ms <= due_ms else None

    def _alert_that_waited(self, arrived: int) -> Item | None:
        """The first alert, where it has waited long enough to go before what is older."""
        alert = self._inbox.first_alert()
        if alert is None or alert.arrival > arrived:
            return None
        return alert if self._now() - alert.since_ms >= ALERT_WAITS_MS_MAX else None

    # --- a batch --------------------------------------------------------------------------

    async def _batch(self) -> bool:
        """Steps 2 to 6 for what waits; False where nothing may be taken now."""
        arrived = self._inbox.arrivals
        if (self._next_item(arrived, positions=True) or self._alert_that_waited(arrived)) is None:
            return False
        await self._delivery.account_for_gaps()
        if self._flow.gate is not None and self._inbox.holds_deciding():
            await self._flow.gate()
        self.clean = False
        batch = _Batch([], [], [], self._new_basis())
        await self._decide_all(batch, arrived)
        if batch.values or batch.basis is not None:
            positions_next = self._next_inputs[POSITIONS]
            await self._journal.decisions(batch.values, positions_next, batch.basis)
        if batch.publications:
            await self._io.publish(batch.publications)
        self.clean = True
        self._acknowledge(batch.items)
        return True

    def _new_basis(self) -> bytes | None:
        """Give what a batch is decided on, where the log does not say so yet.

        Roster and map change between two batches only, or before an input that is tried alone.
        """
        versions = self._core.basis()
        if versions == self._basis:
            return None
        entry = Basis(
            epoch=self.epoch,
            snap=self._journal.snap,
            at_ms=self._now(),
            positions_next=self._next_inputs[POSITIONS],
            versions=dict(versions),
            learned=self._learned,
        )
        self._basis, self._learned = versions, None
        return encode(entry)

    async def _decide_all(self, batch: _Batch, arrived: int) -> None:
        owed_from = self._seq + 1
        positions_left = BATCH_POSITIONS_BYTES
        ends_at_ms = self._now() + BATCH_MS_MAX
        overtook = False
        while len(batch.values) < BATCH_DECISIONS_MAX:
            if batch.items and self._now() >= ends_at_ms:
                return
            alert = None if overtook else self._alert_that_waited(arrived)
            item = alert or self._next_item(arrived, positions=positions_left > 0)
            if item is None:
                item = alert = self._alert_that_waited(arrived)
            if item is None:
                return
            overtook = alert is not None
            decisions = len(batch.values)
            if self._is_suspect(item):
                if not batch.items:
                    await self._try_alone(batch, item, owed_from)
                return
            try:
                self._decide(batch, item, owed_from)
            except Exception as error:
                await self._trace(item, briefly(error))
                raise self._failed(item, error) from error
            if item.raw.topic == POSITIONS:
                positions_left -= len(item.raw.value or b"")
                positions_left -= POSITION_DECISION_BYTES * (len(batch.values) - decisions)
            if not overtook:  # whatever holds the others up does so still
                self._moved_at_ms = self._clock.now_ms()

    def _decide(self, batch: _Batch, item: Item, owed_from: int) -> None:
        """Let the core decide and put what it decided into the batch."""
        raw = item.raw
        now_ms = max(self._now(), item.due_ms)
        attempts = self._attempts.get((raw.topic, raw.offset), 0)
        if attempts >= ATTEMPTS_MAX:
            steps: Sequence[Step] = [self._set_aside(raw, now_ms, attempts)]
        else:
            steps = self._core.take(raw, now_ms, self.epoch)
        assert len(steps) == 1 or raw.topic == POSITIONS, "a deciding input gives one decision"
        self._record(batch, item, steps, owed_from, now_ms)
        if raw.topic == WAKEUPS:
            self._calls.taken(raw, still_due=self._core.still_due(raw))

    def _set_aside(self, raw: Raw, now_ms: int, attempts: int) -> Step:
        where = {"topic": raw.topic, "partition": raw.partition, "offset": raw.offset}
        _log.critical("input_set_aside", page=True, attempts=attempts, **where)
        detail = f"failed {attempts} times"
        return self._core.refuse(raw, now_ms, self.epoch, detail, care_after(attempts))

    def _record(
        self, batch: _Batch, item: Item, steps: Sequence[Step], owed_from: int, now_ms: int
    ) -> None:
        """Put an input's decisions into the batch; the core has evolved already."""
        raw = item.raw
        self._inbox.remove(item)
        self.taken_count += 1
        for index, step in enumerate(steps):
            more = index + 1 < len(steps)
            if not more:
                self._move_on(raw)
            self._seq += 1
            decision = Decision(
                epoch=self.epoch,
                seq=self._seq,
                owed_from=owed_from,
                snap=self._journal.snap,
                topic=raw.topic,
                partition=raw.partition,
                offset=raw.offset,
                received_ms=raw.timestamp_ms,
                at_ms=now_ms,
                positions_next=self._next_inputs[POSITIONS],
                record=step.record,
                more=more,
            )
            batch.values.append(_sized(encode(decision), "the decision"))
            for each in step.publications:
                _sized(each.value or b"", f"what it publishes on {each.topic}")
            batch.publications.extend(step.publications)
        if not steps:
            self._move_on(raw)
        batch.items.append(item)

    def _move_on(self, raw: Raw) -> None:
        self._next_inputs[raw.topic] = max(self._next_inputs[raw.topic], raw.offset + 1)

    def _acknowledge(self, items: Sequence[Item]) -> None:
        for item in items:
            self._flow.ack(item.ack)
        for topic in [t for t in self._paused if self._has_room(t)]:
            self._paused.discard(topic)
            if self._flow.resume is not None:
                self._flow.resume(topic)

    # --- inputs that fail -----------------------------------------------------------------

    def _is_suspect(self, item: Item) -> bool:
        """Whether an attempt is noted before the input is tried."""
        attempts = self._attempts.get((item.raw.topic, item.raw.offset), 0)
        return 0 < attempts < ATTEMPTS_MAX or self._careful_left > 0

    async def _try_alone(self, batch: _Batch, item: Item, owed_from: int) -> None:
        """Decide one input whose trace is in the log before, whatever may end the process."""
        self._careful_left = max(0, self._careful_left - 1)
        await self._trace(item, "about to be tried")
        before = len(batch.values)
        try:
            self._attempts[item.raw.topic, item.raw.offset] -= 1  # this one is no failure yet
            self._decide(batch, item, owed_from)
        except Exception as error:
            raise self._failed(item, error) from error
        self._moved_at_ms = self._clock.now_ms()
        # Of positions that decide nothing the trace would stay, and add up.
        if len(batch.values) == before:
            await self._journal.mark(self._now(), self._next_inputs[POSITIONS])

    async def _trace(self, item: Item, error: str) -> None:
        key = (item.raw.topic, item.raw.offset)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        await self._journal.attempt(*key, self._now(), error)

    def _failed(self, item: Item, error: Exception) -> InputFailedError:
        raw = item.raw
        return InputFailedError(
            f"{raw.topic}[{raw.partition}] at offset {raw.offset} could not be decided (after "
            f"{ATTEMPTS_MAX} attempts it is set aside): {briefly(error)}"
        )

    # --- between the batches --------------------------------------------------------------

    async def _housekeeping(self) -> None:
        """Snapshots, marks and what the core publishes without a decision."""
        now_ms = self._now()
        await self._snapshot(now_ms)
        if self._journal.mark_wanted(now_ms, self._next_inputs[POSITIONS]):
            await self._journal.mark(now_ms, self._next_inputs[POSITIONS])
        if now_ms >= self._tick_at_ms:
            self._tick_at_ms = now_ms + TICK_MS
            publications = self._core.tick(now_ms, self.epoch)
            if publications:
                await self._io.publish(publications)

    async def _snapshot(self, now_ms: int) -> None:
        """Write the next piece of the state, if one is wanted or under way: a large state takes
        many turns, and no alert and no deadline waits for more than one piece."""
        if self._parts is None:
            if self._turn.partition is not None or not self._journal.snapshot_wanted(now_ms):
                return
            self._turn.partition = self.partition
            self._parts = self._core.snapshotting()
        part = next(self._parts)
        if part is not None:
            await self._journal.snapshot_part(
                part, self._seq, now_ms, self._next_inputs, self._attempts
            )
            if part.last:
                self._parts = self._turn.partition = None

    async def _rest(self) -> None:
        """Wait for a record or for the time of the next thing to do."""
        now_ms = self._now()
        due_ms = self._core.next_due_ms()
        held = due_ms is not None and due_ms <= now_ms
        if self._inbox or held:
            await self._look_why_blocked(now_ms)
        else:
            self._moved_at_ms = now_ms
        until_ms = min(self._tick_at_ms, now_ms + CHECK_MS if self._inbox else self._tick_at_ms)
        if due_ms is not None and due_ms > self._called_ms:
            until_ms = min(until_ms, due_ms)  # it may have fallen due since the turn began
        alert = self._inbox.first_alert()
        if alert is not None:
            until_ms = min(until_ms, max(now_ms + 1, alert.since_ms + ALERT_WAITS_MS_MAX))
        alarm = self._clock.call_at(until_ms, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    async def _look_why_blocked(self, now_ms: int) -> None:
        blocked_ms = now_ms - self._moved_at_ms
        if blocked_ms >= STALL_MS:
            raise StalledError(
                f"partition {self.partition}: {len(self._inbox)} records wait and none was taken "
                f"for {blocked_ms / 1000:.0f} s; read to {self._inbox.fetched_next}, "
                f"ends {self._barrier}"
            )
        if blocked_ms >= CHECK_MS:
            for ends in (self._backlog or {}, self._barrier):
                if await self._delivery.pass_empty(ends):
                    self._wake.set()

    def _now(self) -> int:
        """The time, which does not run backwards in one lane."""
        self._now_ms = max(self._now_ms, self._clock.now_ms())
        return self._now_ms


def care_after(failures: int) -> Care:
    """Give how an input is set aside that has made so many workers leave, ATTEMPTS_MAX at least."""
    if failures <= ATTEMPTS_MAX:
        return Care.ASIDE
    return Care.BARELY if failures == ATTEMPTS_MAX + 1 else Care.BLIND


def _sized(value: bytes, what: str) -> bytes:
    if len(value) > RECORD_BYTES_MAX:
        raise ValueError(f"{what} has {len(value)} bytes, {RECORD_BYTES_MAX} are allowed")
    return value
