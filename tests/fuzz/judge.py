"""What the wire contract says of each input, written once more and apart from the decoders.

Nothing here is theirs: JSON is read by the standard library, times by ``datetime``, and every
limit is stated again. A verdict is True (must be taken), False (must be refused) or None, where
the contract leaves it open.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from math import isfinite
from typing import Any, Final, NamedTuple

Verdict = bool | None
Says = Callable[[Any], Verdict]

ALNUM: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
NESTING_MAX: Final = 32
DATUMS: Final = ("wgs84", "gcj02", "bd09")


class Field(NamedTuple):
    """What a field may hold, and whether it must be there."""

    says: Says
    required: bool = False


Form = Mapping[str, Field]

# --- single values


def identifier(value: Any) -> bool:
    """1 to 64 of A-Z a-z 0-9 . _ : -, beginning with a letter or digit."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 64
        and value[0] in ALNUM
        and all(letter in ALNUM or letter in "._:-" for letter in value)
    )


def label(value: Any) -> bool:
    """Text of 1 to 128 characters."""
    return isinstance(value, str) and 1 <= len(value) <= 128


def text(value: Any) -> bool:
    """Text of at most 4,000 characters."""
    return isinstance(value, str) and len(value) <= 4000


def any_text(value: Any) -> bool:
    """Text of any length."""
    return isinstance(value, str)


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    """A finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    return isfinite(number)


def number(least: float, most: float = float("inf")) -> Says:
    """A number from ``least`` to ``most``."""
    return lambda value: is_number(value) and least <= value <= most


def whole(least: int, most: int) -> Says:
    """A whole number from ``least`` to ``most``, also written 2.0."""

    def judged_whole(value: Any) -> Verdict:
        if isinstance(value, float):
            return is_number(value) and value.is_integer() and least <= value <= most
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return judged_whole


def one_of(*values: str) -> Says:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in values


def each(says: Says) -> Says:
    """A list of such."""

    def judged(value: Any) -> Verdict:
        return isinstance(value, list) and all_of(*(says(item) for item in value))

    return judged


def all_of(*verdicts: Verdict) -> Verdict:
    """False if any is; else None if any is; else True."""
    return False if False in verdicts else None if None in verdicts else True


def judged(value: Any, form: Form) -> Verdict:
    """An object of this form; what is null, or an empty text and not required, is not there."""
    if not isinstance(value, dict):
        return False
    verdicts: list[Verdict] = []
    for name, field in form.items():
        item = value.get(name)
        if item is None or (item == "" and not field.required):
            verdicts.append(not field.required)
        else:
            verdicts.append(field.says(item))
    return all_of(*verdicts)


def of_form(form: Form) -> Says:
    """An object of this form."""
    return lambda value: judged(value, form)


# --- the forms of the contract

POSITION: Final[Form] = {
    "lon": Field(number(-180, 180), required=True),
    "lat": Field(number(-90, 90), required=True),
    "datum": Field(one_of(*DATUMS)),
}
PREMISES: Final[Form] = dict.fromkeys(
    ("name", "building", "unit", "floor", "entrance"), Field(text)
)
ORIGIN: Final[Form] = {
    "area_id": Field(identifier, required=True),
    "incident_id": Field(identifier, required=True),
}
ALERT: Final[Form] = {
    "alert_id": Field(identifier, required=True),
    "source": Field(identifier, required=True),
    "category": Field(label, required=True),
    "occurred_at": Field(any_text, required=True),
    "position": Field(of_form(POSITION)),
    "road_id": Field(label),
    "address": Field(text),
    "priority": Field(whole(1, 4)),
    "text": Field(text),
    "caller_id": Field(text),
    "callback": Field(text),
    "skills": Field(each(label)),
    "needed": Field(whole(1, 10**5000)),
    "forces": Field(each(label)),
    "place": Field(of_form(PREMISES)),
    "reported_by": Field(identifier),
    "confidence": Field(number(0, 1)),
    "evidence": Field(each(text)),
    "supersedes": Field(identifier),
    "drill": Field(flag),
    "origin": Field(of_form(ORIGIN)),
}
FIX: Final[Form] = {
    "area_id": Field(identifier),
    "member_id": Field(identifier),
    "device_id": Field(identifier),
    "lon": Field(number(-180, 180), required=True),
    "lat": Field(number(-90, 90), required=True),
    "fix_time": Field(lambda value: isinstance(value, str) and fix_ms(value) is not None, True),
    "datum": Field(one_of(*DATUMS)),
    "accuracy_m": Field(number(0)),
    "speed_mps": Field(number(-1)),
    "course_deg": Field(number(-360, 360)),
    "seq": Field(whole(0, 2**63 - 1)),
    "battery": Field(number(0, 1)),
    "alarm": Field(label),
}
ANSWERS: Final = ("accept", "decline", "en_route", "arrive", "request_backup", "complete")
WORDS: Final = (
    *("on_duty", "off_duty", "break", "resume", "report", "sighting", "check", "rectified", "note"),
)
MEMBER_ACTION: Final[Form] = {
    "action_id": Field(identifier, required=True),
    "member_id": Field(identifier, required=True),
    "at": Field(any_text, required=True),
    "action": Field(one_of(*ANSWERS, *WORDS), required=True),
    "dispatch_id": Field(identifier),
    "reason": Field(label),
    "outcome": Field(label),
    "text": Field(text),
    "position": Field(of_form(POSITION)),
    "device_ids": Field(each(identifier)),
}
ABOUT_ONE: Final = ("incident_id", "matter_id")
NEEDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    **dict.fromkeys(("dispatch", "stand_down"), (("incident_id",), ("member_id",))),
    "update": (ABOUT_ONE, ("fields",)),
    **dict.fromkeys(("message", "bulletin"), (("text",),)),
    **dict.fromkeys(("cancel", "unmerge"), (("incident_id",),)),
    "merge": (("incident_id",), ("into",)),
    **dict.fromkeys(("close", "reopen", "acknowledge", "triage", "sign"), (ABOUT_ONE,)),
    **dict.fromkeys(("return", "answer", "refer", "return_visit"), (ABOUT_ONE,)),
    "set_mode": (("mode",),),
    **dict.fromkeys(("close_road", "open_road"), (("road_id",),)),
}
"""What each action of a desk needs: of every group at least one field."""

OPERATOR_ACTION: Final[Form] = {
    "action_id": Field(identifier, required=True),
    "operator_id": Field(identifier, required=True),
    "at": Field(any_text, required=True),
    "action": Field(one_of(*NEEDS), required=True),
    "incident_id": Field(identifier),
    "matter_id": Field(identifier),
    "member_id": Field(identifier),
    "into": Field(identifier),
    "mode": Field(one_of("peacetime", "emergency")),
    "road_id": Field(label),
    "reason": Field(label),
    "text": Field(text),
    "fields": Field(lambda value: isinstance(value, dict) and free(value)),
}
SHIFT: Final[Form] = {
    "start": Field(any_text, required=True),
    "end": Field(any_text, required=True),
    "days": Field(each(one_of("mon", "tue", "wed", "thu", "fri", "sat", "sun"))),
    "rrule": Field(any_text),
    "timezone": Field(any_text),
}
ROAD_ROLE: Final[Form] = {
    "road_id": Field(label, required=True),
    "role": Field(one_of("owner", "team"), required=True),
}
ROSTER: Final[Form] = {
    "area_id": Field(identifier, required=True),
    "name": Field(label, required=True),
    "team": Field(label, required=True),
    "unit": Field(label),
    "rank": Field(one_of("member", "squad_leader", "squadron_leader", "brigade_leader")),
    "force": Field(one_of("brigade", "police", "grid", "enforcement")),
    "travel_mode": Field(one_of("walk", "ebike", "car")),
    "skills": Field(each(label)),
    "roads": Field(each(of_form(ROAD_ROLE))),
    "shifts": Field(each(of_form(SHIFT))),
    "post": Field(of_form(POSITION)),
    "device_ids": Field(each(identifier)),
}
WAKEUP: Final[Form] = {
    "incident_id": Field(any_text, required=True),
    "deadline": Field(any_text, required=True),
    "due_ms": Field(whole(-(2**63) + 1, 2**63 - 1), required=True),
}


def free(value: Any) -> bool:
    """Whatever JSON there is, as long as its numbers can be written again."""
    if isinstance(value, dict):
        return all(free(item) for item in value.values())
    if isinstance(value, list):
        return all(free(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return not isinstance(value, float) or is_number(value)


# --- whole records


def alert(found: dict[str, Any]) -> Verdict:
    """A record of ``alerts``."""
    placed = leniently_placed(found) if said(found, "road_id") or said(found, "address") else found
    somewhere = any(said(placed, name) for name in ("position", "road_id", "address"))
    return _placed_or_open(all_of(judged(placed, ALERT), somewhere), placed)


def member_action(found: dict[str, Any]) -> Verdict:
    """A record of ``member-actions``."""
    if found.get("action") not in ANSWERS:
        return judged(found, MEMBER_ACTION)
    if not said(found, "dispatch_id"):
        return False
    placed = leniently_placed(found)
    return _placed_or_open(judged(placed, MEMBER_ACTION), placed)


def operator_action(found: dict[str, Any]) -> Verdict:
    """A record of ``operator-actions``."""
    verdict = judged(found, OPERATOR_ACTION)
    if verdict is False:
        return False
    groups = NEEDS[found["action"]]
    return all_of(verdict, all(any(found.get(name) for name in group) for group in groups))


def roster(found: dict[str, Any]) -> Verdict:
    """A record of ``roster``; whether its shifts can be read is left open."""
    if found.get("member_id") is None:
        return False
    return all_of(judged(found, ROSTER), None if found.get("shifts") else True)


def wakeup(found: dict[str, Any]) -> Verdict:
    """A record of the engine's wake-ups."""
    return judged(found, WAKEUP)


