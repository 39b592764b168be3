"""The three windows: how they begin, and what is written when one was missed.

Whether a window was met is told by the receipt of the word that met it. A worker that was down
may read an acceptance that was received too late before it can write the deadline's wake-up: the
window was missed all the same, and is written so before the acceptance.
"""

from collections.abc import Mapping
from typing import Final

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.choice import ETA_DECIMALS
from xiaohe.dispatch.deadlines import ACCEPT, ARRIVE, BACKUP
from xiaohe.dispatch.draft import MS_PER_S, Draft
from xiaohe.dispatch.prediction import travel
from xiaohe.dispatch.state import Incident

MISSED: Final[Mapping[str, type[f.AcceptanceOverdue | f.ArrivalOverdue | f.BackupOverdue]]] = {
    ACCEPT: f.AcceptanceOverdue,
    ARRIVE: f.ArrivalOverdue,
    BACKUP: f.BackupOverdue,
}
"""What is written about each window, once an incident."""


def is_accepted(incident: Incident) -> bool:
    """Tell whether a primary has taken the incident and not given it back."""
    return incident.served("primary") > 0 or any(
        order.is_taken for order in incident.open_orders("primary")
    )


def begin(draft: Draft, incident_id: str) -> None:
    """Set the deadlines of the windows that are still open; those that were missed stay so."""
    incident = draft.incident(incident_id)
    timeline = incident.timeline
    due_ms: Mapping[str, int | None] = {
        ACCEPT: None if is_accepted(incident) else incident.accept_by_ms,
        ARRIVE: (
            incident.arrive_by_ms if incident.is_measured and timeline.arrived_ms is None else None
        ),
        BACKUP: incident.backup_by_ms if timeline.backup_arrived_ms is None else None,
    }
    for name, window_ms in due_ms.items():
        if not _was_missed(incident, name):
            draft.set_deadline(incident_id, name, window_ms)


def await_acceptance(draft: Draft, incident_id: str) -> None:
    """Let the first window be open again where the only member who had accepted gave it back."""
    incident = draft.incident(incident_id)
    due_ms = incident.accept_by_ms
    if due_ms is None or due_ms <= draft.at_ms or _was_missed(incident, ACCEPT):
        return
    if not is_accepted(incident):
        draft.set_deadline(incident_id, ACCEPT, due_ms)


def settle(draft: Draft, incident_id: str, name: str) -> None:
    """Close a window by a word that was received; too late, it was missed."""
    incident = draft.incident(incident_id)
    due_ms = incident.due_ms(name)
    if due_ms is not None and draft.stamp.received_ms > due_ms:
        write_missed(draft, incident_id, name, due_ms, incident.set_late_ms(name))
    draft.set_deadline(incident_id, name, None)


def write_missed(
    draft: Draft, incident_id: str, name: str, due_ms: int, set_ms: int | None
) -> None:
    """Write that a window passed; ``set_ms`` is when it was set, where it had passed by then:
    nobody could have written so before."""
    incident = draft.incident(incident_id)
    assert not _was_missed(incident, name), f"{name} was missed already"
    late_s = (draft.at_ms - (set_ms or due_ms)) / MS_PER_S
    unasked = name == ACCEPT or incident.set_aside
    estimate_s = None if unasked else _soonest_s(draft, incident, name)
    fact = MISSED[name]
    draft.emit(fact(incident_id=incident_id, due_ms=due_ms, late_s=late_s, estimate_s=estimate_s))


def _was_missed(incident: Incident, name: str) -> bool:
    return MISSED[name].__struct_config__.tag in incident.overdue


def _soonest_s(draft: Draft, incident: Incident, name: str) -> float | None:
    """Estimate when the first of those under way is there, seconds from now."""
    orders = incident.open_orders("backup" if name == BACKUP else None)
    under_way = [o.member_id for o in orders if o.is_taken and o.state != "arrived"]
    ways = (travel(draft, incident, member_id) for member_id in under_way)
    soonest_s = min((way.eta_s for way in ways if way is not None), default=None)
    return None if soonest_s is None else round(soonest_s, ETA_DECIMALS)
