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
from xiaohe.dispatch.prediction import look_at_progress, predict_by_silence
from xiaohe.dispatch.reinforcement import require_backup
from xiaohe.dispatch.state import Incident, Order
from xiaohe.dispatch.swapping import follow_start
from xiaohe.dispatch.windows import write_missed

PROGRESS_AGAIN_S = 10.0
"""A member under way who was fine is looked at again so much later: a tracker's usual interval."""


def wake(draft: Draft, wake_up: WakeUp) -> None:
    """Decide one wake-up."""
    incident = draft.state.incidents.get(wake_up.incident_id)
    if incident is None:
        return
    row_ms = incident.due_ms(wake_up.deadline)
    # Decided again at once, for the roster has changed: since then, and not in a year to come.
    is_time = incident.received_ms <= wake_up.due_ms <= draft.stamp.at_ms
    early_retry = wake_up.deadline == RETRY and row_ms is not None and is_time
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
    match name:
        case _ if name == ACCEPT:
            write_missed(draft, incident_id, name, due_ms, incident.set_late_ms(name))
            notify_command(draft, incident_id, "acceptance_overdue")
            require_backup(draft, incident_id, "acceptance_overdue")
        case _ if name == ARRIVE:
            write_missed(draft, incident_id, name, due_ms, incident.set_late_ms(name))
            notify_command(draft, incident_id, "arrival_overdue")
            require_backup(draft, incident_id, "arrival_overdue")
        case _ if name == BACKUP:
            write_missed(draft, incident_id, name, due_ms, incident.set_late_ms(name))
            notify_command(draft, incident_id, "backup_overdue")
        case _ if name == LADDER:
            climb(draft, incident_id)
        case _:
            assert name == RETRY, f"an incident has no deadline {name}"
    fill(draft, incident_id)


def _of_order(draft: Draft, name: str, incident: Incident, order: Order) -> None:
    incident_id, dispatch_id = incident.incident_id, order.dispatch_id
    match name:
        case _ if name == OFFER:
            draft.emit(f.OfferAged(incident_id=incident_id, dispatch_id=dispatch_id))
        case _ if name == LAPSE:
            _lapse(draft, incident_id, order, "no_answer")
        case _ if name == NO_SHOW:
            _lapse(draft, incident_id, order, "not_arrived")
            _promote_backup(draft, incident_id)
        case _:
            assert name == PROGRESS, f"an order has no deadline {name}"
            if incident.set_aside:
                return
            if not order.predicted_late and not predict_by_silence(draft, incident_id, order):
                look_at_progress(draft, incident_id, dispatch_id, PROGRESS_AGAIN_S)
            if order.state == "accepted":
                follow_start(draft, incident_id, dispatch_id)
    fill(draft, incident_id)


def _lapse(draft: Draft, incident_id: str, order: Order, reason: str) -> None:
    draft.emit(
        f.MemberLapsed(
            incident_id=incident_id,
            dispatch_id=order.dispatch_id,
            member_id=order.member_id,
            role=order.acting,
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
    if first.state != "arrived":
        # They have a window of their own from now on; the first one's has passed.
        due_ms = after(draft.at_ms, draft.rules(incident).arrive_s)
        draft.set_deadline(incident_id, of_order(NO_SHOW, first.dispatch_id), due_ms)
