"""Alerts over HTTP: one, many, bare and as CloudEvents of the official SDK."""

from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.gateway.alerts.bench import desk
from xiaohe.gateway.alerts.http import BATCHED, MANY_BYTES_MAX, STRUCTURED
from xiaohe.gateway.alerts.intake import ALERTS_IN_BATCH_MAX
from xiaohe.wire.codec import decode_alert

ALERT: dict[str, Any] = {
    "alert_id": "a-1",
    "area_id": "xiaohe",
    "source": "police-110",
    "category": "dispute",
    "occurred_at": "2030-01-31T08:00:00+08:00",
    "position": {"lon": 120.1319, "lat": 30.3112},
}


async def test_an_alert_is_answered_with_where_it_lies() -> None:
    """202 tells topic, partition, offset and receipt, and the worker can read what was written."""
    async with desk() as at:
        answer = await at.post("/v1/alerts", ALERT | {"their_field": {"kept": [1, 2]}})
        told = answer.json()
        (record,) = at.shelf.records
    assert answer.status_code == 202
    assert (told["topic"], told["offset"]) == ("alerts", 0)
    assert told["received_at"].endswith("Z")
    assert decode_alert(record.key.encode(), record.value).alert_id == "a-1"
    assert orjson.loads(record.value)["their_field"] == {"kept": [1, 2]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe{}", "not_utf8"),
        (b"[" * 200_000, "too_deep"),
        (b'{"a":' * 10_000, "too_deep"),
        (b"7", "wrong_type"),
        (b"[]", "empty_batch"),
        (orjson.dumps([ALERT] * (ALERTS_IN_BATCH_MAX + 1)), "batch_too_long"),
        (orjson.dumps(ALERT | {"text": "x" * 4_001}), "oversize"),
        (orjson.dumps(ALERT | {"more": "x" * 17_000}), "oversize"),
        (orjson.dumps(ALERT | {"area_id": "nowhere"}), "unknown_area"),
        (orjson.dumps(ALERT | {"area_id": "no where"}), "bad_identifier"),
        (orjson.dumps(ALERT | {"area_id": 7}), "wrong_type"),
        (orjson.dumps(ALERT | {"area_id": None}), "missing_field"),
        (orjson.dumps(ALERT | {"alert_id": "not an id"}), "bad_identifier"),
        (orjson.dumps(ALERT | {"priority": 9}), "out_of_range"),
        (orjson.dumps(ALERT | {"position": None}), "no_place"),
        (b'{"n":' + b"9" * 30 + b"," + orjson.dumps(ALERT)[1:], "out_of_range"),
    ],
)
async def test_a_bad_alert_is_refused_by_its_code_and_nothing_is_written(
    body: bytes, reason: str
) -> None:
    """What would have become a dead letter is a 400 of the same code instead."""
    async with desk() as at:
        answer = await at.post("/v1/alerts", body)
        assert (answer.status_code, answer.json()["reason"]) == (400, reason)
        assert not at.shelf.records


async def test_each_alert_of_a_batch_has_its_own_outcome() -> None:
    """Bad ones in a batch are told by their place; the good ones are written."""
    batch = [ALERT, ALERT | {"alert_id": "a-2", "priority": 0}, "no alert", ALERT]
    async with desk() as at:
        answer = await at.post("/v1/alerts", batch)
        told = answer.json()
        written = at.shelf.values()
    assert answer.status_code == 207
    assert (told["accepted"], told["refused"]) == (2, 2)
    assert [result["status"] for result in told["results"]] == [202, 400, 400, 202]
    assert told["results"][1]["alert_id"] == "a-2"
    assert [value["alert_id"] for value in written] == ["a-1", "a-1"]


async def test_a_batch_that_is_all_in_order_is_simply_accepted() -> None:
    """A hundred alerts at once are acknowledged together, and answered in their order."""
    batch = [ALERT | {"alert_id": f"a-{n}"} for n in range(ALERTS_IN_BATCH_MAX)]
    async with desk() as at:
        answer = await at.post("/v1/alerts", batch)
    assert answer.status_code == 202
    assert [result["offset"] for result in answer.json()["results"]] == list(range(100))


