"""What lies on the topic ``access``: accounts, sessions, what was used up, and what was referred.

Keyed ``<kind>:<id>``, the last one of a key counts. No record holds what somebody could come in
with: PINs and passwords are there as argon2id, keys of services as the SHA-256 of 256 random bits,
and keys of devices not at all. Each carries a code (HMAC-SHA256 by a key of the gateway's secret)
over key and value, so that who can write on the topic but has not the secret lets nobody in.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Identifier
from xiaohe.gateway.access.principal import DESK_ROLES, MEMBER_ROLES, Role
from xiaohe.gateway.access.secret import Secret

CODE_HEADER: Final = "xiaohe_code"

Kind = Literal["member", "operator", "service", "device", "session", "used", "referral", "setting"]
ACCOUNT_KINDS: Final[frozenset[str]] = frozenset({"member", "operator", "service", "device"})

Count = Annotated[int, Meta(ge=0)]


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody, or something, that may be let in.

    ``area_ids`` None is every area. ``keys`` are a service's, as SHA-256 in hex; several, so that
    a new one can be there before the old one goes. ``generation`` counts a device's keys; the one
    before counts until ``previous_until_ms``. Sessions and links from before ``valid_from_ms``
    count no more.
    """

    role: Role
    area_ids: tuple[Identifier, ...] | None = ()
    scopes: tuple[str, ...] = ()
    password: str | None = None
    pin: str | None = None
    oidc_subject: str | None = None
    keys: tuple[str, ...] = ()
    generation: Count = 0
    previous_until_ms: Count = 0
    valid_from_ms: Count = 0


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A login that lasts: ``turns`` counts its refreshes, ``claim`` is whose the last one was."""

    account: str
    turns: Count
    claim: str
    started_ms: Count
    expires_ms: Count
    ended: bool = False


class Used(Struct, frozen=True, kw_only=True):
    """That a link was used, and by which claim; the first one of the topic counts."""

    claim: str
    expires_ms: Count


class Referral(Struct, frozen=True, kw_only=True):
    """That a department was asked about an incident or a matter."""

    department_id: Identifier
    about_id: Identifier
    is_matter: bool
    area_id: Identifier
    expires_ms: Count


class Setting(Struct, frozen=True, kw_only=True):
    """What holds for all: which generation of token keys signs; the one before is still read."""

    token_generation: Count = 0
    rotated_ms: Count = 0


Entry = Account | Session | Used | Referral | Setting
_TYPES: Final[dict[str, type[Entry]]] = {
    **dict.fromkeys(ACCOUNT_KINDS, Account),
    "session": Session,
    "used": Used,
    "referral": Referral,
    "setting": Setting,
}

TOKENS_KEY: Final = "setting:tokens"


class BadEntry(Exception):
    """A record that is none of the gateway's; the message says why, never what it holds."""


def key_of(kind: Kind, name: str) -> str:
    """Give the key of a record."""
    return f"{kind}:{name}"


def kind_of_role(role: Role) -> Literal["member", "operator", "service", "device"]:
    """Give under which kind an account of this role stands."""
    if role in MEMBER_ROLES:
        return "member"
    if role in DESK_ROLES:
        return "operator"
    return "device" if role == "device" else "service"


def encode(secret: Secret, key: str, entry: Entry | None) -> tuple[bytes | None, bytes]:
    """Give value and code of a record; None ends the key."""
    value = None if entry is None else msgspec.json.encode(entry)
    return value, _code(secret, key, value)


def decode(
    secret: Secret, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> tuple[str, Entry | None]:
    """Read a record. Raises BadEntry."""
    if key is None:
        raise BadEntry("no key")
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise BadEntry("the key is no text") from None
    code = next((held for header, held in headers if header == CODE_HEADER), b"")
    if not hmac.compare_digest(code, _code(secret, name, value)):
        raise BadEntry("it was not written with the gateway's secret")
    if value is None:
        return name, None
    kind = name.partition(":")[0]
    if kind not in _TYPES:
        raise BadEntry("of no known kind")
    try:
        entry = msgspec.json.decode(value, type=_TYPES[kind])
    except msgspec.MsgspecError:
        raise BadEntry("not of its kind's form") from None
    if isinstance(entry, Account) and kind_of_role(entry.role) != kind:
        raise BadEntry("its role is not of its kind")
    return name, entry


def _code(secret: Secret, key: str, value: bytes | None) -> bytes:
    said = b"0" if value is None else b"1" + value
    name = key.encode()
    return hmac.digest(secret.derive("record"), b"%d:%b%b" % (len(name), name, said), sha256)


assert set(get_args(Kind)) == set(_TYPES), "every kind has its form"
