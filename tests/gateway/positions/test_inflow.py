"""What devices said, sorted: whose, into which record, again, history, or refused."""

import json
from typing import Any

import numpy as np

from tests.gateway.fleet import NOON_MS, Fleet, forwarded
from tests.gateway.positions.test_traccar_flood import reader
from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.positions import packing
from xiaohe.gateway.positions.inflow import Came, Feed, Sorted
from xiaohe.gateway.positions.unknown_devices import ALOUD_EVERY_MS, LISTED_MAX, UnknownDevices
from xiaohe.wire.codec_positions import decode_positions

FEED = Feed("raw.traccar", 0.9)


def sort(fleet: Fleet, *values: bytes, received_ms: int = NOON_MS, first: int = 0) -> Sorted:
    """Let the inflow sort records of a raw topic, from this offset on."""
    came = Came(
        np.full(len(values), received_ms, dtype=np.int64),
        np.zeros(len(values), dtype=np.int64),
        np.arange(first, first + len(values)),
    )
    return fleet.inflow.sort(reader().read(values, came.received_ms), came, FEED)


def written(done: Sorted) -> list[dict[str, Any]]:
    """The positions that were packed."""
    return [fix for record in done.packed for fix in json.loads(record.value)["batch"]]


def test_a_device_speaks_for_its_member() -> None:
    """The position names member and device, in the contract's units, and its record the area."""
    fleet = Fleet(m1="T1")
    done = sort(fleet, forwarded("T1"))
    assert [(p.area_id, p.fixes) for p in done.packed] == [("a", 1)]
    assert json.loads(done.packed[0].value) | {"batch": []} == {
        "area_id": "a", "source": "raw.traccar", "trust": 0.9, "batch": [],
    }  # fmt: skip
    assert written(done) == [
        {
            "member_id": "m1", "device_id": "T1", "lon": 120.14, "lat": 30.31, "accuracy_m": 8.0,
            "fix_time": "2026-05-28T20:26:40.000+00:00", "speed_mps": 1.29, "course_deg": 90.0,
            "battery": 0.71,
        }
    ]  # fmt: skip


def test_what_is_packed_is_what_the_engine_reads() -> None:
    """A packed record is read by the reader of the topic, no fix refused."""
    fleet = Fleet(**{f"m{n}": f"T{n}" for n in range(50)})
    done = sort(fleet, *[forwarded(f"T{n}", accuracy=None if n % 2 else 5.0) for n in range(50)])
    record = decode_positions(b"a", done.packed[0].value)
    assert len(record.fixes) == 50
    assert not record.bad


def test_each_area_has_records_of_its_own() -> None:
    """No record mixes areas, and in each the order is that of the messages."""
    fleet = Fleet(m1="T1", m2="T2")
    fleet.member("m9", "T9", area_id="b")
    done = sort(fleet, *[forwarded(d, at_ms=NOON_MS + n) for n, d in enumerate(("T1", "T9", "T2"))])
    by_area = {p.area_id: [f["device_id"] for f in json.loads(p.value)["batch"]]
               for p in done.packed}  # fmt: skip
    assert by_area == {"a": ["T1", "T2"], "b": ["T9"]}


def test_records_stay_within_the_contract(monkeypatch) -> None:
    """A record has 1,000 positions at most, and no more bytes than are taken."""
    fleet = Fleet(m1="T1")
    values = [forwarded("T1", at_ms=NOON_MS + n) for n in range(2_100)]
    assert [p.fixes for p in sort(fleet, *values).packed] == [1_000, 1_000, 100]
    monkeypatch.setattr(packing, "RECORD_BYTES_MAX", 10_000)
    fleet = Fleet(m1="T1")
    packed = sort(fleet, *values[:300]).packed
    assert sum(p.fixes for p in packed) == 300
    assert max(len(p.value) for p in packed) <= 10_000


def test_the_same_fix_again_is_dropped_and_counted() -> None:
    """Within a lot and across lots; at the same time elsewhere it is another fix."""
    fleet = Fleet(m1="T1", m2="T2")
    fix = forwarded("T1")
    assert len(written(sort(fleet, fix, fix, forwarded("T2"), fix))) == 2
    assert written(sort(fleet, fix)) == []
    assert len(written(sort(fleet, forwarded("T1", lon=120.2)))) == 1
    assert fleet.inflow.counts["raw.traccar"]["again"] == 3


