"""A recording gives back what was written, whatever bytes lie in the topics."""

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xiaohe.replay.faults import RecordingError
from xiaohe.replay.recording import CONTENTS, FORMAT, Recording, RecordingWriter
from xiaohe.streams.ports import Raw

HEADERS = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=3).map(tuple)
BYTES = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RECORDS = st.lists(st.tuples(st.integers(0, 2**50), BYTES, BYTES, HEADERS), max_size=6)


def written(folder: Path, records: list[Raw]) -> Path:
    """Write a recording of one partition of alerts."""
    writer = RecordingWriter(folder, 2, {"alerts": "alerts"})
    writer.write("alerts", 1, range(len(records)), records)
    writer.finish()
    return folder


@QUICK
@given(RECORDS)
def test_what_was_written_is_read(said: list[tuple]) -> None:
    """Text, other bytes, nothing, and headers."""
    records = [Raw("alerts", 1, n, at, key, value, h) for n, (at, key, value, h) in enumerate(said)]
    with tempfile.TemporaryDirectory() as scratch:
        recording = Recording(written(Path(scratch) / "rec", records))
        assert list(recording.read("alerts", 1)) == records
        assert list(recording.read("alerts", 0)) == []
        assert recording.extent("alerts", 1).end == len(records)


RECORD = Raw("alerts", 1, 0, 5, b"town", b'{"alert_id": "\xe5\x90\x8d"}')


def test_any_tool_reads_it(tmp_path: Path) -> None:
    """Lines of JSON under gzip, in which text is text; the same bytes whenever it is written."""
    one, other = (written(tmp_path / name, [RECORD]) / "alerts-1.jsonl.gz" for name in "ab")
    line = json.loads(gzip.decompress(one.read_bytes()))
    assert (line["offset"], line["key"], line["value"]) == (0, "town", '{"alert_id": "名"}')
    assert one.read_bytes() == other.read_bytes()


def test_a_recording_that_was_cut_short_is_none(tmp_path: Path) -> None:
    """The list of contents is written last, and counts the records."""
    folder = written(tmp_path / "rec", [RECORD, RECORD])
    file = folder / "alerts-1.jsonl.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).splitlines()[0] + b"\n"))
    with pytest.raises(RecordingError, match="holds 1 records and should hold 2"):
        list(Recording(folder).read("alerts", 1))
    (folder / CONTENTS).unlink()
    with pytest.raises(RecordingError, match="no whole recording"):
        Recording(folder)


def test_a_folder_in_use_is_not_written_over(tmp_path: Path) -> None:
    """Somebody else's files stay what they are."""
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RecordingError, match="name a new folder"):
        RecordingWriter(tmp_path, 2, {})


def test_a_recording_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    """It may hold what this one would not see."""
    folder = written(tmp_path / "rec", [RECORD])
    contents = json.loads((folder / CONTENTS).read_text())
    (folder / CONTENTS).write_text(json.dumps({**contents, "format": FORMAT + 1}))
    with pytest.raises(RecordingError, match="newer program"):
        Recording(folder)
