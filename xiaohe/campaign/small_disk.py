"""A small file system of its own for the broker's folder, so that a disk can be filled.

A tmpfs, which root may mount, and anybody in a user namespace of their own (`as_root_of_its_own`).
"""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

SIZE_MIB: Final = 512
"""Room for a slice's topics, and little enough to be filled at once."""

BALLAST: Final = "ballast"

MARK: Final = "XIAOHE_CAMPAIGN_UNSHARED"
"""Set in the environment of a campaign that has been given its own namespace."""


class CannotMountError(Exception):
    """Nothing can be mounted here; the message says why."""


class SmallDisk:
    """A mounted file system; left, it is gone with all that it held."""

    def __init__(self, folder: Path, size_mib: int = SIZE_MIB) -> None:
        self.folder = folder
        self._size_mib = size_mib

    def __enter__(self) -> Self:
        """Mount it. Raises CannotMountError."""
        mount = shutil.which("mount")
        if sys.platform != "linux" or mount is None:
            raise CannotMountError("a small file system is mounted on Linux only")
        self.folder.mkdir(parents=True, exist_ok=True)
        line = [mount, "-t", "tmpfs", "-o", f"size={self._size_mib}m", "tmpfs", str(self.folder)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603 - mount
        if done.returncode != 0:
            raise CannotMountError(done.stderr.strip() or f"mount ended with {done.returncode}")
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        unmount(self.folder)

    def fill(self) -> None:
        """Take all the room that is left."""
        chunk = bytes(1 << 20)
        with (self.folder / BALLAST).open("ab", buffering=0) as ballast:
            for size in (len(chunk), 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        _write(ballast.fileno(), chunk[:size])

    def free(self) -> None:
        """Give it back."""
        (self.folder / BALLAST).unlink(missing_ok=True)


def _write(number: int, data: bytes) -> None:
    written = os.write(number, data)
    if written < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def unmount(folder: Path) -> None:
    """Take a file system away from a folder, if there is one, and all that it holds."""
    umount = shutil.which("umount")
    if umount is not None and folder.is_mount():
        subprocess.run([umount, "-l", str(folder)], capture_output=True, check=False)  # noqa: S603 - umount


def can_mount(folder: Path) -> bool:
    """Try it."""
    try:
        with SmallDisk(folder, size_mib=1):
            return True
    except CannotMountError:
        return False


def as_root_of_its_own(folder: Path) -> None:
    """Begin this program again in a user namespace where it may mount, if that is needed and can
    be had; else return."""
    unshare = shutil.which("unshare")
    if MARK in os.environ or can_mount(folder) or unshare is None:
        return
    flags = ["--user", "--map-root-user", "--mount"]
    tried = subprocess.run([unshare, *flags, "true"], capture_output=True, check=False)  # noqa: S603 - unshare
    if tried.returncode == 0:
        again = [unshare, *flags, *sys.orig_argv]
        os.execve(unshare, again, {**os.environ, MARK: "1"})  # noqa: S606 - this very program
