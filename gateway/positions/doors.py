"""The doors that devices send to, each answering as its clients expect.

For those that keep what was not delivered and send it again, any status but 2xx means «again»:
what can never be taken is answered 200, with its reason in the head, or the newer positions behind
it would never come. What is not acknowledged by the broker is answered 503, and comes again.
"""

from collections.abc import Callable, Sequence
from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.door import JSON, Answer, Body, Door, Parameter, Refusal, Reply, Visit
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions import osmand, owntracks, plain, tile38, traccar_forward
from xiaohe.gateway.positions.examples import (
    BATCH_SCHEMA,
    OSMAND_JSON,
    OUTCOME,
    OWNTRACKS,
    POSITION,
    POSITION_SCHEMA,
    TILE38,
    TRACCAR,
)
from xiaohe.gateway.positions.raw_fix import Read
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.taking import Outcome, Taking, receipt_of_visit
from xiaohe.wire.bad_input import BadInput

Decode = Callable[[bytes, Receipt], Sequence[Read]]
"""Reads one message. Raises BadInput."""

FORM: Final = "application/x-www-form-urlencoded"

REFUSED: Final = "x-xiaohe-refused"
"""The head of an answer that has no room for a reason elsewhere."""

REPORT_LOCATION: Final = {"_type": "cmd", "action": "reportLocation"}
"""What asks an OwnTracks phone for a fix now."""

NEVER: Final = frozenset({Reason.BAD_TIME, Reason.OUT_OF_RANGE, Reason.NOT_FINITE})
"""What no second sending mends, of a fix that is otherwise in order."""

UNKNOWN: Final = frozenset({Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_MEMBER})

SETTINGS: Final = (
    Parameter(
        name="datum", where="query", what="The datum of the positions, where it is not WGS-84.",
        schema={"type": "string", "enum": ["wgs84", "gcj02", "bd09"]},
    ),
    Parameter(
        name="timezone", where="query",
        what="The time zone of times that name none, as Asia/Shanghai; UTC unless it is said.",
    ),
)  # fmt: skip


def doors(parts: Parts) -> tuple[Door, ...]:
    """Give the doors of positions."""
    taking = Taking(parts)
    return (
        *_osmand_doors(taking),
        _owntracks_door(taking, parts),
        _machine_door(taking, "traccar", "A position or event that a Traccar server forwards.",
                      traccar_forward.decode, traccar_forward.BYTES_MAX, TRACCAR),
        _machine_door(taking, "tile38", "What a Tile38 server's hook tells of an object.",
                      tile38.decode, tile38.BYTES_MAX, TILE38),
        _positions_door(taking),
    )  # fmt: skip


def _osmand_doors(taking: Taking) -> tuple[Door, Door]:
    async def query(visit: Visit) -> Reply:
        return await answer(visit, visit.query.encode(), osmand.decode_query, 400)

    async def posted(visit: Visit) -> Reply:
        if visit.media_type == JSON:
            return await answer(visit, visit.body, osmand.decode_json, 404)
        return await answer(visit, visit.body or visit.query.encode(), osmand.decode_query, 400)

    async def answer(visit: Visit, value: bytes, decode: Decode, unknown_status: int) -> Reply:
        try:
            read = decode(value, receipt_of_visit(visit))
        except BadInput as bad:
            if bad.reason not in NEVER:
                raise
            read = [bad]
        outcome = await taking.take(visit, "osmand", read)
        if any(each.reason in UNKNOWN for each in outcome.refused):
            raise Refusal(unknown_status, Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_DEVICE.sentence)
        return Reply(headers=_refused(outcome))

    answers = (
        Answer(status=200, what="Taken; the body is empty.", media_type="text/plain"),
        Answer(status=404, what="Of a JSON body: no member has this device (else 400)."),
    )
    return (
        Door(
            method="GET", path="/osmand", name="osmand",
            what="A position of OsmAnd or Traccar Client, in the query.",
            change=Change.POSITION_REPORT, handle=query, answers=answers[:1],
            parameters=(
                Parameter(name="id", where="query", what="The device.", required=True),
                Parameter(name="lat", where="query", what="Latitude in decimal degrees."),
                Parameter(name="lon", where="query", what="Longitude in decimal degrees."),
                Parameter(name="timestamp", where="query", what="Seconds, ms, or a text."),
                *SETTINGS,
            ),
        ),
        Door(
            method="POST", path="/osmand", name="osmand_post",
            what="A position of OsmAnd or Traccar Client: a form, JSON, or the query alone.",
            change=Change.POSITION_REPORT, handle=posted, answers=answers, parameters=SETTINGS,
            bodies=(
                Body(media_type=JSON, bytes_max=osmand.JSON_BYTES_MAX,
                     schema={"type": "object"}, example=OSMAND_JSON),
                Body(media_type=FORM, bytes_max=osmand.QUERY_BYTES_MAX),
                Body(media_type="*/*", bytes_max=osmand.QUERY_BYTES_MAX),
            ),
        ),
    )  # fmt: skip


