"""The simulated brigade as a client of the wire: members' phones, callers, and a desk.

It knows the wire contract and nothing else of the engine: it sends alerts, positions, answers and
a desk's words, and hears orders and events. Who goes is none of its business; it goes where its
phone says. All times here are simulated; ``Timescale`` turns them into the topics' own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import orjson

from xiaohe.geo.roads import LonLat
from xiaohe.sim.bus import Heard
from xiaohe.sim.calls import BY_CATEGORY, DEFAULT_HANDLING_S, Call, Calls
from xiaohe.sim.habits import HABITS, Delay, Habits
from xiaohe.sim.members import Does, Order, Profile, Says, Sends, SimMember
from xiaohe.sim.streets import Streets
from xiaohe.sim.timescale import Timescale

DUTY_LOOKED_AT_MS: Final = 5_000
"""How often a member looks whether the shift has begun or ended."""

OPERATOR_ID: Final = "desk-1"

ACKNOWLEDGES: Final = 0.75
"""Share of calls to the command that the desk takes note of …"""

ACKNOWLEDGED: Final = Delay(25.0, 0.5, least_s=5.0, most_s=110.0)
"""… after so long."""

CLOSED: Final = Delay(45.0, 0.5, least_s=15.0, most_s=180.0)
"""From resolved to closed: the file is looked through, the reporter is told."""

DISTRESS_OVER_S: Final = 60.0
"""A member in distress is looked after for so long once help is there; then the desk closes."""

STILL_TO_COME_S: Final = 3.0
"""An order whose incident is not known after so long is asked about over the radio: the member
goes to where the caller is."""

RINGING_BACK_S: Final = 20.0
"""A member sent to no place, or to one that is not on the map, rings the caller back before
setting out; the desk does where nobody could be sent at all."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be sent. ``topic`` is its key in topics.yaml; ``raises`` an alert or alarm."""

    topic: str
    key: bytes | None
    value: bytes
    note: str = ""
    alert_id: str | None = None
    raises: bool = False


@dataclass(slots=True)
class _Later:
    """Something a desk or a phone will do."""

    at_ms: float
    number: int
    what: str
    incident_id: str
    member_id: str = ""


