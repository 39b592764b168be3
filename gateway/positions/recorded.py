"""A recorded track, as a file: a table, GPX, or JSON, to be sent again."""

from typing import Any, Final

import orjson

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions import gpx, plain, table
from xiaohe.gateway.positions.raw_fix import Read
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.table import TRACK_BYTES_MAX, TRACK_FIXES_MAX
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_value

FORMATS: Final = ("csv", "gpx", "json")


def decode(form: str, value: bytes, receipt: Receipt, device: str | None = None) -> list[Read]:
    """Read a track of one of FORMATS; a bad fix is told of by itself.

    ``device`` is whose fixes they are where the file does not say, as GPX never does. Raises
    BadInput.
    """
    if form == "csv":
        return table.decode(value, receipt, device)
    if form == "gpx":
        if device is None:
            raise BadInput(Reason.MISSING_FIELD, "GPX does not say whose track it is: name it")
        return gpx.decode(value, receipt, device)
    return decode_json(value, receipt, device)


def decode_json(value: bytes, receipt: Receipt, device: str | None = None) -> list[Read]:
    """Read positions of the contract: one, a batch, a list of them, or one a line."""
    read: list[Read] = []
    for stated in _positions(value):
        try:
            read += plain.decode(_written(stated, device), receipt)
        except BadInput as bad:
            read.append(bad.at_index(len(read)))
    return read


def _written(stated: object, device: str | None) -> bytes:
    """Write a position as it would come alone; a line of a file is so already."""
    found = read_value(stated, TRACK_BYTES_MAX) if isinstance(stated, bytes) else stated
    if device is not None and isinstance(found, dict) and not _names_somebody(found):
        found = found | {"device_id": device}
    try:
        return orjson.dumps(found)
    except orjson.JSONEncodeError:
        raise BadInput(Reason.OUT_OF_RANGE, "a number is too large") from None


def _names_somebody(found: dict[str, Any]) -> bool:
    return bool(found.get("device_id") or found.get("member_id"))


def _positions(value: bytes) -> list[object]:
    if len(value) > TRACK_BYTES_MAX:
        raise BadInput(Reason.OVERSIZE, f"the file has more than {TRACK_BYTES_MAX} bytes")
    lines = [line for line in value.splitlines() if line.strip()]
    found: object = lines
    if len(lines) < 2 or not lines[0].rstrip().endswith(b"}"):  # noqa: PLR2004 - not one a line
        found = read_value(value, TRACK_BYTES_MAX)
    if isinstance(found, dict) and isinstance(found.get("batch"), list):
        found = found["batch"]
    positions = found if isinstance(found, list) else [found]
    if len(positions) > TRACK_FIXES_MAX:
        raise BadInput(Reason.BATCH_TOO_LONG, f"the file has more than {TRACK_FIXES_MAX} fixes")
    return positions
