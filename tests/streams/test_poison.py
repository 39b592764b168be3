"""Poison on the real engine: what fails again and again is set aside, and reaches a person."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.geo import maps
from tests.streams.station import AREA, NOON_MS, STREETS, Station, member
from xiaohe.dispatch.aside import ENGINE_FAILED
from xiaohe.dispatch.evolve import Stamp, evolve
from xiaohe.dispatch.facts import DeadlineSet
from xiaohe.dispatch.inputs import Position, RosterEntry
from xiaohe.dispatch.roster import Member, Roster
from xiaohe.dispatch.times import rfc3339
from xiaohe.dispatch.world import RoadMap
from xiaohe.geo.snap import Site
from xiaohe.places import POLICY, ROADS
from xiaohe.streams.app import WorkerSettings
from xiaohe.streams.clocks import VirtualClock
from xiaohe.streams.decision_log import decode, encode
from xiaohe.streams.engine import AreaEngine
from xiaohe.streams.lane import ATTEMPTS_MAX, CAREFUL_FENCES, InputFailedError
from xiaohe.streams.memory_log import DECISIONS, MemoryBus, MemoryTopics
from xiaohe.streams.ports import ALERTS, POSITIONS, WAKEUPS, Care, Publication, Raw, Step
from xiaohe.streams.service import Service, ServiceSettings
from xiaohe.streams.takeover import REPLAYING_FENCES_MAX, UNFOLDED_FENCES, LogDamagedError
from xiaohe.topics import load_topics

KEY = AREA.encode()
POISON = b"poison"


class Gone(BaseException):
    """The process is gone, and no handler for exceptions has seen it go."""


class SickEngine(AreaEngine):
    """The engine with a fault: it raises ``error`` on some records, at one place or at two."""

    fails: Callable[[Raw], bool]
    error: Callable[[], BaseException]
    refuses_badly = 0

    def take(self, raw: Raw, now_ms: int, epoch: int) -> Sequence[Step]:
        """Decide, unless it is one of those."""
        if self.fails(raw):
            raise self.error()
        return super().take(raw, now_ms, epoch)

    def refuse(self, raw: Raw, now_ms: int, epoch: int, detail: str, care: Care) -> Step:
        """Set aside, unless that is what fails, too."""
        if type(self).refuses_badly and care is not Care.BLIND:
            type(self).refuses_badly -= 1
            raise self.error()
        return super().refuse(raw, now_ms, epoch, detail, care)


class Ward:
    """One partition with a sick engine, whose worker is started again whenever it dies."""

    def __init__(
        self,
        fails: Callable[[Raw], bool] = lambda raw: POISON in (raw.value or b""),
        error: Callable[[], BaseException] = lambda: ValueError("a fault of ours"),
        refuses_badly: int = 0,
    ) -> None:
        lon, lat = maps.place(STREETS, "b")
        post = {"lon": lon, "lat": lat}
        leader = member("boss", rank="squad_leader")
        self.station = Station(member("m1", post=post), member("m2", post=post), leader)
        self.shared = replace(self.station.shared, partitions=1)
        self.clock = VirtualClock(NOON_MS)
        self.topics = MemoryTopics(self.clock, 1, {})
        # A class of its own, for how often it fails outlives the worker.
        self.sick = type("Sick", (SickEngine,), {})
        self.sick.fails, self.sick.error = staticmethod(fails), staticmethod(error)
        self.sick.refuses_badly = refuses_badly
        self.bus: MemoryBus | None = None
        self.deaths = 0

    def engine(self) -> AreaEngine:
        """The engine of the worker that lives."""
        return self.bus.lanes._lanes[0][1]

    async def start(self) -> None:
        """Take over and read on."""
        self.bus = MemoryBus(self.topics, lambda partition: self.sick(partition, self.shared))
        await self.bus.start()

    async def run_for(self, ms: int = 10) -> None:
        """Let time pass; a worker that dies is started again at once."""
        to_ms = self.clock.now_ms() + ms
        while True:
            if self.bus is None:
                await self.start()
            # A little at least: a wake-up waits until the moment it was due at is over.
            await self.clock.advance(max(to_ms, self.clock.now_ms() + 2))
            if not self.bus.failure.done():
                return
            assert isinstance(self.bus.failure.result(), InputFailedError)
            self.bus = None
            self.deaths += 1
            assert self.deaths < 30, "a crash loop"

    def send(self, topic: str, value: Any) -> Raw:
        """A record comes in."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.topics.append(topic, KEY, body)

    def alert(self, alert_id: str = "a1", at: str = "a", **said: Any) -> Raw:
        """An alert at a junction."""
        base = {
            "alert_id": alert_id,
            "source": "police-110",
            "category": "dispute",
            "occurred_at": rfc3339(self.clock.now_ms()),
            "position": self.station.place(at),
        }
        return self.send(ALERTS, {**base, **said})

    def fix(self, member_id: str, **said: Any) -> dict[str, Any]:
        """A position."""
        when = rfc3339(self.clock.now_ms())
        return {"member_id": member_id, "fix_time": when, **self.station.place("b"), **said}

    def values(self, topic: str) -> list[dict[str, Any]]:
        """What was published on a topic, sent once or again."""
        said = {raw.headers: json.loads(raw.value) for raw in self.topics.read_all(topic)}
        return list(said.values())

    def events(self, incident_id: str | None = None) -> list[str]:
        """The types of what was published about an incident, or about all."""
        return [
            e["type"]
            for e in self.values("incident_events")
            if incident_id in {None, e["incident_id"]}
        ]

    def reasons(self) -> list[str]:
        """Why something was dead-lettered."""
        return [v["reason"] for v in self.values("dead_letters")]

    def close(self) -> None:
        """End the worker."""
        if self.bus is not None:
            self.bus.kill()


