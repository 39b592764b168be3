"""Seeing a missed window before it is missed, from where an assigned member is."""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import ETA_DECIMALS
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.eligibility import has_fresh_fix
from xiaohe.dispatch.reinforcement import require_backup
from xiaohe.dispatch.state import Incident, Order
from xiaohe.geo.search import Travel


def travel(draft: Draft, incident: Incident, member_id: str) -> Travel | None:
    """Give how far a member now is from the scene, by their fix; None where nobody can say."""
    track = draft.world.live.track(member_id)
    member = draft.world.roster.get(member_id)
    if track is None or track.spot is None or member is None or incident.place is None:
        return None
    if not has_fresh_fix(draft.world, member_id, draft.rules(incident), draft.at_ms):
        return None
    site = draft.world.roads.site(incident.place, incident.road_id)
    if site is None:
        return None
    roads, closed = draft.world.roads, draft.state.closed_roads
    return roads.travel_field(site, member.travel_mode, closed).eta(track.spot)


def gap_m(draft: Draft, incident: Incident, member_id: str) -> float | None:
    """Give how far by road a member is from the scene, metres."""
    way = travel(draft, incident, member_id)
    return None if way is None else round(way.distance_m, ETA_DECIMALS)


def must_arrive_by_ms(incident: Incident, order: Order) -> int | None:
    """Give the end of the window that an order serves; None where there is none."""
    return incident.arrive_by_ms if order.acting == "primary" else incident.backup_by_ms


def predict_by_position(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Act now where the member's position says that they will be late."""
    incident, order = _under_way(draft, incident_id, dispatch_id)
    if incident is None or order is None:
        return
    due_ms = must_arrive_by_ms(incident, order)
    way = travel(draft, incident, order.member_id)
    if due_ms is not None and way is not None and after(draft.at_ms, way.eta_s) > due_ms:
        _predict(draft, incident, order, due_ms, round(way.eta_s, ETA_DECIMALS), "too_far")


def predict_by_silence(draft: Draft, incident_id: str, dispatch_id: str) -> bool:
    """Act where a member is silent or does not come nearer; tell whether that is so."""
    incident, order = _under_way(draft, incident_id, dispatch_id)
    if incident is None or order is None:
        return False
    reason = _standing_still(draft, incident, order)
    due_ms = must_arrive_by_ms(incident, order)
    if reason is not None and due_ms is not None:
        _predict(draft, incident, order, due_ms, None, reason)
    return reason is not None


def _under_way(
    draft: Draft, incident_id: str, dispatch_id: str
) -> tuple[Incident | None, Order | None]:
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    if order is None or order.predicted_late or order.state not in {"accepted", "en_route"}:
        return None, None
    return incident, order


def _standing_still(draft: Draft, incident: Incident, order: Order) -> str | None:
    rules = draft.rules(incident)
    track = draft.world.live.track(order.member_id)
    if track is None or draft.at_ms - track.fix_ms >= rules.silent_s * 1000:
        return "silent"
    assert order.accepted_ms is not None, "an order under way was accepted"
    if draft.at_ms < after(order.accepted_ms, rules.turnout_s) or order.gap_m is None:
        return None
    now_m = gap_m(draft, incident, order.member_id)
    # Whoever was closer than the progress asked for need only be there.
    asked_m = min(rules.min_progress_m, order.gap_m)
    if now_m is not None and order.gap_m - now_m < asked_m:
        return "no_progress"
    return None


def _predict(
    draft: Draft,
    incident: Incident,
    order: Order,
    due_ms: int,
    estimate_s: float | None,
    reason: str,
) -> None:
    draft.emit(
        f.ArrivalPredictedLate(
            incident_id=incident.incident_id,
            dispatch_id=order.dispatch_id,
            member_id=order.member_id,
            role=order.role,
            due_ms=due_ms,
            estimate_s=estimate_s,
            reason=reason,
        )
    )
    if order.acting == "primary" and incident.state != "on_scene":
        require_backup(draft, incident.incident_id, "predicted_late")
