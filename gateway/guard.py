"""What a connection may cost before anybody has said anything: its head in time, and not too many.

uvicorn waits for a request's head without end, and counts connections of all addresses together. A
few slow ones from one machine would hold every door shut; here they end, and the next ones too.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S: Final = 10.0
"""A request's head has come whole after so long, from its first byte or the connection's start."""

CONNECTIONS_PER_ADDRESS_MAX: Final = 256
"""Of one address: a mobile network puts a brigade's phones behind a few."""

Network = IPv4Network | IPv6Network


@dataclass(slots=True, kw_only=True)
class Connections:
    """The connections there are, by address.

    ``only``: nobody else is served, such as a proxy in front. Those, and this machine's own, are
    not counted: behind them are many.
    """

    only: Sequence[Network] = ()
    head_timeout_s: float = HEAD_TIMEOUT_S
    per_address_max: int = CONNECTIONS_PER_ADDRESS_MAX
    _counts: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count one more; False where it is one too many, or none of those who are served."""
        if self.only and not self._is_one_of(address):
            return False
        if self._counts[address] >= self.per_address_max and not self._is_excepted(address):
            return False
        self._counts[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one less."""
        self._counts[address] -= 1
        if self._counts[address] <= 0:
            del self._counts[address]

    def _is_excepted(self, address: str) -> bool:
        return ip_address(address).is_loopback or self._is_one_of(address)

    def _is_one_of(self, address: str) -> bool:
        peer = ip_address(address)
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self.only)


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, behind these limits."""

    def __init__(self, *, connections: Connections, **uvicorns: Any) -> None:  # noqa: ANN401
        super().__init__(**uvicorns)
        self._among = connections
        self._head_timer: asyncio.TimerHandle | None = None
        self._address: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a connection, or end it at once."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if peer is not None and self._among.enter(peer[0]):
            self._address = peer[0]
            self._await_head()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count one less."""
        self._head_has_come()
        if self._address is not None:
            self._among.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; the time of a head runs from its first byte."""
        if self._head_timer is None and self.conn.their_state is h11.IDLE:
            self._await_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_has_come()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._among.head_timeout_s, self._head_is_late)

    def _head_has_come(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        # Closed without an answer: whoever sends so slowly reads as slowly.
        self.transport.abort()
