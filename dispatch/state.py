"""What the engine knows of one area: values folded from recorded facts, never changed in place.

A whole area is persistent (a change shares all that did not change), so a decision may look at
any state for as long as it likes, and the state before and after a fact can be compared.

What is kept by the hundred thousand is hidden from the garbage collector (``gc=False``): values
that are never changed cannot hold one another in a circle, and walking through all of them would
stop the worker for seconds.
"""

from __future__ import annotations  # rpds maps cannot be subscripted at run time

from dataclasses import dataclass, field

from msgspec import Struct
from rpds import HashTrieMap

from xiaohe.dispatch.facts import OPERATOR_RULE, Responsible, Why
from xiaohe.dispatch.inputs import AidOrigin, Position
from xiaohe.dispatch.lifecycle import LIVE, IncidentState, OrderEnd, OrderState, Role
from xiaohe.dispatch.ordered import Ordered


class Order(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One member asked to go to one incident.

    ``role`` is the role the order was given with; ``acting`` the one it has now, for a backup
    takes the place of a primary who never came. ``offered`` is false for a member who found the
    incident: nobody was asked, so no order is published. ``asked_on`` says that the offer is old
    enough for the next member to be asked as well, ``barred`` that a person took the member off.
    ``instead_of`` names an order that this one is to replace.
    """

    dispatch_id: str
    alert_id: str
    member_id: str
    role: Role
    acting: Role
    state: OrderState = "ordered"
    end: OrderEnd | None = None
    end_reason: str | None = None
    offered: bool = True
    asked_on: bool = False
    predicted_late: bool = False
    revived: bool = False
    barred: bool = False
    ordered_ms: int = 0
    accept_by_ms: int = 0
    arrive_by_ms: int = 0
    eta_s: float | None = None
    distance_m: float | None = None
    gap_m: float | None = None
    instead_of: str | None = None
    route: tuple[str, ...] = ()
    why: Why | None = None
    accepted_ms: int | None = None
    en_route_ms: int | None = None
    arrived_ms: int | None = None
    ended_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """The member is bound by it."""
        return self.state != "ended"

    @property
    def is_taken(self) -> bool:
        """The member has accepted and not ended it."""
        return self.state in {"accepted", "en_route", "arrived"}

    @property
    def is_by_hand(self) -> bool:
        """A desk gave it, so the engine does not give it otherwise."""
        return self.why is not None and self.why.rule == OPERATOR_RULE


class Deadline(Struct, frozen=True, gc=False):
    """Something that falls due; the name says what (``deadlines.py``)."""

    name: str
    due_ms: int


class Timeline(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """When each milestone was first reached, ms; None where it has not been, or was skipped."""

    received_ms: int
    dispatched_ms: int | None = None
    accepted_ms: int | None = None
    en_route_ms: int | None = None
    arrived_ms: int | None = None
    backup_required_ms: int | None = None
    backup_arrived_ms: int | None = None
    resolved_ms: int | None = None
    closed_ms: int | None = None


class Incident(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What is being handled. ``received_ms`` is where its windows count from.

    ``accept_by_ms`` is null where a member found it: nobody had to accept or to arrive, so
    neither is measured. ``orders`` before ``tried_from`` are of the time before it was reopened.
    ``set_aside``: the engine failed on it (``aside.py``) and chooses nobody for it any more.
    """

    incident_id: str
    area_id: str
    alert_id: str
    alerts: tuple[str, ...]
    source: str
    category: str
    priority: int
    mode: str
    state: IncidentState = "open"
    position: Position | None = None
    place: Position | None = None
    road_id: str | None = None
    off_road_m: float | None = None
    responsible: Responsible = Responsible()
    needed: int = 1
    skills: tuple[str, ...] = ()
    forces: tuple[str, ...] = ()
    drill: bool = False
    reported_by: str | None = None
    distress_of: str | None = None
    origin: AidOrigin | None = None
    received_ms: int
    accept_by_ms: int | None
    arrive_by_ms: int
    backup_by_ms: int | None = None
    backup_wanted: int = 0
    timeline: Timeline
    orders: tuple[Order, ...] = ()
    attempts: int = 0
    tried_from: int = 0
    deadlines: tuple[Deadline, ...] = ()
    overdue: tuple[str, ...] = ()
    unfilled: tuple[str, ...] = ()
    unfilled_role: Role = "primary"
    aid_asked: tuple[str, ...] = ()
    aid_requests: int = 0
    rung: int = 0
    acknowledged: bool = False
    set_aside: bool = False
    merged_into: str | None = None
    merged_from: IncidentState | None = None
    last_seq: int = 0

    @property
    def is_live(self) -> bool:
        """Somebody may still have to go."""
        return self.state in LIVE

    @property
    def is_measured(self) -> bool:
        """The windows of acceptance and arrival count: it was reported, not found."""
        return self.accept_by_ms is not None

    @property
    def is_attended(self) -> bool:
        """Somebody is on scene, in whatever role."""
        return any(order.state == "arrived" for order in self.orders)

    def served(self, acting: Role) -> int:
        """Count those who came in this role and have done their part; nobody replaces them."""
        mine = self.orders[self.tried_from :]
        return sum(o.end == "completed" and o.acting == acting for o in mine)

    def order(self, dispatch_id: str) -> Order | None:
        """Give the order of this id."""
        return next((o for o in self.orders if o.dispatch_id == dispatch_id), None)

    def open_orders(self, acting: Role | None = None) -> tuple[Order, ...]:
        """Give the orders that bind a member, of one role or of both."""
        return tuple(o for o in self.orders if o.is_open and acting in {None, o.acting})

    def is_second(self, order: Order) -> bool:
        """Tell whether an offer only stands by: it is to replace an order that is still open."""
        first = None if order.instead_of is None else self.order(order.instead_of)
        return first is not None and first.is_open

    def seconds_of(self, dispatch_id: str) -> tuple[Order, ...]:
        """Give the offers that stand by to replace an order."""
        return tuple(o for o in self.orders if o.is_open and o.instead_of == dispatch_id)

    def due_ms(self, name: str) -> int | None:
        """Give when the deadline of this name is due, or None where it is not open."""
        return next((d.due_ms for d in self.deadlines if d.name == name), None)


class SeenAlert(Struct, frozen=True, gc=False):
    """An alert that was taken: to which incident it went and what it said."""

    incident_id: str
    fingerprint: str
    received_ms: int


class DutyWord(Struct, frozen=True, gc=False):
    """A member's own word on being on duty, and how long it holds."""

    on_duty: bool
    until_ms: int | None
    device_ids: tuple[str, ...] = ()


class Starting(Struct, frozen=True, gc=False, order=True):
    """Where somebody was ordered to who has not set out, and how far away the farthest was then.

    Enough to tell at once, for nearly every fix of a moving fleet, that it changes nothing.
    """

    incident_id: str
    lon: float
    lat: float
    off_road_m: float
    eta_s: float


class Waiting(Struct, frozen=True, gc=False, order=True):
    """A live incident that lacks somebody; the most urgent is the least."""

    priority: int
    received_ms: int
    incident_id: str


class Offered(Struct, frozen=True, gc=False, order=True):
    """When a live incident's newest unanswered offer was made."""

    ordered_ms: int
    incident_id: str


class Holding(Struct, frozen=True, gc=False):
    """The one open order that a member has."""

    incident_id: str
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class AreaState:
    """One area. What stands after ``duty`` follows from ``incidents`` and ``duty``."""

    area_id: str
    mode: str
    incidents: HashTrieMap[str, Incident] = field(default_factory=HashTrieMap)
    alerts: HashTrieMap[str, SeenAlert] = field(default_factory=HashTrieMap)
    actions: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    closed_roads: frozenset[str] = frozenset()
    breaks: HashTrieMap[str, int | None] = field(default_factory=HashTrieMap)
    """Members on a break, and until when at the latest."""
    duty: HashTrieMap[str, DutyWord] = field(default_factory=HashTrieMap)
    devices: HashTrieMap[str, str] = field(default_factory=HashTrieMap)
    """Devices taken for a shift, and by whom."""
    holding: HashTrieMap[str, Holding] = field(default_factory=HashTrieMap)
    order_incident: HashTrieMap[str, str] = field(default_factory=HashTrieMap)
    live_by_road: HashTrieMap[str, tuple[str, ...]] = field(default_factory=HashTrieMap)
    distressed: frozenset[str] = frozenset()
    """Members whose own alarm is open: they go nowhere."""
    wanting: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    """Live incidents that lack somebody, with their priority."""
    waiting: Ordered[Waiting] = field(default_factory=Ordered)
    """The same, the most urgent first."""
    starting: Ordered[Starting] = field(default_factory=Ordered)
    """Live incidents that somebody was ordered to who has not set out, by their ids."""
    offered: Ordered[Offered] = field(default_factory=Ordered)
    """Those of them that somebody was ordered to who has not answered, the newest offer last."""
    served_ms: HashTrieMap[str, tuple[int, ...]] = field(default_factory=HashTrieMap)
    """When each member's orders ended that they had taken, the oldest first."""
