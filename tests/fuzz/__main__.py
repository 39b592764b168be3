"""``python -m tests.fuzz``: every target in turn under the coverage-guided fuzzer.

The corpus of a target is kept in ``.xiaohe/fuzz/``, so that the next run goes on from it. What
was run is appended to ``docs/promises/fuzz.jsonl``. An input that is a finding is made small and
printed with the command that repeats it; it becomes a test in ``tests/fuzz/test_findings.py``.
With ``--unguided`` the corpus is changed further without the guide, several times as fast.
"""

import argparse
import json
import re
import secrets
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.fuzz.counts import read_counts
from tests.fuzz.minimise import failure_of, minimised
from tests.fuzz.target import Target
from tests.fuzz.targets import ALL, BY_NAME
from xiaohe.kernel_cache import keep_kernels

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / ".xiaohe" / "fuzz"
RECORD: Final = ROOT / "docs" / "promises" / "fuzz.jsonl"

FINDINGS: Final = ("crash-*", "timeout-*", "oom-*", "slow-unit-*")
"""What the fuzzer calls the inputs that it leaves behind; slow ones are told and are no crash."""

COVERAGE: Final = re.compile(r"#\d+\s+(\w+)\s+cov: (\d+) ft: (\d+)")
GRACE_S: Final = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, or repeat one input. Gives 1 where there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--targets", help="names, with commas; all unless told")
    parser.add_argument("--unguided", action="store_true", help="faster, without the guide")
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "BASE64"), help="run one input")
    given = parser.parse_args(arguments)
    keep_kernels()  # for the processes that are started from here
    if given.repeat:
        return repeat(BY_NAME[given.repeat[0]], b64decode(given.repeat[1]))
    names = given.targets.split(",") if given.targets else [target.name for target in ALL]
    chosen = [BY_NAME[name] for name in names]
    whole = sum(target.share for target in chosen)
    found = 0
    how = "unguided" if given.unguided else "guided"
    for target in chosen:
        line = fuzz(target, how, given.minutes * 60 * target.share / whole)
        found += len(line["crashes"])
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 1 if found else 0


def repeat(target: Target, data: bytes) -> int:
    """Run one input here and now, with its traceback."""
    print(target.name, "accepts it" if target.run(data) else "refuses it")  # noqa: T201
    return 0


def fuzz(target: Target, how: str, seconds: float) -> dict[str, Any]:
    """Fuzz one target in a process of its own; give the line for the record."""
    work = WORK / target.name
    work.mkdir(parents=True, exist_ok=True)
    seed = secrets.randbelow(2**31) + 1
    before = set(_left_behind(work))
    began = time.monotonic()
    command = [sys.executable, "-m", f"tests.fuzz.{how}", target.name, str(work)]
    with (work / "log").open("wb") as log:
        status = subprocess.call(
            [*command, str(max(1, round(seconds))), str(seed)],
            cwd=ROOT, stdout=log, stderr=log, timeout=seconds + GRACE_S + 600,
        )  # fmt: skip
    inputs, accepted = read_counts(work / "counts")
    initial, final = _coverage((work / "log").read_text(errors="replace"))
    left = [path for path in _left_behind(work) if path not in before]
    crashes = [_told(target, path) for path in left if not path.name.startswith("slow-unit")]
    if status != 0 and not crashes:
        crashes = [{"error": f"the process ended with {status}: see {work / 'log'}"}]
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **_code(),
        "target": target.name,
        "how": how,
        "seconds": round(time.monotonic() - began),
        "inputs": inputs,
        "accepted": accepted,
        "edges": final[0],
        "new_features": final[1] - initial[1],
        "seed": seed,
        "crashes": crashes,
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201 - a command line program
    return line


def _left_behind(work: Path) -> list[Path]:
    return sorted(path for pattern in FINDINGS for path in work.glob(pattern))


def _coverage(log: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give edges and features when the corpus had been read, and at the end."""
    seen = [(word, int(cov), int(ft)) for word, cov, ft in COVERAGE.findall(log)]
    initial = next(((cov, ft) for word, cov, ft in seen if word == "INITED"), (0, 0))
    return initial, (seen[-1][1], seen[-1][2]) if seen else (0, 0)


def _told(target: Target, path: Path) -> dict[str, str]:
    """Make a finding small and tell it, with the command that repeats it."""
    data = path.read_bytes()
    failure = failure_of(target, data)
    small = minimised(target, data) if failure is not None else data
    encoded = b64encode(small).decode()
    error = failure or f"{path.name.split('-')[0]} (as found)"
    print(f"{target.name}: {error}\n  {small!r}")  # noqa: T201
    print(f"  python -m tests.fuzz --repeat {target.name} {encoded}")  # noqa: T201
    return {"error": error, "input": encoded}


def _code() -> dict[str, Any]:
    """Say which code was run."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = [
        line
        for line in _git("status", "--porcelain", "-uall").splitlines()
        if "fuzz.jsonl" not in line
    ]
    return {"commit": commit, "clean": not changed}


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
