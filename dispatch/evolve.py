"""How each recorded fact changes what is known: ``evolve(state, fact, stamp) -> state``.

The fold decides nothing and looks at nothing but its arguments. It is the only place where an
``AreaState`` is made from another.
"""

from __future__ import annotations  # rpds maps cannot be subscripted at run time

from bisect import insort
from dataclasses import replace
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace as revise
from rpds import HashTrieMap

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import RETRY
from xiaohe.dispatch.lifecycle import (
    LIVE,
    IncidentState,
    live_state,
    next_incident_state,
    next_order_state,
)
from xiaohe.dispatch.ordered import Ordered
from xiaohe.dispatch.state import (
    AreaState,
    Deadline,
    DutyWord,
    Holding,
    Incident,
    Offered,
    Order,
    SeenAlert,
    Starting,
    Timeline,
    Waiting,
)

ALERTS_NAMED_MAX = 100
"""Alerts that an incident names besides its first and its newest; all are in the events."""

BY_HAND = f.Why(
    rule=f.OPERATOR_RULE, candidates=(), fix_age_s=None, roads_version="", policy_version=""
)
"""What is kept of why a desk's order was given, once it has ended."""


class Stamp(Struct, frozen=True):
    """When the decision was made, and when the input that caused it was received."""

    at_ms: int
    received_ms: int


def evolve(state: AreaState, fact: f.Fact, stamp: Stamp) -> AreaState:
    """Fold one fact.

    Raises IllegalTransition where the fact does not follow from the state, and changes nothing.
    """
    match fact:
        case f.ModeChanged():
            return replace(state, mode=fact.mode)
        case f.RoadClosed():
            return replace(state, closed_roads=state.closed_roads | {fact.road_id})
        case f.RoadOpened():
            return replace(state, closed_roads=state.closed_roads - {fact.road_id})
        case f.DutyDeclared():
            return _declared(state, fact)
        case f.BreakDeclared(on_break=True):
            return replace(state, breaks=state.breaks.insert(fact.member_id, fact.until_ms))
        case f.BreakDeclared():
            return replace(state, breaks=state.breaks.discard(fact.member_id))
        case f.IncidentOpened():
            return put_incident(
                _remember(state, fact, fact.received_ms), _opened(state.area_id, fact)
            )
        case f.DeadlineSet() | f.OfferAged() | f.AidRequested() | f.IncidentSetAside():
            return put_incident(state, _noted(state.incidents[fact.incident_id], fact, stamp))
        case f.AlertAttached():
            state = _remember(state, fact, stamp.received_ms)
            return put_incident(state, _next(state, fact, stamp))
        case _:
            return put_incident(state, _next(state, fact, stamp))


def _noted(
    incident: Incident,
    fact: f.DeadlineSet | f.OfferAged | f.AidRequested | f.IncidentSetAside,
    stamp: Stamp,
) -> Incident:
    """Fold what nobody outside is told of an incident."""
    match fact:
        case f.DeadlineSet():
            if fact.due_ms is None:
                return _without_deadline(incident, fact.deadline)
            # By receipt: of an alert that was decided late its windows are late as well.
            set_ms = stamp.received_ms if fact.due_ms < stamp.received_ms else None
            return _with_deadline(incident, Deadline(fact.deadline, fact.due_ms, set_ms=set_ms))
        case f.OfferAged():
            return _revise_order(incident, fact.dispatch_id, asked_on=True)
        case f.AidRequested():
            return revise(
                incident,
                aid_asked=(*incident.aid_asked, fact.to_area_id),
                aid_requests=incident.aid_requests + 1,
            )
        case f.IncidentSetAside():
            return _without_deadline(revise(incident, set_aside=True), RETRY)


def _declared(state: AreaState, fact: f.DutyDeclared) -> AreaState:
    """Keep a member's word on duty; a device taken for the shift is theirs alone."""
    duty, devices = state.duty, state.devices
    before = duty.get(fact.member_id)
    for device_id in before.device_ids if before is not None else ():
        devices = devices.discard(device_id)
    # Somebody may name a device twice; they have it once.
    taken = tuple(dict.fromkeys(fact.device_ids)) if fact.on_duty else ()
    for device_id in taken:
        other_id = devices.get(device_id)
        if other_id is not None and other_id != fact.member_id:
            other = duty[other_id]
            kept = tuple(d for d in other.device_ids if d != device_id)
            duty = duty.insert(other_id, revise(other, device_ids=kept))
        devices = devices.insert(device_id, fact.member_id)
    word = DutyWord(fact.on_duty, fact.until_ms, taken)
    return replace(
        state,
        duty=duty.insert(fact.member_id, word),
        devices=devices,
        # Whoever says that they come or go is on no break any more.
        breaks=state.breaks.discard(fact.member_id),
    )


