"""One gateway process: a socket, TLS, uvicorn, and the application."""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import uvicorn
import uvloop

from xiaohe.gateway.app import build_gateway
from xiaohe.gateway.guard import Connections, GuardedProtocol
from xiaohe.gateway.parts import Parts

BACKLOG = 128
"""Connections that may wait to be taken."""

CONNECTIONS_MAX = 2_000
"""Connections and requests at once; one more is answered 503 at once."""

LEAVE_S = 5
"""Seconds that what is under way may take to finish when the gateway ends."""

UNREAD_MS = 30_000
"""A client that takes nothing of what it asked for is let go after so long: its connection is
closed by the system, so that it holds nothing of ours."""

HEAD_BYTES_MAX = 32 * 1024
"""A request's head may be so long."""


GC_ALLOCATIONS = 20_000
"""New containers before the youngest of them are looked through: some rounds of raw positions."""


class AddressTaken(Exception):
    """The address cannot be listened on; the message says what to do."""


class NotProtected(Exception):
    """It would be reached from outside without TLS; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What protects whoever comes from outside.

    A certificate and its key (PEM), or a proxy that has them: ``behind_proxy`` is its address or
    network, from which alone connections are then taken, and whose word on where a request came
    from counts.
    """

    cert: Path | None = None
    key: Path | None = None
    behind_proxy: str | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together. Raises NotProtected."""
        if (self.cert is None) != (self.key is None):
            raise NotProtected("a certificate goes with its key: --tls-cert FILE --tls-key FILE")
        if self.behind_proxy is not None:
            try:
                ip_network(self.behind_proxy)
            except ValueError:
                raise NotProtected(
                    f"--behind-proxy {self.behind_proxy}: name its address or network"
                ) from None

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.cert is not None or self.behind_proxy is not None

    def check(self, http: str) -> None:
        """Refuse to be reached from other machines in plain text. Raises NotProtected."""
        if self.secure or is_loopback(http):
            return
        raise NotProtected(
            f"{http} is reached from other machines, and without TLS all could be read and changed "
            "on the way: give --tls-cert and --tls-key (`xiaohe ca issue HOST` makes them), or put "
            "a proxy in front and name it with --behind-proxy (deploy/caddy), or listen on "
            "127.0.0.1"
        )

    def context(self) -> ssl.SSLContext | None:
        """Give what TLS takes; None without a certificate. Raises NotProtected."""
        if self.cert is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as fault:
            raise NotProtected(
                f"{self.cert}, {self.key}: {fault.strerror or fault}: name a certificate (PEM) and "
                "its key, which this user can read"
            ) from None
        return context


UNPROTECTED = Protection()
"""For this machine alone."""


def is_loopback(http: str) -> bool:
    """Tell whether ``host:port`` is this machine's own address."""
    host = http.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen(http: str) -> socket.socket:
    """Listen on ``host:port`` (port 0: any free one). Raises AddressTaken."""
    host, _, port_text = http.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it. Where the system has no such option, TCP's own end counts.
    if unread := getattr(socket, "TCP_USER_TIMEOUT", None):
        listener.setsockopt(socket.IPPROTO_TCP, unread, UNREAD_MS)
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
    listener: socket.socket,
    parts: Callable[[], Parts],
    on_ready: Callable[[], None],
    protection: Protection = UNPROTECTED,
) -> None:
    """Serve until SIGTERM or SIGINT. ``parts`` is called inside the event loop."""
    protection.check(address_of(listener))
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
    uvloop.run(_serve(listener, parts, on_ready, protection))


async def _serve(
    listener: socket.socket,
    parts: Callable[[], Parts],
    on_ready: Callable[[], None],
    protection: Protection,
) -> None:
    made = parts()
    proxy = protection.behind_proxy
    only = () if proxy is None else (ip_network(proxy),)
    config = uvicorn.Config(
        build_gateway(made),
        http=partial(GuardedProtocol, connections=Connections(only=only)),  # type: ignore[arg-type]  # called
        log_level="warning",
        lifespan="on",
        server_header=False,
        # Nobody's word on where a request came from counts, but that of a proxy that was named.
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy or "",
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_graceful_shutdown=LEAVE_S,
    )
    config.load()
    config.ssl = protection.context()
    server = _Server(config, on_ready, made.leave)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.leave)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it serves, and leaves the signals to its caller."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_leave: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_leave = on_leave

    def leave(self) -> None:
        """Finish what is under way and return."""
        self._on_leave()
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
