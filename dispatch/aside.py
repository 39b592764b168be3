"""What the engine failed on is put into the hands of a person, by as little as can be.

An input that failed again and again is not decided by the rules that failed. An alert, or a
member's alarm, opens its incident all the same: no road is looked for, nobody is chosen, the
command is told. From then on the engine chooses nobody for it (``fill``), whatever falls due;
its windows and the command's ladder go on. A ``bare`` account asks neither policy nor roster.
Where even that fails, an alert opens its incident by the few words that its bytes show at first
sight (``take_glimpse``): a well-formed alert is never a dead letter.
"""

from dataclasses import dataclass
from typing import Final

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.alerts import Distress, attach, seen_alert
from xiaohe.dispatch.deadlines import LADDER
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.fingerprint import fingerprint
from xiaohe.dispatch.ids import incident_id_of
from xiaohe.dispatch.inputs import Alert, Position, WakeUp
from xiaohe.dispatch.ladder import climb, climb_barely, notify_command
from xiaohe.dispatch.state import Incident
from xiaohe.dispatch.windows import begin

ENGINE_FAILED: Final = "engine_failed"
"""Why nobody was sent, and why the command is told."""


def take_alert_aside(
    draft: Draft, alert: Alert, distress: Distress | None = None, *, bare: bool = False
) -> None:
    """Open the incident of an alert for a person to decide, or attach what is a correction."""
    mark = fingerprint(alert)
    seen = seen_alert(draft, alert.alert_id)
    if seen is not None and seen.fingerprint == mark:
        return
    corrected = seen or (seen_alert(draft, alert.supersedes) if alert.supersedes else None)
    incident = None if corrected is None else draft.state.incidents.get(corrected.incident_id)
    if incident is not None:
        attach(draft, incident.incident_id, alert.alert_id, mark, "correction")
        _tell(draft, incident, bare=bare)
        return
    incident_id = incident_id_of(draft.state.area_id, alert.alert_id)
    draft.emit(_opening(draft, incident_id, alert, mark, distress, bare=bare))
    draft.emit(f.IncidentSetAside(incident_id=incident_id))
    begin(draft, incident_id)
    draft.emit(f.IncidentUnfilled(incident_id=incident_id, reasons=(ENGINE_FAILED,)))
    _tell(draft, draft.incident(incident_id), bare=bare)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What the bytes of an alert say at first sight; ``mark`` is a hash of them, as of a
    fingerprint."""

    alert_id: str
    mark: str
    source: str
    category: str
    priority: int
    position: Position | None


def take_glimpse(draft: Draft, seen: Glimpse) -> None:
    """Open the incident of an alert that cannot even be set aside, without asking any rule.

    One whose incident is there already is attached to it, for it may say more than the one before.
    """
    incident_id = incident_id_of(draft.state.area_id, seen.alert_id)
    known = draft.state.alerts.get(seen.alert_id)
    if known is not None and known.incident_id in draft.state.incidents:
        incident_id = known.incident_id
    if incident_id in draft.state.incidents:
        attach(draft, incident_id, seen.alert_id, seen.mark, "correction")
        return
    received_ms = draft.stamp.received_ms
    draft.emit(
        f.IncidentOpened(
            incident_id=incident_id,
            alert_id=seen.alert_id,
            fingerprint=seen.mark,
            source=seen.source,
            category=seen.category,
            priority=seen.priority,
            mode=draft.state.mode,
            position=seen.position,
            road_id=None,
            responsible=f.Responsible(),
            odd=(ENGINE_FAILED,),
            received_ms=received_ms,
            accept_by_ms=None,
            arrive_by_ms=received_ms,
            needed=1,
        )
    )
    draft.emit(f.IncidentSetAside(incident_id=incident_id))
    draft.emit(f.IncidentUnfilled(incident_id=incident_id, reasons=(ENGINE_FAILED,)))


def close_aside(draft: Draft, wake_up: WakeUp, *, bare: bool = False) -> None:
    """Close the deadline whose wake-up failed; a person has the incident from now on.

    The command's ladder goes on: its next rung is told all the same. A wake-up of a deadline that
    was decided or put off since changes nothing.
    """
    incident = draft.state.incidents.get(wake_up.incident_id)
    if incident is None or incident.due_ms(wake_up.deadline) != wake_up.due_ms:
        return
    draft.set_deadline(incident.incident_id, wake_up.deadline, None)
    if incident.is_live and not incident.set_aside:
        draft.emit(f.IncidentSetAside(incident_id=incident.incident_id))
        _tell(draft, incident, bare=bare)
    if wake_up.deadline == LADDER:
        (climb_barely if bare else climb)(draft, incident.incident_id)


def _tell(draft: Draft, incident: Incident, *, bare: bool) -> None:
    if incident.is_live and not bare:
        notify_command(draft, incident.incident_id, ENGINE_FAILED)


def _opening(
    draft: Draft,
    incident_id: str,
    alert: Alert,
    mark: str,
    distress: Distress | None,
    *,
    bare: bool,
) -> f.IncidentOpened:
    """Say what the alert says, and nothing that would have to be found out."""
    received_ms = draft.stamp.received_ms
    mode = draft.mode_for(alert.priority)
    accept_by_ms, arrive_by_ms = None, received_ms
    if not bare:
        area_id = draft.state.area_id
        rules = draft.world.policy.rules(alert.priority, mode, alert.category, area_id)
        accept_by_ms = after(received_ms, rules.accept_s)
        arrive_by_ms = after(received_ms, rules.arrive_s)
    return f.IncidentOpened(
        incident_id=incident_id,
        alert_id=alert.alert_id,
        fingerprint=mark,
        source=alert.source,
        category=alert.category,
        priority=alert.priority,
        mode=mode,
        position=alert.position,
        road_id=None,
        responsible=f.Responsible(),
        odd=(ENGINE_FAILED,),
        received_ms=received_ms,
        accept_by_ms=accept_by_ms,
        arrive_by_ms=arrive_by_ms,
        needed=alert.needed or 1,
        skills=alert.skills,
        forces=alert.forces,
        drill=alert.drill,
        reported_by=alert.reported_by,
        distress_of=distress.member_id if distress is not None else None,
        origin=alert.origin,
    )