@pytest.fixture
async def ward():
    """Makes wards, and ends them."""
    made: list[Ward] = []

    def make(*args: Any, **said: Any) -> Ward:
        made.append(Ward(*args, **said))
        return made[-1]

    yield make
    for each in made:
        each.close()
    await asyncio.sleep(0)


# --- alerts


async def test_an_alert_that_fails_three_times_opens_its_incident_for_a_person(ward):
    """No dead letter: an open incident that says nobody was sent, and the command is told."""
    here = ward()
    here.alert("a1", text="poison")
    here.alert("a2", at="f")
    with capture_logs() as logs:
        await here.run_for()
    assert here.deaths == ATTEMPTS_MAX
    assert [log["page"] for log in logs if log["event"] == "input_set_aside"] == [True]
    assert here.reasons() == []
    [first, _] = here.values("incident_events")[:2]
    aside_id = first["incident_id"]
    assert here.events(aside_id) == [
        "incident.opened",
        "incident.unfilled",
        "command.notified",
    ]
    unfilled, told = [e["data"] for e in here.values("incident_events")[1:3]]
    assert unfilled["reasons"] == [ENGINE_FAILED]
    assert (told["who"], told["reason"]) == (["boss"], ENGINE_FAILED)
    view = {v["incident_id"]: v for v in here.values("incidents")}[aside_id]
    assert view["state"] == "open"
    assert view["position"]["lon"] == pytest.approx(here.station.place("a")["lon"])
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"], "the next is decided"


async def test_its_windows_and_its_ladder_go_on_and_nothing_is_decided_for_it(ward):
    """What is due is written by its time; no rule that failed is asked, so nobody dies of it."""
    here = ward()
    here.alert("a1", text="poison", priority=1)
    await here.run_for()
    await here.run_for(400_000)
    assert here.deaths == ATTEMPTS_MAX
    types = here.events()
    assert types.count("acceptance.overdue") == types.count("arrival.overdue") == 1
    assert types.count("command.notified") == 3
    assert here.values("dispatches") == []
    [incident] = here.engine().states()[AREA].incidents.values()
    assert incident.set_aside
    assert incident.is_live


async def test_a_person_sends_somebody_to_what_was_set_aside(ward):
    """The desk's word goes through, and the member's answers are taken."""
    here = ward()
    here.alert("a1", text="poison")
    await here.run_for()
    [incident] = here.engine().states()[AREA].incidents.values()
    desk = {"action_id": "d1", "operator_id": "desk", "at": rfc3339(NOON_MS)}
    word = {"action": "dispatch", "incident_id": incident.incident_id, "member_id": "m1"}
    here.send("operator_actions", {**desk, **word})
    await here.run_for()
    [order] = here.values("dispatches")
    assert order["member_id"] == "m1"
    says = {"member_id": "m1", "at": rfc3339(NOON_MS), "dispatch_id": order["dispatch_id"]}
    for action in ("accept", "arrive", "complete"):
        here.send("member_actions", {**says, "action_id": action, "action": action})
    await here.run_for()
    assert here.events()[-1] == "incident.resolved"
    assert here.deaths == ATTEMPTS_MAX


