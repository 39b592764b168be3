"""Policy: the figures by which the engine decides, per priority, mode, category and area."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from xiaohe.dispatch.inputs import Identifier, Label
from xiaohe.dispatch.yaml_text import BadYaml, read_yaml

VERSION_HEX_DIGITS = 12
"""Digits of the hash that names a version of the policy."""

Seconds = Annotated[float, Meta(ge=0, le=31 * 86_400)]
Metres = Annotated[float, Meta(ge=0, le=1_000_000)]

DURATIONS = (
    "accept_s",
    "arrive_s",
    "backup_s",
    "offer_s",
    "fix_s",
    "silent_s",
    "turnout_s",
    "dwell_s",
    "retry_s",
    "squadron_leader_s",
    "brigade_leader_s",
    "duplicate_s",
    "callback_s",
    "joint_s",
    "joint_gain_s",
    "even_s",
    "swap_gain_s",
    "swap_again_s",
)
"""The fields of Rules that a faster clock divides."""

PEACETIME, EMERGENCY = "peacetime", "emergency"


class PolicyError(Exception):
    """The policy cannot be used; the message says where and what to do."""


class Area(Struct, frozen=True, forbid_unknown_fields=True):
    """One jurisdiction."""

    area_id: Identifier
    name: Label
    timezone: str = "Asia/Shanghai"
    neighbours: tuple[Identifier, ...] = ()
    mode: Literal["peacetime", "emergency"] = "peacetime"


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for one incident; meanings beside the defaults in ``data/policy.yaml``."""

    accept_s: Seconds
    arrive_s: Seconds
    backup_s: Seconds | None
    backup: Literal["always", "on_need", "never"]
    needed: Annotated[int, Meta(ge=1, le=50)]
    offer_s: Seconds
    fix_s: Seconds
    silent_s: Seconds
    turnout_s: Seconds
    min_progress_m: Metres
    scene_radius_m: Metres
    dwell_s: Seconds
    retry_s: Annotated[float, Meta(gt=0)]
    squadron_leader_s: Seconds
    brigade_leader_s: Seconds
    duplicate_m: Metres
    duplicate_s: Seconds
    off_road_max_m: Metres
    forces: tuple[str, ...]
    callback_s: Seconds
    joint_s: Seconds
    joint_gain_s: Seconds
    even_s: Seconds
    swap_gain_s: Seconds
    swap_again_s: Seconds
    swap_max: Annotated[int, Meta(ge=0, le=10)]


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    set: dict[str, object]
    when: dict[str, object] = {}


class _DeadLetters(Struct, frozen=True, forbid_unknown_fields=True):
    keep_heads: bool = False


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    rules: tuple[_Entry, ...] = ()
    areas: tuple[Area, ...] | None = None
    dead_letters: _DeadLetters | None = None


class Policy:
    """Rules looked up by what an incident is. Values only: safe to share."""

    def __init__(self, file: _File, version: str, speed: float) -> None:
        self._file = file
        self._speed = speed
        self._rules: dict[tuple[int, str, str, str], Rules] = {}
        self._named = {name: _named(file.rules, name) for name in ("category", "area")}
        self.version = version
        self.areas: Mapping[str, Area] = {a.area_id: a for a in file.areas or ()}
        self.keep_heads = (file.dead_letters or _DeadLetters()).keep_heads

    @property
    def speed(self) -> float:
        """Give what every duration is divided by: that of a demo."""
        return self._speed

    @cached_property
    def default_mode(self) -> str:
        """Give the mode of an area that the policy does not name."""
        return PEACETIME

    def mode_of(self, area_id: str) -> str:
        """Give the mode in which an area begins."""
        area = self.areas.get(area_id)
        return area.mode if area is not None else self.default_mode

    @cached_property
    def fix_s_max(self) -> float:
        """Give the longest ``fix_s`` of any rule: an older fix is of use to no decision."""
        said = [entry.set["fix_s"] for entry in self._file.rules if "fix_s" in entry.set]
        return max(msgspec.convert(said, list[float])) / self._speed

    def neighbours(self, area_id: str) -> tuple[str, ...]:
        """Give the areas that may be asked for mutual aid, in the order in which to ask."""
        area = self.areas.get(area_id)
        return area.neighbours if area is not None else ()

    def rules(self, priority: int, mode: str, category: str, area_id: str) -> Rules:
        """Give what holds for such an incident."""
        # Senders make categories up; all that the policy does not name have the same rules, so
        # that what is kept here is bounded by the policy.
        key = (
            priority,
            mode,
            self._if_named("category", category),
            self._if_named("area", area_id),
        )
        if key not in self._rules:
            facts = {"priority": priority, "mode": mode, "category": category, "area": area_id}
            self._rules[key] = _folded(self._file.rules, facts, self._speed)
        return self._rules[key]

    def _if_named(self, name: str, value: str) -> str:
        return value if value in self._named[name] else ""


