"""A uniform grid over the segments of all edges: the compiled way to the nearest road.

The plane is cut into square cells, and each cell lists the segments that touch it, one row of
numbers a segment, rows of one cell next to each other. A search looks at the cell of the place and
then at rings around it, until no cell left can hold anything nearer. The rows say which modes may
use their edge, so that one grid serves all of them.

The answer is that of ``geometry.EdgeTree``, which is the twin where nothing is compiled.
"""

from dataclasses import dataclass
from math import floor, hypot, inf, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.kernels import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Pointers = NDArray[np.int64]

CELL_MIN_M: Final = 25.0
CELL_MAX_M: Final = 250.0
"""Smaller cells are many and empty, larger ones crowded (``xiaohe bench`` measures it)."""

SEGMENTS_PER_CELL: Final = 0.5
"""Aimed at on average over the map, where most cells are empty and those of a town are full."""

CELLS_MAX: Final = 1 << 22
"""Bounds the memory of a map that is nearly empty."""

SHARE_ROUNDING = 1e-9
"""A share this near to 0 or 1 is the end itself: the rest is rounding of the projection."""

ROUNDING_M: Final = 1e-6
"""A segment on the border of two cells is listed in one of them, wherever rounding puts it."""

ANY: Final = 1
"""The bit of an edge that at least one mode may use; a mode's own bit is ``2 << number``."""

# Columns of a row. The edge and its bits are whole numbers, which a float64 holds exactly.
A_X, A_Y, B_X, B_Y, SHARE, SHARE_PER_SEGMENT, EDGE, BITS = range(8)

# Places in ``head``.
WEST, SOUTH, PER_CELL, COLUMNS, ROWS = range(5)


