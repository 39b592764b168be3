"""Write ``deploy/lock/``: every package with its version and the hashes of its files.

Needs pip-tools (``pip install pip-tools``) and the package index. Versions stay as they are as long
as ``pyproject.toml`` allows them; ``--upgrade`` takes the newest.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "deploy" / "lock"

SETS: Final = {"program": [], "dev": ["--extra", "dev"], "fuzz": ["--extra", "fuzz"]}
"""What is locked, and the extras of pyproject.toml that it has beside the program."""

BUILD: Final = "setuptools>=77\n"
"""What builds the package, as in pyproject.toml: installed like all else, so that no build fetches
anything of its own."""

HEAD: Final = """\
# Made by deploy/relock.py of pyproject.toml: every package with the hashes of its files.
# With `--require-hashes` pip takes no other file.
"""


def main(arguments: list[str]) -> None:
    """Lock all sets."""
    LOCK.mkdir(exist_ok=True)
    build = LOCK / "build.in"
    build.write_text(BUILD)
    for name, extras in SETS.items():
        lock = LOCK / f"{name}.txt"
        command = [
            sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes",
            "--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate",
            "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
            *extras, *arguments, "--output-file", str(lock), "pyproject.toml", str(build),
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own command line
        lock.write_text(HEAD + _of_others(lock.read_text()))
    build.unlink()


def _of_others(text: str) -> str:
    """Leave out the package itself, which its own extra names, and what is said about it."""
    lines = text.splitlines()
    kept = [line for line in lines if line and not line.startswith(("xiaohe @", "#"))]
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
