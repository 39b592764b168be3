"""The brigade as a client of the wire: what it sends can be read, what it hears it follows."""

import ast
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

import xiaohe.sim.brigade
from tests.geo import maps
from tests.sim.people import START_MS, STREET, SURE, entry, streets
from xiaohe.sim.brigade import RINGING_BACK_S, Brigade
from xiaohe.sim.bus import Heard, Place
from xiaohe.sim.calls import Calls
from xiaohe.sim.habits import Delay
from xiaohe.sim.members import Profile
from xiaohe.sim.timescale import Timescale
from xiaohe.wire.codec import (
    BadInput,
    decode_alert,
    decode_member_action,
    decode_operator_action,
    decode_positions,
)

DECODERS = {
    "alerts": decode_alert,
    "positions": decode_positions,
    "member_actions": decode_member_action,
    "operator_actions": decode_operator_action,
}


def brigade(rate=0.0, speed=1.0, members=3, habits=SURE, span_s=600.0, story=False, **options):
    """A brigade on the drawn street."""
    on = streets()
    calls = Calls(on, (), 1, rate, span_s)
    if not story:
        list(calls.due(span_s))
    profiles = [Profile.of(entry(f"m{n:02}")) for n in range(1, members + 1)]
    scale = Timescale(START_MS, speed)
    return Brigade(profiles, on, calls, scale, seed=1, run_id="r", habits=habits, **options)


def heard(topic, value):
    """A record of a topic."""
    return Heard(topic, Place(topic, 0, 0), b"drawn", orjson.dumps(value), 0.0)


def dispatch(dispatch_id="d1", member_id="m01", state="ordered", incident_id="i1", **more):
    """A record of dispatches."""
    return heard("dispatches", {
        "dispatch_id": dispatch_id, "member_id": member_id, "state": state, "role": "primary",
        "incident_id": incident_id, "alert_id": "a1",
    } | more)  # fmt: skip


def opened(at="e", incident_id="i1", **more):
    """The event that opens an incident at a junction."""
    place = None
    if at is not None:
        lon, lat = maps.place(STREET, at)
        place = {"lon": lon, "lat": lat}
    data = {"alert_id": "a1", "category": "noise", "position": place, "road_id": None} | more
    return event("incident.opened", data, incident_id)


def event(kind, data, incident_id="i1"):
    """An event of an incident."""
    return heard("incident_events", {"type": kind, "incident_id": incident_id, "data": data})


def run(one, seconds, from_s=0, tick_s=0.5):
    """Step it for so long; what is sent."""
    out = []
    for n in range(round(seconds / tick_s) + 1):
        out += one.step(round(START_MS + 1000 * (from_s + n * tick_s)))
    return out


def actions(out):
    """The answers sent."""
    return [orjson.loads(o.value) for o in out if o.topic == "member_actions"]


