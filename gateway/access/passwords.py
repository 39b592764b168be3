"""Passwords and PINs: argon2id, a few at a time, and as slow for who is not known."""

import asyncio
import secrets
from itertools import pairwise
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

GIVEN_CHARACTERS_MAX: Final = 256
"""Nobody's password is longer, and what is longer is not hashed."""

PASSWORD_CHARACTERS_MIN: Final = 12
"""Length counts, not the kinds of characters (NIST SP 800-63B)."""

PIN_DIGITS: Final = (6, 12)
"""A PIN has so many digits, from … to; fewer could be tried through."""

AT_ONCE: Final = 2
"""Hashes under way: each takes 64 MiB and a core for some 50 ms."""

WAITING_MAX: Final = 32
"""Further logins that wait for their hash; one more is told to come again."""


class TooBusy(Exception):
    """So many log in at once that this one is not even looked at."""


class Hashes:
    """Makes and holds hashes, off the event loop."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        # RFC 9106's second choice, for where memory is short: 64 MiB, 3 passes, 4 lanes.
        self._hasher = hasher or PasswordHasher()
        self._nobodys = self._hasher.hash(secrets.token_hex(16))
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def make(self, given: str) -> str:
        """Give what is kept of a password or a PIN."""
        return self._hasher.hash(given)

    async def fits(self, kept: str | None, given: str) -> bool:
        """Tell whether this is it; where nothing is kept, no, after as long. Raises TooBusy."""
        if self._waiting >= WAITING_MAX:
            raise TooBusy
        self._waiting += 1
        try:
            async with self._turn:
                fits = await asyncio.to_thread(self._fits, kept or self._nobodys, given)
        finally:
            self._waiting -= 1
        return fits and kept is not None

    def _fits(self, kept: str, given: str) -> bool:
        if len(given) > GIVEN_CHARACTERS_MAX:
            return False
        try:
            return self._hasher.verify(kept, given)
        except (VerificationError, InvalidHashError):
            return False


def pin_fault(pin: str) -> str | None:
    """Say what is wrong with a PIN that somebody chose, or None."""
    least, most = PIN_DIGITS
    if not (pin.isascii() and pin.isdecimal() and least <= len(pin) <= most):
        return f"a PIN has {least} to {most} digits"
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if steps in ({0}, {1}, {9}):
        return "a PIN of one digit, or counted up or down, is tried first: choose another"
    return None


def password_fault(password: str) -> str | None:
    """Say what is wrong with a password that somebody chose, or None."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= GIVEN_CHARACTERS_MAX:
        return f"a password has {PASSWORD_CHARACTERS_MIN} to {GIVEN_CHARACTERS_MAX} characters"
    return None
