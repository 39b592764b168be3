"""RFC 3339 times in and out: text on the wire, whole milliseconds since the epoch inside."""

import re
from datetime import UTC, date, datetime

MS_PER_S = 1_000
MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COMMON_LENGTH = len("2026-11-23T09:15:02.123Z")

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d))",
    re.ASCII,
)


class BadTime(ValueError):
    """A text is not an RFC 3339 time with an offset. The message does not repeat the text."""


def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 time as ms since the epoch.

    The offset may be ``Z``, ``+08:00`` or, as some trackers write it, ``+0800``; ``T`` may be a
    space. A fraction is rounded to the microsecond and then cut to the millisecond. A leap second
    (``:60``) is the first moment of the next minute, for POSIX time has no other place for it.
    Raises BadTime.
    """
    if len(text) == COMMON_LENGTH and text[4:20:3] == "--T::." and text[-1] == "Z":
        # The form that nearly every device and ``rfc3339`` writes, four times as fast.
        try:
            return ms_of(datetime.fromisoformat(text))
        except ValueError:
            pass  # told below what is wrong with it
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise BadTime("not an RFC 3339 time with an offset, such as 2030-01-31T08:00:00+08:00")
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004 - the clock's own numbers
        raise BadTime("there is no such time of day")
    try:
        days = date(year, month, day).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        raise BadTime("there is no such date") from None
    of_day_ms = hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_S
    return days * MS_PER_DAY + of_day_ms + _fraction_ms(found[7]) - _offset_ms(found)


def _fraction_ms(digits: str | None) -> int:
    if digits is None:
        return 0
    microseconds = int(digits[:6].ljust(6, "0")) + (digits[6:7] >= "5")
    return microseconds // 1_000


def _offset_ms(found: re.Match[str]) -> int:
    if found[8] is None:
        return 0
    hours, minutes = int(found[9]), int(found[10])
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - the clock's own numbers
        raise BadTime("there is no such offset")
    offset_ms = hours * MS_PER_HOUR + minutes * MS_PER_MINUTE
    return offset_ms if found[8] == "+" else -offset_ms


def rfc3339(ms: int) -> str:
    """Write ms since the epoch as RFC 3339 in UTC with milliseconds: ``…T09:15:02.123Z``.

    Raises ValueError outside the years 1 to 9999, which RFC 3339 cannot write.
    """
    days, of_day_ms = divmod(ms, MS_PER_DAY)
    try:
        day = date.fromordinal(days + _EPOCH_ORDINAL).isoformat()
    except (ValueError, OverflowError):
        raise ValueError("RFC 3339 has the years 1 to 9999 only") from None
    seconds, millis = divmod(of_day_ms, MS_PER_S)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{day}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"


def ms_of(moment: datetime) -> int:
    """Turn a datetime with a time zone into ms since the epoch, fractions cut off."""
    since = moment - _EPOCH
    return since.days * MS_PER_DAY + since.seconds * MS_PER_S + since.microseconds // 1_000
