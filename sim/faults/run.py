"""One run: a world drawn from its seed, first with faults, then healed, then judged.

While there are faults nothing need go well, but nothing may go wrong for good. Then everything
heals, and it is demanded that all comes to rest: every incident decided or said to be unfilled.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import msgspec

from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState
from xiaohe.sim.faults import city
from xiaohe.sim.faults.clients import Desk, Gateway, People, Sender, Sources
from xiaohe.sim.faults.evidence import Ended, Evidence, Place, Violation
from xiaohe.sim.faults.faults import Kind, draw_plan
from xiaohe.sim.faults.group import Group
from xiaohe.sim.faults.judges import choice
from xiaohe.sim.faults.link import Broker, Link
from xiaohe.sim.faults.log import Peaks
from xiaohe.sim.faults.loop import TrueClock, VirtualLoop, WorkerClock
from xiaohe.sim.faults.mishaps import RESTARTS_MS, Mishaps
from xiaohe.sim.faults.worker import PoisonError, Process, WatchedEngine
from xiaohe.streams import engine, journal
from xiaohe.streams.engine import AreaEngine, Shared
from xiaohe.streams.memory_log import MemoryTopics
from xiaohe.streams.ports import INPUTS, POSITIONS, Raw, Step
from xiaohe.streams.step_record import Record
from xiaohe.wire.codec import decode_roster

GRACE_MS: Final = 60_000
"""How soon everything must be at rest once all faults are over: what is promised."""

CHECK_MS: Final = 1_000
"""How often it is looked whether everything is at rest."""

STEADY_CHECKS: Final = 3
"""It is at rest when it was so often in a row."""

OVERDUE_MS: Final = 2_000
"""A deadline is decided at once; a fetch and a barrier may take so long where nothing is wrong."""

NODES_MAX: Final = 4
GAP_SHARE: Final = 0.02
TORN_ENDS_SHARE: Final = 0.5
"""How often a worker that has written half a batch never writes the other half."""

POISON_SHARE: Final = 0.03
ONCE, ALWAYS = 1, 1_000_000
"""How often the core is made to fail on an input."""

SEEN_SHARE: Final = 0.01
"""Decisions of which the choice is worked out again by a judge."""


EXPECTED_ENDS: Final = ("InputFailedError", "FencedError", "UnansweredError")
"""For what a worker may leave: an input that fails, another owner, a broker that does not answer.
"""


class Node:
    """A machine: its clock and its network go on when its worker's process is another.

    Attributes
    ----------
    ahead_ms, rate : how wrong its clock is, for processes that start from now on, and how fast.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: Process | None = None
        self.cut = False
        self.ahead_ms = 0.0
        self.rate = 1.0

    def go_at(self, rate: float) -> None:
        """Let its clock go faster or slower."""
        self.rate = rate
        if self.process is not None:
            self.process.clock.go_at(rate)

    @property
    def alive(self) -> bool:
        """Whether a process runs here, or stands still."""
        return self.process is not None and self.process.alive


