"""``POST /v1/alerts``: alerts as the contract has them, one or many, bare or as CloudEvents.

After the CloudEvents specification, HTTP protocol binding 1.0.2: in binary mode the attributes are
``ce-…`` headers and the body is the data; in structured mode the body is the event, in batched
mode a list of events. The attributes go on as the binary mode's headers of Kafka.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.alerts import schemas
from xiaohe.gateway.alerts.fields import Fields
from xiaohe.gateway.alerts.intake import (
    ALERTS_IN_BATCH_MAX,
    Intake,
    Stated,
    check_count,
    reply_to_many,
)
from xiaohe.gateway.door import JSON, KIB, Answer, Body, Door, Parameter, Reply, Visit
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cloudevents import is_envelope
from xiaohe.wire.codec_common import CONTRACT_LIMITS
from xiaohe.wire.json_object import event_data, read_value

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

ENVELOPE_BYTES: Final = 4 * KIB
"""What an event may have beside its data, of which base64 makes a third more."""

ONE_BYTES_MAX: Final = 2 * CONTRACT_LIMITS.alert_bytes_max + ENVELOPE_BYTES
"""One event with its alert; the alert itself is held to the contract."""

MANY_BYTES_MAX: Final = ALERTS_IN_BATCH_MAX * CONTRACT_LIMITS.alert_bytes_max
"""A whole batch: as many bytes as its alerts may have."""

ATTRIBUTES: Final = ("specversion", "id", "source", "type", "subject", "time")
"""Attributes of an event that are passed on."""

ATTRIBUTE_CHARACTERS_MAX: Final = 512
"""A longer attribute is left out: it would be no name."""

EXAMPLE: Final = {
    "alert_id": "110-20300131-0042",
    "area_id": "xiaohe",
    "source": "police-110",
    "category": "dispute",
    "occurred_at": "2030-01-31T08:00:00+08:00",
    "address": "湖州街168号",
    "priority": 2,
}

ANSWERS: Final = (
    Answer(status=202, what="Acknowledged by the broker, all of it.", schema=schemas.MANY),
    Answer(status=207, what="Part of the batch was taken.", schema=schemas.MANY),
)

AREA: Final = Parameter(
    name="area_id", where="query", what="The area of an alert that does not state its own."
)


def doors(intake: Intake) -> tuple[Door, ...]:
    """Give the door of alerts."""

    async def post(visit: Visit) -> Reply:
        return await _post(intake, visit)

    return (
        Door(
            method="POST",
            path="/v1/alerts",
            name="alerts",
            what="Something happened somewhere: one alert, or up to a hundred.",
            change=Change.ALERT_REPORT,
            handle=post,
            bodies=(
                Body(
                    media_type=JSON,
                    bytes_max=MANY_BYTES_MAX,
                    schema=schemas.ONE_OR_MANY,
                    example=EXAMPLE,
                ),
                Body(media_type=STRUCTURED, bytes_max=ONE_BYTES_MAX),
                Body(media_type=BATCHED, bytes_max=MANY_BYTES_MAX),
            ),
            parameters=(AREA,),
            answers=ANSWERS,
            room="alerts",
        ),
    )


async def _post(intake: Intake, visit: Visit) -> Reply:
    found = read_value(visit.body, MANY_BYTES_MAX)
    if visit.media_type == STRUCTURED:
        return await _one(intake, visit, _of_event(_object(found)))
    if visit.media_type == BATCHED and not isinstance(found, list):
        raise BadInput(Reason.WRONG_TYPE, "a batch must be a JSON list")
    if isinstance(found, list):
        check_count(len(found))
        return reply_to_many(await intake.many(visit, [_of_many(each) for each in found]))
    stated = _bare(_object(found))
    attributes = {name: unquote(visit.header(f"ce-{name}") or "") for name in ATTRIBUTES}
    headers = headers_of(attributes) or stated.headers
    return await _one(intake, visit, replace(stated, headers=headers))


async def _one(intake: Intake, visit: Visit, stated: Stated) -> Reply:
    accepted = await intake.one(visit, stated)
    return Reply(202, accepted.as_json())


def headers_of(attributes: Mapping[str, object]) -> tuple[tuple[str, bytes], ...]:
    """Give the record headers of an event's attributes; none where it is no event."""
    stated = {
        name: text
        for name in ATTRIBUTES
        if isinstance(text := attributes.get(name), str)
        and 0 < len(text) <= ATTRIBUTE_CHARACTERS_MAX
    }
    if "specversion" not in stated:
        return ()
    return (
        *((f"ce_{name}", text.encode(errors="replace")) for name, text in stated.items()),
        ("content-type", JSON.encode()),
    )


def _object(found: object) -> Fields:
    if not isinstance(found, dict):
        raise BadInput(Reason.WRONG_TYPE, "the body must be a JSON object")
    return found


def _bare(found: Fields) -> Stated:
    """Take an alert, or the one in an event that does not call itself one."""
    return _of_event(found) if is_envelope(found) else Stated(found)


def _of_event(event: Fields) -> Stated:
    """Take the alert out of an event. Raises BadInput (bad_cloudevent)."""
    return Stated(event_data(event), headers_of(event))


def _of_many(found: object) -> Stated:
    try:
        return _bare(_object(found))
    except BadInput as bad:
        return Stated({}, fault=bad)
