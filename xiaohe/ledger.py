"""The books that ``xiaohe verify`` keeps: what the topics promise each other, record by record.

Written from the wire contract alone and sharing no code with the engine, so that a fault of the
engine is not repeated here. A ``Ledger`` is fed the records of each topic in the order of their
partitions; records of an epoch lower than one seen for the area, and records sent twice, are
dropped first, as any reader should do. What it keeps grows with the number of alerts and
incidents (some hundred bytes each), not with their texts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import orjson
from aiokafka.partitioner import murmur2

Kind = Literal[
    "lost",
    "duplicate_order",
    "sequence_gap",
    "forgotten",
    "missing_order",
    "stale_view",
    "malformed_output",
]
"""What may be wrong: each stands for one line of the account."""

FINDINGS_MAX: Final = 100
"""Findings of a kind that are told one by one; all of them are counted."""

FORGOTTEN_S: Final = 60.0
"""How much later than its deadline the engine may write what is due, by its own clock: longer
than a worker's recovery, shorter than the shortest window after the one that was missed."""

LIVE: Final = ("open", "dispatched", "accepted", "en_route", "on_scene")
"""States of an incident that goes on; each but the first is that of its furthest primary."""

PROGRESS: Final[Mapping[str, int]] = {"ordered": 1, "accepted": 2, "en_route": 3, "arrived": 4}
"""States of an order that is open; the number is the place of its incident's state in LIVE."""

ORDER_EVENTS: Final[Mapping[str, str]] = {
    "member.dispatched": "ordered",
    "backup.dispatched": "ordered",
    "member.accepted": "accepted",
    "member.en_route": "en_route",
    "member.arrived": "arrived",
    "backup.arrived": "arrived",
    "member.declined": "ended",
    "member.stood_down": "ended",
    "member.lapsed": "ended",
    "member.completed": "ended",
}
"""The state of an order after each event about it."""

INCIDENT_EVENTS: Final[Mapping[str, str]] = {
    "incident.resolved": "resolved",
    "incident.closed": "closed",
    "incident.cancelled": "cancelled",
    "incident.merged": "merged",
    "incident.reopened": "open",
    "incident.unmerged": "open",
}
"""The state of an incident after each event about the incident itself."""

WINDOWS: Final = ("accept", "arrive", "backup")
OVERDUE: Final[Mapping[str, str]] = {
    "acceptance.overdue": "accept",
    "arrival.overdue": "arrive",
    "backup.overdue": "backup",
}
"""The window that each event closes as missed."""

ALERT_FIELDS: Final = frozenset(
    [
        "source",
        "category",
        "occurred_at",
        "position",
        "road_id",
        "address",
        "priority",
        "text",
        "caller_id",
        "callback",
        "skills",
        "needed",
        "forces",
        "place",
        "reported_by",
        "confidence",
        "evidence",
        "supersedes",
        "drill",
        "origin",
    ]
)
"""The contract's fields of an alert that make up its content."""

ALERT_DEFAULTS: Final[Mapping[str, object]] = {"priority": 2, "drill": False, "datum": "wgs84"}
"""A field that says its default says the same as one that is left out."""


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class Finding(NamedTuple):
    """One thing that does not hold."""

    kind: Kind
    what: str
    detail: str


class AlertKey(NamedTuple):
    """An alert_id is unique in its area."""

    area_id: str
    alert_id: str


class _Place(NamedTuple):
    partition: int
    offset: int


class _UnreadableError(Exception):
    """A record that this small reading cannot make out."""


@dataclass(slots=True)
class _Order:
    member_id: str
    acting: str
    state: str
    offered: bool
    end_shown: bool = False
    ordered_at: float = 0.0
    accept_by: float | None = None


@dataclass(slots=True)
class _Incident:
    """An incident as its events tell it."""

    incident_id: str
    area_id: str
    last_seq: int
    state: str = "open"
    needed: int = 1
    orders: dict[str, _Order] = field(default_factory=dict)
    received_at: float | None = None
    due: dict[str, float] = field(default_factory=dict)
    met_or_told: set[str] = field(default_factory=set)
    unfilled_told: bool = False
    too_many_told: bool = False
    last_at: float = 0.0


