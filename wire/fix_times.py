"""The times of a whole record of positions at once: RFC 3339 texts to ms since the epoch.

Devices write a time in one of a few forms of fixed length. All texts of such a form are looked at
together, character by character down the columns; whatever is not exactly of one of them is left
to ``parse_rfc3339``, which alone says what a time is.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from xiaohe.dispatch.times import MS_PER_HOUR, MS_PER_MINUTE, parse_rfc3339

Moments = npt.NDArray[np.int64]
"""Milliseconds since the epoch."""

_Letters = npt.NDArray[np.uint8]
"""ASCII codes, a text a row."""

FORMS: Final = tuple(
    f"0000-00-00T00:00:00{fraction}{zone}"
    for fraction in ("", ".000", ".000000")
    for zone in ("Z", "+00:00")
)
"""The forms read at once, a digit standing for any digit and the sign for either; each has a
length of its own."""

MILLISECONDS_END: Final = len("0000-00-00T00:00:00.000")
"""Digits beyond are below a millisecond, and cut off."""

OFFSET_LENGTH: Final = len("+00:00")

YEAR_ONE_MS: Final = -62_135_596_800_000
"""The first moment of the year 1."""

OFFSET_HOURS_MAX, OFFSET_MINUTES_MAX = 23, 59


class _Form:
    """One form: which characters may stand in each column."""

    def __init__(self, sample: str) -> None:
        self.has_offset = not sample.endswith("Z")
        signs = {len(sample) - OFFSET_LENGTH} if self.has_offset else set()
        self.local_end = min(len(sample) - (OFFSET_LENGTH if signs else 1), MILLISECONDS_END)
        lowest = [43 if at in signs else ord(letter) for at, letter in enumerate(sample)]
        self.lowest = np.array(lowest, dtype=np.uint8)
        self.span = np.array(
            [2 if at in signs else 9 * letter.isdigit() for at, letter in enumerate(sample)],
            dtype=np.uint8,
        )


_FORMS: Final = {len(sample): _Form(sample) for sample in FORMS}


def parse_all(texts: Sequence[str]) -> Moments:
    """Read every text as ``parse_rfc3339`` does; raises BadTime where one is not a time."""
    lengths = list(map(len, texts))
    found = np.empty(len(texts), dtype=np.int64)
    for length in set(lengths):
        alike = [text for text, its in zip(texts, lengths, strict=True) if its == length]
        moments = _parse_alike(alike, _FORMS[length]) if length in _FORMS else None
        if moments is None:
            moments = np.array([parse_rfc3339(text) for text in alike], dtype=np.int64)
        found[np.equal(lengths, length)] = moments
    return found


def _parse_alike(texts: Sequence[str], form: _Form) -> Moments | None:
    """Read texts of one length, if all are of its form and exist in the calendar."""
    joined = "".join(texts)
    if not joined.isascii():
        return None
    letters = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(texts), -1)
    # Below the lowest character the difference wraps round to more than any span.
    if not (letters - form.lowest <= form.span).all():
        return None
    local = np.ascontiguousarray(letters[:, : form.local_end]).view(f"S{form.local_end}").ravel()
    try:
        moments: Moments = local.astype("datetime64[ms]").astype(np.int64)
    except ValueError:
        return None  # no such date or time of day, or a leap second
    if moments.min() < YEAR_ONE_MS:
        return None  # RFC 3339 has a year 0, the calendar here has none
    if not form.has_offset:
        return moments
    offsets_ms = _offsets_ms(letters[:, -OFFSET_LENGTH:])
    return None if offsets_ms is None else moments - offsets_ms


def _offsets_ms(letters: _Letters) -> Moments | None:
    signs = letters[:, 0]
    digits = letters.astype(np.int64) - ord("0")
    hours, minutes = digits[:, 1] * 10 + digits[:, 2], digits[:, 4] * 10 + digits[:, 5]
    if (signs == ord(",")).any():  # stands between + and -
        return None
    if hours.max() > OFFSET_HOURS_MAX or minutes.max() > OFFSET_MINUTES_MAX:
        return None
    offsets_ms: Moments = hours * MS_PER_HOUR + minutes * MS_PER_MINUTE
    return np.where(signs == ord("-"), -offsets_ms, offsets_ms)
