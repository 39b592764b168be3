"""The JSON Schema of what the doors of alerts take and answer, made from the contract's structs."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from xiaohe.dispatch.inputs import Alert

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Give a struct's schema with nothing referred to elsewhere: it can be put anywhere."""
    (top,), parts = msgspec.json.schema_components([struct], ref_template="{name}")
    made = _inlined(top, parts)
    assert isinstance(made, dict)
    return made


def _inlined(schema: object, parts: Mapping[str, object]) -> object:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"]], parts)
        return {name: _inlined(item, parts) for name, item in schema.items() if name != "title"}
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    return schema


ALERT: Final[Schema] = schema_of(Alert)

ONE_OR_MANY: Final[Schema] = {"oneOf": [ALERT, {"type": "array", "items": ALERT}]}

ACCEPTED: Final[Schema] = {
    "type": "object",
    "required": ["status", "alert_id", "area_id", "topic", "partition", "offset", "received_at"],
    "properties": {
        "status": {"const": 202},
        "alert_id": _TEXT,
        "area_id": _TEXT,
        "topic": _TEXT,
        "partition": {"type": "integer"},
        "offset": {"type": "integer"},
        "received_at": {"type": "string", "format": "date-time"},
        "address_match": {"type": "object"},
    },
}
"""One alert that the broker has acknowledged, and where it lies."""

REFUSED: Final[Schema] = {
    "type": "object",
    "required": ["status", "reason", "detail"],
    "properties": {
        "index": {"type": "integer"},
        "status": {"type": "integer"},
        "alert_id": {"type": ["string", "null"]},
        "reason": _TEXT,
        "detail": _TEXT,
    },
}
"""One alert of a batch of which nothing was written."""

MANY: Final[Schema] = {
    "type": "object",
    "required": ["accepted", "refused", "results"],
    "properties": {
        "accepted": {"type": "integer"},
        "refused": {"type": "integer"},
        "results": {"type": "array", "items": {"oneOf": [ACCEPTED, REFUSED]}},
    },
}

NOTHING_SENT: Final[Schema] = {
    "type": "object",
    "required": ["status", "published", "why"],
    "properties": {
        "status": {"const": 200},
        "published": {"const": False},
        "why": _TEXT,
    },
}
"""What was understood and is no alert: nothing was written."""