class _Fences:
    """Drops what a worker wrote after its area had been taken over, per topic and area."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self.dropped = 0

    def admits(self, area_id: str, epoch: object) -> bool:
        if not isinstance(epoch, int):
            return True
        if epoch < self._highest.get(area_id, epoch):
            self.dropped += 1
            return False
        self._highest[area_id] = epoch
        return True


class _Sent:
    """What was sent already, by its CloudEvents source and id."""

    def __init__(self) -> None:
        self._content: dict[bytes, bytes] = {}
        self.again = 0

    def first(self, identity: str, value: Mapping[str, object]) -> bool | None:
        """Tell whether this is the first of its identity; None: the second says something else."""
        key = _digest(identity.encode())
        content = _digest(_canonical({k: v for k, v in value.items() if k != "epoch"}))
        known = self._content.setdefault(key, content)
        if known is content:
            return True
        self.again += 1
        return False if known == content else None


class Ledger:
    """The account of one reading of the topics.

    ``alerts_topic`` and ``area_partitions`` say which dead letters are of alerts, and where an
    alert belongs. ``trimmed_dispatches`` gives, per partition of `dispatches` whose beginning
    retention has removed, the time (s since the epoch) before which orders are not looked for.
    Events, dispatches, views and dead letters may be fed in any order of topics; alerts last.
    """

    def __init__(
        self,
        alerts_topic: str,
        area_partitions: int,
        *,
        trimmed_dispatches: Mapping[int, float] | None = None,
        forgotten_s: float = FORGOTTEN_S,
    ) -> None:
        self._alerts_topic = alerts_topic
        self._partitions = area_partitions
        self._trimmed = dict(trimmed_dispatches or {})
        self._forgotten_s = forgotten_s
        self._found: dict[str, list[Finding]] = {}
        self._counts: Counter[str] = Counter()
        self._fences = {t: _Fences() for t in ("incident_events", "dispatches", "incidents")}
        self._sent = {t: _Sent() for t in ("incident_events", "dispatches", "dead_letters")}
        self.incidents: dict[str, _Incident] = {}
        self._holding: dict[tuple[str, str], str] = {}
        self._shown_open: dict[tuple[str, str], str] = {}
        self._decided_causes: dict[_Place, AlertKey] = {}
        self._named: set[AlertKey] = set()
        self._decided_orders: dict[tuple[str, str], tuple[int, float]] = {}
        self._shown_orders: dict[tuple[str, str], tuple[str, str]] = {}
        self._views: dict[str, tuple[int, str]] = {}
        self._letters: dict[_Place, str] = {}
        self.letters_by_reason: Counter[str] = Counter()
        self._contents: dict[AlertKey, bytes] = {}
        self._unreadable = 0
        self._lettered = 0
        self._corrections_lost = 0
        self._awaited: dict[str, tuple[str, _Place, AlertKey | None]] = {}
        self._strays: dict[AlertKey, _Place] = {}
        self._seq_at_cut: dict[str, int] | None = None
        self._orders_at_cut: frozenset[tuple[str, str]] = frozenset()
        self.as_of = 0.0

    # --- incident-events ------------------------------------------------------------------

    def event(self, record: Record) -> None:
        """Take a record of `incident-events`."""
        value = self._output("incident_events", record, "event_id")
        if value is None:
            return
        incident_id, seq, kind = value.get("incident_id"), value.get("seq"), value.get("type")
        data = value.get("data")
        if not (
            isinstance(incident_id, str)
            and isinstance(seq, int)
            and isinstance(kind, str)
            and isinstance(data, dict)
            and value.get("event_id") == f"{incident_id}:{seq}"
        ):
            self._malformed(record, "incident-events", "lacks what every event has")
            return
        at = _seconds(value.get("at")) or 0.0
        self.as_of = max(self.as_of, at)
        incident = self._numbered(incident_id, str(value["area_id"]), seq)
        incident.last_at = at
        if kind in {"incident.opened", "alert.attached"}:
            self._names_alert(incident.area_id, data, value.get("cause"))
        if kind in ORDER_EVENTS:
            self._order_event(record, incident, kind, data, at)
        else:
            _incident_event(incident, kind, data, value)
        if incident.state in LIVE:
            incident.state = LIVE[_furthest(incident)]

    def _numbered(self, incident_id: str, area_id: str, seq: int) -> _Incident:
        incident = self.incidents.get(incident_id)
        if incident is None:
            incident = self.incidents[incident_id] = _Incident(incident_id, area_id, 0)
        if seq != incident.last_seq + 1:
            self._find(
                "sequence_gap", incident_id, f"event {seq} follows event {incident.last_seq}"
            )
        incident.last_seq = max(incident.last_seq, seq)
        return incident

    def _names_alert(self, area_id: str, data: Mapping[str, object], cause: object) -> None:
        key = AlertKey(area_id, str(data.get("alert_id")))
        self._named.add(key)
        if isinstance(cause, dict) and cause.get("topic") == self._alerts_topic:
            self._decided_causes[_Place(cause["partition"], cause["offset"])] = key

    def _order_event(
        self, record: Record, incident: _Incident, kind: str, data: Mapping[str, Any], at: float
    ) -> None:
        dispatch_id, member_id = data.get("dispatch_id"), data.get("member_id")
        if not isinstance(dispatch_id, str) or not isinstance(member_id, str):
            self._malformed(record, "incident-events", f"{kind} names no order and member")
            return
        order = incident.orders.get(dispatch_id)
        state = ORDER_EVENTS[kind]
        if order is None:
            offered = state == "ordered"
            if not offered and kind != "member.arrived":
                self._malformed(record, "incident-events", f"{kind} of an order never given")
            acting = str(data.get("role", "primary"))
            order = incident.orders[dispatch_id] = _Order(member_id, acting, "none", offered)
            order.ordered_at, order.accept_by = at, _seconds(data.get("accept_by"))
        was, order.state = order.state, state
        if state in PROGRESS:
            self._holds(incident, order, dispatch_id)
            self._not_too_many(incident, was, order)
        else:
            self._lets_go(incident.area_id, order, dispatch_id)
        self._owe(record.partition, dispatch_id, order, at)
        _note_windows(incident, kind, order)

    def _holds(self, incident: _Incident, order: _Order, dispatch_id: str) -> None:
        who = (incident.area_id, order.member_id)
        held = self._holding.setdefault(who, dispatch_id)
        if held != dispatch_id:
            self._find(
                "duplicate_order",
                dispatch_id,
                f"{order.member_id} has this order and {held} open at once",
            )
            self._holding[who] = dispatch_id

    def _lets_go(self, area_id: str, order: _Order, dispatch_id: str) -> None:
        if self._holding.get((area_id, order.member_id)) == dispatch_id:
            del self._holding[area_id, order.member_id]

    def _not_too_many(self, incident: _Incident, was: str, order: _Order) -> None:
        if order.acting != "primary" or PROGRESS.get(was, 0) > 1 or order.state == "ordered":
            return
        taken = sum(PROGRESS.get(o.state, 0) > 1 for o in _primaries(incident))
        if taken > incident.needed and not incident.too_many_told:
            incident.too_many_told = True
            self._find(
                "duplicate_order",
                incident.incident_id,
                f"{taken} accepted primaries, and {incident.needed} needed",
            )

    def _owe(self, partition: int, dispatch_id: str, order: _Order, at: float) -> None:
        """Note which record of `dispatches` must follow from this event."""
        if not order.offered or order.state not in {"ordered", "ended"}:
            return
        if order.state == "ended":
            if order.end_shown:
                return
            order.end_shown = True
        self._decided_orders[dispatch_id, order.state] = (partition, at)

    # --- dispatches -----------------------------------------------------------------------

    def dispatch(self, record: Record) -> None:
        """Take a record of `dispatches`."""
        value = self._output("dispatches", record, "dispatch_id", "state")
        if value is None:
            return
        named = [value.get(n) for n in ("dispatch_id", "state", "area_id", "member_id")]
        if not all(isinstance(text, str) for text in named) or named[1] not in {"ordered", "ended"}:
            self._malformed(record, "dispatches", "lacks what every order has")
            return
        dispatch_id, state, area_id, member_id = map(str, named)
        self._shown_orders[dispatch_id, state] = (member_id, str(value.get("incident_id")))
        who = (area_id, member_id)
        if state == "ordered":
            other = self._shown_open.get(who)
            if other is not None:
                self._find(
                    "duplicate_order",
                    dispatch_id,
                    f"{member_id} is ordered while {other} has not been shown as ended",
                )
            self._shown_open[who] = dispatch_id
            return
        if self._shown_open.get(who) == dispatch_id:
            del self._shown_open[who]
        given = self._shown_orders.get((dispatch_id, "ordered"))
        if given is not None and given != self._shown_orders[dispatch_id, state]:
            self._malformed(record, "dispatches", "an end that names another member or incident")

    # --- views, dead letters --------------------------------------------------------------

    def view(self, record: Record) -> None:
        """Take a record of `incidents`."""
        value = self._readable("incidents", record)
        if value is None or not self._admitted("incidents", value):
            return
        last_seq, state = value.get("last_seq"), value.get("state")
        incident_id = value.get("incident_id")
        identity = f"{incident_id}@{last_seq}"
        if not isinstance(last_seq, int) or record.headers.get("ce_id") != identity.encode():
            self._malformed(record, "incidents", f"its ce_id should be {identity}")
            return
        self._views[str(incident_id)] = (last_seq, str(state))

    def dead_letter(self, record: Record) -> None:
        """Take a record of `dead-letters`."""
        value = self._readable("dead_letters", record)
        if value is None or not self._is_first("dead_letters", record, value):
            return
        topic, reason = str(value.get("topic")), str(value.get("reason"))
        self.letters_by_reason[f"{topic}: {reason}"] += 1
        partition, offset = value.get("partition"), value.get("offset")
        if not isinstance(partition, int) or not isinstance(offset, int):
            self._malformed(record, "dead-letters", "does not say which record it is about")
        elif topic == self._alerts_topic:
            self._letters[_Place(partition, offset)] = reason

    # --- alerts ---------------------------------------------------------------------------

    def alert(self, record: Record) -> None:
        """Take a record of `alerts`: it was decided, dead-lettered, or is a repetition."""
        place = _Place(record.partition, record.offset)
        if place in self._letters:
            self._lettered += 1
            if place in self._decided_causes:
                self._find("malformed_output", _named(place), "dead-lettered, and decided too")
            return
        try:
            key, content = _read_alert(record)
        except _UnreadableError as error:
            self._unreadable_alert(place, str(error))
            return
        if murmur2_partition(key.area_id, self._partitions) != record.partition:
            # It should have been forwarded: then it lies in its own partition too.
            self._strays[key] = place
            return
        known = self._contents.get(key)
        self._contents[key] = content
        if known is None and key not in self._named:
            self._awaited[_named(place)] = ("never decided", place, key)
        elif known not in {None, content} and place not in self._decided_causes:
            self._awaited[_named(place)] = ("a correction, never attached", place, key)
            self._corrections_lost += 1

    def _unreadable_alert(self, place: _Place, why: str) -> None:
        if place in self._decided_causes:
            self._contents.setdefault(self._decided_causes[place], b"")
            return
        self._unreadable += 1
        self._awaited[_named(place)] = (f"{why}, and never dead-lettered", place, None)

    # --- what is still to come, and the account -------------------------------------------

    def cut(self) -> None:
        """Everything has been read up to the ends as of the start: what is owed from now on?"""
        self._seq_at_cut = {i: incident.last_seq for i, incident in self.incidents.items()}
        self._orders_at_cut = frozenset(self._decided_orders)
        for shown in self._shown_orders.keys() - self._decided_orders.keys():
            order = ":".join(shown)
            self._find("malformed_output", order, "is in dispatches and in no incident's events")
        for incident_id, (last_seq, _) in self._views.items():
            known = self._seq_at_cut.get(incident_id, 0)
            if last_seq > known:
                self._find(
                    "stale_view",
                    incident_id,
                    f"the view has seen event {last_seq}; the events end at {known}",
                )

    @property
    def outstanding(self) -> bool:
        """Whether something is owed that a moment's patience may still bring."""
        return (
            any(True for _ in self._lost())
            or any(True for _ in self._missing_orders())
            or any(True for _ in self._stale_views())
        )

    def _lost(self) -> Iterator[Finding]:
        for name, (why, place, key) in self._awaited.items():
            correction = "correction" in why
            if place in self._letters or place in self._decided_causes:
                continue
            if key is not None and not correction and key in self._named:
                continue
            what = name if key is None else f"{name} (alert {key.alert_id} of {key.area_id})"
            yield Finding("lost", what, why)
        for key, place in self._strays.items():
            if key not in self._contents and place not in self._letters:
                what = f"{_named(place)} (alert {key.alert_id} of {key.area_id})"
                yield Finding("lost", what, "in a partition not its key's, and never forwarded")

    def _missing_orders(self) -> Iterator[Finding]:
        for dispatch_id, state in self._orders_at_cut - self._shown_orders.keys():
            partition, at = self._decided_orders[dispatch_id, state]
            if at >= self._trimmed.get(partition, 0.0):
                yield Finding("missing_order", f"{dispatch_id}:{state}", "decided, not published")

    def _stale_views(self) -> Iterator[Finding]:
        for incident_id, seq in (self._seq_at_cut or {}).items():
            last_seq, state = self._views.get(incident_id, (0, "none"))
            incident = self.incidents[incident_id]
            if last_seq < seq:
                detail = f"the view ends at event {last_seq}, the events at {seq}"
                yield Finding("stale_view", incident_id, detail)
            elif last_seq == incident.last_seq and state != incident.state:
                detail = f"the view says {state}, the events come to {incident.state}"
                yield Finding("stale_view", incident_id, detail)

    def _forgotten(self) -> Iterator[Finding]:
        for incident in self.incidents.values():
            if incident.state in LIVE:
                why = _overlooked(incident, self.as_of - self._forgotten_s)
                if why is not None:
                    yield Finding("forgotten", incident.incident_id, why)

    def findings(self) -> dict[str, list[Finding]]:
        """Give everything that does not hold, by kind."""
        late = (*self._lost(), *self._missing_orders(), *self._stale_views(), *self._forgotten())
        found = {kind: list(each) for kind, each in self._found.items()}
        for each in sorted(late):
            found.setdefault(each.kind, []).append(each)
        return found

    def count(self, kind: Kind) -> int:
        """Count what does not hold, whether it is told one by one or not."""
        return self._counts[kind] + sum(
            each.kind == kind
            for group in (
                self._lost(),
                self._missing_orders(),
                self._stale_views(),
                self._forgotten(),
            )
            for each in group
        )

    @property
    def alerts_in(self) -> int:
        """Alerts that came in: distinct ones, and each record that could not be taken."""
        strays = sum(key not in self._contents for key in self._strays)
        return len(self._contents) + strays + self._unreadable + self._lettered

    @property
    def decided(self) -> int:
        """Those of them that opened an incident or were attached to one."""
        return sum(key in self._named for key in self._contents)

    @property
    def dead_lettered(self) -> int:
        """Those of them that could not be taken, and have their dead letter."""
        late = sum(
            key is None and place in self._letters for _, place, key in self._awaited.values()
        )
        return self._lettered + late

    @property
    def records_ignored(self) -> tuple[int, int]:
        """Records dropped because they were sent twice, and because of a lower epoch."""
        return (
            sum(each.again for each in self._sent.values()),
            sum(each.dropped for each in self._fences.values()),
        )

    # --- outputs in general ---------------------------------------------------------------

    def _output(self, topic: str, record: Record, *identity: str) -> dict[str, Any] | None:
        """Read an output record; None where it is to be ignored, or cannot be read."""
        value = self._readable(topic, record)
        if value is None or not self._admitted(topic, value):
            return None
        wanted = ":".join(str(value.get(name)) for name in identity)
        if record.headers.get("ce_id") != wanted.encode():
            self._malformed(record, topic, f"its ce_id should be {wanted}")
        return value if self._is_first(topic, record, value) else None

    def _readable(self, topic: str, record: Record) -> dict[str, Any] | None:
        missing = [h for h in ("ce_id", "ce_source", "ce_type") if not record.headers.get(h)]
        if record.headers.get("ce_specversion") != b"1.0":
            missing.append("ce_specversion")
        if missing:
            self._malformed(record, topic, f"lacks the headers {', '.join(missing)}")
        try:
            value = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            return value
        self._malformed(record, topic, "is no JSON object")
        return None

    def _admitted(self, topic: str, value: Mapping[str, object]) -> bool:
        return self._fences[topic].admits(str(value.get("area_id")), value.get("epoch"))

    def _is_first(self, topic: str, record: Record, value: Mapping[str, object]) -> bool:
        source, ce_id = record.headers.get("ce_source", b""), record.headers.get("ce_id", b"")
        first = self._sent[topic].first(f"{source!r} {ce_id!r}", value)
        if first is None:
            kind: Kind = "duplicate_order" if topic == "dispatches" else "malformed_output"
            self._find(
                kind, ce_id.decode(errors="replace"), "sent twice, and each says something else"
            )
        return first is True

    def _malformed(self, record: Record, topic: str, why: str) -> None:
        self._find("malformed_output", f"{topic}:{record.partition}:{record.offset}", why)

    def _find(self, kind: Kind, what: str, detail: str) -> None:
        self._counts[kind] += 1
        told = self._found.setdefault(kind, [])
        if len(told) < FINDINGS_MAX:
            told.append(Finding(kind, what, detail))


