"""Places that change seldom, one by one: posts, cameras, shops, school gates, closures.

An R-tree takes each change at once, which suits places that come and go; members, who move all
the time, are kept by edge instead (``live.LivePositions``).
"""

from collections.abc import Iterable
from math import hypot
from typing import NamedTuple

from rtree.index import Index

from xiaohe.geo.projection import Projection


class Place(NamedTuple):
    """A named place and how far it is from where was asked."""

    place_id: str
    distance_m: float


class PlaceIndex:
    """Places by id, found by nearness in a straight line."""

    def __init__(self, projection: Projection) -> None:
        """Start with no places, on the plane of the area's roads."""
        self._projection = projection
        self._tree = Index()
        self._at: dict[str, tuple[int, float, float]] = {}
        self._id_of: dict[int, str] = {}
        self._next = 0

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._at)

    def put(self, place_id: str, lon: float, lat: float) -> None:
        """Put a place, or move it."""
        self.remove(place_id)
        x, y = self._projection.to_m(lon, lat)
        number, self._next = self._next, self._next + 1
        self._tree.insert(number, (x, y, x, y))
        self._at[place_id] = number, x, y
        self._id_of[number] = place_id

    def remove(self, place_id: str) -> None:
        """Take a place away; nothing happens if it is not there."""
        found = self._at.pop(place_id, None)
        if found is not None:
            number, x, y = found
            self._tree.delete(number, (x, y, x, y))
            del self._id_of[number]

    def nearest(self, lon: float, lat: float, count: int = 1) -> list[Place]:
        """Return the ``count`` nearest places, nearest first; equals by id, all of them."""
        x, y = self._projection.to_m(lon, lat)
        return self._ordered(x, y, self._tree.nearest((x, y, x, y), count))

    def within(self, lon: float, lat: float, radius_m: float) -> list[Place]:
        """Return the places within ``radius_m``, nearest first."""
        x, y = self._projection.to_m(lon, lat)
        box = (x - radius_m, y - radius_m, x + radius_m, y + radius_m)
        found = self._ordered(x, y, self._tree.intersection(box))
        return [place for place in found if place.distance_m <= radius_m]

    def _ordered(self, x: float, y: float, numbers: Iterable[int]) -> list[Place]:
        places = []
        for number in numbers:
            place_id = self._id_of[number]
            _, place_x, place_y = self._at[place_id]
            places.append(Place(place_id, hypot(place_x - x, place_y - y)))
        return sorted(places, key=lambda place: (place.distance_m, place.place_id))