class Brigade:
    """Fifty phones, the callers and one desk.

    ``step`` gives what is to be sent by a simulated time, ``take`` is given what was heard.
    """

    def __init__(
        self,
        profiles: Iterable[Profile],
        streets: Streets,
        calls: Calls,
        scale: Timescale,
        *,
        seed: int,
        run_id: str,
        drill: bool = False,
        habits: Habits = HABITS,
    ) -> None:
        """``run_id`` goes into every id: an alert_id is unique in its area for a month."""
        self.members = {
            p.member_id: SimMember(p, streets, seed, scale.start_ms, habits) for p in profiles
        }
        assert self.members, "a brigade has members"
        self.area_id = next(iter(self.members.values())).profile.area_id
        self.calling = True
        self._streets = streets
        self._calls = calls
        self._scale = scale
        self._run_id = run_id
        self._drill = drill
        self._desk = Random(f"{seed}:desk")  # noqa: S311 - a simulation must be repeatable
        self._said = 0
        self._seq = 0
        self._sent: dict[int, tuple[str, bytes]] = {}
        self._truth: dict[str, Call] = {}
        self._incidents: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._ended: set[str] = set()
        self._later: list[_Later] = []
        self._findings: list[Call] = []
        self._duty: dict[str, tuple[float, bool]] = {}
        self._in_distress: dict[str, str] = {}

    def name(self, member_id: str) -> str:
        """Give a member's name, the id for somebody unknown."""
        member = self.members.get(member_id)
        return member_id if member is None else member.profile.name

    def counts(self) -> dict[str, int]:
        """Count the members by what they are doing."""
        found: dict[str, int] = {}
        for member in self.members.values():
            found[member.doing] = found.get(member.doing, 0) + 1
        return found

    def silent(self) -> int:
        """Count those on duty whose device has no position."""
        return sum(m.doing != "off_duty" and not m.has_signal for m in self.members.values())

    # --- what is sent

    def step(self, now_ms: int) -> list[Outgoing]:
        """Give what happens by now: calls, positions, answers, the desk's words."""
        out: list[Outgoing] = []
        self._hand_over_late_orders(now_ms)
        for member in self.members.values():
            on_duty = self._on_duty(member, now_ms)
            done = member.step(now_ms, on_duty=on_duty)
            out.extend(self._of_member(member, does, now_ms) for does in done)
        if self.calling:
            for call in self._calls.due((now_ms - self._scale.start_ms) / 1000):
                out.extend(self._of_call(call, now_ms))
            self._findings = [c for c in self._findings if not self._find(c, now_ms, out)]
        out.extend(self._of_desk(now_ms))
        return out

    def _on_duty(self, member: SimMember, now_ms: int) -> bool:
        """Shifts go by the day's clock, which the engine's roster goes by."""
        member_id = member.profile.member_id
        looked_ms, on_duty = self._duty.get(member_id, (float("-inf"), False))
        if now_ms - looked_ms >= DUTY_LOOKED_AT_MS:
            on_duty = member.profile.schedule.duty_at(self._scale.wall_ms(now_ms)).on_duty
            self._duty[member_id] = (now_ms, on_duty)
        return on_duty

    def _of_member(self, member: SimMember, does: Does, now_ms: int) -> Outgoing:
        member_id = member.profile.member_id
        if isinstance(does, Says):
            return self._action(member_id, does, now_ms)
        return self._position(member_id, does, now_ms)

    def _action(self, member_id: str, says: Says, now_ms: int) -> Outgoing:
        self._said += 1
        value: dict[str, object] = {
            "action_id": f"{self._run_id}-a{self._said}",
            "member_id": member_id,
            "at": self._scale.stamp(now_ms),
            "action": says.action,
            "dispatch_id": says.dispatch_id,
        }
        value |= {k: v for k, v in (("reason", says.reason), ("outcome", says.outcome)) if v}
        return self._record("member_actions", value)

    def _position(self, member_id: str, sends: Sends, now_ms: int) -> Outgoing:
        self._seq += 1
        value: dict[str, object] = {
            "member_id": member_id,
            "lon": round(sends.place[0], 6),
            "lat": round(sends.place[1], 6),
            "fix_time": self._scale.stamp(now_ms),
            "accuracy_m": sends.accuracy_m,
            "seq": self._seq,
        }
        if sends.speed_mps is not None:
            value["speed_mps"] = round(sends.speed_mps * self._scale.speed, 1)
        if sends.course_deg is not None:
            value["course_deg"] = sends.course_deg
        if sends.alarm is None:
            return self._record("positions", value)
        alarm_id = f"alarm:{member_id}:{value['fix_time']}"
        self._in_distress.setdefault(member_id, alarm_id)
        value["alarm"] = sends.alarm
        return Outgoing(
            "positions", self.area_id.encode(), orjson.dumps(value), "SOS",
            alarm_id, raises=True,
        )  # fmt: skip

    def _record(self, topic: str, value: Mapping[str, object], note: str = "") -> Outgoing:
        return Outgoing(topic, self.area_id.encode(), orjson.dumps(value), note)

    # --- calls

    def _of_call(self, call: Call, now_ms: int) -> Iterable[Outgoing]:
        match call.sort:
            case "bad":
                assert call.raw is not None, "a bad record has its bytes"
                key = (call.area or self.area_id).encode()
                yield Outgoing(call.topic, key, call.raw, call.note, raises=call.topic == "alerts")
            case "repeat":
                assert call.repeats is not None, "a repeat repeats something"
                alert_id, value = self._sent[call.repeats]
                yield Outgoing(
                    "alerts", self.area_id.encode(), value, call.note, alert_id, raises=True
                )
            case "alert":
                yield self._alert(call, call.alert, now_ms)
            case "own_finding" | "sos":
                self._findings.append(call)

    def _alert(self, call: Call, fields: Mapping[str, object], now_ms: int) -> Outgoing:
        alert_id = f"{self._run_id}-{call.number:04}"
        occurred_ms = self._scale.start_ms + 1000 * call.at_s
        value: dict[str, object] = {
            "alert_id": alert_id,
            "area_id": self.area_id,
            "occurred_at": self._scale.stamp(min(now_ms, occurred_ms)),
        }
        value |= fields
        if self._drill:
            value["drill"] = True
        sent = orjson.dumps(value)
        self._truth[alert_id] = call
        self._sent[call.number] = (alert_id, sent)
        return Outgoing("alerts", self.area_id.encode(), sent, call.note, alert_id, raises=True)

    def _find(self, call: Call, now_ms: int, out: list[Outgoing]) -> bool:
        """Let a free member find something, or one come into distress; False: there is none yet."""
        able = {"patrol", "on_scene"} if call.sort == "sos" else {"patrol"}
        fit = [m for m in self.members.values() if m.doing in able and m.has_signal]
        if not fit:
            return False
        member = self._desk.choice(fit)
        member_id = member.profile.member_id
        if call.sort == "sos":
            member.call_for_help("sos", now_ms)
            return True
        place = member.place(now_ms)
        here = Call(call.number, call.at_s, "alert", call.kind, place, note=call.note)
        fields: dict[str, object] = {
            "source": "patrol",
            "category": call.kind.category,
            "priority": 3,
            "position": {"lon": round(place[0], 6), "lat": round(place[1], 6)},
            "text": call.kind.text,
            "reported_by": member_id,
        }
        out.append(self._alert(here, fields, now_ms))
        return True

    # --- what is heard

    def take(self, heard: Heard, now_ms: int) -> None:
        """Take a record of ``dispatches`` or ``incident-events``; others are none of ours."""
        if heard.value is None:
            return
        if heard.topic == "dispatches":
            self._take_order(orjson.loads(heard.value), now_ms)
        elif heard.topic == "incident_events":
            self._take_event(orjson.loads(heard.value), now_ms)

    def _take_order(self, record: Mapping[str, Any], now_ms: int) -> None:
        dispatch_id = record["dispatch_id"]
        member = self.members.get(record["member_id"])
        if member is None:
            return
        if record["state"] == "ended":
            self._ended.add(dispatch_id)
            self._waiting.pop(dispatch_id, None)
            member.over(dispatch_id, now_ms, lapsed=record.get("end") == "lapsed")
        elif dispatch_id not in self._ended:
            self._waiting[dispatch_id] = (now_ms, record)
            self._hand_over(dispatch_id, now_ms)

    def _hand_over_late_orders(self, now_ms: int) -> None:
        for dispatch_id in tuple(self._waiting):
            self._hand_over(dispatch_id, now_ms)

    def _hand_over(self, dispatch_id: str, now_ms: int) -> None:
        """Show an order once it is known where its incident is: topics come in no order."""
        heard_ms, record = self._waiting[dispatch_id]
        known = self._incidents.get(record["incident_id"])
        if known is None and now_ms - heard_ms < 1000 * STILL_TO_COME_S:
            return
        del self._waiting[dispatch_id]
        call = self._truth.get(record["alert_id"])
        stated = self._stated_place(known)
        place = stated if stated is not None or call is None else call.place
        if place is None:
            return
        order = Order(
            dispatch_id=dispatch_id,
            goal=place,
            first=record["role"] == "primary",
            handling_s=DEFAULT_HANDLING_S if call is None else call.kind.handling_s,
            asking_s=RINGING_BACK_S if stated is None else 0.0,
        )
        self.members[record["member_id"]].ordered(order, now_ms)

    def _stated_place(self, incident: Mapping[str, Any] | None) -> LonLat | None:
        """Give where the incident is said to be, if that is on the map."""
        if incident is None:
            return None
        position = incident.get("position") or incident.get("place")
        if position is None:
            site = self._streets.snapper.snap_road(incident.get("road_id") or "")
            return None if site is None else (site.access_lon, site.access_lat)
        place = (float(position["lon"]), float(position["lat"]))
        return place if self._streets.is_here(place) else None

    def _take_event(self, event: Mapping[str, Any], now_ms: int) -> None:
        data, incident_id = event["data"], event["incident_id"]
        match event["type"]:
            case "incident.opened":
                self._incidents[incident_id] = dict(data)
            case "incident.updated":
                known = self._incidents.setdefault(incident_id, {})
                known |= {k: v for k, v in data.items() if v is not None}
            case "member.arrived":
                self._found(data, self._incidents.get(incident_id, {}), now_ms)
            case "incident.unfilled" if "no_place" in data["reasons"]:
                self._note(now_ms, RINGING_BACK_S, "update", incident_id)
            case "command.notified":
                if self._desk.random() < ACKNOWLEDGES:
                    after_s = ACKNOWLEDGED.draw_s(self._desk)
                    self._note(now_ms, after_s, "acknowledge", incident_id)
            case "member.accepted" if data["member_id"] in self.members:
                self.members[data["member_id"]].confirmed(data["dispatch_id"])
            case "member.stood_down" | "member.lapsed" if data["dispatch_id"] in self._ended:
                # The end of an order that was accepted after it had lapsed is not told again.
                self.members[data["member_id"]].over(data["dispatch_id"], now_ms, lapsed=True)
            case "incident.resolved":
                self._note(now_ms, CLOSED.draw_s(self._desk), "close", incident_id)
            case "member.completed" if self._distressed(incident_id) is not None:
                member_id = self._distressed(incident_id) or ""
                self._note(now_ms, DISTRESS_OVER_S, "close", incident_id, member_id)

    def _found(self, data: Mapping[str, Any], incident: Mapping[str, Any], now_ms: int) -> None:
        """A finder is on scene without an order: the event names what to answer to."""
        member = self.members.get(data["member_id"])
        if member is None or not member.is_free or data["dispatch_id"] in self._ended:
            return
        kind = BY_CATEGORY.get(str(incident.get("category")))
        handling_s = DEFAULT_HANDLING_S if kind is None else kind.handling_s
        place = member.place(now_ms)
        member.found(Order(data["dispatch_id"], place, True, handling_s), now_ms)

    def _distressed(self, incident_id: str) -> str | None:
        alert_id = str(self._incidents.get(incident_id, {}).get("alert_id"))
        found = re.match(r"alarm:([^:]+):", alert_id)
        return found[1] if found and found[1] in self._in_distress else None

    # --- the desk

    def _note(
        self, now_ms: float, after_s: float, what: str, incident_id: str, member_id: str = ""
    ) -> None:
        if not any((each.incident_id, each.what) == (incident_id, what) for each in self._later):
            at_ms = now_ms + 1000 * after_s
            self._said += 1
            self._later.append(_Later(at_ms, self._said, what, incident_id, member_id))

    def _of_desk(self, now_ms: int) -> Iterable[Outgoing]:
        due = [later for later in self._later if later.at_ms <= now_ms]
        self._later = [later for later in self._later if later.at_ms > now_ms]
        for later in due:
            value: dict[str, object] = {
                "action_id": f"{self._run_id}-o{later.number}",
                "operator_id": OPERATOR_ID,
                "at": self._scale.stamp(now_ms),
                "action": later.what,
                "incident_id": later.incident_id,
            }
            if later.what == "update":
                call = self._truth.get(str(self._incidents[later.incident_id].get("alert_id")))
                if call is None:
                    continue
                lon, lat = call.place
                value["fields"] = {"position": {"lon": round(lon, 6), "lat": round(lat, 6)}}
                value["reason"] = "caller rung back"
            yield self._record("operator_actions", value)
            if later.member_id:
                self._in_distress.pop(later.member_id, None)
                self.members[later.member_id].relieved(now_ms)
