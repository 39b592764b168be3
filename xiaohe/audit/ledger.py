"""The books: every alert decided or dead-lettered, every order published once, nothing forgotten.

What a ``Ledger`` keeps grows with the number of alerts, orders and incidents (some hundred bytes
each), not with what they say.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from xiaohe.audit.incidents import ORDER_EVENTS, Incidents, overlooked
from xiaohe.audit.records import (
    AlertKey,
    Copies,
    Fences,
    Finding,
    Kind,
    Place,
    Record,
    Sent,
    UnreadableError,
    home_partition,
    read_alert,
    seconds_of,
)

FINDINGS_MAX: Final = 100
"""Findings of a kind that are told one by one; all of them are counted."""

FORGOTTEN_S: Final = 60.0
"""How much later than due something may be written, by the engine's own clock: longer than a
worker's recovery, shorter than any window that follows the one that was missed."""

CE_HEADERS: Final = ("ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time")
"""What every output carries."""


class Ledger:
    """The account of one reading of the topics.

    ``alerts_topic`` and ``area_partitions`` say which dead letters are of alerts, and where an
    alert belongs. ``trimmed_before`` gives, per partition of `dispatches` whose beginning
    retention has removed, the time (s since the epoch) before which no order is looked for.

    Records are fed topic by topic, each partition in its order, the alerts last; then ``cut``
    notes what is owed. What is read later may only pay it.
    """

    def __init__(
        self,
        alerts_topic: str,
        area_partitions: int,
        *,
        trimmed_before: Mapping[int, float] | None = None,
        forgotten_s: float = FORGOTTEN_S,
    ) -> None:
        self._alerts_topic = alerts_topic
        self._partitions = area_partitions
        self._trimmed_before = dict(trimmed_before or {})
        self._forgotten_s = forgotten_s
        self._found: dict[Kind, list[Finding]] = {}
        self._counts: Counter[Kind] = Counter()
        self._fences = {t: Fences() for t in ("incident_events", "dispatches", "incidents")}
        self._sent = {t: Sent() for t in ("incident_events", "dispatches", "dead_letters")}
        self._copies = Copies()
        self.incidents = Incidents(self.report)
        self.as_of = 0.0
        self._decided_by: dict[Place, AlertKey] = {}
        self._named: set[AlertKey] = set()
        self._owed_orders: dict[str, tuple[int, float]] = {}
        self._shown_orders: dict[str, tuple[str, str]] = {}
        self._shown_open: dict[tuple[str, str], str] = {}
        self._views: dict[str, tuple[int, str]] = {}
        self._letters: set[Place] = set()
        self.letters: Counter[str] = Counter()
        self._contents: dict[AlertKey, bytes] = {}
        self._strays: dict[AlertKey, Place] = {}
        self._awaited: dict[Place, tuple[AlertKey | None, str]] = {}
        self._lettered = 0
        self._unreadable = 0
        self._seq_at_cut: dict[str, int] = {}
        self._orders_at_cut: dict[str, tuple[int, float]] = {}

    # --- what is fed in -------------------------------------------------------------------

    def event(self, record: Record) -> None:
        """Take a record of `incident-events`."""
        value = self._first("incident_events", record, "event_id")
        if value is None:
            return
        incident_id, seq, kind = value.get("incident_id"), value.get("seq"), value.get("type")
        data, at = value.get("data"), seconds_of(value.get("at"))
        if not (isinstance(seq, int) and isinstance(data, dict) and at is not None):
            self._malformed("incident_events", record, "lacks seq, data or at")
            return
        if not isinstance(kind, str) or value.get("event_id") != f"{incident_id}:{seq}":
            what = "its event_id is not <incident_id>:<seq>, or its type no text"
            self._malformed("incident_events", record, what)
            return
        self.as_of = max(self.as_of, at)
        incident = self.incidents.numbered(str(incident_id), str(value.get("area_id")), seq)
        self.incidents.fold(incident, kind, data, at)
        if kind in {"incident.opened", "alert.attached"}:
            self._name(AlertKey(incident.area_id, str(data.get("alert_id"))), value.get("cause"))
        order = incident.orders.get(str(data.get("dispatch_id")))
        if order is None or not order.offered or kind not in ORDER_EVENTS:
            return
        if order.state == "ordered" or (order.state == "ended" and not order.end_shown):
            order.end_shown = order.state == "ended"
            self._owed_orders[f"{data['dispatch_id']}:{order.state}"] = (record.partition, at)

    def _name(self, key: AlertKey, cause: object) -> None:
        self._named.add(key)
        if not isinstance(cause, dict) or cause.get("topic") != self._alerts_topic:
            return
        partition, offset = cause.get("partition"), cause.get("offset")
        if isinstance(partition, int) and isinstance(offset, int):
            self._decided_by[Place(partition, offset)] = key

    def dispatch(self, record: Record) -> None:
        """Take a record of `dispatches`."""
        self._compare(record)
        value = self._first("dispatches", record, "dispatch_id", "state")
        if value is None:
            return
        dispatch_id, state = str(value.get("dispatch_id")), value.get("state")
        member_id = str(value.get("member_id"))
        shown = (member_id, str(value.get("incident_id")))
        self._shown_orders[f"{dispatch_id}:{state}"] = shown
        who = (str(value.get("area_id")), member_id)
        if state == "ordered":
            other = self._shown_open.get(who)
            if other is not None:
                what = f"{member_id} is ordered while {other} has not been shown as ended"
                self.report("duplicate_orders", dispatch_id, what)
            self._shown_open[who] = dispatch_id
        elif self._shown_open.get(who) == dispatch_id:
            del self._shown_open[who]
        if self._shown_orders.get(f"{dispatch_id}:ordered", shown) != shown:
            self._malformed("dispatches", record, "an end that names another member or incident")

    def _compare(self, record: Record) -> None:
        value = _object(record.value)
        wrong = None if value is None else self._copies.contradiction(value)
        if value is not None and wrong is not None:
            self.report("contradictory", str(value.get("dispatch_id")), wrong)

    def view(self, record: Record) -> None:
        """Take a record of `incidents`."""
        value = self._readable("incidents", record)
        if value is None or not self._admitted("incidents", record, value):
            return
        incident_id, last_seq = str(value.get("incident_id")), value.get("last_seq")
        wanted = f"{incident_id}@{last_seq}"
        if not isinstance(last_seq, int) or record.headers.get("ce_id") != wanted.encode():
            self._malformed("incidents", record, f"its ce_id should be {wanted}")
            return
        self._views[incident_id] = (last_seq, str(value.get("state")))

    def dead_letter(self, record: Record) -> None:
        """Take a record of `dead-letters`."""
        value = self._readable("dead_letters", record)
        if value is None or not self._is_first("dead_letters", record, value):
            return
        topic, partition, offset = value.get("topic"), value.get("partition"), value.get("offset")
        self.letters[f"{topic}: {value.get('reason')}"] += 1
        if not isinstance(partition, int) or not isinstance(offset, int):
            self._malformed("dead_letters", record, "does not say which record it is about")
        elif topic == self._alerts_topic:
            self._letters.add(Place(partition, offset))

    def alert(self, record: Record) -> None:
        """Take a record of `alerts`: decided, dead-lettered, or said before."""
        place = Place(record.partition, record.offset)
        if place in self._letters:
            self._lettered += 1
            if place in self._decided_by:
                self.report("malformed_outputs", _name_of(place), "dead-lettered, and decided too")
            return
        try:
            key, content = read_alert(record)
        except UnreadableError as error:
            self._take_unreadable(place, str(error))
            return
        if home_partition(key.area_id, self._partitions) != record.partition:
            self._strays[key] = place
            return
        known = self._contents.get(key)
        self._contents[key] = content
        if known is None and key not in self._named:
            self._awaited[place] = (key, "it opened no incident and is attached to none")
        elif known not in {None, content} and place not in self._decided_by:
            self._awaited[place] = (None, f"alert {key.alert_id}: a correction, never attached")

    def _take_unreadable(self, place: Place, why: str) -> None:
        if place in self._decided_by:
            self._contents.setdefault(self._decided_by[place], b"")
            return
        self._unreadable += 1
        self._awaited[place] = (None, f"{why}, and has no dead letter")

    # --- what is owed ---------------------------------------------------------------------

    def cut(self) -> None:
        """Note what is owed, all having been read up to the ends as of the start."""
        self._seq_at_cut = {each.incident_id: each.last_seq for each in self.incidents}
        self._orders_at_cut = dict(self._owed_orders)
        for shown in sorted(self._shown_orders.keys() - self._owed_orders.keys()):
            self.report("malformed_outputs", shown, "is in dispatches and in no incident's events")
        for incident_id, (last_seq, _) in self._views.items():
            known = self._seq_at_cut.get(incident_id, 0)
            if last_seq > known:
                what = f"the view has seen event {last_seq}; the events end at {known}"
                self.report("stale_views", incident_id, what)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is owed that a little patience may still bring."""
        owed = (self._lost(), self._missing_orders(), self._stale_views())
        return not any(True for group in owed for _ in group)

    def _lost(self) -> Iterator[Finding]:
        for place, (key, why) in self._awaited.items():
            if place not in self._letters and place not in self._decided_by:
                if key is None:
                    yield Finding("lost", _name_of(place), why)
                elif key not in self._named:
                    yield Finding("lost", f"{_name_of(place)} (alert {key.alert_id})", why)
        for key, place in self._strays.items():
            if not (key in self._contents or key in self._named or place in self._letters):
                why = f"alert {key.alert_id} is in a partition not its key's, and not forwarded"
                yield Finding("lost", _name_of(place), why)

    def _missing_orders(self) -> Iterator[Finding]:
        for shown, (partition, at) in self._orders_at_cut.items():
            if shown not in self._shown_orders and at >= self._trimmed_before.get(partition, 0.0):
                yield Finding("missing_orders", shown, "decided, and not published")

    def _stale_views(self) -> Iterator[Finding]:
        for incident_id, seq in self._seq_at_cut.items():
            last_seq, state = self._views.get(incident_id, (0, "none"))
            incident = self.incidents.get(incident_id)
            assert incident is not None, "what was there at the cut stays"
            if last_seq < seq:
                what = f"the view ends at event {last_seq}, the events at {seq}"
                yield Finding("stale_views", incident_id, what)
            elif last_seq == incident.last_seq and state != incident.state:
                what = f"the view says {state}, the events come to {incident.state}"
                yield Finding("stale_views", incident_id, what)

    def _forgotten(self) -> Iterator[Finding]:
        for incident in self.incidents:
            why = overlooked(incident, self.as_of - self._forgotten_s) if incident.is_live else None
            if why is not None:
                yield Finding("forgotten", incident.incident_id, why)

    # --- the account ----------------------------------------------------------------------

    def findings(self) -> dict[Kind, list[Finding]]:
        """Give everything that does not hold, by kind, at most FINDINGS_MAX each."""
        found = {kind: list(each) for kind, each in self._found.items()}
        for each in self._owed():
            told = found.setdefault(each.kind, [])
            if len(told) < FINDINGS_MAX:
                told.append(each)
        return found

    def counts(self) -> Counter[Kind]:
        """Count everything that does not hold, by kind."""
        return self._counts + Counter(each.kind for each in self._owed())

    def _owed(self) -> Iterator[Finding]:
        yield from self._lost()
        yield from self._missing_orders()
        yield from self._stale_views()
        yield from self._forgotten()

    @property
    def alerts_in(self) -> int:
        """Alerts that came in: distinct ones, and each record that could not be taken."""
        return len(self._keys()) + self._unreadable + self._lettered

    @property
    def decided(self) -> int:
        """Alerts that opened an incident or are attached to one."""
        return len(self._keys() & self._named)

    @property
    def dead_lettered(self) -> int:
        """Records of `alerts` that could not be taken, and have their dead letter."""
        late = sum(
            place in self._letters and (key is None or key not in self._named)
            for place, (key, _) in self._awaited.items()
        )
        return self._lettered + late

    def _keys(self) -> set[AlertKey]:
        return self._contents.keys() | self._strays.keys()

    @property
    def sent_again(self) -> int:
        """Records dropped because they had been sent before."""
        return sum(each.again for each in self._sent.values())

    @property
    def fenced(self) -> int:
        """Records dropped because of an epoch lower than one seen before."""
        return sum(each.dropped for each in self._fences.values())

    # --- outputs in general ---------------------------------------------------------------

    def _first(self, topic: str, record: Record, *identity: str) -> dict[str, Any] | None:
        """Read a record that counts; None where it is to be ignored or cannot be read."""
        value = self._readable(topic, record)
        if value is None or not self._admitted(topic, record, value):
            return None
        wanted = ":".join(str(value.get(name)) for name in identity)
        if record.headers.get("ce_id") != wanted.encode():
            self._malformed(topic, record, f"its ce_id should be {wanted}")
            return None
        return value if self._is_first(topic, record, value) else None

    def _readable(self, topic: str, record: Record) -> dict[str, Any] | None:
        missing = [name for name in CE_HEADERS if not record.headers.get(name)]
        if missing:
            self._malformed(topic, record, f"lacks the headers {', '.join(missing)}")
        value = _object(record.value)
        if value is not None:
            return value
        self._malformed(topic, record, "is no JSON object")
        return None

    def _admitted(self, topic: str, record: Record, value: Mapping[str, object]) -> bool:
        area_id = str(value.get("area_id"))
        return self._fences[topic].admits(record.partition, area_id, value.get("epoch"))

    def _is_first(self, topic: str, record: Record, value: Mapping[str, object]) -> bool:
        source, ce_id = record.headers.get("ce_source", b""), record.headers.get("ce_id", b"")
        try:
            first = self._sent[topic].first(source + b" " + ce_id, value)
        except orjson.JSONEncodeError:
            self._malformed(topic, record, "nests deeper than can be written again")
            return False
        if first is None:
            kind: Kind = "duplicate_orders" if topic == "dispatches" else "malformed_outputs"
            what = f"{topic}: sent twice, and each says something else"
            self.report(kind, ce_id.decode(errors="replace"), what)
        return first is True

    def _malformed(self, topic: str, record: Record, why: str) -> None:
        self.report("malformed_outputs", f"{topic}:{record.partition}:{record.offset}", why)

    def report(self, kind: Kind, what: str, detail: str) -> None:
        """Enter a finding."""
        self._counts[kind] += 1
        told = self._found.setdefault(kind, [])
        if len(told) < FINDINGS_MAX:
            told.append(Finding(kind, what, detail))


def _object(raw: bytes | None) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _name_of(place: Place) -> str:
    return f"alerts:{place.partition}:{place.offset}"
