"""Bytes of a record to one plain JSON object, or BadInput: nothing else can come out.

Strict where the contract is, forgiving where a person may be in need: NaN, infinities and lone
surrogates, which JSON writers of several languages let through, do not make a value unreadable.
A lone surrogate becomes U+FFFD; a number that is not finite is refused only where a known field
holds it. Of a key that occurs twice the last one counts, as in most JSON readers.
"""

import json
import re

import msgspec

from xiaohe.dispatch.reasons import Reason
from xiaohe.wire import cloudevents
from xiaohe.wire.bad_input import BadInput

NESTING_MAX = 32
"""Levels of objects and lists in a value: the contract's deepest message has 4."""

INTEGER_DIGITS_MAX = 4_000
"""A longer integer is read as a float: Python refuses to convert more than 4,300 digits. Shorter
ones stay what they are for the strict reader too, so that both refuse them with one reason."""

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_object(
    value: bytes | None, bytes_max: int, headers: cloudevents.Headers = None
) -> dict[str, object]:
    """Read a record's value, in or out of a CloudEvents envelope.

    Nulls and empty texts inside it are kept. Raises BadInput: null_value, oversize (before
    anything is parsed), not_utf8, not_json, wrong_type, too_deep, bad_cloudevent.
    """
    check_size(value, bytes_max)
    assert value is not None, "check_size has refused a null value"
    kind = cloudevents.content_type(headers)
    if kind.startswith(cloudevents.BATCHED):
        raise BadInput(Reason.BAD_CLOUDEVENT, "a record is one event: Kafka has no batch mode")
    found = _as_object(_parse(value))
    if kind.startswith(cloudevents.STRUCTURED) or cloudevents.is_envelope(found):
        found = event_data(found)
    return found


def read_value(value: bytes | None, bytes_max: int) -> object:
    """Read any JSON value, in no envelope; raises BadInput as ``read_object`` does."""
    check_size(value, bytes_max)
    assert value is not None, "check_size has refused a null value"
    return _parse(value)


def check_size(value: bytes | None, bytes_max: int) -> None:
    """Refuse a null value and one that is too long, without looking into it."""
    if value is None:
        raise BadInput(Reason.NULL_VALUE, "a null value means nothing here: send one JSON object")
    if len(value) > bytes_max:
        raise BadInput(
            Reason.OVERSIZE, f"the value has {len(value)} bytes; at most {bytes_max} are read"
        )


def event_data(envelope: dict[str, object]) -> dict[str, object]:
    """Take the object out of a structured-mode event. Raises BadInput, as ``read_object``."""
    data = cloudevents.open_envelope(envelope)
    if isinstance(data, bytes):
        data = _parse(data)
    if not isinstance(data, dict):
        raise BadInput(Reason.BAD_CLOUDEVENT, "the event's data must be a JSON object")
    return data


def _as_object(parsed: object) -> dict[str, object]:
    if not isinstance(parsed, dict):
        raise BadInput(Reason.WRONG_TYPE, "the value must be a JSON object")
    return parsed


def _parse(value: bytes) -> object:
    value = value.removeprefix(_BOM)
    try:
        parsed = msgspec.json.decode(value)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        parsed = _parse_leniently(value)
    _check_depth(parsed, NESTING_MAX)
    return parsed


def _parse_leniently(value: bytes) -> object:
    """Read what strict readers refuse: NaN, Infinity, 1e400, long integers, lone surrogates."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadInput(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    try:
        parsed = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        # Its message says what was expected, and never what was there.
        raise BadInput(Reason.NOT_JSON, f"{error.msg} at character {error.pos}") from None
    _check_depth(parsed, NESTING_MAX)
    return _without_surrogates(parsed)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def _without_surrogates(parsed: object) -> object:
    if isinstance(parsed, str):
        return _SURROGATE.sub("\ufffd", parsed)
    if isinstance(parsed, list):
        return [_without_surrogates(item) for item in parsed]
    if isinstance(parsed, dict):
        return {
            _SURROGATE.sub("\ufffd", key): _without_surrogates(item) for key, item in parsed.items()
        }
    return parsed


def _check_depth(parsed: object, levels_left: int) -> None:
    if not isinstance(parsed, dict | list):
        return
    if levels_left == 0:
        raise _too_deep()
    for item in parsed.values() if isinstance(parsed, dict) else parsed:
        if isinstance(item, dict | list):
            _check_depth(item, levels_left - 1)


def _too_deep() -> BadInput:
    return BadInput(Reason.TOO_DEEP, f"at most {NESTING_MAX} levels of objects and lists are read")
