"""Whatever happens in a town, in whatever order: what must always hold.

Random alerts, answers, positions, desks, shifts and hours of time, on the small town of the other
tests. Deterministic: the same stories are told at every run.
"""

from collections import Counter
from functools import reduce
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.dispatch.invariants import check_state, check_step, looked_up_anew
from tests.dispatch.town import NOON_MS, Town
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.decide import Decision, fold
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.inputs import Fix
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.snapshot import from_rows, rows
from xiaohe.dispatch.state import AreaState, Incident

BRIGADE = """
    member at post team owns helps mode  shift unit rank         skills
    m1     a  a    red  ab   -     ebike all   1/1  member       -
    m2     b  -    red  be   ab    walk  all   1/1  member       law
    m3     c  f    blue ab   -     ebike 0-40  1/2  member       -
    m4     e  -    blue -    ef    car   all   1/2  squad_leader law
    m5     -  d    red  -    -     ebike 10-90 1/1  squadron_leader -
    m6     f  -    blue cf   -     walk  none  1/2  brigade_leader -
"""
RULES = """
areas: [{area_id: town, name: Town, neighbours: [east]}]
rules: [{when: {category: quiet}, set: {backup: never}}]
"""
MEMBERS = [f"m{n}" for n in range(1, 7)]
PLACES = ["a", "b", "ab@0.5", "ab@0.52", "be@0.4", "cf@0.9", "f", "c+200+0", "c+500+0", None]
ANSWERS = ["accept", "accept", "accept", "decline", "en_route", "arrive", "request_backup"]
WORDS = ["on_duty", "on_duty", "on_duty", "off_duty", "break", "resume", "resume"]
members = st.sampled_from(MEMBERS)
numbers = st.integers(0, 7)


