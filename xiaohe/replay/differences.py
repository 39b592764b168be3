"""Where two records differ: the first place, and what stands there in each."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

SHOWN_CHARACTERS: Final = 200
"""Of a value that is shown; a whole candidate list helps nobody."""

NOTHING: Final = "(nothing)"
"""Shown for what one side does not have."""


class Place(NamedTuple):
    """The first difference: ``where`` is a path such as ``decision.facts[2].eta_s``."""

    where: str
    recorded: str
    again: str


def first_difference(recorded: object, again: object, where: str = "") -> Place | None:
    """Compare two values of JSON, field by field; None where they are equal."""
    if isinstance(recorded, Mapping) and isinstance(again, Mapping):
        keys = [*recorded, *(key for key in again if key not in recorded)]
        pairs = [(_field(where, key), recorded, again, key) for key in keys]
        for path, one, other, key in pairs:
            if key not in one or key not in other:
                return Place(path, _shown(one, key), _shown(other, key))
            found = first_difference(one[key], other[key], path)
            if found is not None:
                return found
        return None
    if _is_list(recorded) and _is_list(again):
        assert isinstance(recorded, Sequence)
        assert isinstance(again, Sequence)
        return _in_lists(recorded, again, where)
    if type(recorded) is type(again) and recorded == again:
        return None
    return Place(where, _short(recorded), _short(again))


def _in_lists(recorded: Sequence[object], again: Sequence[object], where: str) -> Place | None:
    for n, (one, other) in enumerate(zip(recorded, again, strict=False)):
        if _type(one) != _type(other):
            return Place(f"{where}[{n}]", _short(_type(one) or one), _short(_type(other) or other))
        found = first_difference(one, other, f"{where}[{n}]{_label(one)}")
        if found is not None:
            return found
    if len(recorded) == len(again):
        return None
    n = min(len(recorded), len(again))
    left = [_short(_type(each[n]) or each[n]) if n < len(each) else NOTHING
            for each in (recorded, again)]  # fmt: skip
    return Place(f"{where}[{n}]", left[0], left[1])


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _field(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _type(value: object) -> object:
    """Give the type of a fact: two facts of different types are not compared field by field."""
    return value.get("type") if isinstance(value, Mapping) else None


def _label(value: object) -> str:
    kind = _type(value)
    return f"({kind})" if isinstance(kind, str) else ""


def _shown(value: Mapping[str, object], key: str) -> str:
    return _short(value[key]) if key in value else NOTHING


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
