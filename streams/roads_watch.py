"""A new roads file takes the place of the old one without a stop.

The file is looked at every few seconds. When it has changed it is read, checked and laid out beside
the map in use, off the event loop; only a map that is whole is handed on. A file that cannot be
used is told once, and the old map stays.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.files import load_network
from xiaohe.geo.roads import RoadsFileError

_log = structlog.get_logger(__name__)

LOOK_S: Final = 2.0
"""How often the file is looked at: a closed bridge should not wait much longer."""

_Mark = tuple[int, int, int] | None
"""What tells one state of a file from another: when it was changed, its size, its number."""


class RoadsWatch:
    """Watches one roads file; ``on_roads`` is called from the event loop with each new map."""

    def __init__(self, path: Path, speed: float, on_roads: Callable[[RoadMap], None]) -> None:
        """Take the file as it is now to be the map in use."""
        self._path, self._speed, self._on_roads = path, speed, on_roads
        self._mark = _mark(path)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once; hand a changed file on if it can be used."""
        mark = _mark(self._path)
        if mark is None or mark == self._mark:
            return
        self._mark = mark
        try:
            network, snapper = await asyncio.to_thread(load_network, self._path, self._speed)
        except RoadsFileError as fault:
            _log.error("roads file cannot be used: the old map stays", problems=fault.problems)
            return
        _log.info("roads file taken", path=str(self._path), version=network.version)
        self._on_roads(RoadMap(network, snapper))


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None  # being replaced, or gone: the old map stays
    return found.st_mtime_ns, found.st_size, found.st_ino