def _remember(
    state: AreaState, fact: f.IncidentOpened | f.AlertAttached, received_ms: int
) -> AreaState:
    seen = SeenAlert(fact.incident_id, fact.fingerprint, received_ms)
    return replace(state, alerts=state.alerts.insert(fact.alert_id, seen))


def put_incident(state: AreaState, incident: Incident) -> AreaState:
    """Keep an incident, and every look-up of the area that follows from it."""
    before = state.incidents.get(incident.incident_id)
    if before is not None:
        incident = _without_told(before, incident)
    holding, served_ms = state.holding, state.served_ms
    if before is None or before.orders is not incident.orders:
        known = {o.dispatch_id: o for o in before.orders} if before is not None else {}
        for order in incident.orders:
            old = known.get(order.dispatch_id)
            if old is order:
                continue
            if order.is_open and not (old is not None and old.is_open):
                assert order.member_id not in holding, "a member has one open order at most"
                held = Holding(incident.incident_id, order.dispatch_id)
                holding = holding.insert(order.member_id, held)
            elif not order.is_open and old is not None and old.is_open:
                holding = holding.remove(order.member_id)
            served_ms = served_after(served_ms, old, order)
    was, now = _waiting_of(before), _waiting_of(incident)
    return replace(
        state,
        incidents=state.incidents.insert(incident),
        holding=holding,
        live_by_road=_by_road(state, before, incident),
        distressed=_distressed(state, incident),
        served_ms=served_ms,
        starting=_moved(state.starting, _start_of(before), _start_of(incident)),
        offered=_moved(state.offered, _offered_of(before), _offered_of(incident)),
        waiting=_moved(state.waiting, was, now),
        wanting=(
            state.wanting.discard(incident.incident_id)
            if now is None
            else state.wanting.insert(now.incident_id, now.priority)
            if now != was
            else state.wanting
        ),
    )


def _without_told(before: Incident, incident: Incident) -> Incident:
    """Forget of orders that had ended before why they were given, and by which way.

    An order is shown when it is given and when it ends. The topics keep what was shown; here it
    would be most of what the incidents of a month take.
    """
    ended = {order.dispatch_id for order in before.orders if not order.is_open}
    if not any(o.dispatch_id in ended and _terse(o) is not o for o in incident.orders):
        return incident
    orders = tuple(_terse(o) if o.dispatch_id in ended else o for o in incident.orders)
    return revise(incident, orders=orders)


def _terse(order: Order) -> Order:
    """Give an order of which only that is still known of the choice whether a desk made it."""
    why = BY_HAND if order.is_by_hand else None
    return order if (order.route, order.why) == ((), why) else revise(order, route=(), why=why)


def served_after(
    served_ms: HashTrieMap[str, tuple[int, ...]], old: Order | None, new: Order | None
) -> HashTrieMap[str, tuple[int, ...]]:
    """Give the ends of orders that members had taken after one order became another, or was
    forgotten; one that is taken up again has not ended."""
    was_ms, now_ms = (_done_ms(order) for order in (old, new))
    if was_ms == now_ms:
        return served_ms
    order = new or old
    assert order is not None, "what ended was an order"
    ends = list(served_ms.get(order.member_id, ()))
    if was_ms is not None:
        ends.remove(was_ms)
    if now_ms is not None:
        insort(ends, now_ms)
    if not ends:
        return served_ms.remove(order.member_id)
    return served_ms.insert(order.member_id, tuple(ends))


def _done_ms(order: Order | None) -> int | None:
    taken = order is not None and (order.accepted_ms is not None or not order.offered)
    return order.ended_ms if order is not None and taken else None


Row = TypeVar("Row", Starting, Waiting, Offered)


def _moved(rows: Ordered[Row], was: Row | None, now: Row | None) -> Ordered[Row]:
    """Let an incident's row be another one, or none."""
    if was == now:
        return rows
    if was is not None:
        rows = rows.remove(was)
    return rows if now is None else rows.add(now)


def _waiting_of(incident: Incident | None) -> Waiting | None:
    if incident is None or incident.due_ms("retry") is None:
        return None
    return Waiting(incident.priority, incident.received_ms, incident.incident_id)