def test_older_fixes_go_on_as_history() -> None:
    """They are counted and published: the engine moves nobody back for them."""
    fleet = Fleet(m1="T1")
    late = [forwarded("T1", at_ms=NOON_MS + ms) for ms in (0, 60_000, 30_000, 90_000, 10_000)]
    assert len(written(sort(fleet, *late))) == 5
    assert fleet.inflow.counts["raw.traccar"]["history"] == 2
    figures = fleet.inflow.devices.figures("T1")
    assert figures is not None
    assert figures.fix_ms == NOON_MS + 90_000


def test_an_alarm_is_never_dropped() -> None:
    """A device repeats its call for help until somebody hears it."""
    fleet = Fleet(m1="T1")
    call = forwarded("T1", attributes={"alarm": "sos"})
    assert [f["alarm"] for f in written(sort(fleet, call, call))] == ["sos", "sos"]


def test_a_call_for_help_without_a_place_has_the_last_one() -> None:
    """Of the device; before its first fix, of the member's post; failing that it goes out too."""
    fleet = Fleet(m1="T1", m3="T3")
    fleet.member("m2", "T2", post={"lon": 120.5, "lat": 30.5})
    sort(fleet, forwarded("T1", lon=120.2, lat=30.2))
    lost = {"latitude": 0.0, "longitude": 0.0, "attributes": {"alarm": "sos"}}
    calls = written(sort(fleet, *[forwarded(d, **lost) for d in ("T1", "T2", "T3")]))
    assert [(f["lon"], f["lat"], f["alarm"]) for f in calls] == [
        (120.2, 30.2, "sos"), (120.5, 30.5, "sos"), (0.0, 0.0, "sos"),
    ]  # fmt: skip


def test_nothing_that_may_not_have_been_written_counts_as_known() -> None:
    """What was read before a failure is published when it is read again."""
    fleet = Fleet(m1="T1")
    done = sort(fleet, forwarded("T1"), forwarded("stranger"))
    fleet.inflow.not_written(done.told)
    again = sort(fleet, forwarded("T1"), forwarded("stranger"))
    assert len(written(again)) == 1
    assert again.told == ["stranger"]


def test_an_unknown_device_is_refused_aloud_once_an_hour() -> None:
    """Every message is refused, the first of an hour aloud; the list says what there was."""
    fleet = Fleet(m1="T1")
    done = sort(fleet, forwarded("T7"), forwarded("T7"), forwarded("T1"), first=5)
    assert [(r.message, r.bad.reason, r.aloud) for r in done.refusals] == [
        (0, Reason.UNKNOWN_DEVICE, True), (1, Reason.UNKNOWN_DEVICE, False),
    ]  # fmt: skip
    later_ms = NOON_MS + ALOUD_EVERY_MS
    assert sort(fleet, forwarded("T7"), received_ms=later_ms, first=9).told == ["T7"]
    device = fleet.inflow.unknown.get("T7")
    assert device is not None
    assert (device.first_ms, device.last_ms, device.count) == (NOON_MS, later_ms, 3)
    assert (device.place, device.door) == ((0, 9), "raw.traccar")


def test_a_flood_of_unknown_devices_is_bounded() -> None:
    """Neither the list nor the dead letters grow with the names that somebody makes up."""
    unknown = UnknownDevices()
    told = [unknown.refuse(f"d{n}", NOON_MS, Reason.UNKNOWN_DEVICE, "door") for n in range(30_000)]
    assert (len(unknown), sum(told)) == (LISTED_MAX, 10_000)
    assert [d.device_id for d in unknown.latest(2)] == ["d29999", "d29998"]


def test_a_bad_record_is_one_refusal_and_is_remembered() -> None:
    """By where it lies and why, and never by what it says."""
    fleet = Fleet(m1="T1")
    done = sort(fleet, b'{"secret": "x"', forwarded("T1"), first=3)
    assert [(r.message, r.bad.reason) for r in done.refusals] == [(0, Reason.NOT_JSON)]
    kept = fleet.inflow.refused[0]
    assert (kept.place, kept.reason) == ((0, 3), Reason.NOT_JSON)
    assert "secret" not in kept.detail


def test_how_often_fixes_come_and_how_a_clock_stands() -> None:
    """The interval is by the device's time; a clock that is ahead shows as a lag below 0."""
    fleet = Fleet(m1="T1", m2="T2")
    for n in range(6):
        at_ms = NOON_MS + n * 10_000
        sort(fleet, forwarded("T1", at_ms=at_ms), forwarded("T2", at_ms=at_ms + 60_000),
             received_ms=at_ms + 500)  # fmt: skip
    right, ahead = fleet.inflow.devices.figures("T1"), fleet.inflow.devices.figures("T2")
    assert right is not None
    assert ahead is not None
    assert (right.interval_s, right.least_lag_s, right.fixes) == (10.0, 0.5, 6)
    assert ahead.least_lag_s == -59.5
