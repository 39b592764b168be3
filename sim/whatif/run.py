"""One run: a brigade, a stream of calls, the real engine, and a clock that waits for nobody.

The engine decides (``decide``, ``decide_fix``, ``fold``) as it does on a worker; its deadlines are
wake-ups of the clock. What is not there: Kafka, publications, a desk (nobody acknowledges a
notification, closes a file or merges two incidents), neighbouring areas, and errors of positions
(a device says where it truly is). Positions are taken when a decision is about to look, from all
who are on duty and from whoever has an order; a device at rest is asked again before its fix grows
old, one that moves at most every few seconds, as devices report.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import perf_counter
from typing import Final

from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision, decide, decide_fix, fold
from xiaohe.dispatch.inputs import (
    Alert,
    Body,
    Cause,
    Fix,
    MemberAction,
    Position,
    Received,
    RosterEntry,
    WakeUp,
)
from xiaohe.dispatch.lifecycle import LIVE
from xiaohe.dispatch.policy import EMERGENCY, PEACETIME, Policy
from xiaohe.dispatch.roster import Roster
from xiaohe.dispatch.state import AreaState, Incident
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import RoadMap, World
from xiaohe.geo.cover import cover
from xiaohe.geo.live import LivePositions
from xiaohe.geo.snap import Site
from xiaohe.sim.habits import HABITS, Habits
from xiaohe.sim.streets import Streets, Way, standing
from xiaohe.sim.whatif.clock import Clock
from xiaohe.sim.whatif.demand import Call
from xiaohe.sim.whatif.people import (
    MS_PER_S,
    Beat,
    Beats,
    Errand,
    Person,
    Posture,
    matter_of,
    near_s,
    plan_of,
)

TAIL_S: Final = 4 * 3600.0
"""After the last day the run goes on until all is done, for so long at most."""

COVER_EVERY_S: Final = 1800.0
"""How often it is looked at who could be where in time."""

COVER_WITHIN_S: Final = 180.0
"""Cover is what can be reached within the second window."""

PRIORITIES: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Setting:
    """What does not change in a run. ``area_id``: the one area that is simulated.

    ``at_post`` are those who stand at their post whatever the posture of the others is,
    ``moved_to`` names by member the road that they patrol instead of their own.
    """

    streets: Streets
    roads: RoadMap
    roster: tuple[RosterEntry, ...]
    policy: Policy
    area_id: str
    posture: Posture = "patrol"
    at_post: frozenset[str] = frozenset()
    moved_to: Mapping[str, str] = field(default_factory=dict)
    habits: Habits = HABITS
    fix_interval_s: float | None = None
    cover_every_s: float = COVER_EVERY_S


@dataclass(frozen=True, slots=True)
class CoverSeen:
    """Who was free at a moment, and what share of the road length they covered."""

    at_ms: int
    share: float
    free: int
    on_duty: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one member did on one day: seconds on duty, and seconds bound by an order taken."""

    duty_s: float
    busy_s: float
    orders: int
    handled: int


@dataclass(frozen=True)
class Result:
    """What a run leaves: the engine's own incidents, and what was seen beside them.

    ``days`` are the midnights, one more than there are days. ``loads`` by member, a day each.
    """

    calls: tuple[Call, ...]
    incidents: Mapping[str, Incident]
    days: tuple[int, ...]
    loads: Mapping[str, tuple[Load, ...]]
    cover: tuple[CoverSeen, ...]
    forgotten: int
    open: int
    refused: int
    decisions: int
    fixes: int
    simulated_s: float
    wall_s: float
    cut_short: bool


