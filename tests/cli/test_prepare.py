"""`make setup` on a machine whose python3 is too old."""

import subprocess
import sys
from pathlib import Path

PREPARE = Path(__file__).parents[2] / "deploy" / "prepare.py"

ON_AN_OLD_PYTHON = """
import runpy, sys
sys.version_info = (3, 9, 2)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_an_old_python_says_which_one_is_needed(tmp_path: Path):
    """Without a newer Python on the path: exit 1, its version, and what to install."""
    done = _prepare(tmp_path)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed, and python3 is 3.9." in done.stderr
    assert "apt install python3" in done.stderr


def test_an_old_python_hands_over_to_a_newer_one(tmp_path: Path):
    """With a newer Python beside it, that one is used, with the same options."""
    newer = tmp_path / "python3.13"
    newer.write_text('#!/bin/sh\necho "python3.13 $@"\n')
    newer.chmod(0o755)
    done = _prepare(tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"python3.13 {PREPARE} --dev\n"


def _prepare(path: Path) -> subprocess.CompletedProcess[str]:
    """Run it with ``path`` as the only folder where programs are looked for."""
    return subprocess.run(
        [sys.executable, "-c", ON_AN_OLD_PYTHON, str(PREPARE), "--dev"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
