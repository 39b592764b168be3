"""Logging in, staying in, going out, and who one is.

These doors name no change: whoever comes has yet to prove a name. Each takes tries only as often
as ``tries`` lets it, and says the same of a wrong name and of a wrong secret.
"""

from collections.abc import Mapping
from html import escape
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from xiaohe.gateway.access.keeper import (
    ACCESS_COOKIE,
    REFRESH_COOKIE,
    Keeper,
    cookie_of,
    shortened,
)
from xiaohe.gateway.access.oidc import Abroad, OidcFailed
from xiaohe.gateway.access.passwords import GIVEN_CHARACTERS_MAX, TooBusy
from xiaohe.gateway.access.principal import Principal, Unauthenticated
from xiaohe.gateway.access.records import key_of
from xiaohe.gateway.access.sessions import SESSION_S, Grant
from xiaohe.gateway.access.tokens import TOKEN_CHARACTERS_MAX
from xiaohe.gateway.access.tries import TooManyTries
from xiaohe.gateway.door import Answer, Body, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts

BODY_BYTES_MAX: Final = 4 * 1024
"""A token, a name and a password fit in."""

FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html; charset=utf-8"
PAGE_POLICY: Final = (
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

OIDC_COOKIE: Final = "xiaohe_oidc"
NOT_FITTING: Final = "name and secret do not fit together"

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Given = Annotated[str, Meta(min_length=1, max_length=GIVEN_CHARACTERS_MAX)]
_Token = Annotated[str, Meta(min_length=1, max_length=TOKEN_CHARACTERS_MAX)]


class _Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cookies: bool = False


class PinLogin(_Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's login."""

    member_id: _Name
    pin: _Given


class PasswordLogin(_Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's login."""

    operator_id: _Name
    password: _Given


class LinkLogin(_Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login by link, once."""

    token: _Token


class Refresh(_Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New tokens for a refresh token, which may come as a cookie instead."""

    refresh_token: _Token | None = None


_T = TypeVar("_T", bound=Struct)


class LoginDoors:
    """The doors, around one keeper."""

    def __init__(self, keeper: Keeper, *, abroad: Abroad | None, secure: bool) -> None:
        self._keeper = keeper
        self._abroad = abroad
        self._secure = secure

    async def pin(self, visit: Visit) -> Reply:
        """Log a member in."""
        said = _read(visit, PinLogin)
        grant = await self._by_secret(visit, key_of("member", said.member_id), said.pin, "pin")
        return self._granted(grant, cookies=said.cookies)

    async def password(self, visit: Visit) -> Reply:
        """Log an operator in."""
        said = _read(visit, PasswordLogin)
        key = key_of("operator", said.operator_id)
        grant = await self._by_secret(visit, key, said.password, "password")
        return self._granted(grant, cookies=said.cookies)

    async def _by_secret(self, visit: Visit, key: str, given: str, how: str) -> Grant:
        keeper = self._keeper
        account = keeper.directory.account(key)
        self._count_try(None if account is None else key, visit)
        kept = None if account is None else (account.pin if how == "pin" else account.password)
        try:
            fits = await keeper.hashes.fits(kept, given)
        except TooBusy:
            raise Refusal(
                503, "busy", "many log in at this moment: try again", {"retry-after": "1"}
            ) from None
        address = shortened(visit.peer)
        if not fits:
            keeper.audit.refused(
                f"login_{how}", claimed=None if account is None else key, address=address
            )
            raise Unauthenticated(NOT_FITTING)
        keeper.tries.right(key, address)
        return await keeper.sessions.start(key, address, how)

    async def link(self, visit: Visit) -> Reply:
        """Log in with a link's token; from the page's form, with cookies."""
        by_form = visit.media_type == FORM
        if by_form:
            fields = parse_qs(visit.body.decode("ascii", "replace"), max_num_fields=4)
            token = fields.get("token", [""])[0]
            cookies = True
        else:
            said = _read(visit, LinkLogin)
            token, cookies = said.token, said.cookies
        self._count_try(None, visit)
        address = shortened(visit.peer)
        try:
            grant = await self._keeper.sessions.use_link(visit, token, address)
        except Unauthenticated:
            self._keeper.audit.refused("login_link", address=address)
            raise
        self._keeper.tries.right(grant.account, address)
        reply = self._granted(grant, cookies=cookies)
        if by_form:
            return Reply(303, headers={"location": "/"}, cookies=reply.cookies)
        return reply

    async def link_page(self, visit: Visit) -> Reply:
        """Show a page with one button: what only fetches the link, such as a chat, uses it not."""
        token = (visit.parameter("token") or "")[:TOKEN_CHARACTERS_MAX]
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Xiaohe</title>'
            '<meta name="viewport" content="width=device-width"><form method="post" '
            f'action="/v1/login/link"><input type="hidden" name="token" value="{escape(token)}">'
            "<p>登录小河 · Log in to Xiaohe</p><button>登录 · Log in</button></form>"
        )
        headers = {"content-security-policy": PAGE_POLICY, "referrer-policy": "no-referrer"}
        return Reply(body=page.encode(), media_type=HTML, headers=headers)

    async def refresh(self, visit: Visit) -> Reply:
        """Give new tokens."""
        said = _read(visit, Refresh)
        token, cookies = said.refresh_token, said.cookies
        if token is None:
            token, cookies = cookie_of(visit, REFRESH_COOKIE), True
        if token is None:
            raise Refusal(400, "missing_field", "send refresh_token, or the cookie")
        address = shortened(visit.peer)
        try:
            grant = await self._keeper.sessions.refresh(token, address)
        except Unauthenticated:
            self._keeper.audit.refused("refresh", address=address)
            raise
        return self._granted(grant, cookies=cookies)

    async def end(self, visit: Visit) -> Reply:
        """End the session of whoever comes."""
        principal = await self._keeper.identify(visit)
        if principal.session_id is not None:
            await self._keeper.sessions.end(principal.session_id, principal.address, "logged out")
        gone = (self._cookie(ACCESS_COOKIE, "", "/", 0), self._cookie(REFRESH_COOKIE, "", _ONLY, 0))
        return Reply(204, cookies=gone)

    async def me(self, visit: Visit) -> Reply:
        """Say who whoever comes is."""
        principal = await self._keeper.identify(visit)
        told = _told(principal)
        if principal.session_id is not None:
            told["csrf"] = self._keeper.sessions.csrf_of(principal.session_id)
        return Reply(value=told)

    async def oidc(self, _: Visit) -> Reply:
        """Send a browser to the identity provider."""
        if self._abroad is None:
            raise Refusal(404, "no_provider", "no identity provider is set in data/doors.yaml")
        try:
            way = await self._abroad.way_there()
        except OidcFailed as failed:
            raise Refusal(503, "no_provider", str(failed)) from None
        # Lax: the way back comes from the provider's site.
        cookie = self._cookie(OIDC_COOKIE, way.memory, "/v1/login/oidc", 600, same_site="Lax")
        return Reply(302, headers={"location": way.url}, cookies=(cookie,))

    async def oidc_back(self, visit: Visit) -> Reply:
        """Take a browser that comes back from the identity provider."""
        if self._abroad is None:
            raise Refusal(404, "no_provider", "no identity provider is set in data/doors.yaml")
        self._count_try(None, visit)
        address = shortened(visit.peer)
        try:
            subject = await self._abroad.subject(
                cookie_of(visit, OIDC_COOKIE) or "",
                state=visit.parameter("state") or "",
                code=visit.parameter("code") or "",
            )
        except OidcFailed as failed:
            self._keeper.audit.refused("login_oidc", address=address)
            raise Unauthenticated(str(failed)) from None
        found = self._keeper.directory.with_subject(subject)
        if found is None:
            self._keeper.audit.refused("login_oidc", address=address)
            raise Unauthenticated("the provider knows you, and nobody here has added you")
        self._keeper.tries.right(found[0], address)
        grant = await self._keeper.sessions.start(found[0], address, "oidc")
        cookies = (
            *self._granted(grant, cookies=True).cookies,
            self._cookie(OIDC_COOKIE, "", "/v1/login/oidc", 0, same_site="Lax"),
        )
        return Reply(303, headers={"location": "/"}, cookies=cookies)

    def _count_try(self, account_key: str | None, visit: Visit) -> None:
        try:
            self._keeper.count_try(account_key, visit)
        except TooManyTries as many:
            headers = {"retry-after": str(many.after_s)}
            raise Refusal(429, "too_many_tries", str(many), headers) from None

    def _granted(self, grant: Grant, *, cookies: bool) -> Reply:
        """Hand the tokens over: in the body, or in cookies that no script can read."""
        told: dict[str, object] = {"expires_in_s": grant.expires_in_s, "csrf": grant.csrf}
        if not cookies:
            told |= {
                "token_type": "Bearer",
                "access_token": grant.access_token,
                "refresh_token": grant.refresh_token,
            }
            return Reply(value=told)
        access = self._cookie(ACCESS_COOKIE, grant.access_token, "/", grant.expires_in_s)
        refresh = self._cookie(REFRESH_COOKIE, grant.refresh_token, _ONLY, SESSION_S)
        return Reply(value=told, cookies=(access, refresh))

    def _cookie(
        self, name: str, value: str, path: str, max_age_s: int, *, same_site: str = "Strict"
    ) -> str:
        secure = "; Secure" if self._secure else ""
        return (
            f"{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite={same_site}"
            f"{secure}"
        )


_ONLY: Final = "/v1/session/refresh"
"""The one path that a browser sends the refresh token to."""


def _told(principal: Principal) -> dict[str, object]:
    areas = principal.area_ids
    return {
        "principal_id": principal.principal_id,
        "role": principal.role,
        "area_ids": None if areas is None else sorted(areas),
        "scopes": sorted(principal.scopes),
        "trusted": principal.trusted,
    }


def _read(visit: Visit, kind: type[_T]) -> _T:
    """Read a body; what is wrong is told by its place, never by what stands there."""
    try:
        return msgspec.json.decode(visit.body, type=kind)
    except msgspec.ValidationError as fault:
        where = str(fault).rpartition(" - at ")[2].strip("`").removeprefix("$.")
        named = where if where in kind.__struct_fields__ else "the body"
        raise Refusal(400, "wrong_type", f"{named} is not as the door's schema has it") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "not_json", "the body has to be one JSON object") from None


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors; a gateway without a secret lets nobody in by them."""
    made = (
        None
        if parts.keeper is None
        else LoginDoors(parts.keeper, abroad=parts.abroad, secure=parts.secure)
    )

    def of(name: str) -> Any:  # noqa: ANN401 - a handler
        async def nobody(_: Visit) -> Reply:
            raise Unauthenticated("nobody is let in yet: `xiaohe access` adds principals")

        return nobody if made is None else getattr(made, name)

    grant = Answer(status=200, what="Who came has a session.", schema=_GRANT)
    many = Answer(status=429, what="Too many tries: Retry-After says when to come again.")
    return (
        Door(
            method="POST", path="/v1/login/pin", name="login_pin", what="A member logs in.",
            change=None, handle=of("pin"), room="access", bodies=(_body(PinLogin, _PIN),),
            answers=(grant, many),
        ),
        Door(
            method="POST", path="/v1/login/password", name="login_password",
            what="An operator logs in.", change=None, handle=of("password"), room="access",
            bodies=(_body(PasswordLogin, _PASSWORD),), answers=(grant, many),
        ),
        Door(
            method="POST", path="/v1/login/link", name="login_link",
            what="Somebody logs in with a link, once.", change=None, handle=of("link"),
            room="access",
            bodies=(
                _body(LinkLogin, {"token": "eyJ…"}),
                Body(media_type=FORM, bytes_max=BODY_BYTES_MAX),
            ),
            answers=(grant, many, Answer(status=303, what="After the page's form: to /.")),
        ),
        Door(
            method="GET", path="/v1/login/link", name="login_link_page",
            what="The page that a login link opens: one button.", change=None,
            handle=of("link_page"), room="access",
            parameters=(Parameter(name="token", where="query", what="The link's token."),),
            answers=(Answer(status=200, what="The page.", media_type=HTML),),
        ),
        Door(
            method="GET", path="/v1/login/oidc", name="login_oidc",
            what="An operator goes to the identity provider.", change=None, handle=of("oidc"),
            room="access",
            answers=(
                Answer(status=302, what="The way there."),
                Answer(status=404, what="No provider is set."),
            ),
        ),
        Door(
            method="GET", path="/v1/login/oidc/back", name="login_oidc_back",
            what="An operator comes back from the identity provider.", change=None,
            handle=of("oidc_back"), room="access",
            parameters=(
                Parameter(name="state", where="query", what="As it was given."),
                Parameter(name="code", where="query", what="The provider's code."),
            ),
            answers=(Answer(status=303, what="In, with cookies: to /."), many),
        ),
        Door(
            method="POST", path="/v1/session/refresh", name="session_refresh",
            what="New tokens for a refresh token, which then counts no more.", change=None,
            handle=of("refresh"), room="access", bodies=(_body(Refresh, {}),), answers=(grant,),
        ),
        Door(
            method="POST", path="/v1/session/end", name="session_end",
            what="The session of whoever comes ends.", change=None, handle=of("end"),
            room="access", answers=(Answer(status=204, what="It is over."),),
        ),
        Door(
            method="GET", path="/v1/me", name="me", what="Who whoever comes is, and may.",
            change=None, handle=of("me"), room="access",
            answers=(Answer(status=200, what="Name, role, areas, scopes.", schema=_ME),),
        ),
    )  # fmt: skip


def _body(kind: type[Struct], example: object) -> Body:
    schema = dict(msgspec.json.schema(kind)["$defs"][kind.__name__])
    return Body(
        media_type="application/json", bytes_max=BODY_BYTES_MAX, schema=schema, example=example
    )


_PIN: Final = {"member_id": "m-07", "pin": "…"}
_PASSWORD: Final = {"operator_id": "lin", "password": "…"}
_TEXT: Final[Mapping[str, Any]] = {"type": "string"}
_GRANT: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["expires_in_s", "csrf"],
    "properties": {
        "token_type": _TEXT,
        "access_token": _TEXT,
        "refresh_token": _TEXT,
        "csrf": _TEXT,
        "expires_in_s": {"type": "integer"},
    },
}
_ME: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["principal_id", "role", "area_ids", "scopes", "trusted"],
    "properties": {
        "principal_id": _TEXT,
        "role": _TEXT,
        "area_ids": {"type": ["array", "null"], "items": _TEXT},
        "scopes": {"type": "array", "items": _TEXT},
        "trusted": {"type": "boolean"},
        "csrf": _TEXT,
    },
}
