"""Logging in by PIN, password and link; sessions that are refreshed, ended and stolen."""

import asyncio

import pytest

from tests.gateway.access.gatehouse import Gate
from xiaohe.gateway.access.directory import digest_of
from xiaohe.gateway.access.records import Account, Session, Used, encode
from xiaohe.gateway.access.secret import Secret
from xiaohe.gateway.access.tokens import LIFETIMES_S
from xiaohe.gateway.access.tries import ADDRESS_TRIES, REST_S, TRIES_FREE

PIN, PASSWORD = "740291", "a long way to the canal"


async def gate_with_people(**settings: bool) -> Gate:
    """A member with a PIN, an operator with a password."""
    gate = Gate(**settings)
    gate.member("m1")
    await gate.add("m1", "member", pin=PIN)
    await gate.add("lin", "duty_lead", area_ids=("here",), password=PASSWORD)
    return gate


async def test_a_member_logs_in_with_a_pin_and_is_who_they_are() -> None:
    """The token says nothing of areas: those are the roster's."""
    gate = await gate_with_people()
    async with gate.client() as client:
        granted = await client.post("/v1/login/pin", json={"member_id": "m1", "pin": PIN})
        token = granted.json()["access_token"]
        me = await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})
    assert granted.json()["expires_in_s"] == LIFETIMES_S["access"]
    told = me.json()
    assert (told["principal_id"], told["role"], told["area_ids"]) == ("m1", "member", ["here"])


@pytest.mark.parametrize(
    ("door", "body"),
    [
        ("pin", {"member_id": "m1", "pin": "740292"}),
        ("pin", {"member_id": "m9", "pin": PIN}),
        ("pin", {"member_id": "lin", "pin": PASSWORD}),
        ("password", {"operator_id": "lin", "password": PIN}),
        ("password", {"operator_id": "m1", "password": PIN}),
        ("password", {"operator_id": "member:m1", "password": PIN}),
        ("pin", {"member_id": "m1", "pin": PIN * 43}),
    ],
)
async def test_a_wrong_name_is_told_as_a_wrong_secret_is(door: str, body: dict) -> None:
    """Nobody learns from it who has an account."""
    gate = await gate_with_people()
    async with gate.client() as client:
        answer = await client.post(f"/v1/login/{door}", json=body)
    if len(str(body)) < 200:
        assert answer.status_code == 401
        assert answer.json()["detail"] == "name and secret do not fit together"
    else:
        assert answer.status_code == 400


async def test_an_account_rests_after_wrong_tries_and_twice_as_long_after_more() -> None:
    """Also for who has the right PIN; then it counts again, and the count begins anew."""
    gate = await gate_with_people()

    async def status(pin: str) -> int:
        body = {"member_id": "m1", "pin": pin}
        answer = await client.post("/v1/login/pin", json=body)
        return answer.status_code

    async with gate.client() as client:
        for rest_s in (REST_S, 2 * REST_S):
            for _ in range(TRIES_FREE):
                assert await status("000001") == 401
            assert await status(PIN) == 429
            gate.later(rest_s - 1)
            assert await status(PIN) == 429
            gate.later(1)
        assert await status(PIN) == 200
        assert await status("000001") == 401


async def test_tries_at_once_are_counted_before_they_are_looked_at() -> None:
    """A hundred guesses in one moment are five guesses."""
    gate = await gate_with_people()
    async with gate.client() as client:
        answers = await asyncio.gather(
            *(
                client.post("/v1/login/pin", json={"member_id": "m1", "pin": f"{n:06}"})
                for n in range(20)
            )
        )
    assert sum(answer.status_code == 401 for answer in answers) == TRIES_FREE


async def test_an_address_may_guess_only_so_often_at_whatever_names() -> None:
    """Another address is not held back by it."""
    gate = await gate_with_people()
    async with gate.client() as client:
        for n in range(ADDRESS_TRIES):
            body = {"member_id": f"x{n}", "pin": PIN}
            assert (await client.post("/v1/login/pin", json=body)).status_code == 401
        answer = await client.post("/v1/login/pin", json={"member_id": "m1", "pin": PIN})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
    async with gate.client("198.51.100.4") as client:
        answer = await client.post("/v1/login/pin", json={"member_id": "m1", "pin": PIN})
    assert answer.status_code == 200


async def test_a_link_is_used_once() -> None:
    """Opening its page uses it not; the page's button does, and sets cookies."""
    gate = await gate_with_people(secure=True)
    token = gate.keeper.sessions.link("operator:lin")
    async with gate.client() as client:
        page = await client.get("/v1/login/link", params={"token": token})
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        entered = await client.post("/v1/login/link", data={"token": token})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        me = await client.get("/v1/me")
        assert me.json()["principal_id"] == "lin"
    async with gate.client() as other:
        again = await other.post("/v1/login/link", json={"token": token})
    assert again.status_code == 401


