"""What goes out, field by field, as the wire contract has it."""

import pytest

from tests.streams.station import ALWAYS, AREA, Station, headers, member, values
from xiaohe.dispatch import facts as f
from xiaohe.dispatch.times import parse_rfc3339
from xiaohe.streams.ports import Publication

EVENT_KEYS = {
    "event_id",
    "incident_id",
    "area_id",
    "seq",
    "epoch",
    "type",
    "at",
    "cause",
    "data",
}
OF_ORDER = {"dispatch_id", "member_id", "role"}
BY_PERSON = {"by", "reason"}
AT_LEAST = {
    "incident.opened": {
        "alert_id",
        "priority",
        "category",
        "position",
        "road_id",
        "responsible",
    },
    "alert.attached": {"alert_id", "relation"},
    "incident.updated": BY_PERSON,
    "member.dispatched": OF_ORDER,
    "member.accepted": OF_ORDER,
    "member.declined": OF_ORDER,
    "member.en_route": OF_ORDER,
    "member.arrived": OF_ORDER,
    "member.stood_down": OF_ORDER,
    "member.lapsed": OF_ORDER,
    "member.completed": OF_ORDER,
    "backup.required": {"reason", "due_at"},
    "backup.dispatched": OF_ORDER,
    "backup.arrived": OF_ORDER,
    "acceptance.overdue": {"due_at", "late_s", "estimate_s"},
    "arrival.overdue": {"due_at", "late_s", "estimate_s"},
    "arrival.predicted_late": {"due_at", "estimate_s", "dispatch_id", "member_id"},
    "backup.overdue": {"due_at", "late_s", "estimate_s"},
    "incident.unfilled": {"reasons"},
    "command.notified": {"who", "rung", "acknowledge_by", "by", "reason"},
    "command.acknowledged": BY_PERSON,
    "incident.resolved": BY_PERSON,
    "incident.referred": BY_PERSON,
    "incident.return_visited": BY_PERSON,
    "incident.closed": BY_PERSON,
    "incident.reopened": BY_PERSON,
    "incident.cancelled": BY_PERSON,
    "incident.merged": {"into"},
    "incident.unmerged": BY_PERSON,
}
ORDER_KEYS = {
    "dispatch_id",
    "incident_id",
    "alert_id",
    "area_id",
    "member_id",
    "role",
    "state",
    "ordered_at",
    "accept_by",
    "arrive_by",
    "eta_s",
    "distance_m",
    "route",
    "why",
    "epoch",
}
VIEW_KEYS = {
    "incident_id",
    "area_id",
    "state",
    "mode",
    "priority",
    "category",
    "position",
    "road_id",
    "responsible",
    "assignments",
    "timeline",
    "deadlines",
    "alerts",
    "last_seq",
}
MILESTONES = {
    "received",
    "dispatched",
    "accepted",
    "en_route",
    "arrived",
    "backup_required",
    "backup_arrived",
    "resolved",
    "closed",
}


def station() -> Station:
    """Three members on the street, and a squad leader."""
    here = Station(
        member("m1"),
        member("m2"),
        member("m3"),
        member("lead", rank="squad_leader", roads=[{"road_id": "bc", "role": "owner"}]),
    )
    for member_id, junction in (("m1", "b"), ("m2", "c"), ("m3", "e"), ("lead", "f")):
        here.fix(member_id, junction)
    return here


def whole_story() -> Station:
    """A station at which every type of event has been published."""
    here = station()
    here.desk("cancel", incident_id=incident_of(here.alert("a0", "e", category="hoax")))
    first = incident_of(here.alert("a1", "a", priority=1))
    here.alert("a1", "a", priority=1, text="corrected")
    here.desk("message", incident_id=first, text="use the back door")
    here.now_ms += 1000
    here.says("m1", "en_route")
    here.says("m3", "decline", reason="puncture")
    here.says("m2", "arrive")
    here.desk("stand_down", incident_id=first, member_id="m2", reason="called home")
    second = incident_of(here.alert("a2", "f", category="theft"))
    third = incident_of(here.alert("a3", "d", category="noise", priority=1))
    here.run_to(500)
    here.desk("acknowledge", incident_id=first)
    for action in ("refer", "return_visit", "cancel", "reopen"):
        here.desk(action, incident_id=first, reason=f"to {action}")
    here.desk("merge", incident_id=second, into=third)
    here.desk("unmerge", incident_id=second)
    here.desk("close", incident_id=second)
    for member_id in ("m1", "m2", "m3", "lead"):
        here.fix(member_id, "c")
    for member_id in sorted(here.engine.states()[AREA].holding):
        if member_id in here.engine.states()[AREA].holding:
            here.says(member_id, "complete", outcome="settled")
    return here


