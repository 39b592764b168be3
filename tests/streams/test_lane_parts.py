"""The parts of a lane by themselves: entries, snapshots' pieces, keys, clocks, watchers."""

import asyncio
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.streams.toy import ToyCore
from xiaohe.streams import lane as lane_module
from xiaohe.streams import worker as worker_module
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.clocks import SystemClock, VirtualClock
from xiaohe.streams.consumer import Commits
from xiaohe.streams.decision_log import (
    VERSION,
    Attempt,
    Basis,
    Decision,
    Fence,
    Learned,
    Mark,
    NewerLogError,
    SnapshotPiece,
    SnapshotReader,
    SnapshotWriter,
    decode,
    encode,
)
from xiaohe.streams.memory_log import MemoryBus, MemoryLog, MemoryTopics
from xiaohe.streams.takeover import LogDamagedError, take_over
from xiaohe.streams.worker import StuckError
from xiaohe.topics import load_topics
from xiaohe.wire.murmur2 import murmur2, partition_of

ROOT = Path(__file__).parents[2]

ENTRIES = [
    Fence("host:1", 5),
    Decision(1, 2, 2, -1, "alerts", 3, 4, 5, 6, 7, {"type": "opened", "list": [1, {"a": None}]}),
    Mark(1, -1, 5, 9),
    Basis(1, -1, 5, 9, {"roster": "roster@3"}, Learned(2, 9, 4, {"roster": "roster@3"})),
    Attempt(1, -1, 5, "alerts", 7, "ValueError('名')"),
    SnapshotPiece(1, 2, 3, 0, 1, "d", {"alerts": 5}, b"\n\x00{binary}\n"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_is_read_as_it_was_written(entry):
    """Every kind of entry survives its bytes."""
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"kind":"other"}', b"null"])
def test_foreign_bytes_are_no_entry(value):
    """Whatever else lies in the topic is told from ours."""
    assert decode(value) is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_of_before_versions_is_read_and_one_of_a_later_version_refused(entry):
    """What says no version is of the first; what says one that nobody here knows is not ours to
    judge, of whatever kind it is."""
    head = b'{"v":%d,' % VERSION
    value = encode(entry)
    assert value.startswith(head)
    assert decode(value.replace(head, b"{", 1)) == entry
    later = value.replace(head, b'{"v":%d,' % (VERSION + 1), 1)
    for unknown in (later, later.replace(b'"kind":"', b'"kind":"new-', 1)):
        with pytest.raises(NewerLogError, match="start the newer program"):
            decode(unknown)


async def test_a_log_of_a_newer_program_is_not_taken_over():
    """A worker that does not know what lies there leaves, instead of folding the half of it."""
    clock = VirtualClock(1_000)
    topics = MemoryTopics(clock, 1)
    later = encode(ENTRIES[1]).replace(b'{"v":%d,' % VERSION, b'{"v":%d,' % (VERSION + 1), 1)
    topics.append("decisions", None, encode(Fence("host:1", 5)), (), 0)
    topics.append("decisions", None, later, (), 0)
    with pytest.raises(NewerLogError):
        await take_over(MemoryLog(topics), ToyCore(0), clock, 0)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.data())
def test_a_snapshot_is_whole_or_not_at_all(pieces, data):
    """Pieces put together give what was cut up; one left out, or changed, gives nothing."""
    writer = SnapshotWriter(epoch=1, seq=2, at_ms=3, next_offsets={}, snap=-1)
    count = len(pieces)
    entries = [writer.piece(piece, last=n == count - 1) for n, piece in enumerate(pieces)]
    check_whole_or_not_at_all(pieces, entries, data)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.data())
def test_a_snapshot_of_an_older_log_is_whole_or_not_at_all(pieces, data):
    """There every piece said how many there are, and the digest of all."""
    digest = sha256(b"".join(pieces)).hexdigest()
    count = len(pieces)
    entries = [SnapshotPiece(1, 2, 3, n, count, digest, {}, p) for n, p in enumerate(pieces)]
    check_whole_or_not_at_all(pieces, entries, data)


