"""Which road a member is on, fix after fix: a map matcher that survives GPS.

Each fix gets its answer at once; nothing waits for the next one. For each member a few hypotheses
are kept (``matching_filter`` says what they are); a fix moves them on along the ways that the
member's travel mode may use, so that a car below a flyover does not come up but by its ramps, and
a walker in a lane does not change to the next one through the houses. The road with most of the
weight is the answer, and its share is what ``trust`` is made of.

**What is not believed.** A fix farther than anybody can have moved, beyond the accuracies, leaves
the member where it was (``SUSPECT``); the next one that agrees with it confirms it. Late and
repeated fixes change nothing (``OUT_OF_ORDER``).
"""

from enum import IntEnum
from math import nan
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo import matching_step as step
from xiaohe.geo.grid import Floats, Ints, Pointers
from xiaohe.geo.matching_filter import FIELDS
from xiaohe.geo.matching_pool import HYPOTHESES
from xiaohe.geo.matching_ways import Travels, Ways
from xiaohe.geo.network import Network
from xiaohe.geo.roads import MODES, Mode
from xiaohe.geo.snap import SNAP_MAX_M

SPEED_MAX_MPS: Final = 70.0
"""Nobody in the service moves faster (250 km/h); a fix that says so is a leap of the device."""

ACCURACY_UNSTATED_M: Final = 50.0
"""Excuses a leap where a device states no accuracy: what a telephone between buildings has."""

ACCURACY_COUNTED_MAX_M: Final = 500.0
"""More than this excuses no leap: a device that does not know where it is proves nothing."""


class Verdict(IntEnum):
    """What became of a fix."""

    TAKEN = step.TAKEN
    OUT_OF_ORDER = step.OUT_OF_ORDER
    SUSPECT = step.SUSPECT


class Match(NamedTuple):
    """Where a member is after a fix.

    ``edge`` is -1 off the road, ``frac`` the share of the edge, ``distance_m`` how far the last
    believed fix lies from the edge, ``trust`` 0 … 1. Unless the verdict is ``TAKEN``, edge, share
    and distance are those of before.
    """

    edge: int
    frac: float
    distance_m: float
    verdict: Verdict
    trust: float


class MatchColumns(NamedTuple):
    """The same for many fixes, an array a field; ``verdict`` holds the numbers of ``Verdict``."""

    edge: Ints
    frac: Floats
    distance_m: Floats
    verdict: Ints
    trust: Floats


TRAITS: Final = MappingProxyType(
    {
        "walk": Travels(0, 0.4, 1.8, off_road_m=4.0, wrong_way=0.5, reach_mps=15.0),
        "ebike": Travels(1, 1.2, 6.0, off_road_m=3.0, wrong_way=0.05, reach_mps=30.0),
        "car": Travels(2, 2.0, 14.0, off_road_m=3.0, wrong_way=0.002, reach_mps=SPEED_MAX_MPS),
    }
)
"""By mode. A walker may be given a lift, and e-bikes go against one-ways."""


class Matcher:
    """The matcher of one area; who its slots belong to is the caller's to know."""

    def __init__(self, network: Network, slots: int = 0) -> None:
        """Lay out the network for the kernels; nothing is known of anybody."""
        self._ways = Ways.of(network)
        self._bench = step.Bench.empty()
        self._numbers = np.array(
            [
                network.speed_factor,
                SNAP_MAX_M,
                SPEED_MAX_MPS,
                ACCURACY_UNSTATED_M,
                ACCURACY_COUNTED_MAX_M,
            ]
        )
        self._traits = np.array([TRAITS[mode][1:] for mode in MODES])
        self._one = _columns(1)
        self._store: NDArray[np.float32] = np.zeros((0, HYPOTHESES, FIELDS), np.float32)
        self._ints = np.zeros((0, step.INTS), np.int64)
        self._floats = np.zeros((0, step.FLOATS))
        self.reserve(slots)

    def reserve(self, slots: int) -> None:
        """Make room for slots 0 … ``slots`` - 1; those that are there stay as they are."""
        more = slots - len(self._ints)
        if more > 0:
            self._store, self._ints, self._floats = (
                np.concatenate((array, np.zeros((more, *array.shape[1:]), array.dtype)))
                for array in (self._store, self._ints, self._floats)
            )

    def forget(self, slot: int) -> None:
        """Forget what is known of a slot."""
        self._ints[slot] = 0

    def match(
        self,
        slot: int,
        mode: Mode,
        x: float,
        y: float,
        fix_ms: int,
        accuracy_m: float = nan,
        speed_mps: float = nan,
        course_deg: float = nan,
    ) -> Match:
        """Take a fix at (x, y) on the plane; nan for what the device does not state."""
        slots, modes, times_ms, stated, found, measures = one = self._one
        slots[0], modes[0], times_ms[0] = slot, MODES.index(mode), fix_ms
        stated[0] = x, y, accuracy_m, speed_mps, course_deg
        self._run(*one)
        (edge, verdict), (frac, distance_m, trust) = found[0].tolist(), measures[0].tolist()
        return Match(edge, frac, distance_m, Verdict(verdict), trust)

    def match_many(
        self,
        slots: Pointers,
        modes: NDArray[np.int8],
        x: Floats,
        y: Floats,
        fix_ms: Pointers,
        accuracy_m: Floats,
        speed_mps: Floats,
        course_deg: Floats,
    ) -> MatchColumns:
        """Take many fixes in order, the same as one by one; a slot may come several times."""
        columns = slots_, modes_, times_ms, stated, found, measures = _columns(len(slots))
        slots_[:], modes_[:], times_ms[:] = slots, modes, fix_ms
        for column, values in enumerate((x, y, accuracy_m, speed_mps, course_deg)):
            stated[:, column] = values
        self._run(*columns)
        return MatchColumns(
            found[:, 0], measures[:, 0], measures[:, 1], found[:, 1], measures[:, 2]
        )

    def _run(
        self,
        slots: Pointers,
        modes: Ints,
        fix_ms: Pointers,
        stated: Floats,
        found: Ints,
        measures: Floats,
    ) -> None:
        step.match_many(
            self._ways,
            self._bench,
            self._numbers,
            self._traits,
            slots,
            modes,
            fix_ms,
            stated,
            self._store,
            self._ints,
            self._floats,
            found,
            measures,
        )


_Columns = tuple[Pointers, Ints, Pointers, Floats, Ints, Floats]


def _columns(count: int) -> _Columns:
    """Return slots, modes, times, what is stated, what is found, and its measures, empty."""
    return (
        np.empty(count, np.int64),
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.empty((count, 5)),
        np.empty((count, 2), np.int32),
        np.empty((count, 3)),
    )
