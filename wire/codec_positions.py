"""Records of ``positions`` to fixes: one position or a batch, fast where all is well."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import (
    POSITIONS_IN_BATCH_MAX,
    Datum,
    Fix,
    Identifier,
    Label,
    Latitude,
    Longitude,
    NotNegative,
    Share,
)
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import BadTime, parse_rfc3339
from xiaohe.geo.datum import to_wgs84, to_wgs84_many
from xiaohe.wire import cloudevents
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.cloudevents import Headers
from xiaohe.wire.codec_common import (
    CONTRACT_LIMITS,
    Limits,
    are_identifiers,
    identifier_of,
    keyed,
)
from xiaohe.wire.fix_columns import (
    COLUMNS_MIN,
    FixColumns,
    Numbers,
    alarms_of,
    column,
    columns_of,
    numbers,
)
from xiaohe.wire.fix_times import Moments, parse_all
from xiaohe.wire.json_object import check_size, read_object
from xiaohe.wire.typed import INTEGER_MAX, typed

FIX_MS_MIN: Final = parse_rfc3339("2000-01-01T00:00:00Z")
"""A receiver that has no satellite yet reports 1970 or 1980."""

FIX_MS_MAX: Final = parse_rfc3339("2100-01-01T00:00:00Z")
"""One fix of the year 9999 would be the latest of its member for ever."""

FULL_TURN_DEG = 360.0

UNKNOWN_COURSE_DEG = -1.0
"""What phones report while they stand still."""


@dataclass(frozen=True, slots=True)
class PositionsRecord:
    """One record of ``positions``: the fixes that count, and what is wrong with the others.

    The fixes of a batch that is long enough lie in columns.
    """

    area_id: str
    fixes: Sequence[Fix]
    bad: tuple[tuple[int, BadInput], ...] = ()
    batched: bool = False

    @property
    def places(self) -> Sequence[int]:
        """Where in the record each of the fixes lies."""
        count = len(self.fixes) + len(self.bad)
        if not self.bad:
            return range(count)
        bad_at = {index for index, _ in self.bad}
        return [index for index in range(count) if index not in bad_at]


class _WireFix(Struct, frozen=True, kw_only=True):
    """One object of ``positions`` as it is sent."""

    area_id: Identifier | None = None
    member_id: Identifier | None = None
    device_id: Identifier | None = None
    lon: Longitude
    lat: Latitude
    fix_time: str
    datum: Datum | None = None
    accuracy_m: NotNegative | None = None
    speed_mps: Annotated[float, Meta(ge=-1)] | None = None
    course_deg: Annotated[float, Meta(ge=-FULL_TURN_DEG, le=FULL_TURN_DEG)] | None = None
    seq: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None
    battery: Share | None = None
    alarm: Label | None = None


_Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""What may be an identifier; ``are_identifiers`` says of many at once whether they are."""


class _BatchedFix(_WireFix, frozen=True, kw_only=True, gc=False):
    """The same in a batch, identifiers yet to be looked at."""

    area_id: str | None = None
    member_id: _Name | None = None
    device_id: _Name | None = None


class _WireBatch(Struct, frozen=True):
    batch: list[_BatchedFix]
    area_id: str | None = None


def decode_positions(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    limits: Limits = CONTRACT_LIMITS,
) -> PositionsRecord:
    """Read a record of ``positions``: one position, or a batch.

    In a batch each bad object is a BadInput of its own with its index, and the rest counts;
    BadInput is raised where the whole record is bad. A speed or course of -1, which phones send
    for «unknown», is left out.
    """
    area_id = identifier_of(key, "area_id")
    check_size(value, limits.positions_bytes_max)
    assert value is not None, "check_size has refused a null value"
    if not cloudevents.may_be_enveloped(value, headers):
        try:
            return _decode_good_positions(area_id, value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadInput):
            pass  # something is bad, or not in the usual form: look again, object by object
    return _decode_any_positions(area_id, read_object(value, limits.positions_bytes_max, headers))