def check_whole_or_not_at_all(pieces, entries, data) -> None:
    """Read all of them, all but one, and all with one changed."""
    reader = SnapshotReader(keep=True)
    *before, last = [reader.add(entry) for entry in entries]
    assert before == [None] * (len(pieces) - 1)
    assert last == pieces
    if len(entries) > 1:
        gone = data.draw(st.integers(0, len(entries) - 1))
        rest = entries[:gone] + entries[gone + 1 :]
        assert [SnapshotReader(keep=True).add(entry) for entry in rest] == [None] * len(rest)
        reader = SnapshotReader(keep=True)
        assert all(reader.add(entry) is None for entry in rest)
    spoilt = structs.replace(entries[-1], body=entries[-1].body + b"x")
    reader = SnapshotReader(keep=True)
    assert all(reader.add(entry) is None for entry in [*entries[:-1], spoilt])


@given(st.binary(max_size=64))
def test_keys_are_partitioned_as_kafkas_clients_do(key):
    """Our murmur2 is aiokafka's, which is the Java client's."""
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF
    assert 0 <= partition_of(key, 16) < 16


async def test_a_virtual_clock_calls_in_order_and_only_when_moved():
    """Timers fire at their times, in order, also those that a timer sets."""
    clock = VirtualClock(1_000)
    seen: list[tuple[str, int]] = []

    def first() -> None:
        seen.append(("first", clock.now_ms()))
        clock.call_at(1_020, lambda: seen.append(("third", clock.now_ms())))

    clock.call_at(1_030, lambda: seen.append(("fourth", clock.now_ms())))
    clock.call_at(1_010, first)
    clock.call_at(1_015, lambda: seen.append(("never", 0))).cancel()
    await clock.advance(1_009)
    assert seen == []
    await clock.advance(1_030)
    assert seen == [("first", 1_010), ("third", 1_020), ("fourth", 1_030)]


async def test_a_faster_clock_passes_time_faster():
    """At a thousandfold speed a minute passes in 60 ms."""
    clock = SystemClock(speed=1_000)
    start_ms = clock.now_ms()
    await asyncio.wait_for(clock.sleep_until(start_ms + 60_000), 5)
    assert clock.now_ms() >= start_ms + 60_000


async def test_a_log_that_has_lost_its_beginning_is_refused():
    """Without a snapshot nobody can know the state: the worker says so instead of guessing."""

    class Truncated(MemoryLog):
        async def decisions_range(self, partition):
            return 3, (await super().decisions_range(partition))[1]

    clock = VirtualClock(1_000)
    topics = MemoryTopics(clock, 1)
    bus = MemoryBus(topics, ToyCore)
    await bus.start()
    for n in range(5):
        topics.append("alerts", b"a", b'{"alert_id": "a%d"}' % n)
        await clock.settle()
    bus.kill()
    with pytest.raises(LogDamagedError, match="restore the topic"):
        await take_over(Truncated(topics), ToyCore(0), clock, 0)


async def test_a_reader_that_falls_silent_ends_the_worker(monkeypatch):
    """Where a topic grows and nothing comes, the watch speaks up."""
    monkeypatch.setattr(worker_module, "LAG_CHECK_S", 0.01)
    monkeypatch.setattr(worker_module, "STUCK_S", 0.05)
    monkeypatch.setattr(lane_module, "TICK_MS", 10)  # by then an idle lane turns
    topics = MemoryTopics(SystemClock(), 1)
    bus = MemoryBus(topics, ToyCore)
    await bus.start()
    failed = asyncio.get_running_loop().create_future()
    watch = worker_module._StuckWatch(bus.lanes, MemoryLog(topics), Commits())
    watching = asyncio.create_task(
        watch.run(lambda error: failed.done() or failed.set_result(error))
    )
    topics.append("alerts", b"a", b'{"alert_id": "a"}')
    await asyncio.sleep(0.2)  # longer than STUCK_S: nothing may happen
    assert not failed.done()
    bus._stop_listening()
    topics.append("alerts", b"a", b'{"alert_id": "b"}')
    error = await asyncio.wait_for(failed, 5)
    assert isinstance(error, StuckError)
    assert "alerts[0] has stood at 1" in str(error)
    watching.cancel()
    await bus.stop()


class Waiting(MemoryLog):
    """A log of which a write never comes back."""

    never: str = ""

    async def append_decisions(self, partition, records):
        """Write, and be silent."""
        appended = await super().append_decisions(partition, records)
        if self.never in decode(records[0]).__class__.__name__:
            await asyncio.get_running_loop().create_future()
        return appended


