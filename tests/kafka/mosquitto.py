"""A real MQTT broker for tests: Mosquitto, as a process of its own on the loopback."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NEEDED = "needs a Mosquitto (Debian: apt install mosquitto)"
REQUIRE = "XIAOHE_REQUIRE_MQTT"
START_S = 10.0


@dataclass(frozen=True)
class Mosquitto:
    """Where it listens, and who may come."""

    port: int
    folder: Path
    tls: bool = False
    user: str = "gateway"
    password: str = "invented"


def program() -> str:
    """The broker's program, which Debian keeps off the users' path; skips where there is none."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, and the test {NEEDED}", pytrace=False)
        pytest.skip(NEEDED)
    return found


@contextmanager
def mosquitto(folder: Path, port: int, *, tls: bool = False) -> Iterator[Mosquitto]:
    """A broker that knows one user, in the clear or with a certificate of its own making."""
    broker = Mosquitto(port, folder, tls)
    passwords = folder / "passwords"
    if not passwords.exists():
        tool = shutil.which("mosquitto_passwd") or program().replace(
            "mosquitto", "mosquitto_passwd"
        )
        command = [tool, "-b", "-c", str(passwords), broker.user, broker.password]
        subprocess.run(command, check=True, capture_output=True)
    lines = [
        f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}",
        "persistence true", f"persistence_location {folder}/", "max_queued_messages 5000",
    ]  # fmt: skip
    if os.geteuid() == 0:
        lines.append("user root")
    if tls:
        _certificate(folder)
        lines += [f"certfile {folder}/cert.pem", f"keyfile {folder}/key.pem"]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen([program(), "-c", str(config)], stdout=log, stderr=log)
        try:
            _listening(port, process, folder)
            yield broker
        finally:
            process.terminate()
            process.wait(START_S)


def _listening(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError((folder / "mosquitto.log").read_text(errors="replace"))


def _certificate(folder: Path) -> None:
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
    ]  # fmt: skip
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    subprocess.run(command, check=True, capture_output=True)


def trusting(broker: Mosquitto) -> ssl.SSLContext | None:
    """What a client needs to trust the broker."""
    return ssl.create_default_context(cafile=broker.folder / "cert.pem") if broker.tls else None
