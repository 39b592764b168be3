"""docs/limits.md says what the code does: its figures are the constants, and none is missing."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import xiaohe.dispatch
import xiaohe.gateway
import xiaohe.geo
import xiaohe.streams
import xiaohe.wire
from xiaohe.topics import load_topics
from xiaohe.wire.codec_common import CONTRACT_LIMITS

PAGE = (Path(__file__).parent.parent / "docs" / "limits.md").read_text()
ROW = re.compile(r"^\| [^|]+ \| ([^|]+) \| [^|]+ \| [^|]+ \| `([\w.]+)` \|$", re.MULTILINE)
ROWS = [(limit.strip(), name) for limit, name in ROW.findall(PAGE)]
FIGURE = re.compile(r"([\d,]+) ([\w-]+)$")
IN_BYTES = {"bytes": 1, "KiB": 1024, "MiB": 1024**2}
IN_MS = {"ms": 1, "s": 1_000, "h": 3_600_000, "d": 86_400_000}

GROWS = re.compile(
    r"(_KEPT_MAX|_WAITING_MAX|_PER_TICK_MAX|ENTRIES_MAX|UNDER_WAY_MAX|BYTES_MAX|_HIGH)$"
)
"""How the limits of what grows with what comes in are called."""

OF_FILES = {"geo.files.UNPACKED_BYTES_MAX"}
"""Limits of what an operator brings, not of what comes in."""


def constant(name: str) -> object:
    """What a dotted name below ``xiaohe`` stands for."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(f"xiaohe.{module}"), last)
    except ModuleNotFoundError:
        return getattr(constant(module), last)


@pytest.mark.parametrize(("limit", "name"), ROWS)
def test_a_limit_is_as_the_page_says(limit: str, name: str) -> None:
    """The figure in the table is the constant's, in its unit."""
    found = FIGURE.search(limit)
    assert found, limit
    figure, unit = int(found[1].replace(",", "")), found[2]
    if "_MS" in name:
        figure *= IN_MS[unit]
    else:
        figure *= IN_BYTES.get(unit, 1)
    assert constant(name) == figure


@pytest.mark.parametrize("name", [name for _, name in ROWS])
def test_a_limit_is_named_where_it_is_stated(name: str) -> None:
    """Whoever looks it up finds it, and not a module that only uses it."""
    module, last = re.fullmatch(r"((?:[a-z_\d]+\.)+[a-z_\d]+)\.([A-Z_\d]+)(?:\..+)?", name).groups()
    source = Path(importlib.import_module(f"xiaohe.{module}").__file__ or "").read_text()
    assert re.search(rf"^([A-Z_, ]+, )?{last}\b[^=\n]* = ", source, re.MULTILINE), name


def test_every_limit_of_what_grows_is_on_the_page() -> None:
    """A constant that is called like one cannot be left out."""
    named = {name for _, name in ROWS}
    found = {
        f"{module.name.removeprefix('xiaohe.')}.{constant_name}"
        for package in (xiaohe.dispatch, xiaohe.gateway, xiaohe.geo, xiaohe.streams, xiaohe.wire)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for constant_name in _own_constants(module.name)
    }
    assert found - OF_FILES <= named


def _own_constants(module_name: str) -> list[str]:
    """The limits that a module defines itself, rather than imports."""
    source = Path(importlib.import_module(module_name).__file__ or "").read_text()
    stated = re.findall(r"^([A-Z][A-Z_]+)(?:, [A-Z_]+)?(?:: Final)? = ", source, re.MULTILINE)
    return [name for name in stated if GROWS.search(name)]


def test_the_topics_agree_with_the_limits_of_the_records() -> None:
    """What topics.yaml says of each input is what its decoder holds, and a broker takes it."""
    topics = load_topics()
    said = {topic.id: topic.value_bytes_max for topic in topics if topic.value_bytes_max}
    limits = CONTRACT_LIMITS
    assert said == {
        "alerts": limits.alert_bytes_max,
        "positions": limits.positions_bytes_max,
        "roster": limits.roster_bytes_max,
        "member_actions": limits.other_bytes_max,
        "operator_actions": limits.other_bytes_max,
        "wakeups": limits.other_bytes_max,
    }
    sizes = {int(topic.configs["max.message.bytes"]) for topic in topics}
    assert max(said.values()) < min(sizes)
