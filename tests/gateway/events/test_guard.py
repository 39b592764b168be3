"""Where a webhook may lead, and how a delivery is signed."""

import base64
import socket
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from xiaohe.gateway.events.delivering import pause_s
from xiaohe.gateway.events.guard import Guard, NotAllowed
from xiaohe.gateway.events.sender import Came, Sender
from xiaohe.gateway.events.settings import WebhookSettings
from xiaohe.gateway.events.signing import delivery_id_of, secret_text, signature

INSIDE = (
    "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1",
)  # fmt: skip
OUTSIDE = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e")


@pytest.mark.parametrize("address", INSIDE)
def test_no_network_that_only_the_gateway_reaches(address: str) -> None:
    """Loopback, private, link-local, metadata, carriers', multicast, however they are written."""
    guard = Guard(WebhookSettings())
    with pytest.raises(NotAllowed):
        guard.check_address(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(NotAllowed):
        guard.check_url(f"https://{host}/x")


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_public_network_is_open(address: str) -> None:
    """What everybody can reach may be called."""
    Guard(WebhookSettings()).check_address(ip_address(address))


def test_what_is_allowed_is_allowed_and_no_more() -> None:
    """A network that the operator names, and none beside it."""
    guard = Guard(WebhookSettings(allow_networks=("10.20.0.0/16",)))
    guard.check_url("https://10.20.3.4/")
    guard.check_url("https://[::ffff:10.20.3.4]/")
    for url in ("https://10.21.0.1/", "http://10.20.3.4/"):
        with pytest.raises(NotAllowed):
            guard.check_url(url)


@pytest.mark.parametrize("name", ["localhost", "2130706433", "0x7f.1", "127.1"])
async def test_a_name_is_judged_by_what_it_resolves_to(name: str) -> None:
    """However the loopback is called, the connection is never made."""
    guard = Guard(WebhookSettings(allow_http=True))
    with pytest.raises((NotAllowed, OSError)):
        await guard.resolve(name, 80, socket.AF_INET)
    async with Sender(WebhookSettings(allow_http=True)) as sender:
        outcome = await sender.post(f"http://{name}:1/", b"{}", {})
    assert outcome.came in (Came.FORBIDDEN, Came.FAILED)
    if name == "localhost":
        assert outcome.came is Came.FORBIDDEN


async def test_a_name_with_one_address_inside_is_not_called_at_all() -> None:
    """A receiver that answers with a public and a private address gains nothing."""

    class Both(AbstractResolver):
        async def resolve(self, host: str, port: int, family: int) -> list[dict[str, Any]]:
            return [{"host": "93.184.215.14"}, {"host": "10.0.0.1"}]

        async def close(self) -> None:
            pass

    guard = Guard(WebhookSettings(), Both())
    with pytest.raises(NotAllowed):
        await guard.resolve("example.org", 443)


@pytest.mark.parametrize(
    "url",
    ["", "https://", "//x", "file:///etc/passwd", "https://a:b@example.org/", "https://x/#y",
     "http://example.org/", "https://x:99999/", "https://" + "x" * 3_000],
)  # fmt: skip
def test_what_is_no_webhooks_url_is_refused(url: str) -> None:
    """Another scheme, a password, a fragment, nonsense."""
    with pytest.raises(NotAllowed):
        Guard(WebhookSettings()).check_url(url)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example that the scheme's libraries are tested with."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert secret_text(key) == secret


def test_a_pause_is_twice_the_last_one_up_to_the_longest() -> None:
    """Spread, and never shorter than what the receiver asked for."""
    settings = WebhookSettings(first_pause_s=1, pause_s_max=300)
    found = [pause_s(settings, n, None, 1.0) for n in range(1, 12)]
    assert found == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert pause_s(settings, 3, None, 0.5) == 2
    assert pause_s(settings, 1, 60.0, 1.0) == 60
    assert pause_s(settings, 10**9, None, 1.0) == 300


def test_a_delivery_has_one_id() -> None:
    """The same for the same event of the same webhook, another for any other."""
    ids = {delivery_id_of(h, e) for h in ("h1", "h2") for e in ("s a:1", "s a:2")}
    assert len(ids) == 4
    assert delivery_id_of("h1", "s a:1") in ids