def incident_of(published: list[Publication]) -> str:
    """The incident that was opened."""
    return str(values(published, "incidents")[0]["incident_id"])


def test_every_type_of_event_has_at_least_the_contracts_data() -> None:
    """The story leaves out no type of the contract, and no event leaves out a key."""
    events = values(whole_story().published, "incident_events")
    assert {e["type"] for e in events} == set(AT_LEAST)
    for event in events:
        assert event.keys() >= EVENT_KEYS
        assert event["data"].keys() >= AT_LEAST[event["type"]], event["type"]


def test_every_fact_that_is_published_is_a_type_of_the_contract() -> None:
    """And every type of the contract is a fact."""
    tags = {kind.__struct_config__.tag for kind in f.IncidentFact.__args__}
    assert tags == set(AT_LEAST)


def test_the_sequence_of_an_incident_has_no_gaps() -> None:
    """1, 2, 3 … in the order of publication; the event_id is made of it."""
    seqs: dict[str, int] = {}
    for event in values(whole_story().published, "incident_events"):
        incident_id = event["incident_id"]
        seqs[incident_id] = seqs.get(incident_id, 0) + 1
        assert event["seq"] == seqs[incident_id]
        assert event["event_id"] == f"{incident_id}:{event['seq']}"
    assert len(seqs) == 4


def test_events_name_their_cause() -> None:
    """A record of a topic, or a deadline; a deadline's events say when it was due and how late."""
    here = station()
    offset = here.offsets.get("alerts", -1) + 1
    opened = values(here.alert(), "incident_events")[0]
    assert opened["cause"] == {"topic": "alerts", "partition": here.partition, "offset": offset}
    events = values(here.run_to(60), "incident_events")
    overdue = next(e for e in events if e["type"] == "acceptance.overdue")
    assert overdue["cause"] == {"deadline": "accept"}
    assert overdue["data"]["late_s"] == 0.003
    for event in events:
        assert event["cause"].keys() == {"deadline"}
        assert event["data"].keys() >= {"due_at", "late_s"}


def test_every_output_carries_its_headers() -> None:
    """Binary-mode CloudEvents: the pair of source and id is the key to drop duplicates by."""
    here = whole_story()
    seen = set()
    for publication in here.published:
        said = headers(publication)
        topic = here.names[publication.topic]
        assert said["ce_specversion"] == "1.0"
        assert said["ce_source"] == f"/xiaohe/{AREA}/{topic}"
        assert said["ce_type"].startswith("xiaohe.")
        parse_rfc3339(said["ce_time"])
        key = (said["ce_source"], said["ce_id"])
        assert key not in seen
        seen.add(key)


def test_ids_and_keys_of_each_topic() -> None:
    """The event_id, `<dispatch_id>:<state>`, `<incident_id>@<last_seq>`; keys by area or id."""
    for publication in whole_story().published:
        value = values([publication], publication.topic)[0]
        ce_id, key = headers(publication)["ce_id"], (publication.key or b"").decode()
        match publication.topic:
            case "incident_events" | "area_events":
                assert (ce_id, key) == (value["event_id"], AREA)
            case "dispatches":
                assert (ce_id, key) == (f"{value['dispatch_id']}:{value['state']}", AREA)
            case "incidents":
                assert ce_id == f"{value['incident_id']}@{value['last_seq']}"
                assert key == value["incident_id"]
            case topic:
                assert topic == "alerts"
                assert (ce_id, key) == (value["alert_id"], "east")


# --- dispatches


def test_an_order_has_every_field() -> None:
    """One record, with all that a member and a judge need."""
    here = station()
    [order] = values(here.alert(), "dispatches")
    assert order.keys() == ORDER_KEYS
    assert order["why"].keys() >= {
        "rule",
        "candidates",
        "fix_age_s",
        "roads_version",
        "policy_version",
    }
    first = order["why"]["candidates"][0]
    assert (first["member_id"], first["eta_s"], first["excluded"]) == ("m1", 54.0, None)
    assert (order["state"], order["role"], order["member_id"]) == ("ordered", "primary", "m1")
    assert order["route"] == ["ab"]
    assert order["dispatch_id"] == f"{order['incident_id']}-1"


