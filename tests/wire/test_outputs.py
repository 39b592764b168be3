"""The types of what goes out, held to what an engine really publishes."""

from functools import cache
from typing import Any

import msgspec
import orjson
import pytest

from tests.streams.station import ALWAYS, Station, member
from xiaohe.streams.ports import Publication
from xiaohe.wire import messages as m
from xiaohe.wire.messages import MESSAGES, Message


@cache
def played() -> tuple[Publication, ...]:
    """A long afternoon of an engine: whatever can happen to an incident does."""
    station = Station(member("m1", roads=[{"road_id": "ab", "role": "owner"}]), member("m2"))
    for who, at in (("m1", "b"), ("m2", "f")):
        station.fix(who, at)
    station.alert("a1", priority=1)
    station.alert("a1", priority=2)
    station.says("m1", "decline", reason="unwell")
    station.run_to(400)
    station.hire(member("m3", shifts=ALWAYS, post=station.place("a")), notice=True)
    station.run_to(420)
    station.says("m3", "accept")
    station.says("m3", "en_route")
    station.says("m3", "request_backup", reason="two of them")
    station.says("m3", "arrive")
    station.desk("acknowledge")
    station.desk("update", fields={"category": "injury"}, reason="caller rang again")
    station.desk("refer", reason="clinic")
    station.says("m3", "complete", outcome="settled")
    station.desk("return_visit")
    station.desk("close")
    station.desk("reopen")
    station.says("m3", "accept")
    station.alert("a2", at="f", category="fire", drill=True)
    first, second = sorted(station.engine.states()["town"].incidents)[:2]
    station.desk("merge", incident_id=second, into=first)
    station.desk("unmerge", incident_id=second)
    station.desk("cancel", incident_id=second)
    station.alert("aid:far:1", at="c", origin={"area_id": "east", "incident_id": "far"})
    station.run_to(900)
    for who, at in (("m1", "a"), ("m2", "c")):
        station.fix(who, at)
    station.alert("a3", at="f", priority=1, category="theft")
    for who in ("m1", "m2", "m3"):
        station.says(who, "accept")
    station.run_to(1_000)
    for who in ("m1", "m2", "m3"):
        station.says(who, "arrive")
    station.desk("set_mode", mode="emergency")
    station.desk("close_road", road_id="ab")
    station.desk("open_road", road_id="ab")
    station.send("alerts", b"no json")
    station.run_to(1_500)
    ticked = station.engine.tick(station.now_ms + 40_000, epoch=7)
    return (*station.published, *ticked)


def records(topic: str) -> list[Any]:
    """What was published on a topic, without tombstones."""
    return [orjson.loads(p.value) for p in played() if p.topic == topic and p.value is not None]


def message_of(topic: str, value: Any) -> Message:
    """The message that a record is."""
    found = [x for x in MESSAGES if x.topic == topic and m.is_one(x, value)]
    assert len(found) == 1, (topic, value.get("type"))
    return found[0]


@pytest.mark.parametrize(
    "topic",
    ["incident_events", "dispatches", "incidents", "members", "area_events", "dead_letters"],
)
def test_a_record_is_what_its_type_says_field_for_field(topic: str) -> None:
    """Read as its type and written again it is the same: no field lost, none of another kind."""
    written = records(topic)
    assert written
    for value in written:
        found = msgspec.convert(value, message_of(topic, value).struct)
        assert orjson.loads(msgspec.json.encode(found)) == value


def test_nearly_every_event_was_seen() -> None:
    """The afternoon is long enough to hold the types to: what is missing here is named."""
    seen = {
        value["type"] for topic in ("incident_events", "area_events") for value in records(topic)
    }
    told = {x.tag for x in MESSAGES if x.topic in ("incident_events", "area_events")}
    assert seen <= told
    assert told - seen == set()


def test_an_order_to_a_neighbour_is_an_alert() -> None:
    """What the engine writes to ``alerts`` is read by the type of alerts."""
    asked = records("alerts")
    for value in asked:
        msgspec.convert(value, message_of("alerts", value).struct)
    assert asked
