"""Incidents as their events tell them: who holds which order, and what has been overlooked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xiaohe.audit.records import Report, seconds_of

LIVE: Final = ("open", "dispatched", "accepted", "en_route", "on_scene")
"""States of an incident that goes on; each but the first is that of its furthest member."""

PROGRESS: Final[Mapping[str, int]] = {"ordered": 1, "accepted": 2, "en_route": 3, "arrived": 4}
"""States of an order that is open; the number is the place of its incident's state in LIVE."""

ORDER_EVENTS: Final[Mapping[str, str]] = {
    "member.dispatched": "ordered",
    "backup.dispatched": "ordered",
    "member.accepted": "accepted",
    "member.en_route": "en_route",
    "member.arrived": "arrived",
    "backup.arrived": "arrived",
    "member.declined": "ended",
    "member.stood_down": "ended",
    "member.lapsed": "ended",
    "member.completed": "ended",
}
"""The state of an order after each event about it."""

INCIDENT_EVENTS: Final[Mapping[str, str]] = {
    "incident.resolved": "resolved",
    "incident.closed": "closed",
    "incident.cancelled": "cancelled",
    "incident.merged": "merged",
    "incident.reopened": "open",
    "incident.unmerged": "open",
}
"""The state of an incident after each event that turns the incident itself."""

WINDOWS: Final = ("accept", "arrive", "backup")
OVERDUE: Final[Mapping[str, str]] = {
    "acceptance.overdue": "accept",
    "arrival.overdue": "arrive",
    "backup.overdue": "backup",
}
"""The window that each event tells as missed."""


@dataclass(slots=True)
class Order:
    """One order. ``offered`` is false for a member's own finding, which nobody ordered."""

    member_id: str
    acting: str
    offered: bool
    ordered_at: float
    accept_by: float | None
    state: str = "none"
    end_shown: bool = False


@dataclass(slots=True)
class Incident:
    """One incident. ``settled`` has the windows that were met, or told as missed.

    ``due`` says when each window ends, or when it was set if it had ended by then. ``arrive_s``
    is the length of the second window, last set at ``windows_at``.
    """

    incident_id: str
    area_id: str
    last_seq: int = 0
    state: str = "open"
    needed: int = 1
    received_at: float | None = None
    arrive_s: float | None = None
    windows_at: float = 0.0
    last_at: float = 0.0
    orders: dict[str, Order] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    unfilled_told: bool = False
    tended: bool = False
    too_many_told: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return self.state in LIVE

    def primaries(self) -> Iterator[Order]:
        """Give the orders that count for the first and second window."""
        return (order for order in self.orders.values() if order.acting == "primary")

    def settle_state(self) -> None:
        """A live incident stands where its furthest primary stands, and on scene where anybody is
        there."""
        if self.is_live:
            telling = (
                PROGRESS.get(order.state, 0)
                for order in self.orders.values()
                if order.acting == "primary" or order.state == "arrived"
            )
            self.state = LIVE[max(telling, default=0)]


