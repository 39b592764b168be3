"""Who may come in, on the real thing: the command line, a gateway of its own, the real topics."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kafka.outside import WAIT_S, now
from xiaohe.gateway.access.devices import AHEAD_S, signature_of

pytestmark = pytest.mark.kafka

MEMBER = "m01"
TYPE = {"content-type": "application/json"}


def xiaohe(*words: str) -> str:
    """Run the program; give what it says."""
    command = [sys.executable, "-m", "xiaohe", *words]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@contextlib.contextmanager
def gateway(servers: str, secret: Path) -> Iterator[str]:
    """A gateway alone; gives its address."""
    words = ("--bootstrap-servers", servers, "--http", "127.0.0.1:0", "--secret-file", str(secret))
    command = [sys.executable, "-m", "xiaohe", "gateway", *words, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://{json.loads(process.stdout.readline())['http']}"
        finally:
            process.kill()


def signed(key: str, body: bytes) -> dict[str, str]:
    """The head of a device's message, signed now."""
    at_ms = str(time.time_ns() // 1_000_000)
    said = ("t-17", at_ms, at_ms, "POST", "/v1/positions", body)
    return TYPE | {
        "x-xiaohe-device": "t-17",
        "x-xiaohe-sequence": at_ms,
        "x-xiaohe-time": at_ms,
        "x-xiaohe-signature": signature_of(bytes.fromhex(key), *said),
    }


def test_people_and_devices_are_let_in_and_out_while_the_gateway_runs(
    servers: str, tmp_path: Path
) -> None:
    """A session outlives a kill -9 of the gateway, a recorded message does not count after it."""
    secret = tmp_path / "secret"
    at = ("--bootstrap-servers", servers, "--secret-file", str(secret))
    body = json.dumps(
        {"device_id": "t-17", "lon": 120.14, "lat": 30.31, "fix_time": now()}
    ).encode()
    with gateway(servers, secret) as url, httpx.Client(base_url=url) as http:
        xiaohe("access", "add", MEMBER, "--role", "member", *at)
        pin = xiaohe("access", "pin", f"member:{MEMBER}", *at)
        xiaohe("access", "add", "t-17", "--role", "device", *at)
        key = xiaohe("access", "key", "device:t-17", *at)
        entered = http.post("/v1/login/pin", json={"member_id": MEMBER, "pin": pin})
        assert entered.status_code == 200, entered.text
        granted = entered.json()
        token = {"authorization": f"Bearer {granted['access_token']}"}
        said = {"action_id": f"a-{time.time_ns()}", "action": "on_duty"}
        taken = http.post("/v1/member-actions", json=said, headers=token)
        assert taken.status_code == 202
        recorded = signed(key, body)
        first = http.post("/v1/positions", content=body, headers=recorded)
        assert first.status_code not in {401, 403}, first.text
        assert http.post("/v1/positions", content=body, headers=recorded).status_code == 401
    with gateway(servers, secret) as url, httpx.Client(base_url=url) as http:
        assert http.get("/v1/me", headers=token).json()["principal_id"] == MEMBER
        until_s = time.monotonic() + AHEAD_S + WAIT_S
        status = 401
        while status == 401:
            assert http.post("/v1/positions", content=body, headers=recorded).status_code == 401
            status = http.post("/v1/positions", content=body, headers=signed(key, body)).status_code
            assert time.monotonic() < until_s
        assert status != 403
        xiaohe("access", "remove", f"member:{MEMBER}", *at)
        assert http.get("/v1/me", headers=token).status_code == 401
