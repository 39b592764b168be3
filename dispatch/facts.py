"""What a decision records: facts in the past tense, the vocabulary of the incident-events topic.

Every fact here but the last group is published under its ``type``; its fields are the event's
``data`` (``…_ms`` becomes an RFC 3339 time there). State is folded from these facts alone, so a
fact carries whatever the fold needs. No fact carries a caller's words or number: the log of
decisions is kept without limit.
"""

from msgspec import Struct

from xiaohe.dispatch.inputs import AidOrigin, Position
from xiaohe.dispatch.lifecycle import IncidentState, OrderEnd, Role


class Responsible(Struct, frozen=True, gc=False):
    """Who answers for the road at this moment: the squad and the owners on duty."""

    team: str | None = None
    members: tuple[str, ...] = ()


class Candidate(Struct, frozen=True, gc=False, omit_defaults=True):
    """One member who was looked at; ``excluded`` says why they were passed over, or is null.

    Of who could have gone ``place`` is where they were taken to be: at a fix of ``fix_age_s``,
    ``accuracy_m`` (not ``trusted`` where a newer one was a leap), or, without a fresh one, at
    their post; ``rule`` is the one by which they could: ``owner``, ``team`` or ``nearest``.
    """

    member_id: str
    eta_s: float | None
    excluded: str | None
    distance_m: float | None = None
    rule: str | None = None
    mode: str | None = None
    place: Position | None = None
    at_post: bool = False
    fix_age_s: float | None = None
    accuracy_m: float | None = None
    trusted: bool = True