async def test_a_link_is_used_once_by_any_number_of_gateways_at_one_moment() -> None:
    """The topic's order says which was first."""
    gate = await gate_with_people()
    gates = [gate.parts, gate.another(), gate.another()]
    token = gate.keeper.sessions.link("operator:lin")
    answers = []
    for parts in gates:
        async with gate.client(parts=parts) as client:
            answers += await asyncio.gather(
                *(client.post("/v1/login/link", json={"token": token}) for _ in range(3))
            )
    assert sorted(a.status_code for a in answers) == [200] + [401] * 8


async def test_the_first_record_of_a_link_or_a_turn_counts_whoever_wrote_it() -> None:
    """Two gateways that wrote before either had read: the second one's claim is void."""
    gate = await gate_with_people()
    directory = gate.keeper.directory
    for claim in ("first", "second"):
        directory.put("used:link", Used(claim=claim, expires_ms=gate.now_ms + 1000))
        for turns in (0, 1):
            directory.put(
                "session:s",
                Session(
                    account="member:m1", turns=turns, claim=claim, started_ms=0,
                    expires_ms=gate.now_ms + 1000,
                ),
            )  # fmt: skip
    used, session = directory.use_of("link"), directory.session("s", gate.now_ms)
    assert used is not None
    assert session is not None
    assert (used.claim, session[0].claim, session[0].turns) == ("first", "first", 1)


async def test_a_link_of_the_first_start_counts_on_this_machine_alone() -> None:
    """Whoever reads it elsewhere has nothing of it, and it is not used up by their trying."""
    gate = await gate_with_people()
    token = gate.keeper.sessions.link("operator:lin", loopback=True)
    async with gate.client("192.0.2.9") as client:
        assert (await client.post("/v1/login/link", json={"token": token})).status_code == 401
    async with gate.client("127.0.0.1") as client:
        assert (await client.post("/v1/login/link", json={"token": token})).status_code == 200


async def test_a_links_text_is_no_markup_on_its_page() -> None:
    """Whatever stands in the address is text there."""
    gate = await gate_with_people()
    async with gate.client() as client:
        page = await client.get("/v1/login/link", params={"token": '"><script>alert(1)</script>'})
    assert "<script" not in page.text


async def granted(gate: Gate) -> dict[str, str]:
    """Tokens of m1."""
    async with gate.client() as client:
        answer = await client.post("/v1/login/pin", json={"member_id": "m1", "pin": PIN})
    return answer.json()


async def me(gate: Gate, token: str) -> int:
    """Whether a token counts."""
    async with gate.client() as client:
        return (
            await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})
        ).status_code


async def test_an_access_token_counts_a_quarter_of_an_hour_and_is_refreshed() -> None:
    """Each refresh gives a new pair."""
    gate = await gate_with_people()
    tokens = await granted(gate)
    gate.later(LIFETIMES_S["access"])
    assert await me(gate, tokens["access_token"]) == 401
    async with gate.client() as client:
        body = {"refresh_token": tokens["refresh_token"]}
        fresh = (await client.post("/v1/session/refresh", json=body)).json()
    assert await me(gate, fresh["access_token"]) == 200
    assert fresh["refresh_token"] != tokens["refresh_token"]


async def test_a_refresh_token_that_comes_twice_ends_the_session_for_both() -> None:
    """Whoever has the newer one is out as well: one of the two is a thief."""
    gate = await gate_with_people()
    tokens = await granted(gate)
    async with gate.client() as client:
        body = {"refresh_token": tokens["refresh_token"]}
        fresh = (await client.post("/v1/session/refresh", json=body)).json()
        assert (await client.post("/v1/session/refresh", json=body)).status_code == 401
        body = {"refresh_token": fresh["refresh_token"]}
        assert (await client.post("/v1/session/refresh", json=body)).status_code == 401
    assert await me(gate, fresh["access_token"]) == 401
    assert "refresh token used twice" in [r.get("reason") for r in await gate.audited()]


async def test_a_session_ends_after_a_shift_however_often_it_was_refreshed() -> None:
    """Twelve hours after the login, not after the last refresh."""
    gate = await gate_with_people()
    tokens = await granted(gate)
    async with gate.client() as client:
        for _ in range(11):
            gate.later(3_600)
            body = {"refresh_token": tokens["refresh_token"]}
            tokens = (await client.post("/v1/session/refresh", json=body)).json()
        gate.later(3_600)
        body = {"refresh_token": tokens["refresh_token"]}
        assert (await client.post("/v1/session/refresh", json=body)).status_code == 401
    assert await me(gate, tokens["access_token"]) == 401


async def test_logging_out_ends_the_session_at_every_gateway() -> None:
    """The access token is void at once, not when its time is over."""
    gate = await gate_with_people()
    other = gate.another()
    token = (await granted(gate))["access_token"]
    head = {"authorization": f"Bearer {token}"}
    async with gate.client() as client:
        assert (await client.post("/v1/session/end", headers=head)).status_code == 204
    async with gate.client(parts=other) as client:
        assert (await client.get("/v1/me", headers=head)).status_code == 401