def test_an_order_is_shown_once_and_once_more_when_it_ends() -> None:
    """The ended record repeats every field of its order."""
    records = values(whole_story().published, "dispatches")
    by_order: dict[str, list[dict]] = {}
    for record in records:
        by_order.setdefault(record["dispatch_id"], []).append(record)
    ends = set()
    for shown in by_order.values():
        assert [r["state"] for r in shown] == ["ordered", "ended"][: len(shown)]
        if len(shown) == 2:
            ordered, ended = shown
            assert ended.keys() == ordered.keys() | {"end", "ended_at"}
            unchanged = ordered.keys() - {"state"}
            assert {k: ended[k] for k in unchanged} == {k: ordered[k] for k in unchanged}
            ends.add(ended["end"])
    assert ends == {"completed", "declined", "lapsed", "stood_down", "cancelled"}


def test_an_end_comes_before_an_order_of_the_same_member() -> None:
    """In one decision, and whatever happened."""
    here = station()
    here.alert("a1", "a")
    noise = incident_of(here.alert("a2", "f", category="noise"))
    found = values(here.desk("dispatch", incident_id=noise, member_id="m1"), "dispatches")
    assert [(o["member_id"], o["state"]) for o in found] == [
        ("m1", "ended"),
        ("m1", "ordered"),
        ("m3", "ordered"),
    ]
    open_of: dict[str, str | None] = {}
    for order in values(here.published, "dispatches"):
        if order["state"] == "ordered":
            assert open_of.get(order["member_id"]) is None
        open_of[order["member_id"]] = order["dispatch_id"] if order["state"] == "ordered" else None


def test_a_lapsed_order_that_was_accepted_after_all_is_not_shown_again() -> None:
    """One record an order and one when it ends; the events tell the rest."""
    here = Station(member("m1"))
    here.fix("m1", "b")
    [order] = values(here.alert(), "dispatches")
    here.run_to(90)
    here.says("m1", "accept", dispatch_id=order["dispatch_id"])
    here.says("m1", "complete", dispatch_id=order["dispatch_id"])
    shown = values(here.published, "dispatches")
    assert [(o["state"], o.get("end")) for o in shown] == [("ordered", None), ("ended", "lapsed")]
    assert values(here.published, "incidents")[-1]["state"] == "resolved"


def test_events_are_acknowledged_before_orders_and_orders_before_views() -> None:
    """The stages of one decision."""
    stages = {p.topic: p.stage for p in whole_story().published}
    assert stages["incident_events"] < stages["dispatches"] < stages["incidents"]
    assert stages["area_events"] == stages["incident_events"] if "area_events" in stages else True


# --- incidents


def test_an_incident_as_it_now_stands_has_every_field() -> None:
    """Milestones that have not been are null."""
    here = station()
    [view] = values(here.alert(), "incidents")
    assert view.keys() >= VIEW_KEYS
    assert view["timeline"].keys() == MILESTONES
    assert [k for k, v in view["timeline"].items() if v is not None] == ["received", "dispatched"]
    assert view["deadlines"].keys() == {"accept_by", "arrive_by", "backup_by"}
    assert view["deadlines"]["backup_by"] is None
    assert view["responsible"] == {"team": None, "members": []}
    assert view["alerts"] == ["a1"]
    [assignment] = view["assignments"]
    assert (assignment["member_id"], assignment["role"], assignment["state"]) == (
        "m1",
        "primary",
        "ordered",
    )


def test_the_view_names_the_last_event() -> None:
    """`last_seq` of each view is the sequence of the last event of its decision."""
    here = whole_story()
    for step in here.steps:
        last = {e["incident_id"]: e["seq"] for e in values(step.publications, "incident_events")}
        views = {v["incident_id"]: v["last_seq"] for v in values(step.publications, "incidents")}
        assert views == last


