"""From a decision to the records of the output topics, as the wire contract has them.

Rendering follows the fold fact by fact, so that every event gets the next ``seq`` of its incident
and every order is shown as it stood. The same decision on the same state gives the same bytes,
at the first publication and at a take-over.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.filling import AID_SOURCE
from xiaohe.dispatch.inputs import Cause
from xiaohe.dispatch.state import AreaState, Incident, Order, Timeline
from xiaohe.dispatch.times import rfc3339
from xiaohe.streams.ports import Publication
from xiaohe.wire.cloudevents import headers, source_of, type_of
from xiaohe.wire.outputs import UNPUBLISHED, WHERE_SAID

EVENTS_STAGE, ORDERS_STAGE, VIEWS_STAGE = 0, 1, 2
"""What is acknowledged before what: the record of truth, then orders, then views of both."""

ENDINGS = f.MemberDeclined | f.MemberStoodDown | f.MemberLapsed | f.MemberCompleted


class Named(Struct, frozen=True):
    """What all records of one decision say of where they come from."""

    cause: Mapping[str, object]
    event_prefix: str
    epoch: int
    topic_names: Mapping[str, str]


def named(decision: Decision, cause: Cause, epoch: int, topic_names: Mapping[str, str]) -> Named:
    """Name the cause of a decision: a deadline, or a record of an input topic."""
    place: dict[str, object] = {
        "topic": cause.topic,
        "partition": cause.partition,
        "offset": cause.offset,
    }
    if decision.deadline is not None:
        place = {"deadline": decision.deadline}
    prefix = f"{cause.topic}:{cause.partition}:{cause.offset}"
    return Named(place, prefix, epoch, topic_names)


def render(
    state: AreaState, decision: Decision, by: Named
) -> tuple[AreaState, tuple[Publication, ...]]:
    """Fold a decision; give the state after it and what is to be published."""
    stamp = Stamp(decision.at_ms, decision.received_ms)
    events: list[Publication] = []
    orders: list[Publication] = []
    views: list[Publication] = []
    touched: dict[str, None] = {}
    for n, fact in enumerate(decision.facts):
        state = evolve(state, fact, stamp)
        match fact:
            case f.AidRequested():
                views.append(_aid(state.incidents[fact.incident_id], fact, decision, by))
            case (
                f.DeadlineSet()
                | f.OfferAged()
                | f.IncidentSetAside()
                | f.DutyDeclared()
                | f.BreakDeclared()
            ):
                pass
            case f.ModeChanged() | f.RoadClosed() | f.RoadOpened():
                events.append(_area_event(fact, n, decision, by))
            case _:
                incident = state.incidents[fact.incident_id]
                touched[incident.incident_id] = None
                events.append(_event(incident, fact, decision, by))
                order = _order_record(incident, fact, by)
                if order is not None:
                    orders.append(order)
    if decision.action_id is not None:
        actions = state.actions.insert(decision.action_id, decision.received_ms)
        state = replace(state, actions=actions)
    views.extend(_view(state.incidents[i], decision.at_ms, by) for i in touched)
    return state, (*events, *orders, *views)


def _publication(
    topic: str,
    stage: int,
    key: str,
    value: Mapping[str, object],
    *,
    ce_id: str,
    ce_type: str,
    area_id: str,
    at_ms: int,
    by: Named,
) -> Publication:
    source = source_of(area_id, by.topic_names[topic])
    return Publication(
        topic=topic,
        stage=stage,
        key=key.encode(),
        value=orjson.dumps(value),
        headers=headers(ce_id, source, type_of(ce_type), at_ms),
    )


def _event(incident: Incident, fact: f.IncidentFact, decision: Decision, by: Named) -> Publication:
    event_id = f"{incident.incident_id}:{incident.last_seq}"
    kind = f.type_of(fact)
    data = wire(fact)
    if decision.due_ms is not None:
        data.setdefault("due_at", rfc3339(decision.due_ms))
        # What was set when it had passed already can be no later than that.
        since_ms = decision.set_ms or decision.due_ms
        data.setdefault("late_s", round((decision.at_ms - since_ms) / 1000, 3))
    value: dict[str, object] = {
        "event_id": event_id,
        "incident_id": incident.incident_id,
        "area_id": incident.area_id,
        "seq": incident.last_seq,
        "epoch": by.epoch,
        "type": kind,
        "at": rfc3339(decision.at_ms),
        "cause": by.cause,
        "data": data,
    }
    if incident.drill:
        value["drill"] = True
    return _publication(
        "incident_events",
        EVENTS_STAGE,
        incident.area_id,
        value,
        ce_id=event_id,
        ce_type=kind,
        area_id=incident.area_id,
        at_ms=decision.at_ms,
        by=by,
    )


def _area_event(fact: f.AreaFact, n: int, decision: Decision, by: Named) -> Publication:
    kind = f.type_of(fact)
    value = area_event(
        event_id=f"{by.event_prefix}:{n}",
        area_id=decision.area_id,
        kind=kind,
        at_ms=decision.at_ms,
        epoch=by.epoch,
        cause=by.cause,
        data=wire(fact),
    )
    return _publication(
        "area_events",
        EVENTS_STAGE,
        decision.area_id,
        value,
        ce_id=str(value["event_id"]),
        ce_type=kind,
        area_id=decision.area_id,
        at_ms=decision.at_ms,
        by=by,
    )


def area_event(
    *,
    event_id: str,
    area_id: str,
    kind: str,
    at_ms: int,
    epoch: int,
    cause: Mapping[str, object],
    data: Mapping[str, object],
) -> dict[str, object]:
    """Make the value of an ``area-events`` record."""
    return {
        "event_id": event_id,
        "area_id": area_id,
        "epoch": epoch,
        "type": kind,
        "at": rfc3339(at_ms),
        "cause": cause,
        "data": data,
    }


def _order_record(incident: Incident, fact: f.IncidentFact, by: Named) -> Publication | None:
    """Show an order when it is given and when it ends.

    A lapsed order that was accepted after all has been shown as ended: it is not shown again.
    """
    if isinstance(fact, f.MemberDispatched | f.BackupDispatched):
        state = "ordered"
    elif isinstance(fact, ENDINGS):
        state = "ended"
    else:
        return None
    order = incident.order(fact.dispatch_id)
    assert order is not None, "a fact about an order leaves the order"
    if not order.offered or order.revived:
        return None
    at_ms = order.ordered_ms if order.ended_ms is None else order.ended_ms
    return _publication(
        "dispatches",
        ORDERS_STAGE,
        incident.area_id,
        _order_value(incident, order, state, by.epoch),
        ce_id=f"{order.dispatch_id}:{state}",
        ce_type=f"dispatch.{state}",
        area_id=incident.area_id,
        at_ms=at_ms,
        by=by,
    )


def _order_value(incident: Incident, order: Order, state: str, epoch: int) -> dict[str, object]:
    value: dict[str, object] = {
        "dispatch_id": order.dispatch_id,
        "incident_id": incident.incident_id,
        "alert_id": order.alert_id,
        "area_id": incident.area_id,
        "member_id": order.member_id,
        "role": order.role,
        "state": state,
        "ordered_at": rfc3339(order.ordered_ms),
        "accept_by": rfc3339(order.accept_by_ms),
        "arrive_by": rfc3339(order.arrive_by_ms),
        "eta_s": order.eta_s,
        "distance_m": order.distance_m,
        "route": order.route,
        "why": _plain(order.why),
        "epoch": epoch,
    }
    if incident.origin is not None:
        value["origin"] = _plain(incident.origin)
    if incident.drill:
        value["drill"] = True
    if state == "ended":
        assert order.ended_ms is not None, "an ended order has its time"
        value |= {"end": order.end, "ended_at": rfc3339(order.ended_ms)}
    return value


def _view(incident: Incident, at_ms: int, by: Named) -> Publication:
    return _publication(
        "incidents",
        VIEWS_STAGE,
        incident.incident_id,
        incident_view(incident, by.epoch),
        ce_id=f"{incident.incident_id}@{incident.last_seq}",
        ce_type="incident",
        area_id=incident.area_id,
        at_ms=at_ms,
        by=by,
    )


def incident_view(incident: Incident, epoch: int) -> dict[str, object]:
    """Make the value of an ``incidents`` record: the incident as it now stands."""
    view: dict[str, object] = {
        "incident_id": incident.incident_id,
        "area_id": incident.area_id,
        "state": incident.state,
        "mode": incident.mode,
        "priority": incident.priority,
        "category": incident.category,
        "position": _plain(incident.position),
        "place": _plain(incident.place),
        "road_id": incident.road_id,
        "off_road_m": incident.off_road_m,
        "responsible": _plain(incident.responsible),
        "needed": incident.needed,
        "assignments": [_assignment(order) for order in incident.orders],
        "timeline": _timeline(incident.timeline),
        "deadlines": {
            "accept_by": _time(incident.accept_by_ms),
            "arrive_by": _time(incident.arrive_by_ms if incident.is_measured else None),
            "backup_by": _time(incident.backup_by_ms),
        },
        "alerts": incident.alerts,
        "unfilled": incident.unfilled,
        "merged_into": incident.merged_into,
        "last_seq": incident.last_seq,
        "epoch": epoch,
    }
    if incident.drill:
        view["drill"] = True
    return view


def _assignment(order: Order) -> dict[str, object]:
    return {
        "dispatch_id": order.dispatch_id,
        "member_id": order.member_id,
        "role": order.acting,
        "state": order.state,
        "end": order.end,
        "eta_s": order.eta_s,
        "ordered_at": _time(order.ordered_ms) if order.offered else None,
        "accepted_at": _time(order.accepted_ms),
        "en_route_at": _time(order.en_route_ms),
        "arrived_at": _time(order.arrived_ms) if order.offered else None,
        "ended_at": _time(order.ended_ms),
    }


def _timeline(timeline: Timeline) -> dict[str, str | None]:
    return {
        name.removesuffix("_ms"): _time(getattr(timeline, name))
        for name in timeline.__struct_fields__
    }


def _aid(incident: Incident, fact: f.AidRequested, decision: Decision, by: Named) -> Publication:
    """Ask a neighbouring area: an alert like any other, on the topic of alerts."""
    value: dict[str, object] = {
        "alert_id": fact.alert_id,
        "area_id": fact.to_area_id,
        "source": AID_SOURCE,
        "category": incident.category,
        "occurred_at": rfc3339(incident.received_ms),
        "position": _plain(incident.place),
        "priority": incident.priority,
        "needed": max(1, fact.needed),
        "skills": incident.skills,
        "forces": incident.forces,
        "drill": incident.drill,
        "origin": {"area_id": incident.area_id, "incident_id": incident.incident_id},
    }
    return _publication(
        "alerts",
        VIEWS_STAGE,
        fact.to_area_id,
        value,
        ce_id=fact.alert_id,
        ce_type="alert.mutual_aid",
        area_id=incident.area_id,
        at_ms=decision.at_ms,
        by=by,
    )


def wire(fact: f.Fact) -> dict[str, Any]:
    """Give a fact's ``data``: its fields, with times as text."""
    data: dict[str, Any] = {}
    for name in _stated(fact):
        value = getattr(fact, name)
        if name.endswith("_by_ms"):
            data[name.removesuffix("_ms")] = _time(value)
        elif name.endswith("_ms"):
            data[f"{name.removesuffix('_ms')}_at"] = _time(value)
        else:
            data[name] = _plain(value)
    return data


