"""Times that a header states: ms since the epoch, as text. Anybody may write anything there."""

from typing import Final

from xiaohe.streams.ports import Headers

MS_DIGITS_MAX: Final = 15
"""Digits of a time in ms; int() of a long text is no small matter, and of a longer one an error."""


def stated_ms(headers: Headers, name: str) -> int | None:
    """Give the first time that a header of this name states; None where none does."""
    for header, value in headers:
        if header == name and value and len(value) <= MS_DIGITS_MAX and value.isdigit():
            return int(value)
    return None