class Incidents:
    """All incidents, folded event by event in the order of each area's partition."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._by_id: dict[str, Incident] = {}
        self._holding: dict[tuple[str, str], str] = {}

    def __iter__(self) -> Iterator[Incident]:
        """Every incident."""
        return iter(self._by_id.values())

    def __len__(self) -> int:
        """Count the incidents."""
        return len(self._by_id)

    def get(self, incident_id: str) -> Incident | None:
        """Give an incident by its id."""
        return self._by_id.get(incident_id)

    def numbered(self, incident_id: str, area_id: str, seq: int) -> Incident:
        """Give the incident of an event, whose number must be the next."""
        incident = self._by_id.setdefault(incident_id, Incident(incident_id, area_id))
        if seq != incident.last_seq + 1:
            self._report(
                "sequence_gaps", incident_id, f"event {seq} follows event {incident.last_seq}"
            )
        incident.last_seq = max(incident.last_seq, seq)
        return incident

    def fold(self, incident: Incident, kind: str, data: Mapping[str, Any], at: float) -> None:
        """Fold one event, after ``numbered``."""
        incident.last_at = at
        if kind in ORDER_EVENTS:
            self._order_event(incident, kind, data, at)
        else:
            _turn(incident, kind, data, at)
        incident.settle_state()

    def _order_event(
        self, incident: Incident, kind: str, data: Mapping[str, Any], at: float
    ) -> None:
        dispatch_id, member_id = str(data.get("dispatch_id")), str(data.get("member_id"))
        order = incident.orders.get(dispatch_id)
        if order is None:
            offered = ORDER_EVENTS[kind] == "ordered"
            if not offered and kind != "member.arrived":
                self._report("malformed_outputs", dispatch_id, f"{kind} of an order never given")
            role = str(data.get("role", "primary"))
            order = Order(member_id, role, offered, at, seconds_of(data.get("accept_by")))
            incident.orders[dispatch_id] = order
        was, order.state = order.state, ORDER_EVENTS[kind]
        if order.state == "ended":
            incident.tended |= kind == "member.completed"
            if self._holding.get((incident.area_id, order.member_id)) == dispatch_id:
                del self._holding[incident.area_id, order.member_id]
        else:
            self._hold(incident, order, dispatch_id)
            self._count_primaries(incident, was, order)
        _settle(incident, kind, order)

    def _hold(self, incident: Incident, order: Order, dispatch_id: str) -> None:
        who = (incident.area_id, order.member_id)
        held = self._holding.get(who, dispatch_id)
        if held != dispatch_id:
            what = f"{order.member_id} has this order and {held} open at once"
            self._report("duplicate_orders", dispatch_id, what)
        self._holding[who] = dispatch_id

    def _count_primaries(self, incident: Incident, was: str, order: Order) -> None:
        """Look, when an order is taken, whether more have taken one than are needed."""
        if PROGRESS.get(was, 0) > 1 or order.state == "ordered" or order.acting != "primary":
            return
        taken = sum(PROGRESS.get(o.state, 0) > 1 for o in incident.primaries())
        if taken > incident.needed and not incident.too_many_told:
            incident.too_many_told = True
            what = f"{taken} accepted primaries, and {incident.needed} needed"
            self._report("duplicate_orders", incident.incident_id, what)


def _turn(incident: Incident, kind: str, data: Mapping[str, Any], at: float) -> None:
    """Fold an event about the incident itself."""
    if kind in {"incident.opened", "incident.reopened"}:
        incident.received_at = seconds_of(data.get("received_at")) or at
        incident.due.clear()
        incident.settled.clear()
        incident.unfilled_told = incident.tended = False
    incident.state = INCIDENT_EVENTS.get(kind, incident.state)
    if kind in OVERDUE:
        incident.settled.add(OVERDUE[kind])
    if kind == "incident.unfilled":
        incident.unfilled_told = True
    if kind == "backup.required" and "backup" not in incident.due:
        _set_due(incident, "backup", data.get("due_at"), at)
    if kind in {"incident.opened", "incident.reopened", "incident.updated"}:
        _set_due(incident, "accept", data.get("accept_by"), at)
        _set_due(incident, "arrive", data.get("arrive_by"), at)
        if isinstance(data.get("needed"), int):
            incident.needed = data["needed"]
        promoted = incident.orders.get(str(data.get("promoted")))
        if promoted is not None:
            promoted.acting = "primary"


def _set_due(incident: Incident, window: str, ends_at: object, at: float) -> None:
    due = seconds_of(ends_at)
    if due is None:
        return
    incident.due[window] = max(due, at)
    if window == "arrive" and incident.received_at is not None:
        incident.arrive_s = due - incident.received_at
        incident.windows_at = at


def _settle(incident: Incident, kind: str, order: Order) -> None:
    """A window that was met is not told as missed any more."""
    if order.state == "ordered":
        incident.unfilled_told = False
    if order.state == "arrived":
        incident.settled.add("arrive")
    if kind == "backup.arrived":
        incident.settled.add("backup")
    if order.acting == "primary" and PROGRESS.get(order.state, 0) > 1:
        incident.settled.add("accept")


def overlooked(incident: Incident, by: float) -> str | None:
    """Say what should have been written about a live incident by then, or give None.

    Every window of a live incident ends met or told as missed, every order moves on in its time,
    and where nobody is ordered the reasons are told.
    """
    for window in WINDOWS:
        due = incident.due.get(window)
        if due is not None and due < by and window not in incident.settled:
            return f"the {window} window ended, and no event says so"
    for dispatch_id, order in incident.orders.items():
        limit = _limit(incident, order)
        if limit is not None and limit < by:
            return f"order {dispatch_id} has been {order.state} beyond its time"
    nobody = not any(order.state in PROGRESS for order in incident.orders.values())
    told = incident.unfilled_told or incident.tended
    if nobody and not told and incident.last_at < by:
        return "nobody is ordered to it, and nothing says why"
    return None


def _limit(incident: Incident, order: Order) -> float | None:
    """By when an order must have moved on: answered, or there within twice the window."""
    if order.state == "ordered":
        return order.accept_by
    is_coming = order.state in {"accepted", "en_route"} and order.acting == "primary"
    if not is_coming or incident.arrive_s is None or incident.received_at is None:
        return None
    twice = incident.received_at + 2 * incident.arrive_s
    return max(twice, order.ordered_at + incident.arrive_s, incident.windows_at)
