"""One target without the guide, several times as fast: what the guided runs kept, changed further.

``python -m tests.fuzz.unguided TARGET WORK_DIR SECONDS SEED``, as ``tests.fuzz.guided``.
"""

import sys
import time
from hashlib import sha1
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.counts import Counts, quiet
from tests.fuzz.targets import BY_NAME

LOOKS: Final = 64
"""Inputs between two looks at the clock."""

FOUND: Final = 77
"""Exit status when an input is a finding: the guide's own."""


def main(name: str, work_dir: str, seconds: str, seed: str) -> int:
    """Fuzz until the time is over or an input is a finding."""
    quiet()
    target, work, rng = BY_NAME[name], Path(work_dir), Random(int(seed))
    pool = [*target.seeds, *(path.read_bytes() for path in sorted((work / "corpus").glob("*")))]
    counts = Counts(work / "counts")
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        for _ in range(LOOKS):
            data = target.mutate(rng.choice(pool), rng)
            try:
                counts.take(target.run, data)
            except Exception:  # noqa: BLE001 - whatever it is, it is a finding
                digest = sha1(data, usedforsecurity=False).hexdigest()
                (work / f"crash-{digest}").write_bytes(data)
                return FOUND
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
