"""One attempt to deliver: a POST, bounded in every way, and what came of it.

aiohttp is the client: it is there anyway (Faust needs it), is well kept, and lets its caller
resolve names, which httpx does not.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import aiohttp
from msgspec import Struct

from xiaohe.gateway.events.guard import Guard, NotAllowed
from xiaohe.gateway.events.settings import WebhookSettings

CONNECTIONS_UNDER_WAY_MAX: Final = 64
"""Connections to all receivers at one time."""

CONNECTIONS_OF_ONE_MAX: Final = 8
"""The same to one receiver: what it answers slowly holds up nobody else."""

ANSWER_BYTES_MAX: Final = 4 * 1024
"""Of an answer no more is read: only its status counts."""

OK_BELOW: Final = 300
GONE: Final = 410
RETRIED: Final = frozenset({408, 409, 425, 429})
"""Statuses between 400 and 499 that may change by themselves."""

RETRY_AFTER_S_MAX: Final = 3_600
"""A receiver cannot ask for a longer pause."""


class Came(StrEnum):
    """What came of an attempt."""

    TAKEN = "taken"
    REFUSED = "refused"
    FAILED = "failed"
    GONE = "gone"
    FORBIDDEN = "forbidden"


class Outcome(Struct, frozen=True):
    """One attempt: what came of it, the status, and a code that says why it failed."""

    came: Came
    status: int | None = None
    reason: str = ""
    retry_after_s: float | None = None
    took_ms: int = 0


class Sender:
    """The one HTTP client of all webhooks; an async context manager."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._timeout_s = settings.timeout_s
        self.guard = Guard(settings)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the client."""
        connector = aiohttp.TCPConnector(
            resolver=self.guard,
            limit=CONNECTIONS_UNDER_WAY_MAX,
            limit_per_host=CONNECTIONS_OF_ONE_MAX,
            use_dns_cache=False,  # each connection is judged by the addresses it goes to
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send once; what goes wrong is an outcome."""
        assert self._session is not None, "use `async with`"
        began_s = time.monotonic()
        try:
            target = self.guard.check_url(url)
            async with self._session.post(
                target, data=body, headers=dict(headers), allow_redirects=False
            ) as answer:
                with contextlib.suppress(aiohttp.ClientError):
                    await answer.content.read(ANSWER_BYTES_MAX)
                came = _judged(answer.status)
                after_s = _retry_after_s(answer.headers.get("retry-after"))
                outcome = Outcome(came, answer.status, f"status_{answer.status}", after_s)
        except (TimeoutError, NotAllowed, aiohttp.ClientError, OSError) as fault:
            outcome = _failed(fault)
        took_ms = round((time.monotonic() - began_s) * 1000)
        return Outcome(outcome.came, outcome.status, outcome.reason, outcome.retry_after_s, took_ms)


def _judged(status: int) -> Came:
    if status < OK_BELOW:
        return Came.TAKEN
    if status == GONE:
        return Came.GONE
    # A redirect is not followed, and will be one the next time as well.
    refused = status < 500 and status not in RETRIED  # noqa: PLR2004 - HTTP's own border
    return Came.REFUSED if refused else Came.FAILED


def _failed(fault: BaseException) -> Outcome:
    if isinstance(fault, NotAllowed):
        return Outcome(Came.FORBIDDEN, reason="not_allowed")
    if isinstance(fault, asyncio.TimeoutError):
        return Outcome(Came.FAILED, reason="timeout")
    if isinstance(fault, aiohttp.ClientSSLError):
        return Outcome(Came.FAILED, reason="tls")
    return Outcome(Came.FAILED, reason="unreachable")


def _retry_after_s(text: str | None) -> float | None:
    if text is None or not text.isascii() or not text.isdecimal():
        return None
    return float(min(int(text[:10]), RETRY_AFTER_S_MAX))
