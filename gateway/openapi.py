"""The OpenAPI 3.1 document of the gateway, made from its doors."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from xiaohe.gateway.door import (
    COMMON_STATUSES,
    PROBLEM,
    Answer,
    Body,
    Door,
    Parameter,
)

OPENAPI: Final = "3.1.0"
VERSION: Final = "1.0.0"
OWN_ROOM: Final = "gateway"

Json = dict[str, Any]

PAGE_STATUSES: Final = (400, 500)
"""What the gateway's own pages may answer beside their own. All other doors may refuse alike, also
those that change nothing: a login proves a name, or does not."""

OF_A_BODY: Final = frozenset({408, 411, 413, 415})
"""Statuses that only a door with a body has a reason for."""

REASONS: Final[Mapping[int, str]] = {
    400: "What was sent cannot be taken: `reason` is a code, `detail` says which field.",
    401: "Nobody's name was proved.",
    403: "Whoever it is may not do this.",
    404: "There is no such thing here.",
    408: "The body did not come in time.",
    411: "The length of the body has to be stated.",
    413: "The body is longer than this door takes.",
    415: "The body is of another kind than this door takes.",
    429: "Too much at a time; Retry-After says when to come again.",
    500: "A fault of the gateway.",
    503: "Kafka did not acknowledge, or a part is away: send the same again, with the same ids.",
}

PROBLEM_SCHEMA: Final[Json] = {
    "type": "object",
    "description": "RFC 9457; `reason` is the code that programs act on.",
    "required": ["type", "title", "status", "reason", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "reason": {"type": "string"},
        "detail": {"type": "string"},
    },
}

DELIVERY: Final[Json] = {
    "operationId": "deliver_event",
    "summary": "What a webhook is sent: one CloudEvent, signed as Standard Webhooks has it.",
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": what,
            "schema": {"type": "string"},
        }
        for name, what in (
            ("webhook-id", "The same for every attempt: act once on each."),
            ("webhook-timestamp", "Unix seconds of this attempt."),
            ("webhook-signature", "`v1,` and base64 of HMAC-SHA256 over id.timestamp.body."),
        )
    ],
    "requestBody": {
        "required": True,
        "content": {"application/cloudevents+json": {"schema": {"type": "object"}}},
    },
    "responses": {
        "2XX": {"description": "Taken. All else is tried again, or given up: docs/subscribers.md."}
    },
}

SECURITY_SCHEMES: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, a service's key or a referral's token, in "
        "`Authorization: Bearer …`. A device's signature or a session's cookie may stand in its "
        "place: docs/access.md.",
    }
}


def openapi(doors: Iterable[Door]) -> Json:
    """Make the document of these doors."""
    paths: dict[str, Json] = {}
    for door in doors:
        paths.setdefault(_path(door.path), {})[door.method.lower()] = _operation(door)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Xiaohe gateway",
            "version": VERSION,
            "description": "The doors of the dispatch engine for those who do not speak Kafka. "
            "What goes over Kafka stands in /asyncapi.json.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "webhooks": {"event": {"post": DELIVERY}},
        "components": {
            "schemas": {"Problem": PROBLEM_SCHEMA},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _path(path: str) -> str:
    """Starlette's ``{name:kind}`` as OpenAPI has it."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(door: Door) -> Json:
    operation: Json = {
        "operationId": door.name,
        "summary": door.what,
        "tags": [door.room],
        "responses": _responses(door),
        "security": [] if door.change is None else [{name: []} for name in SECURITY_SCHEMES],
    }
    if door.change is not None:
        operation["x-change"] = door.change.value
    if parameters := _parameters(door):
        operation["parameters"] = parameters
    if door.bodies:
        content = {body.media_type: _content(body) for body in door.bodies}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(door: Door) -> list[Json]:
    """Those that the door names, and those of its path that it does not."""
    named = {(each.where, each.name) for each in door.parameters}
    in_path = [
        Parameter(name=name, where="path", what=f"the {name}")
        for name in re.findall(r"\{(\w+)(?::\w+)?\}", door.path)
        if ("path", name) not in named
    ]
    return [
        {
            "name": each.name,
            "in": each.where,
            "description": each.what,
            "required": each.required or each.where == "path",
            "schema": dict(each.schema),
        }
        for each in (*in_path, *door.parameters)
    ]


def _content(body: Body) -> Json:
    content: Json = {"schema": dict(body.schema) if body.schema is not None else {}}
    if body.example is not None:
        content["example"] = body.example
    return content | {"x-bytes-max": body.bytes_max}


def _responses(door: Door) -> Json:
    """The door's own answers before those that every door may give."""
    found: dict[str, Json] = {}
    for answer in door.answers:
        _add(found, answer)
    is_page = door.change is None and door.room == OWN_ROOM
    for status in PAGE_STATUSES if is_page else COMMON_STATUSES:
        if status not in OF_A_BODY or door.bodies:
            problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            _add(found, None, status, problem)
    return dict(sorted(found.items()))


def _add(
    found: dict[str, Json], answer: Answer | None, status: int = 0, content: Json | None = None
) -> None:
    """Put an answer to the others of its status: one may come in several kinds."""
    if answer is not None:
        status = answer.status
        content = _answer_content(answer)
    what = answer.what if answer is not None else REASONS.get(status, HTTPStatus(status).phrase)
    held = found.setdefault(str(status), {"description": what})
    if content:
        held.setdefault("content", {}).update(content)


def _answer_content(answer: Answer) -> Json:
    if answer.status >= HTTPStatus.BAD_REQUEST and answer.schema is None:
        return {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if answer.status == HTTPStatus.NO_CONTENT or not answer.media_type:
        return {}
    return {answer.media_type: {"schema": dict(answer.schema) if answer.schema else {}}}
