"""From a device through the real doorkeeper and the real intake to a record of ``positions``."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.access.gatehouse import Gate, signed
from tests.gateway.door_bench import NOON_MS
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.directory import digest_of
from xiaohe.gateway.positions.doors import REFUSED
from xiaohe.gateway.positions.examples import OWNTRACKS, POSITION, TRACCAR
from xiaohe.gateway.settings import AccessSettings, DoorsSettings, OpenDoor

KEY = "xk_phones.0123456789abcdef"
NOW = rfc3339(NOON_MS)
NOW_S = NOON_MS // 1000
JSON = {"content-type": "application/json"}
PHONE = orjson.dumps(OWNTRACKS | {"tst": NOW_S})


def gate(path: str | None = None) -> Gate:
    """Ann of here has the devices M07 and m07:phone; ``path`` is open to whoever cannot sign."""
    until = datetime(2100, 1, 1, tzinfo=UTC)
    opened = (
        [OpenDoor(name="old", path=path, sources=("192.0.2.0/24",), until=until)] if path else ()
    )
    found = Gate(DoorsSettings(access=AccessSettings(open_doors=tuple(opened))))
    found.known.roster.put(
        RosterEntry(member_id="ann", area_id="here", name="Invented Ann", team="t",
                    device_ids=("M07", "m07:phone"))
    )  # fmt: skip
    return found


async def with_key(**settings: Any) -> Gate:
    """The same, and a service with a key for positions."""
    found = gate()
    await found.add("phones", "service", keys=(digest_of(KEY),), scopes=("position.report",),
                    **settings)  # fmt: skip
    return found


async def sent(
    at: Gate,
    path: str,
    body: bytes = b"",
    method: str = "POST",
    peer: str = "192.0.2.77",
    **head: str,
) -> httpx.Response:
    """What a message is answered."""
    async with at.client(peer) as client:
        return await client.request(method, path, content=body, headers=head)


def written(at: Gate) -> list[dict[str, Any]]:
    """The positions that lie on the topic."""
    return [each for record in at.cluster.values("positions") for each in record["batch"]]


def basic(user: str, password: str) -> dict[str, str]:
    """The head of somebody with a user and a password."""
    return {"authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("head", [basic("m07", KEY), {"authorization": f"Bearer {KEY}"}])
async def test_a_phone_shows_a_services_key_as_a_token_or_as_a_password(
    head: dict[str, str],
) -> None:
    """OwnTracks has fields for a user and a password, and none for a token."""
    at = await with_key(area_ids=("here",))
    answer = await sent(at, "/owntracks", PHONE, **JSON, **head)
    assert (answer.status_code, answer.json()) == (200, [])
    assert [each["member_id"] for each in written(at)] == ["ann"]


@pytest.mark.parametrize(
    "head",
    [basic("m07", KEY[:-1]), basic("m07", "a-password"), basic(KEY, ""), {"authorization": "Basic"},
     {"authorization": "Basic ?"}, {"authorization": "Basic /w=="}, {"authorization": "Digest x"}],
)  # fmt: skip
async def test_no_other_password_lets_anybody_in(head: dict[str, str]) -> None:
    """Nobody's own password counts at a door of devices, nor half a key, nor what is no text."""
    at = await with_key(area_ids=("here",))
    answer = await sent(at, "/owntracks", PHONE, **JSON, **head)
    assert answer.status_code == 401
    assert not written(at)


async def test_a_forwarding_server_speaks_for_every_area() -> None:
    """One key, the devices of all, and an unknown one costs the others nothing."""
    at = await with_key(area_ids=None)
    head = JSON | {"authorization": f"Bearer {KEY}"}
    position = TRACCAR["position"] | {"fixTime": NOW}
    for name in ("M07", "nobodys"):
        body = TRACCAR | {"position": position, "device": {"uniqueId": name}}
        answer = await sent(at, "/traccar", orjson.dumps(body), **head)
        assert answer.status_code == 200
    assert answer.headers[REFUSED] == "unknown_device"
    (fix,) = written(at)
    assert (fix["member_id"], fix["fix_time"], fix["battery"]) == ("ann", NOW, 0.71)


async def test_a_tracker_that_cannot_sign_comes_through_an_open_door() -> None:
    """From the networks that the operator named, and from nowhere else."""
    at = gate("/osmand")
    path = f"/osmand?id=M07&lat=30.3&lon=120.1&timestamp={NOW_S}"
    assert (await sent(at, path, method="GET")).status_code == 200
    assert (await sent(at, path, method="GET", peer="198.51.100.7")).status_code == 401
    assert len(written(at)) == 1


async def test_a_device_that_signs_speaks_for_itself_alone() -> None:
    """Whatever device its message names."""
    at = gate()
    await at.add("M07", "device")
    at.later(60)
    for sequence, (name, status) in enumerate((("M07", 200), ("M08", 403)), 1):
        body = orjson.dumps(POSITION | {"device_id": name, "fix_time": NOW})
        head = signed("M07", sequence, at.now_ms, body, path="/v1/positions")
        assert (await sent(at, "/v1/positions", body, **head)).status_code == status
    assert len(written(at)) == 1