async def test_what_was_not_acknowledged_is_never_called_taken() -> None:
    """503 asks for the same again: one alert by a problem, a batch by each one's status."""
    async with desk() as at:
        at.shelf.fails = True
        one = await at.post("/v1/alerts", ALERT)
        many = await at.post("/v1/alerts", [ALERT])
    assert (one.status_code, one.json()["reason"]) == (503, "not_published")
    assert many.json()["results"][0]["status"] == 503


async def test_who_may_not_report_writes_nothing() -> None:
    """A refused permit is a 403, and in a batch each alert's own."""
    denied = {"authorization": "Bearer denied"}
    async with desk() as at:
        one = await at.post("/v1/alerts", ALERT, **denied)
        many = await at.post("/v1/alerts", [ALERT], **denied)
        assert not at.shelf.records
    assert one.status_code == 403
    assert many.json()["results"][0]["reason"] == "forbidden"


async def test_the_permit_is_about_the_area_and_whoever_is_said_to_be_there() -> None:
    """An alert that would open on scene with a member asks for that member's name as well."""
    async with desk() as at:
        await at.post("/v1/alerts", ALERT | {"reported_by": "m-1"})
        about = at.shelf.permits[0].about
    assert (about.area_id, about.member_id) == ("xiaohe", "m-1")


async def test_an_area_may_be_said_by_the_query() -> None:
    """A system that knows no areas is given one by its address."""
    async with desk() as at:
        answer = await at.post("/v1/alerts?area_id=xiaohe", ALERT | {"area_id": None})
        assert (answer.status_code, at.shelf.values()[0]["area_id"]) == (202, "xiaohe")


async def test_a_number_that_is_none_is_null_where_nobody_reads_it() -> None:
    """NaN in an unknown field does not make an alert unreadable for strict readers."""
    body = orjson.dumps(ALERT)[:-1] + b',"their_number":NaN}'
    async with desk() as at:
        answer = await at.post("/v1/alerts", body)
        assert answer.status_code == 202
        assert at.shelf.values()[0]["their_number"] is None


def event(data: object, media_type: str = "application/json") -> CloudEvent:
    """An event as the SDK's users make it."""
    attributes = {
        "id": "e-1", "source": "/calls/110", "type": "call.opened", "specversion": "1.0",
        "datacontenttype": media_type,
    }  # fmt: skip
    return CloudEvent(attributes=attributes, data=data)


@pytest.mark.parametrize("made", [to_binary_event, to_structured_event])
async def test_the_official_sdk_is_understood_in_both_modes(made) -> None:
    """Its messages give the bare alert, with their attributes in Kafka's binary mode."""
    message = made(event(ALERT))
    async with desk() as at:
        headers = {name.lower(): value for name, value in message.headers.items()}
        answer = await at.post("/v1/alerts", message.body, headers.pop("content-type"), **headers)
        assert answer.status_code == 202, answer.text
        (record,) = at.shelf.records
    assert orjson.loads(record.value) == ALERT
    attributes = dict(record.headers)
    assert attributes["ce_id"] == b"e-1"
    assert attributes["ce_source"] == b"/calls/110"
    assert attributes["content-type"] == b"application/json"


async def test_a_batch_of_events_is_a_batch_of_alerts() -> None:
    """Batched mode takes what is in order and says what is not."""
    good = orjson.loads(to_structured_event(event(ALERT)).body)
    async with desk() as at:
        answer = await at.post("/v1/alerts", [good, {"specversion": "1.0"}, 3], BATCHED)
        none = await at.post("/v1/alerts", good, BATCHED)
    assert [result["status"] for result in answer.json()["results"]] == [202, 400, 400]
    assert none.json()["reason"] == "wrong_type"


async def test_an_event_without_data_is_named_so() -> None:
    """A structured event has to hold a JSON object."""
    async with desk() as at:
        answer = await at.post("/v1/alerts", {"specversion": "1.0", "id": "e"}, STRUCTURED)
    assert answer.json()["reason"] == "bad_cloudevent"


async def test_a_body_of_ten_mebibytes_is_not_read() -> None:
    """The limit is looked at before and while the body comes."""
    async with desk() as at:
        answer = await at.post("/v1/alerts", b"[" + b" " * 10 * 1024 * 1024 + b"]")
    assert MANY_BYTES_MAX < 10 * 1024 * 1024
    assert (answer.status_code, answer.json()["reason"]) == (413, "oversize")
