"""YAML that remembers its lines: so that a person who wrote a file is told where to mend it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

NO_ALIASES: Final = "write it out: anchors and aliases (& and *) are not read here"

Where = tuple[str, ...]
"""The way to a value: keys and places in lists."""


class BadFile(ValueError):
    """A file that cannot be used; ``problems`` has one line for each thing wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep the lines and make the message of them."""
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Located:
    """A value, the way to it, and the line of its key. Keys of mappings are their text as
    written: ``01`` stays ``01``."""

    value: "str | int | float | bool | Mapping[str, Located] | Sequence[Located] | None"
    where: Where
    line: int

    @property
    def name(self) -> str:
        """The way, with dots."""
        return ".".join(self.where) or "the file"

    def items(self) -> Mapping[str, "Located"]:
        """Give a mapping's values; nothing where it is none."""
        return self.value if isinstance(self.value, Mapping) else {}

    def plain(self) -> object:
        """Give the value without its lines."""
        if isinstance(self.value, Mapping):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def read_located(raw: bytes, name: str) -> Located:
    """Read one document. Raises BadFile with ``name`` and the line."""
    try:
        loader = yaml.SafeLoader(raw)
    except yaml.YAMLError as fault:
        raise BadFile([f"{name}: not text in UTF-8 ({type(fault).__name__})"]) from None
    problems: list[str] = []
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadFile([f"{name}: the file is empty"])
        made = _made(loader, node, (), problems, name, set())
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise BadFile([f"{name}:{line}: not YAML: {fault.problem}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        if isinstance(fault, BadFile):
            raise
        raise BadFile([f"{name}: a value in it cannot be read ({fault})"]) from None
    finally:
        loader.dispose()
    if problems:
        raise BadFile(problems)
    return made


def _made(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    where: Where,
    problems: list[str],
    name: str,
    seen: set[int],
    line: int = 1,
) -> Located:
    if id(node) in seen:
        problems.append(f"{name}:{line}: {'.'.join(where)}: {NO_ALIASES}")
        return Located(None, where, line)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Located] = {}
        for key_node, item_node in node.value:
            key = str(key_node.value)
            there = key_node.start_mark.line + 1
            if key in found:
                problems.append(f"{name}:{there}: {'.'.join((*where, key))} is there twice")
            found[key] = _made(loader, item_node, (*where, key), problems, name, seen, there)
        return Located(found, where, line)
    if isinstance(node, yaml.SequenceNode):
        items = [
            _made(loader, item, (*where, str(at)), problems, name, seen, item.start_mark.line + 1)
            for at, item in enumerate(node.value)
        ]
        return Located(items, where, line)
    return Located(loader.construct_object(node), where, line)