def _offered_of(incident: Incident | None) -> Offered | None:
    if incident is None or not incident.is_live:
        return None
    offers_ms = [
        order.ordered_ms
        for order in incident.orders
        if order.acting == "primary" and order.state == "ordered"
    ]
    return Offered(max(offers_ms), incident.incident_id) if offers_ms else None


def _start_of(incident: Incident | None) -> Starting | None:
    if incident is None:
        return None
    ways_s = [
        order.eta_s
        for order in incident.orders
        if order.acting == "primary"
        and order.state in {"ordered", "accepted"}
        and order.eta_s is not None
    ]
    place = incident.place
    if place is None or not ways_s or not incident.is_live or incident.set_aside:
        return None
    off_road_m = incident.off_road_m or 0.0
    return Starting(incident.incident_id, place.lon, place.lat, off_road_m, max(ways_s))


def _distressed(state: AreaState, incident: Incident) -> frozenset[str]:
    if incident.distress_of is None:
        return state.distressed
    if incident.is_live:
        return state.distressed | {incident.distress_of}
    if incident.distress_of in state.distressed and not any(
        other.is_live and other.distress_of == incident.distress_of
        for other in state.incidents.under_way()
        if other.incident_id != incident.incident_id
    ):
        return state.distressed - {incident.distress_of}
    return state.distressed


def _by_road(
    state: AreaState, before: Incident | None, after: Incident
) -> HashTrieMap[str, tuple[str, ...]]:
    live_by_road = state.live_by_road
    was = before.road_id if before is not None and before.is_live else None
    now = after.road_id if after.is_live else None
    if was == now:
        return live_by_road
    if was is not None:
        rest = tuple(i for i in live_by_road.get(was, ()) if i != after.incident_id)
        live_by_road = live_by_road.insert(was, rest) if rest else live_by_road.remove(was)
    if now is not None:
        there = sorted((*live_by_road.get(now, ()), after.incident_id))
        live_by_road = live_by_road.insert(now, tuple(there))
    return live_by_road


def _with_deadline(incident: Incident, deadline: Deadline) -> Incident:
    rest = _without_deadline(incident, deadline.name).deadlines
    return revise(incident, deadlines=(*rest, deadline))


def _without_deadline(incident: Incident, name: str) -> Incident:
    return revise(incident, deadlines=tuple(d for d in incident.deadlines if d.name != name))


def _opened(area_id: str, fact: f.IncidentOpened) -> Incident:
    return Incident(
        incident_id=fact.incident_id,
        area_id=area_id,
        alert_id=fact.alert_id,
        alerts=(fact.alert_id,),
        source=fact.source,
        category=fact.category,
        priority=fact.priority,
        mode=fact.mode,
        position=fact.position,
        place=fact.place,
        road_id=fact.road_id,
        off_road_m=fact.off_road_m,
        responsible=fact.responsible,
        needed=fact.needed,
        skills=fact.skills,
        forces=fact.forces,
        drill=fact.drill,
        reported_by=fact.reported_by,
        distress_of=fact.distress_of,
        origin=fact.origin,
        received_ms=fact.received_ms,
        accept_by_ms=fact.accept_by_ms,
        arrive_by_ms=fact.arrive_by_ms,
        timeline=Timeline(received_ms=fact.received_ms),
        last_seq=1,
    )


def _next(state: AreaState, fact: f.IncidentFact, stamp: Stamp) -> Incident:
    incident = state.incidents[fact.incident_id]
    after = _folded(incident, fact, stamp)
    if after.state in LIVE:
        after = revise(after, state=live_state((o.acting, o.state) for o in after.orders))
    return revise(after, last_seq=incident.last_seq + 1)


