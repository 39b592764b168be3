"""The account of a run, kept from the topics alone: alerts in = decided + dead-lettered.

An alert is decided when an event names its place as the cause; it is dead-lettered when a dead
letter names its place. A record that says word for word what a decided one with the same id says
changes nothing, and nothing is written about it; it counts as decided. Whatever is left is lost.
A member's alarm is an alert that came in as a position.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from xiaohe.sim.bus import Heard, Place

WINDOWS: Final = ("accept", "arrive", "backup")
"""The three windows, by their short names."""

OVERDUE: Final = {
    "acceptance.overdue": "accept",
    "arrival.overdue": "arrive",
    "backup.overdue": "backup",
}
"""The event that says that a window has passed."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The account: ``alerts`` = ``decided`` + ``repeats`` + ``dead_lettered`` + ``lost``."""

    alerts: int
    alarms: int
    decided: int
    repeats: int
    dead_lettered: int
    lost: int
    lost_at: tuple[Place, ...]


@dataclass(slots=True)
class _Alert:
    area: bytes | None
    alert_id: str | None
    content: object


class Ledger:
    """What was read from the topics since the run began."""

    def __init__(self) -> None:
        self.incidents: dict[str, dict[str, Any]] = {}
        """The newest view of each incident that was opened during the run."""
        self.opened: dict[str, dict[str, Any]] = {}
        """``data`` of each ``incident.opened``."""
        self.orders: dict[str, dict[str, Any]] = {}
        """The newest record of each order."""
        self.ordered: dict[str, dict[str, Any]] = {}
        """The first record of each order."""
        self.dead_letters: list[dict[str, Any]] = []
        self.events: Counter[str] = Counter()
        self.overdue: set[tuple[str, str]] = set()
        """(incident_id, window) of every overdue event."""
        self._views: dict[str, dict[str, Any]] = {}
        self._alerts: dict[Place, _Alert] = {}
        self._alarms: set[Place] = set()
        self._causes: set[Place] = set()
        self._dead: set[Place] = set()
        self._sent_s: dict[str, float] = {}
        self._first_s: dict[str, float] = {}
        self._cause_of: dict[str, Place] = {}

    # --- taking

    def sending(self, alert_id: str, at_s: float) -> None:
        """Note when an alert was handed to the producer, monotonic seconds."""
        self._sent_s.setdefault(alert_id, at_s)

    def alarm_sent(self, place: Place) -> None:
        """Note where a member's alarm was written."""
        self._alarms.add(place)

    def take(self, heard: Heard) -> Mapping[str, Any] | None:
        """Take a record; give its value where it is one of the engine's."""
        if heard.topic == "alerts":
            self._take_alert(heard)
            return None
        if heard.value is None:
            return None
        value: dict[str, Any] = orjson.loads(heard.value)
        match heard.topic:
            case "incident_events":
                self._take_event(value)
            case "dispatches":
                self._take_order(value, heard.heard_s)
            case "incidents":
                self._take_view(value)
            case "dead_letters":
                self.dead_letters.append(value)
                self._dead.add(Place(value["topic"], value["partition"], value["offset"]))
        return value

    def _take_alert(self, heard: Heard) -> None:
        try:
            content = orjson.loads(heard.value or b"")
        except orjson.JSONDecodeError:
            content = None
        alert_id = content.get("alert_id") if isinstance(content, dict) else None
        known_id = alert_id if isinstance(alert_id, str) else None
        self._alerts[heard.place] = _Alert(heard.key, known_id, content)

    def _take_event(self, event: Mapping[str, Any]) -> None:
        kind, incident_id, data = event["type"], event["incident_id"], event["data"]
        self.events[kind] += 1
        cause = event["cause"]
        if "offset" in cause:
            place = Place(cause["topic"], cause["partition"], cause["offset"])
            self._causes.add(place)
            if kind in {"member.dispatched", "backup.dispatched"}:
                self._cause_of[data["dispatch_id"]] = place
        if kind == "incident.opened":
            self.opened[incident_id] = {**data, "at": event["at"]}
            if incident_id in self._views:
                self.incidents[incident_id] = self._views[incident_id]
        elif kind in OVERDUE:
            self.overdue.add((incident_id, OVERDUE[kind]))

    def _take_order(self, order: dict[str, Any], heard_s: float) -> None:
        dispatch_id = order["dispatch_id"]
        self.orders[dispatch_id] = order
        if order["state"] == "ordered" and dispatch_id not in self.ordered:
            self.ordered[dispatch_id] = order
            self._first_s[dispatch_id] = heard_s

    def _take_view(self, view: dict[str, Any]) -> None:
        incident_id = view["incident_id"]
        known = self._views.get(incident_id)
        if known is None or view["last_seq"] >= known["last_seq"]:
            self._views[incident_id] = view
            if incident_id in self.opened:
                self.incidents[incident_id] = view

    # --- asked for

    def balance(self) -> Balance:
        """Draw the balance."""
        decided = repeats = dead = 0
        lost: list[Place] = []
        heard = [alert for place, alert in self._alerts.items() if place in self._causes]
        for place, alert in sorted(self._alerts.items()):
            if place in self._causes:
                decided += 1
            elif place in self._dead:
                dead += 1
            elif _says_what(alert, heard):
                repeats += 1
            else:
                lost.append(place)
        for place in sorted(self._alarms):
            decided += place in self._causes
            dead += place in self._dead
            if place not in self._causes | self._dead:
                lost.append(place)
        total = len(self._alerts) + len(self._alarms)
        assert total == decided + repeats + dead + len(lost), "every alert is one of the four"
        return Balance(total, len(self._alarms), decided, repeats, dead, len(lost), tuple(lost))

    def alert_to_order_ms(self) -> list[float]:
        """Milliseconds of the machine from handing an alert to the producer to reading its order.

        Only orders that followed from the alert itself count, one an alert: what had to wait for
        somebody to become free says nothing about the engine.
        """
        first: dict[str, float] = {}
        for dispatch_id, read_s in self._first_s.items():
            order, cause = self.ordered[dispatch_id], self._cause_of.get(dispatch_id)
            if cause not in self._alerts and cause not in self._alarms:
                continue
            sent_s = self._sent_s.get(order["alert_id"])
            if sent_s is not None:
                took_ms = 1000 * (read_s - sent_s)
                known_ms = first.get(order["alert_id"])
                first[order["alert_id"]] = took_ms if known_ms is None else min(known_ms, took_ms)
        return sorted(first.values())

    def dead_by_reason(self) -> dict[str, int]:
        """Count the dead letters by reason."""
        return dict(sorted(Counter(str(each["reason"]) for each in self.dead_letters).items()))


def _says_what(alert: _Alert, heard: list[_Alert]) -> bool:
    """Tell whether a decided record of the area had the same id and the same content."""
    return alert.alert_id is not None and any(
        (each.area, each.alert_id) == (alert.area, alert.alert_id) and each.content == alert.content
        for each in heard
    )
