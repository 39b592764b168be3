"""The doors of Open311 GeoReport v2 below ``/v1/open311``: services, requests, and their status."""

from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import parse_qs

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import About, Change
from xiaohe.gateway.alerts.fields import Fields
from xiaohe.gateway.alerts.intake import Intake, Stated, area_of
from xiaohe.gateway.alerts.open311 import (
    Format,
    Service,
    asked_at,
    rendered,
    request_fields,
    request_id,
    service_json,
    status_json,
)
from xiaohe.gateway.door import (
    JSON,
    KIB,
    PROBLEM,
    Answer,
    Body,
    Door,
    Parameter,
    Refusal,
    Reply,
    Visit,
)
from xiaohe.gateway.parts import Parts
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_value

REQUEST_BYTES_MAX: Final = 64 * KIB
"""A request: a description of 4,000 characters, of which a form makes up to 9 bytes each."""

FORM: Final = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX: Final = 50
"""Fields of a form: GeoReport has 14, and attributes."""

REQUESTS_MAX: Final = 50
"""Requests that may be asked about at once, as GeoReport says."""

TYPES: Final[Mapping[str, str]] = {"json": JSON, "xml": "text/xml; charset=utf-8"}

FORMAT: Final = Parameter(
    name="format", where="path", what="json or xml.", required=True,
    schema={"type": "string", "enum": ["json", "xml"]},
)  # fmt: skip
AREA: Final = Parameter(name="jurisdiction_id", where="query", what="The area.")
NOTICE: Final = "For what is urgent call 110."


def doors(intake: Intake, parts: Parts, services: Sequence[Service]) -> tuple[Door, ...]:
    """Give the doors of Open311."""

    async def listed(visit: Visit) -> Reply:
        form = _format(visit)
        return _reply(form, rendered(form, "services", "service", map(service_json, services)))

    async def post(visit: Visit) -> Reply:
        return await _post(intake, services, visit)

    async def status(visit: Visit) -> Reply:
        return await _status(parts, services, visit, [_request_of(visit)])

    async def statuses(visit: Visit) -> Reply:
        asked = (visit.parameter("service_request_id") or "").split(",")
        alert_ids = [each.strip() for each in asked if each.strip()]
        if not 0 < len(alert_ids) <= REQUESTS_MAX:
            what = f"name 1 to {REQUESTS_MAX} requests: service_request_id=…,…"
            raise Refusal(400, "missing_field", what)
        return await _status(parts, services, visit, alert_ids)

    taken = (
        Body(media_type=FORM, bytes_max=REQUEST_BYTES_MAX),
        Body(media_type=JSON, bytes_max=REQUEST_BYTES_MAX),
    )
    created = _answers(201, "Written; the request's id.")
    told = (
        *_answers(200, "How far they are."),
        Answer(status=404, what="No such request, or not seen yet.", media_type=PROBLEM),
    )
    no_format = Answer(status=404, what="Another format than json and xml.", media_type=PROBLEM)
    return (
        Door(
            method="GET", path="/v1/open311/services.{format}", name="open311_services",
            what="What may be asked for.", change=None, handle=listed, parameters=(FORMAT,),
            answers=(*_answers(200, "The services."), no_format), room="alerts",
        ),
        Door(
            method="POST", path="/v1/open311/requests.{format}", name="open311_request",
            what="Ask for something that is not urgent.", change=Change.ALERT_REPORT, handle=post,
            bodies=taken, parameters=(FORMAT, AREA), answers=(*created, no_format), room="alerts",
        ),
        Door(
            method="GET", path="/v1/open311/requests.{format}", name="open311_statuses",
            what="How far several requests are.", change=Change.EVENTS_READ, handle=statuses,
            parameters=(FORMAT, AREA), answers=told, room="alerts",
        ),
        Door(
            method="GET", path="/v1/open311/requests/{request}", name="open311_status",
            what="How far a request is.", change=Change.EVENTS_READ, handle=status,
            parameters=(
                Parameter(name="request", where="path", what="ID.json or ID.xml.", required=True),
                AREA,
            ),
            answers=told, room="alerts",
        ),
    )  # fmt: skip


def _answers(status: int, what: str) -> tuple[Answer, ...]:
    """Give an answer in both formats."""
    return tuple(Answer(status=status, what=what, media_type=kind) for kind in TYPES.values())


def _format(visit: Visit) -> Format:
    form = (
        visit.path_parameters.get("format") or visit.path_parameters["request"].rpartition(".")[2]
    )
    if form not in TYPES:
        raise Refusal(404, "no_such_door", "ask for .json or .xml")
    return cast("Format", form)


def _request_of(visit: Visit) -> str:
    return visit.path_parameters["request"].rpartition(".")[0]


def _reply(form: Format, body: bytes, status: int = 200) -> Reply:
    return Reply(status, body=body, media_type=TYPES[form])


async def _post(intake: Intake, services: Sequence[Service], visit: Visit) -> Reply:
    form = _format(visit)
    stated = _stated(visit)
    fields = request_fields(stated, services)
    assert visit.principal is not None, "the application identifies before it hands over"
    key = visit.header("idempotency-key")
    sender = visit.principal.principal_id
    alert_id = request_id(sender, key, visit.body, visit.received_ms)
    area = {"area_id": _area(visit, stated.get("jurisdiction_id"))}
    fields |= {"alert_id": alert_id, "occurred_at": asked_at(visit.received_ms)} | area
    await intake.one(visit, Stated(fields))
    told: Fields = {"service_request_id": alert_id, "service_notice": NOTICE, "account_id": None}
    return _reply(form, rendered(form, "service_requests", "request", [told]), 201)


def _area(visit: Visit, stated: object = None) -> str:
    """Give the area: GeoReport's ``jurisdiction_id``."""
    return area_of(visit, {"area_id": stated or visit.parameter("jurisdiction_id")})


def _stated(visit: Visit) -> Mapping[str, object]:
    """Read the form, or the JSON object. Raises BadInput."""
    if visit.media_type == FORM:
        try:
            text = visit.body.decode()
            found = parse_qs(text, max_num_fields=FORM_FIELDS_MAX, errors="strict")
        except UnicodeDecodeError:
            raise BadInput(Reason.NOT_UTF8, "the form is not UTF-8") from None
        except ValueError:
            raise BadInput(
                Reason.OVERSIZE, f"the form has more than {FORM_FIELDS_MAX} fields"
            ) from None
        return {name: values[0] for name, values in found.items()}
    found_json = read_value(visit.body, REQUEST_BYTES_MAX)
    if not isinstance(found_json, dict):
        raise BadInput(Reason.WRONG_TYPE, "the body must be a JSON object")
    return found_json


async def _status(
    parts: Parts, services: Sequence[Service], visit: Visit, alert_ids: Sequence[str]
) -> Reply:
    form = _format(visit)
    area_id = _area(visit)
    await visit.permit(About(area_id=area_id))
    views = [(alert_id, parts.incidents.of_alert(area_id, alert_id)) for alert_id in alert_ids]
    told = [status_json(alert_id, view, services) for alert_id, view in views if view is not None]
    if not told:
        raise Refusal(404, "no_such_request", "no such request in this area, or not seen yet")
    return _reply(form, rendered(form, "service_requests", "request", told))
