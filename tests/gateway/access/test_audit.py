"""Every refusal and every change by hand is written down, and no secret is, anywhere."""

import io
import logging
from collections.abc import Iterator

import httpx
import orjson
import pytest
import structlog

from tests.gateway.access.gatehouse import Gate, signed
from tests.gateway.access.test_devices import POSITION
from tests.gateway.door_bench import parts_for
from xiaohe.gateway.access.audit import ENTRIES_WAITING_MAX, REFUSALS_AT_ONCE
from xiaohe.gateway.access.devices import device_key
from xiaohe.gateway.access.keeper import shortened
from xiaohe.gateway.doors import doors_of


async def gate_with_desk() -> Gate:
    """An operator and a member."""
    gate = Gate()
    gate.member("m1")
    await gate.add("m1", "member")
    await gate.add("lin", "duty_lead", area_ids=("here",))
    return gate


SET_MODE = {"action_id": "a1", "action": "set_mode", "mode": "emergency", "reason": "flood"}


async def test_a_change_by_hand_is_written_with_who_what_about_when_and_from_where() -> None:
    """And where its record lies; the address without its last part; not what was said."""
    gate = await gate_with_desk()
    head = await gate.let_in("operator:lin")
    async with gate.client("192.0.2.77") as client:
        await client.post("/v1/operator-actions", json=SET_MODE, headers=head)
    entry = (await gate.audited())[-1]
    assert entry.pop("at").startswith("2026-")
    assert entry.pop("session")
    assert entry == {
        "what": "changed",
        "principal": "lin",
        "role": "duty_lead",
        "change": "desk.decide",
        "about": {"area_id": "here", "action": "set_mode"},
        "address": "192.0.2.0/24",
        "written": [entry["written"][0]],
    }
    assert entry["written"][0].startswith("operator-actions:")


async def test_a_change_that_cannot_be_audited_is_not_said_to_be_done() -> None:
    """The sender comes again, with the same id."""
    gate = await gate_with_desk()
    head = await gate.let_in("operator:lin")
    gate.cluster.fails.add("audit")
    async with gate.client() as client:
        answer = await client.post("/v1/operator-actions", json=SET_MODE, headers=head)
    assert answer.status_code == 503


async def test_a_change_that_the_broker_did_not_acknowledge_is_noted_as_that() -> None:
    """It may or may not be there."""
    gate = await gate_with_desk()
    head = await gate.let_in("operator:lin")
    gate.cluster.fails.add("operator-actions")
    async with gate.client() as client:
        answer = await client.post("/v1/operator-actions", json=SET_MODE, headers=head)
    assert answer.status_code == 503
    assert (await gate.audited())[-1]["what"] == "not_published"


async def test_a_refusal_is_written_with_who_and_why() -> None:
    """A known name that was given and not proved is told; one that nobody has is not."""
    gate = await gate_with_desk()
    await gate.add("d1", "device", area_ids=None)
    head = await gate.let_in("member:m1")
    async with gate.client(doors=(POSITION,)) as client:
        await client.post("/v1/operator-actions", json=SET_MODE | {"area_id": "here"}, headers=head)
        for device_id in ("d1", "nobody-has-this"):
            forged = signed(device_id, 1, gate.now_ms, key=bytes(32))
            await client.post("/position", content=b"{}", headers=forged)
    refusals = [r for r in await gate.audited() if r["what"] == "refused"]
    told = [(r.get("principal"), r["reason"]) for r in refusals]
    assert told == [("m1", "forbidden"), ("d1", "signature"), (None, "signature")]
    assert refusals[0]["about"] == {"area_id": "here", "action": "set_mode"}


async def test_a_flood_of_refusals_does_not_flood_the_topic() -> None:
    """Those beyond a bound are counted, and none is missing from the sum."""
    gate = await gate_with_desk()
    for _ in range(10_000):
        gate.keeper.audit.refused("unauthenticated")
    entries = [r for r in await gate.audited() if r["what"].startswith("refused")]
    assert len(entries) == REFUSALS_AT_ONCE + 1
    assert sum(entry.get("count", 1) for entry in entries) == 10_000


async def test_refusals_wait_for_a_broker_that_is_away_within_bounds() -> None:
    """What does not fit is counted, and told when the broker is back."""
    gate = await gate_with_desk()
    gate.cluster.fails.add("audit")
    for _ in range(2 * ENTRIES_WAITING_MAX):
        gate.later(1)
        gate.keeper.audit.refused("unauthenticated")
    assert len(gate.keeper.audit._waiting) == ENTRIES_WAITING_MAX
    gate.cluster.fails.clear()
    told = [r for r in await gate.audited() if r["what"].startswith("refused")]
    assert sum(r.get("count", 1) for r in told) == 2 * ENTRIES_WAITING_MAX


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("a name", ""),
        ("", ""),
    ],
)
def test_an_address_is_written_without_its_last_part(peer: str, told: str) -> None:
    """A house or a firm, not a telephone."""
    assert shortened(peer) == told