PLACE = ("position", "place", "road_id", "off_road_m", "responsible")


def _stated(fact: f.Fact) -> list[str]:
    """Name the fields that a fact publishes: of an update those that changed something, so that
    nobody takes what stayed as it was for null."""
    names = [name for name in fact.__struct_fields__ if name not in UNPUBLISHED]
    names = [name for name in names if name not in WHERE_SAID or getattr(fact, name)]
    if not isinstance(fact, f.IncidentUpdated):
        return names
    always = ("by", "reason", *PLACE) if fact.relocated else ("by", "reason")
    return [n for n in names if n in always or getattr(fact, n) not in (None, ())]


def _plain(value: object) -> object:
    return msgspec.to_builtins(value)


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def dead_letter_publication(
    value: Mapping[str, object],
    *,
    topic_key: str,
    ce_id: str,
    area_id: str | None,
    at_ms: int,
    topic_names: Mapping[str, str],
) -> Publication:
    """Make the record of a dead letter, keyed by the topic that the bad record came from."""
    source = source_of(area_id or "-", topic_names["dead_letters"])
    return Publication(
        topic="dead_letters",
        stage=VIEWS_STAGE,
        key=topic_names[topic_key].encode(),
        value=orjson.dumps(value),
        headers=headers(ce_id, source, type_of("dead_letter"), at_ms),
    )
