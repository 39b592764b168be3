"""A small town in which the rules of dispatch are played out: a test with it reads as a story.

The streets are drawn as text (``tests/geo/maps.py``), the brigade is a table, and time stands
still until the story says ``town.at("00:20")``: then every deadline on the way falls due, and
every tracker reports each ten seconds. Nothing here decides anything; whatever is decided is
also folded from what was recorded, and the two must agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests.geo import maps
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision, decide, decide_fix, fold
from xiaohe.dispatch.inputs import (
    Alert,
    Cause,
    Fix,
    MemberAction,
    OperatorAction,
    Position,
    Received,
    RoadRole,
    RosterEntry,
    Shift,
    WakeUp,
)
from xiaohe.dispatch.policy import Policy, load_policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState, Incident, Order
from xiaohe.dispatch.times import parse_rfc3339, rfc3339
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.geo.live import LivePositions
from xiaohe.geo.snap import Snapper

AREA = "town"
NOON_MS = parse_rfc3339("2030-01-07T12:00:00+08:00")
"""A Monday; every story begins here."""

REPORT_S = 10
"""A tracker's usual interval."""

POLICY = (Path(__file__).parents[2] / "data" / "policy.yaml").read_bytes()

STREETS = """
    a-----b-----c
    |     |     |
    d-----e-----f
"""
"""Across 300 m (54 s by e-bike, 216 s on foot), down 200 m (36 s, 144 s)."""

T = TypeVar("T", bound=f.Fact)


def policy(overlay: str = "") -> Policy:
    """The shipped policy, with what a test lays over it."""
    if not overlay:
        return load_policy(POLICY)
    return load_policy(overlay.encode(), base=POLICY)


