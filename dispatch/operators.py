"""What a desk decides by hand: an operator's word goes through, recorded with who and why."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.alerts import attach, decide_again, enough_for, relocated, start
from xiaohe.dispatch.choice import ETA_DECIMALS, Chosen
from xiaohe.dispatch.deadlines import LADDER
from xiaohe.dispatch.draft import Draft, Refused, after
from xiaohe.dispatch.facts import OPERATOR_RULE
from xiaohe.dispatch.filling import fill, lacking, order, stand_down, stand_down_all
from xiaohe.dispatch.inputs import Label, OperatorAction, Position
from xiaohe.dispatch.ladder import go_on_climbing
from xiaohe.dispatch.lifecycle import IllegalTransition, Role, next_incident_state
from xiaohe.dispatch.place import locate
from xiaohe.dispatch.prediction import way_to
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.reinforcement import require_backup, require_if_always
from xiaohe.dispatch.state import Incident
from xiaohe.dispatch.windows import begin
from xiaohe.geo.datum import to_wgs84

_T = TypeVar("_T")


class UpdateFields(Struct, frozen=True):
    """What an ``update`` may change: the ``fields`` of the action."""

    category: Label | None = None
    priority: Annotated[int, Meta(ge=1, le=4)] | None = None
    needed: Annotated[int, Meta(ge=1, le=50)] | None = None
    skills: tuple[Label, ...] | None = None
    position: Position | None = None
    road_id: Label | None = None
    address: Label | None = None


class DispatchFields(Struct, frozen=True):
    """What a ``dispatch`` may say besides the member: the role, else the one that is lacking."""

    role: Role | None = None


def take_operator_action(draft: Draft, action: OperatorAction) -> None:
    """Decide one operator's word.

    Raises Refused where it cannot be carried out, with what to do instead.
    """
    if action.action in ABOUT_MATTERS:
        raise Refused(Reason.NOT_SUPPORTED, f"{action.action} concerns matters")
    rule = RULES.get(action.action)
    if rule is None:
        raise Refused(Reason.UNKNOWN_ACTION, "see the contract's operator-actions")
    try:
        rule(draft, action)
    except IllegalTransition as fault:
        raise Refused(Reason.NOT_POSSIBLE, f"{action.action}: {fault}") from None


def _incident(draft: Draft, action: OperatorAction) -> Incident:
    if action.incident_id is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, f"{action.action} needs incident_id")
    return draft.incident(action.incident_id)


def _live_incident(draft: Draft, action: OperatorAction) -> Incident:
    incident = _incident(draft, action)
    if not incident.is_live:
        raise Refused(
            Reason.NOT_POSSIBLE, f"{incident.incident_id} is {incident.state}: reopen it first"
        )
    return incident


def _fields(action: OperatorAction, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(action.fields, kind)
    except msgspec.ValidationError as fault:
        # What the field holds may be somebody's name: only where it stands is told.
        where = str(fault).rpartition(" - at ")[2].strip("`").removeprefix("$.")
        raise Refused(Reason.WRONG_TYPE, f"fields: {where} is not as the contract has it") from None


def _dispatch(draft: Draft, action: OperatorAction) -> None:
    incident = _live_incident(draft, action)
    if action.member_id is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, "dispatch needs member_id")
    member = draft.world.roster.get(action.member_id)
    if member is None or member.area_id != draft.state.area_id:
        raise Refused(Reason.UNKNOWN_MEMBER, "this area has no such member_id")
    held = draft.state.holding.get(action.member_id)
    if held is not None and held.incident_id == incident.incident_id:
        return
    if held is not None:
        given = draft.incident(held.incident_id).order(held.dispatch_id)
        assert given is not None, "a held order is in its incident"
        stand_down(draft, held.incident_id, given, "sent_elsewhere", action.operator_id)
    taken = sum(o.is_taken for o in incident.open_orders("primary"))
    role = _fields(action, DispatchFields).role or "primary"
    if taken >= incident.needed:
        role = "backup"
    if role == "backup" and lacking(incident, "backup") == 0:
        require_backup(
            draft,
            incident.incident_id,
            action.reason or "asked_for",
            by=action.operator_id,
            more=True,
        )
    order(draft, incident.incident_id, role, _by_hand(draft, incident, action.member_id))
    fill(draft, incident.incident_id)
    if held is not None:
        fill(draft, held.incident_id)


def _by_hand(draft: Draft, incident: Incident, member_id: str) -> Chosen:
    """Describe the operator's own choice: the way is told where the position is known."""
    way, travel, age_s = way_to(draft, incident, member_id), None, None
    route: tuple[str, ...] = ()
    track = draft.world.live.track(member_id)
    if way is not None and track is not None:
        spot, travel_field = way
        travel, route = travel_field.eta(spot), travel_field.route(spot)
        age_s = max(0.0, round((draft.at_ms - track.fix_ms) / 1000, ETA_DECIMALS))
    return Chosen(
        member_id=member_id,
        eta_s=None if travel is None else round(travel.eta_s, ETA_DECIMALS),
        distance_m=None if travel is None else round(travel.distance_m, ETA_DECIMALS),
        route=route,
        why=f.Why(
            rule=OPERATOR_RULE,
            candidates=(),
            fix_age_s=age_s,
            roads_version=draft.world.roads.version,
            policy_version=draft.world.policy.version,
        ),
    )