_BATCHES = msgspec.json.Decoder(_WireBatch)
_SINGLES = msgspec.json.Decoder(_WireFix)


def _decode_good_positions(area_id: str, value: bytes) -> PositionsRecord:
    """Read a record in which all is well, straight into structs; raise on anything else.

    This is the way of nearly every record of the fleet: many times as fast as the other, which
    says what is wrong. It may refuse too much, therefore, and never too little; only how deep
    a field nests that nobody reads is not looked at. What it skips is not looked at by the
    decoder either: whether that is UTF-8 is asked first.
    """
    if not value.isascii():
        value.decode()
    if b'"batch"' not in value:
        return PositionsRecord(area_id, (_fix(_SINGLES.decode(value), area_id),))
    record = _BATCHES.decode(value)
    _check_batch(record.batch)
    if record.area_id not in (None, area_id):
        raise BadInput(Reason.KEY_MISMATCH, "area_id is not what the record's key says")
    return PositionsRecord(area_id, _fixes(record.batch, area_id), batched=True)


def _fixes(batch: list[_BatchedFix], area_id: str) -> Sequence[Fix]:
    member_ids, device_ids = column(batch, "member_id"), column(batch, "device_id")
    if not are_identifiers(_given(member_ids)) or not are_identifiers(_given(device_ids)):
        raise BadInput(Reason.BAD_IDENTIFIER, "one of the identifiers is none")
    if len(batch) < COLUMNS_MIN:
        return tuple([_fix(wire, area_id) for wire in batch])
    if not {None, area_id}.issuperset(column(batch, "area_id")):
        raise BadInput(Reason.MIXED_AREA, "an area_id is not that of the record")
    if None in member_ids and (None, None) in zip(member_ids, device_ids, strict=True):
        raise BadInput(Reason.MISSING_FIELD, "a position has neither member_id nor device_id")
    lon, lat = _wgs84(batch)
    return FixColumns(
        member_ids=member_ids,
        device_ids=device_ids,
        lon=lon,
        lat=lat,
        fix_ms=_all_fix_ms([wire.fix_time for wire in batch]),
        accuracy_m=numbers(batch, "accuracy_m"),
        speed_mps=_known_speeds(numbers(batch, "speed_mps")),
        course_deg=_known_courses(numbers(batch, "course_deg")),
        alarms=alarms_of(column(batch, "alarm")),
        said=batch,
    )


def _given(names: Iterable[str | None]) -> list[str]:
    return [name for name in names if name is not None]


def _wgs84(batch: list[_BatchedFix]) -> tuple[Numbers, Numbers]:
    lon, lat = numbers(batch, "lon"), numbers(batch, "lat")
    datums = [wire.datum for wire in batch]
    if {None, "wgs84"}.issuperset(datums):
        return lon, lat
    return to_wgs84_many(lon, lat, datums)


def _all_fix_ms(fix_times: list[str]) -> Moments:
    try:
        fix_ms = parse_all(fix_times)
    except BadTime as error:
        raise BadInput(Reason.BAD_TIME, f"fix_time: {error}") from None
    if fix_ms.min() < FIX_MS_MIN or fix_ms.max() >= FIX_MS_MAX:
        raise BadInput(Reason.BAD_TIME, "a fix_time is not between the years 2000 and 2099")
    return fix_ms


def _known_speeds(speeds_mps: Numbers) -> Numbers:
    return np.where(speeds_mps < 0, np.nan, speeds_mps)


def _known_courses(courses_deg: Numbers) -> Numbers:
    known = courses_deg % FULL_TURN_DEG % FULL_TURN_DEG  # twice: see _fix
    return np.where(courses_deg == UNKNOWN_COURSE_DEG, np.nan, known)