class Town:
    """One area: its streets, its brigade, its clock, and everything decided in it."""

    def __init__(
        self,
        brigade: str,
        *,
        streets: str = STREETS,
        changes: maps.Changes | None = None,
        rules: str = "",
        area_id: str = AREA,
    ) -> None:
        self.streets = streets
        network = maps.network(streets, changes)
        self.roads = RoadMap(network, Snapper(network))
        self.roster = Roster()
        self.live = LivePositions(self.roads.snapper)
        self.world = World(policy(rules), self.roster, self.roads, self.live)
        self.state = AreaState(area_id, self.world.policy.mode_of(area_id))
        self.began = self.state
        self.now_ms = NOON_MS
        self.reported_ms = NOON_MS
        self.decisions: list[Decision] = []
        self.places: dict[str, str] = {}
        self.opened: list[str] = []
        self._count = 0
        self._join(brigade)

    # --- the brigade

    def _join(self, brigade: str) -> None:
        """Take the table of members: a head line, then one line each, ``-`` for nothing."""
        head, *lines = [line.split() for line in brigade.strip().splitlines()]
        for line in lines:
            row = {k: v for k, v in zip(head, line, strict=True) if v != "-"}
            self.hire(**row)

    def hire(
        self,
        member: str,
        at: str | None = None,
        *,
        team: str = "red",
        mode: str = "ebike",
        owns: str = "",
        helps: str = "",
        shift: str = "all",
        post: str | None = None,
        skills: str = "",
        rank: str = "member",
        unit: str | None = None,
        force: str = "brigade",
        area: str | None = None,
        devices: str = "",
    ) -> None:
        """Put a member on the roster, and on the street at ``at`` with a tracker that reports.

        ``shift`` is ``all``, ``none``, or minutes of the story such as ``0-30``.
        """
        roads = [RoadRole(r, "owner") for r in owns.split(",") if r]
        roads += [RoadRole(r, "team") for r in helps.split(",") if r]
        entry = RosterEntry(
            member_id=member,
            area_id=area or self.state.area_id,
            name=f"{member} (invented)",
            team=team,
            unit=unit,
            rank=rank,  # type: ignore[arg-type]  # a test's own word
            force=force,  # type: ignore[arg-type]
            travel_mode=mode,  # type: ignore[arg-type]
            skills=tuple(s for s in skills.split(",") if s),
            roads=tuple(roads),
            shifts=_shifts(shift),
            post=self.position(post) if post else None,
            device_ids=tuple(d for d in devices.split(",") if d),
        )
        self.roster.put(entry)
        self.live.enrol(member, entry.travel_mode)
        if entry.post is not None:
            self.live.set_post(member, entry.post.lon, entry.post.lat)
        if at is not None:
            self.member(member).moves_to(at)

    def member(self, member_id: str) -> "Voice":
        """The member, to speak or to move."""
        return Voice(self, member_id)

    # --- places and time

    def position(self, place: str) -> Position:
        """A junction (``b``), a share of the way between two (``ab@0.3``), or beside one,
        metres east and north (``b+0+120``)."""
        if "@" in place:
            ends, share = place.split("@")
            (lon0, lat0), (lon1, lat1) = (maps.place(self.streets, end) for end in ends)
            s = float(share)
            return Position(lon0 + (lon1 - lon0) * s, lat0 + (lat1 - lat0) * s)
        junction, *shift = place.replace("-", "+-").split("+")
        lon, lat = maps.place(self.streets, junction)
        if shift:
            x, y = maps.CENTRE.to_m(lon, lat)
            lon, lat = maps.CENTRE.to_deg(x + float(shift[0]), y + float(shift[1]))
        return Position(lon, lat)

    def at(self, clock: str) -> None:
        """Let the time become ``mm:ss`` (or ``mm:ss.mmm``) of the story."""
        self.run_to(_ms(clock))

    def run_to(self, end_ms: int) -> None:
        """Go on to a moment; deadlines fall due, trackers report."""
        while True:
            report_ms = self.reported_ms + REPORT_S * 1000
            due = self.earliest()
            if report_ms <= end_ms and (due is None or report_ms <= due.due_ms):
                self.now_ms = self.reported_ms = report_ms
                self._everybody_reports()
            elif due is not None and due.due_ms <= end_ms:
                self.now_ms = max(self.now_ms, due.due_ms)
                self.wake(due)
            else:
                break
        self.now_ms = max(self.now_ms, end_ms)

    def jump(self, clock: str) -> None:
        """Let the time be later with nothing decided on the way: the worker was down."""
        self.now_ms = self.reported_ms = _ms(clock)

    def earliest(self) -> WakeUp | None:
        """The next deadline to fall due."""
        rows = [
            (d.due_ms, i.incident_id, d.name)
            for i in self.state.incidents.values()
            for d in i.deadlines
        ]
        if not rows:
            return None
        due_ms, incident_id, name = min(rows)
        return WakeUp(
            area_id=self.state.area_id, incident_id=incident_id, deadline=name, due_ms=due_ms
        )

    def wake(self, wake_up: WakeUp) -> Decision:
        """Let one deadline be decided now."""
        return self._decide(wake_up)

    def _everybody_reports(self) -> None:
        for member_id in sorted(self.places):
            self._report(member_id)

    def _report(self, member_id: str, **said: Any) -> Decision | None:
        here = self.position(self.places[member_id])
        fix = Fix(member_id=member_id, lon=here.lon, lat=here.lat, fix_ms=self.now_ms, **said)
        return self.take_fix(member_id, fix)

    def take_fix(self, member_id: str, fix: Fix) -> Decision | None:
        """Take one fix, as the rim does: first into the live index, then to be decided."""
        moved = self.live.move(
            member_id, fix.lon, fix.lat, min(fix.fix_ms, self.now_ms), accuracy_m=fix.accuracy_m
        )
        received = Received(self._cause("positions"), self.state.area_id, self.now_ms, fix)
        decision = decide_fix(
            self.state, received, member_id, self.now_ms, self.world, moved=moved is not None
        )
        if decision is not None:
            self._keep(decision)
        return decision

    # --- what comes in

    def alert(
        self,
        alert_id: str = "a1",
        at: str | None = "b",
        *,
        received: str | None = None,
        **said: Any,
    ) -> Decision:
        """An alert about a place (``at`` None: no position)."""
        if at is not None:
            said["position"] = self.position(at)
        alert = Alert(
            **{
                "alert_id": alert_id,
                "area_id": self.state.area_id,
                "source": "police-110",
                "category": "dispute",
                "occurred_at": rfc3339(self.now_ms),
                **said,
            }
        )
        return self._decide(alert, received)

    def desk(self, action: str, *, received: str | None = None, **said: Any) -> Decision:
        """The command centre decides something by hand; about the latest incident unless told."""
        self._count += 1
        said.setdefault("incident_id", self.opened[-1] if self.opened else None)
        said.setdefault("action_id", f"d{self._count}")
        word = OperatorAction(
            **{"operator_id": "desk-1", "at": rfc3339(self.now_ms), "action": action, **said}
        )
        return self._decide(word, received)

    def action(self, member_id: str, action: str, received: str | None, **said: Any) -> Decision:
        """A member's word."""
        self._count += 1
        said.setdefault("action_id", f"w{self._count}")
        word = MemberAction(
            **{"member_id": member_id, "at": rfc3339(self.now_ms), "action": action, **said}
        )
        return self._decide(word, received)

    def _cause(self, topic: str) -> Cause:
        return Cause(topic, 0, len(self.decisions))

    def _decide(self, body: Any, received: str | None = None) -> Decision:
        received_ms = self.now_ms if received is None else _ms(received)
        took = Received(self._cause("any"), self.state.area_id, received_ms, body)
        return self._keep(decide(self.state, took, self.now_ms, self.world))

    def _keep(self, decision: Decision) -> Decision:
        """Fold a decision from its recorded bytes, as every later reader of the log does."""
        recorded = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
        assert recorded == decision
        self.state = fold(self.state, recorded)
        self.decisions.append(decision)
        self.opened += [x.incident_id for x in decision.facts if isinstance(x, f.IncidentOpened)]
        return decision

    # --- what can be seen

    def incident(self, incident_id: str | None = None) -> Incident:
        """An incident, the latest unless told."""
        return self.state.incidents[incident_id or self.opened[-1]]

    def orders(self, incident_id: str | None = None) -> tuple[Order, ...]:
        """All orders of an incident, in the order in which they were given."""
        return self.incident(incident_id).orders

    def asked(self, incident_id: str | None = None, role: str | None = None) -> list[str]:
        """Who was asked and has not answered, in the order of asking."""
        return [o.member_id for o in self._open(incident_id, role) if o.state == "ordered"]

    def coming(self, incident_id: str | None = None, role: str | None = None) -> list[str]:
        """Who has taken an order and is not there yet."""
        under_way = {"accepted", "en_route"}
        return [o.member_id for o in self._open(incident_id, role) if o.state in under_way]

    def on_scene(self, incident_id: str | None = None, role: str | None = None) -> list[str]:
        """Who is there."""
        return [o.member_id for o in self._open(incident_id, role) if o.state == "arrived"]

    def _open(self, incident_id: str | None, role: str | None) -> Iterable[Order]:
        return (
            o for o in self.incident(incident_id).orders if o.is_open and role in {None, o.acting}
        )

    def why(self, member_id: str, incident_id: str | None = None) -> f.Why:
        """Why a member was asked."""
        order = next(o for o in self.orders(incident_id) if o.member_id == member_id)
        assert order.why is not None
        return order.why

    def excluded(self, decision: Decision) -> Mapping[str, str | None]:
        """Who was looked at for the first order of a decision, and why they were passed over."""
        order = next(
            x for x in decision.facts if isinstance(x, f.MemberDispatched | f.BackupDispatched)
        )
        return {c.member_id: c.excluded for c in order.why.candidates}

    def facts(self, kind: type[T], since: int = 0) -> list[T]:
        """All facts of a kind that were recorded, in order."""
        return [x for d in self.decisions[since:] for x in d.facts if isinstance(x, kind)]

    def story(self, incident_id: str | None = None) -> list[str]:
        """The published events of an incident: type, and member where it is about one."""
        hidden = f.HiddenFact
        which = incident_id or self.opened[-1]
        return [
            " ".join(w for w in (f.type_of(x), getattr(x, "member_id", None)) if w)
            for d in self.decisions
            for x in d.facts
            if getattr(x, "incident_id", None) == which and not isinstance(x, hidden)
        ]

    def clock(self, at_ms: int | None) -> str | None:
        """A moment as ``mm:ss`` of the story."""
        if at_ms is None:
            return None
        minutes, ms = divmod(at_ms - NOON_MS, 60_000)
        seconds = f"{ms / 1000:06.3f}".removesuffix(".000")
        return f"{minutes:02}:{seconds}"


