"""House numbers in a roads file: the optional list ``addresses`` beside its features.

Each is ``{"street", "number", "lon", "lat"}`` in WGS-84. GeoJSON lets a collection have members of
its own, so that whoever does not know this one reads the roads all the same.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from xiaohe.geo.datum import Datum, to_wgs84
from xiaohe.geo.roads import COORDINATE_DECIMALS, RoadsFileError, parsed

ADDRESSES_MAX: Final = 500_000
"""House numbers that a file may have: a city's. Beyond it a file is to be cut."""

LON_MAX_DEG, LAT_MAX_DEG = 180.0, 90.0


class AddressPoint(NamedTuple):
    """One house."""

    street: str
    number: str
    lon: float
    lat: float


def read_addresses(raw: bytes) -> tuple[AddressPoint, ...]:
    """Read the house numbers of a roads file; none is in order. Raises ``RoadsFileError``."""
    return addresses_in(parsed(raw))


def addresses_in(document: object, datum: Datum = "wgs84") -> tuple[AddressPoint, ...]:
    """Give the house numbers of a collection in this datum. Raises ``RoadsFileError``."""
    stated = document.get("addresses") if isinstance(document, dict) else None
    if stated is None:
        return ()
    if not isinstance(stated, list) or len(stated) > ADDRESSES_MAX:
        raise RoadsFileError([f"addresses must be a list of at most {ADDRESSES_MAX} houses"])
    points = [_point(each) for each in stated]
    wrong = [n for n, point in enumerate(points) if point is None]
    if wrong:
        raise RoadsFileError(
            f"address {n}: needs street and number as text, lon and lat as degrees" for n in wrong
        )
    return tuple(_turned(point, datum) for point in points if point is not None)


def _turned(point: AddressPoint, datum: Datum) -> AddressPoint:
    if datum == "wgs84":
        return point
    lon, lat = to_wgs84(point.lon, point.lat, datum)
    return point._replace(lon=lon, lat=lat)


def _point(stated: object) -> AddressPoint | None:
    if not isinstance(stated, dict):
        return None
    street, number = stated.get("street"), stated.get("number")
    lon, lat = stated.get("lon"), stated.get("lat")
    if not (isinstance(street, str) and isinstance(number, str) and street and number):
        return None
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in (lon, lat)):
        return None
    assert isinstance(lon, int | float)
    assert isinstance(lat, int | float)
    on_earth = abs(lon) <= LON_MAX_DEG and abs(lat) <= LAT_MAX_DEG
    return AddressPoint(street, number, float(lon), float(lat)) if on_earth else None


def stated_addresses(points: Iterable[AddressPoint]) -> list[dict[str, object]]:
    """Give houses as the file has them, in an order of their own, each once."""
    return [
        {"street": street, "number": number, "lon": lon, "lat": lat}
        for street, number, lon, lat in sorted(
            {
                point._replace(
                    lon=round(point.lon, COORDINATE_DECIMALS),
                    lat=round(point.lat, COORDINATE_DECIMALS),
                )
                for point in points
            }
        )
    ]
