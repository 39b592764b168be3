"""Backup: when it is needed (``always``, ``on_need``, ``never``) and by when it must be there.

The third window exists from the moment backup is required. It counts from the alert's receipt
like the others; where that moment has already passed, it counts from the requirement, for a
window that cannot be met measures nobody.
"""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import BACKUP
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.ladder import notify_command
from xiaohe.dispatch.state import Incident

ALWAYS = "always"


def require_backup(
    draft: Draft, incident_id: str, reason: str, *, by: str | None = None, more: bool = False
) -> None:
    """Require reinforcement; ``more`` asks for one further member where it is required already.

    Where policy says ``never``, a member's or an operator's call for help goes to the command.
    The caller then fills the incident.
    """
    incident = draft.incident(incident_id)
    assert incident.is_live, "nobody is sent to what is over"
    rules = draft.rules(incident)
    if rules.backup == "never":
        if by is not None:
            notify_command(draft, incident_id, "backup_asked_for")
        return
    if incident.backup_wanted and not more:
        return
    draft.emit(
        f.BackupRequired(
            incident_id=incident_id,
            reason=reason,
            due_ms=backup_by_ms(draft, incident),
            wanted=incident.backup_wanted + 1,
            by=by,
        )
    )
    if not incident.backup_wanted:
        draft.set_deadline(incident_id, BACKUP, draft.incident(incident_id).backup_by_ms)


def backup_by_ms(draft: Draft, incident: Incident) -> int | None:
    """Give the end of the third window; None where policy has none for such an incident."""
    backup_s = draft.rules(incident).backup_s
    if incident.backup_by_ms is not None or backup_s is None:
        return incident.backup_by_ms
    due_ms = after(incident.received_ms, backup_s)
    return due_ms if due_ms > draft.at_ms else after(draft.at_ms, backup_s)


def require_if_always(draft: Draft, incident_id: str) -> None:
    """Require the reinforcement that goes out together with the first.

    To a member in distress two go at once; a third is sent when it is needed.
    """
    incident = draft.incident(incident_id)
    if incident.distress_of is None and draft.rules(incident).backup == ALWAYS:
        require_backup(draft, incident_id, ALWAYS)


def on_shortfall(draft: Draft, incident_id: str) -> None:
    """Require reinforcement where some are under way, but fewer than are needed."""
    incident = draft.incident(incident_id)
    if incident.needed > 1 and incident.open_orders("primary"):
        require_backup(draft, incident_id, "too_few")
