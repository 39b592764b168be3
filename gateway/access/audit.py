"""The audit: every refusal, and every change by hand: who, what, about what, when, from where.

Never what was sent and never what proves a name. A change by hand is written before it is
answered. Refusals are written behind the answer; a flood of them must not flood the topic, so that
beyond some a second they are counted, and each kind's count is one record.
"""

import asyncio
import contextlib
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

import msgspec
from msgspec import Struct

from xiaohe.dispatch.times import rfc3339
from xiaohe.gateway.access.principal import About, Change, Permit, Principal, Role
from xiaohe.gateway.publisher import NotPublished, Record, Written
from xiaohe.topics import Topic

REFUSALS_PER_S: Final = 5
"""So many refusals a second are written one by one, on the long run."""

REFUSALS_AT_ONCE: Final = 100
"""So many at once: somebody's every click with too small a role."""

ENTRIES_WAITING_MAX: Final = 1_000
"""Refusals that wait for the broker; beyond that they are counted."""

COUNTED_EVERY_S: Final = 10.0
"""So often the counts are written, where there are any."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

What = Literal["refused", "refused_many", "changed", "not_published", "login", "logout", "access"]


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of the audit."""

    what: What
    at: str
    principal: str | None = None
    role: Role | None = None
    change: Change | None = None
    about: dict[str, str] = {}
    address: str = ""
    reason: str | None = None
    count: int = 1
    written: tuple[str, ...] = ()
    session: str | None = None


class Audit:
    """Writes the audit; an async context manager. ``write`` brings records onto the topic."""

    def __init__(
        self,
        topic: Topic,
        write: Callable[[Sequence[Record]], Awaitable[object]],
        now_ms: Callable[[], int],
    ) -> None:
        self._topic = topic
        self._write = write
        self._now_ms = now_ms
        self._waiting: deque[Entry] = deque()
        self._counts: Counter[tuple[str, Role | None, Change | None]] = Counter()
        self._tokens = float(REFUSALS_AT_ONCE)
        self._filled_ms = now_ms()
        self._something = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to write what is refused."""
        self._writing = asyncio.create_task(self._go_on(), name="audit")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, and end."""
        assert self._writing is not None, "use `async with`"
        self._writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writing
        self._count_up()
        with contextlib.suppress(NotPublished):
            await self._write_waiting()

    # --- said

    def refused(
        self,
        reason: str,
        *,
        principal: Principal | None = None,
        claimed: str | None = None,
        change: Change | None = None,
        about: About | None = None,
        address: str = "",
    ) -> None:
        """Note a refusal; ``claimed`` is a known name that was given and not proved."""
        entry = Entry(
            what="refused",
            at=rfc3339(self._now_ms()),
            principal=principal.principal_id if principal is not None else claimed,
            role=principal.role if principal is not None else None,
            change=change,
            about={} if about is None else _stated(about),
            address=principal.address if principal is not None else address,
            reason=reason,
        )
        if self._has_token() and len(self._waiting) < ENTRIES_WAITING_MAX:
            self._waiting.append(entry)
        else:
            self._counts[reason, entry.role, change] += 1
        self._something.set()

    async def changed(self, permit: Permit, written: Sequence[Written]) -> None:
        """Write that a change by hand was made. Raises NotPublished."""
        await self._at_once(self._of(permit, "changed", written))

    async def not_changed(self, permit: Permit) -> None:
        """Note that the broker did not acknowledge a change by hand: it may or may not be there."""
        self._waiting.append(self._of(permit, "not_published", ()))
        self._something.set()

    async def happened(
        self,
        what: What,
        principal: str,
        *,
        role: Role | None = None,
        address: str = "",
        reason: str | None = None,
        session: str | None = None,
    ) -> None:
        """Write what is no change of the world: a login, its end, a new account."""
        at = rfc3339(self._now_ms())
        await self._at_once(
            Entry(
                what=what, at=at, principal=principal, role=role, address=address, reason=reason,
                session=session,
            )
        )  # fmt: skip

    def _of(self, permit: Permit, what: What, written: Sequence[Written]) -> Entry:
        who = permit.principal
        return Entry(
            what=what,
            at=rfc3339(self._now_ms()),
            principal=who.principal_id,
            role=who.role,
            change=permit.change,
            about=_stated(permit.about),
            address=who.address,
            session=who.session_id,
            written=tuple(f"{w.topic}:{w.partition}:{w.offset}" for w in written),
        )

    # --- written

    async def _at_once(self, entry: Entry) -> None:
        await self._write([self._record(entry)])

    def _record(self, entry: Entry) -> Record:
        return Record(self._topic, entry.principal or "nobody", msgspec.json.encode(entry))

    async def _go_on(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            with contextlib.suppress(NotPublished):
                await self._write_waiting()
            if self._waiting or self._counts:
                await asyncio.sleep(COUNTED_EVERY_S)
                self._count_up()
                self._something.set()

    async def _write_waiting(self) -> None:
        """Write all that waits; what fails stays."""
        while self._waiting:
            entries = list(self._waiting)
            await self._write([self._record(entry) for entry in entries])
            for _ in entries:
                self._waiting.popleft()

    def _count_up(self) -> None:
        """Turn the counts into entries, one a kind."""
        at = rfc3339(self._now_ms())
        counts, self._counts = self._counts, Counter()
        for (reason, role, change), count in counts.items():
            self._waiting.append(
                Entry(
                    what="refused_many", at=at, role=role, change=change, reason=reason, count=count
                )
            )

    def _has_token(self) -> bool:
        now_ms = self._now_ms()
        passed_s = max(0, now_ms - self._filled_ms) / 1000
        self._tokens = min(REFUSALS_AT_ONCE, self._tokens + passed_s * REFUSALS_PER_S)
        self._filled_ms = now_ms
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _stated(about: About) -> dict[str, str]:
    """Give what is stated of that which a change is about: identifiers and a word, no text."""
    found = msgspec.structs.asdict(about).items()
    return {name: value for name, value in found if value and _IDENTIFIER.fullmatch(value)}
