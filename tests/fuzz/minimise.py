"""An input that fails, made as small as it fails in the same way."""

import traceback
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target

TRIES_MAX: Final = 5_000


def failure_of(target: Target, data: bytes) -> str | None:
    """Say how an input fails: the error, and where; None if it does not."""
    try:
        target.run(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
    return None


def minimised(target: Target, data: bytes) -> bytes:
    """Cut pieces out of an input, ever smaller ones, while it fails in the same way."""
    wanted, tries, length = failure_of(target, data), 0, len(data) // 2
    while length and tries < TRIES_MAX:
        at = 0
        while at < len(data) and tries < TRIES_MAX:
            shorter = data[:at] + data[at + length :]
            tries += 1
            if failure_of(target, shorter) == wanted:
                data = shorter
            else:
                at += length
        length //= 2
    return data
