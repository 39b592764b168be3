"""A decision being made: the facts so far, and the state as it stands after them.

Rules emit facts one by one and read the state that each leaves behind, so that what is recorded
and what was decided on cannot differ.
"""

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.policy import EMERGENCY, Rules
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.world import World

MS_PER_S = 1000


class Refused(Exception):
    """The input is the sender's fault: it becomes a dead letter and decides nothing."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Draft:
    """Facts under way. ``stamp`` is the time of the decision and of its input's receipt."""

    def __init__(self, state: AreaState, world: World, stamp: Stamp) -> None:
        self.state = state
        self.world = world
        self.stamp = stamp
        self.facts: list[f.Fact] = []

    @property
    def at_ms(self) -> int:
        """When this is being decided."""
        return self.stamp.at_ms

    def emit(self, fact: f.Fact) -> None:
        """Record a fact and go on from the state after it."""
        self.state = evolve(self.state, fact, self.stamp)
        self.facts.append(fact)

    def incident(self, incident_id: str) -> Incident:
        """Give an incident as it stands now.

        Raises Refused where the area has none of this id.
        """
        incident = self.state.incidents.get(incident_id)
        if incident is None:
            raise Refused(Reason.UNKNOWN_INCIDENT, f"there is no incident {incident_id} here")
        return incident

    def rules(self, incident: Incident) -> Rules:
        """Give the policy's figures for an incident."""
        return self.world.policy.rules(
            incident.priority, incident.mode, incident.category, incident.area_id
        )

    def mode_for(self, priority: int) -> str:
        """Give the mode of an incident: the area's, but the most urgent are an emergency."""
        return EMERGENCY if priority == 1 else self.state.mode

    def set_deadline(self, incident_id: str, name: str, due_ms: int | None) -> None:
        """Set, move or (None) take back a deadline; nothing where it stands so already."""
        if self.incident(incident_id).due_ms(name) != due_ms:
            self.emit(f.DeadlineSet(incident_id=incident_id, deadline=name, due_ms=due_ms))


def after(ms: int, duration_s: float) -> int:
    """Give the moment so many seconds after another, ms."""
    return ms + round(duration_s * MS_PER_S)