def test_the_brigade_imports_nothing_of_how_the_engine_decides():
    """The client is written against the wire: no module of dispatch/ is imported by it."""
    tree = ast.parse(Path(xiaohe.sim.brigade.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert not {module for module in imported if module and "dispatch" in module.split(".")}


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_all_that_is_sent_can_be_read_by_the_contract_but_the_bad_records(speed):
    """The engine's own readers take every record, and refuse exactly the eight bad ones."""
    one = brigade(rate=120.0, speed=speed, members=12, story=True)
    refused = []
    for out in run(one, 600):
        try:
            DECODERS[out.topic](out.key, out.value)
        except BadInput as bad:
            refused.append((out.topic, bad.reason.value))
    # Two of the bad ones are well-formed: the area and the order do not exist.
    assert len(refused) == 6
    assert {topic for topic, _ in refused} == {"alerts", "positions"}


def test_the_same_seed_sends_the_same_bytes():
    """Stepped at the same times and told the same, two brigades send the same records."""
    assert run(brigade(rate=60.0, story=True), 300) == run(brigade(rate=60.0, story=True), 300)


def test_an_order_is_answered_and_carried_out():
    """Ordered to a known incident, the member answers, goes, arrives and completes."""
    one = brigade()
    run(one, 1)
    one.take(opened(), START_MS + 1000)
    one.take(dispatch(), START_MS + 1000)
    said = actions(run(one, 900, from_s=1))
    assert [a["action"] for a in said] == ["accept", "en_route", "arrive", "complete"]
    assert {(a["member_id"], a["dispatch_id"]) for a in said} == {("m01", "d1")}
    assert len({a["action_id"] for a in said}) == 4


def test_an_order_that_comes_before_its_incident_waits_for_it():
    """Topics come in no order: the phone shows the order when the place is known."""
    one = brigade()
    run(one, 1)
    one.take(dispatch(), START_MS + 1000)
    assert one.members["m01"].order is None
    one.take(opened(), START_MS + 2000)
    run(one, 1, from_s=2)
    order = one.members["m01"].order
    assert order is not None
    assert order.goal == maps.place(STREET, "e")


def test_an_order_that_ended_before_it_was_shown_is_never_shown():
    """Ordered and stood down within a moment: nobody goes."""
    one = brigade()
    run(one, 1)
    one.take(dispatch(), START_MS + 1000)
    one.take(dispatch(state="ended", end="stood_down"), START_MS + 1001)
    one.take(opened(), START_MS + 1002)
    assert actions(run(one, 60, from_s=2)) == []


def test_with_only_a_road_one_goes_to_the_middle_of_it():
    """No position, but a road: the member goes half way along it."""
    one = brigade()
    run(one, 1)
    one.take(opened(at=None, road_id="de"), START_MS + 1000)
    one.take(dispatch(), START_MS + 1000)
    run(one, 1, from_s=2)
    d, e = maps.place(STREET, "d"), maps.place(STREET, "e")
    goal = one.members["m01"].order.goal
    assert goal[0] == pytest.approx((d[0] + e[0]) / 2, abs=1e-6)


def test_a_place_off_the_map_is_asked_about_first():
    """A place in the sea: the member rings back before setting out, to where the caller is."""
    one = brigade(rate=0.0, story=True)
    out = run(one, 200, tick_s=1)
    odd = next(o for o in out if b"just now" in o.value)
    sea = {"lon": 0.0, "lat": 0.0}
    one.take(opened(at=None, position=sea, alert_id=odd.alert_id), START_MS + 200_000)
    one.take(dispatch(alert_id=odd.alert_id, member_id="m02"), START_MS + 200_000)
    order = one.members["m02"].order
    assert order is not None
    assert (one._streets.is_here(order.goal), order.asking_s) == (True, RINGING_BACK_S)


def test_a_finder_completes_what_the_event_names():
    """There is no order for a finding of one's own: its dispatch_id comes with the event."""
    one = brigade(members=1, story=True)
    out = run(one, 140)
    found = next(o for o in out if b"reported_by" in o.value)
    finder = orjson.loads(found.value)["reported_by"]
    one.calling = False
    one.take(opened(alert_id=found.alert_id), START_MS + 140_000)
    arrived = {"dispatch_id": "d9", "member_id": finder, "by": "own_finding"}
    one.take(event("member.arrived", arrived), START_MS + 140_000)
    said = actions(run(one, 900, from_s=141))
    assert ("complete", "d9") in {(a["action"], a["dispatch_id"]) for a in said}


def test_a_member_in_distress_is_relieved_by_the_desk():
    """Once help has completed the desk closes the incident, and the member is well again."""
    one = brigade(members=4, story=True)
    out = run(one, 200)
    alarm = next(o for o in out if o.topic == "positions" and o.raises)
    member_id = orjson.loads(alarm.value)["member_id"]
    assert alarm.alert_id.startswith(f"alarm:{member_id}:")
    assert one.members[member_id].doing == "distress"
    one.take(opened(alert_id=alarm.alert_id, category="sos"), START_MS + 200_000)
    done = {"dispatch_id": "d1", "member_id": "m09"}
    one.take(event("member.completed", done), START_MS + 200_000)
    closing = [orjson.loads(o.value) for o in run(one, 120, 200) if o.topic == "operator_actions"]
    assert [(c["action"], c["incident_id"]) for c in closing] == [("close", "i1")]
    assert one.members[member_id].doing == "patrol"


def test_the_desk_closes_what_is_resolved_once():
    """Told twice that it is resolved, the desk closes it once."""
    one = brigade()
    one.take(opened(), START_MS)
    for _ in range(2):
        one.take(event("incident.resolved", {"by": "m01"}), START_MS)
    desk = [orjson.loads(o.value)["action"] for o in run(one, 300) if o.topic == "operator_actions"]
    assert desk == ["close"]


def test_the_desk_finds_out_the_place_where_nobody_could_be_sent():
    """No place, so nobody can go: the desk rings back and says where it truly is, on the map."""
    one = brigade(story=True)
    out = run(one, 60, tick_s=1)
    alert_id = next(o.alert_id for o in out if b"road_id" in o.value and o.topic == "alerts")
    one.take(opened(at=None, alert_id=alert_id), START_MS + 60_000)
    one.take(event("incident.unfilled", {"reasons": ["no_place"]}), START_MS + 60_000)
    sent = [o for o in run(one, 60, from_s=60) if o.topic == "operator_actions"]
    (update,) = [orjson.loads(o.value) for o in sent]
    assert (update["action"], update["incident_id"]) == ("update", "i1")
    place = update["fields"]["position"]
    assert streets().is_here((place["lon"], place["lat"]))


def test_with_the_clock_at_ten_times_durations_on_the_topics_are_a_tenth():
    """An hour of the brigade is six minutes of the topics, and speeds are ten times as high."""
    exact = replace(SURE, answer=Delay(10.0, 0.0), turn_out=Delay(10.0, 0.0))
    one = brigade(speed=10.0, habits=exact)
    run(one, 1)
    one.take(opened(), START_MS + 1000)
    one.take(dispatch(), START_MS + 1000)
    said = {a["action"]: a["at"] for a in actions(run(one, 60, from_s=1))}
    apart_s = float(said["en_route"][17:23]) - float(said["accept"][17:23])
    assert apart_s == pytest.approx(1.0, abs=0.11)
    assert Timescale(START_MS, 10.0).simulated_ms(START_MS + 360_000) == START_MS + 3_600_000


def test_a_drill_is_marked_on_every_alert():
    """On somebody's own cluster each alert says that it is an exercise."""
    sent = [o for o in run(brigade(rate=60.0, story=True, drill=True), 600) if o.topic == "alerts"]
    marked = [orjson.loads(o.value).get("drill") for o in sent if o.alert_id is not None]
    assert marked
    assert all(marked)
