"""What lies between a client and the broker: requests that travel, get lost and are sent again.

A request is carried out when it arrives, once: the broker knows a write that is sent again, as
Kafka's does of an idempotent producer. What has been sent arrives even if its sender has died.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from xiaohe.sim.faults.faults import Kind, Plan
from xiaohe.sim.faults.loop import MS_PER_S, VirtualLoop

REQUEST_TIMEOUT_MS: Final = 8_000
"""An unanswered request fails after so long, as the engine's own producer has it."""

RETRY_MS: Final = 100
"""After how long a request is sent again that was lost: a client's usual back-off."""

QUICK_MS: Final = (0.3, 2.0)
"""How long a message takes where nothing is wrong."""

DELAY_MEAN_MS: Final = 65
DELAY_TAIL_MS: Final = 3_000
DELAY_TAIL_SHARE: Final = 0.01
CLOG_MS_MAX: Final = 5_000
CLOG_SHARE: Final = 0.004
LOSS_SHARE: Final = 0.3


class UnansweredError(Exception):
    """A request was not answered in time: whether it was carried out is not known."""


class Broker:
    """Whether the broker is there; ``crashes`` counts how often it died."""

    def __init__(self) -> None:
        self.up = True
        self.crashes = 0


class _Request:
    __slots__ = ("begun_ms", "carried_out", "carry_out", "crashes", "future", "outcome")

    def __init__(
        self, carry_out: Callable[[], Any], future: "asyncio.Future[Any]", begun_ms: float
    ) -> None:
        self.carry_out = carry_out
        self.future = future
        self.begun_ms = begun_ms
        self.carried_out = False
        self.outcome: Any = None
        self.crashes = 0


class Link:
    """One client's connection. It may be cut, its client may stand still (``paused``) or be dead.

    What comes for a client that stands still waits until it goes on.
    """

    def __init__(self, loop: VirtualLoop, broker: Broker, plan: Plan, chance: Random) -> None:
        self._loop = loop
        self._broker = broker
        self._plan = plan
        self._chance = chance
        self.cut = False
        self.paused = False
        self.dead = False
        self.faulty = True
        self._held: list[Callable[[], object]] = []
        self._clogged_until_ms = 0.0
        self._delays = plan.rate(Kind.DELAY)
        self._losses = plan.rate(Kind.LOSS) * LOSS_SHARE
        self._clogs = plan.rate(Kind.CLOG) * CLOG_SHARE

    @property
    def reachable(self) -> bool:
        """Whether a message would get through now, both ways."""
        return self._broker.up and not self.cut and not self.paused and not self.dead

    # --- standing still

    def hold(self, callback: Callable[[], object]) -> None:
        """Call now, or when the client goes on; a dead one is not called."""
        if self.dead:
            return
        if self.paused:
            self._held.append(callback)
        else:
            callback()

    def go_on(self) -> None:
        """Let what came meanwhile be noticed, in its order."""
        self.paused = False
        held, self._held = self._held, []
        for callback in held:
            self._loop.call_soon(self.hold, callback)

    # --- messages

    def latency_ms(self) -> float:
        """Draw how long a message takes now."""
        chance = self._chance
        takes_ms = chance.uniform(*QUICK_MS)
        if not self.faulty:
            return takes_ms
        now_ms = self._loop.time() * MS_PER_S
        if self._delays and chance.random() < self._delays:
            self._plan.note(Kind.DELAY)
            takes_ms += chance.expovariate(1 / DELAY_MEAN_MS)
            if chance.random() < DELAY_TAIL_SHARE:
                takes_ms += chance.random() * DELAY_TAIL_MS
        if self._clogs and now_ms >= self._clogged_until_ms and chance.random() < self._clogs:
            self._plan.note(Kind.CLOG)
            self._clogged_until_ms = now_ms + chance.random() * CLOG_MS_MAX
        return takes_ms + max(0.0, self._clogged_until_ms - now_ms)

    def lost(self) -> bool:
        """Draw whether a message is lost."""
        if self.faulty and self._losses and self._chance.random() < self._losses:
            self._plan.note(Kind.LOSS)
            return True
        return False

    def ask(self, carry_out: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Have the broker carry something out; the future is what it gave.

        It raises UnansweredError after REQUEST_TIMEOUT_MS.
        """
        future = self._loop.create_future()
        self._send(_Request(carry_out, future, self._loop.time() * MS_PER_S))
        return future

    def _send(self, request: _Request) -> None:
        if self.paused:
            self._held.append(partial(self._send, request))
        elif not self.dead:
            self._loop.later(self.latency_ms(), self._arrive, request)

    def _arrive(self, request: _Request) -> None:
        if not self._broker.up or self.cut or self.lost():
            self._again(request)
            return
        if not request.carried_out:
            request.carried_out = True
            request.outcome = request.carry_out()
        request.crashes = self._broker.crashes
        self._loop.later(self.latency_ms(), self._answer, request)

    def _answer(self, request: _Request) -> None:
        if self.cut or request.crashes != self._broker.crashes or self.lost():
            self._again(request)
        else:
            self.hold(partial(_settle, request.future, request.outcome))

    def _again(self, request: _Request) -> None:
        if self.dead or request.future.done():
            return
        if self._loop.time() * MS_PER_S - request.begun_ms >= REQUEST_TIMEOUT_MS:
            self.hold(partial(_give_up, request.future))
        else:
            self._loop.later(RETRY_MS, self._send, request)


def _settle(future: "asyncio.Future[Any]", outcome: object) -> None:
    if not future.done():
        future.set_result(outcome)


def _give_up(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        what = f"no answer from the broker for {REQUEST_TIMEOUT_MS / 1000:.0f} s"
        future.set_exception(UnansweredError(what))
