"""What is too large or odd is one refusal with its reason, and nothing is read beyond need."""

import json
import tracemalloc
from typing import Any

import pytest

from tests.streams.station import NOON_MS, Station, member, values
from xiaohe.dispatch.times import rfc3339
from xiaohe.streams.engine import DECODERS
from xiaohe.streams.ports import POSITIONS
from xiaohe.wire import codec_positions, json_object

TOPICS = [*DECODERS, POSITIONS]
MIB = 1024 * 1024


def reasons(here: Station, topic: str, value: Any) -> list[str]:
    """Why a record was refused."""
    return [letter["reason"] for letter in values(here.send(topic, value), "dead_letters")]


@pytest.fixture
def here() -> Station:
    """A station with a member who has a device."""
    return Station(member("m1", device_ids=["d1"]))


@pytest.mark.parametrize("topic", TOPICS)
def test_bytes_are_looked_at_before_anything_is_parsed(
    here: Station, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With parsers that blow up a record of 10 MiB is refused as before."""

    def blow_up(*_: object, **__: object) -> object:
        raise AssertionError("parsed")

    monkeypatch.setattr(json_object, "_parse", blow_up)
    monkeypatch.setattr(codec_positions, "_decode_good_positions", blow_up)
    assert reasons(here, topic, b'{"x": "' + bytes(10 * MIB)) == ["oversize"]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_record_of_10_mib_takes_no_memory(here: Station, topic: str) -> None:
    """It is neither copied nor kept: what its refusal allocates is some kilobytes."""
    raw = here.raw(topic, b"[" * (10 * MIB))
    here.take(raw)
    tracemalloc.start()
    try:
        here.take(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB // 4


ALERT = {
    "alert_id": "a1",
    "source": "x",
    "category": "y",
    "occurred_at": "2030-01-07T04:00:00Z",
    "position": {"lon": 106.7, "lat": 26.6},
}


def alert(**said: Any) -> bytes:
    """An alert as JSON."""
    return json.dumps({**ALERT, **said}).encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"x":' * 900 + b"1" + b"}" * 900, "too_deep"),
        (b"[" * 16_000, "too_deep"),
        (b'{"x":' * 3_000, "too_deep"),
        (b"\xff\xfe{}", "not_utf8"),
        (alert().replace(b"106.7", b"NaN"), "not_finite"),
        (alert().replace(b"106.7", b"1e400"), "not_finite"),
        (alert().replace(b"106.7", b"1" * 5_000), "not_finite"),
        (alert(priority=10**40), "out_of_range"),
        (alert(position={"lon": 26.6, "lat": 106.7}), "out_of_range"),
        (alert(position={"lon": 1e300, "lat": 0}), "out_of_range"),
        (alert(alert_id="../../etc/passwd"), "bad_identifier"),
        (alert(alert_id=None), "missing_field"),
    ],
)
def test_an_odd_alert_has_one_reason(here: Station, value: bytes, reason: str) -> None:
    """One dead letter each, and the next alert is decided."""
    assert reasons(here, "alerts", value) == [reason]
    assert values(here.alert("next"), "incident_events")


def test_of_a_key_that_occurs_twice_the_last_one_counts(here: Station) -> None:
    """As in most JSON readers: it is no reason to refuse an alert."""
    here.send("alerts", alert().replace(b'"x"', b'"first", "source": "last"', 1))
    [incident] = here.engine.states()["town"].incidents.values()
    assert incident.source == "last"


def test_an_alert_of_the_year_9999_opens_and_says_that_this_is_odd(here: Station) -> None:
    """A person in need is not turned away for a date."""
    published = here.send("alerts", alert(occurred_at="9999-12-31T23:59:59Z"))
    assert values(published, "incident_events")[0]["data"]["odd"][-1] == "occurred_in_the_future"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"fix_time": "9999-12-31T23:59:59Z"}, "bad_time"),
        ({"fix_time": "1970-01-01T00:00:00Z"}, "bad_time"),
        ({"lon": 26.6, "lat": 106.7}, "out_of_range"),
        ({"accuracy_m": -1}, "out_of_range"),
        ({"seq": 2**70}, "out_of_range"),
    ],
)
@pytest.mark.parametrize("packed", [1, 2, 40])
def test_an_odd_position_has_one_reason_alone_or_packed(
    here: Station, said: dict[str, Any], reason: str, packed: int
) -> None:
    """In a batch it is one dead letter with its place, and the others count."""
    good = here.fix_value("m1", "b")
    if packed == 1:
        assert reasons(here, POSITIONS, good | said) == [reason]
        return
    batch = [good | said, *[good] * (packed - 1)]
    published = here.send(POSITIONS, {"batch": batch})
    letters = values(published, "dead_letters")
    assert [(letter["index"], letter["reason"]) for letter in letters] == [(0, reason)]
    assert here.engine._area("town").world.live.fixed_ms("m1") == NOON_MS


# --- positions that are older than what is known


@pytest.mark.parametrize("size", [1, 2, 64])
@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("older_ms", [0, 1, 60_000, 86_400_000])
def test_a_position_that_is_no_newer_moves_nobody(
    here: Station, size: int, replayed: bool, older_ms: int
) -> None:
    """Alone, in a batch, in columns, read again at a take-over: the place stays as it was."""
    here.fix("m1", "b")
    live = here.engine._area("town").world.live
    before = live.track("m1")
    late = here.fix_value("m1", "c", fix_time=rfc3339(NOON_MS - older_ms))
    value = late if size == 1 else {"batch": [late] * size}
    here.now_ms += 1_000
    assert here.take(here.raw(POSITIONS, value, replayed=replayed)) == []
    assert live.track("m1") == before


@pytest.mark.parametrize("size", [2, 64])
def test_of_a_batch_out_of_order_the_newest_counts(here: Station, size: int) -> None:
    """Whatever stands behind it."""
    here.fix("m1", "b")
    here.now_ms += 120_000
    when = [rfc3339(here.now_ms - ago_ms) for ago_ms in (0, 60_000)]
    fixes = [here.fix_value("m1", "c", fix_time=when[n > 0]) for n in range(size)]
    behind = [fix | here.place("a") for fix in fixes[1:]]
    here.send(POSITIONS, {"batch": [fixes[0], *behind]})
    track = here.engine._area("town").world.live.track("m1")
    assert (track.lon, track.lat) == pytest.approx(tuple(here.place("c").values()), abs=1e-9)


def test_an_alarm_in_an_old_position_is_heard_and_moves_nobody(here: Station) -> None:
    """History counts where it must: a call for help that was delayed on its way."""
    here.fix("m1", "b")
    before = here.engine._area("town").world.live.track("m1")
    late = here.fix_value("m1", "c", alarm="sos", fix_time=rfc3339(NOON_MS - 60_000))
    [opened, *_] = values(here.send(POSITIONS, late), "incident_events")
    assert opened["type"] == "incident.opened"
    assert here.engine._area("town").world.live.track("m1") == before
