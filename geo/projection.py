"""Degrees to metres and back, on a plane that touches the map at its centre.

An equirectangular projection with the WGS-84 radii of curvature at the centre: within 10 km of it
a distance is wrong by less than 0.1 %, which is far below the error of a position. Lengths of
roads are not measured on the plane but with ``ground_distances_m``, which takes the radii where
the road is, so that they hold for a metropolis too. Maps across the 180° meridian are not
supported.
"""

from dataclasses import dataclass, field
from math import cos, hypot, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WGS84_RADIUS_M = 6_378_137.0
WGS84_FLATTENING = 1 / 298.257223563
WGS84_ECCENTRICITY2 = WGS84_FLATTENING * (2 - WGS84_FLATTENING)

Degrees = NDArray[np.float64]
Metres = NDArray[np.float64]


class Scale(NamedTuple):
    """Metres to one degree, along the parallel (east) and along the meridian (north)."""

    east_m: float
    north_m: float


def scale_at(lat: float) -> Scale:
    """Return the metres to a degree at latitude ``lat`` on the WGS-84 ellipsoid."""
    w = sqrt(1 - WGS84_ECCENTRICITY2 * sin(radians(lat)) ** 2)
    parallel_radius_m = WGS84_RADIUS_M / w * cos(radians(lat))
    meridian_radius_m = WGS84_RADIUS_M * (1 - WGS84_ECCENTRICITY2) / w**3
    return Scale(radians(parallel_radius_m), radians(meridian_radius_m))


def ground_distance_m(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Return the distance in metres between two near places (to 0.1 % up to some 100 km)."""
    scale = scale_at((lat1 + lat2) / 2)
    east_deg = (lon2 - lon1 + 180.0) % 360.0 - 180.0
    return hypot(east_deg * scale.east_m, (lat2 - lat1) * scale.north_m)


def ground_distances_m(lon1: Degrees, lat1: Degrees, lon2: Degrees, lat2: Degrees) -> Metres:
    """Return ``ground_distance_m`` for arrays of equal shape (not across the 180° meridian)."""
    middle = np.radians((lat1 + lat2) / 2)
    w = np.sqrt(1 - WGS84_ECCENTRICITY2 * np.sin(middle) ** 2)
    east_m = np.radians(lon2 - lon1) * (WGS84_RADIUS_M / w * np.cos(middle))
    north_m = np.radians(lat2 - lat1) * (WGS84_RADIUS_M * (1 - WGS84_ECCENTRICITY2) / w**3)
    return np.hypot(east_m, north_m)


@dataclass(frozen=True)
class Projection:
    """A plane in metres, x to the east and y to the north of (``lon0``, ``lat0``)."""

    lon0: float
    lat0: float
    scale: Scale = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the metres to a degree once."""
        object.__setattr__(self, "scale", scale_at(self.lat0))

    def to_m(self, lon: float, lat: float) -> tuple[float, float]:
        """Return (x, y) in metres of a place in decimal degrees."""
        return (lon - self.lon0) * self.scale.east_m, (lat - self.lat0) * self.scale.north_m

    def to_deg(self, x: float, y: float) -> tuple[float, float]:
        """Return (lon, lat) in decimal degrees of a place in metres: the inverse of ``to_m``."""
        return self.lon0 + x / self.scale.east_m, self.lat0 + y / self.scale.north_m

    def many_to_m(self, points: Degrees) -> Metres:
        """Return ``to_m`` of every row of an (n, 2) array of lon, lat."""
        return (points - (self.lon0, self.lat0)) * (self.scale.east_m, self.scale.north_m)

    def many_to_deg(self, points: Metres) -> Degrees:
        """Return ``to_deg`` of every row of an (n, 2) array of x, y."""
        return points / (self.scale.east_m, self.scale.north_m) + (self.lon0, self.lat0)
