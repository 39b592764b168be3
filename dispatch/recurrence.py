"""Recurrence rules of RFC 5545 as local dates, found once and kept.

python-dateutil expands the rules. It walks on from the rule's start to the year 9999 in search of
an occurrence that may never come (30 February), so the walk is moved: the Gregorian calendar
repeats after 400 years exactly, weekdays and week numbers included, and a rule that starts 7,600
years later has the same dates with only the years up to 2399 left to walk through.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, tzinfo

from dateutil.rrule import rrule, rrulestr

CYCLE_YEARS = 7_600
CYCLE_DAYS = CYCLE_YEARS // 400 * 146_097

START_YEAR_MIN = 1970
START_YEAR_MAX = 9_999 - CYCLE_YEARS

ANCHOR = datetime(2001, 1, 1)  # noqa: DTZ001 - local midnight, in whatever zone the shift is
"""Where a rule without DTSTART starts: a Monday, the first of a month, of a year, of a century."""

RULE_CHARACTERS_MAX = 1_000
COUNT_DIGITS_MAX = 6
INTERVAL_DIGITS_MAX = 3
MARGIN_DAYS = 400
"""How much further than asked a rule is expanded, so that it is seldom done again."""

_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_NUMBERS_MAX = {  # part of a rule: its largest number, before or behind zero, which is none
    "BYMONTH": 12,
    "BYMONTHDAY": 31,
    "BYYEARDAY": 366,
    "BYWEEKNO": 53,
    "BYSETPOS": 366,
}
_TIMES_MAX = {"BYHOUR": 23, "BYMINUTE": 59, "BYSECOND": 59}
_WEEKDAY = re.compile(r"([+-]?[1-5]?\d)?(?:MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_START = re.compile(r"DTSTART((?:;[A-Z]+=[^;:]+)*):([\dTZ]+)", re.ASCII | re.IGNORECASE)
_MOMENT = re.compile(r"(\d{8})(?:T(\d{6})(Z)?)?", re.ASCII)

ZoneNamed = Callable[[str], tzinfo]
"""Gives the zone of an IANA name; raises ValueError where there is none."""


class BadRule(ValueError):
    """A recurrence rule cannot be understood. The message does not repeat the rule."""


class RuleDates:
    """The local dates on which a rule occurs, as day ordinals, in order, without repeats.

    They are expanded when they are asked for, and kept: the answers do not depend on what was
    asked before.
    """

    def __init__(
        self, moved_rule: rrule, count: int | None, zones: tuple[tzinfo, tzinfo] | None
    ) -> None:
        """Take a rule moved by CYCLE_YEARS, and (its zone, the wanted zone) where they differ."""
        self._moved_rule = moved_rule
        self._count = count
        self._zones = zones
        self._dates: list[int] = []
        self._known_to = 0

    def between(self, first: int, last: int) -> Sequence[int]:
        """Give the ordinals of the dates from ``first`` to ``last``, both included."""
        if last > self._known_to:
            self._known_to = last + MARGIN_DAYS
            self._dates = self._expanded(self._known_to)
        return self._dates[bisect_left(self._dates, first) : bisect_right(self._dates, last)]

    def _expanded(self, last: int) -> list[int]:
        dates: set[int] = set()
        for n, occurrence in enumerate(self._moved_rule, start=1):
            # A day more, for the wanted zone's date may be the day before the rule's own.
            if occurrence.toordinal() - CYCLE_DAYS > last + 1:
                break
            dates.add(self._local_date(occurrence))
            if n == self._count:
                break
        return sorted(dates)

    def _local_date(self, occurrence: datetime) -> int:
        ordinal = occurrence.toordinal() - CYCLE_DAYS
        if self._zones is None:
            return ordinal
        own, wanted = self._zones
        moment = datetime.combine(datetime.fromordinal(ordinal), occurrence.time(), own)
        return moment.astimezone(wanted).toordinal()


def rule_dates(text: str, zone: tzinfo, zone_named: ZoneNamed) -> RuleDates:
    """Read a rule: an RRULE, alone or after a DTSTART line (with TZID, ``Z`` or neither).

    ``zone`` is that of the shift: the dates given are dates there. Without DTSTART the rule starts
    at ANCHOR. Rules finer than a day, RDATE, EXDATE and EXRULE are not read. Raises BadRule.
    """
    if len(text) > RULE_CHARACTERS_MAX:
        raise BadRule(f"rrule is longer than {RULE_CHARACTERS_MAX} characters")
    start_line, rule_line = _lines(text)
    own, start = _start(start_line, zone, zone_named)
    parts = _parts(rule_line)
    until, count = parts.pop("UNTIL", None), parts.pop("COUNT", None)
    if until is not None and count is not None:
        raise BadRule("rrule may have COUNT or UNTIL, not both")
    rule = _rule(parts, start, None if until is None else _until(until, own))
    zones = None if own == zone else (own, zone)
    return RuleDates(rule, None if count is None else _number("COUNT", count), zones)


def _lines(text: str) -> tuple[str | None, str]:
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    lines = [line.strip() for line in unfolded.splitlines() if line.strip()]
    start = None
    if lines and lines[0].upper().startswith("DTSTART"):
        start = lines.pop(0)
    if len(lines) != 1:
        raise BadRule("rrule must be one RRULE line, after a DTSTART line or alone")
    return start, lines[0].upper().removeprefix("RRULE:")


def _start(line: str | None, zone: tzinfo, zone_named: ZoneNamed) -> tuple[tzinfo, datetime]:
    """Give the rule's own zone, and its start as local time there."""
    if line is None:
        return zone, ANCHOR
    found = _START.fullmatch(line)
    if found is None:
        raise BadRule("DTSTART is not like DTSTART;TZID=Asia/Shanghai:20260101T000000")
    own = zone
    for parameter in found[1].split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.upper() == "TZID":
            own = _zone(value, zone_named)
    start, is_utc = _moment("DTSTART", found[2].upper())
    if not START_YEAR_MIN <= start.year <= START_YEAR_MAX:
        raise BadRule(f"DTSTART is not in the years {START_YEAR_MIN} to {START_YEAR_MAX}")
    return UTC if is_utc else own, start