def _folded(incident: Incident, fact: f.IncidentFact, stamp: Stamp) -> Incident:
    match fact:
        case f.MemberDispatched() | f.BackupDispatched():
            return _dispatched(incident, fact, stamp)
        case f.MemberArrived() if incident.order(fact.dispatch_id) is None:
            return _found(incident, fact, stamp)
        case (
            f.MemberAccepted()
            | f.MemberDeclined()
            | f.MemberEnRoute()
            | f.MemberArrived()
            | f.BackupArrived()
            | f.MemberStoodDown()
            | f.MemberLapsed()
            | f.MemberCompleted()
        ):
            return _answered(incident, fact, stamp)
        case f.ArrivalPredictedLate():
            return _revise_order(incident, fact.dispatch_id, predicted_late=True)
        case f.AcceptanceOverdue() | f.ArrivalOverdue() | f.BackupOverdue():
            return revise(incident, overdue=(*incident.overdue, f.type_of(fact)))
        case f.BackupRequired():
            timeline = _first(incident.timeline, "backup_required_ms", stamp.received_ms)
            due_ms = incident.backup_by_ms if incident.backup_wanted else fact.due_ms
            return revise(
                incident, backup_wanted=fact.wanted, backup_by_ms=due_ms, timeline=timeline
            )
        case f.IncidentUnfilled():
            return revise(incident, unfilled=fact.reasons, unfilled_role=fact.role)
        case f.CommandNotified():
            return revise(incident, rung=incident.rung + 1)
        case f.CommandAcknowledged():
            return revise(incident, acknowledged=True)
        case f.AlertAttached():
            others = tuple(a for a in incident.alerts if a != fact.alert_id)
            # The first and the newest: a sender may correct itself without end.
            kept = (*others[:1], *others[1:][-ALERTS_NAMED_MAX:])
            return revise(incident, alerts=(*kept, fact.alert_id))
        case f.IncidentUpdated():
            return _updated(incident, fact)
        case _:
            return _turned(incident, fact, stamp)


def _dispatched(
    incident: Incident, fact: f.MemberDispatched | f.BackupDispatched, stamp: Stamp
) -> Incident:
    order = Order(
        dispatch_id=fact.dispatch_id,
        alert_id=fact.alert_id,
        member_id=fact.member_id,
        role=fact.role,
        acting=fact.role,
        ordered_ms=stamp.at_ms,
        accept_by_ms=fact.accept_by_ms,
        arrive_by_ms=fact.arrive_by_ms,
        eta_s=fact.eta_s,
        distance_m=fact.distance_m,
        route=fact.route,
        why=fact.why,
        instead_of=fact.instead_of,
    )
    return revise(
        incident,
        orders=(*incident.orders, order),
        attempts=incident.attempts + 1,
        unfilled=(),
        timeline=_first(incident.timeline, "dispatched_ms", stamp.at_ms),
    )


def _found(incident: Incident, fact: f.MemberArrived, stamp: Stamp) -> Incident:
    """Put the member on scene who found it: nobody was asked, so no interval is measured."""
    order = Order(
        dispatch_id=fact.dispatch_id,
        alert_id=incident.alert_id,
        member_id=fact.member_id,
        role=fact.role,
        acting=fact.role,
        state="arrived",
        offered=False,
        ordered_ms=stamp.at_ms,
        arrived_ms=stamp.received_ms,
    )
    return revise(incident, orders=(*incident.orders, order), attempts=incident.attempts + 1)


_Answer = (
    f.MemberAccepted
    | f.MemberDeclined
    | f.MemberEnRoute
    | f.MemberArrived
    | f.BackupArrived
    | f.MemberStoodDown
    | f.MemberLapsed
    | f.MemberCompleted
)


def _answered(incident: Incident, fact: _Answer, stamp: Stamp) -> Incident:
    order = incident.order(fact.dispatch_id)
    assert order is not None, f"no order {fact.dispatch_id} in {incident.incident_id}"
    state = next_order_state(order.state, order.end, f.type_of(fact))
    order = _order_after(revise(order, state=state), fact, stamp)
    timeline = _timeline_after(incident, order, fact, stamp.received_ms)
    incident = _replace_order(incident, order)
    if not order.is_open:
        own = tuple(d for d in incident.deadlines if d.name.partition(":")[2] != order.dispatch_id)
        incident = revise(incident, deadlines=own)
    return revise(incident, timeline=timeline)


def _order_after(order: Order, fact: _Answer, stamp: Stamp) -> Order:
    match fact:
        case f.MemberAccepted():
            revived = order.end is not None
            return revise(
                order,
                accepted_ms=stamp.received_ms,
                gap_m=fact.gap_m,
                end=None,
                end_reason=None,
                ended_ms=None,
                revived=revived,
            )
        case f.MemberEnRoute(implied=False):
            return revise(order, en_route_ms=stamp.received_ms)
        case f.MemberArrived() | f.BackupArrived():
            return revise(order, arrived_ms=stamp.received_ms)
        case f.MemberDeclined():
            return _ended(order, "declined", fact.reason, stamp)
        case f.MemberStoodDown():
            return revise(_ended(order, fact.end, fact.reason, stamp), barred=fact.barred)
        case f.MemberLapsed():
            return _ended(order, "lapsed", fact.reason, stamp)
        case f.MemberCompleted():
            return _ended(order, "completed", fact.outcome, stamp)
        case _:
            return order


