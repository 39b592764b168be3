"""Who may what: one table, and one function that reads it. What the table does not name is denied.

Pure: what has to be known of the world (whose an order is, who leads whom, what was referred to
whom) comes in as ``Circumstances``. docs/access.md is made of this table.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from xiaohe.gateway.access.principal import About, Change, Principal, Role


class Circumstances(Struct, frozen=True, kw_only=True):
    """What is known of that which a change is about.

    ``order_of`` is the member whose order it is, None where the gateway has not seen the order:
    then the engine decides (``not_yours``). ``device_signs``: the device has a key, so that
    nobody else may speak for it.
    """

    order_of: str | None = None
    same_squad: bool = False
    same_squadron: bool = False
    referred: bool = False
    device_signs: bool = False


class Proviso(StrEnum):
    """What has to be so for a row of the table to count; the value is what a refusal says."""

    IN_AREA = "only in an area of their own, which has to be named"
    EVERY_AREA = "only with every area for their own"
    AS_THEMSELVES = "only for themselves"
    NOT_AS_ANOTHER = "not in another's name"
    OF_THEIR_SQUAD = "only for members of their own squad"
    OF_THEIR_SQUADRON = "only for members of their own squadron"
    OWN_ORDER = "only to an order of their own"
    REFERRED = "only where it was referred to them"
    SCOPE = "only with that scope on their key"
    TRUSTED = "only what can prove its name"
    UNTRUSTED = "only through a door that was opened for it"
    KEYLESS = "not for a device that has a key to sign with"


class Allowed(Struct, frozen=True, kw_only=True):
    """One row: these roles may make this change, with these words (None: all), provided that."""

    roles: tuple[Role, ...]
    change: Change
    provisos: tuple[Proviso, ...] = ()
    actions: frozenset[str] | None = None


_P = Proviso
_MEMBERS: Final[tuple[Role, ...]] = ("member", "squad_leader", "squadron_leader")
_LEADERS: Final[tuple[Role, ...]] = ("squad_leader", "squadron_leader")
_DESKS: Final[tuple[Role, ...]] = ("duty_lead", "police_room")
_WHOLE_DESK: Final = frozenset(
    {
        "dispatch", "stand_down", "update", "message", "cancel", "close", "reopen", "merge",
        "unmerge", "acknowledge", "triage", "sign", "return", "answer", "refer", "return_visit",
        "bulletin", "close_road", "open_road",
    }
)  # fmt: skip
_REFERRED: Final = frozenset({"answer", "sign", "return"})
_DUTY: Final = frozenset({"on_duty", "off_duty", "break", "resume"})

TABLE: Final[tuple[Allowed, ...]] = (
    # Members: for themselves; leaders also declare the duty of those they lead.
    Allowed(
        roles=_MEMBERS, change=Change.ORDER_ANSWER,
        provisos=(_P.AS_THEMSELVES, _P.OWN_ORDER),
    ),
    Allowed(
        roles=_MEMBERS, change=Change.DUTY_REPORT, provisos=(_P.AS_THEMSELVES, _P.IN_AREA),
    ),
    Allowed(
        roles=_LEADERS, change=Change.DUTY_REPORT, actions=_DUTY,
        provisos=(_P.OF_THEIR_SQUAD, _P.IN_AREA),
    ),
    Allowed(
        roles=("squadron_leader",), change=Change.DUTY_REPORT, actions=_DUTY,
        provisos=(_P.OF_THEIR_SQUADRON, _P.IN_AREA),
    ),
    Allowed(
        roles=_MEMBERS, change=Change.ALERT_REPORT, provisos=(_P.NOT_AS_ANOTHER, _P.IN_AREA),
    ),
    Allowed(
        roles=_MEMBERS, change=Change.POSITION_REPORT, provisos=(_P.AS_THEMSELVES, _P.IN_AREA),
    ),
    Allowed(roles=_MEMBERS, change=Change.EVENTS_READ, provisos=(_P.AS_THEMSELVES, _P.IN_AREA)),
    Allowed(
        roles=_LEADERS, change=Change.DESK_DECIDE, provisos=(_P.IN_AREA,),
        actions=frozenset({"acknowledge", "message"}),
    ),
    # Desks. The command centre's and the police room's stand at the same incidents.
    Allowed(
        roles=_DESKS, change=Change.DESK_DECIDE, provisos=(_P.IN_AREA,), actions=_WHOLE_DESK,
    ),
    Allowed(
        roles=("duty_lead",), change=Change.DESK_DECIDE, provisos=(_P.IN_AREA,),
        actions=frozenset({"set_mode"}),
    ),
    Allowed(
        roles=("community_office",), change=Change.DESK_DECIDE, provisos=(_P.IN_AREA,),
        actions=frozenset(
            {"triage", "sign", "return", "answer", "refer", "return_visit", "message"}
        ),
    ),
    Allowed(
        roles=("duty_lead", "police_room", "community_office"), change=Change.ALERT_REPORT,
        provisos=(_P.IN_AREA,),
    ),
    Allowed(
        roles=_DESKS, change=Change.DUTY_REPORT, provisos=(_P.IN_AREA,), actions=_DUTY,
    ),
    Allowed(
        roles=("duty_lead", "police_room", "community_office", "auditor"),
        change=Change.EVENTS_READ, provisos=(_P.IN_AREA,),
    ),
    Allowed(
        roles=("department",), change=Change.REFERRAL_ANSWER, provisos=(_P.REFERRED,),
        actions=_REFERRED,
    ),
    Allowed(roles=("department",), change=Change.EVENTS_READ, provisos=(_P.REFERRED,)),
    Allowed(roles=("duty_lead",), change=Change.DEVICE_MANAGE, provisos=(_P.IN_AREA,)),
    Allowed(roles=("duty_lead",), change=Change.WEBHOOK_MANAGE, provisos=(_P.IN_AREA,)),
    Allowed(roles=("duty_lead",), change=Change.ACCESS_MANAGE, provisos=(_P.EVERY_AREA,)),
    # Programs, each with what its key names; none of them answers an order or lets others in.
    *(
        Allowed(roles=("service",), change=change, provisos=(_P.SCOPE, _P.IN_AREA))
        for change in (
            Change.ALERT_REPORT, Change.POSITION_REPORT, Change.DUTY_REPORT, Change.DESK_DECIDE,
            Change.DEVICE_MANAGE, Change.EVENTS_READ, Change.WEBHOOK_MANAGE,
        )
    ),
    # Devices.
    Allowed(
        roles=("device",), change=Change.POSITION_REPORT,
        provisos=(_P.TRUSTED, _P.AS_THEMSELVES),
    ),
    Allowed(
        roles=("device",), change=Change.ALERT_REPORT,
        provisos=(_P.TRUSTED, _P.NOT_AS_ANOTHER, _P.IN_AREA),
    ),
    Allowed(
        roles=("device",), change=Change.POSITION_REPORT,
        provisos=(_P.UNTRUSTED, _P.KEYLESS, _P.IN_AREA),
    ),
)  # fmt: skip
"""The whole of it. docs/access.md shows it, and tests/gateway holds every cell of it."""


def refusal_of(
    principal: Principal, change: Change, about: About, known: Circumstances
) -> str | None:
    """Give why this may not be, or None where it may.

    A row counts if it names role, change and word; any one whose provisos all hold is enough.
    """
    refusal = f"a {principal.role.replace('_', ' ')} may not: {change.value}"
    for row in _rows(principal.role, change, about.action):
        unmet = next(
            (p for p in row.provisos if not HOLDS[p](principal, change, about, known)), None
        )
        if unmet is None:
            return None
        refusal = f"{principal.role.replace('_', ' ')}, {change.value}: {unmet.value}"
    return refusal


def _rows(role: Role, change: Change, action: str | None) -> Iterator[Allowed]:
    for row in TABLE:
        word_counts = row.actions is None or action in row.actions
        if role in row.roles and row.change == change and word_counts:
            yield row


def _in_area(principal: Principal, _: Change, about: About, __: Circumstances) -> bool:
    return principal.area_ids is None or about.area_id in principal.area_ids


def _as_themselves(principal: Principal, _: Change, about: About, __: Circumstances) -> bool:
    if principal.role == "device":
        return about.device_id == principal.principal_id and about.member_id is None
    return about.member_id == principal.principal_id and about.device_id is None


def _not_as_another(principal: Principal, _: Change, about: About, __: Circumstances) -> bool:
    if principal.role == "device":
        return about.member_id is None and about.device_id in {None, principal.principal_id}
    return about.device_id is None and about.member_id in {None, principal.principal_id}


def _own_order(principal: Principal, _: Change, about: About, known: Circumstances) -> bool:
    return about.dispatch_id is not None and known.order_of in {None, principal.principal_id}


def _referred(principal: Principal, _: Change, about: About, known: Circumstances) -> bool:
    # Whoever has a link instead of an account has it for one thing.
    named = {about.incident_id, about.matter_id} - {None}
    return known.referred and (not principal.scopes or named <= principal.scopes)


HOLDS: Final[Mapping[Proviso, Callable[[Principal, Change, About, Circumstances], bool]]] = {
    Proviso.IN_AREA: _in_area,
    Proviso.EVERY_AREA: lambda principal, _, __, ___: principal.area_ids is None,
    Proviso.AS_THEMSELVES: _as_themselves,
    Proviso.NOT_AS_ANOTHER: _not_as_another,
    Proviso.OF_THEIR_SQUAD: lambda _, __, ___, known: known.same_squad,
    Proviso.OF_THEIR_SQUADRON: lambda _, __, ___, known: known.same_squadron,
    Proviso.OWN_ORDER: _own_order,
    Proviso.REFERRED: _referred,
    Proviso.SCOPE: lambda principal, change, _, __: change.value in principal.scopes,
    Proviso.TRUSTED: lambda principal, _, __, ___: principal.trusted,
    Proviso.UNTRUSTED: lambda principal, _, __, ___: not principal.trusted,
    Proviso.KEYLESS: lambda _, __, ___, known: not known.device_signs,
}
"""How each proviso is looked at."""
