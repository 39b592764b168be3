"""What the engine knows of one area: values folded from recorded facts, never changed in place.

A whole area is persistent (a change shares all that did not change), so a decision may look at
any state for as long as it likes, and the state before and after a fact can be compared.

What is kept by the hundred thousand is hidden from the garbage collector (``gc=False``): values
that are never changed cannot hold one another in a circle, and walking through all of them would
stop the worker for seconds.
"""

from __future__ import annotations  # rpds maps cannot be subscripted at run time

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct
from rpds import HashTrieMap

from xiaohe.dispatch.facts import OPERATOR_RULE, Responsible, Why
from xiaohe.dispatch.ids import incident_id_of_order
from xiaohe.dispatch.inputs import AidOrigin, Position
from xiaohe.dispatch.lifecycle import LIVE, IncidentState, OrderEnd, OrderState, Role
from xiaohe.dispatch.ordered import Ordered
from xiaohe.dispatch.packed import pack, unpack
from xiaohe.dispatch.remembered import MS_BYTES, ActionTimes, Remembered, ms_bytes


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


class Deadline(Struct, frozen=True, gc=False, omit_defaults=True):
    """Something that falls due; the name says what (``deadlines.py``).

    ``given_up``: its wake-up failed, and so did setting that aside, so nobody is called for it.
    Whoever sets the deadline anew has one that counts. ``set_ms`` is when the word was received by
    which it was set, where it was due before that: a desk makes an old incident more urgent, and
    a window has passed already.
    """

    name: str
    due_ms: int
    given_up: bool = False
    set_ms: int | None = None


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
    def is_over(self) -> bool:
        """Nobody has to go, nobody is bound by it, and nothing of it falls due."""
        return not (self.is_live or self.deadlines or any(o.is_open for o in self.orders))

    @property
    def last_ms(self) -> int:
        """When something last happened to it, of what is told for an incident that is over."""
        timeline = self.timeline
        named = (timeline.received_ms, timeline.resolved_ms, timeline.closed_ms)
        ended = (order.ended_ms for order in self.orders)
        return max(t for t in (*named, *ended) if t is not None)

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

    def set_late_ms(self, name: str) -> int | None:
        """Give when the deadline of this name was set, where it was due before that."""
        return next((d.set_ms for d in self.deadlines if d.name == name), None)

    def gave_up(self, name: str) -> bool:
        """Tell whether the deadline of this name is one that nobody is called for."""
        return any(d.given_up for d in self.deadlines if d.name == name)


class SeenAlert(Struct, frozen=True, gc=False):
    """An alert that was taken: to which incident it went and what it said."""

    incident_id: str
    fingerprint: str
    received_ms: int


INCIDENT_ID_HEAD: Final = "inc-"
HASH_BYTES: Final = 32
HASH_OF_ID_BYTES: Final = 10
"""What is hexadecimal in an incident's id and in a fingerprint (``ids.py``, ``fingerprint.py``)."""


class SeenAlerts(Remembered[SeenAlert]):
    """What is remembered of each alert."""

    __slots__ = ()

    VALUE_BYTES = MS_BYTES + HASH_BYTES + HASH_OF_ID_BYTES

    @classmethod
    def _pack(cls, value: SeenAlert) -> bytes:
        ident = value.incident_id.removeprefix(INCIDENT_ID_HEAD)
        packed = ms_bytes(value.received_ms) + bytes.fromhex(value.fingerprint + ident)
        if cls._unpack(packed) != value:
            raise ValueError(f"an alert of {value.incident_id} has none of our ids")
        return packed

    @classmethod
    def _unpack(cls, value: bytes) -> SeenAlert:
        hashes = value[MS_BYTES:]
        return SeenAlert(
            incident_id=INCIDENT_ID_HEAD + hashes[HASH_BYTES:].hex(),
            fingerprint=hashes[:HASH_BYTES].hex(),
            received_ms=int.from_bytes(value[:MS_BYTES], "big"),
        )


_INCIDENTS: Final = msgspec.json.Decoder(Incident)