def _stand_down(draft: Draft, action: OperatorAction) -> None:
    incident = _incident(draft, action)
    orders = [o for o in incident.open_orders() if action.member_id in {None, o.member_id}]
    if not orders:
        raise Refused(Reason.NOT_POSSIBLE, "nobody named there has an open order")
    for each in orders:
        stand_down(
            draft,
            incident.incident_id,
            each,
            action.reason or "stood_down",
            action.operator_id,
            barred=True,
        )
    fill(draft, incident.incident_id)


def _update(draft: Draft, action: OperatorAction) -> None:
    incident = _live_incident(draft, action)
    fields = _fields(action, UpdateFields)
    position = _wgs84(fields.position)
    place = None
    if fields.position is not None or fields.road_id is not None or fields.address is not None:
        place = locate(
            draft.world.roads,
            area_id=draft.state.area_id,
            position=position,
            road_id=fields.road_id,
            address=fields.address,
            off_road_max_m=draft.rules(incident).off_road_max_m,
        )
        if place.place is None:
            raise Refused(Reason.UNKNOWN_ROAD, f"update: {', '.join(place.odd)}")
    emergency = fields.priority == 1 and incident.mode != "emergency"
    update = f.IncidentUpdated(
        incident_id=incident.incident_id,
        by=action.operator_id,
        reason=action.reason,
        category=fields.category,
        priority=fields.priority,
        mode=draft.mode_for(1) if emergency else None,
        needed=None if fields.needed is None else enough_for(incident, fields.needed),
        skills=fields.skills,
    )
    draft.emit(update if place is None else relocated(draft, update, place, position))
    decide_again(draft, incident.incident_id)


def _wgs84(position: Position | None) -> Position | None:
    """Turn a place in the free fields of an action into WGS-84, as the rim does elsewhere."""
    if position is None:
        return None
    return Position(*to_wgs84(position.lon, position.lat, position.datum))


def _message(draft: Draft, action: OperatorAction) -> None:
    incident = _live_incident(draft, action)
    if action.text is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, "message needs text")
    draft.emit(
        f.IncidentUpdated(
            incident_id=incident.incident_id,
            by=action.operator_id,
            reason="message",
            text=action.text,
        )
    )


def _cancel(draft: Draft, action: OperatorAction) -> None:
    incident_id = _incident(draft, action).incident_id
    next_incident_state(draft.incident(incident_id).state, "incident.cancelled")
    stand_down_all(draft, incident_id, "cancelled", action.operator_id, end="cancelled")
    draft.emit(
        f.IncidentCancelled(incident_id=incident_id, by=action.operator_id, reason=action.reason)
    )


def _close(draft: Draft, action: OperatorAction) -> None:
    incident_id = _incident(draft, action).incident_id
    next_incident_state(draft.incident(incident_id).state, "incident.closed")
    stand_down_all(draft, incident_id, "closed", action.operator_id)
    draft.emit(
        f.IncidentClosed(incident_id=incident_id, by=action.operator_id, reason=action.reason)
    )


def _reopen(draft: Draft, action: OperatorAction) -> None:
    incident = _incident(draft, action)
    rules = draft.rules(incident)
    received_ms = draft.stamp.received_ms
    accept_by_ms = after(received_ms, rules.accept_s)
    arrive_by_ms = after(received_ms, rules.arrive_s)
    draft.emit(
        f.IncidentReopened(
            incident_id=incident.incident_id,
            by=action.operator_id,
            reason=action.reason,
            received_ms=received_ms,
            accept_by_ms=accept_by_ms,
            arrive_by_ms=arrive_by_ms,
        )
    )
    start(draft, incident.incident_id)


