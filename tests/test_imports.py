"""The rings: imports point inward only, and what is pure stays pure.

Read from the source by its syntax tree, so that a name in a comment does not count. Every message
names what to do instead.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

INWARD = {
    "geo": set(),
    "dispatch": {"geo"},
    "wire": {"geo", "dispatch"},
    "streams": {"geo", "dispatch", "wire", "topics"},
    "gateway": {"geo", "dispatch", "wire", "topics"},
}
"""Which of the project's own modules a room may import, besides its own."""

IMPURE = {
    "aiokafka", "asyncio", "faust", "logging", "os", "random", "secrets", "socket", "structlog",
    "subprocess", "sys", "threading", "time", "uuid",
}  # fmt: skip
PURE_ROOMS = ("dispatch", "geo")
FILE_READERS = {"geo/files.py", "geo/importer.py", "geo/osm.py"}
"""The modules of a pure room that are given the path of a file."""

CLOCKS = {"now", "utcnow", "today"}
ONLY_IN = {
    "faust": {"streams"},
    "starlette": {"gateway"},
    "uvicorn": {"gateway"},
    "aiohttp": {"gateway"},
}
ROOM_NAMES = {"geo", "dispatch", "wire", "streams", "gateway", "sim", "bench", "data", "deploy"}


def modules(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """Give every module of these rooms, by its path."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Give the names of all modules that one imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute: from xiaohe.geo.… import …"
            yield str(node.module)


def all_rooms() -> list[str]:
    """Give the rooms that hold code."""
    return ["geo", "dispatch", "wire", "streams", "gateway", "sim", "bench", "xiaohe"]


@pytest.mark.parametrize("room", INWARD)
def test_imports_point_inward_only(room: str) -> None:
    """A room imports only what lies further in."""
    for path, tree in modules(room):
        for name in imported(tree):
            if name.startswith("xiaohe."):
                other = name.split(".")[1]
                assert other == room or other in INWARD[room], (
                    f"{path} imports {name}: {room} may only know {sorted(INWARD[room])}"
                )


def test_the_pure_rooms_know_no_clock_no_network_and_no_chance() -> None:
    """dispatch and geo are given the time and whatever else they need as arguments."""
    for path, tree in modules(*PURE_ROOMS):
        bad = {name for name in imported(tree) if name.split(".")[0] in IMPURE}
        assert not bad, f"{path} imports {bad}: take it as an argument instead"
        if path not in FILE_READERS:
            called = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not called & {"open", "print", "input"}, f"{path} does I/O"
        clocks = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in CLOCKS
        }
        assert not clocks, f"{path} asks what time it is: take at_ms as an argument"


def test_each_framework_has_one_room() -> None:
    """Faust is known to streams only, HTTP to the gateway only."""
    for path, tree in modules(*all_rooms()):
        room = path.split("/")[0]
        for name in imported(tree):
            owners = ONLY_IN.get(name.split(".")[0])
            # A benchmark measures a bare Faust beside the engine.
            if owners is not None and room != "bench":
                assert room in owners, f"{path} imports {name}: only {owners} may"


def test_rooms_are_imported_by_their_full_names() -> None:
    """`import geo` would be another module than `import xiaohe.geo`, with other classes."""
    for path, tree in modules(*all_rooms(), "tests"):
        bad = {name for name in imported(tree) if name.split(".")[0] in ROOM_NAMES}
        assert not bad, f"{path} imports {bad}: write xiaohe.{min(bad)}"
