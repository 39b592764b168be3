"""Times, shifts and recurrence rules: the small languages inside the records."""

import json
from random import Random
from typing import Any, Final

import msgspec

from tests.fuzz import judge
from tests.fuzz.mutation import TIMES, JsonMutator, TextMutator
from tests.fuzz.target import Target
from tests.fuzz.wire import SHIFTS
from xiaohe.dispatch.inputs import Shift
from xiaohe.dispatch.shifts import BadShift, Schedule, intervals, parse_shifts
from xiaohe.dispatch.times import BadTime, parse_rfc3339, rfc3339
from xiaohe.wire.fix_times import parse_all

GOOD: Final = ("2026-11-23T09:15:02Z", "2026-11-23T09:15:02.123456+08:00")


def times(data: bytes) -> bool:
    """An RFC 3339 time: the one parser, the one for whole records and ``datetime`` agree."""
    stated = data.decode(errors="replace")
    wanted = judge.moment_ms(stated)
    try:
        found = parse_rfc3339(stated)
    except BadTime:
        assert wanted is None, "a wrong refusal"
        _refused_in_company(stated)
        return False
    assert found == wanted, "a wrong acceptance, or another moment"
    assert list(parse_all([stated, *GOOD, stated])) == [
        found, *map(parse_rfc3339, GOOD), found
    ]  # fmt: skip
    try:
        written = rfc3339(found)
    except ValueError:
        return True  # the years 0 and 10000, which an offset reaches
    assert parse_rfc3339(written) == found
    return True


def _refused_in_company(stated: str) -> None:
    try:
        parse_all([*GOOD, stated])
    except BadTime:
        return
    raise AssertionError("taken in company, and refused alone")


AT_MS: Final = 1_795_425_302_123
DAY_MS: Final = 86_400_000
MOMENTS_MS: Final = (AT_MS, AT_MS + 3 * 3_600_000, AT_MS + 100 * DAY_MS)


def shifts(data: bytes) -> bool:
    """A member's shifts: what can be read says at every moment who is on duty, and till when."""
    try:
        stated = msgspec.json.decode(data, type=tuple[Shift, ...])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    try:
        parsed = parse_shifts(stated)
    except BadShift:
        return False
    schedule = Schedule(parsed)
    for at_ms in MOMENTS_MS:
        duty = schedule.duty_at(at_ms)
        assert duty.since_ms <= at_ms < duty.until_ms
        found = intervals(parsed, at_ms, at_ms + 7 * DAY_MS)
        assert all(begin < end for begin, end in found)
        assert duty.on_duty == any(begin <= at_ms < end for begin, end in found)
        boundary_ms = schedule.next_boundary_ms(at_ms)
        assert boundary_ms is None or boundary_ms > at_ms
    return True


_ZONES: Final = (
    "Asia/Shanghai",
    "UTC",
    "America/New_York",
    "Asia",
    "../UTC",
    "a\x00",
    "",
    "x" * 300,
)
_RULES: Final = (
    *("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,TU", "FREQ=MONTHLY;BYDAY=2TU", "FREQ=YEARLY;BYMONTH=2"),
    *("FREQ=YEARLY;BYMONTHDAY=30;BYMONTH=2", "FREQ=DAILY;COUNT=5", "FREQ=DAILY;UNTIL=20270101"),
    *("DTSTART;TZID=Asia/Tokyo:20260101T000000\nRRULE:FREQ=DAILY;INTERVAL=3", "FREQ=HOURLY"),
    *("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU", "FREQ=YEARLY;BYYEARDAY=366", "FREQ=DAILY;BYHOUR=24"),
    *("FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU,WE,TH,FR", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;X=1"),
)
_RULE_TEXT: Final = TextMutator(
    [rule.encode() for rule in _RULES],
    [b"FREQ=", b"DAILY", b"WEEKLY", b"BYDAY=", b"MO", b"-1SU", b";", b",", b"COUNT=", b"UNTIL=",
     b"INTERVAL=", b"999", b"BYMONTH=2", b"BYSETPOS=366", b"DTSTART:", b"20260101T000000Z", b"\n"],
)  # fmt: skip


class _ShiftMutator(JsonMutator):
    """Knows rules, zones and clocks."""

    def changed(self, value: bytes, rng: Random) -> Any:
        """Change the fields, and the language in one of them."""
        found = super().changed(value, rng) if rng.random() < 0.5 else self._parsed(value)
        for shift in found if isinstance(found, list) else ():
            if isinstance(shift, dict) and rng.random() < 0.5:
                stated = shift.get("rrule")
                rule = stated if isinstance(stated, str) else rng.choice(_RULES)
                if "rrule" in shift or rng.random() < 0.5:
                    shift["rrule"] = _RULE_TEXT(rule.encode("utf-8", "replace"), rng).decode(
                        errors="replace"
                    )
                shift["timezone"] = rng.choice(_ZONES[:3] if rng.random() < 0.8 else _ZONES)
        return found

    def _parsed(self, value: bytes) -> Any:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return []


_TIME_TEXT: Final = TextMutator(
    [each.encode() for each in TIMES],
    [b"2026", b"-", b":", b"T", b"Z", b"+08:00", b".5", b"60", b"24", b"00", b"31", b"0", b"9999"],
)

TARGETS: Final = (
    Target("times", times, [each.encode() for each in TIMES[:8]], _TIME_TEXT, bytes_max=64,
           quick=35_000),
    Target("shifts", shifts, [json.dumps([each]).encode() for each in SHIFTS],
           _ShiftMutator([[each] for each in SHIFTS], (*_ZONES, *_RULES, "08:00", "24:00")),
           quick=1_500),
)  # fmt: skip