class Incidents(Mapping[str, Incident]):
    """The incidents of an area, never changed in place; those that are over are packed.

    An incident that is over may be reopened, corrected or asked for until it is forgotten, a month
    later, so all of it is kept; but hardly anybody looks at it, and there are a hundred times as
    many of them as are under way. Packed, one takes a tenth of the room; it is unpacked for
    whoever asks, in some microseconds.
    """

    __slots__ = ("_over", "_under_way")

    def __init__(
        self,
        under_way: HashTrieMap[str, Incident] | None = None,
        over: HashTrieMap[str, bytes] | None = None,
    ) -> None:
        """Make one without any; what is in it comes from ``insert``."""
        self._under_way = HashTrieMap() if under_way is None else under_way
        self._over = HashTrieMap() if over is None else over

    def insert(self, incident: Incident) -> Incidents:
        """Give the same with one more, or with another state of one."""
        incident_id = incident.incident_id
        if not incident.is_over:
            under_way = self._under_way.insert(incident_id, incident)
            return Incidents(under_way, self._over.discard(incident_id))
        packed = ms_bytes(incident.last_ms) + pack(msgspec.json.encode(incident))
        return Incidents(
            self._under_way.discard(incident_id), self._over.insert(incident_id, packed)
        )

    def remove(self, incident_id: str) -> Incidents:
        """Give the same without one of them."""
        assert incident_id in self, "there is no such incident"
        return Incidents(self._under_way.discard(incident_id), self._over.discard(incident_id))

    def __getitem__(self, incident_id: str) -> Incident:
        """Give an incident. Raises KeyError."""
        incident = self._under_way.get(incident_id)
        if incident is not None:
            return incident
        return _INCIDENTS.decode(unpack(self._over[incident_id][MS_BYTES:]))

    def __contains__(self, incident_id: object) -> bool:
        """Whether there is one of this id."""
        return incident_id in self._under_way or incident_id in self._over

    def __iter__(self) -> Iterator[str]:
        """Give the ids, in no order."""
        yield from self._under_way
        yield from self._over

    def __len__(self) -> int:
        """How many there are."""
        return len(self._under_way) + len(self._over)

    def __eq__(self, other: object) -> bool:
        """Whether the same incidents are in both, in the same states."""
        if not isinstance(other, Incidents):
            return NotImplemented
        # Not by their packed bytes alone: `!=` of two equal maps is true, so it is not asked.
        return bool(self._under_way == other._under_way and self._over == other._over)

    __hash__ = None  # type: ignore[assignment]  # nobody needs it, and it would have to read all

    def under_way(self) -> Iterator[Incident]:
        """Give those that are not over."""
        return iter(self._under_way.values())

    def over_since(self) -> Iterator[tuple[str, int]]:
        """Give the ids of those that are over, and when something last happened to each, ms."""
        for incident_id, packed in self._over.items():
            yield incident_id, int.from_bytes(packed[:MS_BYTES], "big")

    def json(self, incident_id: str) -> bytes:
        """Give an incident as JSON. Raises KeyError."""
        incident = self._under_way.get(incident_id)
        if incident is not None:
            return msgspec.json.encode(incident)
        return unpack(self._over[incident_id][MS_BYTES:])


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
    incidents: Incidents = field(default_factory=Incidents)
    alerts: SeenAlerts = field(default_factory=SeenAlerts)
    actions: ActionTimes = field(default_factory=ActionTimes)
    closed_roads: frozenset[str] = frozenset()
    breaks: HashTrieMap[str, int | None] = field(default_factory=HashTrieMap)
    """Members on a break, and until when at the latest."""
    duty: HashTrieMap[str, DutyWord] = field(default_factory=HashTrieMap)
    devices: HashTrieMap[str, str] = field(default_factory=HashTrieMap)
    """Devices taken for a shift, and by whom."""
    holding: HashTrieMap[str, Holding] = field(default_factory=HashTrieMap)
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

    def incident_of_order(self, dispatch_id: str) -> Incident | None:
        """Give the incident that an order belongs to; None where there is no such order."""
        incident = self.incidents.get(incident_id_of_order(dispatch_id))
        known = incident is not None and incident.order(dispatch_id) is not None
        return incident if known else None
