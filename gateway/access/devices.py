"""Devices that sign: HMAC-SHA256 by a key of their own, and no message twice.

Four headers. The signature is over seven lines, each ended by a line feed: ``xiaohe-1``, the
device's id, the sequence, the time, the method, the path with its query, and the SHA-256 of the
body in hex. Plain HMAC over plain lines, and not HTTP Message Signatures (RFC 9421): a tracker's
firmware has HMAC and no parser of structured fields, and there is nothing to be negotiated.

A message counts once: its sequence is higher than the device's last one, and its time is not older
than ``PAST_S`` nor further ahead than ``AHEAD_S``. After a start, the gateway knows no sequences;
it therefore takes nothing whose time is before its start and ``AHEAD_S`` more. Whatever was taken
before the start had a time before that, so none of it counts again, and nothing has to be kept on
a disk for it: the price is that devices are refused for those seconds, and sign again.
"""

import hmac
from hashlib import sha256
from typing import Final

from xiaohe.gateway.access.directory import Directory
from xiaohe.gateway.access.principal import Unauthenticated, Visitor
from xiaohe.gateway.access.records import Account, key_of
from xiaohe.gateway.access.secret import Secret

DEVICE, SEQUENCE, TIME, SIGNATURE = (
    "x-xiaohe-device",
    "x-xiaohe-sequence",
    "x-xiaohe-time",
    "x-xiaohe-signature",
)
"""The headers: the id; a whole number that rises; ms since the epoch; HMAC-SHA256 in hex."""

PAST_S: Final = 120
"""A message may be so old: a mobile network's retries. What waited longer is signed again."""

AHEAD_S: Final = 5
"""A device's clock may be so fast: it has satellites or NTP. It is also what a start costs."""

SEQUENCE_DIGITS_MAX: Final = 18
"""Below 2**63; a device without a counter takes the time in ms, or in µs."""

_UNSIGNED: Final = "sign with the device's key: see docs/access.md"


def signature_of(
    key: bytes, device_id: str, sequence: str, time_ms: str, method: str, target: str, body: bytes
) -> str:
    """Give the signature of one message; ``target`` is path and query as they are sent."""
    lines = (
        "xiaohe-1", device_id, sequence, time_ms, method, target, sha256(body).hexdigest(), "",
    )  # fmt: skip
    return hmac.new(key, "\n".join(lines).encode(), sha256).hexdigest()


def device_key(secret: Secret, device_id: str, generation: int) -> bytes:
    """Give a device's key: what goes into the device, and what its signatures are held to."""
    return secret.derive("device", device_id, str(generation))


class Refused(Unauthenticated):
    """A device's message that does not count; ``reason`` is a word of a closed list."""

    def __init__(self, reason: str, message: str, device_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.device_id = device_id


class Devices:
    """Holds messages to their signatures; keeps the last sequence of every device it knows."""

    def __init__(self, secret: Secret, directory: Directory, started_ms: int) -> None:
        self._secret = secret
        self._directory = directory
        self._from_ms = started_ms + AHEAD_S * 1000
        self._last: dict[str, int] = {}
        self._keys: dict[tuple[str, int], bytes] = {}
        self._nobodys = secret.derive("device")

    def proved(self, visitor: Visitor) -> tuple[str, Account]:
        """Give the device whose key has signed this message. Raises Refused."""
        device_id, sequence, time, signature = (
            visitor.header(name) or "" for name in (DEVICE, SEQUENCE, TIME, SIGNATURE)
        )
        if not (_is_number(sequence) and _is_number(time) and signature.isascii()):
            raise Refused("headers", _UNSIGNED)
        account = self._directory.account(key_of("device", device_id))
        target = visitor.path + (f"?{visitor.query}" if visitor.query else "")
        signed = (device_id, sequence, time, visitor.method, target, visitor.body)
        if not self._holds(device_id, account, signature, signed, visitor.received_ms):
            raise Refused("signature", _UNSIGNED, device_id if account is not None else None)
        assert account is not None, "nobody's key fits nothing"
        self._look_at_time(device_id, int(time), visitor.received_ms)
        if int(sequence) <= self._last.get(device_id, -1):
            raise Refused("replayed", "the sequence has to rise: sign the next one", device_id)
        self._last[device_id] = int(sequence)
        return device_id, account

    def _holds(
        self,
        device_id: str,
        account: Account | None,
        signature: str,
        signed: tuple[str, str, str, str, str, bytes],
        now_ms: int,
    ) -> bool:
        """Hold a signature to the device's key, or to its one before; to nobody's as long."""
        if account is None:
            hmac.compare_digest(signature_of(self._nobodys, *signed), signature)
            return False
        generations = [account.generation]
        if account.generation > 0 and now_ms < account.previous_until_ms:
            generations.append(account.generation - 1)
        keys = [self._key(device_id, generation) for generation in generations]
        fits = [hmac.compare_digest(signature_of(key, *signed), signature) for key in keys]
        return any(fits)

    def _key(self, device_id: str, generation: int) -> bytes:
        name = device_id, generation
        if name not in self._keys:
            self._keys.pop((device_id, generation - 2), None)
            self._keys[name] = device_key(self._secret, device_id, generation)
        return self._keys[name]

    def _look_at_time(self, device_id: str, time_ms: int, now_ms: int) -> None:
        if time_ms <= self._from_ms:
            raise Refused(
                "before_start", "the gateway was just started: sign again in some s", device_id
            )
        if not now_ms - PAST_S * 1000 <= time_ms <= now_ms + AHEAD_S * 1000:
            raise Refused("time", f"the time is not that of now, ms {now_ms}", device_id)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= SEQUENCE_DIGITS_MAX