class World:
    """All that there is in one run."""

    def __init__(self, seed: int, trace: Callable[[int, str], None] | None = None) -> None:
        self._random = Random(seed)  # noqa: S311 - to be the same again is the point
        self.chance = self._random.random
        self.plan = draw_plan(seed, self._random)
        self.loop = VirtualLoop(city.START_MS)
        self.loop.set_exception_handler(self._unforeseen)
        self._trace = trace
        plan, topics = self.plan, city.topics(self.plan.partitions)
        counts = {topic.id: topic.partitions for topic in topics}
        self.topics = MemoryTopics(TrueClock(self.loop), plan.partitions, counts)
        self.broker = Broker()
        self.city = city.city(plan.speed)
        self.shared = Shared(
            policy=self.city.policy,
            roster=Roster(),
            roads=self.city.maps[0],
            topic_names={topic.id: topic.name for topic in topics},
            personal=frozenset(topic.id for topic in topics if topic.personal),
            partitions=plan.partitions,
        )
        self.peaks = Peaks()
        self.healed = False
        self.ended_list: list[Ended] = []
        self.violations: list[Violation] = []
        self.left: list[str] = []
        self.poison: dict[Place, int] = {}
        self.stumbling: set[Place] = set()
        self._followers: dict[tuple[str, int], list[Callable[[], None]]] = defaultdict(list)
        for topic in (*INPUTS, "roster"):
            self.topics.listen(topic, self._tell)
        self.group = Group(self.loop, self.broker, plan.partitions, self._random, self.trace)
        self._people()
        self.nodes: list[Node] = []
        for _ in range(plan.workers):
            self._new_node()

    def _people(self) -> None:
        plan = self.plan
        link = Link(self.loop, self.broker, plan, self._random)
        sender = Sender(self.loop, self.topics, self.broker, link, plan, self._random)
        self.people = People(self.loop, sender, plan, self._random)
        self.entries = city.roster(self._random, plan.members)
        for entry in self.entries:
            value = city.as_json(entry)
            self.topics.append("roster", entry["member_id"].encode(), value)
        self.gateway = Gateway(self.people, self.entries)
        self.sources, self.desk = Sources(self.people), Desk(self.people)
        self.topics.listen("dispatches", self.gateway.on_order)
        self.topics.listen("incidents", self._incident)
        for _ in range(plan.alerts):
            self.loop.later(self.chance() * plan.faults_ms, self.sources.alert)
        for _ in range(self._random.choice((0, 0, 1, 3))):
            self.loop.later(self.chance() * plan.faults_ms, self.desk.act)
        Mishaps(self, self._random).set_moments()

    def _incident(self, raw: Raw) -> None:
        self.people.incidents[raw.key or b""] = raw

    # --- told by the parts

    def trace(self, what: str) -> None:
        """Note what happens, where somebody wants to read it."""
        if self._trace is not None:
            self._trace(self.loop.now_ms() - city.START_MS, what)

    def _unforeseen(self, _: object, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and "never retrieved" not in context["message"]:
            self.wrong("run", f"{context['message']}: {error!r}")

    def wrong(self, rule: str, what: str) -> None:
        """Note what must not be, and is seen while the run goes on."""
        self.violations.append(Violation(rule, what, self.loop.now_ms()))

    def _tell(self, raw: Raw) -> None:
        for follower in tuple(self._followers.get((raw.topic, raw.partition), ())):
            follower()

    def follow(
        self, topic: str, partition: int, listener: Callable[[], None]
    ) -> Callable[[], None]:
        """Have new records of a partition told, until what is returned is called."""
        followers = self._followers[topic, partition]
        followers.append(listener)
        return lambda: followers.remove(listener) if listener in followers else None

    def gap(self, process: Process, name: str) -> None:
        """Come past a place where a process can die or stand still."""
        if name == "torn" and not self.healed and self.chance() < TORN_ENDS_SHARE:
            self.trace(f"{process}: dies with half a batch written")
            self.crash(self._node_of(process))
        if self.healed or name not in self.plan.gaps:
            return
        for kind in (Kind.CRASH_IN_GAP, Kind.ZOMBIE_IN_GAP):
            rate = self.plan.rate(kind)
            if rate and self.chance() < rate * GAP_SHARE * (5 if name == "fence_written" else 1):
                node = self._node_of(process)
                if kind is Kind.CRASH_IN_GAP:
                    self.trace(f"{process}: dies at {name}")
                    self.crash(node)
                else:
                    self.trace(f"{process}: stands still at {name}")
                    self.stand_still(node, self._random.choice((500, 7_500, 10_000)))
                self.plan.note(kind)
                return

    def _node_of(self, process: Process) -> Node:
        return next(node for node in self.nodes if node.process is process)

    def spoil(self, raw: Raw) -> None:
        """Make the core fail where an input is poison."""
        if not self.plan.has(Kind.POISON):
            return
        place = Place(raw.topic, raw.partition, raw.offset)
        left = self.poison.get(place)
        if left is None and not self.healed and not raw.replayed:
            if self.chance() < self.plan.rate(Kind.POISON) * POISON_SHARE:
                left = self._random.choice((ONCE, ALWAYS))
                self.plan.note(Kind.POISON)
            else:
                left = 0
            self.poison[place] = left
            if left == ONCE:
                self.stumbling.add(place)
        if left:
            self.poison[place] = left - 1
            raise PoisonError(f"made to fail on {place}")

    def wants_to_see(self, raw: Raw) -> bool:
        """Draw whether a decision is looked at."""
        # Behind packed positions everybody is somewhere else than at the decision between them.
        return raw.topic != POSITIONS and self.chance() < SEEN_SHARE

    def decided(
        self,
        engine: WatchedEngine,
        raw: Raw,
        before: Mapping[str, AreaState],
        steps: Sequence[Step],
    ) -> None:
        """Have the choices of a decision that was drawn for it made again."""
        for step in steps[:1]:
            decision = msgspec.convert(step.record, Record).decision
            if decision is not None:
                self._judge_choice(engine, raw, before, decision)

    def _judge_choice(
        self, engine: WatchedEngine, raw: Raw, before: Mapping[str, AreaState], decision: Decision
    ) -> None:
        state = before.get(decision.area_id)
        if state is None:
            state = AreaState(decision.area_id, self.shared.policy.mode_of(decision.area_id))
        received = engine.received(raw)
        self.violations += choice.check(
            state, engine.world_of(decision.area_id), received, decision
        )

    def ended(self, process: Process, error: BaseException) -> None:
        """Hear that a process has ended by itself; whoever started it starts it again."""
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, BaseExceptionGroup):
            what = "; ".join(f"{type(e).__name__}: {e}" for e in error.exceptions)
        self.trace(f"{process}: ends: {what}")
        at_ms = self.loop.now_ms()
        self.ended_list.append(Ended(at_ms, process.name, what, process.failing))
        if not what.startswith(EXPECTED_ENDS) and process.failing is None:
            self.wrong("L2", f"{process.name} ended by itself: {what}")
        self._restart_later(self._node_of(process))

    # --- what can be done to machines

    def _new_node(self) -> None:
        node = Node(f"w{len(self.nodes)}")
        self.nodes.append(node)
        self._start(node)

    def _start(self, node: Node) -> None:
        if node.alive:
            return
        link = Link(self.loop, self.broker, self.plan, self._random)
        link.cut, link.faulty = node.cut, not self.healed
        self.trace(f"{node.name}: starts")
        clock = WorkerClock(self.loop, link.hold, node.ahead_ms, node.rate)
        node.process = Process(self, node.name, link, clock, self.shared)
        node.process.start()

    def _restart_later(self, node: Node) -> None:
        self.loop.later(self._random.uniform(*RESTARTS_MS), self._start, node)

    def crash(self, node: Node) -> bool:
        """Kill a process; another is started after a while."""
        if not node.alive:
            return False
        assert node.process is not None
        self.trace(f"{node.name}: is killed")
        node.process.die()
        self._restart_later(node)
        return True

    def cut(self, node: Node, for_ms: float) -> None:
        """Cut a machine off from the broker for a while."""
        self.trace(f"{node.name}: is cut off for {for_ms} ms")
        self._set_cut(node, cut=True)
        self.loop.later(for_ms, self._set_cut, node)

    def _set_cut(self, node: Node, *, cut: bool = False) -> None:
        node.cut = cut
        if node.process is not None:
            node.process.link.cut = cut

    def stand_still(self, node: Node, for_ms: float) -> bool:
        """Let a process stand still for a while."""
        if not node.alive or node.process is None or node.process.link.paused:
            return False
        self.trace(f"{node.name}: stands still for {for_ms} ms")
        node.process.link.paused = True
        self.loop.later(for_ms, self._go_on, node.process)
        return True

    def _go_on(self, process: Process) -> None:
        if process.alive and process.link.paused:
            self.trace(f"{process}: goes on")
            process.link.go_on()

    def broker_crash(self, for_ms: float) -> bool:
        """Let the broker die, and come back."""
        if not self.broker.up:
            return False
        self.trace(f"the broker dies for {for_ms} ms")
        self.broker.up = False
        self.broker.crashes += 1
        self.loop.later(for_ms, self._broker_back)
        return True

    def _broker_back(self) -> None:
        if not self.broker.up:
            self.trace("the broker is back")
            self.broker.up = True
            self.group.broker_back()

    def add_node(self) -> bool:
        """Let another worker join."""
        if len(self.nodes) >= NODES_MAX:
            return False
        self._new_node()
        return True

    def leave_in_order(self, node: Node) -> bool:
        """Let a worker leave in order, and come back."""
        if not node.alive or node.process is None or node.process.link.paused:
            return False
        self.trace(f"{node.name}: leaves in order")
        process = node.process

        async def leave() -> None:
            await process.stop()
            self._restart_later(node)

        self._leaving = self.loop.create_task(leave())
        return True

    def swap_roads(self) -> None:
        """Exchange the roads file; each worker notices it a little later."""
        roads = self.city.maps[self.shared.roads is self.city.maps[0]]
        self.shared = Shared(
            self.shared.policy, self.shared.roster, roads, self.shared.topic_names,
            self.shared.personal, self.shared.partitions,
        )  # fmt: skip
        self.trace(f"the map is {roads.version}")
        for node in self.nodes:
            self.loop.later(self.chance() * 2_000, self._notice_roads, node)

    def _notice_roads(self, node: Node) -> None:
        process = node.process
        if process is not None and process.alive:
            process.link.hold(lambda: process.take_roads(self.shared.roads))

    def publish_member(self, member_id: str, entry: city.Entry | None) -> None:
        """Publish a roster record; no entry means that the member is gone."""
        value = None if entry is None else city.as_json(entry)
        self.trace(f"roster: {member_id} {'goes' if entry is None else 'is changed'}")
        self.people.sender.send("roster", member_id, value, partition=0)

    # --- running

    def play(self) -> Evidence:
        """Run to the end."""
        try:
            with _snapshots(self.plan.snapshot_records, self.plan.piece_bytes):
                healed_ms = self.loop.run_until_complete(self._play())
            return self._evidence(healed_ms)
        finally:
            self._close()

    async def _play(self) -> int:
        await self._wait(self.plan.faults_ms)
        self._heal()
        healed_ms, steady = self.loop.now_ms(), 0
        while steady < STEADY_CHECKS and self.loop.now_ms() - healed_ms < GRACE_MS:
            await self._wait(CHECK_MS)
            self.left = self.unrest()
            steady = 0 if self.left else steady + 1
        for each in self.left:
            self.wrong("L1", f"not at rest {GRACE_MS / 1000:.0f} s after the last fault: {each}")
        return healed_ms

    async def _wait(self, for_ms: float) -> None:
        await TrueClock(self.loop).sleep_until(self.loop.now_ms() + round(for_ms))

    def _heal(self) -> None:
        self.trace("all faults are over")
        self.healed = self.people.healed = True
        self.people.sender.link.faulty = False
        self._broker_back()
        for node in self.nodes:
            self._set_cut(node)
            node.ahead_ms = 0.0
            node.go_at(1.0)
            if node.process is not None and node.alive:
                node.process.link.faulty = False
                self._go_on(node.process)
                node.process.take_roads(self.shared.roads)
            else:
                self._restart_later(node)
        self.gateway.wake()

    def unrest(self) -> list[str]:
        """Say what is not at rest: what waits, and which incidents lack a decision."""
        found: list[str] = []
        for partition in range(self.plan.partitions):
            owner = self._owner(partition)
            if owner is None:
                found.append(f"partition {partition} has no owner")
                continue
            engine = owner.engines[partition]
            lane = next(each for each in owner.lanes.lanes if each.partition == partition)
            found += [
                f"{topic}[{partition}] is taken to {taken} of {self.topics.end(topic, partition)}"
                for topic, taken in lane.next_inputs.items()
                if taken < self.topics.end(topic, partition)
            ]
            if not lane.clean:
                found.append(f"partition {partition} is in a turn")
            due_ms = engine.next_due_ms()
            if due_ms is not None and due_ms < self.loop.now_ms() - OVERDUE_MS:
                found.append(f"partition {partition} has a deadline of {due_ms} undecided")
            found += _undecided(engine)
        return found

    def _owner(self, partition: int) -> Process | None:
        for node in self.nodes:
            process = node.process
            if process is None or not process.alive:
                continue
            if any(lane.partition == partition for lane in process.lanes.lanes):
                return process
        return None

    def _evidence(self, healed_ms: int) -> Evidence:
        engines = {}
        for partition in range(self.plan.partitions):
            owner = self._owner(partition)
            if owner is not None:
                engines[partition] = owner.engines[partition]
        roster = Roster()
        for raw in self.topics.read("roster", 0):
            entry = decode_roster(raw.key, raw.value, raw.headers)
            if isinstance(entry, RosterEntry):
                roster.put(entry, raw.timestamp_ms)
            else:
                roster.remove(entry.member_id)
        return Evidence(
            topics=self.topics,
            shared=Shared(
                self.shared.policy, roster, self.shared.roads, self.shared.topic_names,
                self.shared.personal, self.shared.partitions,
            ),
            engines=engines,
            accepted=frozenset(self.people.accepted),
            unauthorised=frozenset(self.people.unauthorised),
            poison=frozenset(p for p, left in self.poison.items() if left),
            stumbling=frozenset(self.stumbling),
            ended=tuple(self.ended_list),
            peaks=self.peaks.largest,
            healed_ms=healed_ms,
            ended_ms=self.loop.now_ms(),
        )  # fmt: skip

    def _close(self) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.process.die()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(_gone(tasks))
        self.loop.close()


@contextmanager
def _snapshots(decisions: int, piece_bytes: int) -> Iterator[None]:
    """Have snapshots more often than in the product, and in smaller pieces, so that a small run has
    some, and decisions between their pieces."""
    kept = journal.SNAPSHOT_RECORDS, engine.SNAPSHOT_PIECE_BYTES_MAX
    journal.SNAPSHOT_RECORDS, engine.SNAPSHOT_PIECE_BYTES_MAX = decisions, piece_bytes
    try:
        yield
    finally:
        journal.SNAPSHOT_RECORDS, engine.SNAPSHOT_PIECE_BYTES_MAX = kept


def _undecided(engine: AreaEngine) -> list[str]:
    """Name the incidents that lack somebody, of which nobody was told why."""
    return [
        f"{incident_id} has neither order nor reason"
        for state in engine.states().values()
        for incident_id in sorted(state.wanting)
        if not state.incidents[incident_id].open_orders()
        and not state.incidents[incident_id].unfilled
    ]


async def _gone(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
