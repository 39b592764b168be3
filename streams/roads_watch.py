"""A new roads file takes the place of the old one without a stop.

The file is looked at every few seconds. When it has changed it is checked in a process of its own,
read and laid out beside the map in use, off the event loop; only a map that is whole, and of the
same place, is handed on. A file that cannot be used is told once, and the old map stays.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import structlog

from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.check import errors_in
from xiaohe.geo.files import load_network, load_pieces
from xiaohe.geo.network import Network
from xiaohe.geo.roads import RoadsFileError

_log = structlog.get_logger(__name__)

LOOK_S: Final = 2.0
"""How often the file is looked at: a closed bridge should not wait much longer."""

_Mark = tuple[int, int, int] | None
"""What tells one state of a file from another: when it was changed, its size, its number."""


class RoadsWatch:
    """Watches one roads file; ``on_roads`` is called from the event loop with each new map."""

    def __init__(self, path: Path, speed: float, on_roads: Callable[[RoadMap], None]) -> None:
        """Take the file as it is now to be the one that will be read."""
        self._path, self._speed, self._on_roads = path, speed, on_roads
        self._mark = _mark(path)

    async def run(self, in_use: Callable[[], Network]) -> None:
        """Look until cancelled; ``in_use`` gives the network that is decided on."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look(in_use())

    async def look(self, in_use: Network) -> None:
        """Look once; hand a changed file on if it can be used."""
        mark = _mark(self._path)
        if mark is None or mark == self._mark:
            return
        self._mark = mark
        try:
            roads = await self._read(in_use)
        except RoadsFileError as fault:
            _log.warning("roads file cannot be used: the old map stays", problems=fault.problems)
            return
        _log.info("roads file taken", path=str(self._path), version=roads.version)
        self._on_roads(roads)

    async def _read(self, in_use: Network) -> RoadMap:
        """Read the file; raises ``RoadsFileError`` where it is unfit, or of another place."""
        await self._check()
        network, snapper = await asyncio.to_thread(load_network, self._path, self._speed)
        if not _overlap(network, in_use):
            raise RoadsFileError([f"{self._path}: is of another place than the map in use"])
        return RoadMap(network, snapper)

    async def _check(self) -> None:
        """Check the file in a process of its own: a city takes seconds, in which alerts come."""
        checker = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(checker, _problems, self._path)
        finally:
            checker.shutdown(wait=False)
        if found:
            raise RoadsFileError(found)


def _problems(path: Path) -> tuple[str, ...]:
    """Say what makes a roads file unfit; nothing where it is fit."""
    try:
        pieces, _ = load_pieces(path)
    except RoadsFileError as fault:
        return fault.problems
    return tuple(f"{path}: {each.road_id}: {each.text}" for each in errors_in(pieces))


def _overlap(one: Network, other: Network) -> bool:
    """Say whether the boxes around two maps have anything in common."""
    low = [network.node_points.min(axis=0) for network in (one, other)]
    high = [network.node_points.max(axis=0) for network in (one, other)]
    return bool((low[0] <= high[1]).all() and (low[1] <= high[0]).all())


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None  # being replaced, or gone: the old map stays
    return found.st_mtime_ns, found.st_size, found.st_ino
