"""A mapping file read strictly: whatever is wrong in it is named by line and field, all at once."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from xiaohe.dispatch.inputs import Datum
from xiaohe.gateway.alerts.fields import is_identifier
from xiaohe.gateway.alerts.located_yaml import BadFile, Located, read_located
from xiaohe.gateway.alerts.mapping import (
    EPOCH_MS,
    EPOCH_S,
    FIELDS,
    GROUPS,
    REQUIRED,
    RFC3339,
    Feed,
    ResultRules,
    Rule,
    Scalar,
    time_text,
)

TOP: Final = (
    "feed", "about", "source", "area_id", "timezone", "datum", "list", "only", "alert", "results",
)  # fmt: skip
RULE: Final = (
    "path", "paths", "value", "table", "otherwise", "join", "format", "scale", "prefix", "of",
    "required",
)  # fmt: skip

PLACES: Final = frozenset({"position", "road_id", "address"})

T = TypeVar("T")


FORM_SAMPLE: Final = datetime(2030, 1, 31, 8, 5, 7, tzinfo=UTC)
"""A time by which a form is tried out: no two of its numbers are alike."""


class FeedFileError(BadFile):
    """A mapping file that cannot be used."""


class _Paths(JSONPathEnvironment):
    """RFC 9535 to the letter, without functions: a pattern of theirs could be slow on purpose."""

    def setup_function_extensions(self) -> None:
        """Have none."""


def read_feed(raw: bytes, name: str) -> Feed:
    """Read a mapping file. Raises FeedFileError with a line for each thing wrong."""
    try:
        found = read_located(raw, name)
    except BadFile as bad:
        raise FeedFileError(bad.problems) from None
    reading = _Reading(name)
    feed = reading.feed(found)
    if reading.problems or feed is None:
        raise FeedFileError(sorted(reading.problems, key=_line))
    return feed


def load_feeds(folder: Path) -> dict[str, Feed]:
    """Read every ``*.yaml`` of a folder, by the name of its feed. Raises FeedFileError."""
    problems: list[str] = []
    feeds: dict[str, Feed] = {}
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not paths:
        raise FeedFileError([f"{folder}: no mapping files (*.yaml) there"])
    for path in paths:
        try:
            feed = read_feed(path.read_bytes(), str(path))
        except FeedFileError as bad:
            problems.extend(bad.problems)
            continue
        if feed.name in feeds:
            problems.append(f"{path}: another file has the feed {feed.name} too")
        feeds[feed.name] = feed
    if problems:
        raise FeedFileError(problems)
    return feeds


def _line(problem: str) -> int:
    _, _, rest = problem.partition(":")
    number = rest.partition(":")[0]
    return int(number) if number.isdecimal() else 0


class _Reading:
    """One file's reading: gathers what is wrong and goes on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self._environment = _Paths(strict=True)

    def wrong(self, at: Located, what: str) -> None:
        self.problems.append(f"{self.name}:{at.line}: {at.name}: {what}")

    def feed(self, found: Located) -> Feed | None:
        """Read the whole; None where something is wrong."""
        top = self.mapping(found, TOP)
        rules = self.rules(top.get("alert"), found)
        zone = self.made(top, "timezone", ZoneInfo, "no IANA time zone such as Asia/Shanghai")
        name = self.identifier(top, "feed")
        only = self.only(top.get("only"))
        items = self.path(top["list"]) if "list" in top else None
        results = self.results(top.get("results"), rules)
        if "feed" not in top:
            self.wrong(found, "give the feed a name: `feed: my-110`")
        if zone is None and "timezone" not in top:
            self.wrong(
                found, "give the timezone of times that state none: `timezone: Asia/Shanghai`"
            )
        datum = self.text(top.get("datum")) or "wgs84"
        if datum not in get_args(Datum):
            self.wrong(top["datum"], f"must be one of {', '.join(get_args(Datum))}")
        if "source" not in top and ("source",) not in rules:
            self.wrong(found, "say the source, once for all or under alert")
        if self.problems:
            return None
        assert zone is not None, "a problem otherwise"
        return Feed(
            name=name or "",
            about=self.text(top.get("about")) or "",
            rules=rules,
            timezone=zone,
            datum=cast("Datum", datum),
            source=self.identifier(top, "source"),
            area_id=self.identifier(top, "area_id"),
            items=items,
            only=only,
            results=results,
        )

    def rules(self, found: Located | None, file: Located) -> dict[tuple[str, ...], Rule]:
        """Read the rules of the alert's fields."""
        if found is None:
            self.wrong(file, "there is no `alert:` with the fields' rules")
            return {}
        rules: dict[tuple[str, ...], Rule] = {}
        fields = self.mapping(found, FIELDS)
        for name, item in fields.items():
            if name in GROUPS:
                for inner, each in self.mapping(item, GROUPS[name]).items():
                    self.keep(rules, (name, inner), each)
            else:
                self.keep(rules, (name,), item, required=name in REQUIRED)
        for name in REQUIRED:
            if name not in fields:
                self.wrong(found, f"needs a rule for {name}")
        if not PLACES & fields.keys():
            self.wrong(found, "needs a rule for one of position, road_id and address")
        return rules

    def keep(
        self,
        rules: dict[tuple[str, ...], Rule],
        where: tuple[str, ...],
        found: Located,
        *,
        required: bool = False,
    ) -> None:
        rule = self.rule(found, required=required)
        if rule is not None:
            rules[where] = rule

    def rule(self, found: Located, *, required: bool = False) -> Rule | None:
        """Read one rule: a path alone, or a mapping."""
        if isinstance(found.value, str):
            path = self.path(found)
            stated = (found.value,)
            return None if path is None else Rule(paths=(path,), stated=stated, required=required)
        parts = self.mapping(found, RULE)
        if not parts:
            self.wrong(found, "must be a JSONPath such as $.call.id, or a mapping with `path`")
            return None
        if sum(key in parts for key in ("path", "paths", "value")) != 1:
            self.wrong(found, "needs exactly one of path, paths and value")
        stated = [parts["path"]] if "path" in parts else self.list(parts.get("paths"))
        paths = [path for each in stated if (path := self.path(each)) is not None]
        of = self.text(parts.get("of")) or "item"
        if of not in ("item", "document"):
            self.wrong(parts["of"], "must be item or document")
        return Rule(
            paths=tuple(paths),
            stated=tuple(str(each.value) for each in stated),
            value=self.scalar(parts.get("value")),
            table=self.table(parts.get("table")),
            otherwise=self.scalar(parts.get("otherwise")),
            join=self.text(parts.get("join")),
            form=self.form(parts.get("format")),
            scale=self.number(parts.get("scale")),
            prefix=self.text(parts.get("prefix")) or "",
            of_document=of == "document",
            required=self.flag(parts.get("required"), otherwise=required),
        )

    def only(self, found: Located | None) -> tuple[Rule, frozenset[str]] | None:
        """Read which items are alerts: ``{path: $.kind, is: [A, B]}``."""
        if found is None:
            return None
        parts = self.mapping(found, ("path", "is"))
        if "path" not in parts or "is" not in parts:
            self.wrong(found, "needs path and is: `only: {path: $.kind, is: [call]}`")
            return None
        path = self.path(parts["path"])
        wanted = parts["is"].plain()
        values = wanted if isinstance(wanted, list) else [wanted]
        texts = frozenset(str(value) for value in values)
        return None if path is None else (Rule(paths=(path,)), texts)

    def results(
        self, found: Located | None, rules: Mapping[tuple[str, ...], Rule]
    ) -> ResultRules | None:
        """Read what goes back."""
        if found is None:
            return None
        parts = self.mapping(found, ("statuses", "fields"))
        statuses = self.table(parts.get("statuses"))
        fields = {
            tuple(name.split(".")): rule
            for name, item in (parts["fields"].items() if "fields" in parts else {}).items()
            if (rule := self.rule(item)) is not None
        }
        if not statuses or not fields:
            self.wrong(found, "needs statuses (event: their word) and fields (their name: rule)")
            return None
        for where in fields:
            if any(where[:n] in fields for n in range(1, len(where))):
                self.wrong(parts["fields"], f"{'.'.join(where)} lies inside another field")
        alert_id = rules.get(("alert_id",))
        if alert_id is not None and not alert_id.prefix:
            self.wrong(found, "alert_id needs a prefix: by it results find back to their system")
        return ResultRules(statuses=statuses, fields=fields)

    # --- values: each gives what it is, or None and a problem

    def mapping(self, found: Located, allowed: tuple[str, ...]) -> dict[str, Located]:
        """Give a mapping's entries, naming those that nobody reads."""
        if not isinstance(found.value, Mapping):
            self.wrong(found, f"must be a mapping of {', '.join(allowed)}")
            return {}
        for key, item in found.value.items():
            if key not in allowed:
                self.wrong(item, f"is not read; known are {', '.join(allowed)}")
        return {key: item for key, item in found.value.items() if key in allowed}

    def list(self, found: Located | None) -> "list[Located]":
        if found is None:
            return []
        if isinstance(found.value, list) and found.value:
            return found.value
        self.wrong(found, "must be a list with something in it")
        return []

    def path(self, found: Located) -> JSONPath | None:
        """Compile a path: RFC 9535, without ``..`` and without functions."""
        text = found.value
        if not isinstance(text, str) or not text.startswith("$"):
            self.wrong(found, "must be a JSONPath that begins with $, such as $.call.id")
            return None
        if ".." in text:
            self.wrong(found, "name the way down: `..` looks everywhere")
            return None
        try:
            path = self._environment.compile(text)
        except (JSONPathError, RecursionError) as fault:
            self.wrong(found, f"no JSONPath ({str(fault).splitlines()[0]})")
            return None
        if not isinstance(path, JSONPath):
            self.wrong(found, "must be one JSONPath; use `paths` for several")
            return None
        return path

    def text(self, found: Located | None) -> str | None:
        if found is None:
            return None
        if not isinstance(found.value, str):
            self.wrong(found, "must be text: put it in quotes")
            return None
        return found.value

    def identifier(self, top: Mapping[str, Located], name: str) -> str | None:
        text = self.text(top.get(name))
        if text is not None and not is_identifier(text):
            self.wrong(top[name], "must be 1 to 64 of A-Z a-z 0-9 . _ : -")
        return text

    def scalar(self, found: Located | None) -> Scalar | None:
        if found is None:
            return None
        if isinstance(found.value, str | int | float):
            return found.value
        self.wrong(found, "must be one text, number, true or false")
        return None

    def number(self, found: Located | None) -> float:
        if found is None:
            return 1.0
        if isinstance(found.value, int | float) and not isinstance(found.value, bool):
            return float(found.value)
        self.wrong(found, "must be a number")
        return 1.0

    def flag(self, found: Located | None, *, otherwise: bool) -> bool:
        if found is None:
            return otherwise
        if isinstance(found.value, bool):
            return found.value
        self.wrong(found, "must be true or false")
        return otherwise

    def table(self, found: Located | None) -> dict[str, Scalar] | None:
        if found is None:
            return None
        if not isinstance(found.value, Mapping) or not found.value:
            self.wrong(found, "must be a mapping of their values to ours")
            return None
        return {
            key: value
            for key, item in found.value.items()
            if (value := self.scalar(item)) is not None
        }

    def form(self, found: Located | None) -> str | None:
        """Read a time's form, by writing a time in it and reading that."""
        text = self.text(found)
        if text is None or text in (EPOCH_S, EPOCH_MS, RFC3339):
            return text
        assert found is not None, "it has a text"
        written = FORM_SAMPLE.strftime(text)
        if "%" not in text or time_text(written, text, UTC) == written:
            self.wrong(
                found,
                f"must be {EPOCH_S}, {EPOCH_MS}, {RFC3339} or like %Y-%m-%d %H:%M:%S",
            )
        return text

    def made(
        self, top: Mapping[str, Located], name: str, make: Callable[[str], T], what: str
    ) -> T | None:
        text = self.text(top.get(name))
        if text is None:
            return None
        try:
            return make(text)
        except (ValueError, LookupError, OSError):
            self.wrong(top[name], what)
            return None
