"""``xiaohe ca``: an authority, a gateway's certificate that a client takes, and a QR code."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import structlog
import uvicorn

from tests.gateway.door_bench import parts_for
from xiaohe.cli import run
from xiaohe.gateway.app import application
from xiaohe.gateway.doors import doors_of
from xiaohe.gateway.guard import Connections, GuardedProtocol
from xiaohe.gateway.serve import Protection, address_of, listen

DONE, FAILED = 0, 1


@pytest.fixture
def issued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Protection:
    """What two commands make."""
    folder = ("--data-dir", str(tmp_path))
    assert run(["ca", "create", *folder]) == DONE
    capsys.readouterr()
    assert run(["ca", "issue", "127.0.0.1", "localhost", "--json", *folder]) == DONE
    files = json.loads(capsys.readouterr().out)
    assert Path(files["key"]).stat().st_mode & 0o077 == 0
    return Protection(cert=Path(files["cert"]), key=Path(files["key"]))


async def test_a_phone_that_was_told_of_the_authority_trusts_the_gateway(
    tmp_path: Path, issued: Protection
) -> None:
    """A real server serves with it; who was not told trusts it not."""
    parts = parts_for()
    parts.authority = (tmp_path / "ca" / "ca.pem").read_bytes()
    listener = listen("127.0.0.1:0")
    config = uvicorn.Config(
        application(parts, doors_of(parts)),
        http=partial(GuardedProtocol, connections=Connections()),
        log_level="critical",
        lifespan="off",
    )
    config.load()
    config.ssl = issued.context()
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"https://{address_of(listener)}"
    told = ssl.create_default_context(cafile=str(tmp_path / "ca" / "ca.pem"))
    try:
        async with httpx.AsyncClient(verify=told) as phone:
            assert (await phone.get(f"{url}/healthz")).json() == {"alive": True}
            assert (await phone.get(f"{url}/ca.pem")).content == parts.authority
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError):
                await stranger.get(f"{url}/healthz")
    finally:
        server.should_exit = True
        await serving


def test_it_is_shown_with_its_fingerprint_and_a_code_for_phones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the terminal, and as a picture."""
    folder = ("--data-dir", str(tmp_path))
    assert run(["ca", "show", *folder]) == FAILED
    assert "xiaohe ca create" in capsys.readouterr().err
    run(["ca", "create", *folder])
    made = capsys.readouterr().out
    png = tmp_path / "code.png"
    base = ("--base", "https://192.0.2.10:8443/", "--png", str(png))
    assert run(["ca", "show", *base, *folder]) == DONE
    said = capsys.readouterr().out
    assert made.splitlines()[1] in said
    assert "https://192.0.2.10:8443/ca.pem" in said
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def _logs_as_they_were() -> Iterator[None]:
    """A command sets where logs go, for the whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("_logs_as_they_were")
def test_a_gateway_that_would_be_reached_without_tls_does_not_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither alone nor with all else; it says what to do."""
    for command in (["gateway", "--bootstrap-servers", "127.0.0.1:1"], ["up"]):
        assert run([*command, "--http", "0.0.0.0:8080"]) == FAILED
        assert "--tls-cert" in capsys.readouterr().err
