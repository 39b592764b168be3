"""Where compiled kernels are kept: a folder a version of their source, away from the checkout.

numba looks at the file of the kernel alone to tell whether what it kept is still right, and a
kernel has the functions of other files compiled into it. So the folder is named by all of them.
"""

import os
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

KERNELS: Final = Path(__file__).parent / "geo"
MARK: Final = b"kernels"
"""What is in a source file with kernels, and in that of their decorators."""

KEPT: Final = Path("~/.cache/xiaohe/kernels")
VARIABLE: Final = "NUMBA_CACHE_DIR"
VERSION_HEX_DIGITS: Final = 12


def keep_kernels() -> None:
    """Name the folder to numba, which reads it when it is first imported; a set one stays."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(_folder(_version()))


def _version() -> str:
    digest = sha256()
    for path in sorted(KERNELS.glob("*.py")):
        source = path.read_bytes()
        if MARK in source:
            digest.update(source)
    return digest.hexdigest()[:VERSION_HEX_DIGITS]


def _folder(version: str) -> Path:
    """Give the user's own folder, or one for this run where there is none to write to."""
    try:
        folder = KEPT.expanduser() / version
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return Path(mkdtemp(prefix="xiaohe-kernels-"))
    return folder if os.access(folder, os.W_OK) else Path(mkdtemp(prefix="xiaohe-kernels-"))


def compile_all() -> None:
    """Compile every kernel as the program calls it, and keep it."""
    keep_kernels()
    from xiaohe.geo.files import load_network  # noqa: PLC0415 - numba reads the folder's name first
    from xiaohe.geo.warming import warm_up  # noqa: PLC0415 - the same
    from xiaohe.places import ROADS  # noqa: PLC0415 - the same

    _, snapper = load_network(ROADS)
    warm_up(snapper)


if __name__ == "__main__":
    compile_all()
