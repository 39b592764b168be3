"""How each fault is done to a station, and how its recovery is timed."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from xiaohe.campaign.crew import WORKERS_LEAST, Slot
from xiaohe.campaign.faults import Fault
from xiaohe.campaign.station import LOOK_AGAIN_S, Station
from xiaohe.campaign.watch import Wait

RECOVERED_S: Final = 120.0
"""After so long without a decision an area is called stuck. What recoveries take is told, not
judged; this is for what never comes, on a machine however busy: a worker gives itself 40 s before
it leaves (``STUCK_S``), and the broker and the worker may take 20 s each to be there again."""

SLEPT_S_MAX: Final = 2.0
"""A stopped worker is woken up to so long after others have taken over what it had."""

SOMEBODY_S: Final = 20.0
"""How long a fault waits for somebody whom it can hit."""

FULL_S: Final = 3.0
"""A full disk stays so for so long, and up to as long again."""

OVERLAPPING: Final = "overlapping"
"""Recoveries during which another fault came are counted apart."""


class Strikes:
    """Does faults to a station, and keeps what came of them.

    Attributes
    ----------
    counts : faults done, by kind.
    recovery_s : seconds from a fault to the first decision of each area that it hit, by kind.
    stuck : faults after which an area did not decide in time.
    """

    def __init__(self, station: Station, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.recovery_s: dict[str, list[float]] = defaultdict(list)
        self.stuck: list[str] = []
        self._station = station
        self._crew = station.crew
        self._say = say
        self._under_way: dict[asyncio.Task[None], Fault] = {}
        self._done = 0

    async def strike(self, fault: Fault) -> None:
        """Do one fault; its recovery goes on on the side."""
        if fault.waits:
            await self.recovered()
        await asyncio.sleep(fault.pause_s)
        strike: Callable[[Fault], Coroutine[Any, Any, None]] = getattr(self, f"_{fault.kind}")
        self._done += 1
        task = asyncio.create_task(strike(fault), name=f"fault-{fault.number}")
        self._under_way[task] = fault
        task.add_done_callback(lambda done: self._under_way.pop(done, None))
        await asyncio.sleep(0)
        if task.done():
            task.result()

    async def recovered(self) -> None:
        """Return when every area that was hit decides again. Raises what a strike raised."""
        if self._under_way:
            done, _ = await asyncio.wait(self._under_way)
            for task in done:
                task.result()

    # --- the kinds

    async def _worker_kill(self, fault: Fault) -> None:
        """SIGKILL one that owns areas: started again at once, or when others have its areas."""
        slot = await self._somebody(fault)
        if slot is None:
            return
        alone = len(self._crew.running) == 1
        since_ms, pid = time.time() * 1000, slot.pid
        owned = self._crew.kill(slot, returns=alone or not fault.replaced)
        how = "" if alone or not fault.replaced else ", others take over"
        self._tell(fault, f"SIGKILL {slot.name} with {len(owned)} areas{how}")
        await self._time(fault, owned, since_ms, {pid})
        slot.may_return.set()

    async def _zombie(self, fault: Fault) -> None:
        """SIGSTOP one past its session; SIGCONT when others have its areas."""
        slot = await self._somebody(fault, besides=1)
        if slot is None:
            return
        since_ms, pid = time.time() * 1000, slot.pid
        owned = self._crew.sleep(slot)
        self._tell(fault, f"SIGSTOP {slot.name} with {len(owned)} areas", counted=False)
        await self._time(fault, owned, since_ms, {pid})
        await asyncio.sleep(SLEPT_S_MAX * fault.lot)
        if slot.asleep:
            self.counts[fault.kind] += 1
            self._crew.wake(slot)
            slept_s = time.time() - since_ms / 1000
            self._say(f"  {fault.number} SIGCONT {slot.name} after {slept_s:.1f} s")

    async def _rebalance(self, fault: Fault) -> None:
        """Somebody joins, or leaves in good order; the last two do not leave."""
        crew = self._crew
        free = crew.free
        may_leave = len(crew.wanted) > WORKERS_LEAST and len(crew.owning) > 1
        if free and not (may_leave and fault.lot < 1 / 2):
            await self._join(fault, _picked(free, fault))
            return
        slot = await self._somebody(fault, besides=1)
        if slot is not None:
            await self._leave(fault, slot)

    async def _leave(self, fault: Fault, slot: Slot) -> None:
        since_ms, owned, pid = time.time() * 1000, slot.owned, slot.pid
        self._tell(fault, f"SIGTERM {slot.name} with {len(owned)} areas")
        leaving = asyncio.create_task(self._crew.leave(slot))
        await self._time(fault, owned, since_ms, {pid})
        await leaving

    async def _join(self, fault: Fault, slot: Slot) -> None:
        self._crew.start(slot)
        self._tell(fault, f"{slot.name} joins")
        try:
            await asyncio.wait_for(slot.took_over.wait(), RECOVERED_S)
        except TimeoutError:
            self._stuck(fault, f"{slot.name} owned nothing")

    async def _broker_kill(self, fault: Fault) -> None:
        """SIGKILL the broker and start it again."""
        async with self._station.broker_turn:
            since_ms = await self._kill_broker(fault, "SIGKILL the broker", lambda: None)
        await self._time(fault, self._everything(), since_ms)

    async def _restart_all(self, fault: Fault) -> None:
        """SIGKILL the broker and every worker, and start all again."""
        killed: set[int] = set()

        def kill_workers() -> None:
            for slot in self._crew.running:
                killed.add(slot.pid)
                self._crew.kill(slot)

        async with self._station.broker_turn:
            since_ms = await self._kill_broker(fault, "SIGKILL everything", kill_workers)
        await self._time(fault, self._everything(), since_ms, killed)

    async def _kill_broker(self, fault: Fault, what: str, kill_more: Callable[[], None]) -> float:
        """Kill it in one's turn, when it runs; give the time when that was."""
        station = self._station
        await station.start_broker()  # unless it runs
        since_ms = time.time() * 1000
        self._tell(fault, what)
        kill_more()
        await station.kill_broker()
        await station.start_broker()
        away_s = time.time() - since_ms / 1000
        self._say(f"  {fault.number} the broker answers again after {away_s:.1f} s")
        return since_ms

    async def _disk_full(self, fault: Fault) -> None:
        """Fill the broker's disk, give the room back, and start the broker where it died."""
        station, disk = self._station, self._station.disk
        if disk is None:
            self._tell(fault, "no disk that could be filled", counted=False)
            return
        async with station.broker_turn:
            await station.start_broker()
            self._tell(fault, "the broker's disk is filled")
            await asyncio.to_thread(disk.fill)
            await asyncio.sleep(FULL_S * (1 + fault.lot))
            disk.free()
            since_ms = time.time() * 1000
            what = "lives" if station.broker.alive else "died"
            self._say(f"  {fault.number} there is room again, and the broker {what}")
            await station.start_broker()
        await self._time(fault, self._everything(), since_ms)

    # --- timing

    def _everything(self) -> Iterable[int]:
        return range(self._station.topics.area_partitions)

    async def _time(
        self,
        fault: Fault,
        partitions: Iterable[int],
        since_ms: float,
        not_by: Iterable[int] = (),
    ) -> None:
        """Probe the areas until all decide again, by others than were hit; note how long each
        took."""
        if not partitions:
            return
        done_before, alone = self._done, len(self._under_way) == 1
        wait = self._station.watch.expect(partitions, since_ms, not_by)
        self._station.town.probe(partitions)
        deadline = time.monotonic() + RECOVERED_S
        while not wait.done.is_set() and time.monotonic() < deadline:
            await self._look(wait)
        if wait.missing:
            self._stuck(fault, f"no decision in partitions {sorted(wait.missing)}")
            return
        alone = alone and self._done == done_before
        self.recovery_s[fault.kind if alone else OVERLAPPING] += wait.found_s.values()
        self._say(f"  {fault.number} decided again after {max(wait.found_s.values()):.1f} s")

    async def _look(self, wait: Wait) -> None:
        """Wait for a while; a broker that died of itself meanwhile is started again."""
        try:
            await asyncio.wait_for(wait.done.wait(), LOOK_AGAIN_S * 10)
        except TimeoutError:
            station = self._station
            if not station.broker.alive and not station.broker_turn.locked():
                async with station.broker_turn:
                    await station.start_broker()

    def _stuck(self, fault: Fault, what: str) -> None:
        line = f"fault {fault.number} ({fault.kind}): after {RECOVERED_S:.0f} s {what}"
        self.stuck.append(line)
        self._say(f"  {line}")

    async def _somebody(self, fault: Fault, besides: int = 0) -> Slot | None:
        """Choose one who owns areas, besides whom so many run; wait a little for one."""
        deadline = time.monotonic() + SOMEBODY_S
        while time.monotonic() < deadline:
            owning = self._crew.owning
            if owning and len(self._crew.running) > besides:
                return _picked(owning, fault)
            await asyncio.sleep(LOOK_AGAIN_S)
        self._tell(fault, "nobody to hit", counted=False)
        return None

    def _tell(self, fault: Fault, what: str, *, counted: bool = True) -> None:
        if counted:
            self.counts[fault.kind] += 1
        overlap = "" if fault.waits else " (at once)"
        self._say(f"{fault.number} {fault.kind}: {what}{overlap}")


def _picked(slots: list[Slot], fault: Fault) -> Slot:
    return slots[int(fault.pick * len(slots))]
