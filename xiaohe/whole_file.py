"""Writes files whole or not at all: whoever reads one never sees half of it."""

import os
from pathlib import Path
from uuid import uuid4

from xiaohe.places import FileUnwritable


def check_writable(path: Path) -> None:
    """Find out before long work that its result could not be written. Raises FileUnwritable."""
    if path.is_dir():
        raise FileUnwritable(f"{path}: is a folder: name a file")
    if not path.parent.is_dir():
        raise FileUnwritable(f"{path}: there is no folder {path.parent}: make it, or name another")
    if not os.access(path.resolve().parent, os.W_OK):
        raise FileUnwritable(f"{path}: no permission to write there: name another place")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there when it is complete and on the disk.

    What was there before stays until then, and for good where writing fails. Raises
    FileUnwritable.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        _write(path, target, content)  # a pipe, a terminal, /dev/null: nothing to be half there
        return
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        _write(path, part, content)
        if target.exists():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except OSError as fault:
        raise _unwritable(path, fault) from None
    finally:
        part.unlink(missing_ok=True)


def _write(named: Path, place: Path, content: bytes) -> None:
    try:
        with place.open("wb") as file:
            file.write(content)
            file.flush()
            if place.is_file():
                os.fsync(file.fileno())
    except OSError as fault:
        raise _unwritable(named, fault) from None


def _unwritable(path: Path, fault: OSError) -> FileUnwritable:
    reason = fault.strerror or fault
    return FileUnwritable(
        f"{path}: {reason}: nothing was changed; name a place that can be written"
    )
