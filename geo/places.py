"""Who stands on which edge: numbered places in linked lists by edge, for the compiled loops.

A place is twice a member's slot, plus one for the member's post: so slot and post are read off its
number. Putting a place somewhere and taking it away are O(1), whatever stands there.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.kernels import inlined, kernel

NOWHERE: Final = -1
"""Instead of an edge: the place is on no road. Instead of a place: the list ends."""


EVERY_PLACE: Final = -(1 << 63)
"""As ``fresh_since_ms``: members are at their fix and at their post both, whatever its age."""


@inlined
def stands_at(
    place: int,
    modes: NDArray[np.int8],
    fix_ms: NDArray[np.int64],
    edge_of: NDArray[np.int32],
    mode: int,
    fresh_since_ms: int,
) -> bool:
    """Say whether this place is where its member is to be looked for by a search of ``mode``.

    That is their fix if it is not older than ``fresh_since_ms``, else their post. Who has neither
    is met where they were last, to be told that this is why they do not go.
    """
    slot = place >> 1
    if modes[slot] != mode:
        return False
    if fresh_since_ms == EVERY_PLACE:
        return True
    fresh = fix_ms[slot] >= fresh_since_ms
    if place & 1:
        return bool(not fresh)
    return bool(fresh or edge_of[2 * slot + 1] < 0)


@kernel
def put_place(
    head: NDArray[np.int32],
    following: NDArray[np.int32],
    before: NDArray[np.int32],
    edge_of: NDArray[np.int32],
    frac_of: NDArray[np.float64],
    place: int,
    edge: int,
    frac: float,
) -> None:
    """Put a place at a share of an edge (``NOWHERE``: on none), and nowhere else."""
    was = edge_of[place]
    if was != edge:
        if was >= 0:
            after, ahead = following[place], before[place]
            if ahead >= 0:
                following[ahead] = after
            else:
                head[was] = after
            if after >= 0:
                before[after] = ahead
        if edge >= 0:
            first = head[edge]
            following[place] = first
            before[place] = -1
            if first >= 0:
                before[first] = place
            head[edge] = place
        edge_of[place] = edge
    frac_of[place] = frac


class Places:
    """The places of an area's members; mutable, for one owner.

    ``head`` (edges,) is the first place on each edge, ``following`` and ``before`` (places,) its
    neighbours in the list, ``edge_of`` and ``frac_of`` (places,) where it is.
    """

    def __init__(self, edges: int, slots: int) -> None:
        """Start with room for so many members, all nowhere."""
        self.head = np.full(edges, NOWHERE, dtype=np.int32)
        self.following = np.full(2 * slots, NOWHERE, dtype=np.int32)
        self.before = np.full(2 * slots, NOWHERE, dtype=np.int32)
        self.edge_of = np.full(2 * slots, NOWHERE, dtype=np.int32)
        self.frac_of = np.zeros(2 * slots, dtype=np.float64)

    def reserve(self, slots: int) -> None:
        """Make room for so many members."""
        more = 2 * slots - len(self.edge_of)
        if more <= 0:
            return
        nowhere = np.full(more, NOWHERE, dtype=np.int32)
        self.following = np.concatenate((self.following, nowhere))
        self.before = np.concatenate((self.before, nowhere))
        self.edge_of = np.concatenate((self.edge_of, nowhere))
        self.frac_of = np.concatenate((self.frac_of, np.zeros(more)))

    def put(self, place: int, edge: int, frac: float) -> None:
        """Put a place at a share of an edge (``NOWHERE``: on none), and nowhere else."""
        put_place(
            self.head, self.following, self.before, self.edge_of, self.frac_of, place, edge, frac
        )

    def on(self, edge: int) -> Iterator[int]:
        """Yield the places on an edge, in no order."""
        place = int(self.head[edge])
        while place != NOWHERE:
            yield place
            place = int(self.following[place])