WITHOUT_A_NAME = {
    "/v1/login/pin", "/v1/login/password", "/v1/login/link", "/v1/session/refresh",
    "/v1/session/end",
}  # fmt: skip


def test_every_door_that_writes_asks_who_it_is() -> None:
    """All but those where one becomes somebody, which are written down here."""
    doors = doors_of(parts_for())
    unasked = {door.path for door in doors if door.method != "GET" and door.change is None}
    assert unasked == WITHOUT_A_NAME


async def test_every_door_is_shut_to_nobody() -> None:
    """Without a name each write is answered 401, and with a wrong one."""
    gate = await gate_with_desk()
    async with gate.client() as client:
        for door in doors_of(gate.parts):
            if door.change is None:
                continue
            path = door.path.replace("{", "").replace("}", "")
            kind = door.bodies[0].media_type if door.bodies else "application/json"
            for head in ({}, {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}):
                sent = {"content-type": kind} | head
                answer = await client.request(door.method, path, content=b"{}", headers=sent)
                assert answer.status_code == 401, door.path


CANARY = "canary-7f3a"
PIN = "884213"
PASSWORD = f"{CANARY}-password"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What goes into the log."""
    before, into = structlog.get_config(), io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(into))
    yield into
    structlog.configure(**before)


async def test_no_secret_stands_in_a_log_an_answer_or_a_topic(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], logged: io.StringIO
) -> None:
    """PINs, passwords, keys and tokens are looked for wherever something is written."""
    gate = await gate_with_desk()
    await gate.add("m1", "member", pin=PIN)
    await gate.add("lin", "duty_lead", area_ids=("here",), password=PASSWORD)
    await gate.add("d1", "device", area_ids=None)
    answers: list[httpx.Response] = []
    secrets = [PIN, PASSWORD, device_key(gate.keeper.secret, "d1", 0).hex(), CANARY]
    with caplog.at_level(logging.DEBUG, "xiaohe"):
        async with gate.client() as client:

            async def post(path: str, body: object, **head: str) -> httpx.Response:
                content = body if isinstance(body, bytes) else orjson.dumps(body)
                sent = {"content-type": "application/json"} | head
                answers.append(await client.post(path, content=content, headers=sent))
                return answers[-1]

            granted = (await post("/v1/login/pin", {"member_id": "m1", "pin": PIN})).json()
            answers.pop()
            tokens = [granted["access_token"], granted["refresh_token"]]
            secrets += [*tokens, *(t.rpartition(".")[2] for t in tokens)]
            await post("/v1/login/pin", {"member_id": CANARY, "pin": CANARY})
            await post("/v1/login/pin", {"member_id": "m1", "pin": [PIN]})
            await post("/v1/login/pin", {"member_id": "m1", CANARY: PIN})
            await post("/v1/login/pin", b'{"member_id": "m1", "pin": "' + PIN.encode())
            await post("/v1/login/password", {"operator_id": "lin", "password": PASSWORD + "x"})
            await post("/v1/login/link", {"token": tokens[0]})
            await post("/v1/session/refresh", {"refresh_token": tokens[0]})
            bearer = {"authorization": f"Bearer {tokens[1]}"}
            await post("/v1/member-actions", {"text": CANARY}, **bearer)
            bearer = {"authorization": f"Bearer {tokens[0]}"}
            await post("/v1/member-actions", {"action": CANARY, "action_id": CANARY}, **bearer)
            said = {"action": "on_duty", "action_id": "a", "member_id": CANARY}
            await post("/v1/member-actions", said, **bearer)
            said = {"action": "accept", "action_id": "a", "dispatch_id": "d", "area_id": CANARY}
            await post("/v1/member-actions", {**said, "text": CANARY}, **bearer)
            await post("/v1/member-actions", b"{}", authorization=f"Basic {CANARY}")
            await post("/v1/member-actions", b"{}", cookie=f"xiaohe_access={CANARY}")
            device = signed(CANARY, 1, gate.now_ms)
            await post("/v1/member-actions", b"{}", **device)
            link = gate.keeper.sessions.link("member:m1")
            secrets.append(link)
            await post("/v1/login/link", {"token": link})
            answers.pop()
            await post("/v1/login/link", {"token": link})
    await gate.audited()
    written = b"".join(
        (r.key or b"") + (r.value or b"")
        for r in gate.cluster.records
        if r.topic != "member-actions"
    ).decode()
    out = capsys.readouterr()
    told = "".join(a.text + str(a.headers) for a in answers)
    for name, text in (
        ("an answer", told), ("a topic", written), ("a log", caplog.text + logged.getvalue()),
        ("the terminal", out.out + out.err), ("a repr", repr(gate.parts)),
    ):  # fmt: skip
        for secret in secrets:
            assert secret not in text, f"{secret[:12]} stands in {name}"
    assert len(answers) > 12
