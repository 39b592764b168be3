"""What cannot be taken: one dead letter each with a reason code, and everything else goes on."""

import json
import random
from typing import Any

import pytest

from tests.kafka.city import City
from tests.kafka.outside import Client, Value, now
from tests.kafka.test_outside_client import at

pytestmark = pytest.mark.kafka

GOOD: Value = {
    "alert_id": "good",
    "source": "police-110",
    "category": "dispute",
    "occurred_at": "2026-11-23T09:00:00Z",
    "position": {"lon": 120.13, "lat": 30.31},
}
FIX: Value = {"member_id": "m", "lon": 120.13, "lat": 30.31, "fix_time": "2026-11-23T09:00:00Z"}
WORD: Value = {"action_id": "x", "member_id": "m", "at": "2026-11-23T09:00:00Z"}


def but(base: Value, **changed: object) -> Value:
    """The same with something changed; what becomes None is left out."""
    both = {**base, **changed}
    return {name: value for name, value in both.items() if value is not None}


def with_nan(base: Value) -> bytes:
    """A number that JSON does not have, as Python's own writer writes it."""
    return json.dumps({**base, "confidence": float("nan"), "accuracy_m": float("nan")}).encode()


BAD: list[tuple[str, Any, str]] = [
    ("alerts", b"{not json", "not_json"),
    ("alerts", b"", "not_json"),
    ("alerts", None, "null_value"),
    ("alerts", b'\xff\xfe{"alert_id"', "not_utf8"),
    ("alerts", b"[1, 2]", "wrong_type"),
    ("alerts", but(GOOD, alert_id=None), "missing_field"),
    ("alerts", but(GOOD, category=None), "missing_field"),
    ("alerts", but(GOOD, position=None), "no_place"),
    ("alerts", but(GOOD, alert_id=7), "wrong_type"),
    ("alerts", but(GOOD, alert_id="no spaces"), "bad_identifier"),
    ("alerts", but(GOOD, priority="high"), "wrong_type"),
    ("alerts", but(GOOD, priority=5), "out_of_range"),
    ("alerts", but(GOOD, position={"lon": 200, "lat": 0}), "out_of_range"),
    ("alerts", but(GOOD, position="somewhere"), "wrong_type"),
    ("alerts", with_nan(GOOD), "not_finite"),
    ("alerts", but(GOOD, text="x" * 4001), "oversize"),
    ("alerts", but(GOOD, evidence=["x" * 3000] * 6), "oversize"),
    ("alerts", but(GOOD, area_id="another"), "key_mismatch"),
    ("alerts", {"specversion": "1.0", "id": "1", "data": but(GOOD, source=None)}, "missing_field"),
    ("positions", b"{", "not_json"),
    ("positions", with_nan(FIX), "not_finite"),
    ("positions", but(FIX, lat=91), "out_of_range"),
    ("positions", but(FIX, fix_time="noon"), "bad_time"),
    ("positions", but(FIX, member_id=None), "missing_field"),
    ("positions", FIX, "unknown_member"),
    ("positions", but(FIX, member_id=None, device_id="nobody-has-it"), "unknown_device"),
    ("member-actions", but(WORD, action="accept", dispatch_id="d"), "unknown_member"),
    ("member-actions", but(WORD, action="accept"), "action_needs_field"),
    ("member-actions", but(WORD, member_id=None, action="accept"), "missing_field"),
    ("operator-actions", {"action_id": "x"}, "missing_field"),
    (
        "operator-actions",
        {"action_id": "y", "operator_id": "d", "at": "z", "action": "cancel"},
        "action_needs_field",
    ),
]
"""Topic, value, reason."""


async def test_each_bad_record_is_one_dead_letter(
    client: Client, own_city: City, subtests: pytest.Subtests
):
    """All of them in a row, with a good alert behind: each has its letter, the alert its order."""
    area = client.name("area")
    scene, (near,) = own_city.around(random.Random(1), [30])
    await client.member(area, post=at(near))
    sent = [(await client.send(topic, area, value), why) for topic, value, why in BAD]
    no_key = await client.send("alerts", None, GOOD, partition=0)
    no_area = await client.send("alerts", client.name("unheard-of"), GOOD)
    sent += [(no_key, "null_key"), (no_area, "unknown_area")]

    alert_id = await client.alert(area, position=at(scene))

    order = await client.order(alert_id)
    assert order["area_id"] == area
    for record, reason in sent:
        with subtests.test(topic=record.topic, offset=record.offset, expected=reason):
            letter = await client.letter(record)
            assert letter["reason"] == reason
            assert letter["detail"]
            assert letter["payload_head"] is None
    await client.answer(order, "complete")
    await client.ended(order)
    assert [len(client.letters(record)) for record, _ in sent] == [1] * len(sent)
    assert client.of("incident-events", area_id=area, type="incident.opened")[1:] == []


