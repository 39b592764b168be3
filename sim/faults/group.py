"""The consumer group, as the broker keeps it: sessions, rebalances, who owns which partitions.

A rebalance takes all partitions from everybody and deals them anew (Faust's are eager). Who does
not come in time is left out, and finds out at the first heartbeat that gets through.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from xiaohe.sim.faults.link import Broker, Link
from xiaohe.sim.faults.loop import MS_PER_S, VirtualLoop

SESSION_MS: Final = 6_000
"""A worker that was not heard of for so long is left out (``WorkerSettings``)."""

BEAT_MS: Final = 500
BEATS_BETWEEN: Final = 3
"""A worker's heartbeat is every third beat: 1.5 s, a quarter of its session."""

SETTLE_MS: Final = (20.0, 200.0)
"""How long after the last member has joined the partitions are dealt."""


class Member(Protocol):
    """A worker's process, as the group sees it."""

    link: Link

    def told_to_rejoin(self) -> None:
        """Hear that the partitions are dealt anew."""
        ...

    def told_unknown(self) -> None:
        """Hear that the group has gone on without it."""
        ...


class _Session:
    __slots__ = ("joining", "seen_ms")

    def __init__(self, seen_ms: float) -> None:
        self.seen_ms = seen_ms
        self.joining: asyncio.Future[list[int]] | None = None


class Group:
    """All sessions. ``trace`` is told what happens."""

    def __init__(
        self,
        loop: VirtualLoop,
        broker: Broker,
        partitions: int,
        chance: Random,
        trace: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._broker = broker
        self._partitions = partitions
        self._chance = chance
        self._trace = trace
        self._sessions: dict[Member, _Session] = {}
        self._outsiders: list[Member] = []
        self._rebalancing = False
        self._dealing = False
        self._beats = 0
        loop.later(BEAT_MS, self._beat)

    def _now_ms(self) -> float:
        return self._loop.time() * MS_PER_S

    # --- what a worker does

    async def join(self, member: Member) -> list[int]:
        """Wait for the next dealing; the partitions that this worker owns from then on."""
        future: asyncio.Future[list[int]] = self._loop.create_future()
        try:
            await member.link.ask(lambda: self._join(member, future))
            return await future
        finally:
            future.cancel()  # a request given up that arrives late must not stand for a newer one

    def _join(self, member: Member, future: "asyncio.Future[list[int]]") -> None:
        if member.link.dead or future.done():
            return
        session = self._sessions.setdefault(member, _Session(self._now_ms()))
        session.seen_ms = self._now_ms()
        session.joining = future
        self._rebalance()

    def leave(self, member: Member) -> None:
        """Say good-bye, so that the partitions need not wait for the session's end."""
        if self._broker.up and self._sessions.pop(member, None) is not None:
            self._rebalance()

    # --- what the broker does

    def rebalance(self) -> None:
        """Have the partitions dealt anew, as when somebody has joined."""
        if self._sessions:
            self._rebalance()

    def broker_back(self) -> None:
        """Give everybody a new session's time."""
        for session in self._sessions.values():
            session.seen_ms = self._now_ms()

    def _beat(self) -> None:
        self._loop.later(BEAT_MS, self._beat)
        self._beats += 1
        if not self._broker.up:
            return
        now_ms = self._now_ms()
        for number, (member, session) in enumerate(list(self._sessions.items())):
            if member.link.reachable:
                session.seen_ms = now_ms
                wanted = self._rebalancing and session.joining is None
                if wanted and (self._beats + number) % BEATS_BETWEEN == 0:
                    member.told_to_rejoin()
            elif now_ms - session.seen_ms > SESSION_MS:
                self._trace(f"session of {member} is over")
                del self._sessions[member]
                self._outsiders.append(member)
                self._rebalance()
        self._tell_outsiders()

    def _tell_outsiders(self) -> None:
        for member in list(self._outsiders):
            if member.link.dead:
                self._outsiders.remove(member)
            elif member.link.reachable:
                self._outsiders.remove(member)
                # Between waking and the answer to its first heartbeat it goes on as before.
                self._loop.later(self._chance.random() * 1500, member.link.hold,
                                 member.told_unknown)  # fmt: skip

    def _rebalance(self) -> None:
        self._rebalancing = True
        ready = all(each.joining is not None for each in self._sessions.values())
        if self._sessions and ready and not self._dealing:
            self._dealing = True
            self._loop.later(self._chance.uniform(*SETTLE_MS), self._deal)

    def _deal(self) -> None:
        self._dealing = False
        if any(each.joining is None for each in self._sessions.values()) or not self._broker.up:
            if not self._broker.up:
                self._loop.later(BEAT_MS, self._rebalance)
            return
        self._rebalancing = False
        members = list(self._sessions)
        if not members:
            return
        self._chance.shuffle(members)
        hands: dict[Member, list[int]] = {member: [] for member in members}
        for partition in range(self._partitions):
            hands[members[partition % len(members)]].append(partition)
        for member, hand in hands.items():
            future, self._sessions[member].joining = self._sessions[member].joining, None
            assert future is not None
            self._trace(f"{member} is given {hand}")
            delay_ms = member.link.latency_ms()
            self._loop.later(delay_ms, member.link.hold, lambda f=future, h=hand: _tell(f, h))


def _tell(future: "asyncio.Future[list[int]]", hand: list[int]) -> None:
    if not future.done():
        future.set_result(hand)
