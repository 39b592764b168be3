"""When a fix was taken, as devices say it: seconds, milliseconds, RFC 3339, or a zoneless text."""

import re
from datetime import datetime, tzinfo
from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import MS_PER_S, BadTime, ms_of, parse_rfc3339, rfc3339
from xiaohe.dispatch.tracking import DISTRESS_ALARMS
from xiaohe.gateway.positions.measures import number
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.codec_positions import FIX_MS_MIN

SECONDS_BELOW: Final = 2_147_483_647
"""A smaller number of a time is seconds, a larger one milliseconds: Traccar's own rule."""

NUMBER_MAX: Final = 1e15
"""Milliseconds of thirty thousand years: more would not be whole as a float."""

FUTURE_MS_MAX: Final = 120_000
"""A clock may be so far ahead. A fix of tomorrow would be the newest of its member until then, and
hold them where they were: two minutes of that is as long as a fix counts."""

TIME_CHARACTERS_MAX: Final = 64
"""A time with nanoseconds and offset has 35."""

_ZONELESS = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)
_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)


def moment_ms(stated: object, zone: tzinfo, name: str) -> int:
    """Read a time as ms since the epoch; ``zone`` is that of a text which names none.

    Raises BadInput: missing_field, wrong_type, bad_time.
    """
    if stated is None or stated == "":
        raise BadInput(Reason.MISSING_FIELD, f"{name} is missing: it says when the fix was taken")
    if isinstance(stated, str):
        return _moment_of_text(stated.strip(), zone, name)
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        raise BadInput(Reason.WRONG_TYPE, f"{name} must be a time")
    return _moment_of_number(stated, name)


def _moment_of_number(stated: object, name: str) -> int:
    found = number(stated)
    if found is None or not 0 <= found <= NUMBER_MAX:
        raise BadInput(Reason.BAD_TIME, f"{name} is no time")
    return int(found * MS_PER_S) if found < SECONDS_BELOW else int(found)


def _moment_of_text(text: str, zone: tzinfo, name: str) -> int:
    if len(text) > TIME_CHARACTERS_MAX:
        raise BadInput(Reason.BAD_TIME, f"{name} is longer than any time")
    if _NUMBER.fullmatch(text):
        return _moment_of_number(float(text), name)
    zoneless = _ZONELESS.fullmatch(text)
    try:
        return parse_rfc3339(text) if zoneless is None else _local_ms(zoneless, zone)
    except (BadTime, ValueError, OverflowError):
        raise BadInput(
            Reason.BAD_TIME, f"{name} is neither RFC 3339 nor yyyy-MM-dd HH:mm:ss"
        ) from None


def _local_ms(found: re.Match[str], zone: tzinfo) -> int:
    fields = [int(part) for part in found.groups()[:6]]
    micros = int((found[7] or "").ljust(6, "0")[:6])
    return ms_of(datetime(*fields, micros, tzinfo=zone))  # type: ignore[misc,arg-type]


def fixed_ms(
    stated: object, receipt: Receipt, alarm: str | None, name: str = "the time of the fix"
) -> tuple[int, bool]:
    """Give when a fix was taken, and whether its age is unknown.

    A call for help is taken whatever its device's clock says: with a time that cannot be, it
    counts as now, its age unknown. Raises BadInput: missing_field, wrong_type, bad_time.
    """
    try:
        fix_ms = plausible_ms(moment_ms(stated, receipt.zone, name), receipt, name)
    except BadInput:
        if alarm not in DISTRESS_ALARMS:
            raise
        return receipt.received_ms, True
    return fix_ms, False


def plausible_ms(fix_ms: int, receipt: Receipt, name: str = "the time of the fix") -> int:
    """Give the time back; raises BadInput (bad_time) where no fix can be of that time."""
    if fix_ms < FIX_MS_MIN:
        raise BadInput(Reason.BAD_TIME, f"{name} is before the year {rfc3339(FIX_MS_MIN)[:4]}")
    if fix_ms > receipt.received_ms + FUTURE_MS_MAX:
        ahead_s = FUTURE_MS_MAX // MS_PER_S
        raise BadInput(
            Reason.BAD_TIME, f"{name} lies more than {ahead_s} s ahead: look at clock and time zone"
        )
    return fix_ms