class AnyStory(RuleBasedStateMachine):
    """A town in which anything may happen next."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(BRIGADE, rules=RULES)
        self.began = self.folded = self.town.state
        self.checked = 0
        self.seqs: Counter[str] = Counter()
        self.before: dict[str, Incident] = {}

    # --- what may happen

    @rule(
        n=numbers,
        at=st.sampled_from(PLACES),
        said=st.fixed_dictionaries(
            {},
            optional={
                "priority": st.integers(1, 4),
                "category": st.sampled_from(["dispute", "quiet", "fire"]),
                "needed": st.integers(1, 3),
                "skills": st.sampled_from([(), ("law",)]),
                "reported_by": st.sampled_from([*MEMBERS, "ghost"]),
                "supersedes": st.sampled_from(["a0", "a1", "gone"]),
                "drill": st.booleans(),
            },
        ),
    )
    def an_alert(self, n: int, at: str | None, said: dict[str, Any]) -> None:
        """Something is reported, for the first time or again."""
        where = {"address": "somewhere"} if at is None else {}
        self.town.alert(f"a{n}", at=at, occurred_at="then", **where, **said)

    @precondition(lambda self: any(i.orders for i in self.town.state.incidents.values()))
    @rule(n=numbers, action=st.sampled_from([*ANSWERS, "complete"]), who=st.none() | members)
    def an_answer(self, n: int, action: str, who: str | None) -> None:
        """Somebody answers one of the latest orders, rightly or wrongly."""
        orders = sorted(
            (order.dispatch_id, order.member_id)
            for incident in self.town.state.incidents.values()
            for order in incident.orders
        )
        dispatch_id, member_id = orders[-1 - n % len(orders)]
        self.town.action(who or member_id, action, None, dispatch_id=dispatch_id)

    @precondition(lambda self: self.town.state.holding)
    @rule(n=numbers, action=st.sampled_from(ANSWERS))
    def a_fitting_answer(self, n: int, action: str) -> None:
        """Somebody answers the order that they have."""
        holders = sorted(self.town.state.holding)
        member_id = holders[n % len(holders)]
        held = self.town.state.holding[member_id]
        self.town.action(member_id, action, None, dispatch_id=held.dispatch_id)

    @precondition(lambda self: self.town.state.holding)
    @rule(n=numbers, take=st.booleans(), end=st.booleans(), seconds=st.integers(0, 90))
    def an_answer_and_time(self, n: int, take: bool, end: bool, seconds: int) -> None:
        """Somebody takes the order that they have, or ends it, and time passes."""
        self.a_fitting_answer(n, "accept" if take else "complete" if end else "arrive")
        self.town.run_to(self.town.now_ms + seconds * 1000)

    @rule(who=members, place=st.sampled_from(["a", "b", "c", "d", "e", "f", "ab@0.5"]))
    def a_position(self, who: str, place: str) -> None:
        """A tracker reports."""
        self.town.now_ms += 1
        self.town.member(who).moves_to(place)

    @rule(
        n=numbers,
        spots=st.permutations(["a", "b", "ab@0.3", "be@0.4", "c", "f"]),
        places=st.lists(st.sampled_from(PLACES[:-1]), min_size=2, max_size=4),
    )
    def a_burst(self, n: int, spots: list[str], places: list[str]) -> None:
        """Everybody is about, and several things are reported while offers are young."""
        self.town.run_to(self.town.now_ms + 15_000)
        for who, spot in zip(MEMBERS, spots, strict=True):
            self.town.now_ms += 1
            self.town.member(who).declares("on_duty")
            self.town.member(who).moves_to(spot)
        for k, place in enumerate(places):
            self.town.now_ms += 100
            self.town.alert(f"b{n}{k}", at=place, category=f"kind-{k}", occurred_at="then")

    @precondition(lambda self: self.town.state.starting)
    @rule(who=members, n=numbers, take=st.booleans())
    def somebody_comes_by(self, who: str, n: int, take: bool) -> None:
        """A member is suddenly beside an incident that somebody was ordered to; the first and
        they answer or not."""
        starting = self.town.state.starting
        incident = self.town.state.incidents[starting[n % len(starting)].incident_id]
        first = next(o for o in incident.orders if o.state in {"ordered", "accepted"})
        if take and first.state == "ordered":
            self.town.action(first.member_id, "accept", None, dispatch_id=first.dispatch_id)
        if incident.place is None:
            return
        self.town.now_ms += 15_000
        self.town.reported_ms = self.town.now_ms
        for _ in range(2):  # a leap is believed the second time
            self.town.now_ms += 1
            here = incident.place
            fix = Fix(member_id=who, lon=here.lon, lat=here.lat, fix_ms=self.town.now_ms)
            self.town.take_fix(who, fix)
        held = self.town.state.holding.get(who)
        if take and held is not None:
            self.town.action(who, "accept", None, dispatch_id=held.dispatch_id)

    @rule(who=members, alarm=st.sampled_from(["sos", "fall"]))
    def an_alarm(self, who: str, alarm: str) -> None:
        """Somebody presses the button."""
        self.town.now_ms += 1
        if who in self.town.places:
            self.town.member(who).alarms(alarm)

    @rule(who=members)
    def silence(self, who: str) -> None:
        """A tracker falls silent."""
        self.town.places.pop(who, None)

    @rule(
        who=members,
        word=st.sampled_from(WORDS),
        devices=st.lists(st.sampled_from(["cam-1", "cam-2"]), max_size=3).map(tuple),
    )
    def a_word_on_duty(self, who: str, word: str, devices: tuple[str, ...]) -> None:
        """Somebody comes, goes, or takes a break."""
        self.town.member(who).declares(word, device_ids=devices)

    @rule(
        who=members,
        shift=st.sampled_from(["all", "none", "5-20"]),
        gone=st.sampled_from([False, False, False, False, True]),
    )
    def a_roster_change(self, who: str, shift: str, gone: bool) -> None:
        """Somebody is struck off, or comes back with other hours."""
        if gone:
            self.town.roster.remove(who)
            self.town.live.forget(who)
        else:
            self.town.hire(who, post="e", shift=shift)

    @precondition(lambda self: self.town.opened)
    @rule(
        action=st.sampled_from(
            [
                "dispatch",
                "dispatch",
                "stand_down",
                "update",
                "message",
                "cancel",
                "close",
                "reopen",
                "merge",
                "unmerge",
                "acknowledge",
                "refer",
                "return_visit",
            ]
        ),
        n=numbers,
        m=numbers,
        who=st.none() | members,
        fields=st.fixed_dictionaries(
            {},
            optional={
                "priority": st.integers(1, 4),
                "needed": st.integers(1, 3),
                "road_id": st.sampled_from(["ab", "cf", "gone"]),
                "role": st.sampled_from(["primary", "backup"]),
            },
        ),
    )
    def a_desk(self, action: str, n: int, m: int, who: str | None, fields: dict[str, Any]) -> None:
        """A desk says something about one of the latest incidents."""
        opened = self.town.opened
        self.town.desk(
            action,
            incident_id=opened[-1 - n % len(opened)],
            into=opened[-1 - m % len(opened)],
            member_id=who,
            fields=fields,
            text="words",
        )

    @precondition(lambda self: any(not i.is_live for i in self.town.state.incidents.values()))
    @rule(n=numbers)
    def second_thoughts(self, n: int) -> None:
        """A desk takes back what was over."""
        over = sorted(i.incident_id for i in self.town.state.incidents.values() if not i.is_live)
        incident_id = over[n % len(over)]
        merged = self.town.state.incidents[incident_id].state == "merged"
        self.town.desk("unmerge" if merged else "reopen", incident_id=incident_id)

    @rule(
        action=st.sampled_from(["set_mode", "close_road", "open_road"]),
        mode=st.sampled_from(["peacetime", "emergency"]),
        road=st.sampled_from(["ab", "be", "ef"]),
    )
    def a_desk_about_the_area(self, action: str, mode: str, road: str) -> None:
        """A desk says something about the area."""
        self.town.desk(action, incident_id=None, mode=mode, road_id=road)

    @rule(seconds=st.sampled_from([1, 5, 20, 40, 60, 130, 400]))
    def time_passes(self, seconds: int) -> None:
        """Deadlines fall due."""
        self.town.run_to(self.town.now_ms + seconds * 1000)

    @rule(seconds=st.sampled_from([5, 70, 200]))
    def the_worker_is_down(self, seconds: int) -> None:
        """Time passes in which nothing is decided."""
        self.town.now_ms += seconds * 1000
        self.town.reported_ms = self.town.now_ms

    # --- what must hold

    @invariant()
    def each_decision_is_sound(self) -> None:
        """Sequences unbroken, refusals with a code and without facts, decided in order of time."""
        for decision in self.town.decisions[self.checked :]:
            assert decision.refusal is None or not decision.facts
            if decision.refusal is not None:
                assert decision.refusal.reason in {r.value for r in Reason}
            self._ended_before_ordered(decision)
            self._never_more_accepted_than_needed(self.folded, decision)
            self.folded = fold(self.folded, decision)
        self.checked = len(self.town.decisions)

    def _ended_before_ordered(self, decision: Decision) -> None:
        ordered: set[str] = set()
        for fact in decision.facts:
            if isinstance(fact, f.MemberDispatched | f.BackupDispatched):
                assert fact.member_id not in ordered
                ordered.add(fact.member_id)

    @invariant()
    def each_incident_and_order_is_sound(self) -> None:
        """Nobody bound twice, nobody too many, nothing forgotten, nothing over that still waits."""
        check_state(self.town.state)

    def _never_more_accepted_than_needed(self, before: AreaState, decision: Decision) -> None:
        """Not even in the middle of a decision, as the log is read; each fact leads incidents
        and orders one step along their life cycles."""
        stamp, state = Stamp(decision.at_ms, decision.received_ms), before
        for fact in decision.facts:
            earlier, state = state, evolve(state, fact, stamp)
            check_step(earlier, state)
            incident = state.incidents.get(getattr(fact, "incident_id", None) or "")
            if incident is not None and incident.is_live:
                taken = sum(o.is_taken for o in incident.open_orders("primary"))
                assert taken <= incident.needed, fact

    @invariant()
    def sequences_are_unbroken_and_time_runs_forward(self) -> None:
        """A milestone once reached stays, and none comes before the one that it follows."""
        for incident in self.town.state.incidents.values():
            old = self.before.get(incident.incident_id)
            if old is not None:
                assert incident.last_seq >= old.last_seq
                self._milestones_stay(old, incident)
            self.before[incident.incident_id] = incident

    def _milestones_stay(self, old: Incident, new: Incident) -> None:
        if new.is_live and not old.is_live:
            return  # reopened: it begins anew
        for name in old.timeline.__struct_fields__:
            was = getattr(old.timeline, name)
            assert was is None or getattr(new.timeline, name) == was

    def teardown(self) -> None:
        """The whole log folds to the very state, and so does a snapshot of it."""
        town = self.town
        assert reduce(fold, town.decisions, self.began) == town.state
        published = Counter(
            x.incident_id  # type: ignore[union-attr]
            for d in town.decisions
            for x in d.facts
            if not isinstance(x, f.HiddenFact | f.AreaFact)
        )
        for incident in town.state.incidents.values():
            assert incident.last_seq == published[incident.incident_id]
        states = {town.state.area_id: town.state}
        again = from_rows(rows(states)) if town.decisions else states
        assert again == states
        assert looked_up_anew(town.state) == town.state
        assert town.now_ms >= NOON_MS


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