def _named(entries: Iterable[_Entry], name: str) -> frozenset[str]:
    """Give the values that any entry asks for."""
    wanted = (entry.when[name] for entry in entries if name in entry.when)
    lists = (want if isinstance(want, list) else [want] for want in wanted)
    return frozenset(str(value) for values in lists for value in values)


def _folded(entries: Iterable[_Entry], facts: Mapping[str, object] | None, speed: float) -> Rules:
    """Lay the entries that match over each other (``facts`` None: all of them, to check them)."""
    values: dict[str, object] = {}
    for entry in entries:
        if facts is None or all(_matches(facts[name], want) for name, want in entry.when.items()):
            values |= entry.set
    rules = msgspec.convert(values, Rules)
    faster = {
        name: value / speed for name in DURATIONS if (value := getattr(rules, name)) is not None
    }
    return msgspec.structs.replace(rules, **faster)


def _matches(value: object, want: object) -> bool:
    return value in want if isinstance(want, list) else value == want


def load_policy(raw: bytes, *, base: bytes | None = None, speed: float = 1.0) -> Policy:
    """Read a policy file (YAML), laid over ``base``; ``speed`` divides every duration.

    A file over a base need only hold what it changes: its ``rules`` are laid over the base's one
    by one, its ``areas`` and its ``dead_letters`` take the place of the base's where it has any.
    Raises PolicyError with the place of the fault.
    """
    assert speed > 0, "a clock runs forward"
    file = _read(raw)
    if base is not None:
        under = _read(base)
        file = _File(
            rules=(*under.rules, *file.rules),
            areas=under.areas if file.areas is None else file.areas,
            dead_letters=file.dead_letters or under.dead_letters,
        )
    _check(file)
    digest = sha256((base or b"") + raw).hexdigest()[:VERSION_HEX_DIGITS]
    return Policy(file, digest, speed)


def _read(raw: bytes) -> _File:
    try:
        return msgspec.convert(read_yaml(raw), _File)
    except RecursionError:
        raise PolicyError("policy: a value holds itself; data/policy.yaml shows every value") from (
            None
        )
    except (BadYaml, msgspec.MsgspecError) as fault:
        raise PolicyError(f"policy: {fault}; data/policy.yaml shows every value") from None


def _check(file: _File) -> None:
    if not file.rules:
        raise PolicyError("policy: `rules` is empty; data/policy.yaml shows every value")
    if file.rules[0].when:
        raise PolicyError(
            "policy: rules[0] holds for everything, so it has no `when`: put an entry that sets "
            "every value before it; data/policy.yaml shows every value"
        )
    try:
        for n, entry in enumerate(file.rules):
            unknown = set(entry.when) - {"priority", "mode", "category", "area"}
            if unknown:
                raise PolicyError(f"policy: rules[{n}].when knows no {min(unknown)!r}")
            _folded((file.rules[0], entry), None, 1.0)
    except msgspec.MsgspecError as fault:
        raise PolicyError(f"policy: {fault}; data/policy.yaml shows every value") from None