async def test_a_lane_whose_last_record_is_never_answered_ends_the_worker(monkeypatch):
    """Nothing waits any more, for it was taken already: that the lane does not turn tells."""
    monkeypatch.setattr(worker_module, "LAG_CHECK_S", 0.01)
    monkeypatch.setattr(worker_module, "STUCK_S", 0.05)
    monkeypatch.setattr(Waiting, "never", "Decision")
    monkeypatch.setattr(lane_module, "TICK_MS", 10)
    topics = MemoryTopics(SystemClock(), 1)
    bus = MemoryBus(topics, ToyCore)
    bus.lanes._io = Waiting(topics)
    await bus.start()
    failed = asyncio.get_running_loop().create_future()
    watch = worker_module._StuckWatch(bus.lanes, MemoryLog(topics), Commits())
    watching = asyncio.create_task(
        watch.run(lambda error: failed.done() or failed.set_result(error))
    )
    await asyncio.sleep(0.2)  # longer than STUCK_S: an idle lane turns
    assert not failed.done()
    topics.append("alerts", b"a", b'{"alert_id": "a"}')
    error = await asyncio.wait_for(failed, 5)
    assert "lane turns[0] has stood at" in str(error)
    watching.cancel()
    bus.kill()


class OneTakenOverSlowly(MemoryLog):
    """A log of which the last partition cannot be read yet."""

    async def decisions_range(self, partition):
        """Say nothing of partition 1."""
        if partition == 1:
            await asyncio.get_running_loop().create_future()
        return await super().decisions_range(partition)


async def test_a_lane_that_waits_for_another_take_over_does_not_stand_still(monkeypatch):
    """No lane runs before all partitions are taken over, so none is watched before."""
    monkeypatch.setattr(worker_module, "LAG_CHECK_S", 0.01)
    monkeypatch.setattr(worker_module, "STUCK_S", 0.05)
    topics = MemoryTopics(SystemClock(), 2)
    topics.append("alerts", b"a", b'{"alert_id": "a"}')
    bus = MemoryBus(topics, ToyCore)
    bus.lanes._io = OneTakenOverSlowly(topics)
    failures = []
    watch = worker_module._StuckWatch(bus.lanes, MemoryLog(topics), Commits())
    watching = asyncio.create_task(watch.run(failures.append))
    starting = asyncio.create_task(bus.start())
    await asyncio.sleep(0.3)  # longer than STUCK_S: nothing may happen
    assert [lane.partition for lane in bus.lanes.lanes] == [0]
    assert (bus.lanes.running, failures) == ([], [])
    for task in (starting, watching):
        task.cancel()
    await asyncio.gather(starting, watching, return_exceptions=True)
    bus.kill()


class Broken(MemoryLog):
    """A log whose ends cannot be told, for a reason that nobody foresaw."""

    async def input_ends(self, partition):
        """Raise what no broker does."""
        raise ValueError("unforeseen")


async def test_a_watch_that_fails_ends_the_worker(monkeypatch):
    """Else nothing would notice any more what stands still."""
    monkeypatch.setattr(worker_module, "LAG_CHECK_S", 0.01)
    topics = MemoryTopics(SystemClock(), 1)
    bus = MemoryBus(topics, ToyCore)
    await bus.start()
    worker = worker_module.Worker(WorkerSettings("", Path()), load_topics(), ToyCore)
    worker._lanes = bus.lanes
    watching = worker._watch(Broken(topics), Commits())
    await asyncio.wait_for(worker._ending.wait(), 5)
    assert watching.done()
    assert repr(worker._reason) == "ValueError('unforeseen')"
    await bus.stop()


async def test_commits_that_stop_end_the_worker(monkeypatch):
    """What was acknowledged is committed some time later, or the worker says that it is not."""
    monkeypatch.setattr(worker_module, "STUCK_S", 0.01)
    commits = Commits()
    watch = worker_module._StuckWatch(None, None, commits)
    commits.acknowledged()
    commits.committed()
    watch._look_at_commits()
    commits.acknowledged()
    await asyncio.sleep(0.05)
    with pytest.raises(StuckError, match=r"nothing was committed for .* 1 records"):
        watch._look_at_commits()


BLOCKED = """
import asyncio, time
from xiaohe.streams import worker

worker.LOOP_BLOCKED_S = 0.5

async def main():
    dog = worker._Watchdog()
    dog.start()
    await asyncio.sleep(0)
    time.sleep(30)

asyncio.run(main())
"""


def test_a_blocked_event_loop_is_ended_by_the_watchdog():
    """A process whose loop stands still leaves with status 1 and says why."""
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, timeout=25, cwd=ROOT, check=False
    )
    assert ended.returncode == 1
    assert b"the event loop stood still" in ended.stderr
