"""Streams of an area's events, from a gateway that runs on a real Kafka."""

import asyncio
import socket
import statistics
import time

import httpx
import psutil
import pytest

from tests.gateway.events.published import Engine, MembersToo, stream
from tests.gateway.running import connected_parts, running_gateway
from xiaohe.broker import Broker
from xiaohe.gateway import serve
from xiaohe.gateway.access.principal import Principal, Unauthenticated, Visitor
from xiaohe.gateway.events import feed, sse
from xiaohe.gateway.events.position import BadPosition, Position, read_position
from xiaohe.gateway.parts import Parts
from xiaohe.topics import Topics

pytestmark = pytest.mark.kafka


async def test_an_event_comes_at_once_as_a_cloudevent(url: str, engine: Engine) -> None:
    """With its id and source, its type as name, and within the 300 ms that are promised."""
    took_s = []
    async with stream(url) as opened:
        for _ in range(9):
            event_id = await engine.event("inc-1", "member.accepted")
            written_s = time.monotonic()
            got = await opened.next()
            took_s.append(got.here_s - written_s)
            assert (got.event_id, got.kind) == (event_id, "member.accepted")
    assert got.event["specversion"] == "1.0"
    assert got.event["source"].startswith("/xiaohe/town/")
    assert got.event["data"]["incident_id"] == "inc-1"
    assert statistics.median(took_s) < 0.3, took_s


async def test_who_comes_again_misses_nothing_and_gets_nothing_twice(
    url: str, engine: Engine
) -> None:
    """From memory or from Kafka, whatever was written meanwhile, on any topic, comes once."""
    async with stream(url) as opened:
        first = await engine.event("inc-1")
        assert (await opened.next()).event_id == first
        last_id = opened.last_id
    written = [await engine.event(f"inc-{n % 3}") for n in range(feed.RECENT_KEPT_MAX + 40)]
    written += [await engine.order("inc-1-1", "m-1")]
    written += [await engine.event("inc-0") for _ in range(3)]
    got = []
    async with stream(url, last_id=last_id) as opened:
        got = [(await opened.next()).event_id for _ in written]
        live = await engine.event("inc-9")
        assert (await opened.next()).event_id == live
    assert sorted(got) == sorted(written)
    of_one = [x for x in got if x.startswith("inc-0:")]
    assert of_one == [x for x in written if x.startswith("inc-0:")]


async def test_every_position_on_the_way_is_one_to_go_on_from(url: str, engine: Engine) -> None:
    """Wherever a client is cut off, what it had and what it gets then is everything, once."""
    async with stream(url) as opened:
        begin = opened.last_id
    written = []
    for n in range(4):
        written += [await engine.event("inc-1"), await engine.order(f"inc-1-{n}", "m-1")]
    for cut in range(len(written)):
        async with stream(url, last_id=begin) as opened:
            had = [(await opened.next()) for _ in range(cut)]
        last_id = had[-1].id if had else begin
        async with stream(url, last_id=last_id) as opened:
            rest = [(await opened.next()).event_id for _ in range(len(written) - cut)]
        got = [x.event_id for x in had] + rest
        for of_one in ("inc-1:", "inc-1-"):  # between topics there is no order to rely on
            assert [x for x in got if x.startswith(of_one)] == [
                x for x in written if x.startswith(of_one)
            ]


@pytest.mark.parametrize("count", [3, feed.RECENT_KEPT_MAX + 40], ids=["memory", "Kafka"])
async def test_a_clock_that_is_behind_reorders_nothing(
    url: str, engine: Engine, count: int
) -> None:
    """After a take-over another worker's clock says when; what an incident's events say stays in
    order, and wherever a client is cut off nothing behind its position is unread."""
    async with stream(url) as opened:
        begin = opened.last_id
    written = []
    for n in range(count):
        engine.clock_is_off_ms = -n * 1_000
        written.append(await engine.event("inc-back"))
        if n % 20 == 0:
            await engine.order(f"inc-back-{n}", "m-1")
    got: list[str] = []
    last_id = begin
    for most in (2, count):
        async with stream(url, last_id=last_id, type="incident.*") as opened:
            while len(got) < min(len(written), most):
                each = await opened.next()
                got.append(each.event_id)
                last_id = each.id
    assert got == written


async def test_a_filter_and_the_area_hold(url: str, engine: Engine) -> None:
    """Only the types that were asked for, only of the area; the position moves past the others."""
    async with stream(url, type="member.*,incident.closed") as opened:
        await engine.event("inc-1", "incident.updated")
        await engine.event("far-1", "member.accepted", area_id="east")
        wanted = [
            await engine.event("inc-1", "member.arrived"),
            await engine.event("inc-1", "incident.closed"),
        ]
        assert [(await opened.next()).event_id for _ in wanted] == wanted