@dataclass(frozen=True, eq=False)
class Grid:
    """``rows[ptr[c] : ptr[c + 1]]`` are the segments of cell c; ``head`` is where the cells lie."""

    head: NDArray[np.float64]
    ptr: NDArray[np.int64]
    rows: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        metres: NDArray[np.float64],
        along_m: NDArray[np.float64],
        start: NDArray[np.int64],
        bits: NDArray[np.uint8],
        cell_m: float | None = None,
    ) -> "Grid":
        """Lay the edges of ``EdgeShapes`` that have any of ``bits`` (a number an edge) on a grid.

        Without ``cell_m`` the size of a cell is chosen from the number of segments and the area.
        """
        segments = _segments(metres, along_m, start, bits)
        west, south = metres.min(axis=0)
        width, height = metres.max(axis=0) - (west, south)
        if cell_m is None:
            cell_m = _cell_m(len(segments), float(width), float(height))
        columns, rows = int(width // cell_m) + 1, int(height // cell_m) + 1
        head = np.array([west, south, 1.0 / cell_m, columns, rows])
        cells, owners = _touched(segments, head)
        counts = np.bincount(cells, minlength=columns * rows)
        grid = cls(head, np.concatenate(([0], np.cumsum(counts))), segments[owners])
        for array in (grid.head, grid.ptr, grid.rows):
            array.flags.writeable = False
        return grid

    @property
    def cell_m(self) -> float:
        """The side of a cell."""
        return float(1.0 / self.head[PER_CELL])

    def nearest(self, x: float, y: float, max_m: float, bit: int = ANY) -> tuple[int, float, float]:
        """Return (edge, share, distance_m) of the nearest edge with ``bit`` within ``max_m``.

        The edge is -1 where there is none. Of equally near edges the lowest number is taken.
        """
        found: tuple[int, float, float] = nearest(x, y, max_m, bit, self.head, self.ptr, self.rows)
        return found

    def nearest_many(
        self, points: NDArray[np.float64], max_m: float, bit: int = ANY
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
        """Return ``nearest`` of every row (x, y) of ``points``, as three arrays."""
        edges = np.empty(len(points), np.int32)
        measures = np.empty((len(points), 2))
        nearest_many(points, max_m, bit, self.head, self.ptr, self.rows, edges, measures)
        return edges, measures[:, 0], measures[:, 1]

    def candidates(
        self, x: float, y: float, radius_m: float, most: int, bit: int = ANY
    ) -> list[tuple[int, float, float]]:
        """Return up to ``most`` edges with ``bit`` within ``radius_m``, each by its nearest place.

        As (edge, share, distance_m), the nearest first, of equals the lowest number.
        """
        edges = np.empty(most, np.int32)
        measures = np.empty((most, 2))
        count = candidates(x, y, radius_m, bit, self.head, self.ptr, self.rows, edges, measures)
        return [(int(edges[i]), *map(float, measures[i])) for i in range(count)]  # type: ignore[misc]


@kernel
def nearest(
    x: float,
    y: float,
    max_m: float,
    bit: int,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
) -> tuple[int, float, float]:
    """Kernel of ``Grid.nearest``."""
    per_cell, columns, cell_rows = head[PER_CELL], int(head[COLUMNS]), int(head[ROWS])
    in_x, in_y = (x - head[WEST]) * per_cell, (y - head[SOUTH]) * per_cell
    column = int(min(max(floor(in_x), 0.0), columns - 1.0))
    row = int(min(max(floor(in_y), 0.0), cell_rows - 1.0))
    edge, share, distance_m = -1, 0.0, inf
    ring, bound_m = 0, 0.0
    while bound_m - ROUNDING_M <= min(distance_m, max_m) and bound_m < inf:
        low_row, high_row = max(row - ring, 0), min(row + ring, cell_rows - 1)
        low_column, high_column = max(column - ring, 0), min(column + ring, columns - 1)
        for r in range(low_row, high_row + 1):
            whole = ring == 0 or abs(r - row) == ring
            c = low_column if whole or column - ring >= 0 else column + ring
            while c <= high_column:
                cell = r * columns + c
                for i in range(ptr[cell], ptr[cell + 1]):
                    if int(rows[i, BITS]) & bit == 0:
                        continue
                    here_m, at = measured(x, y, rows[i])
                    if here_m < distance_m or (here_m == distance_m and rows[i, EDGE] < edge):
                        edge, distance_m = int(rows[i, EDGE]), here_m
                        share = rows[i, SHARE] + at * rows[i, SHARE_PER_SEGMENT]
                c += 1 if whole else max(2 * ring, 1)
        bound_m = (
            _beyond(in_x - column, in_y - row, column, row, ring, columns, cell_rows) / per_cell
        )
        ring += 1
    if distance_m > max_m or edge < 0:
        return -1, 0.0, inf
    if share < SHARE_ROUNDING:
        share = 0.0
    elif share > 1.0 - SHARE_ROUNDING:
        share = 1.0
    return edge, share, distance_m


@kernel
def _beyond(
    in_x: float, in_y: float, column: int, row: int, ring: int, columns: int, rows: int
) -> float:
    """Return how near, in cells, anything outside the rings can be; sides without cells are far.

    ``in_x`` and ``in_y`` say where in its cell the place is.
    """
    west = in_x + ring if column - ring > 0 else inf
    east = ring + 1 - in_x if column + ring < columns - 1 else inf
    south = in_y + ring if row - ring > 0 else inf
    north = ring + 1 - in_y if row + ring < rows - 1 else inf
    return min(west, east, south, north)


@kernel
def nearest_many(
    points: Floats,
    max_m: float,
    bit: int,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
    edges: Ints,
    measures: Floats,
) -> None:
    """Kernel of ``Grid.nearest_many``: into ``edges`` and ``measures`` (share, distance_m)."""
    for i in range(len(points)):
        edge, share, distance_m = nearest(points[i, 0], points[i, 1], max_m, bit, head, ptr, rows)
        edges[i], measures[i, 0], measures[i, 1] = edge, share, distance_m


@kernel
def candidates(
    x: float,
    y: float,
    radius_m: float,
    bit: int,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
    edges: Ints,
    measures: Floats,
) -> int:
    """Kernel of ``Grid.candidates``: fills the arrays in order and returns how many it found."""
    per_cell, columns, cell_rows = head[PER_CELL], int(head[COLUMNS]), int(head[ROWS])
    low_c = int(max(floor((x - radius_m - head[WEST]) * per_cell), 0.0))
    high_c = int(min(floor((x + radius_m - head[WEST]) * per_cell), columns - 1.0))
    low_r = int(max(floor((y - radius_m - head[SOUTH]) * per_cell), 0.0))
    high_r = int(min(floor((y + radius_m - head[SOUTH]) * per_cell), cell_rows - 1.0))
    count = 0
    for r in range(low_r, high_r + 1):
        if high_c < low_c:
            break
        for i in range(ptr[r * columns + low_c], ptr[r * columns + high_c + 1]):
            if int(rows[i, BITS]) & bit == 0:
                continue
            here_m, at = measured(x, y, rows[i])
            if here_m <= radius_m:
                share = rows[i, SHARE] + at * rows[i, SHARE_PER_SEGMENT]
                count = _entered(int(rows[i, EDGE]), share, here_m, count, edges, measures)
    return count


@kernel
def _entered(
    edge: int,
    share: float,
    distance_m: float,
    count: int,
    edges: Ints,
    measures: Floats,
) -> int:
    """Put a place into the sorted list, one an edge, and return how long the list is now."""
    for i in range(count):
        if edges[i] == edge:
            if measures[i, 1] <= distance_m:
                return count
            count -= 1  # the better place of this edge takes the other one's stead
            for k in range(i, count):
                edges[k], measures[k, 0], measures[k, 1] = (
                    edges[k + 1],
                    measures[k + 1, 0],
                    measures[k + 1, 1],
                )
            break
    at = count
    while at > 0 and (
        measures[at - 1, 1] > distance_m
        or (measures[at - 1, 1] == distance_m and edges[at - 1] > edge)
    ):
        at -= 1
    if at == len(edges):
        return count
    count = min(count + 1, len(edges))
    for k in range(count - 1, at, -1):
        edges[k], measures[k, 0], measures[k, 1] = (
            edges[k - 1],
            measures[k - 1, 0],
            measures[k - 1, 1],
        )
    edges[at], measures[at, 0], measures[at, 1] = edge, share, distance_m
    return count


@kernel
def measured(x: float, y: float, row: Floats) -> tuple[float, float]:
    """Return how far (x, y) is from a row's segment, and at which share of the segment.

    Term by term as GEOS computes it, so that ties fall alike.
    """
    to_x, to_y = x - row[A_X], y - row[A_Y]
    d_x, d_y = row[B_X] - row[A_X], row[B_Y] - row[A_Y]
    square = d_x * d_x + d_y * d_y
    at = (to_x * d_x + to_y * d_y) / square
    if at <= 0.0:
        return sqrt(to_x * to_x + to_y * to_y), 0.0
    if at >= 1.0:
        end_x, end_y = x - row[B_X], y - row[B_Y]
        return sqrt(end_x * end_x + end_y * end_y), 1.0
    return abs((-to_y * d_x + to_x * d_y) / square) * sqrt(square), at


def _segments(
    metres: NDArray[np.float64],
    along_m: NDArray[np.float64],
    start: NDArray[np.int64],
    bits: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return a row for each segment with a length, of edges that have a bit."""
    counts = np.diff(start)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.flatnonzero((owner[:-1] == owner[1:]) & (bits[owner[:-1]] != 0))
    first = first[(metres[first + 1] != metres[first]).any(axis=1)]
    edge = owner[first]
    total_m = along_m[start[1:] - 1][edge]
    share = along_m[first] / total_m
    per_segment = along_m[first + 1] / total_m - share
    return np.column_stack((metres[first], metres[first + 1], share, per_segment, edge, bits[edge]))


def _cell_m(segments: int, width_m: float, height_m: float) -> float:
    """Return the side of a cell for so many segments on so large a map."""
    side_m = sqrt(max(width_m, CELL_MIN_M) * max(height_m, CELL_MIN_M) * SEGMENTS_PER_CELL
                  / max(segments, 1))  # fmt: skip
    side_m = min(max(side_m, CELL_MIN_M), CELL_MAX_M)
    return max(side_m, sqrt(width_m * height_m / CELLS_MAX), hypot(width_m, height_m) / CELLS_MAX)


def _touched(
    segments: NDArray[np.float64], head: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (cell, segment) in order, such that no cell misses a segment that touches it.

    Each segment is cut into parts no longer than a cell, and the cells of the box around each part
    are taken: at most one too many at a corner, which costs a look and no more.
    """
    a, d = segments[:, A_X : A_Y + 1], segments[:, B_X : B_Y + 1] - segments[:, A_X : A_Y + 1]
    length = np.hypot(d[:, 0], d[:, 1]) * head[PER_CELL]
    parts = np.maximum(np.ceil(length), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(segments)), parts)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    ends = [a[owner] + d[owner] * ((nth + k) / parts[owner])[:, None] for k in (0, 1)]
    last = head[COLUMNS : ROWS + 1].astype(np.int64) - 1
    cells_of = [
        np.clip(np.floor((end - head[:2]) * head[PER_CELL]).astype(np.int64), 0, last)
        for end in ends
    ]
    low, high = np.minimum(*cells_of), np.maximum(*cells_of)
    columns, base = int(head[COLUMNS]), max(len(segments), 1)
    wide, tall = low[:, 0] < high[:, 0], low[:, 1] < high[:, 1]
    every = np.ones(len(owner), np.bool_)
    corners = ((low, low, every), (high, low, wide), (low, high, tall), (high, high, wide & tall))
    keys = np.concatenate([(y[k, 1] * columns + x[k, 0]) * base + owner[k] for x, y, k in corners])
    keys.sort()
    keys = keys[np.diff(keys, prepend=-1) != 0]
    return keys // base, keys % base
