"""The command ladder: squad leader at once, squadron leader, then brigade leader and police room.

It begins when something needs a person (nobody accepted, nobody can go, a member in distress …)
and stops when somebody acknowledges, or the incident is over. Each rung is a recorded deadline.
"""

from typing import Final

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.deadlines import LADDER
from xiaohe.dispatch.draft import Draft, after
from xiaohe.dispatch.state import Incident

BARE_TERM_S: Final = 60.0
"""Until the next rung where policy cannot be asked: as the policy that is shipped has it."""

RUNGS: Final = ("squad_leader", "squadron_leader", "brigade_leader")
"""The ranks that are told, in order; the last rung tells the police room as well."""

POLICE_ROOM: Final = "police_room"
"""The desk on the last rung."""


def notify_command(draft: Draft, incident_id: str, reason: str) -> None:
    """Begin the ladder, unless it has begun."""
    if draft.incident(incident_id).rung == 0:
        _tell_next(draft, incident_id, reason)


def go_on_climbing(draft: Draft, incident_id: str) -> None:
    """Take a ladder up again that was left with the incident: its next rung is told at once."""
    incident = draft.incident(incident_id)
    if 0 < incident.rung < len(RUNGS) and not incident.acknowledged:
        draft.set_deadline(incident_id, LADDER, draft.at_ms)


def climb(draft: Draft, incident_id: str) -> None:
    """Tell the next rung: the term passed without a word."""
    incident = draft.incident(incident_id)
    assert not incident.acknowledged, "whoever acknowledges takes the ladder's deadline back"
    assert incident.rung < len(RUNGS), "the last rung has no term"
    _tell_next(draft, incident_id, "not_acknowledged")


def climb_barely(draft: Draft, incident_id: str) -> None:
    """Tell the next rung without asking who that is: the police room knows them.

    Neither policy nor roster is asked, for one of them may be what fails.
    """
    incident = draft.incident(incident_id)
    rung = RUNGS[incident.rung]
    due_ms = None if rung == RUNGS[-1] else after(draft.at_ms, BARE_TERM_S)
    draft.emit(
        f.CommandNotified(
            incident_id=incident_id,
            rung=rung,
            who=(POLICE_ROOM,),
            by="engine",
            reason="not_acknowledged",
            acknowledge_by_ms=due_ms,
        )
    )
    draft.set_deadline(incident_id, LADDER, due_ms)


def _tell_next(draft: Draft, incident_id: str, reason: str) -> None:
    incident = draft.incident(incident_id)
    rules = draft.rules(incident)
    rung = RUNGS[incident.rung]
    who = _leaders(draft, incident, rung)
    term_s = {
        "squad_leader": rules.squadron_leader_s,
        "squadron_leader": rules.brigade_leader_s - rules.squadron_leader_s,
    }.get(rung)
    due_ms = None if term_s is None else after(draft.at_ms, max(0.0, term_s))
    draft.emit(
        f.CommandNotified(
            incident_id=incident_id,
            rung=rung,
            who=(*who, POLICE_ROOM) if rung == RUNGS[-1] else who,
            by="engine",
            reason=reason,
            acknowledge_by_ms=due_ms,
        )
    )
    draft.set_deadline(incident_id, LADDER, due_ms)


def _leaders(draft: Draft, incident: Incident, rung: str) -> tuple[str, ...]:
    """Give the leaders of the unit that answers for the incident; without one, of the area."""
    roster = draft.world.roster
    concerned = (incident.distress_of, *incident.responsible.members)
    units = (m.unit for i in concerned if i is not None and (m := roster.get(i)) is not None)
    unit = next((u for u in units if u is not None), None)
    ids = [m.member_id for m in roster.leaders(incident.area_id, rung, unit)]
    # A leader who is in distress themselves is no help to tell.
    told = [i for i in ids if i != incident.distress_of]
    if not told:
        everybody = roster.leaders(incident.area_id, rung, None)
        told = [m.member_id for m in everybody if m.member_id != incident.distress_of]
    return tuple(told)
