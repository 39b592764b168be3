"""Reads roads files from disk: the one place in this room that is given a path to one."""

import gzip
import zlib
from hashlib import sha256
from pathlib import Path

from xiaohe.geo.address_points import AddressPoint, read_addresses
from xiaohe.geo.network import Network
from xiaohe.geo.roads import RoadPiece, RoadsFileError, read_roads
from xiaohe.geo.snap import Snapper

VERSION_CHARACTERS = 12
"""Length of a file's version: enough that two files of one district never agree by chance."""

UNPACKED_BYTES_MAX = 2**31
"""Most that a packed file may hold: more than any city's roads, and less than fills a machine."""

LON_MAX_DEG = 180.0
LAT_MAX_DEG = 90.0


def version_of(raw: bytes) -> str:
    """Return the version of a roads file: the start of the SHA-256 of its bytes, in hex."""
    return sha256(raw).hexdigest()[:VERSION_CHARACTERS]


def load_pieces(path: str | Path) -> tuple[tuple[RoadPiece, ...], str]:
    """Read a roads file; return its pieces and its version.

    Raises ``RoadsFileError``, also where the file is missing or cannot be read.
    """
    raw = read_bytes(path)
    try:
        return read_roads(raw), version_of(raw)
    except RoadsFileError as error:
        raise RoadsFileError(f"{path}: {problem}" for problem in error.problems) from None


def load_addresses(path: str | Path) -> tuple[AddressPoint, ...]:
    """Read the house numbers that a roads file may carry; raises ``RoadsFileError``."""
    try:
        return read_addresses(read_bytes(path))
    except RoadsFileError as error:
        raise RoadsFileError(f"{path}: {problem}" for problem in error.problems) from None


def load_network(path: str | Path, speed_factor: float = 1.0) -> tuple[Network, Snapper]:
    """Read a noded roads file and build the network and its snapper.

    Raises ``RoadsFileError``; pieces without a road_id (nobody could answer for them) and
    coordinates that are no degrees are refused.
    """
    pieces, version = load_pieces(path)
    nameless = sum(not piece.road_id for piece in pieces)
    misplaced = sum(not _is_on_earth(piece) for piece in pieces)
    if nameless or misplaced:
        found = f"{nameless} pieces have no road_id, {misplaced} no possible coordinates"
        raise RoadsFileError([f"{path}: {found}: run `xiaohe roads check {path}`"])
    network = Network.build(pieces, version, speed_factor=speed_factor)
    return network, Snapper(network)


def read_bytes(path: str | Path) -> bytes:
    """Read a file whole, unpacked if its name ends in ``.gz``.

    Raises ``RoadsFileError`` that names it where that fails.
    """
    try:
        if not str(path).lower().endswith(".gz"):
            return Path(path).read_bytes()
        with gzip.open(path) as packed:
            raw = packed.read(UNPACKED_BYTES_MAX + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RoadsFileError([f"{path}: not a whole gzip file ({error}): fetch it again"]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RoadsFileError([f"{path}: {reason}: name a file that can be read"]) from None
    if len(raw) > UNPACKED_BYTES_MAX:
        raise RoadsFileError([f"{path}: more than 2 GiB when unpacked: cut out one city"])
    return raw


def _is_on_earth(piece: RoadPiece) -> bool:
    return all(abs(lon) <= LON_MAX_DEG and abs(lat) <= LAT_MAX_DEG for lon, lat in piece.points)
