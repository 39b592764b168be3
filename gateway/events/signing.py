"""How a delivery is signed: the Standard Webhooks scheme, which libraries of many languages check.

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``<webhook-id>.<webhook-
timestamp>.<body>``; the key is what follows ``whsec_`` in the secret, from base64.
"""

import base64
import hashlib
import hmac
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
VERSION: Final = "v1"


def secret_text(key: bytes) -> str:
    """Write a key as its owner keeps it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signature(key: bytes, delivery_id: str, timestamp_s: int, body: bytes) -> str:
    """Sign a delivery."""
    signed = f"{delivery_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"


def headers_of(key: bytes, delivery_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Give the three headers of a delivery."""
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(key, delivery_id, timestamp_s, body),
    }


def delivery_id_of(hook_id: str, identity: str) -> str:
    """Name a delivery: the same for every attempt, and for a record that was published twice."""
    digest = hashlib.sha256(f"{hook_id} {identity}".encode()).digest()
    return "msg_" + base64.b32encode(digest[:20]).decode().lower()
