"""A child process that cannot outlive its parent, even one that is killed with SIGKILL.

Linux delivers a signal of the child's choice when the *thread* that started it ends
(``prctl(2)``, PR_SET_PDEATHSIG). So the child is started by a thread that lives exactly as long
as the child does, and through this very file run as a script: it asks for the signal, makes sure
that the parent is still there, and becomes the wanted program. On other systems the child is
started plainly, and only an orderly end of the parent ends it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
"""From ``<linux/prctl.h>``."""


def start_bound(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start ``command`` (its first word a path) so that it is killed when this process ends.

    It has a session of its own, so that Ctrl-C in a terminal reaches the parent alone, and
    stdout and stderr go to ``output``. Raises OSError as ``subprocess.Popen`` does.
    """
    line = list(command)
    if sys.platform == "linux":
        line = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]
    started: list[subprocess.Popen[bytes]] = []
    failed: list[OSError] = []
    known = threading.Event()

    def start_and_outlive() -> None:
        try:
            child = start_free(line, cwd=cwd, env=env, output=output)
        except OSError as error:
            failed.append(error)
            known.set()
            return
        started.append(child)
        known.set()
        child.wait()

    threading.Thread(target=start_and_outlive, name=f"parent of {command[0]}", daemon=True).start()
    known.wait()
    if failed:
        raise failed[0]
    return started[0]


def start_free(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start ``command`` as a process of its own session, which outlives this one."""
    return subprocess.Popen(  # noqa: S603 - the caller's own command line, no shell
        list(command),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when the thread that started it ends (Linux; a no-op elsewhere).

    ``parent_pid`` is who is thought to be the parent; where it is gone already, this ends at once.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent_pid:
            sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the caller's own command line
