"""The quick way through Traccar's forwarding, held to the way that says what a message means."""

import json
from typing import Any

import numpy as np
import pytest

from tests.gateway.fleet import NOON_MS, forwarded
from xiaohe.gateway.positions import source_formats
from xiaohe.gateway.positions.raw_columns import ReadMessages
from xiaohe.gateway.positions.source_formats import SourceReader, reader_of
from xiaohe.gateway.positions.traccar_flood import read_usual
from xiaohe.topics import SourceEntry

ODD: dict[str, dict[str, Any]] = {
    "unknown speed and course": {"speed": -1.0, "course": -1.0},
    "a full turn": {"course": 360.0},
    "accuracy unknown": {"accuracy": 0.0},
    "nulls": {"speed": None, "course": None, "accuracy": None, "attributes": None},
    "an absurd speed": {"speed": 65_535.0},
    "an older server": {"fixTime": "2026-05-28T20:26:40.000+0000", "outdated": False},
    "Zulu": {"fixTime": "2026-05-28T20:26:40Z"},
    "another zone": {"fixTime": "2026-05-29T04:26:40.000+08:00"},
    "battery over 100": {"attributes": {"batteryLevel": 255.0}},
    "another alarm": {"attributes": {"alarm": "lowBattery,tampering"}},
    "a call for help": {"attributes": {"alarm": "lowBattery,sos"}},
    "a fall": {"attributes": {"alarm": "fallDown"}},
    "no fix": {"valid": False},
    "a call without a fix": {"valid": False, "attributes": {"alarm": "sos"}},
    "a call from 0, 0": {"latitude": 0, "longitude": 0, "attributes": {"alarm": "sos"}},
    "place 0, 0": {"latitude": 0, "longitude": 0},
    "off the globe": {"latitude": 91.0},
    "a date that is none": {"fixTime": "2026-02-30T00:00:00.000+00:00"},
    "1980": {"fixTime": "1980-01-06T00:00:00.000+00:00"},
    "tomorrow": {"fixTime": "2099-01-01T00:00:00.000+00:00"},
    "a speed as text": {"speed": "2.5"},
    "an old place": {"outdated": True},
}
WRONG: dict[str, bytes | None] = {
    "nothing": None,
    "no JSON": b"{",
    "a list": b"[]",
    "no device": b'{"position": {}}',
    "our own format": b'{"member_id": "m1", "lon": 1, "lat": 2}',
    "an alarm event": json.dumps(
        {**json.loads(forwarded()), "event": {"type": "alarm", "attributes": {"alarm": "sos"}}}
    ).encode(),
    "an offline event": json.dumps(
        {**json.loads(forwarded()), "event": {"type": "deviceOffline"}}
    ).encode(),
    "a name that is none": forwarded("a name"),
    "a number for a name": forwarded().replace(b'"uniqueId": "T1"', b'"uniqueId": 8613'),
}


def reader(datum: str = "wgs84") -> SourceReader:
    """The reader of a raw topic of Traccar's."""
    return reader_of(
        SourceEntry(
            name="raw.traccar", what="test", format="traccar", datum=datum,  # type: ignore[arg-type]
            timezone="UTC", trust=0.9,
        )
    )  # fmt: skip


def told(read: ReadMessages) -> list[object]:
    """Everything that was read, to be held to something else; numbers as they are written."""
    fixes = read.fixes
    columns = [fixes.lon, fixes.lat, fixes.fix_ms, fixes.accuracy_m]
    columns += [fixes.speed_mps, fixes.course_deg, fixes.battery.round(2)]
    alarms = fixes.alarms or [None] * len(fixes)
    rows = zip(fixes.places, fixes.device_ids, alarms, *columns, strict=True)
    bad = [(at, problem.reason, problem.detail) for at, problem in read.bad]
    return [[repr(row) for row in rows], list(read.no_fixes), bad]


@pytest.mark.parametrize("datum", ["wgs84", "gcj02"])
def test_both_ways_read_the_same(datum: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usual and odd messages, in one lot, come to what each of them is by itself."""
    values = [forwarded(f"T{n}", at_ms=NOON_MS - n, speed=n * 1.7) for n in range(40)]
    for n, odd in enumerate(ODD.values()):
        values.insert(n * 2, forwarded(f"odd{n}", **odd))
    values[5:5] = list(WRONG.values())  # type: ignore[arg-type]  # one is None
    received_ms = np.full(len(values), NOON_MS, dtype=np.int64)

    quick = told(reader(datum).read(values, received_ms))
    monkeypatch.setattr(source_formats, "_FLOODS", {})
    one_by_one = told(reader(datum).read(values, received_ms))

    assert quick == one_by_one


@pytest.mark.parametrize("odd", list(WRONG.values())[1:])
def test_one_odd_message_leaves_the_others_quick(odd: bytes) -> None:
    """What is odd is told apart, and nothing else goes the long way for it."""
    values = [forwarded("T1"), odd, forwarded("T2")]
    fixes, unusual = read_usual(values, np.full(3, NOON_MS, dtype=np.int64), "wgs84")
    assert (fixes.device_ids, unusual) == (["T1", "T2"], [1])


def test_times_of_older_servers_are_written_anew() -> None:
    """``+0000``, which the engine reads slowly, goes out as ``+00:00``."""
    old = forwarded(fixTime="2026-05-28T20:26:40.000+0000")
    fixes, _ = read_usual([old, forwarded()], np.full(2, NOON_MS, dtype=np.int64), "wgs84")
    assert fixes.fix_times == ["2026-05-28T20:26:40.000+00:00"] * 2
    assert fixes.fix_ms.tolist() == [NOON_MS, NOON_MS]
