"""From the JSON of somebody else's system to an alert, by rules that an operator wrote.

A rule says where a value is (JSONPath, RFC 9535), what it is called here, and what counts where
there is none. Rules come from the operator's file alone and are compiled once; a document is only
ever looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import sha256
from math import isfinite
from typing import Final

from jsonpath import JSONPath

from xiaohe.dispatch.inputs import ALERT_TEXT_CHARACTERS_MAX, Datum
from xiaohe.dispatch.reasons import Reason
from xiaohe.dispatch.times import BadTime, ms_of, parse_rfc3339, rfc3339
from xiaohe.gateway.alerts.fields import Fields, is_identifier
from xiaohe.wire.bad_input import BadInput

LABEL_CHARACTERS_MAX: Final = 128
"""Of a category and the like, from the contract; longer ones are cut off."""

LIST_ITEMS_MAX: Final = 20
"""Skills, forces or pieces of evidence that are taken from one document."""

ID_DIGITS: Final = 20
"""Hexadecimal digits in place of an id that the contract cannot write."""

EPOCH_S, EPOCH_MS, RFC3339 = "epoch_s", "epoch_ms", "rfc3339"
"""Forms of a time beside those of ``strptime``."""

TEXTS: Final = (
    "alert_id", "area_id", "source", "category", "occurred_at", "road_id", "address", "text",
    "caller_id", "callback", "reported_by", "supersedes",
)  # fmt: skip
IDENTIFIERS: Final = frozenset({"alert_id", "supersedes"})
LABELS: Final = frozenset({"category", "road_id"})
INTEGERS: Final = ("priority", "needed")
NUMBERS: Final = ("confidence",)
FLAGS: Final = ("drill",)
LISTS: Final = ("skills", "forces", "evidence")
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "position": ("lon", "lat"),
    "place": ("name", "building", "unit", "floor", "entrance"),
}
FIELDS: Final = (*TEXTS, *INTEGERS, *NUMBERS, *FLAGS, *LISTS, *GROUPS)
REQUIRED: Final = ("alert_id", "category", "occurred_at")
"""Fields that every feed has to give a rule for; area and source may be said once for all."""

YES: Final = frozenset({"1", "true", "yes", "y", "是"})

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where one value comes from: the first of ``paths`` where there is one, else ``otherwise``.

    ``join`` puts all of them together instead, ``table`` gives each value its name here, ``form``
    says how a time is written, ``scale`` multiplies a number, ``prefix`` stands before a text.
    ``of_document`` looks at the whole document instead of one item of its list; ``stated`` is the
    paths as the file has them, for messages.
    """

    paths: tuple[JSONPath, ...] = ()
    stated: tuple[str, ...] = ()
    value: Scalar | None = None
    table: Mapping[str, Scalar] | None = None
    otherwise: Scalar | None = None
    join: str | None = None
    form: str | None = None
    scale: float = 1.0
    prefix: str = ""
    of_document: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRules:
    """What goes back to whom the alert came from: the words for events, and the fields."""

    statuses: Mapping[str, Scalar]
    fields: Mapping[tuple[str, ...], Rule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One system's JSON and how it is read."""

    name: str
    about: str
    rules: Mapping[tuple[str, ...], Rule]
    timezone: tzinfo
    datum: Datum = "wgs84"
    source: str | None = None
    area_id: str | None = None
    items: JSONPath | None = None
    only: tuple[Rule, frozenset[str]] | None = None
    results: ResultRules | None = None


def _matches(path: JSONPath, looked_at: object) -> list[object]:
    """Find all; a bare text, which the library would read as JSON, holds nothing."""
    return [] if isinstance(looked_at, str) else list(path.findall(looked_at))  # type: ignore[arg-type]


def items_of(feed: Feed, document: object) -> list[object]:
    """Give what of a document is to become an alert each: its list's items, else all of it."""
    items = [document] if feed.items is None else _matches(feed.items, document)
    if feed.only is None:
        return items
    rule, wanted = feed.only
    return [item for item in items if text_of(_found(rule, item, document)) in wanted]


def fields_of(feed: Feed, item: object, document: object) -> Fields:
    """Make an alert of one item. Raises BadInput (missing_field) naming the field and its paths."""
    made: Fields = {"source": feed.source, "area_id": feed.area_id}
    for where, rule in feed.rules.items():
        found = _field(feed, where, rule, item, document)
        if found is None and rule.required:
            paths = ", ".join(rule.stated)
            raise BadInput(Reason.MISSING_FIELD, f"{'.'.join(where)}: nothing at {paths}")
        if found is None:
            continue
        if len(where) == 1:
            made[where[0]] = found
        else:
            group = made.setdefault(where[0], {})
            assert isinstance(group, dict), "groups have their own names"
            group[where[1]] = found
    return _without_nowhere(feed, made)


def _without_nowhere(feed: Feed, made: Fields) -> Fields:
    """Keep a position only where it is whole, and not the 0, 0 that stands for none."""
    position = made.pop("position", None)
    if isinstance(position, dict) and {"lon", "lat"} <= position.keys() and any(position.values()):
        made["position"] = {**position, "datum": feed.datum}
    return {name: item for name, item in made.items() if item not in (None, "", [])}


def _field(
    feed: Feed, where: tuple[str, ...], rule: Rule, item: object, document: object
) -> object:
    name = where[-1]
    if name in LISTS:
        found = _all(rule, item, document)
        return [text for each in found if (text := text_of(_named(rule, each)))][:LIST_ITEMS_MAX]
    found = _found(rule, item, document)
    if found is None:
        return None
    if name == "occurred_at":
        return time_text(found, rule.form, feed.timezone)
    if name in FLAGS:
        return text_of(found).casefold() in YES
    if name in (*INTEGERS, *NUMBERS, "lon", "lat"):
        return _number(found, rule.scale, whole=name in INTEGERS)
    return _text(name, rule, found)


def _text(name: str, rule: Rule, found: object) -> str | None:
    text = text_of(found)
    if not text:
        return None
    if name in IDENTIFIERS:
        return identifier(rule.prefix, text)
    longest = LABEL_CHARACTERS_MAX if name in LABELS else ALERT_TEXT_CHARACTERS_MAX
    return (rule.prefix + text)[:longest]


def identifier(prefix: str, text: str) -> str:
    """Give an id with its feed's prefix; one that the contract cannot write becomes a hash."""
    whole = prefix + text
    if is_identifier(whole):
        return whole
    return prefix + sha256(text.encode(errors="replace")).hexdigest()[:ID_DIGITS]


def _found(rule: Rule, item: object, document: object) -> object:
    """Give what a rule finds; None where that says nothing."""
    if rule.value is not None:
        return rule.value
    texts = _all(rule, item, document)
    if rule.join is not None:
        return rule.join.join(text_of(_named(rule, text)) for text in texts) or rule.otherwise
    found = next(iter(texts), None)
    return rule.otherwise if found is None else _named(rule, found)


def _all(rule: Rule, item: object, document: object) -> list[object]:
    """Give every value that says something, path by path."""
    if rule.value is not None:
        return [rule.value]
    looked_at = document if rule.of_document else item
    return [
        value
        for path in rule.paths
        for value in _matches(path, looked_at)
        if isinstance(value, str | int | float) and value != ""
    ]


def _named(rule: Rule, value: object) -> object:
    """Give the name that the table has for a value."""
    if rule.table is None:
        return value
    return rule.table.get(text_of(value), rule.otherwise)


def text_of(value: object) -> str:
    """Give a plain value as text; nothing for null, lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _number(value: object, scale: float, *, whole: bool) -> float | int | None:
    try:
        number = float(text_of(value)) * scale
    except (ValueError, OverflowError):
        return None
    if not isfinite(number):
        return None
    return round(number) if whole else number


def time_text(value: object, form: str | None, timezone: tzinfo) -> str:
    """Give a time as RFC 3339; one that cannot be read stays as it is, for a person to look at.

    A time without an offset is of the feed's zone.
    """
    text = text_of(value)
    try:
        if form in (EPOCH_S, EPOCH_MS):
            return rfc3339(round(float(text) * (1_000 if form == EPOCH_S else 1)))
        if form in (None, RFC3339):
            parse_rfc3339(text)
            return text
        assert form is not None, "the other forms are above"
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone follows
        return rfc3339(ms_of(moment if moment.tzinfo else moment.replace(tzinfo=timezone)))
    except (BadTime, ValueError, OverflowError):
        return text


def written_fields(rules: Mapping[tuple[str, ...], Rule], document: object, zone: tzinfo) -> Fields:
    """Make an object of rules the other way: times in their form, texts without their prefix."""
    made: Fields = {}
    for where, rule in rules.items():
        found = _found(rule, document, document)
        if rule.form is not None and found is not None:
            found = _local(text_of(found), rule.form, zone)
        if isinstance(found, str) and rule.prefix:
            found = found.removeprefix(rule.prefix)
        _put(made, where, found)
    return made


def _local(text: str, form: str, zone: tzinfo) -> object:
    moment_ms = parse_rfc3339(text)
    if form == EPOCH_MS:
        return moment_ms
    if form == EPOCH_S:
        return moment_ms // 1_000
    if form == RFC3339:
        return text
    return datetime.fromtimestamp(moment_ms / 1_000, zone).strftime(form)


def _put(made: Fields, where: Sequence[str], value: object) -> None:
    for step in where[:-1]:
        inner = made.setdefault(step, {})
        assert isinstance(inner, dict), "the file's check has seen to it"
        made = inner
    made[where[-1]] = value
