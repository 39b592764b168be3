"""The certificate authority of one machine."""

import datetime as dt
import ssl
import stat
from pathlib import Path

import pytest

from xiaohe.local_ca import CertificateFiles, LocalCa, ends_at


def shakes_hands(
    server: CertificateFiles, client: CertificateFiles | None, ca: Path, host: str
) -> bool:
    """Whether two ends of a mutual TLS take each other; raises what the client says if not."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    serving.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    serving.load_cert_chain(server.cert, server.key)
    calling = ssl.create_default_context(cafile=ca)
    if client is not None:
        calling.load_cert_chain(client.cert, client.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        calling.wrap_bio(to_client, to_server, server_hostname=host),
        serving.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    return True


def test_a_server_is_vouched_for_where_it_is_reached_and_nowhere_else(tmp_path: Path) -> None:
    """By address and by name; at another name its certificate is refused."""
    ca = LocalCa.at(tmp_path / "ca")
    server = ca.server("broker", ["127.0.0.1", "localhost"])
    client = ca.client("worker")
    assert shakes_hands(server, client, ca.ca, "127.0.0.1")
    assert shakes_hands(server, None, ca.ca, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(server, client, ca.ca, "elsewhere.example")


def test_another_authority_vouches_for_nobody_here(tmp_path: Path) -> None:
    """Two authorities of the same name are two."""
    here, there = LocalCa.at(tmp_path / "here"), LocalCa.at(tmp_path / "there")
    server = here.server("broker", ["127.0.0.1"])
    with pytest.raises(ssl.SSLError):
        shakes_hands(server, there.client("worker"), here.ca, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(server, None, there.ca, "127.0.0.1")


def test_a_client_is_no_server(tmp_path: Path) -> None:
    """Who stole a client's key cannot play the broker with it."""
    ca = LocalCa.at(tmp_path)
    with pytest.raises(ssl.SSLError):
        shakes_hands(ca.client("worker"), None, ca.ca, "worker")


def test_everything_is_found_again_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    """A second start issues nothing anew, and every file has mode 0600."""
    ca = LocalCa.at(tmp_path)
    ca.server("broker", ["127.0.0.1"])
    ca.client("worker")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = LocalCa.at(tmp_path)
    again.server("broker", ["127.0.0.1"])
    again.client("worker")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in before} == {0o600}


def test_what_ends_soon_or_names_other_hosts_is_issued_anew(tmp_path: Path) -> None:
    """A certificate is renewed before it ends, and when the server moves."""
    ca = LocalCa.at(tmp_path)
    short = ca.client("worker", valid=dt.timedelta(days=1))
    ends = ends_at(short.cert)
    assert ends_at(ca.client("worker").cert) > ends
    server = ca.server("broker", ["127.0.0.1"])
    before = server.cert.read_bytes()
    assert ca.server("broker", ["127.0.0.1", "::1"]).cert.read_bytes() != before
