"""CloudEvents 1.0 on Kafka: headers of what goes out, the envelope of what comes in.

After the CloudEvents specification, Kafka protocol binding 1.0.2: in binary mode the attributes
are ``ce_…`` headers and the value is the data; in structured mode the value is the whole event.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import rfc3339
from xiaohe.wire.bad_input import BadInput

SPEC_VERSION = "1.0"
STRUCTURED = b"application/cloudevents"
BATCHED = b"application/cloudevents-batch"
CONTENT_TYPE = "content-type"

Headers = Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None


def headers(ce_id: str, ce_source: str, ce_type: str, time_ms: int) -> list[tuple[str, bytes]]:
    """Make the binary-mode headers of an output record.

    ``ce_source`` + ``ce_id`` is the key to drop duplicates by: the caller gives the same pair when
    a record is sent again.
    """
    return [
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", ce_id.encode()),
        ("ce_source", ce_source.encode()),
        ("ce_type", ce_type.encode()),
        ("ce_time", rfc3339(time_ms).encode()),
        (CONTENT_TYPE, b"application/json"),
    ]


def source_of(area_id: str, topic: str) -> str:
    """Give the ``ce_source`` of what this area writes to this topic."""
    return f"/xiaohe/{area_id}/{topic}"


def type_of(fact: str) -> str:
    """Give the ``ce_type``: ``incident.opened`` is ``xiaohe.incident.opened.v1``."""
    return f"xiaohe.{fact}.v1"


def content_type(record_headers: Headers) -> bytes:
    """Give the record's content type in lower case, empty where none is stated."""
    if record_headers is None:
        return b""
    pairs = record_headers.items() if isinstance(record_headers, Mapping) else record_headers
    for name, value in pairs:
        if name.lower() == CONTENT_TYPE:
            return bytes(value or b"").strip().lower()
    return b""


def may_be_enveloped(value: bytes, record_headers: Headers) -> bool:
    """Tell, without parsing a value, whether it may be or says to be a structured-mode event."""
    return content_type(record_headers).startswith(STRUCTURED) or b'"specversion"' in value


def is_envelope(value: Mapping[str, object]) -> bool:
    """Tell a structured-mode event by its looks, for senders that set no content type."""
    return isinstance(value.get("specversion"), str) and ("data" in value or "data_base64" in value)


def open_envelope(value: Mapping[str, object]) -> object | bytes:
    """Take the data out of a structured-mode event: JSON, or bytes where it was base64.

    The envelope's own attributes are not judged: an alert is not lost for want of a ``ce_id``.
    Raises BadInput (bad_cloudevent) where there is no data.
    """
    if "data" in value:
        return value["data"]
    encoded = value.get("data_base64")
    if not isinstance(encoded, str):
        raise BadInput(Reason.BAD_CLOUDEVENT, "the event has neither data nor data_base64")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(Reason.BAD_CLOUDEVENT, "data_base64 is not base64") from None
