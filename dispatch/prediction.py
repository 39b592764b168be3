"""Seeing a missed window before it is missed, from where an assigned member is."""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import ETA_DECIMALS
from xiaohe.dispatch.deadlines import PROGRESS, of_order
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.eligibility import has_fresh_fix
from xiaohe.dispatch.reinforcement import require_backup
from xiaohe.dispatch.state import Incident, Order
from xiaohe.dispatch.world import Field
from xiaohe.geo.snap import Spot
from xiaohe.geo.ways import Travel


def way_to(draft: Draft, incident: Incident, member_id: str) -> tuple[Spot, Field] | None:
    """Give where a member stands by their fix, and the travel times from there to the scene."""
    track = draft.world.live.track(member_id)
    member = draft.world.roster.get(member_id)
    if track is None or track.spot is None or member is None or incident.place is None:
        return None
    if not has_fresh_fix(draft.world, member_id, draft.rules(incident), draft.at_ms):
        return None
    site = draft.world.roads.site(incident.place, incident.road_id)
    assert site is not None, "where a member is on a road, a road leads to every place"
    roads, closed = draft.world.roads, draft.state.closed_roads
    return track.spot, roads.travel_field(site, (member.travel_mode,), closed)


def travel(draft: Draft, incident: Incident, member_id: str) -> Travel | None:
    """Give how far a member now is from the scene, by their fix; None where nobody can say."""
    way = way_to(draft, incident, member_id)
    return None if way is None else way[1].eta(way[0])


def gap_m(draft: Draft, incident: Incident, member_id: str) -> float | None:
    """Give how far by road a member is from the scene, metres."""
    way = travel(draft, incident, member_id)
    return None if way is None else round(way.distance_m, ETA_DECIMALS)


def must_arrive_by_ms(incident: Incident, order: Order) -> int | None:
    """Give the end of the window that an order serves; None where there is none."""
    return incident.arrive_by_ms if order.acting == "primary" else incident.backup_by_ms


def predict_by_position(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    """Act now where the member's position says that they will be late."""
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    assert order is not None, f"no order {dispatch_id} in {incident_id}"
    if order.predicted_late:
        return
    due_ms = must_arrive_by_ms(incident, order)
    way = travel(draft, incident, order.member_id)
    if due_ms is not None and way is not None and after(draft.at_ms, way.eta_s) > due_ms:
        _predict(draft, incident, order, due_ms, round(way.eta_s, ETA_DECIMALS), "too_far")


def look_at_progress(draft: Draft, incident_id: str, dispatch_id: str, in_s: float) -> None:
    """Look after so long whether a member comes nearer, or sooner when they would be silent."""
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    assert order is not None, f"no order {dispatch_id} in {incident_id}"
    rules = draft.rules(incident)
    due_ms = after(draft.at_ms, min(in_s, rules.turnout_s))
    track = draft.world.live.track(order.member_id)
    if track is not None:
        silent_ms = after(track.fix_ms, rules.silent_s)
        due_ms = min(due_ms, silent_ms) if silent_ms > draft.at_ms else due_ms
    draft.set_deadline(incident_id, of_order(PROGRESS, dispatch_id), due_ms)


def predict_by_silence(draft: Draft, incident_id: str, order: Order) -> bool:
    """Act where a member under way is silent or does not come nearer; tell whether that is so."""
    incident = draft.incident(incident_id)
    reason = _standing_still(draft, incident, order)
    due_ms = must_arrive_by_ms(incident, order)
    if reason is not None and due_ms is not None:
        _predict(draft, incident, order, due_ms, None, reason)
    return reason is not None


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
    if now_m is None or now_m <= rules.scene_radius_m or order.gap_m - now_m >= asked_m:
        return None
    return "no_progress"


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
            role=order.acting,
            due_ms=due_ms,
            estimate_s=estimate_s,
            reason=reason,
        )
    )
    if order.acting == "primary" and not incident.is_attended:
        require_backup(draft, incident.incident_id, "predicted_late")
