"""Wake-ups under way: written for each deadline that is due, read back like any input.

A deadline is decided when its wake-up is read, so that a replay of the log sees the same times.
No second one is written while the first is under way; one that does not come back is written
again, and the worker leaves when that does not help.
"""

from collections.abc import Iterable

from msgspec import Struct

from xiaohe.streams.inbox import DUE_HEADER
from xiaohe.streams.ports import WAKEUPS, Publication, Raw, WakeUpCall

REPEAT_MS = 5_000
"""After how long a wake-up that has not been read is written again: twice the slowest fetch."""

WRITES_MAX = 6
"""The worker leaves where a wake-up was written so often, over 30 s (half the shortest window), and
never read. Time in which nothing could be written, because the broker was away, does not count."""

UNDER_WAY_MAX = 64
"""Wake-ups of a partition written and not taken, one batch of decisions, and as many of those that
hold nothing: where more fall due than can be decided they wait here, and not, twice written, in the
topic. Each has its own room, for what holds nothing may wait for what does."""

Identity = tuple[bytes, bytes]


class WakeUpLostError(Exception):
    """A wake-up was written again and again and never read."""


class DeadlineStaysError(Exception):
    """The core did not close a deadline whose wake-up it was given."""


class _UnderWay(Struct):
    due_ms: int
    last_ms: int
    holds: bool
    writes: int = 0
    come: bool = False


class Calls:
    """The wake-ups of one partition that have been written and not been taken."""

    def __init__(self) -> None:
        self._under_way: dict[Identity, _UnderWay] = {}

    def room(self, *, holds: bool) -> int:
        """How many more may be written now: of those that hold what comes later, or others."""
        mine = sum(each.holds == holds for each in self._under_way.values())
        return max(0, UNDER_WAY_MAX - mine)

    def to_write(self, due: Iterable[WakeUpCall]) -> list[WakeUpCall]:
        """Those that are not under way."""
        return [call for call in due if (call.key, call.value) not in self._under_way]

    def to_repeat(self, now_ms: int) -> list[WakeUpCall]:
        """Those that were written a while ago and have not come.

        Raises
        ------
        WakeUpLostError
            where one has been written WRITES_MAX times and has not come.
        """
        silent = [
            (identity, known)
            for identity, known in self._under_way.items()
            if not known.come and now_ms - known.last_ms >= REPEAT_MS
        ]
        for _, known in silent:
            if known.writes >= WRITES_MAX:
                raise WakeUpLostError(
                    f"the wake-up for the deadline at {known.due_ms} was written {known.writes} "
                    f"times within {WRITES_MAX * REPEAT_MS / 1000:.0f} s or more and has not been "
                    "read: is the wakeups topic readable?"
                )
        return [WakeUpCall(known.due_ms, *identity, known.holds) for identity, known in silent]

    def written(self, calls: Iterable[WakeUpCall], now_ms: int) -> None:
        """These are in the log now: ``now_ms`` is when that was acknowledged."""
        for call in calls:
            known = self._under_way.get((call.key, call.value))
            if known is None:
                known = _UnderWay(call.due_ms, now_ms, call.holds)
                self._under_way[call.key, call.value] = known
            known.last_ms = now_ms
            known.writes += 1

    def come(self, raw: Raw) -> None:
        """A wake-up has been read and waits to be taken."""
        known = self._under_way.get(_identity(raw))
        if known is not None:
            known.come = True

    def taken(self, raw: Raw, *, still_due: bool) -> None:
        """A wake-up has been decided.

        Raises
        ------
        DeadlineStaysError
            where the core would have the same wake-up written again.
        """
        self._under_way.pop(_identity(raw), None)
        if still_due:
            raise DeadlineStaysError("a wake-up was taken and its deadline is still open")


def publication(call: WakeUpCall, partition: int) -> Publication:
    """The record that is written for a deadline."""
    return Publication(
        topic=WAKEUPS,
        stage=0,
        key=call.key,
        value=call.value,
        # Without it, its place is that of its receipt: behind whatever came in before.
        headers=((DUE_HEADER, str(call.due_ms).encode()),) if call.holds else (),
        partition=partition,
    )


def _identity(raw: Raw) -> Identity:
    return (raw.key or b"", raw.value or b"")
