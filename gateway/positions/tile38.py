"""What a Tile38 server's hook tells of an object that moved.

Its time is when Tile38 was told, not when the fix was taken, and nothing but the place is in a unit
that is known. A message that follows a change of a field, not of the place, is of unknown age.
"""

from typing import Final

from xiaohe.gateway.positions.hearing import Message, heard
from xiaohe.gateway.positions.measures import device_id
from xiaohe.gateway.positions.raw_fix import NoFix, Said
from xiaohe.gateway.positions.receipt import Receipt
from xiaohe.wire.json_object import read_object

BYTES_MAX: Final = 64 * 1024
"""A point has some hundred bytes; a fence that is drawn into the message some thousand."""


def decode(value: bytes, receipt: Receipt) -> list[Said]:
    """Read a message of a hook. Raises BadInput."""
    found = read_object(value, BYTES_MAX)
    command = found.get("command")
    if command == "drop":  # a whole collection went: of no device in particular
        return [NoFix(device_id=None, what="other")]
    device = device_id(found.get("id"), "id")
    if command == "del":
        return [NoFix(device_id=device, what="offline")]
    at = _point_of(found)
    if at is None:
        return [NoFix(device_id=device, what="no_fix")]
    lon, lat = at
    message = Message(
        device_id=device,
        lon=lon,
        lat=lat,
        time=found.get("time"),
        age_unknown=command == "fset",
    )
    return [heard(message, receipt)]


def _point_of(found: dict[str, object]) -> tuple[object, object] | None:
    """Give longitude and latitude as they are written; None for what is no point."""
    point = found.get("point")
    if isinstance(point, dict):
        return point.get("lon"), point.get("lat")
    shape = found.get("object")
    if isinstance(shape, dict) and shape.get("type") == "Feature":
        shape = shape.get("geometry")
    if not isinstance(shape, dict) or shape.get("type") != "Point":
        return None
    coordinates = shape.get("coordinates")
    if not isinstance(coordinates, list) or len(coordinates) < 2:  # noqa: PLR2004 - lon and lat
        return None
    return coordinates[0], coordinates[1]
