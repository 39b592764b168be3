"""Invented cities of any size, for measuring: a bent grid of streets, the same for the same seed.

Lanes 120 m apart with corners that are not straight, an arterial every eighth lane and a collector
every fourth, one lane in five missing, about one in eleven a one-way. What cannot be reached from
everywhere by car is left out, so that nobody there is unreachable.
"""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from xiaohe.geo.projection import Projection
from xiaohe.geo.roads import COORDINATE_DECIMALS, RoadPiece

CENTRE: Final = Projection(120.14, 30.32)

BLOCK_M: Final = 120.0
JITTER_M: Final = 30.0
"""How far a corner is moved, either way: a quarter of a block, so that streets never cross."""

ARTERIAL_EVERY, COLLECTOR_EVERY = 8, 4
MISSING_SHARE: Final = 0.20
ONEWAY_SHARE: Final = 0.10
ROAD_BLOCKS: Final = 8
"""Blocks in a road: about a kilometre, for which somebody would answer."""

KEPT_SHARE: Final = 0.82
"""Of the lanes drawn that are left: one in eight is an arterial and stays, of the others one in
five is missing, and what cannot be reached goes too."""

HIGHWAYS: Final = ("residential", "tertiary", "primary")
ONEWAYS: Final = ("no", "yes", "-1")


class _Lanes(NamedTuple):
    """Stretches of street between two corners, one an entry: where they run and what they are."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    highway: NDArray[np.int64]
    oneway: NDArray[np.int64]
    road: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> "_Lanes":
        return _Lanes(*(column[chosen] for column in self))


def invented_city(edges: int, seed: int) -> tuple[RoadPiece, ...]:
    """Draw a city of about so many pieces of road."""
    assert edges > 0
    chance = np.random.default_rng(seed)
    side = max(3, round(sqrt(edges / (2 * KEPT_SHARE))))
    lanes = _with_gaps(_grid(side), chance)
    lanes = lanes.only(_in_the_largest_part(lanes, side * side))
    points = _corners(side, chance)
    return tuple(
        RoadPiece(
            road_id=f"road-{road}",
            points=(points[start], points[end]),
            highway=HIGHWAYS[highway],
            oneway=ONEWAYS[oneway],
        )
        for start, end, highway, oneway, road in zip(
            *(column.tolist() for column in lanes), strict=True
        )
    )


def _grid(side: int) -> _Lanes:
    """Lay out all lanes of a grid of ``side`` by ``side`` corners: first those to the east."""
    corner = np.arange(side * side).reshape(side, side)
    starts = (corner[:, :-1], corner[:-1, :].T)
    ends = (corner[:, 1:], corner[1:, :].T)
    line, block = np.divmod(np.arange(side * (side - 1)), side - 1)
    blocks = side // ROAD_BLOCKS + 1
    road = line * blocks + block // ROAD_BLOCKS
    highway = np.where(line % COLLECTOR_EVERY == 0, 1, 0)
    highway[line % ARTERIAL_EVERY == 0] = 2
    return _Lanes(
        start=np.concatenate([part.ravel() for part in starts]),
        end=np.concatenate([part.ravel() for part in ends]),
        highway=np.tile(highway, 2),
        oneway=np.zeros(2 * len(line), dtype=np.int64),
        road=np.concatenate((road, side * blocks + road)),
    )


def _with_gaps(lanes: _Lanes, chance: np.random.Generator) -> _Lanes:
    """Take some lanes away and let others be driven one way only; arterials stay as they are."""
    arterial = lanes.highway == HIGHWAYS.index("primary")
    oneway = np.where(chance.random(len(arterial)) < ONEWAY_SHARE, 1, 0)
    oneway[chance.random(len(arterial)) < ONEWAY_SHARE / 2] *= 2
    oneway[arterial] = 0
    kept = arterial | (chance.random(len(arterial)) >= MISSING_SHARE)
    return lanes._replace(oneway=oneway).only(kept)


def _in_the_largest_part(lanes: _Lanes, corners: int) -> NDArray[np.bool_]:
    """Tell which lanes have both ends where everywhere can be reached from everywhere by car."""
    forth, back = lanes.oneway != ONEWAYS.index("-1"), lanes.oneway != ONEWAYS.index("yes")
    tail = np.concatenate((lanes.start[forth], lanes.end[back]))
    head = np.concatenate((lanes.end[forth], lanes.start[back]))
    graph = csr_matrix((np.ones(len(tail), dtype=np.int8), (tail, head)), (corners, corners))
    _, part = connected_components(graph, directed=True, connection="strong")
    largest = part == np.bincount(part).argmax()
    inside: NDArray[np.bool_] = largest[lanes.start] & largest[lanes.end]
    return inside


def _corners(side: int, chance: np.random.Generator) -> list[tuple[float, float]]:
    """Give the (lon, lat) of every corner, to the decimals of a roads file."""
    row, column = np.divmod(np.arange(side * side), side)
    metres = np.column_stack((column, row)) * BLOCK_M - (side - 1) * BLOCK_M / 2
    metres += chance.uniform(-JITTER_M, JITTER_M, metres.shape)
    degrees = CENTRE.many_to_deg(metres).round(COORDINATE_DECIMALS)
    return list(map(tuple, degrees.tolist()))
