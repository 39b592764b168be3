"""The socket: slow heads, too many connections, TLS, and what is refused to be reached."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.gateway.door_bench import parts_for
from xiaohe.gateway.app import application
from xiaohe.gateway.door import Body, Door, Reply, Visit
from xiaohe.gateway.guard import Connections, GuardedProtocol
from xiaohe.gateway.serve import NotProtected, Protection, address_of, is_loopback, listen

ANSWER = b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n"


async def peer(visit: Visit) -> Reply:
    """Say where somebody comes from."""
    return Reply(value={"peer": visit.peer})


PEER = Door(method="GET", path="/peer", name="peer", what="Where from.", change=None, handle=peer)
LENGTH = Door(
    method="POST", path="/length", name="length", what="A body.", change=None, handle=peer,
    bodies=(Body(media_type="text/plain", bytes_max=10),),
)  # fmt: skip


@contextlib.asynccontextmanager
async def served(
    connections: Connections, context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A gateway on a real socket, as ``gateway.serve`` sets it up; gives ``host:port``."""
    listener = listen("127.0.0.1:0")
    app = application(parts_for(), [PEER, LENGTH])
    config = uvicorn.Config(
        app,
        http=partial(GuardedProtocol, connections=connections),
        log_level="critical",
        lifespan="off",
        proxy_headers=False,
    )
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await serving


async def until_closed(address: str, first: bytes, trickle: bytes) -> bytes:
    """Send a head drop by drop, for ever, until the other side has enough; give what it said."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    said = b""
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    piece = await reader.read(1_000)
                    if not piece:
                        return said
                    said += piece
            writer.write(trickle)
    except ConnectionError:
        return said
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("first", [b"", b"GET /peer HTTP/1.1\r\nhost: x\r\n", b"G"])
async def test_a_head_that_comes_drop_by_drop_is_not_waited_for(first: bytes) -> None:
    """The connection ends although something comes all the time, and others are served."""
    async with served(Connections(head_timeout_s=0.3)) as address:
        slow = asyncio.create_task(until_closed(address, first, b"x"))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{address}/peer")).status_code == 200
        async with asyncio.timeout(10):
            await slow


async def test_the_time_runs_for_a_second_head_on_a_connection_as_well() -> None:
    """After an answer, the next request's first byte begins it anew."""
    async with served(Connections(head_timeout_s=0.3)) as address:
        async with asyncio.timeout(10):
            said = await until_closed(address, ANSWER, b"GET /peer HTTP/1.1\r\nx: ")
    assert said.startswith(b"HTTP/1.1 200")


async def test_a_head_in_time_leaves_the_body_its_own_time() -> None:
    """When a head that began later is given up, the body of this one is still waited for."""
    head = b"\r\n".join(
        (b"POST /length HTTP/1.1", b"host: x", b"content-type: text/plain", b"content-length: 2")
    )
    async with served(Connections(head_timeout_s=0.2)) as address, asyncio.timeout(10):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b"\r\n\r\n")
        await writer.drain()
        await until_closed(address, b"G", b"x")
        writer.write(b"ab")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


def test_one_address_has_only_so_many_connections() -> None:
    """Another has its own, and what is over is counted no more."""
    connections = Connections(per_address_max=2)
    assert [connections.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert connections.enter("192.0.2.2")
    connections.leave("192.0.2.1")
    assert connections.enter("192.0.2.1")
    assert all(connections.enter("127.0.0.1") for _ in range(5))


async def test_behind_a_proxy_nobody_else_is_served() -> None:
    """A connection from elsewhere ends at once."""
    others = Connections(only=[ip_network("192.0.2.0/24")])
    async with served(others) as address, httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://{address}/peer")
    own = Connections(only=[ip_network("127.0.0.0/8")])
    async with served(own) as address, httpx.AsyncClient() as client:
        assert (await client.get(f"http://{address}/peer")).status_code == 200


async def test_nobodys_word_on_where_they_come_from_counts() -> None:
    """A head cannot open the door of another network."""
    async with served(Connections()) as address, httpx.AsyncClient() as client:
        head = {"x-forwarded-for": "192.0.2.5", "forwarded": "for=192.0.2.5"}
        answer = await client.get(f"http://{address}/peer", headers=head)
    assert answer.json() == {"peer": "127.0.0.1"}


@pytest.mark.parametrize(
    ("http", "loopback"),
    [
        ("127.0.0.1:80", True),
        ("127.8.8.8:80", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        ("0.0.0.0:80", False),
        ("[::]:80", False),
        ("192.0.2.1:80", False),
        ("gateway.example.org:80", False),
    ],
)
def test_beyond_this_machine_only_with_tls(http: str, loopback: bool) -> None:
    """The refusal says what to do."""
    assert is_loopback(http) == loopback
    Protection(cert=Path("c"), key=Path("k")).check(http)
    Protection(behind_proxy="10.0.0.2").check(http)
    if loopback:
        Protection().check(http)
    else:
        with pytest.raises(NotProtected, match="--tls-cert"):
            Protection().check(http)


@pytest.mark.parametrize(
    "wrong", [{"cert": Path("c")}, {"key": Path("k")}, {"behind_proxy": "proxy.example.org"}]
)
def test_half_a_protection_is_none(wrong: dict) -> None:
    """It says what is missing."""
    with pytest.raises(NotProtected):
        Protection(**wrong)


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Before anything listens."""
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "none.pem"):
        with pytest.raises(NotProtected, match="certificate"):
            Protection(cert=path, key=path).context()
