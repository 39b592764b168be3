"""What goes out, as types: one struct a message of the output topics.

The engine writes these records from its own state (``streams/outputs.py``); a subscriber, the
gateway and the documents read them by these types. The ``data`` of an event follows from its fact,
so that no second list of fields can fall behind; the tests hold all types to records of a running
engine, field for field.
"""

from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.inputs import AidOrigin, Position
from xiaohe.dispatch.lifecycle import IncidentState, OrderEnd, OrderState, Role

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""

UNPUBLISHED: Final = frozenset({"incident_id", "fingerprint", "gap_m", "relocated"})
"""Fields of a fact that the fold needs and nobody outside does."""

WHERE_SAID: Final = frozenset({"candidates"})
"""Fields that are published only where they say something: they came later than the others, and
what was decided before them is published as it was, to the byte."""


class _Output(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all outputs share: ``drill`` and other fields that are only there where they say
    something are left out otherwise."""


class EventCause(_Output, frozen=True, kw_only=True):
    """What led to it: a record of an input topic; or a ``deadline``, by name, with
    ``:<dispatch_id>`` where it is one order's."""

    topic: str | UnsetType = UNSET
    partition: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    deadline: str | UnsetType = UNSET


class Assignment(Struct, frozen=True):
    """One order of an incident, as it stands; ``role`` as the member acts now."""

    dispatch_id: str
    member_id: str
    role: Role
    state: OrderState
    end: OrderEnd | None
    eta_s: float | None
    ordered_at: Time | None
    accepted_at: Time | None
    en_route_at: Time | None
    arrived_at: Time | None
    ended_at: Time | None


class TimelineView(Struct, frozen=True):
    """When each step was first taken; null: not yet, or skipped."""

    received: Time | None
    dispatched: Time | None
    accepted: Time | None
    en_route: Time | None
    arrived: Time | None
    backup_required: Time | None
    backup_arrived: Time | None
    resolved: Time | None
    closed: Time | None


class DeadlinesView(Struct, frozen=True):
    """Until when; null: not measured."""

    accept_by: Time | None
    arrive_by: Time | None
    backup_by: Time | None


class IncidentView(_Output, frozen=True, kw_only=True):
    """An incident as it now stands, as of its event ``last_seq``."""

    incident_id: str
    area_id: str
    state: IncidentState
    mode: str
    priority: int
    category: str
    position: Position | None
    place: Position | None
    road_id: str | None
    off_road_m: float | None
    responsible: f.Responsible
    needed: int
    assignments: tuple[Assignment, ...]
    timeline: TimelineView
    deadlines: DeadlinesView
    alerts: tuple[str, ...]
    unfilled: tuple[str, ...]
    merged_into: str | None
    last_seq: int
    epoch: int
    drill: bool = False


class _Order(_Output, frozen=True, kw_only=True, tag_field="state"):
    dispatch_id: str
    incident_id: str
    alert_id: str
    area_id: str
    member_id: str
    role: Role
    ordered_at: Time
    accept_by: Time
    arrive_by: Time
    eta_s: float | None
    distance_m: float | None
    route: tuple[str, ...]
    why: f.Why
    epoch: int
    origin: AidOrigin | UnsetType = UNSET
    drill: bool = False


class DispatchOrdered(_Order, frozen=True, kw_only=True, tag="ordered"):
    """An order to a member to go."""


class DispatchEnded(_Order, frozen=True, kw_only=True, tag="ended"):
    """An order has ended: all its fields again, how and when."""

    end: OrderEnd
    ended_at: Time


class Place(Struct, frozen=True):
    """Where a member was last, WGS-84."""

    lon: float
    lat: float


class MemberView(_Output, frozen=True, kw_only=True):
    """A member as they now are."""

    member_id: str
    area_id: str
    state: str
    force: str
    team: str
    road_id: str | None
    position: Place | None
    fix_age_s: float | None
    trust: str
    device_ids: tuple[str, ...]
    device_ids_until: Time | None
    at: Time
    epoch: int


class DeadLetter(_Output, frozen=True, kw_only=True):
    """A record that could not be taken, and why; ``index`` in its batch."""

    topic: str
    partition: int
    offset: int
    index: int | None
    reason: str
    detail: str
    payload_sha256: str | None
    payload_head: str | None
    at: Time


class Redaction(_Output, frozen=True, kw_only=True):
    """That what is kept of an alert's personal ``fields``, by whoever keeps it, is to be erased.

    ``incident_id`` is the incident that the alert opened, where it opened one. ``gone_by`` is when
    the alert itself has left its topic at the latest. Who asked is in ``by``; who is forgotten is
    nowhere.
    """

    alert_id: str
    area_id: str
    incident_id: str
    fields: tuple[str, ...]
    gone_by: Time
    by: str
    at: Time


class RosterChanged(Struct, frozen=True, kw_only=True, tag_field="type", tag="roster.changed"):
    """A member was taken on, changed, or left."""

    member_id: str


def published(name: str) -> str:
    """Give the name under which a fact's field is published: times are text, not milliseconds."""
    if name.endswith("_by_ms"):
        return name.removesuffix("_ms")
    return f"{name.removesuffix('_ms')}_at" if name.endswith("_ms") else name


def _type_of(field: msgspec.structs.FieldInfo) -> object:
    if not field.name.endswith("_ms"):
        return field.type
    return Time | None if type(None) in get_args(field.type) else Time


def _data_of(fact: type[Struct]) -> type[Struct]:
    """Make the type of an event's ``data``. An update has only what changed, a deadline's event
    two fields more, and some have a field only where it says something."""
    stated = [x for x in msgspec.structs.fields(fact) if x.name not in UNPUBLISHED]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in stated:
        always = fact is not f.IncidentUpdated or field.name in ("by", "reason")
        always = always and field.name not in WHERE_SAID
        name, kind = published(field.name), _type_of(field)
        fields.append((name, kind) if always else (name, kind | UnsetType, UNSET))
    for name, kind in (("due_at", Time | None), ("late_s", float)):
        if name not in {field[0] for field in fields}:
            fields.append((name, kind | UnsetType, UNSET))
    return msgspec.defstruct(
        f"{fact.__name__}Data", fields, kw_only=True, frozen=True, omit_defaults=True,
        namespace={"__doc__": f"What {_tag_of(fact)} says."},
    )  # fmt: skip


def _tag_of(fact: type[Struct]) -> str:
    tag = fact.__struct_config__.tag
    assert isinstance(tag, str), "a fact's tag is its type on the wire"
    return tag


def _event_of(fact: type[Struct], *, of_incident: bool) -> type[Struct]:
    own: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("event_id", str),
        ("area_id", str),
        ("epoch", int),
        ("at", Time),
        ("cause", EventCause),
        ("data", _data_of(fact)),
    ]
    if of_incident:
        own += [("incident_id", str), ("seq", int), ("drill", bool, False)]
    return msgspec.defstruct(
        f"{fact.__name__}Event", own, kw_only=True, frozen=True, omit_defaults=True,
        tag_field="type", tag=_tag_of(fact),
        namespace={"__doc__": (fact.__doc__ or "").partition("\n")[0]},
    )  # fmt: skip


INCIDENT_EVENTS: Final = tuple(_event_of(x, of_incident=True) for x in get_args(f.IncidentFact))
"""The types of ``incident-events``, one a ``type``."""

AREA_EVENTS: Final = tuple(
    _event_of(x, of_incident=False) for x in (*get_args(f.AreaFact), RosterChanged)
)
"""The types of ``area-events``."""
