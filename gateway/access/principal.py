"""Who stands at a door, and what for: a principal, a change, and the permit that lets it happen."""

from enum import StrEnum
from typing import Final, Literal, Protocol

from msgspec import Struct

Role = Literal[
    "member",
    "squad_leader",
    "squadron_leader",
    "duty_lead",
    "police_room",
    "department",
    "community_office",
    "auditor",
    "service",
    "device",
]


MEMBER_ROLES: Final[frozenset[Role]] = frozenset({"member", "squad_leader", "squadron_leader"})
"""Who speaks in ``member-actions``; their principal_id is their member_id."""

DESK_ROLES: Final[frozenset[Role]] = frozenset(
    {"duty_lead", "police_room", "department", "community_office", "auditor"}
)
"""Who sits at a desk; their principal_id is their operator_id."""


class Change(StrEnum):
    """What somebody may want to do; each is allowed by name, and what is not named is denied."""

    ALERT_REPORT = "alert.report"
    POSITION_REPORT = "position.report"
    DUTY_REPORT = "duty.report"
    ORDER_ANSWER = "order.answer"
    DESK_DECIDE = "desk.decide"
    REFERRAL_ANSWER = "referral.answer"
    DEVICE_MANAGE = "device.manage"
    EVENTS_READ = "events.read"
    WEBHOOK_MANAGE = "webhook.manage"
    ACCESS_MANAGE = "access.manage"


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody, or something, whose name was proved.

    ``area_ids`` None is every area. ``scopes`` are the changes that a service was given by name;
    for somebody with a referral's link, what it is about. ``trusted`` is False for a device that
    cannot sign: what it says is marked so. ``address`` is where this visit came from, shortened.
    """

    principal_id: str
    role: Role
    area_ids: frozenset[str] | None = frozenset()
    scopes: frozenset[str] = frozenset()
    trusted: bool = True
    session_id: str | None = None
    address: str = ""

    @property
    def is_person(self) -> bool:
        """Whether what they do is done by hand."""
        return self.role in MEMBER_ROLES or self.role in DESK_ROLES


class About(Struct, frozen=True, kw_only=True):
    """What a change is about, as far as it matters for whether it may be.

    A door states what it knows: ``area_id`` always where there is one (who is limited to areas is
    refused without it), ``member_id`` and ``device_id`` whoever is spoken for, ``action`` the word
    of ``member-actions`` or ``operator-actions``.
    """

    area_id: str | None = None
    member_id: str | None = None
    device_id: str | None = None
    dispatch_id: str | None = None
    incident_id: str | None = None
    matter_id: str | None = None
    action: str | None = None


NOTHING_MORE: Final = About()


class Permit(Struct, frozen=True, kw_only=True):
    """That this principal may make this change about this: only ``Access.authorise`` makes one.

    Whatever changes something outside asks for it, so that nothing can be changed unasked.
    """

    principal: Principal
    change: Change
    about: About


class Unauthenticated(Exception):
    """Nobody's name was proved; the message says what is expected, never what was given."""


class Forbidden(Exception):
    """The principal may not; the message says what they may not, never about whom."""


class Visitor(Protocol):
    """What of a request may prove a name."""

    @property
    def method(self) -> str: ...  # noqa: D102 - as in HTTP
    @property
    def path(self) -> str: ...  # noqa: D102 - as in HTTP
    @property
    def query(self) -> str: ...  # noqa: D102 - as in HTTP
    @property
    def body(self) -> bytes: ...  # noqa: D102 - as in HTTP
    @property
    def received_ms(self) -> int: ...  # noqa: D102 - as in HTTP
    @property
    def peer(self) -> str:
        """The address that the request came from."""
        ...

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        ...


class Access(Protocol):
    """Who is who, and who may what. Every refusal is written down by it."""

    async def identify(self, visitor: Visitor) -> Principal:
        """Prove a name. Raises Unauthenticated."""
        ...

    async def authorise(self, principal: Principal, change: Change, about: About) -> Permit:
        """Allow one change, or raise Forbidden: the one place where that is decided."""
        ...


class NobodyMay:
    """The access of a gateway that was told of no principals: every door but health is closed."""

    async def identify(self, visitor: Visitor) -> Principal:  # noqa: ARG002 - nobody is known
        """Raise Unauthenticated."""
        raise Unauthenticated("nobody is let in yet: `xiaohe access` adds principals")

    async def authorise(self, principal: Principal, change: Change, about: About) -> Permit:  # noqa: ARG002
        """Raise Forbidden."""
        raise Forbidden("nobody may do this yet: `xiaohe access` adds principals")
