"""What an operator sets of the doors: data/doors.yaml, one section a subject, all optional."""

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Identifier
from xiaohe.dispatch.yaml_text import BadYaml, read_yaml
from xiaohe.gateway.events.settings import EventsSettings
from xiaohe.gateway.positions.settings import PositionsSettings

OPEN_DOORS_MAX: Final = 64
"""Doors that may be open for what cannot sign: each is a risk that somebody has to know of."""

_Path = Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._/~-]{1,200}$")]
_Url = Annotated[str, Meta(pattern=r"^https?://[^\s#?]{1,300}$")]


class SettingsError(Exception):
    """The file of the doors is wrong; the message says where."""


class OpenDoor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A door for devices that cannot sign: this path, from these addresses, until then.

    What comes through it is marked as not trusted; ``area_ids`` None is every area.
    """

    name: Identifier
    path: _Path
    sources: tuple[str, ...] = msgspec.field(name="from")
    until: Annotated[datetime, Meta(tz=True)]
    area_ids: tuple[Identifier, ...] | None = None

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Give the networks it is open to."""
        return tuple(ip_network(source) for source in self.sources)


class Oidc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identity provider for operators (OpenID Connect, code flow with PKCE).

    ``redirect_uri`` is this gateway's own /v1/login/oidc/back, as browsers reach it.
    """

    issuer: _Url
    client_id: str
    redirect_uri: _Url
    client_secret_file: str | None = None
    algorithms: tuple[Literal["RS256", "ES256", "PS256", "EdDSA"], ...] = ("RS256", "ES256")


class AccessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section ``access``."""

    open_doors: tuple[OpenDoor, ...] = ()
    oidc: Oidc | None = None


class DoorsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    access: AccessSettings = AccessSettings()
    events: EventsSettings = EventsSettings()
    positions: PositionsSettings = PositionsSettings()


def load_settings(raw: bytes) -> DoorsSettings:
    """Read the file. Raises SettingsError with the place of the fault."""
    try:
        settings = msgspec.convert(read_yaml(raw) or {}, DoorsSettings)
    except (BadYaml, RecursionError, msgspec.MsgspecError) as fault:
        raise SettingsError(f"doors: {fault}; data/doors.yaml shows every value") from None
    _check(settings.access)
    _check_events(settings.events)
    return settings


def _check_events(events: EventsSettings) -> None:
    try:
        events.webhooks.networks()
    except ValueError as fault:
        raise SettingsError(f"doors: events.webhooks.allow_networks: {fault}") from None


def _check(access: AccessSettings) -> None:
    names = [door.name for door in access.open_doors]
    if len(set(names)) < len(names):
        raise SettingsError("doors: access.open_doors: two doors of one name")
    if len(names) > OPEN_DOORS_MAX:
        raise SettingsError(f"doors: access.open_doors: more than {OPEN_DOORS_MAX}")
    for door in access.open_doors:
        try:
            networks = door.networks()
        except ValueError as fault:
            raise SettingsError(f"doors: access.open_doors {door.name}: {fault}") from None
        if not networks:
            raise SettingsError(f"doors: access.open_doors {door.name}: from whom? name networks")
