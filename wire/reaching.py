"""Whether a cluster is there and lets this client in; where it does not, why, and what to do.

aiokafka tells of a refused client only in its log, and then that it "cannot bootstrap". So a
connection is tried first, as its clients make them, and what comes of it is put into words:
``Unreachable`` where waiting may help, ``NotLetIn`` where only a person can.
"""

import asyncio
import datetime as dt
import ssl
import time
from pathlib import Path
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from cryptography import x509

from xiaohe.wire.cluster_access import (
    SASL_MECHANISM,
    AccessError,
    Cluster,
    ClusterAccess,
    Security,
    access_to,
)

ANSWER_TIMEOUT_MS: Final = 8_000
"""One attempt; a broker under load answers within a second or two."""

BROKER_WAIT_S: Final = 30.0
"""How long a part that begins waits for its broker: what was started together with it, after a
power cut for instance, is there by then, and leaving would only mean beginning again."""

AGAIN_S: Final = 0.3
"""Pause between two attempts while a broker is waited for."""

TLS_ALERT: Final = b"\x15\x03"
"""How an alert of TLS begins; a client without TLS takes it for the size of an answer."""


class Unreachable(Exception):
    """No Kafka answers there, or not yet; the message says what to see to."""


class NotLetIn(AccessError):
    """The broker, or this client, refuses the other; the message says what to do."""


async def reach(cluster: Cluster, *, wait_s: float = 0.0) -> None:
    """Return when one of the cluster's servers has let this client in.

    One that does not answer is tried again for ``wait_s``. Raises Unreachable, NotLetIn, and
    AccessError where the files of the access cannot be used.
    """
    access = access_to(cluster)
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return await _reach_any(access)
        except Unreachable:
            if time.monotonic() >= deadline_s:
                raise
        await asyncio.sleep(AGAIN_S)


async def _reach_any(access: ClusterAccess) -> None:
    """Try each server once. Raises Unreachable with what the last one came to, and NotLetIn."""
    options = access.client_options()
    whys = []
    for server in options.pop("bootstrap_servers"):
        try:
            await _try(server, options)
        except (KafkaError, OSError, TimeoutError) as fault:
            refused = _refusal(access, server, fault)
            if refused is not None:
                raise NotLetIn(refused) from fault
            whys.append(f"{server}: {_why(access, fault)}")
        else:
            return
    raise Unreachable(
        f"No Kafka answers at {access.bootstrap_servers} ({'; '.join(whys)}). "
        "See that it runs and that --bootstrap-servers names it."
    )


async def _try(server: str, options: dict[str, Any]) -> None:
    host, _, port = server.strip().rpartition(":")
    async with asyncio.timeout(ANSWER_TIMEOUT_MS / 1000):
        connection: AIOKafkaConnection = await create_conn(
            host.strip("[]"), int(port), request_timeout_ms=ANSWER_TIMEOUT_MS, **options
        )
        try:
            # A broker that wants a user tells its versions to anybody, and nothing else.
            await connection.send(MetadataRequest([]))
        finally:
            await connection.close()


def _why(access: ClusterAccess, fault: BaseException) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    closed = isinstance(fault, ConnectionResetError | KafkaConnectionError)
    if closed and access.security is not Security.PLAINTEXT:
        tls = "perhaps it does not speak TLS there (--kafka-security)"
        wants = "" if access.user else ", or wants a user (--kafka-user)"
        return f"it closes the connection: {tls}{wants}"
    return str(fault) or type(fault).__name__


def _refusal(access: ClusterAccess, server: str, fault: BaseException) -> str | None:
    """Put into words that somebody was refused; None where nobody was."""
    cause = fault.__cause__ if isinstance(fault, KafkaConnectionError) else fault
    match cause:
        case SaslAuthenticationFailed():
            return (
                f"{server} does not know the user {access.user!r} by this password: see whether "
                f"{access.password_file} holds it, or name another with --kafka-password-file"
            )
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return (
                f"{server} takes no password by {SASL_MECHANISM}: name the port that does, or "
                "show a certificate (--kafka-cert, --kafka-key) instead of --kafka-user"
            )
        case ssl.SSLCertVerificationError():
            return _distrusted(access, server, cause)
        case ssl.SSLError() if "ALERT" in (cause.reason or ""):
            return _distrusting(access, server)
        case asyncio.IncompleteReadError() if _is_tls(cause):
            return (
                f"{server} speaks TLS, and this client was told to do without: say "
                "--kafka-security SSL or SASL_SSL, with --kafka-ca and what else it wants"
            )
    return None


def _distrusted(access: ClusterAccess, server: str, fault: ssl.SSLCertVerificationError) -> str:
    """This client refuses the broker."""
    found = f"the certificate of {server} is not accepted ({fault.verify_message})"
    if "expired" in fault.verify_message:
        return f"{found}: renew it, on the broker"
    if "mismatch" in fault.verify_message:
        return f"{found}: reach the broker by a name that stands in it (--bootstrap-servers)"
    trusted = access.ca or "the system's authorities"
    return f"{found}: {trusted} did not issue it; name the CA that did with --kafka-ca"


def _distrusting(access: ClusterAccess, server: str) -> str:
    """The broker refuses this client. Its alert is the same whatever it dislikes."""
    if access.cert is None:
        return (
            f"{server} wants a certificate of its clients: show one with --kafka-cert and "
            "--kafka-key, or name the port that takes passwords"
        )
    ended = _ended(access.cert)
    if ended is not None:
        return f"the certificate {access.cert} ended at {ended}: have a new one issued"
    return (
        f"{server} does not accept the certificate {access.cert}: "
        "have it issued by an authority that the broker trusts"
    )


def _ended(cert: Path) -> str | None:
    """When a certificate ended, if it did."""
    try:
        end = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
    return end.isoformat() if end < dt.datetime.now(dt.UTC) else None


def _is_tls(cut_short: asyncio.IncompleteReadError) -> bool:
    """Whether what was taken for the size of an answer is the beginning of a TLS alert."""
    size = cut_short.expected or 0
    return size.to_bytes(8, "big")[4:].startswith(TLS_ALERT)
