"""Operators who come from an identity provider."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.gateway.access.gatehouse import Gate
from tests.gateway.access.provider import ISSUER, OTHER_KEY, Provider
from tests.gateway.door_bench import NOON_MS
from xiaohe.gateway.access.oidc import Abroad
from xiaohe.gateway.settings import AccessSettings, DoorsSettings, Oidc

BACK = "https://gateway/v1/login/oidc/back"
OIDC = Oidc(issuer=ISSUER, client_id="xiaohe", redirect_uri=BACK)


async def gate_with_provider(provider: Provider) -> Gate:
    """A gateway with an operator who comes from there."""
    gate = Gate(DoorsSettings(access=AccessSettings(oidc=OIDC)), secure=True)
    keeper = gate.keeper
    transport = httpx.ASGITransport(provider.application())
    gate.parts.abroad = Abroad(OIDC, keeper.tokens, lambda: gate.now_ms, transport)
    await gate.add("lin", "duty_lead", area_ids=("here",), oidc_subject="lin-at-the-street")
    return gate


async def test_an_operator_comes_in_by_the_provider() -> None:
    """There and back, with PKCE, state and nonce; then they have a session in cookies."""
    provider = Provider(NOON_MS // 1000)
    gate = await gate_with_provider(provider)
    async with gate.client() as client:
        there = await client.get("/v1/login/oidc")
        assert there.status_code == 302
        asked = parse_qs(urlsplit(there.headers["location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        back = await client.get(BACK, params=provider.consent(there.headers["location"]))
        assert (back.status_code, back.headers["location"]) == (303, "/")
        me = await client.get("/v1/me")
    assert me.json()["principal_id"] == "lin"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"spoil": {"nonce": "another"}},
        {"spoil": {"nonce": None}},
        {"spoil": {"aud": "another-program"}},
        {"spoil": {"aud": ["xiaohe", "other"], "azp": "other"}},
        {"spoil": {"iss": "https://evil.example.org"}},
        {"spoil": {"exp": NOON_MS // 1000 - 61}},
        {"spoil": {"iat": NOON_MS // 1000 + 61}},
        {"spoil": {"sub": None}},
        {"subject": "somebody-nobody-added"},
        {"key": OTHER_KEY},
        {"key": "a-shared-secret-as-long-as-it-has-to-be", "algorithm": "HS256"},
        {"key": None, "algorithm": "none"},
        {"issuer": "https://evil.example.org"},
    ],
)
async def test_a_providers_word_that_does_not_hold_lets_nobody_in(spoiled: dict[str, Any]) -> None:
    """Each claim and the signature are looked at."""
    provider = Provider(NOON_MS // 1000, **spoiled)
    gate = await gate_with_provider(provider)
    async with gate.client() as client:
        there = await client.get("/v1/login/oidc")
        if "issuer" in spoiled:
            assert there.status_code == 503
            return
        back = await client.get(BACK, params=provider.consent(there.headers["location"]))
        assert back.status_code == 401
        assert (await client.get("/v1/me")).status_code == 401


async def test_the_way_back_belongs_to_the_way_there() -> None:
    """Another browser, another state, another verifier, or a second time: nobody comes in."""
    provider = Provider(NOON_MS // 1000)
    gate = await gate_with_provider(provider)
    async with gate.client() as client, gate.client() as other:
        there = await client.get("/v1/login/oidc")
        way = provider.consent(there.headers["location"])
        assert (await other.get(BACK, params=way)).status_code == 401
        assert (await client.get(BACK, params=way | {"state": "x"})).status_code == 401
        await other.get("/v1/login/oidc")
        assert (await other.get(BACK, params=way)).status_code == 401
        assert (await client.get(BACK, params=way)).status_code == 303
        assert (await client.get(BACK, params=way)).status_code == 401
        there = await client.get("/v1/login/oidc")
        way = provider.consent(there.headers["location"])
        gate.later(601)
        assert (await client.get(BACK, params=way)).status_code == 401


async def test_a_provider_that_is_away_is_told_as_that() -> None:
    """503, and nothing of its address."""

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    gate = await gate_with_provider(Provider(NOON_MS // 1000))
    transport = httpx.MockTransport(away)
    gate.parts.abroad = Abroad(OIDC, gate.keeper.tokens, lambda: gate.now_ms, transport)
    async with gate.client() as client:
        answer = await client.get("/v1/login/oidc")
    assert (answer.status_code, answer.json()["reason"]) == (503, "no_provider")


async def test_without_a_provider_its_doors_lead_nowhere() -> None:
    """404 says where one is set."""
    async with Gate().client() as client:
        assert (await client.get("/v1/login/oidc")).status_code == 404
