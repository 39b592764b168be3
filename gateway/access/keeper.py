"""The doorkeeper: who is who, and who may what; every refusal is written down here."""

import asyncio
import contextlib
import hmac
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Final, Self

from xiaohe.dispatch.roster import Member
from xiaohe.gateway.access.audit import Audit
from xiaohe.gateway.access.devices import DEVICE, Devices, Refused
from xiaohe.gateway.access.directory import Directory
from xiaohe.gateway.access.passwords import Hashes
from xiaohe.gateway.access.principal import (
    MEMBER_ROLES,
    About,
    Change,
    Forbidden,
    Permit,
    Principal,
    Unauthenticated,
    Visitor,
)
from xiaohe.gateway.access.records import Account, key_of
from xiaohe.gateway.access.rules import Circumstances, refusal_of
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.access.sessions import Sessions
from xiaohe.gateway.access.tokens import BadToken, Tokens
from xiaohe.gateway.access.tries import TooManyTries, Tries
from xiaohe.gateway.follower import Follower
from xiaohe.gateway.known import Known
from xiaohe.gateway.orders import Orders
from xiaohe.gateway.publisher import NotPublished, Publisher
from xiaohe.gateway.settings import AccessSettings, OpenDoor
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Cluster

CSRF: Final = "x-xiaohe-csrf"
ACCESS_COOKIE, REFRESH_COOKIE = "xiaohe_access", "xiaohe_refresh"
SERVICE_KEY: Final = "xk_"
"""What a service's key begins with, so that one that was left lying about is found."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

FORGET_EVERY_S: Final = 60.0
"""So often the topic is told to forget what is over."""

PREFIX_V4, PREFIX_V6 = 24, 48
"""So many bits of an address are written down: a house or a firm, not a telephone."""

_NOBODY: Final = "prove your name: with a device's signature, a token or a key; see docs/access.md"


class Keeper:
    """Implements ``Access``; an async context manager that follows what it has to know."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        topics: Topics,
        secret: Secret,
        known: Known,
        publisher: Publisher,
        settings: AccessSettings,
        now_ms: Callable[[], int],
        hashes: Hashes | None = None,
    ) -> None:
        self._cluster = cluster
        self._topics = topics
        self._known = known
        self._settings = settings
        self._now_ms = now_ms
        self.secret = secret
        self.hashes = hashes or Hashes()
        self.tries = Tries()
        self.orders = Orders()
        self.directory = Directory(secret)
        self.audit = Audit(topics.audit, publisher.note, now_ms)
        self.tokens = Tokens(secret, lambda: self.directory.tokens)
        self.devices = Devices(secret, self.directory, now_ms())
        self.sessions = Sessions(
            topic=topics.access, secret=secret, directory=self.directory, tokens=self.tokens,
            publisher=publisher, audit=self.audit, now_ms=now_ms,
        )  # fmt: skip
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Read who is known and whose the orders are; return when that has been read whole."""
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.audit)
            for topic, take in (
                (self._topics.access, self.directory.take),
                (self._topics.dispatches, self.orders.take_record),
            ):
                await starting.enter_async_context(Follower(self._cluster, topic.name, take))
            forgetting = asyncio.create_task(self._forget(), name="access forgets")
            starting.push_async_callback(_ended, forgetting)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop following, and write what waits of the audit."""
        await self._running.aclose()

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            with contextlib.suppress(NotPublished):
                await self.sessions.forget_outlived()

    # --- who

    async def identify(self, visitor: Visitor) -> Principal:
        """Prove a name; what was shown and does not count is never passed over for another way.

        Raises Unauthenticated.
        """
        address = shortened(visitor.peer)
        try:
            return self._identified(visitor, address)
        except Refused as refused:
            self.audit.refused(refused.reason, claimed=refused.device_id, address=address)
            raise
        except Unauthenticated:
            self.audit.refused("unauthenticated", address=address)
            raise

    def _identified(self, visitor: Visitor, address: str) -> Principal:
        if visitor.header(DEVICE) is not None:
            device_id, account = self.devices.proved(visitor)
            return self._principal(key_of("device", device_id), account, address)
        authorization = visitor.header("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated(_NOBODY)
            return self._with_token(token.strip(), visitor, address)
        token = cookie_of(visitor, ACCESS_COOKIE)
        if token is not None:
            return self._with_cookie(token, visitor, address)
        door = self._open_door(visitor)
        if door is not None:
            areas = None if door.area_ids is None else frozenset(door.area_ids)
            return Principal(
                principal_id=f"door:{door.name}", role="device", area_ids=areas, trusted=False,
                address=address,
            )  # fmt: skip
        raise Unauthenticated(_NOBODY)

    def _with_token(self, token: str, visitor: Visitor, address: str) -> Principal:
        if token.startswith(SERVICE_KEY):
            found = self.directory.with_key(token)
            if found is None:
                raise Unauthenticated("the key does not count")
            return self._principal(*found, address)
        with contextlib.suppress(BadToken):
            return self._of_session(token, visitor.received_ms, address)
        try:
            claims = self.tokens.read("referral", token, visitor.received_ms)
        except BadToken:
            raise Unauthenticated("the token does not count: log in again, or refresh") from None
        department_id, about_id = str(claims.get("sub")), str(claims.get("about"))
        referral = self.directory.referral(department_id, about_id, visitor.received_ms)
        if referral is None:
            raise Unauthenticated("the link counts no more: ask the desk for another")
        return Principal(
            principal_id=department_id, role="department", area_ids=frozenset({referral.area_id}),
            scopes=frozenset({about_id}), address=address,
        )  # fmt: skip

    def _with_cookie(self, token: str, visitor: Visitor, address: str) -> Principal:
        try:
            principal = self._of_session(token, visitor.received_ms, address)
        except BadToken:
            raise Unauthenticated("the session is over: refresh it, or log in again") from None
        if visitor.method not in SAFE_METHODS:
            self.check_csrf(visitor, principal)
        return principal

    def check_csrf(self, visitor: Visitor, principal: Principal) -> None:
        """Refuse what a page of another site could have sent. Raises Unauthenticated."""
        assert principal.session_id is not None, "a cookie is of a session"
        shown = visitor.header(CSRF) or ""
        wanted = self.sessions.csrf_of(principal.session_id)
        if not hmac.compare_digest(shown.encode(errors="replace"), wanted.encode()):
            raise Unauthenticated(f"with a cookie, send the session's {CSRF} as well")

    def _of_session(self, token: str, now_ms: int, address: str) -> Principal:
        """Give who has this access token. Raises BadToken."""
        claims = self.tokens.read("access", token, now_ms)
        session_id = str(claims.get("sid"))
        found = self.directory.session(session_id, now_ms)
        if found is None:
            raise BadToken("its session is over")
        session, account = found
        return self._principal(session.account, account, address, session_id)

    def _principal(
        self, key: str, account: Account, address: str, session_id: str | None = None
    ) -> Principal:
        name = key.partition(":")[2]
        areas = None if account.area_ids is None else frozenset(account.area_ids)
        if account.role in MEMBER_ROLES:
            home = self._known.roster.area_of(name)
            areas = frozenset() if home is None else frozenset({home})
        return Principal(
            principal_id=name, role=account.role, area_ids=areas,
            scopes=frozenset(account.scopes), session_id=session_id, address=address,
        )  # fmt: skip

    def _open_door(self, visitor: Visitor) -> OpenDoor | None:
        peer = _address(visitor.peer)
        if peer is None:
            return None
        for door in self._settings.open_doors:
            is_open = visitor.received_ms < door.until.timestamp() * 1000
            if (
                is_open
                and visitor.path == door.path
                and any(peer in network for network in door.networks())
            ):
                return door
        return None

    # --- what

    async def authorise(self, principal: Principal, change: Change, about: About) -> Permit:
        """Allow one change, or raise Forbidden."""
        refusal = refusal_of(principal, change, about, self._circumstances(principal, about))
        if refusal is not None:
            self.audit.refused("forbidden", principal=principal, change=change, about=about)
            raise Forbidden(refusal)
        return Permit(principal=principal, change=change, about=about)

    def _circumstances(self, principal: Principal, about: About) -> Circumstances:
        order = None if about.dispatch_id is None else self.orders.get(about.dispatch_id)
        me, them = (
            None if member_id is None else self._known.roster.get(member_id)
            for member_id in (principal.principal_id, about.member_id)
        )
        signs = (
            about.device_id is not None
            and self.directory.account(key_of("device", about.device_id)) is not None
        )
        return Circumstances(
            order_of=None if order is None else order.member_id,
            same_squad=_same(me, them, lambda member: member.team),
            same_squadron=_same(me, them, _squadron),
            referred=self._referred(principal, about),
            device_signs=signs,
        )

    def _referred(self, principal: Principal, about: About) -> bool:
        """Whether all that is named was referred to this department."""
        named = [name for name in (about.incident_id, about.matter_id) if name is not None]
        now_ms = self._now_ms()
        return bool(named) and all(
            self.directory.referral(principal.principal_id, name, now_ms) is not None
            for name in named
        )

    # --- tried

    def count_try(self, account_key: str | None, visitor: Visitor) -> None:
        """Count a try at logging in. Raises TooManyTries."""
        address = shortened(visitor.peer)
        try:
            self.tries.count(account_key, address, self._now_ms())
        except TooManyTries:
            self.audit.refused("too_many_tries", claimed=account_key, address=address)
            raise


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _same(one: Member | None, other: Member | None, of: Callable[[Member], str | None]) -> bool:
    if one is None or other is None or one.area_id != other.area_id:
        return False
    return of(one) is not None and of(one) == of(other)


def _squadron(member: Member) -> str | None:
    """Give the first step of the unit's path: the squadron."""
    return None if member.unit is None else member.unit.partition("/")[0]


def cookie_of(visitor: Visitor, name: str) -> str | None:
    """Give a cookie's value, or None; a head that cannot be read has none."""
    try:
        found = SimpleCookie(visitor.header("cookie") or "").get(name)
    except CookieError:
        return None
    return None if found is None else found.value


def shortened(peer: str) -> str:
    """Give an address without its last part; nothing where it is none."""
    address = _address(peer)
    if address is None:
        return ""
    prefix = PREFIX_V4 if isinstance(address, IPv4Address) else PREFIX_V6
    return str(ip_network(f"{address}/{prefix}", strict=False))


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    """Read an address; one of IPv4 that came over IPv6 is one of IPv4."""
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