@dataclass
class Run:
    """A run under way. ``heard`` is told every decision, for those who want to look.

    ``days``: the midnights of the days, ms since the epoch.
    """

    setting: Setting
    calls: Sequence[Call]
    days: Sequence[int]
    seed: int
    beats: Beats
    heard: Callable[[Decision], None] | None = None
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        """Put everybody on the street, and the calls into the queue."""
        setting = self.setting
        self.clock = Clock(self.days[0])
        self.state = AreaState(setting.area_id, setting.policy.mode_of(setting.area_id))
        roster, self._live = Roster(), LivePositions(setting.roads.snapper)
        self.people: dict[str, Person] = {}
        for entry in sorted(setting.roster, key=lambda each: each.member_id):
            member = roster.put(entry)
            self.people[entry.member_id] = Person(entry, self._beat_of(entry), beat_ms=self.days[0])
            self._live.enrol(entry.member_id, entry.travel_mode)
            if member.post is not None:
                self._live.set_post(entry.member_id, member.post.lon, member.post.lat)
        self.world = World(setting.policy, roster, setting.roads, self._live)
        self._resting_fix_s = _resting_fix_s(setting)
        self._on_duty: list[Person] = []
        self._duty_until_ms = self.clock.now_ms
        self._calls = {call.call_id: call for call in self.calls}
        self._asked: dict[tuple[str, str], int] = {}
        self._cover: list[CoverSeen] = []
        self._inputs = self.refused = self.fixes = 0
        for call in self.calls:
            self.clock.at(call.at_ms, partial(self._ring, call))
        if setting.cover_every_s > 0:
            self.clock.at(self.days[0], self._look_at_cover)

    def _beat_of(self, entry: RosterEntry) -> Beat:
        setting = self.setting
        road_id = setting.moved_to.get(entry.member_id)
        stands = entry.member_id in setting.at_post
        return self.beats.of(entry, "post" if stands else setting.posture, road_id)

    # --- running

    def play(self, on_progress: Callable[[float], None] | None = None) -> Result:
        """Run to the end, or to Ctrl-C, which gives what there is by then."""
        begun_s, cut_short = perf_counter(), False
        end_ms = self.days[-1] + round(TAIL_S * MS_PER_S)
        span_ms = self.days[-1] - self.days[0]
        told = 0.0
        try:
            while self.clock.step(self.days[-1]):
                done = (self.clock.now_ms - self.days[0]) / span_ms
                if on_progress is not None and done - told >= PROGRESS_SHARE:
                    on_progress(done)
                    told = done
            while self._anybody_waits() and self.clock.step(end_ms):
                pass
        except KeyboardInterrupt:
            cut_short = True
        return self._result(perf_counter() - begun_s, cut_short=cut_short)

    def _anybody_waits(self) -> bool:
        return len(self.state.holding) > 0 or len(self.state.wanting) > 0

    # --- what comes in

    def _ring(self, call: Call) -> None:
        self._decide(
            Alert(
                alert_id=call.call_id,
                area_id=self.setting.area_id,
                source="simulated",
                category=call.category,
                occurred_at=rfc3339(call.at_ms),
                position=Position(call.lon, call.lat),
                road_id=call.road_id,
                priority=call.priority,
            )
        )

    def _say(self, person: Person, errand: Errand, action: str) -> Decision | None:
        """Let a member press a button, if the order is still in their hands."""
        if person.errand is not errand:
            return None
        return self._decide(
            MemberAction(
                action_id=f"s{self._inputs}",
                member_id=person.member_id,
                at=rfc3339(self.clock.now_ms),
                action=action,
                dispatch_id=errand.dispatch_id,
            )
        )

    def _wake(self, fact: f.DeadlineSet) -> None:
        due_ms = fact.due_ms
        incident = self.state.incidents.get(fact.incident_id)
        if due_ms is not None and incident is not None:
            if incident.due_ms(fact.deadline) != due_ms:
                return
            self._decide(
                WakeUp(
                    area_id=self.setting.area_id,
                    incident_id=fact.incident_id,
                    deadline=fact.deadline,
                    due_ms=due_ms,
                )
            )

    def _decide(self, body: Body) -> Decision:
        self._refresh()
        decision = decide(self.state, self._received(body), self.clock.now_ms, self.world)
        self._take(decision)
        return decision

    def _report(self, person: Person, errand: Errand) -> None:
        """Let a device send a position that is a record of its own, as to say: there."""
        if person.errand is not errand:
            return
        moved = self._fix(person)
        lon, lat = person.place(self.clock.now_ms)
        fix = Fix(member_id=person.member_id, lon=lon, lat=lat, fix_ms=self.clock.now_ms)
        decision = decide_fix(
            self.state, self._received(fix), person.member_id, self.clock.now_ms, self.world,
            moved=moved,
        )  # fmt: skip
        if decision is not None:
            self._take(decision)

    def _received(self, body: Body) -> Received:
        self._inputs += 1
        cause = Cause("simulated", 0, self._inputs)
        return Received(cause, self.setting.area_id, self.clock.now_ms, body)

    # --- positions

    def _refresh(self) -> None:
        """Let those devices report whose last position no longer says where they are."""
        now_ms = self.clock.now_ms
        for person in self._reporting(now_ms):
            person.settle(now_ms)
            every_s = self._fix_every_s(person, now_ms)
            if person.fix_ms is None or now_ms - person.fix_ms >= every_s * MS_PER_S:
                self._fix(person)

    def _fix_every_s(self, person: Person, now_ms: int) -> float:
        habits = self.setting.habits
        moving_s = habits.fix_patrol_most_s if person.errand is None else habits.fix_assigned_s
        return min(moving_s if person.moves(now_ms) else inf, self._resting_fix_s)

    def _reporting(self, now_ms: int) -> Iterator[Person]:
        if now_ms >= self._duty_until_ms:
            self._look_at_shifts(now_ms)
        yield from self._on_duty
        for member_id in sorted(self.state.holding):
            if not self.world.roster.on_shift(member_id, now_ms):
                yield self.people[member_id]

    def _look_at_shifts(self, now_ms: int) -> None:
        roster = self.world.roster
        self._on_duty = [p for p in self.people.values() if roster.on_shift(p.member_id, now_ms)]
        bounds = [roster.next_boundary_ms(member_id, now_ms) for member_id in self.people]
        self._duty_until_ms = min((b for b in bounds if b is not None), default=self.days[-1] * 2)

    def _fix(self, person: Person) -> bool:
        now_ms = self.clock.now_ms
        self.fixes += 1
        person.fix_ms = now_ms
        return self._live.move(person.member_id, *person.place(now_ms), now_ms) is not None

    # --- what follows

    def _take(self, decision: Decision) -> None:
        self.state = fold(self.state, decision)
        if self.heard is not None:
            self.heard(decision)
        self.refused += decision.refusal is not None
        for fact in decision.facts:
            match fact:
                case f.DeadlineSet(due_ms=int()):
                    self.clock.at(fact.due_ms, partial(self._wake, fact), "deadline")
                case f.MemberDispatched() | f.BackupDispatched():
                    self._ordered(fact)
                case f.MemberLapsed():
                    self._lapsed(self.people[fact.member_id], fact)
                case f.MemberDeclined() | f.MemberStoodDown() | f.MemberCompleted():
                    self._over(self.people[fact.member_id], fact.dispatch_id)

    def _ordered(self, fact: f.MemberDispatched | f.BackupDispatched) -> None:
        person, call = self.people[fact.member_id], self._calls[fact.alert_id]
        nth = self._asked[call.call_id, fact.role] = self._asked.get(
            (call.call_id, fact.role), 0) + 1  # fmt: skip
        habits = self.setting.habits
        errand = person.errand = Errand(
            incident_id=fact.incident_id,
            dispatch_id=fact.dispatch_id,
            is_first=fact.role == "primary",
            plan=plan_of(habits, self.seed, call.call_id, fact.role, nth),
            matter=matter_of(habits, self.seed, call.call_id, call.handling_s),
        )
        if errand.plan.answer == "accept":
            self._after(errand.plan.answer_s, lambda: self._accept(person, errand))
        elif errand.plan.answer == "decline":
            self._after(errand.plan.answer_s, lambda: self._say(person, errand, "decline"))

    def _after(self, seconds: float, do: Callable[[], object]) -> None:
        self.clock.at(self.clock.now_ms + round(seconds * MS_PER_S), do)

    def _accept(self, person: Person, errand: Errand) -> None:
        decision = self._say(person, errand, "accept")
        if decision is None or person.errand is not errand:
            return
        if decision.refusal is not None:
            self._release(person)
            return
        person.stand(self.clock.now_ms)
        self._after(errand.plan.turn_out_s, lambda: self._set_out(person, errand))

    def _set_out(self, person: Person, errand: Errand) -> None:
        if person.errand is not errand:
            return
        way, site = self._way_to(person, errand)
        person.go(way, self.clock.now_ms)
        if errand.plan.says_under_way:
            self._say(person, errand, "en_route")
        incident = self.state.incidents[errand.incident_id]
        assert incident.place is not None, "nobody is sent to no place"
        rules = self.setting.policy.rules(
            incident.priority, incident.mode, incident.category, incident.area_id
        )
        scene = [(incident.place.lon, incident.place.lat)]
        if site is not None:
            scene.append((site.access_lon, site.access_lat))
        close_s = near_s(way, scene, rules.scene_radius_m)
        for seconds in (close_s, close_s + rules.dwell_s):
            self._after(seconds, lambda: self._report(person, errand))
        self._report_on_the_way(person, errand, close_s)
        self._after(way.seconds, lambda: self._be_there(person, errand))

    def _report_on_the_way(self, person: Person, errand: Errand, until_s: float) -> None:
        every_s = self.setting.fix_interval_s
        if every_s is not None:
            for n in range(1, int(until_s / every_s) + 1):
                self._after(n * every_s, lambda: self._report(person, errand))

    def _way_to(self, person: Person, errand: Errand) -> tuple[Way, Site | None]:
        """Give the quickest way to the scene, and the access to it."""
        incident = self.state.incidents[errand.incident_id]
        assert incident.place is not None, "nobody is sent to no place"
        site = self.setting.roads.site(incident.place, incident.road_id)
        return self._way(person, site, errand.plan.pace), site

    def _way(self, person: Person, site: Site | None, pace: float) -> Way:
        """Give a member's quickest way, read off the travel times that the engine keeps."""
        here = person.place(self.clock.now_ms)
        start = self.setting.streets.site(here, person.mode)
        if site is None or start is None:
            return standing(here)
        legs = self.setting.roads.travel_field(site, (person.mode,), frozenset()).legs(start.spot)
        return self.setting.streets.way_along(legs, site, pace) if legs else standing(here)

    def _be_there(self, person: Person, errand: Errand) -> None:
        if person.errand is not errand:
            return
        matter, pressed_s = errand.matter, errand.plan.says_arrived_s
        if pressed_s is not None:
            self._after(pressed_s, lambda: self._say_arrived(person, errand))
        if errand.is_first and matter.asks_backup_s is not None:
            self._after(matter.asks_backup_s, lambda: self._say(person, errand, "request_backup"))
        self._after(matter.handling_s, lambda: self._say(person, errand, "complete"))

    def _say_arrived(self, person: Person, errand: Errand) -> None:
        """Press «on scene», unless the position has said so."""
        order = self.state.incidents[errand.incident_id].order(errand.dispatch_id)
        if order is not None and order.state != "arrived":
            self._say(person, errand, "arrive")

    def _lapsed(self, person: Person, fact: f.MemberLapsed) -> None:
        """Whoever was about to accept an order that has lapsed does so: it may still count."""
        errand = person.errand
        if errand is None or errand.dispatch_id != fact.dispatch_id:
            return
        if fact.reason != "no_answer" or errand.plan.answer != "accept":
            self._release(person)

    def _over(self, person: Person, dispatch_id: str) -> None:
        if person.errand is not None and person.errand.dispatch_id == dispatch_id:
            self._release(person)

    def _release(self, person: Person) -> None:
        """Let a member be free and go back to the beat, if they had left it."""
        now_ms = self.clock.now_ms
        person.errand = None
        if person.way is None:
            return
        begin = self.setting.roads.site(Position(*person.beat.begin), None)
        person.go(self._way(person, begin, self.setting.habits.patrol_pace), now_ms)

    # --- what is seen beside

    def _look_at_cover(self) -> None:
        self._refresh()
        now_ms = self.clock.now_ms
        free = [p for p in self._on_duty if p.member_id not in self.state.holding]
        spots = []
        for person in free:
            track = self._live.track(person.member_id)
            if track is not None and track.spot is not None:
                spots.append((track.spot, person.mode))
        share = cover(self.setting.streets.network, spots, COVER_WITHIN_S)
        self._cover.append(CoverSeen(now_ms, share, len(free), len(self._on_duty)))
        next_ms = now_ms + round(self.setting.cover_every_s * MS_PER_S)
        if next_ms < self.days[-1]:
            self.clock.at(next_ms, self._look_at_cover)

    # --- the end

    def _result(self, wall_s: float, *, cut_short: bool) -> Result:
        live = [i for i in self.state.incidents.values() if i.state in LIVE]
        forgotten = [i for i in live if not i.deadlines and not i.open_orders()]
        began = [call for call in self.calls if call.at_ms <= self.clock.now_ms]
        return Result(
            calls=tuple(began if cut_short else self.calls),
            incidents=dict(sorted(self.state.incidents.items())),
            days=tuple(self.days),
            loads=self._loads(),
            cover=tuple(self._cover),
            forgotten=len(forgotten),
            open=len(live) - len(forgotten),
            refused=self.refused,
            decisions=self._inputs,
            fixes=self.fixes,
            simulated_s=(max(self.clock.now_ms, 0 if cut_short else self.days[-1]) - self.days[0])
            / MS_PER_S,
            wall_s=wall_s,
            cut_short=cut_short,
        )

    def _loads(self) -> dict[str, tuple[Load, ...]]:
        """Give what each member did, by the days on which their orders were given."""
        busy: dict[tuple[str, int], list[tuple[float, bool]]] = {}
        # In a fixed order: sums of floats depend on it.
        for _, incident in sorted(self.state.incidents.items()):
            for order in incident.orders:
                day = day_of(self.days, order.ordered_ms)
                bound_s = 0.0
                if order.accepted_ms is not None:
                    until_ms = self.clock.now_ms if order.ended_ms is None else order.ended_ms
                    bound_s = (until_ms - order.accepted_ms) / MS_PER_S
                done = (bound_s, order.end == "completed")
                busy.setdefault((order.member_id, day), []).append(done)
        return {
            member_id: tuple(
                Load(
                    duty_s=self._duty_s(member_id, day),
                    busy_s=sum(bound_s for bound_s, _ in busy.get((member_id, day), ())),
                    orders=len(busy.get((member_id, day), ())),
                    handled=sum(done for _, done in busy.get((member_id, day), ())),
                )
                for day in range(len(self.days) - 1)
            )
            for member_id in self.people
        }

    def _duty_s(self, member_id: str, day: int) -> float:
        from_ms, to_ms = self.days[day], self.days[day + 1]
        at_ms, total_ms, roster = from_ms, 0, self.world.roster
        while at_ms < to_ms:
            bound_ms = roster.next_boundary_ms(member_id, at_ms)
            until_ms = to_ms if bound_ms is None else min(bound_ms, to_ms)
            total_ms += (until_ms - at_ms) * roster.on_shift(member_id, at_ms)
            at_ms = until_ms
        return total_ms / MS_PER_S


PROGRESS_SHARE: Final = 0.02
"""How much of a run must have passed before it is told again how far it is."""


def day_of(days: Sequence[int], at_ms: int) -> int:
    """Give the number of the day that a moment belongs to; what is after the last belongs to it."""
    last = len(days) - 2
    return next((n for n in range(last) if at_ms < days[n + 1]), last)


def _resting_fix_s(setting: Setting) -> float:
    """Give how often a device at rest must report so that no rule of the policy doubts it."""
    rules = [
        setting.policy.rules(priority, mode, "", setting.area_id)
        for priority in PRIORITIES
        for mode in (PEACETIME, EMERGENCY)
    ]
    return min(min(each.fix_s, each.silent_s) for each in rules) / 2
