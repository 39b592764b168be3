"""Child processes of ``xiaohe up``: started, listened to, ended, and ended with their parent.

A part tells what it has to tell in one JSON object a line on its standard output; whatever else
it writes goes to its log file.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson

from xiaohe.bound import start_bound

END_TIMEOUT_S = 8.0
"""How long a part may take to finish what it has in hand before it is killed."""

LINE_BYTES_MAX = 1024 * 1024
"""The longest line that a part may write."""

LAST_LINES = 8
"""Lines of a part's log that are shown when it ended by itself."""


class Part:
    """One child process and what it says."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_file: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Without ``environment`` it has this process's."""
        self.name = name
        self._command = list(command)
        self._environment = environment
        self._log_file = log_file
        self._child: subprocess.Popen[bytes] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._transport: asyncio.ReadTransport | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    async def start(self, on_event: Callable[[dict[str, object]], None]) -> None:
        """Start it, bound to this process. Raises OSError."""
        read_end, write_end = os.pipe()
        try:
            self._child = start_bound(self._command, env=self._environment, output=write_end)
        finally:
            os.close(write_end)
        reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb")
        )
        self._reading = asyncio.create_task(self._read(reader, on_event), name=self.name)

    async def _read(
        self, reader: asyncio.StreamReader, on_event: Callable[[dict[str, object]], None]
    ) -> None:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab", buffering=0) as log:
            async for line in reader:
                event = _event(line)
                if event is None:
                    with contextlib.suppress(OSError):  # a full disk must not end the part
                        log.write(line)
                else:
                    on_event(event)

    async def ended(self) -> int:
        """Return its exit status when it has ended and all that it said was read."""
        assert self._child is not None, f"{self.name} was not started"
        assert self._reading is not None, f"{self.name} was not started"
        await asyncio.wait([self._reading])
        return await asyncio.to_thread(self._child.wait)

    async def stop(self) -> None:
        """End it in order, by force where that takes too long."""
        if self._child is None:
            return
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if self._child.poll() is not None:
                break
            self._child.send_signal(ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._child.wait, END_TIMEOUT_S)
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=END_TIMEOUT_S)
        if self._transport is not None:
            self._transport.close()

    def last_lines(self) -> str:
        """Give the end of its log, for whoever has to mend it."""
        try:
            lines = self._log_file.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LAST_LINES:])


def _event(line: bytes) -> dict[str, object] | None:
    if not line.startswith(b'{"event":'):
        return None
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
