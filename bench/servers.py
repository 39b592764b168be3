"""Servers that run as long as they are measured, and not a moment longer."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

START_S: Final = 30.0
"""A server that does not answer by then will not."""

STOP_S: Final = 10.0
"""How long a server may take to end by itself."""

RETRY_S: Final = 0.02

CLIENTS: Final = "it comes with the extra `peers`: pip install 'xiaohe[peers]'"


class PeerUnavailable(Exception):
    """A peer cannot be measured here; the message says why."""


def client_library(name: str) -> Any:  # noqa: ANN401 - a module
    """Import a client that is an extra. Raises PeerUnavailable."""
    try:
        return __import__(name)
    except ImportError:
        raise PeerUnavailable(f"the Python library {name} is not installed; {CLIENTS}") from None


def postgres_programs() -> Path:
    """Give the folder of PostgreSQL's programs, the newest. Raises PeerUnavailable."""
    # Debian keeps them out of the path, a folder for each version.
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    found = shutil.which("initdb")
    for folder in [*debian, *([Path(found).parent] if found else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PeerUnavailable("PostgreSQL's server is not installed")


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


def as_somebody_else(folder: Path) -> list[str]:
    """Give what goes before a command for PostgreSQL, which root may not run.

    Its folder is given to the user ``postgres``. The signal goes to the server when its parent
    ends: a change of user has undone the one that ``start_bound`` asked for.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise PeerUnavailable("root may not run PostgreSQL, and no user postgres is here") from None
    if setpriv is None:
        raise PeerUnavailable("root may not run PostgreSQL, and setpriv is not installed")
    os.chown(folder, user.pw_uid, user.pw_gid)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [setpriv, *ids, *(["--pdeathsig=QUIT"] if sys.platform == "linux" else [])]


def wait_until(
    answers: Callable[[], object],
    not_yet: type[Exception],
    process: subprocess.Popen[bytes],
    folder: Path,
) -> None:
    """Call until it raises no more. Raises PeerUnavailable with the server's last words."""
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            answers()
        except not_yet as fault:
            if process.poll() is not None:
                words = (folder / "output.log").read_text(errors="replace")
                raise PeerUnavailable(f"it ended at once: {last_line(words)}") from fault
            if time.monotonic() > deadline_s:
                raise PeerUnavailable(f"no answer in {START_S:.0f} s: {fault}") from fault
            time.sleep(RETRY_S)
        else:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server, by force if it takes too long."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:  # an impatient Ctrl-C comes by here too
        process.kill()
        process.wait()


def last_line(words: str) -> str:
    """Give the last line that a program wrote: most often it says what is wrong."""
    return words.strip().rpartition("\n")[2] or "it said nothing"
