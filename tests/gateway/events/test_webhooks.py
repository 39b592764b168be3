"""Webhooks, from a gateway that runs on a real Kafka to a receiver on the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.gateway.events.published import Engine, MembersToo
from tests.gateway.events.receiver import WAIT_S, Receiver, receiver
from tests.gateway.running import LOOPBACK, connected_parts, running_gateway
from xiaohe.broker import Broker
from xiaohe.gateway.events.settings import WebhookSettings
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka

TOKEN = {"authorization": "Bearer desk"}


class Desk:
    """Whoever manages webhooks, and one of theirs."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.hook_id = ""

    async def add(self, url: str, **said: Any) -> dict[str, Any]:
        """Register one."""
        answer = await self.client.post("/v1/webhooks", json={"url": url, **said})
        assert answer.status_code == 201, answer.text
        self.hook_id = answer.json()["hook_id"]
        return dict(answer.json())

    async def do(self, what: str, **said: Any) -> httpx.Response:
        """Do something with it."""
        path = f"/v1/webhooks/{self.hook_id}/{what}"
        return await self.client.post(path, json=said)

    async def shown(self) -> dict[str, Any]:
        """How it stands."""
        return dict((await self.client.get(f"/v1/webhooks/{self.hook_id}")).json())

    async def letters(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many dead letters."""
        async with asyncio.timeout(WAIT_S):
            while True:
                answer = await self.client.get(f"/v1/webhooks/{self.hook_id}/dead-letters")
                if len(answer.json()["dead_letters"]) >= count:
                    return list(answer.json()["dead_letters"])
                await asyncio.sleep(0.05)

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """Wait until it is shown so."""
        async with asyncio.timeout(WAIT_S):
            while True:
                shown = await self.shown()
                if all(shown[key] == value for key, value in wanted.items()):
                    return shown
                await asyncio.sleep(0.05)


@asynccontextmanager
async def registered(url: str, **said: Any) -> AsyncIterator[tuple[Desk, Receiver]]:
    """A receiver, registered for ``town`` unless told otherwise; taken away at the end."""
    client = httpx.AsyncClient(base_url=url, headers=TOKEN, timeout=WAIT_S)
    async with receiver() as made, client:
        desk = Desk(client)
        shown = await desk.add(made.url, **{"area_ids": ["town"], **said})
        made.secret = shown["secret"]
        yield desk, made
        assert (await client.delete(f"/v1/webhooks/{desk.hook_id}")).status_code == 204


async def test_what_was_asked_for_comes_signed_and_in_order(url: str, engine: Engine) -> None:
    """Events of the area and the types, each once, as CloudEvents with a signature that holds."""
    async with registered(url, types=["incident.*"]) as (_, made):
        await engine.event("far-1", "incident.updated", area_id="east")
        await engine.event("inc-1", "member.accepted")
        await engine.order("inc-1-1", "m-1")
        wanted = [await engine.event(f"inc-{n % 2}", "incident.updated") for n in range(12)]
        assert await made.ids(12) == wanted
        assert all(each.is_signed for each in made.got)
        assert made.got[0].event["data"]["area_id"] == "town"
        assert len({each.delivery_id for each in made.got}) == 12


async def test_a_failure_is_tried_again_with_the_same_id_and_the_next_one_waits(
    url: str, engine: Engine
) -> None:
    """500, 503 and 429 pass; each attempt has the same delivery id; the order stays."""
    answers = iter([500, 503, 429])
    async with registered(url) as (_, made):
        made.answer = lambda _: next(answers, 204)
        first, second = await engine.event("inc-1"), await engine.event("inc-1")
        assert await made.ids(5) == [first] * 4 + [second]
        assert len({each.delivery_id for each in made.got[:4]}) == 1


async def test_what_is_refused_is_a_dead_letter_and_can_be_sent_again(
    url: str, engine: Engine
) -> None:
    """It is given up after three attempts, the others get on, and it is sent when asked for."""
    async with registered(url) as (desk, made):
        bad = await engine.event("inc-7")
        made.answer = lambda each: 422 if each.event_id == bad else 204
        after = await engine.event("inc-7")
        assert await made.ids(4) == [bad] * 3 + [after]
        (letter,) = await desk.letters(1)
        assert (letter["ce_id"], letter["reason"], letter["attempts"]) == (bad, "status_422", 3)
        assert letter["delivery_id"] == made.got[0].delivery_id
        made.answer = lambda _: 200
        where = {key: letter[key] for key in ("topic", "partition", "offset")}
        assert (await desk.do("redeliver", **where)).json()["came"] == "taken"
        assert (await made.ids(5))[-1] == bad


async def test_a_replay_begins_where_it_is_told(url: str, engine: Engine) -> None:
    """Everything from the position on comes again, under the same ids."""
    async with registered(url) as (desk, made):
        written = [await engine.event("inc-1") for _ in range(4)]
        assert await made.ids(4) == written
        position = made.got[1].event["position"]
        assert (await desk.do("replay", area_id="town", position=position)).status_code == 202
        assert (await made.ids(6))[4:] == written[2:]
        assert [x.delivery_id for x in made.got[4:]] == [x.delivery_id for x in made.got[2:4]]
        bad = await desk.do("replay", area_id="town", position="yesterday")
        assert (bad.status_code, bad.json()["reason"]) == (400, "bad_position")


async def test_who_is_gone_is_disabled_and_goes_on_when_asked(url: str, engine: Engine) -> None:
    """410 ends it at once; nothing that came meanwhile is lost."""
    async with registered(url) as (desk, made):
        made.answer = lambda _: 410
        first = await engine.event("inc-1")
        await desk.until(disabled="gone")
        second = await engine.event("inc-1")
        made.answer = lambda _: 204
        assert (await desk.do("replay")).status_code == 202
        assert (await made.ids(3))[1:] == [first, second]
        await desk.until(disabled=None)


async def test_a_redirect_is_not_followed_and_an_answer_is_not_read_on(
    url: str, engine: Engine
) -> None:
    """A receiver cannot send the gateway elsewhere."""
    async with registered(url) as (desk, made):
        made.answer = lambda _: 307
        told = await desk.do("test")
        assert (told.json()["came"], told.json()["status"]) == ("refused", 307)
        assert made.got[0].event["type"] == "xiaohe.webhook.test.v1"
        assert made.got[0].is_signed


async def test_the_system_that_sent_an_alert_hears_what_became_of_it(
    url: str, engine: Engine
) -> None:
    """Received, on the way, on scene, outcome: in its own words, by its mapping file."""
    said = {"form": "results", "source": "example-110"}
    async with registered(url, **said) as (_, made):
        await engine.view("inc-r", alerts=["110:77", "camera:5"], last_seq=9)
        await engine.event("inc-r", "incident.opened", alert_id="110:77")
        await engine.event("inc-r", "member.accepted")
        await engine.event("inc-r", "member.en_route")
        await engine.event("inc-r", "member.arrived")
        await engine.event("inc-r", "incident.resolved", outcome="settled")
        await made.until(lambda: len(made.got) >= 4)
        assert [each.event["feedback"]["state"] for each in made.got] == ["10", "20", "30", "40"]
        assert {each.event["callNo"] for each in made.got} == {"77"}
        assert made.got[3].event["feedback"]["outcome"] == "settled"
        assert all(each.is_signed for each in made.got)


async def test_the_secret_is_shown_once(url: str) -> None:
    """In the answer to the registration, and in no other."""
    async with registered(url) as (desk, made):
        for path in ("/v1/webhooks", f"/v1/webhooks/{desk.hook_id}", "/v1/webhooks?area_id=town"):
            answer = await desk.client.get(path)
            assert answer.status_code == 200
            assert made.secret.removeprefix("whsec_") not in answer.text
            assert desk.hook_id in answer.text


async def test_where_a_webhook_may_not_lead_it_is_not_registered(url: str) -> None:
    """Nor without a right to, nor for areas that nobody knows."""
    async with httpx.AsyncClient(base_url=url, headers=TOKEN) as client:
        for said, status in (
            ({"url": "http://10.0.0.1/"}, 400),
            ({"url": "https://[::ffff:192.168.1.1]/"}, 400),
            ({"url": "ftp://example.org/"}, 400),
            ({"url": "https://user:pw@example.org/"}, 400),
            ({"url": "https://example.org/", "area_ids": ["nowhere"]}, 400),
            ({"url": "https://example.org/", "types": ["all of them"]}, 400),
            ({"url": "https://example.org/", "form": "results"}, 400),
            ({}, 400),
        ):
            assert (await client.post("/v1/webhooks", json=said)).status_code == status, said
        denied = {"authorization": "Bearer denied"}
        ok = {"url": "https://example.org/"}
        assert (await client.post("/v1/webhooks", json=ok, headers=denied)).status_code == 403
        assert (await client.get("/v1/webhooks/none")).status_code == 404


async def test_another_gateway_goes_on_where_one_ended(broker: Broker, topics: Topics) -> None:
    """Two share the webhooks and deliver each event once; what comes while one ends, and while
    none runs, is delivered by the next, to the same webhook under the same secret."""
    servers = broker.bootstrap_servers

    def gateway() -> AbstractContextManager[str]:
        return running_gateway(lambda: connected_parts(servers, topics, MembersToo()))

    async with Engine(servers, topics) as engine, receiver() as made:
        with gateway() as url:
            async with httpx.AsyncClient(base_url=url, headers=TOKEN, timeout=WAIT_S) as client:
                made.secret = (await Desk(client).add(made.url, area_ids=["town"]))["secret"]
            first = await engine.event("inc-1")
            assert await made.ids(1) == [first]
            with gateway():
                both = [await engine.event("inc-1") for _ in range(5)]
                await made.until(lambda: made.got[-1].event_id == both[-1])
                assert list(dict.fromkeys(x.event_id for x in made.got)) == [first, *both]
        missed = [await engine.event("inc-1") for _ in range(3)]
        with gateway():
            await made.until(lambda: made.got[-1].event_id == missed[-1])
        assert list(dict.fromkeys(x.event_id for x in made.got)) == [first, *both, *missed]
        assert len({x.delivery_id for x in made.got}) == 9
        assert all(each.is_signed for each in made.got)


async def test_who_takes_nothing_for_too_long_is_disabled(broker: Broker, topics: Topics) -> None:
    """After the time that is set; until then each event is tried until its deadline."""
    quick = WebhookSettings(
        allow_http=True, allow_networks=LOOPBACK.allow_networks, first_pause_s=0.05,
        pause_s_max=0.05, retry_for_s=0.3, disable_after_s=1.0,
    )  # fmt: skip
    servers = broker.bootstrap_servers
    async with Engine(servers, topics) as engine:
        with running_gateway(lambda: connected_parts(servers, topics, webhooks=quick)) as url:
            async with registered(url) as (desk, made):
                made.answer = lambda _: 500
                for _ in range(8):
                    await engine.event("inc-1")
                shown = await desk.until(disabled="failing")
                assert shown["disabled_at"] is not None
                letters = await desk.letters(1)
                assert letters[0]["reason"] == "status_500"
