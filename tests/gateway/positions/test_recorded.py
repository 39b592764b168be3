"""Recorded tracks, read and driven again."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.gateway.positions.samples import RECEIPT
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.positions.plain import decode as decode_plain
from xiaohe.gateway.positions.raw_fix import RawFix
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.gateway.positions.recorded import decode
from xiaohe.track_replay import replay, schedule
from xiaohe.wire.bad_input import BadInput

POSITION = {"lon": 120.1, "lat": 30.3, "fix_time": "2026-11-25T03:59:50Z"}
NOW_MS = 1_900_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        orjson.dumps(POSITION),
        orjson.dumps([POSITION]),
        orjson.dumps({"area_id": "north", "batch": [POSITION]}),
        orjson.dumps(POSITION) + b"\n",
        orjson.dumps(POSITION, option=orjson.OPT_INDENT_2),
    ],
    ids=["one", "list", "batch", "line", "indented"],
)
def test_positions_are_read_however_they_lie_in_a_file(text: bytes) -> None:
    """One, a list, a batch, or one a line; without a name they are the given device's."""
    (fix,) = decode("json", text, RECEIPT, "M07")
    assert (fix.device_id, fix.lat) == ("M07", 30.3)


def test_a_line_keeps_whose_it_is_and_a_bad_one_is_told_of() -> None:
    """The device that is given stands for those alone that name none."""
    lines = [orjson.dumps(each) for each in ({"device_id": "M08"} | POSITION, {"lat": 1}, POSITION)]
    read = decode("json", b"\n".join([*lines, b"{", b'{"lat": 1e400}']), RECEIPT, "M07")
    named = [getattr(each, "device_id", None) for each in read]
    assert named == ["M08", None, "M07", None, None]
    assert [each.reason.value for each in read if isinstance(each, BadInput)] == [
        "missing_field", "not_json", "missing_field",
    ]  # fmt: skip
    assert [each.index for each in read if isinstance(each, BadInput)] == [1, 3, 4]


def test_a_track_that_says_nothing_of_whose_it_is_has_to_be_told() -> None:
    """GPX has no word for a device."""
    with pytest.raises(BadInput, match="whose"):
        decode("gpx", b"<gpx/>", RECEIPT)


def track(*seconds: float, **fields: Any) -> list[RawFix]:
    """Fixes of one device at these seconds."""
    return [
        RawFix(device_id="M07", lon=120, lat=30, fix_ms=int(s * 1000), **fields) for s in seconds
    ]


def test_a_track_keeps_its_pace_and_its_order() -> None:
    """Twice as fast, in half the time; what is due together goes together."""
    due = list(schedule(track(14, 10, 10.05, 12), speed=2))
    assert [(each.after_ms, len(each.fixes)) for each in due] == [(25, 2), (1000, 1), (2000, 1)]


def test_a_message_has_no_more_fixes_than_the_door_takes() -> None:
    """However many are due at one moment."""
    due = list(schedule(track(*[10] * 2_500), speed=1))
    assert [len(each.fixes) for each in due] == [500] * 5


def test_a_track_is_sent_as_if_it_were_taken_now() -> None:
    """Times of now at the recorded distances, the faster the faster, and the door reads it."""
    clock = [NOW_MS]
    sent: list[dict[str, object]] = []

    def send(positions: Sequence[dict[str, object]]) -> dict[str, object]:
        sent.extend(positions)
        return {"accepted": len(positions), "refused": []}

    def wait(ms: int) -> None:
        clock[0] += max(ms, 0)

    came_to = replay(track(10, 20, speed_mps=2.0), 10, send, lambda: clock[0], wait)
    assert came_to.accepted == 2
    assert [each["fix_time"] for each in sent] == [rfc3339(NOW_MS), rfc3339(NOW_MS + 1000)]
    read = decode_plain(orjson.dumps({"batch": sent}), Receipt(received_ms=NOW_MS))
    assert [fix.speed_mps for fix in read] == [20, 20]
    assert clock[0] == NOW_MS + 1000