async def test_an_account_that_goes_takes_its_sessions_with_it() -> None:
    """Removed, or told that what was before counts no more."""
    gate = await gate_with_people()
    head = await gate.let_in("operator:lin")
    token = (await granted(gate))["access_token"]
    gate.later(1)
    await gate.add("m1", "member", valid_from_ms=gate.now_ms)
    assert await me(gate, token) == 401
    await gate.keeper.sessions.store("operator:lin", None)
    async with gate.client() as client:
        assert (await client.get("/v1/me", headers=head)).status_code == 401


async def test_one_kind_of_token_is_none_of_the_others() -> None:
    """A refresh token lets nobody in, an access token refreshes nothing, a link is no session."""
    gate = await gate_with_people()
    tokens = await granted(gate)
    link = gate.keeper.sessions.link("member:m1")
    assert await me(gate, tokens["refresh_token"]) == 401
    assert await me(gate, link) == 401
    async with gate.client() as client:
        for wrong in (tokens["access_token"], link):
            body = {"refresh_token": wrong}
            assert (await client.post("/v1/session/refresh", json=body)).status_code == 401
        body = {"token": tokens["refresh_token"]}
        assert (await client.post("/v1/login/link", json=body)).status_code == 401


async def test_a_cookie_is_not_enough_to_change_anything() -> None:
    """What a form of another site can send lacks the session's own word."""
    gate = await gate_with_people(secure=True)
    async with gate.client() as client:
        body = {"operator_id": "lin", "password": PASSWORD, "cookies": True}
        entered = await client.post("/v1/login/password", json=body)
        assert "access_token" not in entered.json()
        cookies = entered.headers.get_list("set-cookie")
        assert len(cookies) == 2
        for cookie in cookies:
            assert {"HttpOnly", "SameSite=Strict", "Secure"} <= set(cookie.split("; "))
        act = {"action_id": "a1", "action": "set_mode", "mode": "emergency"}
        without = await client.post("/v1/operator-actions", json=act)
        assert without.status_code == 401
        csrf = {"x-xiaohe-csrf": entered.json()["csrf"]}
        assert (await client.get("/v1/me")).json()["csrf"] == entered.json()["csrf"]
        wrong = await client.post(
            "/v1/operator-actions", json=act, headers={"x-xiaohe-csrf": "0" * 64}
        )
        assert wrong.status_code == 401
        done = await client.post("/v1/operator-actions", json=act, headers=csrf)
        assert done.status_code == 202
        assert (await client.post("/v1/session/refresh", json={})).status_code == 200


async def test_without_the_secret_nobody_is_let_in_by_writing_on_the_topic() -> None:
    """An account that somebody else wrote, or an old one under another key, is passed over."""
    gate = await gate_with_people()
    account = Account(role="duty_lead", area_ids=None)
    producer = gate.parts.publisher._producer
    value, code = encode(Secret(bytes(32)), "operator:eve", account)
    _, own_code = encode(gate.keeper.secret, "operator:lin", account)
    for key, header in (("operator:eve", code), ("operator:eve", own_code), ("operator:eve", b"")):
        headers = [("xiaohe_code", header)]
        await producer.send("access", key=key.encode(), value=value, headers=headers, partition=0)
    assert gate.keeper.directory.account("operator:eve") is None


async def test_token_keys_are_rotated_and_the_old_ones_run_out() -> None:
    """Who is in stays in; what was signed before its lifetime ago counts no more."""
    gate = await gate_with_people()
    token = (await granted(gate))["access_token"]
    setting = type(gate.keeper.directory.tokens)(token_generation=1, rotated_ms=gate.now_ms)
    await gate.keeper.sessions.store("setting:tokens", setting)
    assert await me(gate, token) == 200
    gate.later(60)
    newer = (await granted(gate))["access_token"]
    setting = type(setting)(token_generation=2, rotated_ms=gate.now_ms)
    await gate.keeper.sessions.store("setting:tokens", setting)
    assert await me(gate, token) == 401
    assert await me(gate, newer) == 200


async def test_what_is_over_is_forgotten_by_the_topic_too() -> None:
    """An hour after its end, as a null of its key."""
    gate = await gate_with_people()
    await granted(gate)
    gate.later(LIFETIMES_S["refresh"] + 3_601)
    await gate.keeper.sessions.forget_outlived()
    gone = [r.key for r in gate.cluster.records if r.topic == "access" and r.value is None]
    assert len(gone) == 1
    assert gone[0].startswith(b"session:")
    assert list(gate.keeper.directory.outlived(gate.now_ms)) == []


async def test_a_services_key_lets_in_the_service_that_has_it() -> None:
    """Only its digest is kept, and a wrong one is nobody's."""
    gate = Gate()
    key = "xk_traccar.0123456789abcdef"
    await gate.add("traccar", "service", keys=(digest_of(key),), scopes=("position.report",))
    assert await me(gate, key) == 200
    assert await me(gate, key[:-1]) == 401
    assert await me(gate, digest_of(key)) == 401
