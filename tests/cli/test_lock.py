"""What is installed is locked: every package that the project asks for, with its hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def asked_for(extra: str | None) -> list[Requirement]:
    """What pyproject.toml names, with those of an extra, and of the extras that this one names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    queue = [extra] if extra else []
    while queue:
        for text in project["optional-dependencies"][queue.pop()]:
            each = Requirement(text)
            if each.name == "xiaohe":
                queue += each.extras
            else:
                wanted.append(each)
    return wanted


@pytest.mark.parametrize(("name", "extra"), [("program", None), ("dev", "dev"), ("fuzz", "fuzz")])
def test_whatever_is_asked_for_is_locked_in_a_version_that_was_meant(
    name: str, extra: str | None
) -> None:
    """A library that was added to pyproject.toml alone would be missing where it is installed."""
    text = (ROOT / "deploy" / "lock" / f"{name}.txt").read_text()
    locked = {canonicalize_name(each): version for each, version, _ in PINNED.findall(text)}
    assert text.count("==") == len(locked), "each line has its hashes"
    for each in asked_for(extra):
        version = locked.get(canonicalize_name(each.name))
        assert version is not None, f"{each.name}: run deploy/relock.py"
        assert each.specifier.contains(version), f"{each.name} {version}: run deploy/relock.py"


def test_the_sets_agree() -> None:
    """The program is tested with what it is installed with."""
    found: dict[str, set[str]] = {}
    for name in ("program", "dev", "fuzz"):
        text = (ROOT / "deploy" / "lock" / f"{name}.txt").read_text()
        for each, version, _ in PINNED.findall(text):
            found.setdefault(canonicalize_name(each), set()).add(version)
    assert {name: many for name, many in found.items() if len(many) > 1} == {}