def murmur2_partition(area_id: str, partitions: int) -> int:
    """Give the partition where Kafka's own clients put this key."""
    return int(murmur2(area_id.encode()) & 0x7FFFFFFF) % partitions


def _primaries(incident: _Incident) -> Iterator[_Order]:
    return (order for order in incident.orders.values() if order.acting == "primary")


def _furthest(incident: _Incident) -> int:
    return max((PROGRESS.get(order.state, 0) for order in _primaries(incident)), default=0)


def _incident_event(
    incident: _Incident, kind: str, data: Mapping[str, Any], value: Mapping[str, Any]
) -> None:
    """Fold an event about the incident itself."""
    if kind in {"incident.opened", "incident.reopened"}:
        incident.received_at = _seconds(data.get("received_at")) or _seconds(value.get("at"))
        incident.due.clear()
        incident.met_or_told.clear()
        incident.unfilled_told = False
    if kind in INCIDENT_EVENTS:
        incident.state = INCIDENT_EVENTS[kind]
    if kind in OVERDUE:
        incident.met_or_told.add(OVERDUE[kind])
    if kind == "incident.unfilled":
        incident.unfilled_told = True
    if kind == "backup.required" and "backup" not in incident.due:
        _set_due(incident, "backup", data.get("due_at"))
    if kind in {"incident.opened", "incident.reopened", "incident.updated"}:
        _set_due(incident, "accept", data.get("accept_by"))
        _set_due(incident, "arrive", data.get("arrive_by"))
    if isinstance(data.get("needed"), int) and kind != "aid.requested":
        incident.needed = data["needed"]
    promoted = incident.orders.get(str(data.get("promoted")))
    if promoted is not None:
        promoted.acting = "primary"