def fix(found: Any, area_id: str) -> Verdict:
    """One object of ``positions``."""
    if not isinstance(found, dict):
        return False
    stated = found.get("area_id")
    if stated not in (None, "", area_id):
        return False
    if not said(found, "member_id") and not said(found, "device_id"):
        return False
    return judged(found, FIX)


def leniently_placed(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out a position that cannot be on Earth, or whose datum nobody knows."""
    position = found.get("position")
    if not isinstance(position, dict) or judged(position, POSITION):
        return found
    numbers = all(is_number(position.get(name)) for name in ("lon", "lat"))
    datum = position.get("datum")
    if numbers and (datum is None or isinstance(datum, str)):
        return {name: item for name, item in found.items() if name != "position"}
    return found


def _placed_or_open(verdict: Verdict, found: dict[str, Any]) -> Verdict:
    """Leave open what becomes of a place that is impossible, and is not even well-formed.

    All else being well, it may be left out or refused.
    """
    position = found.get("position")
    if verdict is not False or not isinstance(position, dict):
        return verdict
    odd = any(name in position and not POSITION[name].says(position[name]) for name in POSITION)
    return None if odd else False


def said(found: Mapping[str, Any], name: str) -> bool:
    """Whether a field is there and says something."""
    return found.get(name) not in (None, "")


# --- bytes


class Unreadable(Exception):
    """No JSON object can be made of the bytes."""


class TooDeep(Unreadable):
    """It nests deeper than Python reads."""


def read(value: bytes | None, bytes_max: int, *, is_event: bool) -> tuple[dict[str, Any], bool]:
    """Read a value as a generous JSON reader does; tell whether it nests deeper than is read.

    ``is_event`` where its headers say that it is a CloudEvent. Raises Unreadable.
    """
    if value is None or len(value) > bytes_max:
        raise Unreadable
    found, is_deep = _loads(value)
    has_data = "data" in found or "data_base64" in found
    if is_event or (isinstance(found.get("specversion"), str) and has_data):
        inner, inner_is_deep = _data_of(found)
        return inner, is_deep or inner_is_deep
    return found, is_deep


def _data_of(found: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    if "data" not in found:
        try:
            return _loads(base64.b64decode(found["data_base64"], validate=True))
        except (KeyError, TypeError, ValueError):
            raise Unreadable from None
    if not isinstance(found["data"], dict):
        raise Unreadable
    return found["data"], False


def _loads(value: bytes) -> tuple[dict[str, Any], bool]:
    try:
        found = json.loads(value.removeprefix(b"\xef\xbb\xbf").decode(), parse_int=_integer)
        if isinstance(found, dict):
            return _mended(found), _depth(found) > NESTING_MAX
    except ValueError:
        pass
    except RecursionError:
        raise TooDeep from None
    raise Unreadable


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 4000 else float(digits)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(item) for item in inner if isinstance(item, dict | list)), default=0)


def _mended(value: Any) -> Any:
    """Put U+FFFD for every lone surrogate."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(item) for name, item in value.items()}
    return value


# --- times

_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))"
)


def moment_ms(stated: str) -> int | None:
    """Read an RFC 3339 time as ms since the epoch by ``datetime``; None where it is none."""
    found = _MOMENT.fullmatch(stated)
    if found is None:
        return None
    day, hour, minute, second, fraction, utc, sign, offset_hour, offset_minute = found.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return None
    try:
        midnight = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    except ValueError:
        return None
    since = midnight - datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - as it is written
    since += timedelta(hours=int(hour), minutes=int(minute), seconds=int(second))
    if fraction is not None:
        since += timedelta(microseconds=int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5"))
    if utc is None:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            return None
        offset = timedelta(hours=int(offset_hour), minutes=int(offset_minute))
        since += -offset if sign == "+" else offset
    return since // timedelta(milliseconds=1)


def fix_ms(stated: str) -> int | None:
    """Read the time of a fix, which lies in the years 2000 to 2099."""
    ms = moment_ms(stated)
    return ms if ms is not None and 946_684_800_000 <= ms < 4_102_444_800_000 else None
