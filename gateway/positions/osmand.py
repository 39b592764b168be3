"""OsmAnd's protocol, as OsmAnd and Traccar Client speak it: a query, a form, or a JSON object.

Speeds are knots in the query and m/s in JSON, a battery is percent there and a share here; -1
stands for unknown.
"""

from typing import Final
from urllib.parse import parse_qsl

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import (
    accuracy_m,
    course_deg,
    device_id,
    is_said,
    share,
    share_of_percent,
    speed_mps,
)
from xiaohe.gateway.positions.raw_fix import NoFix, Said
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.traccar_words import alarm_of, knots_mps
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.json_object import read_object

QUERY_BYTES_MAX: Final = 8 * 1024
"""A query or form: the protocol's own words take some hundred bytes, its free ones the rest."""

QUERY_FIELDS_MAX: Final = 100
"""Fields of it that are read, cells and WLANs in sight among them."""

JSON_BYTES_MAX: Final = 32 * 1024
"""The JSON of one position, with what an app may hang onto it."""


def decode_query(value: bytes, receipt: Receipt) -> list[Said]:
    """Read a query or a form. Raises BadInput."""
    fields = _fields(value)
    name = _one_of(fields, "id", "deviceid")
    device = device_id(name, "id")
    alarm = alarm_of(fields.get("alarm"))
    lat, lon = _place(fields)
    if lat is None and lon is None:
        return [NoFix(device_id=device, what="heartbeat", alarm=alarm)]
    message = Message(
        device_id=device,
        lon=lon,
        lat=lat,
        time=fields.get("timestamp") or receipt.received_ms,
        is_valid=is_said(fields.get("valid")) is not False,
        alarm=alarm,
        accuracy_m=accuracy_m(fields.get("accuracy")),
        speed_mps=knots_mps(fields.get("speed")),
        course_deg=course_deg(fields.get("bearing") or fields.get("heading")),
        battery=share_of_percent(fields.get("batt")),
    )
    return [heard(message, receipt)]


def _fields(value: bytes) -> dict[str, str]:
    if len(value) > QUERY_BYTES_MAX:
        raise BadInput(Reason.OVERSIZE, f"the query has more than {QUERY_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(
            value.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except UnicodeError:
        raise BadInput(Reason.NOT_UTF8, "the query is not percent-encoded UTF-8") from None
    except ValueError:
        raise BadInput(
            Reason.OVERSIZE, f"the query has more than {QUERY_FIELDS_MAX} fields"
        ) from None
    fields: dict[str, str] = {}
    for name, said in pairs:
        if name in ("id", "deviceid") and fields.get(name, said) != said:
            raise BadInput(Reason.BAD_IDENTIFIER, "the query names two devices")
        fields[name] = said
    return fields


def _one_of(fields: dict[str, str], first: str, second: str) -> str | None:
    if fields.get(first) and fields.get(second) and fields[first] != fields[second]:
        raise BadInput(Reason.BAD_IDENTIFIER, "the query names two devices")
    return fields.get(first) or fields.get(second)


def _place(fields: dict[str, str]) -> tuple[str | None, str | None]:
    if "lat" in fields or "lon" in fields:
        return fields.get("lat", ""), fields.get("lon", "")
    lat, comma, lon = fields.get("location", "").partition(",")
    return (lat, lon) if comma else (None, None)


def decode_json(value: bytes, receipt: Receipt) -> list[Said]:
    """Read the JSON of newer Traccar Clients. Raises BadInput."""
    found = read_object(value, JSON_BYTES_MAX)
    device = device_id(found.get("device_id"), "device_id")
    location = _object(found.get("location"), "location")
    alarm = alarm_of(location.get("alarm") or found.get("alarm"))
    if location.get("coords") is None:
        return [NoFix(device_id=device, what="heartbeat", alarm=alarm)]
    coords = _object(location.get("coords"), "coords")
    battery = location.get("battery")
    message = Message(
        device_id=device,
        lon=coords.get("longitude"),
        lat=coords.get("latitude"),
        time=location.get("timestamp"),
        is_valid=location.get("mock") is not True,  # a place that another app made up
        alarm=alarm,
        accuracy_m=accuracy_m(coords.get("accuracy")),
        speed_mps=speed_mps(coords.get("speed")),
        course_deg=course_deg(coords.get("heading")),
        battery=share(battery.get("level")) if isinstance(battery, dict) else None,
    )
    return [heard(message, receipt)]


def _object(stated: object, name: str) -> dict[str, object]:
    if stated is None:
        raise BadInput(Reason.MISSING_FIELD, f"{name} is missing")
    if not isinstance(stated, dict):
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be an object")
    return stated