def _set_due(incident: _Incident, window: str, at: object) -> None:
    due = _seconds(at)
    if due is not None:
        incident.due[window] = due


def _note_windows(incident: _Incident, kind: str, order: _Order) -> None:
    """A window that was met is not told as missed any more."""
    if order.state == "ordered":
        incident.unfilled_told = False
    if order.state == "arrived":
        incident.met_or_told.add("arrive")
    if kind == "backup.arrived":
        incident.met_or_told.add("backup")
    if order.acting == "primary" and order.state in {"accepted", "en_route", "arrived"}:
        incident.met_or_told.add("accept")


def _overlooked(incident: _Incident, by: float) -> str | None:
    """Say what should have been written about a live incident by then, or None."""
    for window in WINDOWS:
        due = incident.due.get(window)
        if due is not None and due < by and window not in incident.met_or_told:
            return f"the {window} window ended, and no event says so"
    for dispatch_id, order in incident.orders.items():
        limit = _limit(incident, order)
        if limit is not None and limit < by:
            return f"order {dispatch_id} has been {order.state} beyond its time"
    nobody = all(order.state not in PROGRESS for order in incident.orders.values())
    if nobody and not incident.unfilled_told and incident.last_at < by:
        return "nobody is ordered to it, and nothing says why"
    return None