def test_an_own_finding_has_no_windows_and_no_order() -> None:
    """Null, and not 0; and nothing on dispatches."""
    here = station()
    found = here.alert(reported_by="m1")
    assert values(found, "dispatches") == []
    [view] = values(found, "incidents")
    assert (view["deadlines"]["accept_by"], view["deadlines"]["arrive_by"]) == (None, None)
    assert (view["timeline"]["accepted"], view["timeline"]["arrived"]) == (None, None)
    [assignment] = view["assignments"]
    assert (assignment["ordered_at"], assignment["state"]) == (None, "arrived")
    arrived = values(found, "incident_events")[1]
    assert arrived["type"] == "member.arrived"
    done = here.says("m1", "complete", dispatch_id=arrived["data"]["dispatch_id"])
    assert values(done, "dispatches") == []
    assert values(done, "incidents")[0]["state"] == "resolved"


def test_an_update_names_what_changed_and_nothing_else() -> None:
    """What stayed as it was is absent; a new place is given whole, null too."""
    here = station()
    here.alert()
    [update, *_] = values(here.desk("update", fields={"category": "noise"}), "incident_events")
    assert update["data"] == {"by": "desk-1", "reason": None, "category": "noise"}
    far = {"lon": here.place("c")["lon"] + 0.01, "lat": here.place("c")["lat"]}
    [update, *_] = values(here.desk("update", fields={"position": far}), "incident_events")
    assert update["data"].keys() >= {"position", "place", "road_id", "off_road_m", "responsible"}
    assert update["data"]["road_id"] is None


def test_a_drill_is_marked_everywhere() -> None:
    """Events, orders, views, and the call to a neighbour."""
    here = Station(member("m1"))
    here.fix("m1", "b")
    here.alert(drill=True, needed=2)
    here.desk("cancel")
    topics = {p.topic for p in here.published}
    assert topics == {"incident_events", "dispatches", "incidents", "alerts"}
    for topic in topics:
        assert all(v["drill"] is True for v in values(here.published, topic)), topic
    serious = station()
    serious.alert()
    for topic in ("incident_events", "dispatches", "incidents"):
        assert all("drill" not in v for v in values(serious.published, topic))


# --- mutual aid


def test_a_call_for_aid_is_an_alert_like_any_other() -> None:
    """On `alerts`, keyed by the neighbour, with the origin; the neighbour's order repeats it."""
    here = Station(member("m1", shifts=[]))
    [call] = [p for p in here.alert(skills=["law"], forces=["brigade"]) if p.topic == "alerts"]
    [alert] = values([call], "alerts")
    incident_id = next(iter(here.engine.states()[AREA].incidents))
    assert call.key == b"east"
    assert alert["alert_id"] == f"aid:{incident_id}:1"
    assert (alert["source"], alert["area_id"]) == ("mutual-aid", "east")
    assert alert["origin"] == {"area_id": AREA, "incident_id": incident_id}
    assert (alert["needed"], alert["skills"], alert["priority"]) == (1, ["law"], 2)
    neighbour = Station(member("e1", area_id="east", skills=["law"]))
    neighbour.send("positions", neighbour.fix_value("e1", "b"), **neighbour_key())
    found = neighbour.take(neighbour.raw("alerts", call.value, **neighbour_key()))
    [order] = values(found, "dispatches")
    assert (order["why"]["rule"], order["origin"]) == ("mutual_aid", alert["origin"])
    assert values(found, "alerts") == []


def neighbour_key() -> dict:
    """A record of the area `east`, in the partition that is its own."""
    from xiaohe.wire.murmur2 import partition_of  # noqa: PLC0415 - of this one helper

    return {"key": b"east", "partition": partition_of(b"east", 16)}


# --- area-events, members, dead-letters


def test_area_events_have_every_field() -> None:
    """mode.changed, road.closed, road.opened: numbered by their cause."""
    here = station()
    found: list[Publication] = []
    found += here.desk("set_mode", mode="emergency", reason="flood")
    found += here.desk("close_road", road_id="ab")
    found += here.desk("open_road", road_id="ab")
    events = values(found, "area_events")
    assert [(e["type"], e["data"]) for e in events] == [
        ("mode.changed", {"by": "desk-1", "reason": "flood", "mode": "emergency"}),
        ("road.closed", {"by": "desk-1", "reason": None, "road_id": "ab"}),
        ("road.opened", {"by": "desk-1", "reason": None, "road_id": "ab"}),
    ]
    for event in events:
        assert event.keys() == {"event_id", "area_id", "epoch", "type", "at", "cause", "data"}
        assert event["cause"]["topic"] == "operator-actions"


