"""How many inputs were executed and accepted: counted as they are, in a file that outlives all."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

_FORM: Final = struct.Struct("<QQ")


class Counts:
    """The counts of one process. An input counts before it is run: it may be the last."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(_FORM.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORM.size)
        self._executed = self._accepted = 0

    def take(self, run: Callable[[bytes], bool], data: bytes) -> None:
        """Run an input, and count it."""
        self._executed += 1
        _FORM.pack_into(self._shared, 0, self._executed, self._accepted)
        if run(data):
            self._accepted += 1


def read_counts(path: Path) -> tuple[int, int]:
    """Give inputs executed and accepted; zeros where nothing was counted."""
    executed, accepted = _FORM.unpack(path.read_bytes()) if path.exists() else (0, 0)
    return executed, accepted


def quiet() -> None:
    """Log nothing: what is ignored is logged, and here that is nearly everything."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
