"""How the values of a raw topic are read, by the ``format`` that ``topics.yaml`` gives it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions import owntracks, plain, tile38, traccar_forward
from xiaohe.gateway.positions.raw_columns import ReadMessages, columns_of
from xiaohe.gateway.positions.raw_fix import NoFix, RawFix, Read
from xiaohe.gateway.positions.receipt import Receipt, receipt_of
from xiaohe.gateway.positions.traccar_flood import read_usual
from xiaohe.topics import SourceEntry
from xiaohe.wire.bad_input import BadInput
from xiaohe.wire.fix_times import Moments

Decode = Callable[[bytes, Receipt], Sequence[Read]]
"""Reads one value. Raises BadInput."""


class UnknownFormat(ValueError):
    """A source has a format that nobody here reads; the message names those that are read."""


FORMATS: Final[Mapping[str, Decode]] = {
    "traccar": traccar_forward.decode,
    "owntracks": owntracks.decode,
    "tile38": tile38.decode,
    "xiaohe": plain.decode,
}
"""What a source's ``format`` may be; ``xiaohe`` is the contract's own ``positions``."""

_FLOODS: Final = {"traccar": read_usual}
"""Formats that have a quicker way for what is usual."""


@dataclass(frozen=True, slots=True)
class SourceReader:
    """Reads the values of one raw topic, many at a time."""

    source: SourceEntry
    decode: Decode
    zone: tzinfo

    def read(self, values: Sequence[bytes | None], received_ms: Moments) -> ReadMessages:
        """Read many values; bad ones are told apart, and nothing is raised."""
        flood = _FLOODS.get(self.source.format)
        if flood is None:
            return self._one_by_one(values, range(len(values)), received_ms)
        fixes, unusual = flood(values, received_ms, self.source.datum)
        if not unusual:
            return ReadMessages(fixes)
        rest = self._one_by_one(values, unusual, received_ms)
        return ReadMessages(fixes.joined(rest.fixes), rest.no_fixes, rest.bad)

    def read_one(self, value: bytes | None, received_ms: int) -> Sequence[Read]:
        """Read one value, bad ones too: what was made of a message, for people."""
        if value is None:
            return [BadInput(Reason.NULL_VALUE, "the record has no value")]
        receipt = Receipt(received_ms=received_ms, datum=self.source.datum, zone=self.zone)
        try:
            return self.decode(value, receipt)
        except BadInput as bad:
            return [bad]

    def _one_by_one(
        self, values: Sequence[bytes | None], places: Iterable[int], received_ms: Moments
    ) -> ReadMessages:
        fixes: list[tuple[int, RawFix]] = []
        no_fixes: list[tuple[int, NoFix]] = []
        bad: list[tuple[int, BadInput]] = []
        for at in places:
            for each in self.read_one(values[at], received_ms[at].item()):
                if isinstance(each, RawFix):
                    fixes.append((at, each))
                elif isinstance(each, NoFix):
                    no_fixes.append((at, each))
                else:
                    bad.append((at, each))
        return ReadMessages(columns_of(fixes), no_fixes, bad)


def reader_of(source: SourceEntry) -> SourceReader:
    """Give the reader of a source. Raises UnknownFormat, BadInput where the zone is none."""
    if source.format not in FORMATS:
        raise UnknownFormat(
            f"{source.name} has the format {source.format!r}; known are {', '.join(FORMATS)}"
        )
    zone = receipt_of(0, source.datum, source.timezone).zone
    return SourceReader(source, FORMATS[source.format], zone)