class Voice:
    """A member of the brigade, who speaks about the last order they were given."""

    def __init__(self, town: Town, member_id: str) -> None:
        self._town = town
        self.member_id = member_id

    def order(self) -> Order:
        """The last order that the member was given."""
        mine = [
            order
            for incident in self._town.state.incidents.values()
            for order in incident.orders
            if order.member_id == self.member_id
        ]
        return max(mine, key=lambda o: (o.is_open, o.ordered_ms, o.dispatch_id))

    def says(self, action: str, *, received: str | None = None, **said: Any) -> Decision:
        """Answer the order."""
        if "dispatch_id" not in said:
            said["dispatch_id"] = self.order().dispatch_id
        return self._town.action(self.member_id, action, received, **said)

    def accepts(self, **said: Any) -> Decision:
        """Take it."""
        return self.says("accept", **said)

    def declines(self, **said: Any) -> Decision:
        """Cannot go."""
        return self.says("decline", **said)

    def sets_out(self, **said: Any) -> Decision:
        """Be under way."""
        return self.says("en_route", **said)

    def arrives(self, **said: Any) -> Decision:
        """Be there."""
        return self.says("arrive", **said)

    def completes(self, **said: Any) -> Decision:
        """Be done there."""
        return self.says("complete", **said)

    def asks_for_backup(self, **said: Any) -> Decision:
        """Need more people."""
        return self.says("request_backup", **said)

    def declares(self, action: str, *, received: str | None = None, **said: Any) -> Decision:
        """Say something about duty: ``on_duty``, ``off_duty``, ``break``, ``resume``."""
        return self._town.action(self.member_id, action, received, **said)

    def moves_to(self, place: str) -> Decision | None:
        """Be at a place from now on, and report it at once."""
        self._town.places[self.member_id] = place
        return self._town._report(self.member_id)

    def alarms(self, alarm: str = "sos", **said: Any) -> Decision | None:
        """Press the button; where the member is, unless the tracker was silent before."""
        return self._town._report(self.member_id, alarm=alarm, **said)

    def falls_silent(self) -> None:
        """Report no more."""
        del self._town.places[self.member_id]

    def leaves_the_roster(self) -> None:
        """Be struck off."""
        self._town.roster.remove(self.member_id)


def with_policy(town: Town, rules: str) -> None:
    """Let another policy hold from now on."""
    town.world = replace(town.world, policy=policy(rules))


def _ms(clock: str) -> int:
    minutes, seconds = clock.split(":")
    return NOON_MS + int(minutes) * 60_000 + round(float(seconds) * 1000)


def _shifts(shift: str) -> tuple[Shift, ...]:
    if shift == "none":
        return ()
    start, end = (-600, 1440) if shift == "all" else (int(m) for m in shift.split("-"))
    return (Shift(start=rfc3339(NOON_MS + start * 60_000), end=rfc3339(NOON_MS + end * 60_000)),)
