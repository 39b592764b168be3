"""Logins and what follows: sessions that are refreshed, links that are used once, referrals.

A session lies on the topic ``access``; its access token counts a quarter of an hour, and each
refresh token once. A refresh token that comes a second time was stolen, or the thief was quicker:
the session ends for both. Whatever has to happen once is decided by the topic's order, so that it
happens once with any number of gateways.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from xiaohe.gateway.access.audit import Audit
from xiaohe.gateway.access.directory import Directory, referral_key
from xiaohe.gateway.access.principal import Unauthenticated, Visitor
from xiaohe.gateway.access.records import (
    CODE_HEADER,
    Account,
    Entry,
    Referral,
    Session,
    Used,
    encode,
    key_of,
)
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.access.tokens import LIFETIMES_S, BadToken, Tokens, Use
from xiaohe.gateway.publisher import NotPublished, Publisher, Record
from xiaohe.topics import Topic

SESSION_S: Final = LIFETIMES_S["refresh"]
"""A session ends after a shift, however often it was refreshed."""

REFERRAL_S: Final = 30 * 86_400
"""A department may answer for a month."""

READ_BACK_S: Final = 5.0
"""What was written is read back by the same gateway within this time, or the try has failed."""

OUTLIVED_AT_ONCE: Final = 100
"""Keys that the topic is told to forget in one turn."""

_LOOPBACK: Final = ("127.", "::1", "::ffff:127.")


class Grant(Struct, frozen=True, kw_only=True):
    """What somebody gets who has logged in: shown once, kept nowhere."""

    access_token: str
    refresh_token: str
    csrf: str
    expires_in_s: int
    account: str

    def __repr__(self) -> str:
        """Give nothing that somebody could come in with."""
        return f"Grant({self.account})"


class Sessions:
    """Starts, refreshes and ends sessions; signs and uses links."""

    def __init__(
        self,
        *,
        topic: Topic,
        secret: Secret,
        directory: Directory,
        tokens: Tokens,
        publisher: Publisher,
        audit: Audit,
        now_ms: Callable[[], int],
    ) -> None:
        self._topic = topic
        self._secret = secret
        self._directory = directory
        self._tokens = tokens
        self._publisher = publisher
        self._audit = audit
        self._now_ms = now_ms
        self._using: set[str] = set()

    # --- sessions

    async def start(self, account_key: str, address: str, how: str) -> Grant:
        """Begin a session for who has proved to be this. Raises NotPublished."""
        account = self._directory.account(account_key)
        assert account is not None, "who has proved a name has an account"
        now_ms = self._now_ms()
        session_id, claim = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        session = Session(
            account=account_key, turns=0, claim=claim, started_ms=now_ms,
            expires_ms=now_ms + SESSION_S * 1000,
        )  # fmt: skip
        await self.store(key_of("session", session_id), session)
        await self._audit.happened(
            "login", account_key, role=account.role, address=address, reason=how, session=session_id
        )
        return self._grant(session_id, session)

    async def refresh(self, token: str, address: str) -> Grant:
        """Give new tokens for a refresh token, which then counts no more.

        Raises Unauthenticated, NotPublished.
        """
        now_ms = self._now_ms()
        claims = self._claims("refresh", token)
        session_id, turns = str(claims.get("sid")), claims.get("turns")
        found = self._directory.session(session_id, now_ms)
        if found is None:
            raise Unauthenticated("the session is over: log in again")
        session, _ = found
        if turns != session.turns or claims.get("claim") != session.claim:
            await self.end(session_id, address, "refresh token used twice")
            raise Unauthenticated("the session is over: log in again")
        turned = Session(
            account=session.account, turns=session.turns + 1, claim=secrets.token_urlsafe(16),
            started_ms=session.started_ms, expires_ms=session.expires_ms,
        )  # fmt: skip
        await self.store(key_of("session", session_id), turned)
        counts = self._directory.session(session_id, now_ms)
        if counts is None or counts[0].claim != turned.claim:
            raise Unauthenticated("the session was refreshed elsewhere at the same moment")
        return self._grant(session_id, turned)

    async def end(self, session_id: str, address: str, why: str) -> None:
        """End a session for good. Raises NotPublished."""
        found = self._directory.session(session_id, self._now_ms())
        if found is None:
            return
        session, account = found
        over = Session(
            account=session.account, turns=session.turns + 1, claim="",
            started_ms=session.started_ms, expires_ms=session.expires_ms, ended=True,
        )  # fmt: skip
        await self.store(key_of("session", session_id), over)
        await self._audit.happened(
            "logout",
            session.account,
            role=account.role,
            address=address,
            reason=why,
            session=session_id,
        )

    def _grant(self, session_id: str, session: Session) -> Grant:
        now_ms = self._now_ms()
        left_s = max(1, (session.expires_ms - now_ms) // 1000)
        lifetime_s = min(LIFETIMES_S["access"], left_s)
        return Grant(
            access_token=self._tokens.sign(
                "access", now_ms, lifetime_s, sub=session.account, sid=session_id
            ),
            refresh_token=self._tokens.sign(
                "refresh", now_ms, left_s,
                sub=session.account, sid=session_id, turns=session.turns, claim=session.claim,
            ),
            csrf=self.csrf_of(session_id),
            expires_in_s=lifetime_s,
            account=session.account,
        )  # fmt: skip

    def csrf_of(self, session_id: str) -> str:
        """Give what a page of this session has to show that a form of another site cannot know."""
        return hmac.new(self._secret.derive("csrf"), session_id.encode(), sha256).hexdigest()

    # --- links

    def link(self, account_key: str, *, loopback: bool = False) -> str:
        """Sign a login link's token; ``loopback``: it counts on this machine alone."""
        return self._tokens.sign("link", self._now_ms(), sub=account_key, loopback=loopback)

    async def use_link(self, visitor: Visitor, token: str, address: str) -> Grant:
        """Log in with a link, once. Raises Unauthenticated, NotPublished."""
        claims = self._claims("link", token)
        account_key, link_id = str(claims.get("sub")), str(claims["jti"])
        account = self._directory.account(account_key)
        if account is None or claims["iat"] * 1000 + 999 < account.valid_from_ms:
            raise Unauthenticated("the link counts no more: ask for another")
        if claims.get("loopback") and not visitor.peer.startswith(_LOOPBACK):
            raise Unauthenticated("the link counts on the gateway's own machine alone")
        await self._use_up(link_id, int(claims["exp"]) * 1000)
        return await self.start(account_key, address, "link")

    async def _use_up(self, link_id: str, expires_ms: int) -> None:
        if self._directory.use_of(link_id) is not None or link_id in self._using:
            raise Unauthenticated("the link was used: ask for another")
        claim = secrets.token_urlsafe(16)
        self._using.add(link_id)
        try:
            await self.store(key_of("used", link_id), Used(claim=claim, expires_ms=expires_ms))
        finally:
            self._using.discard(link_id)
        used = self._directory.use_of(link_id)
        if used is None or used.claim != claim:
            raise Unauthenticated("the link was used: ask for another")

    # --- referrals

    async def refer(
        self, department_id: str, about_id: str, area_id: str, *, is_matter: bool
    ) -> str:
        """Let a department answer about this; give the token of a link. Raises NotPublished."""
        now_ms = self._now_ms()
        entry = Referral(
            department_id=department_id, about_id=about_id, is_matter=is_matter, area_id=area_id,
            expires_ms=now_ms + REFERRAL_S * 1000,
        )  # fmt: skip
        await self.store(referral_key(department_id, about_id), entry)
        return self._tokens.sign("referral", now_ms, sub=department_id, about=about_id)

    # --- kept

    async def store(self, key: str, entry: Entry | None) -> None:
        """Write an entry, and return when this gateway has read it. Raises NotPublished."""
        value, code = encode(self._secret, key, entry)
        record = Record(self._topic, key, value, [(CODE_HEADER, code)])
        (written,) = await self._publisher.note([record])
        try:
            async with asyncio.timeout(READ_BACK_S):
                await self._directory.read_to(written.offset)
        except TimeoutError:
            raise NotPublished("the broker gave nothing back in time: try again") from None

    async def forget_outlived(self) -> None:
        """Let the topic forget some of what is over. Raises NotPublished."""
        keys = [key for key, _ in zip(self._outlived(), range(OUTLIVED_AT_ONCE), strict=False)]
        for key in keys:
            self._directory.forget(key)
            value, code = encode(self._secret, key, None)
            await self._publisher.note([Record(self._topic, key, value, [(CODE_HEADER, code)])])

    def _outlived(self) -> list[str]:
        # An hour later, for the clocks of other gateways.
        return list(self._directory.outlived(self._now_ms() - 3_600_000))

    def _claims(self, use: Use, token: str) -> dict[str, Any]:
        try:
            return self._tokens.read(use, token, self._now_ms())
        except BadToken as bad:
            raise Unauthenticated(f"the token does not count: {bad}") from None


def held_by(account: Account) -> bool:
    """Whether somebody can log in to this account without a link."""
    return account.password is not None or account.pin is not None or bool(account.oidc_subject)