def test_members_are_shown_with_state_force_road_fix_age_and_trust() -> None:
    """And again when what the record says has changed."""
    here = station()
    shown = {v["member_id"]: v for v in values(here.engine.tick(here.now_ms, 7), "members")}
    assert shown["m1"] | {"at": ""} == {
        "member_id": "m1",
        "area_id": AREA,
        "state": "available",
        "force": "brigade",
        "team": "red",
        "road_id": shown["m1"]["road_id"],
        "position": here.place("b"),
        "fix_age_s": 0.0,
        "trust": "live",
        "device_ids": [],
        "device_ids_until": None,
        "at": "",
        "epoch": 7,
    }
    assert shown["m1"]["road_id"] in {"ab", "bc", "be"}
    assert values(here.engine.tick(here.now_ms, 7), "members") == []


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("accept", "accepted"),
        ("en_route", "en_route"),
        ("arrive", "on_scene"),
        ("decline", "available"),
        ("break", "on_break"),
        ("off_duty", "off_duty"),
    ],
)
def test_a_members_state_follows_what_they_say(action: str, state: str) -> None:
    """Available, ordered, accepted, en_route, on_scene; on a break, off duty, in distress."""
    here = station()
    if action not in {"break", "off_duty"}:
        here.alert()
    here.engine.tick(here.now_ms, 7)
    here.says("m1", action)
    shown = {
        v["member_id"]: v["state"] for v in values(here.engine.tick(here.now_ms, 7), "members")
    }
    assert shown["m1"] == state


def test_a_device_taken_for_the_shift_is_shown_until_it_ends() -> None:
    """In the view of who took it: the gateway sends its positions to them, and to nobody after."""
    here = station()
    here.says("m1", "on_duty", device_ids=["radio-7"])
    shown = {v["member_id"]: v for v in values(here.engine.tick(here.now_ms, 7), "members")}
    assert (shown["m1"]["device_ids"], shown["m2"]["device_ids"]) == (["radio-7"], [])
    here.says("m1", "off_duty")
    (view,) = (v for v in values(here.engine.tick(here.now_ms, 7), "members")
               if v["member_id"] == "m1")  # fmt: skip
    assert (view["device_ids"], view["device_ids_until"]) == ([], None)


def test_a_position_ages_until_it_is_the_post_or_nothing() -> None:
    """`live`, then `post` or `stale`; `none` where nobody ever knew."""
    here = Station(
        member("m1"),
        member("m2", post=maps_place()),
        member("m3", shifts=ALWAYS),
    )
    here.fix("m1", "b")
    here.fix("m2", "b")
    here.now_ms += 121_000
    shown = {
        v["member_id"]: v["trust"] for v in values(here.engine.tick(here.now_ms, 7), "members")
    }
    assert shown == {"m1": "stale", "m2": "post", "m3": "none"}


def maps_place() -> dict[str, float]:
    """Some post."""
    return Station().place("f")


def test_a_member_in_distress_is_shown_so() -> None:
    """And a leap of the tracker is doubted."""
    here = station()
    here.now_ms += 1000
    here.fix("m1", "b", alarm="sos")
    far = here.fix_value("m2", "c") | {"lon": 121.5}
    here.send("positions", far)
    shown = {v["member_id"]: v for v in values(here.engine.tick(here.now_ms, 7), "members")}
    assert shown["m1"]["state"] == "in_distress"
    assert shown["m2"]["trust"] == "doubtful"


def test_a_dead_letter_has_every_field() -> None:
    """Keyed by the topic that it came from; the payload is hashed and not kept."""
    here = station()
    [letter] = here.send("alerts", b"{")
    [value] = values([letter], "dead_letters")
    assert value.keys() == {
        "topic",
        "partition",
        "offset",
        "index",
        "reason",
        "detail",
        "payload_sha256",
        "payload_head",
        "at",
    }
    assert letter.key == b"alerts"
    assert headers(letter)["ce_id"] == f"alerts:{here.partition}:0"
    assert headers(letter)["ce_source"] == f"/xiaohe/{AREA}/dead-letters"
    assert (value["reason"], value["payload_head"], value["index"]) == ("not_json", None, None)
    assert len(value["payload_sha256"]) == 64