def _owntracks_door(taking: Taking, parts: Parts) -> Door:
    async def posted(visit: Visit) -> Reply:
        receipt = receipt_of_visit(visit)
        try:
            read = owntracks.decode(visit.body, receipt, _topic_of(visit))
        except BadInput as bad:
            read = [bad]
        outcome = await taking.take(visit, "owntracks", read)
        devices = {each.device_id for each in read if not isinstance(each, BadInput)}
        asked = [
            device for device in devices if device and parts.asking.take(device, visit.received_ms)
        ]
        return Reply(value=[REPORT_LOCATION] if asked else [], headers=_refused(outcome))

    return Door(
        method="POST", path="/owntracks", name="owntracks",
        what="Messages of an OwnTracks phone. While an incident is new, the answer asks it where "
        "it is.",
        change=Change.POSITION_REPORT, handle=posted,
        parameters=(
            Parameter(name="x-limit-u", where="header", what="The user, where no topic says."),
            Parameter(name="x-limit-d", where="header", what="The device, where no topic says."),
            *SETTINGS,
        ),
        bodies=(
            Body(media_type=JSON, bytes_max=owntracks.BYTES_MAX, example=OWNTRACKS),
            Body(media_type="*/*", bytes_max=owntracks.BYTES_MAX),
        ),
        answers=(
            Answer(status=200, what="Delivered, and what the phone is to do.",
                   schema={"type": "array", "items": {"type": "object"}}),
        ),
    )  # fmt: skip


def _topic_of(visit: Visit) -> str | None:
    """The app says in the head who it is, as well as in its locations."""
    user, device = visit.header("x-limit-u"), visit.header("x-limit-d")
    return f"owntracks/{user}/{device}" if user and device else None


def _machine_door(
    taking: Taking, name: str, what: str, decode: Decode, bytes_max: int, example: object
) -> Door:
    """Make the door of a server that forwards, and tries again whatever it is refused."""

    async def posted(visit: Visit) -> Reply:
        receipt = receipt_of_visit(visit)
        try:
            read = decode(visit.body, receipt)
        except BadInput as bad:
            read = [bad]
        outcome = await taking.take(visit, name, read)
        return Reply(value=outcome.as_json(), headers=_refused(outcome))

    return Door(
        method="POST", path=f"/{name}", name=name, what=what, change=Change.POSITION_REPORT,
        handle=posted, parameters=SETTINGS,
        bodies=(
            Body(media_type=JSON, bytes_max=bytes_max, schema={"type": "object"}, example=example),
            Body(media_type="*/*", bytes_max=bytes_max),
        ),
        answers=(
            Answer(status=200, what="Taken, or refused for good: the same is not wanted again.",
                   schema=OUTCOME),
        ),
    )  # fmt: skip


def _positions_door(taking: Taking) -> Door:
    async def posted(visit: Visit) -> Reply:
        read = plain.decode(visit.body, receipt_of_visit(visit))
        outcome = await taking.take(visit, "positions", read, plain.area_of(visit.body))
        if len(read) == 1 and outcome.refused:
            first = outcome.refused[0]
            raise Refusal(404 if first.reason in UNKNOWN else 400, first.reason, first.detail)
        return Reply(value=outcome.as_json())

    return Door(
        method="POST", path="/v1/positions", name="positions",
        what="Positions as docs/messages.md has them: one, or a batch of one area.",
        change=Change.POSITION_REPORT, handle=posted,
        bodies=(
            Body(media_type=JSON, bytes_max=plain.BYTES_MAX, example=POSITION,
                 schema={"oneOf": [POSITION_SCHEMA, BATCH_SCHEMA]}),
        ),
        answers=(
            Answer(status=200, what="What was taken, and what of a batch was not.",
                   schema=OUTCOME),
            Answer(status=404, what="The only position is of nobody who is known."),
        ),
    )  # fmt: skip


def _refused(outcome: Outcome) -> dict[str, str]:
    """Say in the head why something was not taken; codes only."""
    reasons = dict.fromkeys(each.reason.value for each in outcome.refused)
    return {REFUSED: ", ".join(reasons)} if reasons else {}