async def test_a_member_sees_what_is_their_own(url: str, engine: Engine) -> None:
    """Their orders and the incidents they have one of; of others nothing."""
    async with stream(url, token="m-1") as opened:
        await engine.event("inc-2", "incident.updated")
        await engine.order("inc-2-1", "m-2")
        own = [
            await engine.order("inc-1-1", "m-1"),
            await engine.event("inc-1", "member.accepted", member_id="m-1"),
        ]
        assert [(await opened.next()).event_id for _ in own] == own


async def test_whoever_may_not_is_told(url: str) -> None:
    """No name, no right, no such area, no such position."""
    door = f"{url}/v1/areas/town/events"
    token = {"authorization": "Bearer desk"}
    async with httpx.AsyncClient() as client:
        assert (await client.get(door)).status_code == 401
        denied = {"authorization": "Bearer denied"}
        assert (await client.get(door, headers=denied)).status_code == 403
        nowhere = f"{url}/v1/areas/nowhere/events"
        assert (await client.get(nowhere, headers=token)).status_code == 404
        bad = await client.get(door, headers=token | {"last-event-id": "yesterday"})
        assert (bad.status_code, bad.json()["reason"]) == (400, "bad_position")
        assert (await client.head(door, headers=token)).status_code == 200


async def test_a_position_of_another_cluster_begins_now_and_says_so(
    url: str, engine: Engine
) -> None:
    """Who hands back what these topics never had is told that something may be missing."""
    async with stream(url, last_id="i999999.d999999") as opened:
        assert (await opened.next()).kind == "gap"
        event_id = await engine.event("inc-1")
        assert (await opened.next()).event_id == event_id


async def test_who_takes_nothing_is_let_go(
    broker: Broker, shared_topics: Topics, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read loses its connection, and the others get on."""
    monkeypatch.setattr(serve, "UNREAD_MS", 800)
    servers = broker.bootstrap_servers
    with running_gateway(lambda: connected_parts(servers, shared_topics)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.connect((host, int(port)))
            deaf.sendall(
                b"GET /v1/areas/town/events HTTP/1.1\r\nhost: x\r\n"
                b"authorization: Bearer deaf\r\n\r\n"
            )
            async with stream(url) as opened:
                for _ in range(30):
                    await engine.event("inc-1", text="x" * 300_000)
                    await opened.next()
                deadline_s = time.monotonic() + 20
                while time.monotonic() < deadline_s:
                    await engine.event("inc-1")
                    await opened.next()
                    if not _is_held(deaf):
                        return
    pytest.fail("it still held its connection")


def _is_held(deaf: socket.socket) -> bool:
    """Whether the gateway's end of a connection still is there, as the system sees it."""
    name = deaf.getsockname()
    return any(each.raddr == name for each in psutil.Process().net_connections("tcp"))


async def test_who_is_let_in_no_more_sees_no_more(
    broker: Broker, shared_topics: Topics, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open stream asks again who it is, and ends; and there are no more streams than fit."""
    monkeypatch.setattr(sse, "RECHECK_MS", 0)
    access = Leaving()
    servers = broker.bootstrap_servers
    with running_gateway(lambda: connected_parts(servers, shared_topics, access)) as url:
        async with stream(url) as opened:
            event_id = await engine.event("inc-1")
            assert (await opened.next()).event_id == event_id
            access.is_gone = True
            await engine.event("inc-1")
            with pytest.raises(EOFError):
                await opened.to_the_end()
        access.is_gone = False
        monkeypatch.setattr(sse, "STREAMS_UNDER_WAY_MAX", 0)
        async with httpx.AsyncClient(headers={"authorization": "Bearer desk"}) as client:
            full = await client.get(f"{url}/v1/areas/town/events")
        assert (full.status_code, full.json()["reason"]) == (503, "too_many_streams")


class Leaving(MembersToo):
    """Lets somebody in until they are gone."""

    is_gone = False

    async def identify(self, visitor: Visitor) -> Principal:
        """Take the token for the name, or nobody's."""
        if self.is_gone:
            raise Unauthenticated("give a bearer token")
        return await super().identify(visitor)


async def test_streams_end_when_the_gateway_does(broker: Broker, shared_topics: Topics) -> None:
    """Nobody is waited for: each stream is told to come again, and the gateway is gone at once."""
    loops: list[asyncio.AbstractEventLoop] = []
    made: list[Parts] = []

    def parts() -> Parts:
        loops.append(asyncio.get_running_loop())
        made.append(connected_parts(broker.bootstrap_servers, shared_topics))
        return made[0]

    with running_gateway(parts) as url:
        async with stream(url) as opened:
            loops[0].call_soon_threadsafe(made[0].leave)
            with pytest.raises(EOFError):
                await opened.next()


def test_a_position_is_read_as_it_was_written() -> None:
    """And nothing else is one."""
    position = Position({"incident_events": 12, "dispatches": 3, "area_events": 0})
    assert str(position) == "i12.d3.a0"
    assert read_position("i12.d3.a0") == position
    for text in ("", "i", "12", "i-1", "x3", "i1.i2", "i1..d2", "i" + "9" * 30, "i1 ", "i١"):
        with pytest.raises(BadPosition):
            read_position(text)