def _merge(draft: Draft, action: OperatorAction) -> None:
    incident = _incident(draft, action)
    if action.into is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, "merge needs into")
    into = draft.incident(action.into)
    if into.incident_id == incident.incident_id or into.state == "merged":
        raise Refused(Reason.NOT_POSSIBLE, f"{action.into} cannot take another incident in")
    next_incident_state(incident.state, "incident.merged")
    stand_down_all(draft, incident.incident_id, "merged", action.operator_id)
    draft.emit(
        f.IncidentMerged(
            incident_id=incident.incident_id,
            into=into.incident_id,
            by=action.operator_id,
            reason=action.reason,
        )
    )
    for alert_id in incident.alerts:
        seen = draft.state.alerts.get(alert_id)
        if seen is not None:
            attach(draft, into.incident_id, alert_id, seen.fingerprint, "supplement")


def _unmerge(draft: Draft, action: OperatorAction) -> None:
    incident = _incident(draft, action)
    incident_id = incident.incident_id
    draft.emit(
        f.IncidentUnmerged(
            incident_id=incident_id,
            by=action.operator_id,
            reason=action.reason,
            was=incident.merged_from or "open",
        )
    )
    _take_alerts_back(draft, incident, action)
    if not draft.incident(incident_id).is_live:
        return
    begin(draft, incident_id)
    go_on_climbing(draft, incident_id)
    require_if_always(draft, incident_id)
    fill(draft, incident_id)


def _take_alerts_back(draft: Draft, incident: Incident, action: OperatorAction) -> None:
    """Let the incident's own alerts belong to it again, wherever mergers have carried them."""
    seen = {a: s for a in incident.alerts if (s := draft.state.alerts.get(a)) is not None}
    assert incident.merged_into is not None, "a merged incident says into which"
    carriers = {s.incident_id for s in seen.values()} | {incident.merged_into}
    for incident_id in sorted(i for i in carriers if i in draft.state.incidents):
        theirs = draft.incident(incident_id).alerts
        draft.emit(
            f.IncidentUpdated(
                incident_id=incident_id,
                by=action.operator_id,
                reason="unmerged",
                detached=tuple(a for a in incident.alerts if a in theirs),
            )
        )
    for alert_id, each in seen.items():
        attach(draft, incident.incident_id, alert_id, each.fingerprint, "supplement")


def _acknowledge(draft: Draft, action: OperatorAction) -> None:
    incident = _incident(draft, action)
    if incident.acknowledged or incident.rung == 0:
        return
    draft.emit(
        f.CommandAcknowledged(
            incident_id=incident.incident_id, by=action.operator_id, reason=action.reason
        )
    )
    draft.set_deadline(incident.incident_id, LADDER, None)


def _refer(draft: Draft, action: OperatorAction) -> None:
    incident_id = _incident(draft, action).incident_id
    draft.emit(
        f.IncidentReferred(incident_id=incident_id, by=action.operator_id, reason=action.reason)
    )


def _return_visit(draft: Draft, action: OperatorAction) -> None:
    incident_id = _incident(draft, action).incident_id
    draft.emit(
        f.IncidentReturnVisited(
            incident_id=incident_id, by=action.operator_id, reason=action.reason
        )
    )


def _set_mode(draft: Draft, action: OperatorAction) -> None:
    if action.mode is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, "set_mode needs mode")
    if action.mode != draft.state.mode:
        draft.emit(f.ModeChanged(mode=action.mode, by=action.operator_id, reason=action.reason))


def _road(draft: Draft, action: OperatorAction) -> str:
    if action.road_id is None:
        raise Refused(Reason.ACTION_NEEDS_FIELD, f"{action.action} needs road_id")
    if action.road_id not in draft.world.roads.network.roads:
        raise Refused(Reason.UNKNOWN_ROAD, f"the roads file has no {action.road_id}")
    return action.road_id


def _close_road(draft: Draft, action: OperatorAction) -> None:
    road_id = _road(draft, action)
    if road_id not in draft.state.closed_roads:
        draft.emit(f.RoadClosed(road_id=road_id, by=action.operator_id, reason=action.reason))


def _open_road(draft: Draft, action: OperatorAction) -> None:
    road_id = _road(draft, action)
    if road_id in draft.state.closed_roads:
        draft.emit(f.RoadOpened(road_id=road_id, by=action.operator_id, reason=action.reason))


RULES: Final[Mapping[str, Callable[[Draft, OperatorAction], None]]] = {
    "dispatch": _dispatch,
    "stand_down": _stand_down,
    "update": _update,
    "message": _message,
    "cancel": _cancel,
    "close": _close,
    "reopen": _reopen,
    "merge": _merge,
    "unmerge": _unmerge,
    "acknowledge": _acknowledge,
    "refer": _refer,
    "return_visit": _return_visit,
    "set_mode": _set_mode,
    "close_road": _close_road,
    "open_road": _open_road,
}
ABOUT_MATTERS: Final = frozenset({"triage", "sign", "return", "answer", "bulletin"})
"""The contract has these for work that is no incident."""