def _decode_any_positions(area_id: str, found: dict[str, object]) -> PositionsRecord:
    if _is_from_traccar(found):
        raise BadInput(Reason.TRACCAR_SHAPE, Reason.TRACCAR_SHAPE.sentence)
    found = keyed(found, "area_id", area_id)
    batch = found.get("batch")
    if batch is None:
        return PositionsRecord(area_id, (_fix(typed(found, _WireFix), area_id),))
    if not isinstance(batch, list):
        raise BadInput(Reason.WRONG_TYPE, "batch must be a list")
    _check_batch(batch)
    fixes: list[Fix] = []
    bad: list[tuple[int, BadInput]] = []
    for index, item in enumerate(batch):
        try:
            fixes.append(_fix_of(item, area_id))
        except BadInput as problem:
            bad.append((index, problem.at_index(index)))
    laid_out = columns_of(fixes) if len(fixes) >= COLUMNS_MIN else tuple(fixes)
    return PositionsRecord(area_id, laid_out, tuple(bad), batched=True)


def _fix_of(item: object, area_id: str) -> Fix:
    if not isinstance(item, dict):
        raise BadInput(Reason.WRONG_TYPE, "each item of batch must be an object")
    return _fix(_wire_of(item), area_id)


def _wire_of(item: dict[str, object]) -> _WireFix:
    """Give what ``typed`` gives, without its detour where all is in the usual form.

    Of a record with one bad object the others are good. No field of a position takes an empty
    text, so what ``convert`` takes is right unless a number in it is not finite.
    """
    try:
        wire = msgspec.convert(item, _WireFix)
    except msgspec.ValidationError:
        return typed(item, _WireFix)
    others = (wire.accuracy_m, wire.speed_mps, wire.course_deg, wire.battery)
    total = wire.lon + wire.lat + sum(number or 0.0 for number in others)
    return wire if isfinite(total) else typed(item, _WireFix)


def _fix(wire: _WireFix, area_id: str) -> Fix:
    if wire.area_id is not None and wire.area_id != area_id:
        raise BadInput(Reason.MIXED_AREA, "area_id is not that of the record: one area a record")
    if wire.member_id is None and wire.device_id is None:
        raise BadInput(Reason.MISSING_FIELD, "the position needs a member_id or a device_id")
    lon, lat = wire.lon, wire.lat
    if wire.datum is not None and wire.datum != "wgs84":
        lon, lat = to_wgs84(lon, lat, wire.datum)
    speed_mps, course_deg = wire.speed_mps, wire.course_deg
    if speed_mps is not None and speed_mps < 0:
        speed_mps = None
    if course_deg is not None:
        # A hair below north is a whole turn after the first division: 360 is 0 as well.
        is_known = course_deg != UNKNOWN_COURSE_DEG
        course_deg = course_deg % FULL_TURN_DEG % FULL_TURN_DEG if is_known else None
    return Fix(
        member_id=wire.member_id,
        device_id=wire.device_id,
        lon=lon,
        lat=lat,
        fix_ms=_fix_ms(wire.fix_time),
        fix_time=wire.fix_time,
        accuracy_m=wire.accuracy_m,
        speed_mps=speed_mps,
        course_deg=course_deg,
        seq=wire.seq,
        battery=wire.battery,
        alarm=wire.alarm,
    )


def _fix_ms(fix_time: str) -> int:
    try:
        fix_ms = parse_rfc3339(fix_time)
    except BadTime as error:
        raise BadInput(Reason.BAD_TIME, f"fix_time: {error}") from None
    if not FIX_MS_MIN <= fix_ms < FIX_MS_MAX:
        raise BadInput(Reason.BAD_TIME, "fix_time is not between the years 2000 and 2099")
    return fix_ms


def _check_batch(batch: Sequence[object]) -> None:
    if not batch:
        raise BadInput(Reason.EMPTY_BATCH, "batch has no positions: leave the record out")
    if len(batch) > POSITIONS_IN_BATCH_MAX:
        raise BadInput(
            Reason.BATCH_TOO_LONG,
            f"batch has {len(batch)} positions; at most {POSITIONS_IN_BATCH_MAX} are read",
        )


def _is_from_traccar(found: dict[str, object]) -> bool:
    position = found.get("position")
    return isinstance(position, dict) and ("deviceId" in position or "fixTime" in position)