async def test_a_map_that_fails_at_one_place_harms_no_other_alert(ward):
    """The fault is in a rule that every decision about the place asks: three deaths, no more."""

    class TornMap(RoadMap):
        def site(self, place: Position, road_id: str | None) -> Site | None:
            if place.lon == torn["lon"]:
                raise ZeroDivisionError
            return super().site(place, road_id)

    here = ward()
    torn = here.station.place("c")
    network = here.shared.roads.network
    roads = TornMap(network, here.shared.roads.snapper)
    here.shared = replace(here.shared, roads=roads)
    here.alert("torn", at="c")
    here.alert("well", at="d")
    await here.run_for(300_000)
    assert here.deaths == ATTEMPTS_MAX
    assert {o["alert_id"] for o in here.values("dispatches")} == {"well"}
    assert here.reasons() == []


@pytest.mark.parametrize("said", [{"alert_id": "a1", "text": "other"}, {"supersedes": "a1"}])
async def test_a_correction_that_fails_is_attached_and_told(ward, said):
    """What is known of an incident grows, and the command is told that nobody decided upon it."""
    here = ward()
    here.alert("a1")
    await here.run_for()
    here.alert(**{"alert_id": "a2", "category": "poison", **said})
    await here.run_for()
    assert here.deaths == ATTEMPTS_MAX
    assert here.events()[-2:] == ["alert.attached", "command.notified"]
    assert here.reasons() == []


async def test_an_alert_that_cannot_be_set_aside_opens_its_incident_at_first_sight(ward):
    """A well-formed alert of a known area is never a dead letter; nobody is asked about it."""
    here = ward(refuses_badly=1)
    here.alert("a1", text="poison", priority=1)
    here.alert("a2")
    await here.run_for()
    assert here.deaths == ATTEMPTS_MAX + 1
    assert here.reasons() == []
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"]
    opened = here.values("incident_events")[0]
    assert here.events(opened["incident_id"]) == ["incident.opened", "incident.unfilled"]
    said = {name: opened["data"][name] for name in ("alert_id", "category", "priority")}
    assert said == {"alert_id": "a1", "category": "dispute", "priority": 1}
    assert opened["data"]["position"]["lon"] == pytest.approx(here.station.place("a")["lon"])
    here.alert("a1", text="poison", priority=1)
    await here.run_for()
    assert here.events(opened["incident_id"])[-2:] == ["alert.attached", "command.notified"]


async def test_an_alert_of_which_nothing_can_be_made_is_a_dead_letter(ward):
    """Where setting it aside fails whatever is asked, nobody looks into it again."""
    here = ward(refuses_badly=2)
    here.alert("a1", text="poison")
    here.alert("a2")
    await here.run_for()
    assert here.deaths == ATTEMPTS_MAX + 2
    assert here.reasons() == ["failed_repeatedly"]
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"]


@pytest.mark.parametrize(
    "value", [b"poison", b'["poison"]', b'{"poison": 1}', b'{"alert_id": "-poison"}']
)
async def test_what_is_no_alert_opens_no_incident_however_often_it_fails(ward, value):
    """Nobody is waiting for it: the dead letter tells of it."""
    here = ward(refuses_badly=1)
    here.send(ALERTS, value)
    await here.run_for()
    assert (here.reasons(), here.events()) == (["failed_repeatedly"], [])


