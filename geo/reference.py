"""In which datum a file says that its coordinates are.

GeoJSON is WGS-84 by its standard. A file may yet say otherwise: by a ``datum`` member, as the wire
contract has it, or by the ``crs`` member of the older standard.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from xiaohe.geo.datum import Datum

WGS84_NAMES: Final = frozenset({"CRS84", "CRS84H", "WGS84", "EPSG 4326", "EPSG 4979", "EPSG 4490"})
"""Reference systems that are WGS-84 in degrees. EPSG:4490 is China's CGCS2000, the same to some
centimetres."""

_EPSG: Final = re.compile(r"(?:^|[:/])EPSG[:/](?:[\d.]*[:/])?(\d+)$", re.ASCII)
"""Matches ``EPSG:4326``, ``urn:ogc:def:crs:EPSG::4326`` and ``http://…/crs/EPSG/0/4326``."""

_EXPORT: Final = "export it in WGS-84 longitude and latitude (EPSG:4326)"


class UnknownReferenceError(ValueError):
    """Coordinates in a system that is not read; the message says what to do."""


def declared_datum(thing: Mapping[str, Any], otherwise: Datum = "wgs84") -> Datum:
    """Return the datum that a collection or feature declares, ``otherwise`` where it does not.

    Raises ``UnknownReferenceError``.
    """
    stated = thing.get("datum")
    if stated is not None:
        return _datum_of(stated)
    crs = thing.get("crs")
    return otherwise if crs is None else datum_of_crs(_crs_name(crs))


def datum_of_crs(name: str) -> Datum:
    """Return the datum of a named reference system; raises ``UnknownReferenceError``."""
    plain = name.strip().upper()
    epsg = _EPSG.search(plain)
    last = f"EPSG {epsg[1]}" if epsg else re.split("[:/]", plain)[-1].replace("-", "")
    if last in WGS84_NAMES:
        return "wgs84"
    if last.lower() in get_args(Datum):
        return cast("Datum", last.lower())
    raise UnknownReferenceError(f"coordinates are in {name!r}: {_EXPORT}")


def _datum_of(stated: object) -> Datum:
    plain = str(stated).strip().lower().replace("-", "")
    if plain not in get_args(Datum):
        raise UnknownReferenceError(
            f"datum is {stated!r}: write wgs84, gcj02 or bd09, or {_EXPORT}"
        )
    return cast("Datum", plain)


def _crs_name(crs: object) -> str:
    if isinstance(crs, str):
        return crs
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(name, str):
        return name
    raise UnknownReferenceError(f"crs is {str(crs)[:80]}, which names no system: {_EXPORT}")
