"""One gateway process: a socket, uvicorn, and the application."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
import uvloop

from xiaohe.gateway.app import build_gateway
from xiaohe.gateway.parts import Parts

BACKLOG = 128
"""Connections that may wait to be taken."""

CONNECTIONS_MAX = 2_000
"""Connections and requests at once; one more is answered 503 at once."""

HEAD_BYTES_MAX = 32 * 1024
"""A request's head may be so long."""


GC_ALLOCATIONS = 20_000
"""New containers before the youngest of them are looked through: some rounds of raw positions."""


class AddressTaken(Exception):
    """The address cannot be listened on; the message says what to do."""


def listen(http: str) -> socket.socket:
    """Listen on ``host:port`` (port 0: any free one). Raises AddressTaken."""
    host, _, port_text = http.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port_text)))
    except (OSError, OverflowError) as fault:
        listener.close()
        raise AddressTaken(
            f"cannot listen on {http}: {fault}; name another address with --http"
        ) from None
    listener.listen(BACKLOG)
    return listener


def address_of(listener: socket.socket) -> str:
    """Give the ``host:port`` that a socket listens on."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def run_gateway(
    listener: socket.socket, parts: Callable[[], Parts], on_ready: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT. ``parts`` is called inside the event loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    uvloop.run(_serve(listener, parts, on_ready))


async def _serve(
    listener: socket.socket, parts: Callable[[], Parts], on_ready: Callable[[], None]
) -> None:
    config = uvicorn.Config(
        build_gateway(parts()),
        log_level="warning",
        lifespan="on",
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )
    server = _Server(config, on_ready)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.leave)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it serves, and leaves the signals to its caller."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    def leave(self) -> None:
        """Finish what is under way and return."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: the caller has."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()
