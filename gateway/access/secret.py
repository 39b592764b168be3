"""The gateway's one secret, and the keys that are derived from it.

Keys of devices, tokens and records are derived (HKDF-SHA256), not kept: a topic, a backup or a log
that somebody reads then holds none of them, several gateways with the same file agree without
talking, and a device gets another key by counting its generation up. The price is that whoever has
the file has all of them: it belongs to the gateway's user alone, and is never copied into a topic.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final, Literal

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
"""256 bits: of the secret, and of every key that is derived."""

Purpose = Literal["device", "token", "record", "csrf"]
"""What a derived key is for; no key serves for two things."""


class SecretUnusable(Exception):
    """The file of the secret cannot be used; the message says what to do."""


class Secret:
    """The secret; it shows itself to nobody."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        assert len(raw) == KEY_BYTES, "a secret of another length was not made here"
        self._raw = raw

    def __repr__(self) -> str:
        """Give no more than that it is one."""
        return "Secret(…)"

    def derive(self, purpose: Purpose, *parts: str) -> bytes:
        """Give the key for this purpose and these parts: always the same one."""
        info = b"xiaohe/1/" + orjson.dumps([purpose, *parts])
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._raw)


def open_secret(path: Path) -> Secret:
    """Read the secret of a file, which is made (mode 0600) where there is none.

    Raises SecretUnusable.
    """
    try:
        return _made(path)
    except FileExistsError:
        return _read(path)
    except OSError as fault:
        raise SecretUnusable(f"{path}: {fault.strerror}: name another with --secret-file") from None


def _made(path: Path) -> Secret:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = secrets.token_bytes(KEY_BYTES)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(raw.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # whole or not at all, and never over one that is there
    finally:
        part.unlink()
    return Secret(raw)


def _read(path: Path) -> Secret:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes().strip()
    except OSError as fault:
        raise SecretUnusable(f"{path}: {fault.strerror}: it must be the gateway's own") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SecretUnusable(f"{path} can be read by others: `chmod 600 {path}`")
    try:
        return Secret(bytes.fromhex(text.decode()))
    except (ValueError, AssertionError):
        raise SecretUnusable(f"{path} holds no secret of the gateway: restore it") from None
