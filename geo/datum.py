"""Geodetic datums of the devices and callers: WGS-84, and China's GCJ-02 and BD-09.

Positions in China arrive in one of three datums that differ by some 500 m. Everything behind the
rim is WGS-84. The two offset functions are the publicly known ones; there is no closed inverse,
so ``to_wgs84`` finds it by fixed-point steps on the forward function. ``to_wgs84_many`` does the
same to a whole record of positions, compiled from the same lines.
"""

from collections.abc import Sequence
from math import atan2, cos, pi, sin, sqrt
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from xiaohe.geo.kernels import kernel

Datum = Literal["wgs84", "gcj02", "bd09"]
"""The datums that the wire contract names."""

KRASOVSKY_RADIUS_M = 6_378_245.0
"""Semi-major axis of the Krasovsky 1940 ellipsoid, which the GCJ-02 offset is scaled by."""

KRASOVSKY_ECCENTRICITY2 = 0.00669342162296594323
"""Square of the first eccentricity of the same ellipsoid."""

CHINA_LON_DEG = (72.004, 137.8347)
CHINA_LAT_DEG = (0.8293, 55.8271)
"""The rectangle inside which the offset is applied; outside it a position is left unchanged."""

BD09_ANGLE = pi * 3000.0 / 180.0
BD09_SHIFT_LON_DEG = 0.0065
BD09_SHIFT_LAT_DEG = 0.006

INVERSE_STEPS = 3
"""Fixed-point steps: each gains about three digits; three leave less than a millimetre."""


def to_wgs84(lon: float, lat: float, datum: Datum) -> tuple[float, float]:
    """Turn a position in ``datum`` into WGS-84; ``lon``, ``lat`` in decimal degrees.

    A position outside China comes back unchanged. The result is right to a millimetre against
    ``from_wgs84``.
    """
    if datum == "wgs84" or not _in_china(lon, lat):
        return lon, lat
    guess_lon, guess_lat = lon, lat
    if datum == "bd09":
        guess_lon -= BD09_SHIFT_LON_DEG
        guess_lat -= BD09_SHIFT_LAT_DEG
    for _ in range(INVERSE_STEPS):
        seen_lon, seen_lat = _offset(guess_lon, guess_lat, datum)
        guess_lon += lon - seen_lon
        guess_lat += lat - seen_lat
    return guess_lon, guess_lat


def to_wgs84_many(
    lon: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64],
    datums: Sequence[Datum | None],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Turn positions (decimal degrees), each in its own datum, into WGS-84; None is WGS-84.

    Gives for each what ``to_wgs84`` gives, to 1e-9 degree, ten times as fast. The first call
    compiles it, which takes a second where that has not been kept on disk.
    """
    codes = np.array([_CODES[datum] for datum in datums], dtype=np.int8)
    found_lon, found_lat = lon.copy(), lat.copy()
    _move_all_to_wgs84(found_lon, found_lat, codes)
    return found_lon, found_lat


def from_wgs84(lon: float, lat: float, datum: Datum) -> tuple[float, float]:
    """Turn a WGS-84 position (decimal degrees) into ``datum``; outside China unchanged."""
    if datum == "wgs84" or not _in_china(lon, lat):
        return lon, lat
    return _offset(lon, lat, datum)


def _in_china(lon: float, lat: float) -> bool:
    return (
        CHINA_LON_DEG[0] <= lon <= CHINA_LON_DEG[1] and CHINA_LAT_DEG[0] <= lat <= CHINA_LAT_DEG[1]
    )


def _offset(lon: float, lat: float, datum: Datum) -> tuple[float, float]:
    lon, lat = _gcj02(lon, lat)
    return _bd09(lon, lat) if datum == "bd09" else (lon, lat)


def _gcj02(lon: float, lat: float) -> tuple[float, float]:
    x, y = lon - 105.0, lat - 35.0
    ripple = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + ripple
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + ripple
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    phi = lat / 180.0 * pi
    w2 = 1.0 - KRASOVSKY_ECCENTRICITY2 * sin(phi) ** 2
    meridian_m = KRASOVSKY_RADIUS_M * (1.0 - KRASOVSKY_ECCENTRICITY2) / (w2 * sqrt(w2))
    parallel_m = KRASOVSKY_RADIUS_M / sqrt(w2) * cos(phi)
    return lon + east * 180.0 / (parallel_m * pi), lat + north * 180.0 / (meridian_m * pi)


def _bd09(lon: float, lat: float) -> tuple[float, float]:
    radius = sqrt(lon * lon + lat * lat) + 0.00002 * sin(lat * BD09_ANGLE)
    angle = atan2(lat, lon) + 0.000003 * cos(lon * BD09_ANGLE)
    return radius * cos(angle) + BD09_SHIFT_LON_DEG, radius * sin(angle) + BD09_SHIFT_LAT_DEG


_CODES: Final[dict[Datum | None, int]] = {None: 0, "wgs84": 0, "gcj02": 1, "bd09": 2}
"""Datums as numbers, for the compiled loop."""

_BD09_CODE: Final = _CODES["bd09"]

# The same functions once more, compiled: a formula stands here once.
_in_china_compiled = kernel(_in_china)
_gcj02_compiled = kernel(_gcj02)
_bd09_compiled = kernel(_bd09)


@kernel
def _move_all_to_wgs84(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], codes: npt.NDArray[np.int8]
) -> None:
    """Do to all what ``to_wgs84`` does, in their place."""
    for i in range(lon.size):
        seen_lon, seen_lat = lon[i], lat[i]
        if codes[i] == 0 or not _in_china_compiled(seen_lon, seen_lat):
            continue
        is_bd09 = codes[i] == _BD09_CODE
        if is_bd09:
            lon[i] -= BD09_SHIFT_LON_DEG
            lat[i] -= BD09_SHIFT_LAT_DEG
        for _ in range(INVERSE_STEPS):
            again_lon, again_lat = _gcj02_compiled(lon[i], lat[i])
            if is_bd09:
                again_lon, again_lat = _bd09_compiled(again_lon, again_lat)
            lon[i] += seen_lon - again_lon
            lat[i] += seen_lat - again_lat
