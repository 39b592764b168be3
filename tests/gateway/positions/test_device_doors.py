"""The doors for whoever wires devices up; what needs a broker is in tests/kafka."""

import httpx
import numpy as np

from tests.gateway.door_bench import NOON_MS, client_of, parts_for
from tests.gateway.fleet import Fleet, forwarded
from tests.gateway.positions.test_inflow import FEED
from tests.gateway.positions.test_traccar_flood import reader
from xiaohe.commands import device as device_command
from xiaohe.dispatch.reasons import Reason
from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions import device_doors
from xiaohe.gateway.positions.inflow import Came
from xiaohe.gateway.positions.raw_fix import RawFix
from xiaohe.wire.bad_input import BadInput

TOKEN = {"authorization": "Bearer vendor"}


def parts_with(fleet: Fleet, *values: bytes, received_ms: int = NOON_MS) -> Parts:
    """Parts whose inflow has had these messages, and knows this fleet."""
    came = Came(
        np.full(len(values), received_ms, dtype=np.int64),
        np.full(len(values), -1, dtype=np.int64),
        np.zeros(len(values), dtype=np.int64),
    )
    fleet.inflow.sort(reader().read(values, came.received_ms), came, FEED)
    parts = parts_for()
    parts.inflow = fleet.inflow
    return parts


async def get(parts: Parts, path: str, **headers: str) -> httpx.Response:
    """What a door answers."""
    async with client_of(device_doors.doors, parts) as client:
        return await client.get(path, headers=headers or TOKEN)


async def test_devices_are_listed_with_how_often_they_send() -> None:
    """By area, those whose fixes come too seldom for what their member is doing are counted."""
    fleet = Fleet(m1="T1", m2="T2", m3="T3")
    fleet.view("m1", state="en_route")
    fleet.view("m2")
    times = [NOON_MS - ms for ms in (40_000, 20_000, 0)]
    values = [forwarded(d, at_ms=ms) for ms in times for d in ("T1", "T2", "T3")]
    found = (await get(parts_with(fleet, *values), "/v1/devices")).json()
    assert [(d["device_id"], d["fix_interval_s"], d["expected_interval_s"], d["slow"])
            for d in found["devices"]] == [
        ("T1", 20.0, 10.0, True), ("T2", 20.0, 30.0, False), ("T3", 20.0, None, False),
    ]  # fmt: skip
    assert found["areas"] == [
        {"area_id": "a", "assigned": 1, "assigned_slow": 1, "on_duty": 1, "on_duty_slow": 0}
    ]
    assert (await get(parts_with(fleet), "/v1/devices?area_id=b")).json()["devices"] == []


async def test_unknown_devices_are_listed_for_an_operator() -> None:
    """With first, last, count and reason, the latest first."""
    parts = parts_with(Fleet(), forwarded("S1"), forwarded("S2"), forwarded("S1"))
    found = (await get(parts, "/v1/devices/unknown?limit=1")).json()["devices"]
    assert found == [
        {"device_id": "S1", "first_at": "2026-05-28T20:26:40.000Z", "count": 2,
         "last_at": "2026-05-28T20:26:40.000Z", "reason": "unknown_device", "door": "raw.traccar"}
    ]  # fmt: skip


async def test_a_device_shows_its_clock_and_its_last_message() -> None:
    """What came, and what was made of it, to whoever manages devices."""
    fleet = Fleet(m1="T1")
    ahead_ms = NOON_MS + 60_000
    parts = parts_with(fleet, forwarded("T1", at_ms=ahead_ms))
    said = RawFix(device_id="T1", lon=120.14, lat=30.31, fix_ms=ahead_ms)
    parts.inflow.last_messages.keep("osmand", NOON_MS, [said], b"id=T1&lat=30.31")
    found = (await get(parts, "/v1/devices/T1")).json()
    assert (found["member_id"], found["clock_ahead_s"]) == ("m1", 60.0)
    assert found["last_message"]["raw"] == "id=T1&lat=30.31"
    assert found["last_message"]["read"][0]["fix"]["fix_time"] == "2026-05-28T20:27:40.000Z"


async def test_every_door_of_devices_asks_for_the_permit_to_manage_them() -> None:
    """Nobody sees where a device is, or gives it away, unasked."""
    parts = parts_with(Fleet(m1="T1"), forwarded("T1"))
    assert {door.change for door in device_doors.doors(parts)} == {Change.DEVICE_MANAGE}
    for path in ("/v1/devices", "/v1/devices/unknown", "/v1/devices/T1"):
        answer = await get(parts, path, authorization="Bearer denied")
        assert answer.status_code == 403
    async with client_of(device_doors.doors, parts) as client:
        answer = await client.post(
            "/v1/devices/T9/adopt", json={"member_id": "m1"},
            headers={"authorization": "Bearer denied"},
        )  # fmt: skip
    assert answer.status_code == 403


async def test_who_has_a_device_keeps_it() -> None:
    """Adopting is for devices that nobody has, by a member whom the roster knows."""
    parts = parts_with(Fleet(), forwarded("S1"))
    async with client_of(device_doors.doors, parts) as client:
        answer = await client.post("/v1/devices/S1/adopt", json={"member_id": "m1"}, headers=TOKEN)
    assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_member")


async def test_the_terminal_shows_what_was_made_of_a_message() -> None:
    """Whose the device is, what was read or why it was refused, and the message itself."""
    fleet = Fleet(m1="T1")
    parts = parts_with(fleet, forwarded("T1"))
    bad = BadInput(Reason.BAD_TIME, "look at the clock")
    message = device_doors._message("raw.traccar", NOON_MS, b"{raw}", [bad])
    found = (await get(parts, "/v1/devices/T1")).json() | {"last_message": message}
    lines = "\n".join(device_command._lines(found))
    for words in ("member_id            m1", "refused    bad_time", "look at the clock", "{raw}"):
        assert words in lines
    assert not device_command._is_well(found)
