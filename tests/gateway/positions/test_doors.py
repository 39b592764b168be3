"""Each door of positions answers as its clients expect, and nothing is taken unasked."""

from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.door_bench import NOON_MS, client_of, parts_for
from tests.gateway.positions.list_intake import ListIntake
from xiaohe.dispatch.inputs import RosterEntry
from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.parts import Parts
from xiaohe.gateway.positions.doors import REFUSED, REPORT_LOCATION, doors
from xiaohe.gateway.positions.examples import OSMAND_JSON, OWNTRACKS, POSITION, TILE38, TRACCAR
from xiaohe.gateway.positions.raw_fix import RawFix

TOKEN = {"authorization": "Bearer somebody"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
NOW = rfc3339(NOON_MS)
NOW_S = NOON_MS // 1000


def with_intake(**how: Any) -> tuple[Parts, ListIntake]:
    """Parts whose intake keeps a list."""
    parts = parts_for()
    parts.intake = intake = ListIntake(**how)
    return parts, intake


async def visited(
    parts: Parts, method: str, path: str, content: bytes = b"", **headers: str
) -> httpx.Response:
    """What one visit is answered."""
    async with client_of(doors, parts) as client:
        return await client.request(method, path, content=content, headers=TOKEN | headers)


def changed(message: dict[str, Any], **fields: Any) -> bytes:
    """A message with some of its fields changed."""
    return orjson.dumps(message | fields)


def traccar(**position: Any) -> bytes:
    """A forwarded position of now, with some of its fields changed."""
    return orjson.dumps(TRACCAR | {"position": TRACCAR["position"] | {"fixTime": NOW} | position})


def osmand(**location: Any) -> bytes:
    """Traccar Client's JSON of now, with some of its fields changed."""
    said = OSMAND_JSON["location"] | {"timestamp": NOW} | location
    return orjson.dumps(OSMAND_JSON | {"location": said})


JSON = {"content-type": "application/json"}
GOOD = [
    ("GET", f"/osmand?id=M07&lat=30.3&lon=120.1&timestamp={NOW_S}&speed=2", b"", {}),
    ("POST", f"/osmand?id=M07&lat=30.3&lon=120.1&timestamp={NOW_S}", b"", {}),
    ("POST", "/osmand", f"id=M07&lat=30.3&lon=120.1&timestamp={NOW_S}".encode(), FORM),
    ("POST", "/osmand", osmand(), JSON),
    ("POST", "/owntracks", changed(OWNTRACKS, tst=NOW_S, topic="owntracks/M07/x"), JSON),
    ("POST", "/owntracks", changed(OWNTRACKS, tst=NOW_S), {}),
    ("POST", "/traccar", traccar(), JSON),
    ("POST", "/tile38", changed(TILE38, time=NOW), JSON),
    ("POST", "/v1/positions", changed(POSITION, fix_time=NOW), JSON),
    ("POST", "/v1/positions", orjson.dumps({"batch": [POSITION | {"fix_time": NOW}]}), JSON),
]


@pytest.mark.parametrize(("method", "path", "content", "headers"), GOOD)
async def test_a_fix_comes_through_every_door(
    method: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    """200, and the fix is in the intake under the door's name, with the permit of who sent it."""
    parts, intake = with_intake()
    answer = await visited(parts, method, path, content, **headers)
    assert answer.status_code == 200, answer.text
    assert REFUSED not in answer.headers
    (fix,) = intake.taken
    assert fix.fix_ms == NOON_MS
    assert intake.doors[0] in path
    assert intake.permits[0].principal.principal_id == "somebody"


@pytest.mark.parametrize(("method", "path", "content", "headers"), GOOD)
async def test_nothing_is_taken_of_who_may_not(
    method: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    """403 for whom access denies, 401 without a name, and the intake sees neither."""
    parts, intake = with_intake()
    denied = await visited(parts, method, path, content, **headers, authorization="Bearer denied")
    nobody = await visited(parts, method, path, content, **headers, authorization="")
    assert (denied.status_code, nobody.status_code) == (403, 401)
    assert not intake.permits


@pytest.mark.parametrize(("method", "path", "content", "headers"), GOOD)
async def test_what_the_broker_does_not_acknowledge_is_asked_for_again(
    method: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    """503 makes every client keep the position and send it again."""
    parts, _ = with_intake(broken=True)
    answer = await visited(parts, method, path, content, **headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "reason"),
    [
        ("GET", f"/osmand?id=stranger&lat=3&lon=1&timestamp={NOW_S}", b"", {}, 400,
         "unknown_device"),
        ("POST", "/osmand", osmand().replace(b"M07", b"stranger"), JSON, 404, "unknown_device"),
        ("POST", "/v1/positions", changed(POSITION, fix_time=NOW, device_id="stranger"), JSON, 404,
         "unknown_device"),
        ("GET", "/osmand?lat=3&lon=1", b"", {}, 400, "missing_field"),
        ("GET", "/osmand?id=M07&lat=3&lon=1&datum=moon", b"", {}, 400, "unknown_value"),
        ("GET", "/osmand?id=M07&lat=3&lon=1&timezone=../../etc/passwd", b"", {}, 400,
         "unknown_value"),
        ("POST", "/osmand", b"{", JSON, 400, "not_json"),
        ("POST", "/v1/positions", b"{", JSON, 400, "not_json"),
        ("POST", "/v1/positions", changed(POSITION, lat="x", fix_time=NOW), JSON, 400,
         "wrong_type"),
        ("POST", "/v1/positions", b"<gpx/>", {"content-type": "text/xml"}, 415, "media_type"),
        ("POST", "/osmand", b"x" * 40_000, JSON, 413, "oversize"),
        ("POST", "/owntracks", b"x" * 300_000, JSON, 413, "oversize"),
        ("POST", "/traccar", b"x" * 70_000, JSON, 413, "oversize"),
        ("POST", "/v1/positions", b"x" * 10 * 1024**2, JSON, 413, "oversize"),
    ],
)  # fmt: skip
async def test_a_client_that_can_mend_it_is_told(
    method: str, path: str, content: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    """The protocol's own status, and a problem with the code."""
    parts, intake = with_intake()
    answer = await visited(parts, method, path, content, **headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not intake.taken


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("/owntracks", b"{", "not_json"),
        ("/owntracks", b"[[[[", "not_json"),
        ("/owntracks", changed(OWNTRACKS, tst=NOW_S, lat=91), "out_of_range"),
        ("/owntracks", changed(OWNTRACKS, tst=NOW_S, topic="owntracks/x/y/z w"), None),
        ("/traccar", b'{"position": {}}', "missing_field"),
        ("/traccar", traccar(fixTime="2099-01-01T00:00:00Z"), "bad_time"),
        ("/traccar", traccar().replace(b"M07", b"stranger"), "unknown_device"),
        ("/tile38", changed(TILE38, time=NOW, id="a b"), "bad_identifier"),
        ("/osmand?id=M07&lat=1&lon=2&timestamp=99999999999", b"", "bad_time"),
    ],
)
async def test_whoever_sends_again_for_ever_is_answered_200(
    path: str, content: bytes, reason: str | None
) -> None:
    """The newer positions of its queue would never come; the head says what was refused."""
    parts, _ = with_intake()
    answer = await visited(parts, "POST", path, content)
    assert (answer.status_code, answer.headers.get(REFUSED)) == (200, reason)
    if path == "/owntracks":
        assert answer.json() == []


async def test_an_empty_message_of_a_phone_is_delivered() -> None:
    """OwnTracks sends bodies of no bytes, and would send them again."""
    parts, intake = with_intake()
    answer = await visited(parts, "POST", "/owntracks")
    assert (answer.status_code, answer.json()) == (200, [])
    assert not intake.permits


async def test_the_app_says_in_the_head_who_it_is() -> None:
    """Of a message without a topic the head's user and device count."""
    parts, intake = with_intake()
    content = changed(OWNTRACKS, tst=NOW_S, topic=None)
    await visited(parts, "POST", "/owntracks", content, **{"x-limit-u": "jo", "x-limit-d": "p"})
    assert intake.taken[0].device_id == "jo:p"


async def test_a_batch_counts_but_for_its_bad_ones() -> None:
    """The answer says which by their places, those that nobody has among them."""
    parts, intake = with_intake()
    good = POSITION | {"fix_time": NOW}
    batch = [good, good | {"lat": 91}, good | {"device_id": "stranger"}, good]
    answer = await visited(parts, "POST", "/v1/positions", orjson.dumps({"batch": batch}), **JSON)
    refused = [(each["index"], each["reason"]) for each in answer.json()["refused"]]
    assert refused == [(1, "out_of_range"), (2, "unknown_device")]
    assert (answer.json()["accepted"], len(intake.taken)) == (2, 2)


async def test_the_settings_of_an_address_count() -> None:
    """What a client cannot say about its positions, the address that it was given does."""
    parts, intake = with_intake()
    local = "2026-05-29 04:26:40"  # noon of the tests, in Shanghai
    path = f"/osmand?id=M07&lat=30.3&lon=120.1&timestamp={local}"
    await visited(parts, "GET", f"{path}&datum=gcj02&timezone=Asia/Shanghai")
    assert (intake.taken[0].datum, intake.taken[0].fix_ms) == ("gcj02", NOON_MS)


def known(parts: Parts) -> None:
    """A member with a device, always on duty."""
    parts.known.roster.put(
        RosterEntry(
            member_id="ann", area_id="north", name="Invented Ann", team="a", device_ids=("M07",)
        )
    )


async def test_a_permit_is_about_the_device_and_its_area() -> None:
    """Access can decide by what speaks, and where it belongs."""
    parts, intake = with_intake()
    known(parts)
    await visited(parts, "POST", "/traccar", traccar())
    about = intake.permits[0].about
    assert (about.device_id, about.member_id, about.area_id) == ("M07", None, "north")


async def test_a_permit_is_about_the_member_who_is_named() -> None:
    """Who sends their own position speaks for themselves."""
    parts, intake = with_intake()
    known(parts)
    position = {name: item for name, item in POSITION.items() if name != "device_id"}
    content = orjson.dumps(position | {"member_id": "ann", "fix_time": NOW})
    await visited(parts, "POST", "/v1/positions", content, **JSON)
    about = intake.permits[0].about
    assert (about.device_id, about.member_id, about.area_id) == (None, "ann", "north")


async def test_of_several_nobody_is_named() -> None:
    """Who may speak for one alone cannot smuggle another's position in."""
    parts, intake = with_intake()
    known(parts)
    batch = [POSITION | {"fix_time": NOW}, POSITION | {"fix_time": NOW, "device_id": "M08"}]
    await visited(parts, "POST", "/v1/positions", orjson.dumps({"batch": batch}), **JSON)
    about = intake.permits[0].about
    assert (about.device_id, about.member_id, about.area_id) == (None, None, None)


async def test_a_named_area_is_what_the_permit_is_about() -> None:
    """What a batch says of itself is what has to be allowed."""
    parts, intake = with_intake()
    known(parts)
    batch = {"area_id": "south", "batch": [POSITION | {"fix_time": NOW}]}
    await visited(parts, "POST", "/v1/positions", orjson.dumps(batch), **JSON)
    assert intake.permits[0].about.area_id == "south"


async def test_a_phone_is_asked_where_it_is_once_an_incident() -> None:
    """The answer to whatever it sends next asks it, and the next answer does not."""
    parts, _ = with_intake()
    parts.asking.opened("i-1", ["m07:phone"], NOON_MS - 5_000, NOON_MS)
    content = changed(OWNTRACKS, tst=NOW_S)
    first = await visited(parts, "POST", "/owntracks", content, **JSON)
    again = await visited(parts, "POST", "/owntracks", content, **JSON)
    assert (first.json(), again.json()) == ([REPORT_LOCATION], [])


async def test_a_call_for_help_without_a_place_reaches_the_intake() -> None:
    """Somebody has to be sent all the same."""
    parts, intake = with_intake()
    await visited(parts, "GET", "/osmand?id=M07&alarm=sos")
    assert (intake.told[0].alarm, intake.told[0].device_id) == ("sos", "M07")
    assert not any(isinstance(each, RawFix) for each in intake.taken)
