"""Tries at a PIN, a password or a link: counted for the account and for the address.

A try counts before it is looked at, so that a hundred at once are a hundred; the right one takes
its count back. Kept in memory, a gateway for itself, bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

TRIES_FREE: Final = 5
"""Wrong tries at one account in a row until it has to rest."""

REST_S: Final = 15 * 60
"""The first rest; each further one, after as many wrong tries again, is twice as long."""

REST_S_MAX: Final = 24 * 3600
"""The longest rest: five tries a day are 1,825 a year at a million PINs."""

ADDRESS_TRIES: Final = 30
"""Wrong tries from one address within ``REST_S``, at whatever accounts."""

ADDRESSES_KEPT_MAX: Final = 10_000
"""Addresses that are remembered; the one that was heard longest ago goes first."""

ACCOUNTS_KEPT_MAX: Final = 10_000
"""Accounts that are remembered; only accounts that exist are."""


class TooManyTries(Exception):
    """Come again after ``after_s``; nothing was looked at."""

    def __init__(self, after_s: int) -> None:
        super().__init__(f"too many tries: come again after {after_s} s")
        self.after_s = after_s


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until_ms: int = 0


class Tries:
    """The counts."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Count] = OrderedDict()
        self._addresses: OrderedDict[str, _Count] = OrderedDict()

    def count(self, account: str | None, address: str, now_ms: int) -> None:
        """Count a try; ``account`` None is one that is not known. Raises TooManyTries."""
        here = _kept(self._addresses, address, ADDRESSES_KEPT_MAX)
        if here.until_ms <= now_ms:
            here.wrong, here.until_ms = 0, now_ms + REST_S * 1000
        if here.wrong >= ADDRESS_TRIES:
            raise _too_many(here.until_ms, now_ms)
        there = None
        if account is not None:
            there = _kept(self._accounts, account, ACCOUNTS_KEPT_MAX)
            if there.until_ms > now_ms:
                raise _too_many(there.until_ms, now_ms)
        here.wrong += 1
        if there is not None:
            there.wrong += 1
            rests = there.wrong // TRIES_FREE
            if there.wrong % TRIES_FREE == 0:
                rest_s = min(REST_S * 2 ** (rests - 1), REST_S_MAX)
                there.until_ms = now_ms + rest_s * 1000

    def right(self, account: str, address: str) -> None:
        """Take back what the right try counted."""
        self._accounts.pop(account, None)
        here = self._addresses.get(address)
        if here is not None:
            here.wrong = max(0, here.wrong - 1)


def _kept(counts: OrderedDict[str, _Count], name: str, most: int) -> _Count:
    found = counts.setdefault(name, _Count())
    counts.move_to_end(name)
    if len(counts) > most:
        counts.popitem(last=False)
    return found


def _too_many(until_ms: int, now_ms: int) -> TooManyTries:
    return TooManyTries(max(1, -(-(until_ms - now_ms) // 1000)))
