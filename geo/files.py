"""Reads roads files from disk: the one place in this room that is given a path to one."""

from hashlib import sha256
from pathlib import Path

from xiaohe.geo.network import Network
from xiaohe.geo.roads import RoadPiece, RoadsFileError, read_roads
from xiaohe.geo.snap import Snapper

VERSION_CHARACTERS = 12
"""Length of a file's version: enough that two files of one district never agree by chance."""

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
    """Read a file whole; raises ``RoadsFileError`` that names it where that fails."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise RoadsFileError([f"{path}: {reason}: name a file that can be read"]) from None


def _is_on_earth(piece: RoadPiece) -> bool:
    return all(abs(lon) <= LON_MAX_DEG and abs(lat) <= LAT_MAX_DEG for lon, lat in piece.points)
