"""Who cannot reach a cluster is told why, by what a TLS server really does; no Kafka is needed."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from xiaohe.local_ca import CERTIFICATE_VALID, LocalCa
from xiaohe.wire.cluster_access import ClusterAccess
from xiaohe.wire.reaching import NotLetIn, Unreachable, reach


@contextlib.asynccontextmanager
async def server(
    ca: LocalCa, hosts: Sequence[str], valid: dt.timedelta = CERTIFICATE_VALID
) -> AsyncIterator[str]:
    """A TLS server that closes as soon as hands are shaken; gives its address."""
    files = ca.server("server", hosts, valid=valid)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)

    def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0, ssl=context) as listening:
        _, port = listening.sockets[0].getsockname()
        yield f"127.0.0.1:{port}"


async def test_a_brokers_certificate_that_has_ended_is_told(tmp_path: Path) -> None:
    """It is the broker's to renew."""
    ca = LocalCa.at(tmp_path)
    async with server(ca, ["127.0.0.1"], dt.timedelta(days=-2)) as address:
        with pytest.raises(NotLetIn, match=f"certificate of {address}.*expired.*renew it"):
            await reach(ClusterAccess.of(address, ca=ca.ca))


async def test_a_certificate_of_another_host_is_told(tmp_path: Path) -> None:
    """Who stands in for the broker, with a certificate of the same authority, is not believed."""
    ca = LocalCa.at(tmp_path)
    async with server(ca, ["broker.example"]) as address:
        with pytest.raises(NotLetIn, match=r"mismatch.*--bootstrap-servers"):
            await reach(ClusterAccess.of(address, ca=ca.ca))


async def test_who_closes_the_connection_is_not_taken_for_a_refusal(tmp_path: Path) -> None:
    """A broker that is just ending does so too: it is worth waiting for."""
    ca = LocalCa.at(tmp_path)
    async with server(ca, ["127.0.0.1"]) as address:
        with pytest.raises(Unreachable, match="it closes the connection"):
            await reach(ClusterAccess.of(address, ca=ca.ca))


async def test_where_nobody_listens_each_server_is_named(free_port: int) -> None:
    """With what became of it, and the option that names another."""
    here = f"127.0.0.1:{free_port}"
    with pytest.raises(Unreachable, match=rf"{here}.*no-such-host.*--bootstrap-servers"):
        await reach(f"{here},no-such-host.invalid:9092")


async def test_a_server_that_does_not_speak_tls_is_told(tmp_path: Path) -> None:
    """A client that shows certificates to a plain server hears what may be the matter."""
    ca = LocalCa.at(tmp_path)

    def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0) as listening:
        _, port = listening.sockets[0].getsockname()
        with pytest.raises(Unreachable, match="perhaps it does not speak TLS there"):
            await reach(ClusterAccess.of(f"127.0.0.1:{port}", ca=ca.ca))