def _limit(incident: _Incident, order: _Order) -> float | None:
    """By when an order must have moved on: answered, or arrived within twice the window."""
    if order.state == "ordered":
        return order.accept_by
    arrive_by = incident.due.get("arrive")
    is_coming = order.state in {"accepted", "en_route"} and order.acting == "primary"
    if not is_coming or arrive_by is None or incident.received_at is None:
        return None
    window = arrive_by - incident.received_at
    return max(incident.received_at + 2 * window, order.ordered_at + window)


def _read_alert(record: Record) -> tuple[AlertKey, bytes]:
    """Read as much of an alert as tells it from others: its key, and a digest of its content."""
    if record.key is None:
        raise _UnreadableError("no key")
    try:
        value = orjson.loads(record.value or b"")
        area_id = record.key.decode()
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        raise _UnreadableError("not JSON, or not UTF-8") from None
    if isinstance(value, dict) and isinstance(value.get("specversion"), str):
        value = value.get("data")
    if not isinstance(value, dict) or not isinstance(value.get("alert_id"), str):
        raise _UnreadableError("no object with an alert_id")
    content = {name: value[name] for name in ALERT_FIELDS if name in value}
    return AlertKey(area_id, value["alert_id"]), _digest(_canonical(_plain(content)))


def _plain(value: object) -> object:
    """Leave out what says nothing, and write numbers in one way."""
    if isinstance(value, dict):
        return {
            name: _plain(item)
            for name, item in value.items()
            if item is not None and item != [] and item != ALERT_DEFAULTS.get(name)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return round(float(value), 7) if is_number else value  # type: ignore[arg-type]  # a number


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=16).digest()


def _named(place: _Place) -> str:
    return f"alerts:{place.partition}:{place.offset}"


def _seconds(text: object) -> float | None:
    """Read an RFC 3339 time, as seconds since the epoch."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
