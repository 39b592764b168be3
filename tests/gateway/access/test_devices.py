"""Devices that sign, messages that were forged or come again, and doors for what cannot sign."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.gateway.access.gatehouse import Gate, signed
from tests.gateway.door_bench import NOON_MS
from xiaohe.gateway.access.devices import AHEAD_S, PAST_S
from xiaohe.gateway.access.principal import About, Change
from xiaohe.gateway.door import Body, Door, Reply, Visit
from xiaohe.gateway.settings import AccessSettings, DoorsSettings, OpenDoor

READY_S = 60
Head = dict[str, str]


async def take(visit: Visit) -> Reply:
    """Take a position of the device that the query names, or that has signed."""
    assert visit.principal is not None
    device_id = visit.parameter("id") or visit.principal.principal_id
    permit = await visit.permit(About(area_id="here", device_id=device_id))
    return Reply(value={"who": permit.principal.principal_id, "trusted": permit.principal.trusted})


POSITION = Door(
    method="POST", path="/position", name="position", what="A position.",
    change=Change.POSITION_REPORT, handle=take,
    bodies=(Body(media_type="application/json", bytes_max=1_000),),
)  # fmt: skip


async def gate_with_device(settings: DoorsSettings | None = None) -> Gate:
    """A gateway that has run for a minute and knows device d1."""
    gate = Gate(settings)
    await gate.add("d1", "device", area_ids=None)
    gate.later(READY_S)
    return gate


async def test_a_signed_message_counts_once() -> None:
    """The same bytes a second time do not."""
    gate = await gate_with_device()
    head = signed("d1", 7, gate.now_ms)
    async with gate.client(doors=(POSITION,)) as client:
        first = await client.post("/position", content=b"{}", headers=head)
        again = await client.post("/position", content=b"{}", headers=head)
    assert first.json() == {"who": "d1", "trusted": True}
    assert (again.status_code, again.json()["reason"]) == (401, "unauthenticated")


OF_ANOTHER_KEY = bytes(32)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (lambda now: signed("d1", 8, now, b"{ }"), "signature"),
        (lambda now: signed("d1", 8, now, path="/elsewhere"), "signature"),
        (lambda now: signed("d1", 8, now, path="/position?id=d2"), "signature"),
        (lambda now: signed("d1", 8, now, method="PUT"), "signature"),
        (lambda now: signed("d1", 8, now, key=OF_ANOTHER_KEY), "signature"),
        (lambda now: signed("d1", 8, now, generation=1), "signature"),
        (lambda now: signed("d2", 8, now), "signature"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-device": "d2"}, "signature"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-sequence": "9"}, "signature"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-time": str(now + 1)}, "signature"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-signature": ""}, "signature"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-sequence": "+8"}, "headers"),
        (lambda now: signed("d1", 8, now) | {"x-xiaohe-sequence": "8" * 19}, "headers"),
        (lambda now: {"x-xiaohe-device": "d1", "content-type": "application/json"}, "headers"),
        (lambda now: signed("d1", 7, now), "replayed"),
        (lambda now: signed("d1", 6, now), "replayed"),
        (lambda now: signed("d1", 8, now - PAST_S * 1000 - 1), "time"),
        (lambda now: signed("d1", 8, now + AHEAD_S * 1000 + 1), "time"),
        (lambda now: signed("d1", 8, NOON_MS), "before_start"),
    ],
)
async def test_what_is_forged_or_comes_again_counts_not(
    forged: Callable[[int], Head], reason: str
) -> None:
    """Whatever was changed after it was signed, or is not of now, is refused, and audited."""
    gate = await gate_with_device()
    gate.later(PAST_S)
    async with gate.client(doors=(POSITION,)) as client:
        head = signed("d1", 7, gate.now_ms)
        assert (await client.post("/position", content=b"{}", headers=head)).status_code == 200
        answer = await client.post("/position", content=b"{}", headers=forged(gate.now_ms))
    assert answer.status_code == 401
    refusals = [r["reason"] for r in await gate.audited() if r["what"] == "refused"]
    assert refusals == [reason]


async def test_a_device_speaks_only_for_itself() -> None:
    """Its signature is in order, and the other device is not its own."""
    gate = await gate_with_device()
    head = signed("d1", 1, gate.now_ms, path="/position?id=d2")
    async with gate.client(doors=(POSITION,)) as client:
        answer = await client.post("/position?id=d2", content=b"{}", headers=head)
    assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden")


async def test_nothing_recorded_before_a_restart_counts_after_it() -> None:
    """Not even what a device with the fastest clock signed last, at whatever later moment."""
    gate = await gate_with_device()
    gate.later(PAST_S)
    recorded = [
        signed("d1", n, gate.now_ms + ahead_ms)
        for n, ahead_ms in enumerate((-PAST_S * 500, 0, AHEAD_S * 1000), start=1)
    ]
    async with gate.client(doors=(POSITION,)) as client:
        for head in recorded:
            taken = await client.post("/position", content=b"{}", headers=head)
            assert taken.status_code == 200
    restarted = gate.another()
    async with gate.client(doors=(POSITION,), parts=restarted) as client:
        for _ in range(2 * PAST_S):
            for head in recorded:
                again = await client.post("/position", content=b"{}", headers=head)
                assert again.status_code == 401
            gate.later(1)
        fresh = signed("d1", 4, gate.now_ms)
        assert (await client.post("/position", content=b"{}", headers=fresh)).status_code == 200


async def test_a_new_key_takes_over_from_the_old_one() -> None:
    """Both count until the time that was given, then the new one alone."""
    gate = await gate_with_device()
    until_ms = gate.now_ms + 60_000
    await gate.add("d1", "device", area_ids=None, generation=1, previous_until_ms=until_ms)
    async with gate.client(doors=(POSITION,)) as client:

        async def status(sequence: int, generation: int) -> int:
            head = signed("d1", sequence, gate.now_ms, generation=generation)
            return (await client.post("/position", content=b"{}", headers=head)).status_code

        assert (await status(1, 0), await status(2, 1)) == (200, 200)
        gate.later(60)
        assert (await status(3, 0), await status(4, 1)) == (401, 200)


async def test_a_device_that_was_removed_counts_no_more() -> None:
    """At once, and without a restart."""
    gate = await gate_with_device()
    await gate.keeper.sessions.store("device:d1", None)
    async with gate.client(doors=(POSITION,)) as client:
        head = signed("d1", 1, gate.now_ms)
        assert (await client.post("/position", content=b"{}", headers=head)).status_code == 401


def opened(until_ms: int = NOON_MS + 3_600_000) -> DoorsSettings:
    """A door for old trackers from one network."""
    door = OpenDoor(
        name="old-vans",
        path="/position",
        sources=("192.0.2.0/24",),
        until=datetime.fromtimestamp(until_ms / 1000, UTC),
        area_ids=("here",),
    )
    return DoorsSettings(access=AccessSettings(open_doors=(door,)))


JSON = {"content-type": "application/json"}


async def test_what_cannot_sign_comes_through_a_door_that_was_opened() -> None:
    """What it says is not trusted."""
    gate = await gate_with_device(opened())
    async with gate.client(doors=(POSITION,)) as client:
        answer = await client.post("/position?id=van-3", content=b"{}", headers=JSON)
    assert answer.json() == {"who": "door:old-vans", "trusted": False}


@pytest.mark.parametrize(
    ("peer", "path", "head", "status"),
    [
        ("198.51.100.1", "/position?id=van-3", {}, 401),
        ("::ffff:192.0.2.5", "/position?id=van-3", {}, 200),
        ("192.0.2.5", "/position?id=d1", {}, 403),
        ("192.0.2.5", "/v1/member-actions", {}, 401),
        ("192.0.2.5", "/position?id=van-3", {"authorization": "Bearer xk_wrong"}, 401),
        ("192.0.2.5", "/position?id=van-3", {"x-xiaohe-device": "d1"}, 401),
        ("192.0.2.5", "/position?id=van-3", {"cookie": "xiaohe_access=wrong"}, 401),
    ],
)
async def test_an_open_door_is_no_wider_than_it_was_opened(
    peer: str, path: str, head: Head, status: int
) -> None:
    """Not from elsewhere, not on another path, not for a device with a key, not after a bad try."""
    gate = await gate_with_device(opened())
    async with gate.client(peer, doors=(POSITION,)) as client:
        answer = await client.post(path, content=b"{}", headers=JSON | head)
    assert answer.status_code == status


async def test_an_open_door_shuts_by_itself() -> None:
    """Its last second is the one before ``until``."""
    gate = await gate_with_device(opened(NOON_MS + READY_S * 1000 + 1_000))
    async with gate.client(doors=(POSITION,)) as client:
        before = await client.post("/position?id=van-3", content=b"{}", headers=JSON)
        gate.later(1)
        after = await client.post("/position?id=van-3", content=b"{}", headers=JSON)
    assert (before.status_code, after.status_code) == (200, 401)