def _zone(name: str, zone_named: ZoneNamed) -> tzinfo:
    try:
        return zone_named(name)
    except ValueError:
        raise BadRule("TZID is not a zone of the IANA time zone database") from None


def _moment(name: str, text: str, without_time: time = time.min) -> tuple[datetime, bool]:
    """Read ``20260101``, ``20260101T080000`` or ``20260101T000000Z``; tell whether it is UTC."""
    found = _MOMENT.fullmatch(text)
    try:
        if found is None:
            raise ValueError  # noqa: TRY301 - told below, with all that strptime refuses
        day = datetime.strptime(found[1], "%Y%m%d")  # noqa: DTZ007 - the zone comes beside it
        if found[2] is None:
            return datetime.combine(day, without_time), False
        moment = datetime.strptime(found[1] + found[2], "%Y%m%d%H%M%S")  # noqa: DTZ007 - the same
        return moment, found[3] is not None
    except ValueError:
        raise BadRule(f"{name} is not a date or time like 20260101T000000") from None


def _until(text: str, own: tzinfo) -> datetime:
    """Give the last moment of the rule as local time in its own zone."""
    until, is_utc = _moment("UNTIL", text, without_time=time.max)
    if not START_YEAR_MIN <= until.year <= START_YEAR_MAX:
        raise BadRule(f"UNTIL is not in the years {START_YEAR_MIN} to {START_YEAR_MAX}")
    if is_utc:
        until = until.replace(tzinfo=UTC).astimezone(own).replace(tzinfo=None)
    return until


def _parts(line: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in line.strip(";").split(";"):
        name, _, value = part.partition("=")
        if name in parts:
            raise BadRule(f"rrule has {name} twice")
        _check_part(name, value)
        parts[name] = value
    if "FREQ" not in parts:
        raise BadRule("rrule has no FREQ")
    return parts


def _check_part(name: str, value: str) -> None:
    """Refuse what dateutil would take for something else, or look for for ever."""
    if name == "FREQ":
        if value not in _FREQUENCIES:
            raise BadRule(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
    elif name == "INTERVAL":
        _number(name, value)
    elif name == "BYDAY":
        if not all(_WEEKDAY.fullmatch(item) for item in value.split(",")):
            raise BadRule("BYDAY must list weekdays like MO or 2TU")
    elif name in _NUMBERS_MAX:
        _check_numbers(name, value)
    elif name in _TIMES_MAX:
        if not (value.isascii() and value.isdecimal() and int(value[:3]) <= _TIMES_MAX[name]):
            raise BadRule(f"{name} must be one number, 0 to {_TIMES_MAX[name]}")
    elif name not in ("COUNT", "UNTIL", "WKST"):
        raise BadRule("rrule has a part that is not in RFC 5545, or is none that can be read")


def _check_numbers(name: str, value: str) -> None:
    for item in value.split(","):
        digits = item.lstrip("+-")
        if not re.fullmatch(r"[+-]?[0-9]{1,3}", item) or not 1 <= int(digits) <= _NUMBERS_MAX[name]:
            raise BadRule(
                f"{name} must list numbers of 1 to {_NUMBERS_MAX[name]}, before or after -"
            )


def _number(name: str, value: str) -> int:
    digits_max = COUNT_DIGITS_MAX if name == "COUNT" else INTERVAL_DIGITS_MAX
    if not re.fullmatch(rf"[0-9]{{1,{digits_max}}}", value) or int(value) == 0:
        raise BadRule(f"{name} must be a whole number of 1 to {10**digits_max - 1}")
    return int(value)


def _rule(parts: dict[str, str], start: datetime, until: datetime | None) -> rrule:
    """Make the rule CYCLE_YEARS later, and see that it occurs at all."""
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        rule = rrulestr(text, dtstart=start.replace(year=start.year + CYCLE_YEARS))
        assert isinstance(rule, rrule), "one RRULE alone gives no set of rules"
        if until is not None:
            rule = rule.replace(until=until.replace(year=until.year + CYCLE_YEARS))
        first = next(iter(rule), None)
    except (ValueError, TypeError, IndexError):
        raise BadRule("rrule is not as RFC 5545 has it") from None
    if first is None:
        raise BadRule("rrule never occurs")
    return rule
