"""The parts of the simulated world, one by one: the link, the group, the log."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from xiaohe.sim.faults.faults import Kind, Plan, draw_plan
from xiaohe.sim.faults.link import REQUEST_TIMEOUT_MS, Broker, Link, UnansweredError
from xiaohe.sim.faults.log import Peaks, SimLog
from xiaohe.sim.faults.loop import TrueClock, VirtualLoop
from xiaohe.streams.decision_log import Fence, decode, encode
from xiaohe.streams.memory_log import DECISIONS, MemoryTopics
from xiaohe.streams.ports import Publication


class Wire:
    """A link with its broker; the plan has the kinds that are named, as much as there is."""

    def __init__(self, *kinds: Kind) -> None:
        self.loop = VirtualLoop(0)
        self.broker = Broker()
        self.plan: Plan = draw_plan(1, Random(1))
        self.plan.rates = dict.fromkeys(kinds, 1.0)
        self.link = Link(self.loop, self.broker, self.plan, Random(2))
        self.topics = MemoryTopics(TrueClock(self.loop), 2)
        self.gaps: list[str] = []

    def log(self) -> SimLog:
        """Give a log over the link."""
        chance = Random(3).random
        return SimLog(self.topics, self.link, "w1", self.plan, self.gaps.append, Peaks(), chance)

    def run(self, make: Callable[[], Any]) -> Any:
        """Run to the end and close."""

        async def running() -> Any:
            return await make()

        try:
            return self.loop.run_until_complete(running())
        finally:
            self.loop.close()


def test_a_lost_request_is_sent_again_and_carried_out_once() -> None:
    """The broker knows what it has carried out already."""
    wire, times = Wire(Kind.LOSS), []

    async def ask() -> list[int]:
        return [await wire.link.ask(lambda n=n: times.append(n) or n) for n in range(50)]

    assert wire.run(ask) == list(range(50))
    assert times == list(range(50))
    assert wire.plan.injected[Kind.LOSS] > 0


def test_who_is_cut_off_gives_up_after_the_request_s_time() -> None:
    """Whether it was carried out is not known then."""
    wire = Wire()
    wire.link.cut = True
    with pytest.raises(UnansweredError):
        wire.run(lambda: wire.link.ask(lambda: None))
    assert wire.loop.time() * 1000 >= REQUEST_TIMEOUT_MS


def test_a_write_that_was_under_way_when_the_broker_died_may_be_there() -> None:
    """Its sender asks again, and it is written once."""
    wire, written = Wire(), []

    async def ask() -> None:
        come = asyncio.Event()
        request = wire.link.ask(lambda: written.append(1) or come.set())
        await come.wait()
        wire.broker.up = False
        wire.broker.crashes += 1
        wire.loop.later(500, setattr, wire.broker, "up", True)
        await request

    wire.run(ask)
    assert written == [1]
    assert wire.loop.time() >= 0.5


def test_who_stands_still_sends_and_hears_nothing_until_going_on() -> None:
    """What was decided before is written late, as by a worker that was stopped."""
    wire, written_at = Wire(), []

    async def ask() -> None:
        wire.link.paused = True
        request = wire.link.ask(lambda: written_at.append(wire.loop.now_ms()))
        wire.loop.later(20_000, wire.link.go_on)
        await request

    wire.run(ask)
    assert written_at[0] >= 20_000


def test_what_a_dead_client_had_sent_arrives() -> None:
    """A process that dies takes back nothing."""
    wire, written = Wire(), []

    async def ask() -> None:
        wire.link.ask(lambda: written.append(1))
        wire.link.dead = True
        await asyncio.sleep(1)

    wire.run(ask)
    assert written == [1]


def test_a_torn_batch_is_written_in_two_halves_in_order() -> None:
    """Somebody else may write in between; the order of its own records stays."""
    wire = Wire(Kind.TORN_BATCH)
    records = [b'{"kind":"decision","n":%d}' % n for n in range(20)]
    appended = wire.run(lambda: wire.log().append_decisions(0, records))
    assert [each.offset for each in appended] == list(range(20))
    assert [raw.value for raw in wire.topics.read(DECISIONS, 0)] == records
    assert wire.plan.injected[Kind.TORN_BATCH] == 1
    assert wire.gaps == ["appending", "torn", "appended"]


def test_a_fence_names_the_simulated_worker() -> None:
    """No name of this machine comes into the bytes of a run."""
    wire = Wire()
    wire.run(lambda: wire.log().append_decisions(1, [encode(Fence("this-machine:17", 5))]))
    entry = decode(wire.topics.read(DECISIONS, 1)[0].value or b"")
    assert entry == Fence("w1", 5)
    assert wire.gaps == ["appending", "fence_written"]


def test_publications_keep_their_stages_and_each_partition_its_order() -> None:
    """Reordering moves topics and keys against each other, within a stage only."""
    wire = Wire(Kind.REORDER, Kind.DELAY)
    sent = [
        Publication(topic, stage, key, b"%d" % n)
        for stage in (1, 0)
        for n in range(10)
        for topic, key in (("dispatches", b"a"), ("dispatches", b"b"), ("incidents", b"a"))
    ]
    written: list[str] = []
    for topic in ("dispatches", "incidents"):
        wire.topics.listen(topic, lambda raw: written.append(raw.topic))
    wire.run(lambda: wire.log().publish(sent))
    assert len(written) == len(sent)
    assert wire.gaps == ["published_0", "published_1"]
    for key in (b"a", b"b"):
        found = [r.value for r in wire.topics.read_all("dispatches") if r.key == key]
        assert found == [b"%d" % n for n in range(10)] * 2