def _timeline_after(incident: Incident, order: Order, fact: _Answer, received_ms: int) -> Timeline:
    timeline = incident.timeline
    if not incident.is_measured:
        # A member found it: whoever comes after says nothing about acceptance or arrival.
        arrived = isinstance(fact, f.BackupArrived)
        return _first(timeline, "backup_arrived_ms", received_ms) if arrived else timeline
    match fact:
        case f.MemberAccepted() if order.acting == "primary":
            return _first(timeline, "accepted_ms", received_ms)
        # A stage that was skipped was not timed: turnout and travel stay unknown, not zero.
        case f.MemberEnRoute(implied=False) if order.acting == "primary":
            return _first(timeline, "en_route_ms", received_ms)
        # Reinforcement that is there first is somebody on scene as well.
        case f.MemberArrived():
            return _first(timeline, "arrived_ms", received_ms)
        case f.BackupArrived():
            timeline = _first(timeline, "arrived_ms", received_ms)
            return _first(timeline, "backup_arrived_ms", received_ms)
        case _:
            return timeline


def _ended(order: Order, end: str, reason: str | None, stamp: Stamp) -> Order:
    return revise(order, end=end, end_reason=reason, ended_ms=stamp.at_ms)


UPDATED = (
    "category",
    "priority",
    "mode",
    "needed",
    "skills",
    "forces",
    "accept_by_ms",
    "arrive_by_ms",
    "backup_by_ms",
)
"""What an update may change one by one; a place changes as a whole."""


def _updated(incident: Incident, fact: f.IncidentUpdated) -> Incident:
    given = {name: getattr(fact, name) for name in UPDATED if getattr(fact, name) is not None}
    incident = revise(incident, **given)
    if fact.relocated:
        incident = revise(
            incident,
            position=fact.position,
            place=fact.place,
            road_id=fact.road_id,
            off_road_m=fact.off_road_m,
            responsible=fact.responsible or f.Responsible(),
        )
    if fact.detached:
        kept = tuple(a for a in incident.alerts if a not in fact.detached)
        incident = revise(incident, alerts=kept)
    if fact.promoted is not None:
        incident = _revise_order(incident, fact.promoted, acting="primary")
    return incident


def _turned(incident: Incident, fact: f.IncidentFact, stamp: Stamp) -> Incident:
    """Fold the facts that move the incident itself along its life cycle."""
    if isinstance(fact, f.IncidentReferred | f.IncidentReturnVisited):
        return incident
    state = next_incident_state(incident.state, f.type_of(fact), incident.merged_from)
    timeline = incident.timeline
    match fact:
        case f.IncidentReopened():
            return revise(
                incident,
                state=state,
                received_ms=fact.received_ms,
                accept_by_ms=fact.accept_by_ms,
                arrive_by_ms=fact.arrive_by_ms,
                backup_by_ms=None,
                backup_wanted=0,
                tried_from=len(incident.orders),
                overdue=(),
                unfilled=(),
                unfilled_role="primary",
                aid_asked=(),
                rung=0,
                acknowledged=False,
                set_aside=False,
                timeline=Timeline(received_ms=fact.received_ms),
            )
        case f.IncidentUnmerged():
            return revise(incident, state=state, merged_into=None, merged_from=None)
        case f.IncidentResolved():
            timeline = _first(timeline, "resolved_ms", stamp.received_ms)
        case f.IncidentClosed():
            timeline = _first(timeline, "closed_ms", stamp.received_ms)
        case f.IncidentMerged():
            was: IncidentState = "open" if incident.is_live else incident.state
            incident = revise(incident, merged_into=fact.into, merged_from=was)
        case _:
            pass
    # Whatever was to fall due no longer does: nobody has to go any more.
    return revise(incident, state=state, timeline=timeline, deadlines=())


def _first(timeline: Timeline, name: str, at_ms: int) -> Timeline:
    """Milestones are written once."""
    return timeline if getattr(timeline, name) is not None else revise(timeline, **{name: at_ms})


def _replace_order(incident: Incident, order: Order) -> Incident:
    return revise(
        incident,
        orders=tuple(order if o.dispatch_id == order.dispatch_id else o for o in incident.orders),
    )


def _revise_order(incident: Incident, dispatch_id: str, **changes: object) -> Incident:
    order = incident.order(dispatch_id)
    assert order is not None, f"no order {dispatch_id} in {incident.incident_id}"
    return _replace_order(incident, revise(order, **changes))
