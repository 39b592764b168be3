"""Traccar's position forwarding, as the server writes it to Kafka and to HTTP: many at a time.

A value is ``{"position": {…}, "device": {…}}``. What is peculiar to it: the record's key and
``position.deviceId`` are the server's internal number, and only ``device.uniqueId`` is the
device's own; ``position.id`` is 0, for forwarding comes before storing; speeds are knots; an
accuracy of 0 is an unknown one; times end in ``+00:00``, in older servers ``+0000``, or in ``Z``;
and ``valid: false`` repeats the last place that the device had.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Datum, Latitude, Longitude
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.gateway.positions.raw_columns import RawColumns, ReadMessages, plausible, wgs84
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Said
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.fix_columns import Numbers, alarms_of, numbers
from xiaohe.wire.fix_times import Moments, parse_all
from xiaohe.wire.json_object import read_object
from xiaohe.wire.typed import typed

VALUE_BYTES_MAX: Final = 64 * 1024
"""A longer value is refused: the usual one has some 700 bytes, and attributes are free in form."""

MPS_PER_KNOT: Final = 1852 / 3600

SPEED_DIGITS: Final = 2
"""Decimals of a speed in m/s: what a knot with one decimal is worth."""

FULL_TURN_DEG: Final = 360.0

PERCENT: Final = 100.0

LAST_PLACE_ACCURACY_M: Final = 500.0
"""How well the place of a call for help is known that came without a fix: it is the last one that
the device had, and nobody knows how long ago."""

ALARM_CHARACTERS_MAX: Final = 128

_ALARMS: Final = {"sos": "sos", "fallDown": "fall"}
"""Traccar's words that are a call for help, in the contract's words."""

OLD_ZONE: Final = "+0000"
"""How servers before 2022 wrote UTC."""


class _Attributes(Struct, frozen=True, gc=False, rename="camel"):
    alarm: str | None = None
    battery_level: float | None = None


_NO_ATTRIBUTES: Final = _Attributes()


class _Position(Struct, frozen=True, gc=False, rename="camel"):
    fix_time: str
    latitude: Latitude
    longitude: Longitude
    valid: bool = True
    device_time: str | None = None
    speed: float | None = None
    course: float | None = None
    accuracy: float | None = None
    attributes: _Attributes | None = None


class _Device(Struct, frozen=True, gc=False, rename="camel"):
    unique_id: Annotated[str, Meta(min_length=1)]


class _Forwarded(Struct, frozen=True, gc=False):
    position: _Position
    device: _Device


_decode = msgspec.json.Decoder(_Forwarded).decode


def read_traccar(values: Sequence[bytes | None], datum: Datum = "wgs84") -> ReadMessages:
    """ReadMessages many values; a bad one, or one without a fix, is told apart and the rest counts."""
    places: list[int] = []
    said: list[_Forwarded] = []
    bad: list[tuple[int, BadInput]] = []
    for at, value in enumerate(values):
        try:
            each = _decode(value)  # type: ignore[arg-type]  # None is refused like other bad ones
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            try:
                each = _forwarded(value)
            except BadInput as problem:
                bad.append((at, problem))
                continue
        places.append(at)
        said.append(each)
    return _laid_out(places, said, bad, datum)


def decode_traccar(value: bytes | None, datum: Datum = "wgs84") -> Said:
    """ReadMessages one value, as it comes to a door. Raises BadInput."""
    read = read_traccar([value], datum)
    if read.bad:
        raise read.bad[0][1]
    if read.no_fixes:
        return read.no_fixes[0][1]
    return _one(read.fixes)


def _forwarded(value: bytes | None) -> _Forwarded:
    """ReadMessages what the strict reader refused, or say what is wrong with it."""
    return typed(read_object(value, VALUE_BYTES_MAX), _Forwarded)


def _laid_out(
    places: list[int],
    said: list[_Forwarded],
    bad: list[tuple[int, BadInput]],
    datum: Datum,
) -> ReadMessages:
    positions = [each.position for each in said]
    no_fixes: list[tuple[int, NoFix]] = []
    if not all([position.valid for position in positions]):
        places, said, no_fixes = _with_fix(places, said)
        positions = [each.position for each in said]
    fix_ms, fix_times, untimely = _times(positions)
    if untimely:
        bad += [(places[at], problem) for at, problem in untimely.items()]
        kept = [at for at in range(len(said)) if at not in untimely]
        return _laid_out([places[at] for at in kept], [said[at] for at in kept], bad, datum)
    attributes = [position.attributes or _NO_ATTRIBUTES for position in positions]
    lon, lat = numbers(positions, "longitude"), numbers(positions, "latitude")
    lon, lat = wgs84(lon, lat, [datum] * len(said) if datum != "wgs84" else ())
    columns = RawColumns(
        places=places,
        device_ids=[each.device.unique_id for each in said],
        lon=lon,
        lat=lat,
        fix_ms=fix_ms,
        fix_times=fix_times,
        accuracy_m=_above(numbers(positions, "accuracy"), 0),
        speed_mps=_not_below_zero(numbers(positions, "speed") * MPS_PER_KNOT).round(SPEED_DIGITS),
        course_deg=numbers(positions, "course") % FULL_TURN_DEG % FULL_TURN_DEG,
        battery=_share(numbers(attributes, "battery_level") / PERCENT),
        alarms=alarms_of([_alarm(each.alarm) for each in attributes]),
    )
    return plausible(ReadMessages(columns, no_fixes, bad))


def _with_fix(
    places: list[int], said: list[_Forwarded]
) -> tuple[list[int], list[_Forwarded], list[tuple[int, NoFix]]]:
    """Leave out what has no fix; a call for help counts all the same, from the last place."""
    kept_places: list[int] = []
    kept: list[_Forwarded] = []
    no_fixes: list[tuple[int, NoFix]] = []
    for place, each in zip(places, said, strict=True):
        if each.position.valid:
            kept_places.append(place)
            kept.append(each)
        elif _alarm((each.position.attributes or _NO_ATTRIBUTES).alarm) in _ALARMS.values():
            kept_places.append(place)
            kept.append(_from_the_last_place(each))
        else:
            no_fixes.append((place, NoFix(device_id=each.device.unique_id, what="no_fix")))
    return kept_places, kept, no_fixes


def _from_the_last_place(each: _Forwarded) -> _Forwarded:
    """A call for help without a fix: it is made now, wherever the device was seen last.

    ``fixTime`` is then that of the last fix, which may be hours ago, and an alarm of hours ago is
    nobody's any more.
    """
    position = msgspec.structs.replace(
        each.position,
        valid=True,
        fix_time=each.position.device_time or each.position.fix_time,
        accuracy=LAST_PLACE_ACCURACY_M,
        speed=None,
        course=None,
    )
    return msgspec.structs.replace(each, position=position)


def _times(positions: list[_Position]) -> tuple[Moments, list[str], dict[int, BadInput]]:
    texts = [position.fix_time for position in positions]
    if any([text.endswith(OLD_ZONE) for text in texts]):
        texts = [f"{t[:-5]}+00:00" if t.endswith(OLD_ZONE) else t for t in texts]
    try:
        return parse_all(texts), texts, {}
    except BadTime:
        bad = {at: problem for at, text in enumerate(texts) if (problem := _untimely(text))}
        return np.empty(0, dtype=np.int64), texts, bad


def _untimely(text: str) -> BadInput | None:
    try:
        parse_rfc3339(text)
    except BadTime as error:
        return BadInput(Reason.BAD_TIME, f"position.fixTime: {error}")
    return None


def _alarm(words: str | None) -> str | None:
    """Give the contract's word for a list such as ``lowBattery,sos``; a call for help goes first."""
    if not words:
        return None
    stated = words.split(",")
    help_called = next((_ALARMS[word] for word in stated if word in _ALARMS), None)
    return help_called or words[:ALARM_CHARACTERS_MAX]


def _above(values: Numbers, least: float) -> Numbers:
    return np.where(values > least, values, np.nan)


def _not_below_zero(values: Numbers) -> Numbers:
    return np.where(values >= 0, values, np.nan)


def _share(values: Numbers) -> Numbers:
    return np.where((values >= 0) & (values <= 1), values, np.nan).round(SPEED_DIGITS)


def _one(fixes: RawColumns) -> RawFix:
    return RawFix(
        device_id=fixes.device_ids[0],
        lon=fixes.lon[0].item(),
        lat=fixes.lat[0].item(),
        fix_ms=fixes.fix_ms[0].item(),
        accuracy_m=_stated(fixes.accuracy_m),
        speed_mps=_stated(fixes.speed_mps),
        course_deg=_stated(fixes.course_deg),
        battery=_stated(fixes.battery),
        alarm=None if fixes.alarms is None else fixes.alarms[0],
    )


def _stated(values: Numbers) -> float | None:
    return None if np.isnan(values[0]) else values[0].item()