async def test_a_bad_position_leaves_the_rest_of_its_batch(client: Client, own_city: City):
    """A bad object in a batch is a dead letter of its own; the rest counts."""
    area = client.name("area")
    scene, (near,) = own_city.around(random.Random(2), [30])
    member_id = await client.member(area)
    good = {"member_id": member_id, "lon": near.lon, "lat": near.lat, "fix_time": now()}
    batch = [{"member_id": member_id}, good, {**good, "lat": "north"}]

    sent = await client.send("positions", area, {"area_id": area, "batch": batch})

    order = await client.placed([member_id])
    order = await client.order(await client.alert(area, position=at(scene)))
    assert order["member_id"] == member_id
    letters = client.letters(sent)
    assert [(letter["index"], letter["reason"]) for letter in letters] == [
        (0, "missing_field"),
        (2, "wrong_type"),
    ]


async def test_a_device_that_nobody_has_is_told_once_an_hour(client: Client):
    """Its second position says nothing new."""
    area = client.name("area")
    await client.member(area)
    device = {"device_id": client.name("d"), "lon": 120.13, "lat": 30.31, "fix_time": now()}
    first = await client.send("positions", area, device)
    second = await client.send("positions", area, device)
    bad = await client.send("positions", area, b"{")
    assert (await client.letter(first))["reason"] == "unknown_device"
    await client.letter(bad)
    assert client.letters(second) == []


async def test_words_on_orders_that_are_not_theirs(client: Client, own_city: City):
    """An answer to no order, to somebody else's, or to an ended one is refused, and told why."""
    area = client.name("area")
    scene, spots = own_city.around(random.Random(3), [30, 60])
    members = [await client.member(area, post=at(spot)) for spot in spots]
    order = await client.order(await client.alert(area, position=at(scene)))

    none = await client.answer({**order, "dispatch_id": "no-such-order"}, "accept")
    theirs = await client.answer({**order, "member_id": members[1]}, "accept")
    nonsense = await client.answer(order, "levitate")
    nameless = {"action_id": client.name("x"), "member_id": members[0], "at": now()}
    without = await client.send("member-actions", area, {**nameless, "action": "accept"})
    await client.answer(order, "decline")
    again = await client.answer(order, "decline")
    ended = await client.answer(order, "arrive")

    reasons = [
        (await client.letter(sent))["reason"] for sent in (none, theirs, nonsense, without, ended)
    ]
    assert reasons == [
        "unknown_order",
        "not_yours",
        "unknown_action",
        "action_needs_field",
        "order_ended",
    ]
    assert client.letters(again) == []  # it says what is known
    assert (await client.ended(order))["end"] == "declined"


async def test_a_desks_words_that_cannot_be_carried_out(client: Client, own_city: City):
    """An unknown incident, a member of another area, an unknown road: refused, and told why."""
    area = client.name("area")
    scene, (near,) = own_city.around(random.Random(4), [30])
    await client.member(area, post=at(near))
    order = await client.order(await client.alert(area, position=at(scene)))
    incident_id = order["incident_id"]

    nowhere = await client.operate(area, "cancel", incident_id="inc-none")
    nobody = await client.operate(area, "dispatch", incident_id=incident_id, member_id="m-none")
    no_road = await client.operate(area, "close_road", road_id="no such road")
    reopened = await client.operate(area, "reopen", incident_id=incident_id)

    reasons = [
        (await client.letter(sent))["reason"] for sent in (nowhere, nobody, no_road, reopened)
    ]
    assert reasons == ["unknown_incident", "unknown_member", "unknown_road", "not_possible"]


async def test_a_bad_roster_entry_is_one_dead_letter(client: Client, own_city: City):
    """What the roster cannot mean is told, and the entry before it still counts."""
    area = client.name("area")
    scene, (near,) = own_city.around(random.Random(5), [30])
    member_id = await client.member(area, post=at(near))
    entry = {"member_id": member_id, "area_id": area, "name": "Invented", "team": "none"}
    bad_shift = {"days": ["mon"], "start": "25:00", "end": "26:00", "timezone": "UTC"}
    shifts = await client.send("roster", member_id, {**entry, "shifts": [bad_shift]})
    other = await client.send("roster", member_id, {**entry, "member_id": "somebody-else"})
    order = await client.order(await client.alert(area, position=at(scene)))
    assert order["member_id"] == member_id
    assert (await client.letter(shifts))["reason"] == "bad_shift"
    assert (await client.letter(other))["reason"] == "key_mismatch"
