"""What happens when a deadline is due.

A wake-up whose deadline was taken back or moved is nothing. ``retry`` is the exception: it may
come early, when the roster has changed.
"""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import (
    ACCEPT,
    ARRIVE,
    BACKUP,
    LADDER,
    LAPSE,
    NO_SHOW,
    OFFER,
    PROGRESS,
    RETRY,
    of_order,
    split,
)
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.filling import fill
from xiaohe.dispatch.inputs import WakeUp
from xiaohe.dispatch.ladder import climb, notify_command
from xiaohe.dispatch.prediction import predict_by_silence, travel
from xiaohe.dispatch.reinforcement import require_backup
from xiaohe.dispatch.state import Incident, Order

PROGRESS_AGAIN_S = 10.0
"""A member under way who was fine is looked at again so much later: a tracker's usual interval."""


def wake(draft: Draft, wake_up: WakeUp) -> None:
    """Decide one wake-up."""
    incident = draft.state.incidents.get(wake_up.incident_id)
    if incident is None:
        return
    row_ms = incident.due_ms(wake_up.deadline)
    early_retry = wake_up.deadline == RETRY and row_ms is not None
    if row_ms != wake_up.due_ms and not early_retry:
        return
    name, dispatch_id = split(wake_up.deadline)
    draft.set_deadline(incident.incident_id, wake_up.deadline, None)
    if dispatch_id:
        order = incident.order(dispatch_id)
        assert order is not None, "an order's deadline goes with its incident"
        _of_order(draft, name, incident, order)
    else:
        _of_incident(draft, name, incident, wake_up.due_ms)


def _of_incident(draft: Draft, name: str, incident: Incident, due_ms: int) -> None:
    incident_id = incident.incident_id
    late_s = (draft.at_ms - due_ms) / 1000
    match name:
        case _ if name == ACCEPT and incident.timeline.accepted_ms is None:
            draft.emit(f.AcceptanceOverdue(incident_id=incident_id, due_ms=due_ms, late_s=late_s))
            notify_command(draft, incident_id, "acceptance_overdue")
            require_backup(draft, incident_id, "acceptance_overdue")
        case _ if name == ARRIVE and incident.timeline.arrived_ms is None:
            estimate_s = _soonest_s(draft, incident)
            draft.emit(
                f.ArrivalOverdue(
                    incident_id=incident_id, due_ms=due_ms, late_s=late_s, estimate_s=estimate_s
                )
            )
            notify_command(draft, incident_id, "arrival_overdue")
            require_backup(draft, incident_id, "arrival_overdue")
        case _ if name == BACKUP and incident.timeline.backup_arrived_ms is None:
            estimate_s = _soonest_s(draft, incident)
            draft.emit(
                f.BackupOverdue(
                    incident_id=incident_id, due_ms=due_ms, late_s=late_s, estimate_s=estimate_s
                )
            )
            notify_command(draft, incident_id, "backup_overdue")
        case _ if name == LADDER:
            climb(draft, incident_id)
        case _:
            pass
    fill(draft, incident_id)


def _soonest_s(draft: Draft, incident: Incident) -> float | None:
    """Estimate when the first of those under way is there, seconds from now."""
    ways = (travel(draft, incident, o.member_id) for o in incident.open_orders() if o.is_taken)
    return min((round(way.eta_s, 1) for way in ways if way is not None), default=None)


def _of_order(draft: Draft, name: str, incident: Incident, order: Order) -> None:
    incident_id, dispatch_id = incident.incident_id, order.dispatch_id
    if name == OFFER and order.state == "ordered":
        draft.emit(f.OfferAged(incident_id=incident_id, dispatch_id=dispatch_id))
    elif name == LAPSE and order.state == "ordered":
        _lapse(draft, incident_id, order, "no_answer")
    elif name == NO_SHOW and order.state in {"accepted", "en_route"}:
        _lapse(draft, incident_id, order, "not_arrived")
        _promote_backup(draft, incident_id)
    elif name == PROGRESS and not predict_by_silence(draft, incident_id, dispatch_id):
        _look_again(draft, incident_id, dispatch_id)
    fill(draft, incident_id)


def _look_again(draft: Draft, incident_id: str, dispatch_id: str) -> None:
    incident = draft.incident(incident_id)
    order = incident.order(dispatch_id)
    if order is not None and order.state in {"accepted", "en_route"} and not order.predicted_late:
        again_ms = after(draft.at_ms, min(PROGRESS_AGAIN_S, draft.rules(incident).turnout_s))
        draft.set_deadline(incident_id, of_order(PROGRESS, dispatch_id), again_ms)


def _lapse(draft: Draft, incident_id: str, order: Order, reason: str) -> None:
    draft.emit(
        f.MemberLapsed(
            incident_id=incident_id,
            dispatch_id=order.dispatch_id,
            member_id=order.member_id,
            role=order.role,
            reason=reason,
        )
    )


def _promote_backup(draft: Draft, incident_id: str) -> None:
    """Let the reinforcement take the place of a first responder who never came."""
    incident = draft.incident(incident_id)
    backups = [o for o in incident.open_orders("backup") if o.is_taken]
    if not backups or len(incident.open_orders("primary")) >= incident.needed:
        return
    progress = {"arrived": 0, "en_route": 1, "accepted": 2}
    first = min(backups, key=lambda o: (progress[o.state], o.dispatch_id))
    draft.emit(
        f.IncidentUpdated(
            incident_id=incident_id,
            by="engine",
            reason="backup_becomes_primary",
            promoted=first.dispatch_id,
        )
    )
