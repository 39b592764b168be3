"""Orders as a consumer sees them: one open order a member (S2), no more primaries than needed (S3),
and each dispatch_id one thing, once (S4).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from xiaohe.sim.faults.evidence import Violation
from xiaohe.sim.faults.judges.reading import Output, Reading

OPENS: Final = frozenset({"member.dispatched", "backup.dispatched"})
TAKES: Final = frozenset({"member.accepted", "member.en_route", "member.arrived", "backup.arrived"})
ENDS: Final = frozenset(
    {"member.declined", "member.stood_down", "member.lapsed", "member.completed"}
)

SAME_ORDER: Final = (
    "incident_id",
    "alert_id",
    "area_id",
    "member_id",
    "role",
    "ordered_at",
    "accept_by",
    "arrive_by",
    "eta_s",
    "distance_m",
    "route",
    "why",
)
"""What an ``ended`` record repeats of its order."""


def one_open_order_a_member(reading: Reading) -> Iterator[Violation]:
    """On dispatches nobody is ordered anew whose order has not been shown as ended."""
    open_orders: dict[tuple[str, str], str] = {}
    for output in reading.consumed("dispatches"):
        value = output.value
        who = (str(value.get("area_id")), str(value.get("member_id")))
        dispatch_id, held = str(value.get("dispatch_id")), open_orders.get(who)
        if value.get("state") != "ordered":
            if held == dispatch_id:
                del open_orders[who]
            continue
        if held is not None:
            told = (
                f"{who[1]} is ordered ({dispatch_id}) while {held} is open to whoever reads along"
            )
            yield Violation("S2", f"{output.where}: {told}", output.raw.timestamp_ms)
        open_orders[who] = dispatch_id


def each_order_once(reading: Reading) -> Iterator[Violation]:
    """A dispatch_id is given once and ended once, in this order, of one member for one incident."""
    given: dict[str, Output] = {}
    ended: set[str] = set()
    for output in reading.consumed("dispatches"):
        value, dispatch_id = output.value, str(output.value.get("dispatch_id"))
        told = None
        if value.get("state") == "ordered":
            if dispatch_id in given:
                told = f"is given again; it was at {given[dispatch_id].where}"
            given.setdefault(dispatch_id, output)
        elif dispatch_id not in given:
            told = "is shown as ended, and was never shown as ordered"
        elif dispatch_id in ended:
            told = "is shown as ended twice"
        else:
            order = given[dispatch_id].value
            other = [name for name in SAME_ORDER if order.get(name) != value.get(name)]
            told = f"ends with another {other[0]} than it was given with" if other else None
            ended.add(dispatch_id)
        if told is not None:
            yield Violation("S4", f"{output.where}: {dispatch_id} {told}", output.raw.timestamp_ms)


@dataclass
class _Incident:
    needed: int = 1
    acting: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def orders_of_the_events(reading: Reading) -> Iterator[Violation]:
    """By the incident-events too nobody holds two orders, and nobody too many has accepted."""
    incidents: dict[str, _Incident] = {}
    holding: dict[tuple[str, str], str] = {}
    for output in reading.consumed("incident_events"):
        data, kind = output.value.get("data") or {}, str(output.value.get("type"))
        incident_id = str(output.value.get("incident_id"))
        incident = incidents.setdefault(incident_id, _Incident())
        _note(incident, data)
        if kind not in OPENS | TAKES | ENDS:
            continue
        dispatch_id = str(data.get("dispatch_id"))
        who = (str(output.value.get("area_id")), str(data.get("member_id")))
        incident.acting.setdefault(dispatch_id, str(data.get("role", "primary")))
        if kind in ENDS:
            incident.taken.discard(dispatch_id)
            if holding.get(who) == dispatch_id:
                del holding[who]
            continue
        held = holding.setdefault(who, dispatch_id)
        if held != dispatch_id:
            told = f"{who[1]} has {held} and {dispatch_id} at once"
            yield Violation("S2", f"{output.where}: {told}", output.raw.timestamp_ms)
        if kind in TAKES and dispatch_id not in incident.taken:
            incident.taken.add(dispatch_id)
            primaries = [d for d in incident.taken if incident.acting[d] == "primary"]
            if incident.acting[dispatch_id] == "primary" and len(primaries) > incident.needed:
                told = f"{len(primaries)} primaries have accepted, and {incident.needed} are needed"
                yield Violation(
                    "S3", f"{output.where}: {incident_id}: {told}", output.raw.timestamp_ms
                )


def _note(incident: _Incident, data: dict[str, Any]) -> None:
    if isinstance(data.get("needed"), int):
        incident.needed = data["needed"]
    promoted = data.get("promoted")
    if isinstance(promoted, str):
        incident.acting[promoted] = "primary"


RULES: tuple[Callable[[Reading], Iterator[Violation]], ...] = (
    one_open_order_a_member,
    each_order_once,
    orders_of_the_events,
)
