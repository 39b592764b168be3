"""Make ``.venv`` in the checkout: ``python3 deploy/prepare.py [--dev]``, called by the Makefile.

Uses the standard library alone and no syntax newer than Python 3.6, so that an old python3 can
still say what it lacks, or hand over to a newer one beside it. Running it again is harmless.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PYTHON_MIN = (3, 11)
PYTHON_NEWEST_TRIED = 20
"""Minor versions that are looked for on the path if python3 itself is too old."""

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATUS_WIDTH = 78


def main(arguments: "list[str]") -> None:
    """Create or repair ``.venv``, install, and leave the stamp that the Makefile looks for."""
    if sys.version_info < PYTHON_MIN:
        hand_over(arguments)
    dev = "--dev" in arguments
    began = time.monotonic()
    what = "the program and what its tests need" if dev else "the program"
    say(f"preparing .venv: {what} (a minute or two, once)")
    make_venv()
    install("dev" if dev else "program")
    compile_loops()
    for name in ("ready", "ready-dev") if dev else ("ready",):
        (VENV / name).touch()
    say(f"prepared .venv in {time.monotonic() - began:.0f} s")


def hand_over(arguments: "list[str]") -> None:
    """Continue on a newer Python of this machine, or end and say that one is needed."""
    for minor in range(PYTHON_NEWEST_TRIED, PYTHON_MIN[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, __file__, *arguments])  # noqa: S606 - found on the path
    fail(
        "Python 3.11 or newer is needed, and python3 is {}.{}.".format(*sys.version_info),
        "Install one (Debian 12: apt install python3 python3-venv), or name it: "
        "make PYTHON=/path/to/python3.11 setup",
    )


def make_venv() -> None:
    """A virtual environment with pip, made anew if the one that is there does not run."""
    python = VENV / "bin" / "python"
    if run([str(python), "-m", "pip", "--version"])[0] == 0:
        return
    code, said = run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if code != 0:
        # Debian has ensurepip in a package of its own; a pip of the system does as well
        code, _ = run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "pip"]
        code = code or run(pip)[0]
    if code != 0:
        fail(said, "On Debian and Ubuntu: apt install python3-venv. Then again.")


def install(what: str) -> None:
    """Install a set of deploy/lock/, each file as its hash says, and the checkout as it stands."""
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--progress-bar", "off"]
    pip += ["--disable-pip-version-check", "--no-deps"]
    locked = ["--require-hashes", "-r", str(ROOT / "deploy" / "lock" / (what + ".txt"))]
    code, said = run(pip + locked, show=True)
    if code == 0:
        code, said = run([*pip, "--no-build-isolation", "-e", "."], show=True)
    if code != 0:
        fail(
            "\n".join(said.splitlines()[-15:]),
            "If the package index cannot be reached: see the network, or name a mirror with "
            "PIP_INDEX_URL. Then again: what is there already is kept.",
        )


def compile_loops() -> None:
    """Compile the inner loops now, once; whoever starts the program without it waits for them."""
    say("compiling the inner loops (half a minute, once)")
    run([str(VENV / "bin" / "python"), "-m", "xiaohe.kernel_cache"])


def run(command: "list[str]", *, show: bool = False) -> "tuple[int, str]":
    """Exit status and output of a command; with ``show`` its last line is seen while it runs."""
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
            command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        return 1, str(error)
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line.decode(errors="replace"))
        if show and sys.stdout.isatty():
            sys.stdout.write("\r\033[K  " + said[-1].strip()[:STATUS_WIDTH])
            sys.stdout.flush()
    if show and sys.stdout.isatty():
        sys.stdout.write("\r\033[K")
    return process.wait(), "".join(said)


def say(text: str) -> None:
    """One line for the user, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fail(problem: str, advice: str) -> None:
    """End with what is wrong and what to do."""
    sys.stderr.write(f"{problem.rstrip()}\n{advice}\n")
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
