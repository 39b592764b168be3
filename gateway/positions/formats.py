"""How the values of a raw topic are read, by the ``format`` that ``topics.yaml`` gives it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from xiaohe.gateway.positions.raw_columns import ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import Said
from xiaohe.gateway.positions.traccar import read_traccar
from xiaohe.topics import SourceEntry
from xiaohe.wire.bad_input import BadInput

Reader = Callable[[Sequence[bytes | None], SourceEntry], ReadMessages]
"""Reads many values; bad ones are told apart, and nothing is raised."""


class UnknownFormat(ValueError):
    """A source has a format that nobody here reads; the message names those that are read."""


def one_by_one(decode: Callable[[bytes | None, SourceEntry], Sequence[Said]]) -> Reader:
    """Make a reader of what reads one value, and raises BadInput where it cannot."""

    def read(values: Sequence[bytes | None], source: SourceEntry) -> ReadMessages:
        said: list[tuple[int, Said]] = []
        bad: list[tuple[int, BadInput]] = []
        for at, value in enumerate(values):
            try:
                said += [(at, each) for each in decode(value, source)]
            except BadInput as problem:
                bad.append((at, problem))
        found = columns_of(said)
        return ReadMessages(found.fixes, found.no_fixes, bad + found.bad)

    return read


FORMATS: Final[Mapping[str, Reader]] = {
    "traccar": lambda values, source: read_traccar(values, source.datum),
}


def reader_of(source: SourceEntry) -> Reader:
    """Give the reader of a source. Raises UnknownFormat."""
    if source.format not in FORMATS:
        raise UnknownFormat(
            f"{source.name} has the format {source.format!r}; known are {', '.join(FORMATS)}"
        )
    return FORMATS[source.format]
