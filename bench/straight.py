"""The nearest in a straight line, looked for in this very process: the peer that is to win.

It is what a choice costs that knows no roads, no shifts and no reasons. Three ways, of which the
quickest at a size counts: every member measured, a tree, and a compiled grid.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xiaohe.bench.crowd import Crowd
from xiaohe.geo.kernels import kernel
from xiaohe.geo.projection import Projection

Numbers = NDArray[np.float64]
Indexes = NDArray[np.int64]
LonLat = tuple[float, float]
Search = Callable[[LonLat], object]

MEMBERS_IN_CELL: Final = 2.0
"""On average: few enough to measure, enough that few cells are empty."""


def searches(crowd: Crowd, projection: Projection, count: int) -> Mapping[str, Search]:
    """Give the ways to find the ``count`` nearest members of a place, by name."""
    metres = projection.many_to_m(np.column_stack((crowd.lon, crowd.lat)))
    count = min(count, len(metres))
    grid = Grid(metres)
    tree = cKDTree(metres)
    return {
        "grid": lambda at: grid.nearest(*projection.to_m(*at), count),
        "tree": lambda at: tree.query(projection.to_m(*at), k=count)[1],
        "all measured": lambda at: _by_measuring_all(metres, *projection.to_m(*at), count),
    }


def _by_measuring_all(metres: Numbers, x: float, y: float, count: int) -> Indexes:
    away_m2 = ((metres - (x, y)) ** 2).sum(axis=1)
    nearest = np.argpartition(away_m2, count - 1)[:count]
    ordered: Indexes = nearest[np.argsort(away_m2[nearest])]
    return ordered


class Grid:
    """Points by square cells of a plane, for the compiled search."""

    def __init__(self, metres: Numbers) -> None:
        """Sort the points, (n, 2) in metres, into cells."""
        low, high = metres.min(axis=0), metres.max(axis=0)
        extent_m = np.maximum(high - low, 1.0)
        cells = max(1.0, len(metres) / MEMBERS_IN_CELL)
        self._cell_m = float(np.sqrt(extent_m.prod() / cells))
        self._low = low
        columns, rows = (int(number) for number in extent_m // self._cell_m + 1)
        self._columns, self._rows = columns, rows
        column, row = ((metres - low) // self._cell_m).astype(np.int64).T
        cell = row * columns + column
        self._members = np.argsort(cell, kind="stable")
        self._points = metres[self._members]
        self._first = np.searchsorted(cell[self._members], np.arange(columns * rows + 1))

    def nearest(self, x: float, y: float, count: int) -> Indexes:
        """Give the numbers of the nearest points, at most ``count``, the nearest first."""
        found = np.empty(count, dtype=np.int64)
        away_m2 = np.empty(count)
        number = _nearest_in_grid(
            self._first,
            self._points,
            self._columns,
            self._rows,
            self._cell_m,
            x - self._low[0],
            y - self._low[1],
            self._low,
            found,
            away_m2,
        )
        nearest: Indexes = self._members[found[:number]]
        return nearest


@kernel
def _nearest_in_grid(
    first: Indexes,
    points: Numbers,
    columns: int,
    rows: int,
    cell_m: float,
    east_m: float,
    north_m: float,
    low: Numbers,
    found: Indexes,
    away_m2: Numbers,
) -> int:
    """Look through rings of cells until no cell farther out can hold anybody nearer."""
    wanted, number = len(found), 0
    at_column = min(max(int(east_m // cell_m), 0), columns - 1)
    at_row = min(max(int(north_m // cell_m), 0), rows - 1)
    for ring in range(max(columns, rows)):
        if number == wanted and ring > 0 and away_m2[number - 1] <= ((ring - 1) * cell_m) ** 2:
            break
        for row in range(max(at_row - ring, 0), min(at_row + ring, rows - 1) + 1):
            edge_row = abs(row - at_row) == ring
            step = 1 if edge_row or ring == 0 else 2 * ring
            for column in range(at_column - ring, at_column + ring + 1, step):
                if column < 0 or column >= columns:
                    continue
                cell = row * columns + column
                for index in range(first[cell], first[cell + 1]):
                    dx = points[index, 0] - low[0] - east_m
                    dy = points[index, 1] - low[1] - north_m
                    m2 = dx * dx + dy * dy
                    if number == wanted and m2 >= away_m2[number - 1]:
                        continue
                    if number < wanted:
                        number += 1
                    place = number - 1
                    while place > 0 and away_m2[place - 1] > m2:
                        away_m2[place], found[place] = away_m2[place - 1], found[place - 1]
                        place -= 1
                    away_m2[place], found[place] = m2, index
    return number
