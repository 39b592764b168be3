"""What comes in from outside, as typed values: one struct a message of the wire contract.

The rim decodes bytes straight into these structs, so that everything behind it can trust them.
Field names are the contract's; a field that the sender left out has its default. Times that a
sender states are evidence only and stay text (``occurred_at``, ``at``) or, where the engine
compares them (``fix_time``), are turned into milliseconds by the rim.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$(?!\n)")]
"""``*_id`` of the contract, road_id apart; in Python ``$`` alone would let a last line break in."""

Label = Annotated[str, Meta(min_length=1, max_length=128)]
"""Text of 1–128 characters in any script: road_id, category, team, reason, outcome, action."""

Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Datum = Literal["wgs84", "gcj02", "bd09"]

ALERT_TEXT_CHARACTERS_MAX = 4000
"""Length of an alert's free text, from the contract."""

POSITIONS_IN_BATCH_MAX = 1000
"""Objects in one packed positions record, from the contract."""

Text = Annotated[str, Meta(max_length=ALERT_TEXT_CHARACTERS_MAX)]

PERSONAL = Meta(extra_json_schema={"x-personal": True})
"""Marks a field that is about a person: it is in no log, no metric, no message of a fault, and no
dead letter. ``personal`` of topics.yaml says the same of each topic; a test holds them equal."""


class Position(Struct, frozen=True, gc=False):
    """A place in decimal degrees; WGS-84 once the rim has converted it."""

    lon: Longitude
    lat: Latitude
    datum: Datum = "wgs84"


class Premises(Struct, frozen=True):
    """Where inside a building: the contract's ``place``."""

    name: Text | None = None
    building: Text | None = None
    unit: Text | None = None
    floor: Text | None = None
    entrance: Text | None = None


class AidOrigin(Struct, frozen=True, gc=False):
    """Who asks for mutual aid: the area and the incident that it could not fill."""

    area_id: Identifier
    incident_id: Identifier


class Alert(Struct, frozen=True, kw_only=True):
    """Something happened somewhere. At least one of position, road_id, address is set.

    ``road_candidates`` are the roads that the address may mean, where nobody can say which.
    """

    alert_id: Identifier
    area_id: Identifier
    source: Identifier
    category: Label
    occurred_at: str
    position: Annotated[Position, PERSONAL] | None = None
    road_id: Label | None = None
    address: Annotated[Text, PERSONAL] | None = None
    priority: Annotated[int, Meta(ge=1, le=4)] = 2
    text: Annotated[Text, PERSONAL] | None = None
    caller_id: Annotated[Text, PERSONAL] | None = None
    callback: Annotated[Text, PERSONAL] | None = None
    skills: tuple[Label, ...] = ()
    needed: Annotated[int, Meta(ge=1, le=50)] | None = None
    forces: tuple[Label, ...] = ()
    place: Annotated[Premises, PERSONAL] | None = None
    reported_by: Identifier | None = None
    confidence: Share | None = None
    evidence: Annotated[tuple[Text, ...], PERSONAL] = ()
    supersedes: Identifier | None = None
    drill: bool = False
    origin: AidOrigin | None = None
    road_candidates: tuple[Label, ...] = ()


class Fix(Struct, frozen=True, kw_only=True):
    """Where one device was. Exactly one of member_id and device_id need be given.

    ``fix_time`` is the time as the sender wrote it, where that is known.
    """

    member_id: Annotated[Identifier, PERSONAL] | None = None
    device_id: Annotated[Identifier, PERSONAL] | None = None
    lon: Annotated[Longitude, PERSONAL]
    lat: Annotated[Latitude, PERSONAL]
    fix_ms: int
    fix_time: str = ""
    accuracy_m: NotNegative | None = None
    speed_mps: NotNegative | None = None
    course_deg: float | None = None
    seq: int | None = None
    battery: Share | None = None
    alarm: Label | None = None


OrderAnswer = Literal["accept", "decline", "en_route", "arrive", "request_backup", "complete"]
"""What a member says to one order; each needs ``dispatch_id``."""


class MemberAction(Struct, frozen=True, kw_only=True):
    """What a member answers or reports."""

    action_id: Identifier
    member_id: Annotated[Identifier, PERSONAL]
    at: str
    action: Label
    dispatch_id: Identifier | None = None
    reason: Label | None = None
    outcome: Label | None = None
    text: Annotated[Text, PERSONAL] | None = None
    position: Annotated[Position, PERSONAL] | None = None
    device_ids: tuple[Identifier, ...] = ()


class OperatorAction(Struct, frozen=True, kw_only=True):
    """What a desk decides by hand."""

    action_id: Identifier
    operator_id: Annotated[Identifier, PERSONAL]
    at: str
    action: Label
    incident_id: Identifier | None = None
    matter_id: Identifier | None = None
    member_id: Identifier | None = None
    into: Identifier | None = None
    mode: Literal["peacetime", "emergency"] | None = None
    road_id: Label | None = None
    reason: Label | None = None
    text: Annotated[Text, PERSONAL] | None = None
    fields: Annotated[dict[str, object], PERSONAL] = {}


class WakeUp(Struct, frozen=True, kw_only=True):
    """The engine's own note in the log that a deadline has come."""

    area_id: Identifier
    incident_id: str
    deadline: str
    due_ms: int


class RoadRole(Struct, frozen=True):
    """That a member answers for a road, alone (owner) or with the squad (team)."""

    road_id: Label
    role: Literal["owner", "team"]


class Shift(Struct, frozen=True, kw_only=True):
    """One of the contract's three forms: {start,end}, {days,start,end,timezone}, {rrule,…}."""

    start: str
    end: str
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] | None = None
    rrule: str | None = None
    timezone: str | None = None


class RosterEntry(Struct, frozen=True, kw_only=True):
    """One member: who they are, which roads they answer for, when they are on duty."""

    member_id: Annotated[Identifier, PERSONAL]
    area_id: Identifier
    name: Annotated[Label, PERSONAL]
    team: Label
    unit: Label | None = None
    rank: Literal["member", "squad_leader", "squadron_leader", "brigade_leader"] = "member"
    force: Literal["brigade", "police", "grid", "enforcement"] = "brigade"
    travel_mode: Literal["walk", "ebike", "car"] = "ebike"
    skills: tuple[Label, ...] = ()
    roads: tuple[RoadRole, ...] = ()
    shifts: Annotated[tuple[Shift, ...], PERSONAL] = ()
    post: Position | None = None
    device_ids: Annotated[tuple[Identifier, ...], PERSONAL] = ()


class Cause(Struct, frozen=True):
    """Which record of the log an input is."""

    topic: str
    partition: int
    offset: int


Body = Alert | MemberAction | OperatorAction | WakeUp | Fix


class Received(Struct, frozen=True):
    """One deciding input as it lies in the log; windows count from ``received_ms``."""

    cause: Cause
    area_id: str
    received_ms: int
    body: Body
