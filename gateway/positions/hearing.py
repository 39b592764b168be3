"""One message of a device, taken apart by its format: a fix, or that there is none.

A call for help is never lost over what else is wrong with its message: without a place it is a
``NoFix`` that carries the alarm, with an old or impossible one a fix whose age is unknown.
"""

from dataclasses import dataclass

from xiaohe.dispatch.tracking import DISTRESS_ALARMS
from xiaohe.gateway.positions.measures import place
from xiaohe.gateway.positions.moments import fixed_ms
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Said
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.wire.bad_input import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a device's message says: place and time as they are written, the rest as read.

    ``is_valid`` False: the device says itself that this is no fix, or one that it had before.
    ``sent`` is when it sent the message, where the format says that beside the time of the fix.
    """

    device_id: str
    lon: object
    lat: object
    time: object
    sent: object = None
    is_valid: bool = True
    alarm: str | None = None
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    battery: float | None = None
    seq: int | None = None
    age_unknown: bool = False


def heard(message: Message, receipt: Receipt) -> Said:
    """Give the fix of a message, or that it has none. Raises BadInput."""
    calls = message.alarm in DISTRESS_ALARMS
    at = _place(message, calls=calls)
    if at is None or not (message.is_valid or calls):
        return NoFix(device_id=message.device_id, what="no_fix", alarm=message.alarm)
    # A call without a fix is of when it was made: its last fix may be of yesterday, and a call of
    # yesterday is nobody's any more.
    time = message.time if message.is_valid else message.sent
    fix_ms, clock_unknown = fixed_ms(time, receipt, message.alarm)
    return RawFix(
        device_id=message.device_id,
        lon=at[0],
        lat=at[1],
        fix_ms=fix_ms,
        datum=receipt.datum,
        accuracy_m=message.accuracy_m,
        speed_mps=message.speed_mps,
        course_deg=message.course_deg,
        battery=message.battery,
        alarm=message.alarm,
        seq=message.seq,
        age_unknown=message.age_unknown or clock_unknown or not message.is_valid,
    )


def _place(message: Message, *, calls: bool) -> tuple[float, float] | None:
    try:
        return place(message.lon, message.lat)
    except BadInput:
        if not (calls or not message.is_valid):
            raise
        return None