class Why(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why this member: enough to judge the choice without the engine.

    Everybody who could be met within ``searched_s`` of travel was looked at; the nearest are among
    ``candidates``, ``left_out`` counts the others by reason. Owner and squad come first only while
    they are there within ``in_time_s``. ``from_place`` is where the search began: ``off_road_m``
    from where the incident is. ``together`` names incidents decided jointly with this one,
    ``instead_of`` an order that this one is to replace.
    """

    rule: str
    candidates: tuple[Candidate, ...]
    fix_age_s: float | None
    roads_version: str
    policy_version: str
    roster_version: str = ""
    from_place: Position | None = None
    off_road_m: float | None = None
    in_time_s: float | None = None
    searched_s: float | None = None
    left_out: dict[str, int] = {}
    closed_roads: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    instead_of: str | None = None


class _Fact(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    incident_id: str


class IncidentOpened(_Fact, tag="incident.opened", frozen=True, kw_only=True):
    """A new incident, its place, its windows, and who answers for it.

    ``place`` is where the search for members ends: the stated position, or for a road alone the
    point half way along it. ``off_road_m`` is how far that is from the nearest access point.
    ``odd`` names what was unusual about the alert. Where nobody can say where it is,
    ``candidates`` are the roads that its address may mean, for a person to choose from.
    """

    alert_id: str
    fingerprint: str
    source: str
    category: str
    priority: int
    mode: str
    position: Position | None
    road_id: str | None
    responsible: Responsible
    place: Position | None = None
    off_road_m: float | None = None
    odd: tuple[str, ...] = ()
    received_ms: int
    accept_by_ms: int | None
    arrive_by_ms: int
    needed: int
    skills: tuple[str, ...] = ()
    forces: tuple[str, ...] = ()
    drill: bool = False
    reported_by: str | None = None
    distress_of: str | None = None
    origin: AidOrigin | None = None
    candidates: tuple[str, ...] = ()


class AlertAttached(_Fact, tag="alert.attached", frozen=True, kw_only=True):
    """A further alert belongs to this incident: ``same``, ``supplement`` or ``correction``.

    ``same`` says it again, ``correction`` says it otherwise; a ``supplement`` came to this
    incident, or back to it, because a person merged two incidents or took them apart.
    """

    alert_id: str
    fingerprint: str
    relation: str


class IncidentUpdated(_Fact, tag="incident.updated", frozen=True, kw_only=True):
    """What is known of the incident changed; a field that is absent stays as it was.

    ``relocated``: the place is another, and position, place, road_id, off_road_m and responsible
    all are as given here, null too. ``detached`` names alerts that belong elsewhere from now on,
    ``promoted`` the order of a backup who takes the place of a primary.
    """

    by: str
    reason: str | None = None
    category: str | None = None
    priority: int | None = None
    mode: str | None = None
    position: Position | None = None
    place: Position | None = None
    road_id: str | None = None
    off_road_m: float | None = None
    responsible: Responsible | None = None
    needed: int | None = None
    skills: tuple[str, ...] | None = None
    forces: tuple[str, ...] | None = None
    accept_by_ms: int | None = None
    arrive_by_ms: int | None = None
    backup_by_ms: int | None = None
    relocated: bool = False
    promoted: str | None = None
    detached: tuple[str, ...] = ()
    text: str | None = None


class _OfOrder(_Fact, frozen=True, kw_only=True):
    dispatch_id: str
    member_id: str
    role: Role


OPERATOR_RULE = "operator"
"""The ``rule`` of an order that a desk gave by hand."""


class _Dispatched(_OfOrder, frozen=True, kw_only=True):
    alert_id: str
    accept_by_ms: int
    arrive_by_ms: int
    eta_s: float | None
    distance_m: float | None
    route: tuple[str, ...] = ()
    why: Why
    instead_of: str | None = None


class MemberDispatched(_Dispatched, tag="member.dispatched", frozen=True, kw_only=True):
    """A primary was ordered to go; ``instead_of`` an order that it replaces once accepted."""


class BackupDispatched(_Dispatched, tag="backup.dispatched", frozen=True, kw_only=True):
    """A reinforcement was ordered to go."""


class MemberAccepted(_OfOrder, tag="member.accepted", frozen=True, kw_only=True):
    """The member takes the order; ``gap_m`` is how far by road they then were."""

    implied: bool = False
    gap_m: float | None = None


class MemberDeclined(_OfOrder, tag="member.declined", frozen=True, kw_only=True):
    """The member cannot go."""

    reason: str | None = None


class MemberEnRoute(_OfOrder, tag="member.en_route", frozen=True, kw_only=True):
    """The member has set out."""

    implied: bool = False


class MemberArrived(_OfOrder, tag="member.arrived", frozen=True, kw_only=True):
    """A primary is on scene, by their word or by position; or found it there themselves."""

    by: str
    alert_id: str | None = None


class BackupArrived(_OfOrder, tag="backup.arrived", frozen=True, kw_only=True):
    """A reinforcement is on scene."""

    by: str


class MemberStoodDown(_OfOrder, tag="member.stood_down", frozen=True, kw_only=True):
    """The order was taken back; ``end`` says whether with the whole incident.

    ``barred``: a person took this member off, so nobody but a person puts them on it again.
    """

    reason: str
    by: str | None = None
    end: OrderEnd = "stood_down"
    barred: bool = False


class MemberLapsed(_OfOrder, tag="member.lapsed", frozen=True, kw_only=True):
    """The order ran out: never answered, or accepted and never arrived."""

    reason: str


class MemberCompleted(_OfOrder, tag="member.completed", frozen=True, kw_only=True):
    """The member has done what was to be done there."""

    outcome: str | None = None


class _Overdue(_Fact, frozen=True, kw_only=True):
    due_ms: int
    late_s: float
    estimate_s: float | None = None


class AcceptanceOverdue(_Overdue, tag="acceptance.overdue", frozen=True, kw_only=True):
    """The first window passed with nobody having accepted."""


class ArrivalOverdue(_Overdue, tag="arrival.overdue", frozen=True, kw_only=True):
    """The second window passed with nobody on scene."""


class BackupOverdue(_Overdue, tag="backup.overdue", frozen=True, kw_only=True):
    """The third window passed with no reinforcement on scene."""


class ArrivalPredictedLate(_OfOrder, tag="arrival.predicted_late", frozen=True, kw_only=True):
    """This member will not be there in time; ``estimate_s`` null: silent, or not moving."""

    due_ms: int
    estimate_s: float | None
    reason: str


class BackupRequired(_Fact, tag="backup.required", frozen=True, kw_only=True):
    """Reinforcement is needed from now on, ``wanted`` members of it."""

    reason: str
    due_ms: int | None
    wanted: int
    by: str | None = None


class IncidentUnfilled(_Fact, tag="incident.unfilled", frozen=True, kw_only=True):
    """Nobody can go, and why, reason by reason."""

    reasons: tuple[str, ...]
    role: Role = "primary"


class CommandNotified(_Fact, tag="command.notified", frozen=True, kw_only=True):
    """A rung of the command ladder is told; ``who`` are members or desks."""

    rung: str
    who: tuple[str, ...]
    by: str
    reason: str
    acknowledge_by_ms: int | None


class _ByPerson(_Fact, frozen=True, kw_only=True):
    by: str
    reason: str | None = None


class CommandAcknowledged(_ByPerson, tag="command.acknowledged", frozen=True, kw_only=True):
    """A person has taken note; the ladder stops."""


class IncidentResolved(_ByPerson, tag="incident.resolved", frozen=True, kw_only=True):
    """What was to be done on scene is done."""

    outcome: str | None = None


class IncidentReferred(_ByPerson, tag="incident.referred", frozen=True, kw_only=True):
    """It was handed to somebody else."""


class IncidentReturnVisited(_ByPerson, tag="incident.return_visited", frozen=True, kw_only=True):
    """The reporter was asked afterwards."""


class IncidentClosed(_ByPerson, tag="incident.closed", frozen=True, kw_only=True):
    """The file is closed."""


class IncidentReopened(_ByPerson, tag="incident.reopened", frozen=True, kw_only=True):
    """It lives again; its windows count anew, from the receipt of the word."""

    received_ms: int
    accept_by_ms: int
    arrive_by_ms: int


class IncidentCancelled(_ByPerson, tag="incident.cancelled", frozen=True, kw_only=True):
    """There is nothing to go to."""


class IncidentMerged(_Fact, tag="incident.merged", frozen=True, kw_only=True):
    """It is the same matter as another incident."""

    into: str
    by: str
    reason: str | None = None


class IncidentUnmerged(_ByPerson, tag="incident.unmerged", frozen=True, kw_only=True):
    """It is a matter of its own after all, as it was before the merger: ``was``."""

    was: IncidentState = "open"


# Facts of the area, published on area-events.


class _AreaFact(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    by: str
    reason: str | None = None


class ModeChanged(_AreaFact, tag="mode.changed", frozen=True, kw_only=True):
    """The area turned to peacetime or to emergency."""

    mode: str


class RoadClosed(_AreaFact, tag="road.closed", frozen=True, kw_only=True):
    """Nobody can go along this road for now."""

    road_id: str


class RoadOpened(_AreaFact, tag="road.opened", frozen=True, kw_only=True):
    """The road can be used again."""

    road_id: str


# Facts that the fold needs and nobody outside reads.


class DutyDeclared(Struct, frozen=True, kw_only=True, tag_field="type", tag="duty.declared"):
    """A member's own word on being on duty; it holds until ``until_ms`` (null: the next word)."""

    member_id: str
    on_duty: bool
    until_ms: int | None
    device_ids: tuple[str, ...] = ()


class BreakDeclared(Struct, frozen=True, kw_only=True, tag_field="type", tag="break.declared"):
    """A member takes a break, or is back from it; ``until_ms`` as for the word on duty."""

    member_id: str
    on_break: bool
    until_ms: int | None = None


class AidRequested(_Fact, tag="aid.requested", frozen=True, kw_only=True):
    """A neighbouring area is asked to send somebody: an alert of its own goes there."""

    alert_id: str
    to_area_id: str
    needed: int


class OfferAged(_Fact, tag="offer.aged", frozen=True, kw_only=True):
    """An offer has waited long enough: the next member may be asked as well."""

    dispatch_id: str


class IncidentSetAside(_Fact, tag="incident.set_aside", frozen=True, kw_only=True):
    """The engine failed on this incident again and again: from now on a person decides it."""


class DeadlineSet(_Fact, tag="deadline.set", frozen=True, kw_only=True):
    """Something falls due at ``due_ms``; null takes the deadline back."""

    deadline: str
    due_ms: int | None


IncidentFact = (
    IncidentOpened
    | AlertAttached
    | IncidentUpdated
    | MemberDispatched
    | BackupDispatched
    | MemberAccepted
    | MemberDeclined
    | MemberEnRoute
    | MemberArrived
    | BackupArrived
    | MemberStoodDown
    | MemberLapsed
    | MemberCompleted
    | AcceptanceOverdue
    | ArrivalOverdue
    | BackupOverdue
    | ArrivalPredictedLate
    | BackupRequired
    | IncidentUnfilled
    | CommandNotified
    | CommandAcknowledged
    | IncidentResolved
    | IncidentReferred
    | IncidentReturnVisited
    | IncidentClosed
    | IncidentReopened
    | IncidentCancelled
    | IncidentMerged
    | IncidentUnmerged
)
"""Published on incident-events; each takes the next ``seq`` of its incident."""

AreaFact = ModeChanged | RoadClosed | RoadOpened
"""Published on area-events."""

HiddenFact = (
    DutyDeclared | BreakDeclared | AidRequested | OfferAged | IncidentSetAside | DeadlineSet
)
"""Kept in the decisions log only."""

Fact = IncidentFact | AreaFact | HiddenFact


def type_of(fact: Fact) -> str:
    """Give the ``type`` under which a fact is recorded and published."""
    tag = fact.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
