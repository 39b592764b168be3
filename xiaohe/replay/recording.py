"""A recording: the topics that a replay needs, in a folder of files that any tool can read.

``recording.json`` says which topics there are and which offsets of each. Beside it lies a file a
topic and partition, ``<topic>-<partition>.jsonl.gz``: newline-delimited JSON under gzip, one record
a line, in the order of their offsets:

    {"offset": 4, "at_ms": 1893988800000, "key": "town", "value": "…", "headers": [["ce_id", "…"]]}

``at_ms`` is the broker's timestamp. Keys, values and headers are text; bytes that are no UTF-8 are
``{"base64": "…"}``, and null is null. Topics go by their keys in topics.yaml. The list of contents
is written last, so that a recording that was cut short has none.
"""

import gzip
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct

from xiaohe.replay.faults import RecordingError
from xiaohe.streams.ports import Raw

FORMAT: Final = 1
"""Of the files. A program reads its own and all older ones."""

CONTENTS: Final = "recording.json"
"""The list of contents."""

PACKING: Final = 6
"""Level of gzip: its own default, beyond which more time saves next to nothing."""


class Extent(Struct, frozen=True):
    """One partition of a topic: the offsets that it held, ``start`` to before ``end``, and how many
    records these were (compaction, retention and transactions leave offsets out)."""

    topic: str
    partition: int
    start: int
    end: int
    records: int


class Contents(Struct, frozen=True, kw_only=True):
    """What a recording holds. ``topic_names`` gives the names on the cluster by key."""

    format: int = FORMAT
    partitions: int
    topic_names: dict[str, str]
    extents: list[Extent]


class _Base64(Struct, frozen=True):
    base64: str


_Text = str | _Base64 | None


class _Line(Struct, frozen=True):
    offset: int
    at_ms: int
    key: _Text
    value: _Text
    headers: list[tuple[str, _Text]] = []


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Line)


class RecordingWriter:
    """Writes a recording into a new or empty folder."""

    def __init__(self, folder: Path, partitions: int, topic_names: Mapping[str, str]) -> None:
        """Make the folder. Raises RecordingError where it holds something."""
        self._folder = folder
        self._partitions = partitions
        self._topic_names = dict(topic_names)
        self._extents: list[Extent] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        except OSError as fault:
            raise RecordingError(f"{folder}: {fault.strerror}: name another folder") from None
        if taken:
            raise RecordingError(f"{folder} is not empty: name a new folder for the recording")

    def file(self, topic: str, partition: int) -> "RecordingFile":
        """Begin the file of a partition; use it with ``with``. Without a record there is none."""
        return RecordingFile(self._folder / file_name(topic, partition))

    def add(self, extent: Extent) -> None:
        """Note what a file holds."""
        self._extents.append(extent)

    def write(self, topic: str, partition: int, span: range, records: Iterable[Raw]) -> None:
        """Write the file of a partition whose offsets go over ``span``."""
        with self.file(topic, partition) as file:
            for raw in records:
                file.write(raw)
        self.add(Extent(topic, partition, span.start, span.stop, file.records))

    def finish(self) -> None:
        """Write the list of contents: the recording is whole."""
        contents = Contents(
            partitions=self._partitions, topic_names=self._topic_names, extents=self._extents
        )
        text = msgspec.json.format(_ENCODER.encode(contents), indent=1) + b"\n"
        (self._folder / CONTENTS).write_bytes(text)


class RecordingFile:
    """The file of one partition while it is written: the same records give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("wb")
        self._packed = gzip.GzipFile("", "wb", PACKING, self._raw, mtime=0)
        self.records = 0

    def __enter__(self) -> Self:
        """Write."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._packed.close()
        self._raw.close()
        if self.records == 0:
            self._path.unlink()

    def write(self, raw: Raw) -> None:
        """Write the next record."""
        headers = [(name, _text(value)) for name, value in raw.headers]
        line = _Line(raw.offset, raw.timestamp_ms, _text(raw.key), _text(raw.value), headers)
        self._packed.write(_ENCODER.encode(line) + b"\n")
        self.records += 1


class Recording:
    """A recording that lies there."""

    def __init__(self, folder: Path) -> None:
        """Read the list of contents. Raises RecordingError."""
        self._folder = folder
        self.contents = _contents(folder)
        self._extents = {(e.topic, e.partition): e for e in self.contents.extents}

    def extent(self, topic: str, partition: int) -> Extent:
        """Give which offsets of a partition it holds: none where it was never written to."""
        return self._extents.get((topic, partition), Extent(topic, partition, 0, 0, 0))

    def read(self, topic: str, partition: int) -> Iterator[Raw]:
        """Give the records of a partition in order. Raises RecordingError where it is broken."""
        extent = self.extent(topic, partition)
        if extent.records == 0:
            return
        path = self._folder / file_name(topic, partition)
        read = 0
        try:
            with gzip.open(path) as lines:
                for line in lines:
                    yield _raw(topic, partition, _DECODER.decode(line))
                    read += 1
        except (OSError, EOFError, zlib.error, ValueError) as fault:
            # msgspec's and base64's faults are ValueErrors.
            raise RecordingError(
                f"{path} is broken after {read} records ({fault}): record it again"
            ) from None
        if read != extent.records:
            raise RecordingError(
                f"{path} holds {read} records and should hold {extent.records}: record it again"
            )


def file_name(topic: str, partition: int) -> str:
    """Give the name of a partition's file."""
    return f"{topic}-{partition}.jsonl.gz"


def _contents(folder: Path) -> Contents:
    path = folder / CONTENTS
    try:
        contents = msgspec.json.decode(path.read_bytes(), type=Contents)
    except FileNotFoundError:
        raise RecordingError(
            f"{folder} holds no whole recording ({CONTENTS} is missing): name a folder that "
            "`xiaohe replay --record FOLDER` has written"
        ) from None
    except OSError as fault:
        raise RecordingError(f"{path}: {fault.strerror}: name a folder that can be read") from None
    except msgspec.MsgspecError as fault:
        raise RecordingError(f"{path} is broken ({fault}): record it again") from None
    if contents.format > FORMAT:
        raise RecordingError(
            f"{folder} was written by a newer program (format {contents.format}, here {FORMAT}): "
            "use that one"
        )
    return contents


def _text(value: bytes | None) -> _Text:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _Base64(b64encode(value).decode())


def _bytes(text: _Text) -> bytes | None:
    if text is None:
        return None
    return text.encode() if isinstance(text, str) else b64decode(text.base64, validate=True)


def _raw(topic: str, partition: int, line: _Line) -> Raw:
    headers = tuple((name, _bytes(value) or b"") for name, value in line.headers)
    key, value = _bytes(line.key), _bytes(line.value)
    return Raw(topic, partition, line.offset, line.at_ms, key, value, headers)
