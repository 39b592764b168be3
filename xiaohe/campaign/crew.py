"""The workers of a campaign: real `xiaohe worker` processes, started again when they end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from xiaohe.parts import Part

WORKERS_MOST: Final = 4
WORKERS_AT_FIRST: Final = 3
WORKERS_LEAST: Final = 2
"""How many work at a time; the last of the four has no name that stays, and so joins anew."""

SPEED: Final = 10.0
"""Windows and rides are so much shorter than the day's, so that deadlines fall within an outage."""

AGAIN_S: Final = 0.2
"""A worker that ended is started again after so long …"""

AGAIN_LATER_S: Final = 1.0
"""… and after so long where it lived for less than SHORT_LIFE_S: the broker may be away."""

SHORT_LIFE_S: Final = 3.0

LEFT: Final = "xiaohe worker: left: "
"""What a worker says last of all, where it could."""


@dataclass(slots=True)
class Slot:
    """The place of one worker.

    ``wanted`` says whether it should run, ``may_return`` is cleared while others shall take over
    what it had, ``asleep`` is true between SIGSTOP and SIGCONT.
    """

    name: str
    named: bool
    part: Part | None = None
    owned: frozenset[int] = frozenset()
    wanted: bool = False
    asleep: bool = False
    killed: bool = False
    may_return: asyncio.Event = field(default_factory=asyncio.Event)
    took_over: asyncio.Event = field(default_factory=asyncio.Event)
    keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.part is not None, f"{self.name} does not run"
        return self.part.pid

    @property
    def runs(self) -> bool:
        """Whether there is a process that is awake."""
        return self.part is not None and not self.asleep


class Crew:
    """All workers, by their slots.

    ``on_left`` is told of a worker that ended by itself, with its status and its last lines.
    ``left`` counts the reasons.
    """

    def __init__(
        self, bootstrap_servers: str, folder: Path, on_left: Callable[[str, int, str], None]
    ) -> None:
        self._servers = bootstrap_servers
        self._folder = folder
        self._on_left = on_left
        self.left: Counter[str] = Counter()
        last = WORKERS_MOST - 1
        self.slots = [Slot(f"worker-{n}", named=n < last) for n in range(WORKERS_MOST)]

    # --- whom there is

    @property
    def running(self) -> list[Slot]:
        """Those that have a process which is awake."""
        return [slot for slot in self.slots if slot.runs]

    @property
    def owning(self) -> list[Slot]:
        """Those of the running that own an area."""
        return [slot for slot in self.running if slot.owned]

    @property
    def free(self) -> list[Slot]:
        """Places that nobody has; one who is leaving still has it."""
        return [slot for slot in self.slots if slot.keeping is None or slot.keeping.done()]

    @property
    def wanted(self) -> list[Slot]:
        """Those that should run."""
        return [slot for slot in self.slots if slot.wanted]

    @property
    def owned(self) -> frozenset[int]:
        """All partitions that somebody owns who runs."""
        return frozenset().union(*(slot.owned for slot in self.running))

    # --- what happens to them

    def start(self, slot: Slot) -> None:
        """Have a worker run from now on."""
        assert slot in self.free
        slot.wanted = True
        slot.may_return.set()
        slot.took_over.clear()
        slot.keeping = asyncio.create_task(self._keep_up(slot), name=slot.name)

    def kill(self, slot: Slot, *, returns: bool = True) -> frozenset[int]:
        """SIGKILL; give what it owned. With ``returns`` it is started again at once."""
        assert slot.part is not None
        if not returns:
            slot.may_return.clear()
        slot.killed = True
        owned, slot.owned = slot.owned, frozenset()
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(slot.part.pid, signal.SIGKILL)
        return owned

    def sleep(self, slot: Slot) -> frozenset[int]:
        """SIGSTOP; give what it owned."""
        assert slot.part is not None
        slot.asleep = True
        os.kill(slot.part.pid, signal.SIGSTOP)
        owned, slot.owned = slot.owned, frozenset()
        return owned

    def wake(self, slot: Slot) -> None:
        """SIGCONT."""
        if slot.part is not None and slot.asleep:
            os.kill(slot.part.pid, signal.SIGCONT)
        slot.asleep = False

    async def leave(self, slot: Slot) -> None:
        """SIGTERM; return when it has ended."""
        slot.wanted = False
        if slot.part is not None:
            await slot.part.stop()
        slot.owned = frozenset()
        if slot.keeping is not None:
            await asyncio.wait([slot.keeping])

    async def end(self) -> None:
        """End all."""
        for slot in self.slots:
            self.wake(slot)
            slot.may_return.set()
        await asyncio.gather(*(self.leave(slot) for slot in self.wanted))

    # --- kept up

    async def _keep_up(self, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        while slot.wanted:
            started_s = loop.time()
            part = Part(slot.name, self._command(slot), self._folder / f"{slot.name}.log")
            slot.killed = False
            await part.start(lambda event: self._told(slot, event))
            slot.part = part
            status = await part.ended()
            slot.part, slot.owned, slot.asleep = None, frozenset(), False
            if slot.wanted and not slot.killed:
                reason = _reason(part.last_lines())
                self.left[reason.partition(":")[0]] += 1
                self._on_left(slot.name, status, reason)
            short = loop.time() - started_s < SHORT_LIFE_S
            if slot.wanted:
                await asyncio.sleep(AGAIN_LATER_S if short else AGAIN_S)
            await slot.may_return.wait()

    def _told(self, slot: Slot, event: dict[str, object]) -> None:
        if event.get("event") == "owned" and not slot.killed and not slot.asleep:
            partitions = event["partitions"]
            assert isinstance(partitions, list), "a worker tells its partitions"
            slot.owned = frozenset(partitions)
            slot.took_over.set()

    def _command(self, slot: Slot) -> list[str]:
        name = ["--instance", slot.name] if slot.named else []
        return [
            sys.executable, "-m", "xiaohe", "worker",
            "--bootstrap-servers", self._servers,
            "--data-dir", str(self._folder / slot.name),
            "--speed", str(SPEED),
            "--json",
            *name,
        ]  # fmt: skip


def _reason(last_lines: str) -> str:
    """Give why a worker left, of what it wrote last."""
    lines = last_lines.splitlines()
    left = (line.partition(LEFT) for line in reversed(lines))
    said = (line for line in reversed(lines) if "Error" in line)
    return next((why for _, found, why in left if found), next(said, "said nothing"))
