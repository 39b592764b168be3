"""Where the package keeps what it ships."""

from pathlib import Path

PACKAGE = Path(__file__).parent

ROADS = PACKAGE / "data" / "roads.geojson"
ROSTER = PACKAGE / "data" / "roster.json"
POLICY = PACKAGE / "data" / "policy.yaml"
DOORS = PACKAGE / "data" / "doors.yaml"
SERVICES = PACKAGE / "data" / "open311.yaml"

DATA_DIR = Path(".xiaohe")
"""The default folder for what is kept while running: broker, logs."""


class FileUnreadable(Exception):
    """A file that was named cannot be read; the message says which and why."""


class FileUnwritable(Exception):
    """A file that was named cannot be written; the message says which and why."""


def read_file(path: Path) -> bytes:
    """Read a file that a person named. Raises FileUnreadable."""
    try:
        return path.read_bytes()
    except OSError as fault:
        reason = fault.strerror or fault
        raise FileUnreadable(f"{path}: {reason}: name a file that can be read") from None
