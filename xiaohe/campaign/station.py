"""What a slice runs on: the broker on its disk, the workers, the town, and the watch over all."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from xiaohe.broker import Broker
from xiaohe.campaign.crew import WORKERS_AT_FIRST, Crew
from xiaohe.campaign.small_disk import CannotMountError, SmallDisk
from xiaohe.campaign.town import Rates, Town
from xiaohe.campaign.watch import Watch
from xiaohe.cluster import apply
from xiaohe.java import BrokerUnavailable
from xiaohe.roster_file import publish
from xiaohe.topics import Topics, load_topics

READY_S: Final = 90.0
"""Longest wait for all areas to be owned at the start, on a machine under load."""

DISK: Final = "disk"
"""Folder of the broker's file system, within a slice's."""

LOOK_AGAIN_S: Final = 0.1

BROKER_STARTS: Final = 3
"""How often a broker's start is tried."""

BROKER_GONE_S: Final = 20.0
"""How soon a killed broker's process is gone."""


class NotReadyError(Exception):
    """The slice could not begin; the message says what is missing."""


class Station:
    """One broker, its workers and its town; an asynchronous context manager.

    ``disk`` is None where no small file system can be had: then its filling is left out. Who kills
    the broker or starts it again has ``broker_turn``: one at a time.
    """

    def __init__(self, folder: Path, seed: int, rates: Rates, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.topics: Topics = load_topics()
        self.disk: SmallDisk | None = None
        self._seed = seed
        self._rates = rates
        self._say = say
        self._exit = AsyncExitStack()
        self._broker: Broker | None = None
        self.broker_turn = asyncio.Lock()
        self.crew: Crew
        self.town: Town
        self.watch: Watch

    @property
    def servers(self) -> str:
        """Where the broker listens."""
        return self.broker.bootstrap_servers

    @property
    def broker(self) -> Broker:
        """The broker, dead or alive."""
        assert self._broker is not None, "the station was entered"
        return self._broker

    async def __aenter__(self) -> Self:
        """Bring everything up, to the first decisions. Raises BrokerUnavailable, NotReadyError."""
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        await self._exit.aclose()

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        disk = SmallDisk(self.folder / DISK)
        try:
            self.disk = self._exit.enter_context(disk)
        except CannotMountError as why:
            self._say(f"no small file system, so no disk is filled: {why}")
        await self.start_broker()
        self._exit.push_async_callback(self._stop_broker)
        await apply(self.servers, self.topics)
        self.crew = Crew(self.servers, self.folder, self._on_left)
        self.town = Town(self.servers, self.topics, self._seed, self._rates)
        await publish(self.servers, self.topics.roster.name, self.town.roster)
        self._exit.push_async_callback(self.crew.end)
        for slot in self.crew.slots[:WORKERS_AT_FIRST]:
            self.crew.start(slot)
        await self._all_owned()
        self.watch = await self._exit.enter_async_context(Watch(self.servers, self.topics))
        await self._exit.enter_async_context(self.town)
        await self.town.go()

    def _on_left(self, name: str, status: int, why: str) -> None:
        self._say(f"  {name} left by itself, status {status}: {why[:200]}")

    async def _all_owned(self) -> None:
        everything = frozenset(range(self.topics.area_partitions))
        deadline = time.monotonic() + READY_S
        while self.crew.owned != everything:
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"after {READY_S:.0f} s nobody owns {sorted(everything - self.crew.owned)}; "
                    f"the workers' logs are in {self.folder}"
                )
            await asyncio.sleep(LOOK_AGAIN_S)

    # --- the broker

    async def start_broker(self) -> None:
        """Start it, on its folder and address, unless it runs."""
        starting = asyncio.create_task(asyncio.to_thread(self._broker_started))
        try:
            self._broker = await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                self._broker = await starting
            raise

    def _broker_started(self) -> Broker:
        if self._broker is not None and self._broker.alive:
            return self._broker
        for _ in range(BROKER_STARTS - 1):
            with contextlib.suppress(BrokerUnavailable):  # on a busy machine a start takes too long
                return Broker.start(self.folder / DISK / "broker", bound_to_parent=True)
        return Broker.start(self.folder / DISK / "broker", bound_to_parent=True)

    async def kill_broker(self) -> None:
        """SIGKILL; return when it is gone."""
        if self.broker.alive:
            os.kill(self.broker.pid, signal.SIGKILL)
        async with asyncio.timeout(BROKER_GONE_S):
            while self.broker.alive:  # noqa: ASYNC110 - a process tells nobody that it has ended
                await asyncio.sleep(LOOK_AGAIN_S / 5)

    async def _stop_broker(self) -> None:
        await asyncio.to_thread(self.broker.stop)
