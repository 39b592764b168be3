"""README and HACKING say what is so: commands parse, files exist, examples run."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from cyclopts import CycloptsError, MissingArgumentError

from xiaohe import pictures
from xiaohe.cli import build
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.policy import load_policy
from xiaohe.places import POLICY
from xiaohe.wire.codec import decode_alert, decode_roster

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE, HACKING = "README.md", "README.zh-CN.md", "HACKING.md"
PAGES = (ENGLISH, CHINESE, HACKING)

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)\)")
HEADING = re.compile(r"^#+ ", re.MULTILINE)

PROGRAM = re.compile(r"^(?:\.venv/bin/)?xiaohe (.+)$")
MAKE = re.compile(r"^make (\w+)(?: ARGS=\"(.*)\")?$")
A_FILE = re.compile(
    r"^[\w.][\w./-]*(?:/|\.(?:py|md|yaml|json|geojson|toml|svg|html|pbf))$|^\w+/\w+$"
)

READERS_OWN = {"first_alert.py", "roads.geojson", "roster.json", "policy.yaml", "xiaohe.toml"}
"""Files that the reader makes; the others are the project's."""

MADE_WHILE_RUNNING = (".xiaohe/", "~/")


def page(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text()


def prose(name: str) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", page(name))


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return [body for found, body in BLOCK.findall(page(name)) if found == language]


def shell_lines(name: str) -> list[str]:
    """The commands of a page's indented blocks, without their comments."""
    return [line.split("  #")[0].strip() for line in INDENTED.findall(prose(name))]


def spans(name: str) -> list[str]:
    """What a page has in backquotes."""
    return SPAN.findall(prose(name))


def program_calls(lines: list[str]) -> Iterator[list[str]]:
    """The arguments of each call of the program."""
    for line in lines:
        if call := PROGRAM.match(line):
            yield shlex.split(call[1])


def parse(arguments: list[str]) -> None:
    """Let the program read its arguments, without doing anything."""
    wanted = [argument for argument in arguments if argument != "--help"]
    build().parse_args(wanted, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_in_a_block_can_be_pasted(name: str) -> None:
    """The program knows the command, its options and what they take."""
    calls = list(program_calls(shell_lines(name)))
    assert calls
    for arguments in calls:
        try:
            parse(arguments)
        except CycloptsError as fault:
            pytest.fail(f"{name}: xiaohe {shlex.join(arguments)}: {fault}")


@pytest.mark.parametrize("name", [*PAGES, "CHANGELOG.md"])
def test_every_command_in_the_text_is_one(name: str) -> None:
    """In running text a command may lack its arguments; it has no others than there are."""
    calls = list(program_calls(spans(name)))
    assert calls
    for arguments in calls:
        try:
            parse(arguments)
        except MissingArgumentError:
            continue
        except CycloptsError as fault:
            pytest.fail(f"{name}: xiaohe {shlex.join(arguments)}: {fault}")


@pytest.mark.parametrize("name", PAGES)
def test_every_target_of_make_is_one(name: str) -> None:
    """The Makefile has it; what ARGS holds are options of the demo."""
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    found = [call for text in (*shell_lines(name), *spans(name)) if (call := MAKE.match(text))]
    assert found
    for call in found:
        assert call[1] in targets, f"{name}: make {call[1]}"
        if call[2]:
            parse([call[1], *shlex.split(call[2])])


@pytest.mark.parametrize("name", [*PAGES, "CHANGELOG.md"])
def test_every_file_that_is_named_exists(name: str) -> None:
    """Links, and what stands in backquotes or in a command and looks like a file."""
    words = [word for text in (*spans(name), *shell_lines(name)) for word in text.split()]
    named = {word for word in words if A_FILE.match(word)} - READERS_OWN
    named |= {link for link in LINK.findall(prose(name)) if not link.startswith("https://")}
    for path in sorted(named):
        if not path.startswith((*MADE_WHILE_RUNNING, ".venv/")) and path != "city.osm.pbf":
            assert (ROOT / path).exists(), f"{name} names {path}, which is not there"


def test_both_readmes_have_the_same_parts() -> None:
    """Headings by level, commands, examples, pictures, and the first column of each table."""

    def parts(name: str) -> list[object]:
        text = page(name)
        return [
            HEADING.findall(prose(name)),
            shell_lines(name)[2:],
            [line.split("#")[0].strip() for line in shell_lines(name)[:2]],
            BLOCK.findall(text),
            re.findall(r"docs/pictures/\w+\.svg", text),
            [re.findall(r"`[^`]+`", row.split("|")[1])
             for row in text.splitlines() if row.startswith("| `")],
            len(re.findall(r"^- ", text, re.MULTILINE)),
        ]  # fmt: skip

    assert parts(ENGLISH) == parts(CHINESE)


def test_the_table_of_commands_has_them_all() -> None:
    """Whatever `xiaohe --help` shows is in a first column."""
    rows = [row.split("|")[1] for row in page(ENGLISH).splitlines() if row.startswith("| `")]
    for name in build():
        if not name.startswith("-"):
            assert any(f"`xiaohe {name}" in row for row in rows), f"README lacks `xiaohe {name}`"


def test_the_first_alert_is_one_that_the_engine_takes() -> None:
    """The pasted program compiles, and its alert is read without a complaint."""
    (source,) = blocks(ENGLISH, "python")
    program = ast.parse(source)
    assert ast.unparse(program.body.pop()) == "asyncio.run(main(sys.argv[1]))"
    names: dict[str, object] = {}
    exec(compile(program, ENGLISH, "exec"), names)
    alert = names["ALERT"]
    assert isinstance(alert, dict)
    read = decode_alert(b"xiaohe", msgspec.json.encode(alert))
    assert (read.alert_id, read.category) == (alert["alert_id"], "lost_child")
    assert read.position is not None
    assert read.text == alert["text"]


def test_the_rule_in_hacking_is_as_its_test_says() -> None:
    """The example test of the page runs, and passes."""
    (source,) = blocks(HACKING, "python")
    names: dict[str, object] = {}
    exec(compile(source, HACKING, "exec"), names)
    (test,) = [found for name, found in names.items() if name.startswith("test_")]
    assert callable(test)
    test()


def test_the_roster_and_the_policy_of_hacking_can_be_used() -> None:
    """Each member is read; the policy, laid over the defaults, says what it sets."""
    (roster,) = blocks(HACKING, "json")
    for member in msgspec.json.decode(roster):
        entry = decode_roster(member["member_id"].encode(), msgspec.json.encode(member))
        assert isinstance(entry, RosterEntry)
        assert entry.area_id == "oldtown"
    (overlay,) = blocks(HACKING, "yaml")
    policy = load_policy(overlay.encode(), base=POLICY.read_bytes())
    assert set(policy.areas) == {"oldtown"}
    assert policy.rules(3, "peacetime", "noise", "oldtown").arrive_s == 600
    assert policy.rules(2, "peacetime", "noise", "oldtown").arrive_s == 180


def is_a_picture(svg: str) -> None:
    """It is XML, shows text, and loads nothing from elsewhere."""
    root = ET.fromstring(svg)
    assert root.findall(".//{http://www.w3.org/2000/svg}text")
    assert not re.search(r"url\(|href|@import", svg)


@pytest.mark.parametrize("name", [pictures.LIVE_VIEW, pictures.SUMMARY])
def test_the_pictures_load_nothing_from_elsewhere(name: str) -> None:
    """What the README shows is drawn, and complete in itself."""
    is_a_picture((pictures.FOLDER / name).read_text())


def test_the_pictures_are_drawn_from_a_run(tmp_path: Path) -> None:
    """One command plays a demo and writes both; the summary tells that nothing was lost."""
    assert pictures.draw(tmp_path, seconds=1.5, speed=40.0, stand_in=True) == 0
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(drawn) == {pictures.LIVE_VIEW, pictures.SUMMARY}
    for svg in drawn.values():
        is_a_picture(svg)
    words = "".join(ET.fromstring(drawn[pictures.SUMMARY]).itertext())
    assert "0lost" in words.replace("\n", "")
