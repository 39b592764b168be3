"""An incident's events, made into the story of its orders. No I/O, no clock.

Everything is read from the events, which are kept without limit: the order as it was given, with
its whole ``why``, what the incident was at that moment, and what became of the order.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from xiaohe.dispatch.facts import Candidate, Why
from xiaohe.dispatch.inputs import Position
from xiaohe.explain.faults import ExplainError

GIVES_AN_ORDER: Final = frozenset({"member.dispatched", "backup.dispatched"})

ENDS_AN_ORDER: Final = frozenset(
    {"member.declined", "member.stood_down", "member.lapsed", "member.completed"}
)

UNRECORDED: Final[Mapping[str, object]] = {
    "rule": "unknown",
    "candidates": [],
    "fix_age_s": None,
    "roads_version": "",
    "policy_version": "",
}
"""What a ``why`` is taken to say of the fields that it lacks: nothing."""

ABOUT: Final = ("category", "priority", "mode", "road_id", "off_road_m", "place", "drill")
"""Fields of the incident that an order is explained with."""


class Event(Struct, frozen=True, kw_only=True):
    """An ``incident-events`` record; fields that are not needed are passed over."""

    event_id: str
    incident_id: str
    area_id: str
    seq: int
    type: str
    at: str
    epoch: int = 0
    cause: dict[str, Any] = {}
    data: dict[str, Any] = {}

    @property
    def dispatch_id(self) -> str | None:
        """The order that it is about, if it is about one."""
        found = self.data.get("dispatch_id")
        return found if isinstance(found, str) else None


class About(Struct, frozen=True, kw_only=True):
    """What the incident was when an order was given."""

    category: str = "unknown"
    priority: int | None = None
    mode: str | None = None
    road_id: str | None = None
    off_road_m: float | None = None
    place: Position | None = None
    drill: bool = False


class Order(Struct, frozen=True, kw_only=True):
    """One order: as given, and what became of it (``after``: the events that name it)."""

    dispatch_id: str
    incident_id: str
    alert_id: str
    area_id: str
    member_id: str
    role: str
    ordered_at: str
    accept_by: str | None
    arrive_by: str | None
    eta_s: float | None
    distance_m: float | None
    route: tuple[str, ...]
    why: Why
    epoch: int
    cause: Mapping[str, Any]
    about: About
    origin: Mapping[str, Any] | None = None
    end: str | None = None
    ended_at: str | None = None
    after: tuple[Event, ...] = ()

    @property
    def left_s(self) -> float | None:
        """Seconds that were left to arrive: as recorded, or from the times of the order."""
        if self.why.in_time_s is not None:
            return self.why.in_time_s
        return None if self.arrive_by is None else seconds_between(self.ordered_at, self.arrive_by)

    @property
    def own(self) -> Candidate | None:
        """What is recorded of whoever was ordered."""
        return next((c for c in self.why.candidates if c.member_id == self.member_id), None)

    @property
    def is_whole(self) -> bool:
        """Whether the order says where everybody was; older ones do not."""
        return any(candidate.place is not None for candidate in self.why.candidates)


class Story(Struct, frozen=True):
    """One incident from its first event to its last, with its orders in sequence."""

    incident_id: str
    area_id: str
    events: tuple[Event, ...]
    orders: tuple[Order, ...]


def story_of(events: Iterable[Event]) -> Story:
    """Make the story of one incident's events, in the order of their numbers.

    Raises
    ------
    ExplainError
        where an event lacks what the contract says it has.
    """
    told = tuple(sorted(events, key=lambda event: event.seq))
    assert told, "an incident has an event at least"
    first = told[0]
    return Story(first.incident_id, first.area_id, told, tuple(_orders(told)))


def _orders(events: tuple[Event, ...]) -> Iterator[Order]:
    about: dict[str, Any] = {}
    origin = None
    for event in events:
        if event.type in {"incident.opened", "incident.updated"}:
            about |= {name: event.data[name] for name in ABOUT if name in event.data}
            origin = event.data.get("origin", origin)
        if event.type in GIVES_AN_ORDER:
            try:
                yield _order(event, about, origin, events)
            except (msgspec.ValidationError, KeyError) as fault:
                problem = f"event {event.event_id} is no order as the contract has it: {fault}"
                raise ExplainError(problem) from None


def _order(
    event: Event,
    about: Mapping[str, Any],
    origin: Mapping[str, Any] | None,
    events: tuple[Event, ...],
) -> Order:
    data = event.data
    after = tuple(e for e in events if e.dispatch_id == data["dispatch_id"] and e.seq > event.seq)
    ending = next((e for e in reversed(after) if e.type in ENDS_AN_ORDER), None)
    if ending is not None and any(
        e.type == "member.accepted" and e.seq > ending.seq for e in after
    ):
        ending = None  # a lapsed order that was accepted after all
    return Order(
        dispatch_id=data["dispatch_id"],
        incident_id=event.incident_id,
        alert_id=data["alert_id"],
        area_id=event.area_id,
        member_id=data["member_id"],
        role=data["role"],
        ordered_at=event.at,
        accept_by=data.get("accept_by"),
        arrive_by=data.get("arrive_by"),
        eta_s=data.get("eta_s"),
        distance_m=data.get("distance_m"),
        route=tuple(data.get("route", ())),
        why=msgspec.convert({**UNRECORDED, **data.get("why", {})}, Why),
        epoch=event.epoch,
        cause=event.cause,
        about=msgspec.convert(dict(about), About),
        origin=origin,
        end=None if ending is None else _end(ending),
        ended_at=None if ending is None else ending.at,
        after=after,
    )


def _end(event: Event) -> str:
    return str(event.data.get("end") or event.type.partition(".")[2])


def verdict(order: Order, candidate: Candidate) -> str:
    """Say by a code of ``words.EXCLUDED`` or ``words.VERDICTS`` what became of a candidate."""
    if candidate.member_id == order.member_id:
        return "ordered"
    if candidate.excluded is not None:
        return candidate.excluded
    if order.why.rule == "operator":
        return "by_hand"
    if order.why.rule == "owner" and candidate.rule in {"team", "nearest"}:
        return "owner_first"
    if order.why.rule == "team" and candidate.rule == "nearest":
        return "team_first"
    if candidate.eta_s is not None and order.eta_s is not None and candidate.eta_s >= order.eta_s:
        return "later"
    return "jointly" if order.why.together else "passed_over"


def seconds_between(earlier: str, later: str) -> float:
    """Give the seconds from one time of the contract to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
