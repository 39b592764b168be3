"""Where a webhook may lead: never into networks that only the gateway can reach, unless allowed.

Whoever may register a webhook could otherwise make the gateway call what is behind it: its
neighbours, the machine itself, a cloud's metadata. A name is resolved by the gateway's own
resolver, every address is judged, and the connection goes to the addresses that were judged: a
name that answers differently a second time gains nothing. Redirects are not followed.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from xiaohe.gateway.events.settings import WebhookSettings

URL_CHARACTERS_MAX: Final = 2_000
"""A longer address is none that a subscriber would type."""

NAT64: Final = ip_network("64:ff9b::/96")
"""Addresses that a translator turns into the IPv4 address in their last 32 bits."""


class NotAllowed(Exception):
    """The address may not be called; the message says why and what to do."""


class Guard(AbstractResolver):
    """Judges URLs and addresses; it is the resolver of whoever delivers.

    ``resolver`` is asked for addresses: the system's, unless told otherwise.
    """

    def __init__(self, settings: WebhookSettings, resolver: AbstractResolver | None = None) -> None:
        self._allow_http = settings.allow_http
        self._allowed = settings.networks()
        self._resolver = resolver

    def check_url(self, text: str) -> URL:
        """Judge a URL, as far as one can without resolving it. Raises NotAllowed."""
        if len(text) > URL_CHARACTERS_MAX:
            raise NotAllowed(f"a URL has {URL_CHARACTERS_MAX} characters at most")
        try:
            url = URL(text)
            host, port = url.host, url.port
        except ValueError:
            raise NotAllowed("this is not a URL") from None
        if url.scheme != "https" and not (url.scheme == "http" and self._allow_http):
            raise NotAllowed("a webhook's URL begins with https://; plain http has to be allowed")
        if not host or not port:
            raise NotAllowed("the URL names no host")
        if url.user or url.password or url.fragment:
            raise NotAllowed("a user, a password or a fragment does not belong into the URL")
        literal = _as_address(host)
        if literal is not None:
            self.check_address(literal)
        return url

    def check_address(self, address: IPv4Address | IPv6Address) -> None:
        """Judge one address. Raises NotAllowed."""
        meant = _meant(address)
        if any(meant in network or address in network for network in self._allowed):
            return
        if not meant.is_global or meant.is_multicast or meant.is_reserved:
            raise NotAllowed(
                "the address lies in a network that is not public: the gateway's operator can "
                "allow it with events.webhooks.allow_networks"
            )

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name; give the addresses only if all of them may be called.

        Raises NotAllowed, OSError.
        """
        if self._resolver is None:
            self._resolver = ThreadedResolver()  # it wants a running loop
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self.check_address(ip_address(each["host"].partition("%")[0]))
        return found

    async def close(self) -> None:
        """Let the resolver go."""
        if self._resolver is not None:
            await self._resolver.close()


def _as_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one stands for, where it stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
