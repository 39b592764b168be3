"""Traccar's position forwarding by the thousand: the hot way of what ``traccar_forward`` reads.

Nearly every message of a fleet is a valid fix in the usual form. Those are read straight into
typed structs, and then by column; whatever is unusual in any way (no fix, a call for help, an
event, a place of 0, a time that cannot be, a field of another type) is left to
``traccar_forward``, which alone says what such a message means. A test holds the two together.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from xiaohe.dispatch.inputs import Latitude, Longitude
from xiaohe.dispatch.times import BadTime
from xiaohe.gateway.positions.measures import (
    ACCURACY_M_MAX,
    FULL_TURN_DEG,
    MPS_PER_KNOT,
    PERCENT,
    SPEED_MPS_MAX,
)
from xiaohe.gateway.positions.moments import FUTURE_MS_MAX
from xiaohe.gateway.positions.raw_columns import (
    SPEED_DIGITS,
    Mask,
    RawColumns,
    wgs84,
)
from xiaohe.gateway.positions.traccar_words import DISTRESS, alarm_of
from xiaohe.geo.datum import Datum
from xiaohe.wire.codec_common import are_identifiers
from xiaohe.wire.codec_positions import FIX_MS_MIN
from xiaohe.wire.fix_columns import Numbers, alarms_of, numbers
from xiaohe.wire.fix_times import Moments, parse_all

OLD_ZONE: Final = "+0000"
"""How servers before 2022 wrote UTC. One that does so does it always; written anew, it is read as
quickly as others, here and by the engine."""

_CALLS: Final = frozenset(DISTRESS.values())


class _Attributes(Struct, frozen=True, gc=False, rename="camel"):
    alarm: str | None = None
    battery_level: float | None = None


class _Position(Struct, frozen=True, gc=False, rename="camel"):
    fix_time: str
    latitude: Latitude
    longitude: Longitude
    valid: bool = True
    outdated: bool | None = None
    speed: float | None = None
    course: float | None = None
    accuracy: float | None = None
    attributes: _Attributes | None = None


class _Device(Struct, frozen=True, gc=False, rename="camel"):
    unique_id: str


class _Forwarded(Struct, frozen=True, gc=False):
    position: _Position
    device: _Device
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_NO_ATTRIBUTES: Final = _Attributes()
_decode = msgspec.json.Decoder(_Forwarded).decode


def read_usual(
    values: Sequence[bytes | None], received_ms: Moments, datum: Datum
) -> tuple[RawColumns, list[int]]:
    """Read what is usual of many values; give the numbers of those that are not."""
    places: list[int] = []
    said: list[_Forwarded] = []
    unusual: list[int] = []
    for at, value in enumerate(values):
        try:
            each = _decode(value)  # type: ignore[arg-type]  # None is unusual
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            unusual.append(at)
            continue
        position = each.position
        if position.valid and not position.outdated and each.event is msgspec.UNSET:
            places.append(at)
            said.append(each)
        else:
            unusual.append(at)
    fixes = _laid_out(places, said, datum)
    if fixes is None:  # one of the times or names is odd: find out which, one by one
        apart = [_laid_out([p], [s], datum) for p, s in zip(places, said, strict=True)]
        unusual += [p for p, fix in zip(places, apart, strict=True) if fix is None]
        fixes = _all_of([fix for fix in apart if fix is not None])
    usual = _usual(fixes, received_ms)
    if not usual.all():
        unusual += [fixes.places[at] for at in np.flatnonzero(~usual).tolist()]
        fixes = fixes.only(np.flatnonzero(usual).tolist())
    return fixes, sorted(unusual)


def _laid_out(places: list[int], said: list[_Forwarded], datum: Datum) -> RawColumns | None:
    """Lay messages out by column; None where a time, or a device's own name, is odd."""
    positions = [each.position for each in said]
    device_ids = [each.device.unique_id for each in said]
    times = _times([position.fix_time for position in positions])
    if times is None or not are_identifiers(device_ids):
        return None
    attributes = [position.attributes or _NO_ATTRIBUTES for position in positions]
    lon, lat = numbers(positions, "longitude"), numbers(positions, "latitude")
    unplaced = (lon == 0) & (lat == 0)
    lon, lat = wgs84(lon, lat, [datum] * len(said) if datum != "wgs84" else ())
    lon[unplaced] = lat[unplaced] = 0
    return RawColumns(
        places=places,
        device_ids=device_ids,
        lon=lon,
        lat=lat,
        fix_ms=times[0],
        fix_times=times[1],
        accuracy_m=_within(numbers(positions, "accuracy"), 0, ACCURACY_M_MAX, above=True),
        speed_mps=_within(numbers(positions, "speed") * MPS_PER_KNOT, 0, SPEED_MPS_MAX).round(
            SPEED_DIGITS
        ),
        course_deg=_within(numbers(positions, "course"), 0, FULL_TURN_DEG) % FULL_TURN_DEG,
        battery=_within(numbers(attributes, "battery_level"), 0, PERCENT) / PERCENT,
        alarms=alarms_of([a.alarm and alarm_of(a.alarm) for a in attributes]),
    )


def _all_of(apart: Iterable[RawColumns]) -> RawColumns:
    found = _laid_out([], [], "wgs84")
    assert found is not None, "nothing is not odd"
    for each in apart:
        found = found.joined(each)
    return found


def _usual(fixes: RawColumns, received_ms: Moments) -> Mask:
    """Tell which fixes are what nearly all are: placed, timely, and no call for help."""
    latest_ms = received_ms[np.asarray(fixes.places, dtype=np.int64)] + FUTURE_MS_MAX
    usual: Mask = (fixes.fix_ms >= FIX_MS_MIN) & (fixes.fix_ms <= latest_ms)
    usual &= (fixes.lon != 0) | (fixes.lat != 0)
    if fixes.alarms is not None:
        usual &= np.array([alarm not in _CALLS for alarm in fixes.alarms], dtype=np.bool_)
    return usual


def _times(texts: list[str]) -> tuple[Moments, list[str]] | None:
    if texts and texts[0].endswith(OLD_ZONE):
        texts = [
            f"{text.removesuffix(OLD_ZONE)}+00:00" if text.endswith(OLD_ZONE) else text
            for text in texts
        ]
    try:
        return parse_all(texts), texts
    except BadTime:
        return None


def _within(values: Numbers, least: float, most: float, *, above: bool = False) -> Numbers:
    """Leave out what lies outside: what devices write for «unknown»."""
    known = (values > least if above else values >= least) & (values <= most)
    return values if known.all() else np.where(known, values, np.nan)
