"""What a Traccar server forwards over HTTP: positions, and events; the same JSON as on Kafka.

A position is ``{"position": {…}, "device": {…}}``, an event the same with an ``"event"``. The
device's own name is ``device.uniqueId``; the numbers are the server's own, and ``position.id`` is
0, for forwarding comes before storing. Speeds are knots, batteries percent, an accuracy of 0 is
unknown, and ``valid: false`` repeats the last place that the device had.
"""

from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import accuracy_m, course_deg, device_id
from xiaohe.gateway.positions.raw_fix import NoFix, Said
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.traccar_words import alarm_of, battery_of, knots_mps
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_object

BYTES_MAX: Final = 64 * 1024
"""A position has some 700 bytes; its attributes are free in form."""

OFFLINE_EVENTS: Final = frozenset({"deviceOffline", "deviceInactive", "deviceUnknown"})
ONLINE_EVENT: Final = "deviceOnline"
ALARM_EVENT: Final = "alarm"


def decode(value: bytes, receipt: Receipt) -> list[Said]:
    """Read a forwarded position or event. Raises BadInput."""
    found = read_object(value, BYTES_MAX)
    device = _part(found, "device")
    if device is None:
        raise BadInput(Reason.MISSING_FIELD, "device is missing: it says whose position this is")
    name = device_id(device.get("uniqueId"), "device.uniqueId")
    event, position = _part(found, "event"), _part(found, "position")
    if event is not None:
        return [_of_event(name, event, position, receipt)]
    if position is None:
        raise BadInput(Reason.MISSING_FIELD, "position is missing")
    return [_of_position(name, position, None, receipt)]


def _of_event(
    name: str, event: dict[str, object], position: dict[str, object] | None, receipt: Receipt
) -> Said:
    """An alarm counts with its position; that of any other event was forwarded by itself."""
    kind = event.get("type")
    if kind == ALARM_EVENT:
        alarm = alarm_of((_part(event, "attributes") or {}).get("alarm"))
        if position is not None:
            return _of_position(name, position, alarm, receipt)
        return NoFix(device_id=name, what="no_fix", alarm=alarm)
    if isinstance(kind, str) and kind in OFFLINE_EVENTS:
        return NoFix(device_id=name, what="offline")
    return NoFix(device_id=name, what="heartbeat" if kind == ONLINE_EVENT else "other")


def _of_position(
    name: str, position: dict[str, object], alarm: str | None, receipt: Receipt
) -> Said:
    attributes = _part(position, "attributes") or {}
    message = Message(
        device_id=name,
        lon=position.get("longitude"),
        lat=position.get("latitude"),
        time=position.get("fixTime"),
        sent=position.get("deviceTime"),
        is_valid=position.get("valid") is not False,
        alarm=alarm_of(_joined(alarm, attributes.get("alarm"))),
        accuracy_m=accuracy_m(position.get("accuracy")),
        speed_mps=knots_mps(position.get("speed")),
        course_deg=course_deg(position.get("course")),
        battery=battery_of(attributes),
        # Servers before 6.10 say so where a position is the last one again.
        age_unknown=position.get("outdated") is True,
    )
    return heard(message, receipt)


def _joined(of_event: str | None, of_position: object) -> object:
    if of_event is None or not isinstance(of_position, str):
        return of_event or of_position
    return f"{of_event},{of_position}"


def _part(found: dict[str, object], name: str) -> dict[str, object] | None:
    part = found.get(name)
    if part is not None and not isinstance(part, dict):
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be an object")
    return part
