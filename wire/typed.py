"""A plain JSON object to a struct of the contract, with every failure named by code and field."""

import math
import re
from functools import cache
from typing import TypeVar

import msgspec

from xiaohe.dispatch.reasons import Reason
from xiaohe.wire.bad_input import BadInput

INTEGER_MAX = 2**63 - 1
"""Integers beyond 64 bits cannot be written by common JSON writers, ours among them."""

S = TypeVar("S", bound=msgspec.Struct)

_JSON_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "text",
}

# The forms of message of msgspec.ValidationError, tried in order (tests hold them to the
# installed version). None is passed on as it is: one of them repeats the sender's value.
_FORMS: tuple[tuple[re.Pattern[str], Reason, str], ...] = (
    (
        re.compile(r"Object missing required field `(?P<what>\w+)`"),
        Reason.MISSING_FIELD,
        "{at} needs the field {what}",
    ),
    (
        re.compile(r"Expected `str` matching regex"),
        Reason.BAD_IDENTIFIER,
        "{at} is not an identifier (1 to 64 of A-Z a-z 0-9 . _ : -)",
    ),
    (
        re.compile(r"Expected `str` of length >= 1\b"),
        Reason.EMPTY_TEXT,
        "{at} is empty",
    ),
    (
        re.compile(r"Expected `str` of length <= (?P<what>\d+)"),
        Reason.OVERSIZE,
        "{at} is longer than {what} characters",
    ),
    (
        re.compile(r"Expected `(?:int|float)` (?P<what>[<>]=? [-+.e\d]+)"),
        Reason.OUT_OF_RANGE,
        "{at} must be {what}",
    ),
    (
        re.compile(r"Number out of range|Integer value out of range"),
        Reason.NOT_FINITE,
        "{at} is too large",
    ),
    (
        re.compile(r"Invalid enum value"),
        Reason.UNKNOWN_VALUE,
        "{at} is not one of the contract's values",
    ),
    (
        re.compile(r"Expected `(?P<what>\w+)(?: \| null)?`(?:, got `\w+`)?"),
        Reason.WRONG_TYPE,
        "{at} must be {what}",
    ),
)
_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def typed(source: dict[str, object], struct: type[S]) -> S:
    """Make a struct of a JSON object; unknown fields are ignored, whatever they hold.

    A null, or an empty text, in a field that is not required is as if the field were not there. A
    whole number may be written 2.0. Raises BadInput with the path of the first field that does
    not fit.
    """
    stated = _stated(source, struct)
    try:
        made = msgspec.convert(stated, struct)
    except msgspec.ValidationError as error:
        raise _bad_input(str(error), stated) from None
    _check_numbers(made, "")
    return made


def _stated(source: dict[str, object], struct: type[msgspec.Struct]) -> dict[str, object]:
    """Keep the known fields that say something, in nested objects of the contract too."""
    kept: dict[str, object] = {}
    for name, required, inner, is_integer in _plan(struct):
        item = source.get(name)
        if item is None or (item == "" and not required):
            continue
        if inner is not None:
            item = _stated_inside(item, inner)
        elif is_integer and isinstance(item, float) and item.is_integer():
            item = int(item)
        kept[name] = item
    return kept


def _stated_inside(item: object, inner: type[msgspec.Struct]) -> object:
    if isinstance(item, dict):
        return _stated(item, inner)
    if isinstance(item, list):
        return [_stated(each, inner) if isinstance(each, dict) else each for each in item]
    return item


@cache
def _plan(
    struct: type[msgspec.Struct],
) -> tuple[tuple[str, bool, type[msgspec.Struct] | None, bool], ...]:
    """Name, required or not, inner struct and whether an integer, of each field."""
    return tuple(
        (field.encode_name, field.required, _struct_in(field.type), _is_integer(field.type))
        for field in msgspec.structs.fields(struct)
    )


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """Find the struct in ``X``, ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    for part in getattr(kind, "__args__", ()):
        found = _struct_in(part)
        if found is not None:
            return found
    return None


def _is_integer(kind: object) -> bool:
    if kind is int:
        return True
    parts = (getattr(kind, "__origin__", None), *getattr(kind, "__args__", ()))
    return any(_is_integer(part) for part in parts if part is not None)


def _bad_input(message: str, stated: dict[str, object]) -> BadInput:
    found = _PATH.search(message)
    path = found["path"] if found else ""
    at = path.removeprefix(".") or "the value"
    if _is_not_finite(_value_at(stated, path)):
        return BadInput(Reason.NOT_FINITE, f"{at} is not a finite number")
    for form, reason, detail in _FORMS:
        match = form.match(message)
        if match:
            what = match.groupdict().get("what") or ""
            return BadInput(reason, detail.format(at=at, what=_JSON_NAMES.get(what, what)))
    return BadInput(Reason.WRONG_TYPE, f"{at} is not as the contract says")


def _value_at(stated: object, path: str) -> object:
    for name, index in _STEP.findall(path):
        if name and isinstance(stated, dict):
            stated = stated.get(name)
        elif index and isinstance(stated, list | tuple):
            stated = stated[int(index)]
        else:
            return None
    return stated


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _check_numbers(value: object, at: str) -> None:
    """Refuse NaN, infinities and integers beyond 64 bits, also where a field is free in form."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadInput(Reason.NOT_FINITE, f"{at} is not a finite number")
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise BadInput(Reason.OUT_OF_RANGE, f"{at} does not fit 64 bits")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_numbers(getattr(value, name), f"{at}.{name}" if at else name)
    elif isinstance(value, dict):
        for item in value.values():  # keys of a free object are the sender's words: not repeated
            _check_numbers(item, f"{at}[…]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_numbers(item, f"{at}[{index}]")
