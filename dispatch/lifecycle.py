"""The life cycles of an order and of an incident, as tables.

Theory of operation
-------------------
An *order* asks one member to go to one incident. It is born ``ordered`` (or, for a member who is
already there, ``arrived``) and ends once, for one of five reasons. Answers may skip states, for
a thumb on a handlebar skips buttons: ``arrive`` implies that the order was accepted and that the
member was under way, ``complete`` implies arrival. The skipped facts are recorded as implied.
One arrow leads out of an end: a lapsed order may still be accepted, while nobody else has.

An *incident* is live until it is resolved, closed, cancelled or merged. While it is live it
stands where its furthest primary stands, so that it steps back by itself when the only member
who had accepted declines after all; reinforcement that is on scene puts it on scene as well. Out
of a live state lead the same arrows everywhere, so the table names them once. Who takes a merger
back gets the incident as it was: live again, or resolved where it had been resolved.

``next_order_state`` and ``next_incident_state`` are the only way from one state to the next; a
pair that is not in the table raises ``IllegalTransition`` and changes nothing. The diagrams in
ARCHITECTURE.md are drawn from these tables.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

OrderState = Literal["ordered", "accepted", "en_route", "arrived", "ended"]
OrderEnd = Literal["completed", "declined", "lapsed", "stood_down", "cancelled"]
IncidentState = Literal[
    "open",
    "dispatched",
    "accepted",
    "en_route",
    "on_scene",
    "resolved",
    "closed",
    "cancelled",
    "merged",
]
Role = Literal["primary", "backup"]

ORDER: Final[Mapping[tuple[OrderState, str], OrderState]] = {
    ("ordered", "member.accepted"): "accepted",
    ("ordered", "member.declined"): "ended",
    ("ordered", "member.lapsed"): "ended",
    ("ordered", "member.stood_down"): "ended",
    ("accepted", "member.en_route"): "en_route",
    ("accepted", "member.declined"): "ended",
    ("accepted", "member.lapsed"): "ended",
    ("accepted", "member.stood_down"): "ended",
    ("en_route", "member.arrived"): "arrived",
    ("en_route", "backup.arrived"): "arrived",
    ("en_route", "member.declined"): "ended",
    ("en_route", "member.lapsed"): "ended",
    ("en_route", "member.stood_down"): "ended",
    ("arrived", "member.completed"): "ended",
    ("arrived", "member.stood_down"): "ended",
}
"""(state, fact) → state of an order. A cancelled incident stands its members down."""

ORDER_REVIVED: Final[tuple[OrderState, str, OrderState]] = ("ended", "member.accepted", "accepted")
"""The one arrow out of an end: of a lapsed order only."""

ORDER_PROGRESS: Final[tuple[OrderState, ...]] = ("ordered", "accepted", "en_route", "arrived")

LIVE: Final[tuple[IncidentState, ...]] = (
    "open",
    "dispatched",
    "accepted",
    "en_route",
    "on_scene",
)
"""The live states, in order of progress; each but the first stands for a state of an order."""

INCIDENT_OUT_OF_LIVE: Final[Mapping[str, IncidentState]] = {
    "incident.resolved": "resolved",
    "incident.closed": "closed",
    "incident.cancelled": "cancelled",
    "incident.merged": "merged",
}
INCIDENT: Final[Mapping[tuple[IncidentState, str], IncidentState]] = {
    **{(live, fact): state for live in LIVE for fact, state in INCIDENT_OUT_OF_LIVE.items()},
    ("resolved", "incident.closed"): "closed",
    ("resolved", "incident.reopened"): "open",
    ("resolved", "incident.merged"): "merged",
    ("closed", "incident.reopened"): "open",
    ("cancelled", "incident.reopened"): "open",
    ("merged", "incident.unmerged"): "open",
}
"""(state, fact) → state of an incident."""

INCIDENT_RESTORED: Final[tuple[IncidentState, str, IncidentState]] = (
    "merged",
    "incident.unmerged",
    "resolved",
)
"""The other arrow of this pair: where the incident had been resolved before it was merged."""


class IllegalTransition(Exception):
    """The life cycle has no arrow for this fact from this state."""

    def __init__(self, of: str, state: str, fact: str) -> None:
        super().__init__(f"an {of} in state {state!r} knows no {fact!r}")


def next_order_state(state: OrderState, end: OrderEnd | None, fact: str) -> OrderState:
    """Give the state of an order after a fact.

    Raises IllegalTransition where the table has no such pair.
    """
    if (state, fact) == ORDER_REVIVED[:2] and end == "lapsed":
        return ORDER_REVIVED[2]
    try:
        return ORDER[state, fact]
    except KeyError:
        raise IllegalTransition("order", state, fact) from None


def next_incident_state(
    state: IncidentState, fact: str, was: IncidentState | None = None
) -> IncidentState:
    """Give the state of an incident after a fact about the incident itself.

    ``was`` is where a merged incident stood before. Raises IllegalTransition where the table has
    no such pair.
    """
    if (state, fact, was) == INCIDENT_RESTORED:
        return INCIDENT_RESTORED[2]
    try:
        return INCIDENT[state, fact]
    except KeyError:
        raise IllegalTransition("incident", state, fact) from None


def live_state(orders: Iterable[tuple[Role, OrderState]]) -> IncidentState:
    """Give where a live incident stands: where its furthest open primary stands, and on scene
    where any of its members is."""
    progress = [
        ORDER_PROGRESS.index(state)
        for role, state in orders
        if state != "ended" and (role == "primary" or state == "arrived")
    ]
    return LIVE[max(progress) + 1] if progress else "open"