async def test_an_alert_whose_rules_and_map_and_state_fail_opens_its_incident(ward, monkeypatch):
    """Setting it aside fails without ending a worker: the last way is gone at once."""

    def fails(*_args: Any, **_said: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("xiaohe.streams.engine.decide_aside", fails)
    here = ward()
    here.alert("a1", text="poison")
    await here.run_for()
    assert (here.deaths, here.reasons()) == (ATTEMPTS_MAX, [])
    assert here.events() == ["incident.opened", "incident.unfilled"]


async def test_without_policy_and_roster_the_incident_opens_barely(ward):
    """What the second attempt needs is the alert alone."""

    class NoPolicy:
        def __getattr__(self, name: str) -> Any:
            if name in {"areas", "mode_of", "version", "speed", "keep_heads", "fix_s_max"}:
                return getattr(real, name)
            raise ZeroDivisionError(name)

    here = ward()
    real = here.shared.policy
    here.shared = replace(here.shared, policy=NoPolicy())
    here.alert("a1")
    with capture_logs() as logs:
        await here.run_for()
    assert here.deaths == ATTEMPTS_MAX
    assert here.events() == ["incident.opened", "incident.unfilled"]
    assert [log["less"] for log in logs if log["event"] == "set_aside_with_less"] == [0]


# --- everything else


@pytest.mark.parametrize("topic", ["member_actions", "operator_actions"])
async def test_a_word_that_fails_three_times_is_a_dead_letter(ward, topic):
    """It is told, and the next is taken."""
    here = ward()
    here.send(topic, {"poison": 1})
    here.alert("a2")
    await here.run_for()
    assert (here.deaths, here.reasons()) == (ATTEMPTS_MAX, ["failed_repeatedly"])
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"]


async def test_a_members_call_for_help_in_a_record_that_fails_reaches_a_person(ward):
    """The record is a dead letter; each alarm in it is an open incident of its own."""
    here = ward()
    fixes = [here.fix("m1", alarm="sos"), here.fix("m2"), here.fix("boss", alarm="fall")]
    here.send(POSITIONS, {"batch": fixes, "x": "poison"})
    await here.run_for()
    assert (here.deaths, here.reasons()) == (ATTEMPTS_MAX, ["failed_repeatedly"])
    incidents = here.engine().states()[AREA].incidents.values()
    assert {i.distress_of for i in incidents} == {"m1", "boss"}
    assert all(i.set_aside and i.unfilled == (ENGINE_FAILED,) for i in incidents)


async def test_a_wake_up_that_fails_is_closed_and_its_incident_a_persons(ward):
    """Three deaths for the first of an incident's deadlines, none for what falls due after it."""
    here = ward(lambda raw: raw.topic == WAKEUPS and raw.offset == 0)
    here.alert("a1")
    await here.run_for(20_100)
    await here.run_for(300_000)
    assert (here.deaths, here.reasons()) == (ATTEMPTS_MAX, ["failed_repeatedly"])
    [incident] = here.engine().states()[AREA].incidents.values()
    assert incident.set_aside
    told = [e["data"] for e in here.values("incident_events") if e["type"] == "command.notified"]
    assert told[0]["reason"] == ENGINE_FAILED
    assert "acceptance.overdue" in here.events()


async def test_a_wake_up_that_cannot_even_be_closed_is_given_up(ward):
    """The deadline is called no more, here and after a take-over."""
    here = ward(lambda raw: raw.topic == WAKEUPS and raw.offset == 0, refuses_badly=1)
    here.alert("a1")
    await here.run_for(20_100)
    assert (here.deaths, here.reasons()) == (ATTEMPTS_MAX + 1, ["failed_repeatedly"])
    here.bus.kill()
    here.bus = None
    await here.run_for(100)
    assert here.deaths == ATTEMPTS_MAX + 1
    [incident] = here.engine().states()[AREA].incidents.values()
    [offer] = [d for d in incident.deadlines if d.name.startswith("offer:")]
    assert offer.given_up


async def test_what_was_given_up_is_so_for_who_begins_at_a_snapshot(ward):
    """It is of the state, and ends with the deadline: set anew, it counts."""
    here = ward(lambda raw: raw.topic == WAKEUPS and raw.offset == 0, refuses_badly=1)
    here.alert("a1")
    await here.run_for(20_100)
    engine = here.engine()
    again = here.sick(0, here.shared)
    again.restore(engine.snapshot())
    assert again.states() == engine.states()
    assert [c.value for c in again.due(NOON_MS + 20_100)] == []
    [incident] = again.states()[AREA].incidents.values()
    [offer] = [d for d in incident.deadlines if d.given_up]
    state = again.states()[AREA]
    for due_ms in (None, offer.due_ms):
        fact = DeadlineSet(incident_id=incident.incident_id, deadline=offer.name, due_ms=due_ms)
        state = evolve(state, fact, Stamp(NOON_MS, NOON_MS))
    assert not state.incidents[incident.incident_id].gave_up(offer.name)


@pytest.mark.parametrize("places", [("falling_due",), ("falling_due", "aside")])
async def test_a_ladder_whose_rung_fails_goes_on_with_the_next(ward, monkeypatch, places):
    """Each rung is told by its time, also where only the police room can be named for it."""

    def fails(*_args: Any) -> None:
        raise ZeroDivisionError

    for place in places:
        monkeypatch.setattr(f"xiaohe.dispatch.{place}.climb", fails)
    here = ward()
    here.alert("a1", priority=1)
    for _ in range(40):
        await here.run_for(10_000)
    mine = here.values("incident_events")[0]["incident_id"]  # a neighbour is asked as well
    events = [e for e in here.values("incident_events") if e["incident_id"] == mine]
    told = [e["data"] for e in events if e["type"] == "command.notified"]
    assert [each["rung"] for each in told] == ["squad_leader", "squadron_leader", "brigade_leader"]
    assert here.deaths >= 2 * 2 * ATTEMPTS_MAX, "two rungs of two incidents"
    if "aside" in places:
        assert [each["who"] for each in told[1:]] == [["police_room"], ["police_room"]]
    calls = here.engine().due(here.clock.now_ms())
    assert not any(b"ladder" in call.value for call in calls)


async def test_a_position_that_is_poison_when_it_is_replayed_is_passed_over(ward):
    """A take-over learns where the others are."""
    here = ward(lambda raw: raw.replayed and POISON in raw.value)
    await here.run_for()
    here.send(POSITIONS, here.fix("m1", x="poison"))
    here.send(POSITIONS, here.fix("m2"))
    await here.run_for()
    here.bus.kill()
    here.bus = None
    with capture_logs() as logs:
        await here.run_for()
    assert here.deaths == 0
    assert [log["log_level"] for log in logs if log["event"] == "position_not_learned"] == ["error"]
    here.alert("a1")
    await here.run_for()
    assert here.engine()._area(AREA).world.live.fixed_ms("m2") == NOON_MS + 10


async def test_a_recorded_decision_that_cannot_be_folded_is_passed_over_in_the_end(ward):
    """Three workers leave with a clear sentence; then the area goes on without it, once told."""
    here = ward()
    here.alert("a1")
    await here.run_for()
    last = [decode(r.value) for r in here.topics.read(DECISIONS, 0)][-1]
    fact = {"type": "incident.closed", "incident_id": "inc-none", "by": "x"}
    decision = {"area_id": AREA, "at_ms": NOON_MS, "received_ms": NOON_MS, "facts": [fact]}
    record = {"cause": {"topic": "alerts", "partition": 0, "offset": 1}, "decision": decision}
    here.send("operator_actions", {})
    odd = msgspec.structs.replace(
        last, seq=last.seq + 1, owed_from=last.seq + 1, topic="operator_actions", offset=0,
        record=record,
    )  # fmt: skip
    here.bus.kill()
    here.topics.append(DECISIONS, None, encode(odd), (), 0)
    here.alert("a2", at="f")
    for _ in range(UNFOLDED_FENCES):
        with pytest.raises(ExceptionGroup) as left:
            await here.start()
        assert left.group_contains(LogDamagedError, match="Start that one")
    for pages in (1, 0):
        with capture_logs() as logs:
            here.bus = None
            await here.run_for(2_000)
        assert [log["event"] for log in logs if log.get("page")] == ["decisions_not_folded"] * pages
        assert [o["alert_id"] for o in here.values("dispatches")] == ["a1", "a2"]
        here.bus.kill()
    assert here.deaths == 0


# --- the roster


class SickRoster(Roster):
    """A roster with a fault."""

    def put(self, entry: RosterEntry, received_ms: int = 0) -> Member:
        """Keep it, unless it is of one."""
        if entry.member_id == "ill":
            raise ZeroDivisionError
        return super().put(entry, received_ms)


def service() -> Service:
    """The parts of a worker, on the project's own map."""
    topics = load_topics()
    worker = WorkerSettings("127.0.0.1:1", Path("unused"))
    made = Service(ServiceSettings(worker, topics, ROADS, POLICY, POLICY))
    made.roster = SickRoster()
    return made


def test_a_roster_entry_that_the_engine_fails_on_is_set_aside() -> None:
    """It is read anew at every start: nobody leaves for it, and the next entry counts."""
    here = service()
    engine = here.make_core(0)
    with capture_logs() as logs:
        for offset, member_id in enumerate(("ill", "well")):
            value = json.dumps(member(member_id)).encode()
            here.on_roster(Raw("roster", 0, offset, NOON_MS, member_id.encode(), value))
    assert here.roster.get("ill") is None
    assert here.roster.get("well") is not None
    assert [log["page"] for log in logs] == [True]
    [letter] = [p for p in engine.tick(NOON_MS, 1) if p.topic == "dead_letters"]
    assert json.loads(letter.value)["reason"] == "failed_repeatedly"


def test_bad_roster_entries_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not to tell of them does not keep them without end, and says so."""
    monkeypatch.setattr("xiaohe.streams.service.BAD_ENTRIES_MAX", 10)
    here = service()
    with capture_logs() as logs:
        for offset in range(12):
            here.on_roster(Raw("roster", 0, offset, NOON_MS, b"x", b"{"))
    assert len([log for log in logs if log.get("page")]) == 2
    engine = here.make_core(0)
    assert len([p for p in engine.tick(NOON_MS, 1) if p.topic == "dead_letters"]) == 10


# --- what ends the process


async def lives(here: Ward) -> bool:
    """Start the worker; whether its take-over did not end it."""
    was_gone = False
    try:
        await here.start()
    except* Gone:
        here.bus.kill()
        was_gone = True
    return not was_gone


async def starts_until_it_lives(here: Ward) -> int:
    """Start the worker until it lives, driving its lane without a task; how often it was gone."""
    for gone in range(20):
        if not await lives(here):
            continue
        lane = here.bus.lanes.lanes[0]
        run = here.bus.lanes._tasks.pop(0)
        run.remove_done_callback(here.bus.lanes._ended)
        run.cancel()
        try:
            while lane.waiting:
                await lane._call_due()
                await lane._fetch_barrier()
                await lane._batch()
        except Gone:
            here.bus.kill()
            continue
        return gone
    raise AssertionError("a crash loop")


@pytest.mark.parametrize("topic", [ALERTS, "member_actions", "operator_actions", POSITIONS])
async def test_an_input_that_ends_the_process_itself_is_found_and_set_aside(ward, topic):
    """Memory, a loop, an abort: nothing is caught, and the log tells the next which it was."""
    here = ward(lambda raw: POISON in (raw.value or b"") and not raw.replayed, Gone)
    if topic == ALERTS:
        here.alert("a1", text="poison")
    else:
        here.send(topic, {"x": "poison"})
    here.alert("a2", at="f")
    assert await starts_until_it_lives(here) == CAREFUL_FENCES + ATTEMPTS_MAX
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"]
    assert here.reasons() == ([] if topic == ALERTS else ["failed_repeatedly"])


async def test_an_input_that_ends_the_process_when_it_is_set_aside_is_not_looked_into(ward):
    """The dead letter is written without it."""
    here = ward(error=Gone, refuses_badly=2)
    here.alert("a1", text="poison")
    here.alert("a2", at="f")
    assert await starts_until_it_lives(here) == CAREFUL_FENCES + ATTEMPTS_MAX + 2
    assert here.reasons() == ["failed_repeatedly"]


async def test_a_position_that_ends_the_process_when_it_is_replayed_is_not_replayed_for_ever(ward):
    """After some take-overs that led to nothing nobody learns from the past."""
    here = ward(lambda raw: raw.replayed and POISON in raw.value, Gone)
    await here.run_for()
    here.send(POSITIONS, here.fix("m1", x="poison"))
    await here.run_for()
    here.bus.kill()
    here.alert("a2", at="f")
    assert await starts_until_it_lives(here) == REPLAYING_FENCES_MAX
    assert [o["alert_id"] for o in here.values("dispatches")] == ["a2"]


def test_publications_are_not_needed_for_a_blind_refusal() -> None:
    """It is rendered from the record's place alone."""
    station = Station()
    raw = station.raw(ALERTS, b"\xff" * 100, key=None)
    step = station.engine.refuse(raw, NOON_MS, 1, "failed 5 times", Care.BLIND)
    [letter] = step.publications
    assert isinstance(letter, Publication)
    assert json.loads(letter.value)["reason"] == "failed_repeatedly"
