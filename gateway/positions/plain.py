"""The contract's own position objects, one or a batch, as somebody sends them who has no Kafka.

They are read by the reader of the ``positions`` topic, so that both take the same.
"""

from typing import Final

import msgspec
from msgspec import Struct

from xiaohe.dispatch.inputs import Fix
from xiaohe.dispatch.tracking import DISTRESS_ALARMS
from xiaohe.gateway.positions.moments import plausible_ms
from xiaohe.gateway.positions.raw_fix import RawFix, Read
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_common import CONTRACT_LIMITS
from xiaohe.wire.codec_positions import decode_positions

BYTES_MAX: Final = CONTRACT_LIMITS.positions_bytes_max
"""As on the topic."""

NO_AREA: Final = "-"
"""Stands for the area of a message that names none: no identifier begins so."""


class _Area(Struct, frozen=True):
    area_id: str | None = None


def area_of(value: bytes) -> str | None:
    """Give the area that a message is about, None where it names none or cannot be read."""
    try:
        return msgspec.json.decode(value, type=_Area).area_id or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode(value: bytes, receipt: Receipt) -> list[Read]:
    """Read one position or a batch; a bad one in a batch is told of by itself. Raises BadInput."""
    area_id = area_of(value)
    record = decode_positions((area_id or "any").encode(errors="replace"), value)
    read: list[Read] = [bad for _, bad in record.bad]
    for at, fix in zip(record.places, record.fixes, strict=True):
        try:
            read.insert(at, _raw(fix, receipt))
        except BadInput as bad:
            if not record.batched:
                raise
            read.insert(at, bad.at_index(at))
    return read


def _raw(fix: Fix, receipt: Receipt) -> RawFix:
    try:
        fix_ms, age_unknown = plausible_ms(fix.fix_ms, receipt, "fix_time"), False
    except BadInput:
        if fix.alarm not in DISTRESS_ALARMS:
            raise
        fix_ms, age_unknown = receipt.received_ms, True
    return RawFix(
        device_id=fix.device_id or "",
        member_id=fix.member_id,
        lon=fix.lon,
        lat=fix.lat,
        fix_ms=fix_ms,
        accuracy_m=fix.accuracy_m,
        speed_mps=fix.speed_mps,
        course_deg=fix.course_deg,
        battery=fix.battery,
        alarm=fix.alarm,
        seq=fix.seq,
        age_unknown=age_unknown,
    )
