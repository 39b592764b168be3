"""One fix of one member: is it to be believed, and on which edge does it put the member?"""

from math import cos, exp, hypot, inf, log, radians, sin
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.grid import Floats, Ints, Pointers
from xiaohe.geo.kernels import kernel
from xiaohe.geo.matching_filter import (
    ALONG_M,
    CHILDREN,
    COVAR,
    EDGE,
    FIELDS,
    LOG_WEIGHT,
    MISFIT,
    SPEED_MPS,
    advance,
)
from xiaohe.geo.matching_pool import HYPOTHESES, LOG_SEED, SEEDS, seeded, settled
from xiaohe.geo.matching_speed import standing
from xiaohe.geo.matching_ways import FIRST, LAST, ROAD, Fix, Travels, Ways, located

TAKEN, OUT_OF_ORDER, SUSPECT = range(3)

# What is kept of a member beside the hypotheses: whole numbers …
KNOWN, FIX_MS, FILTER_MS, HEARD_MS, COUNT, ON_EDGE, DOUBTED = range(7)
INTS: Final = 7
# … and others.
(
    AT_X,
    AT_Y,
    ACCURACY_M,
    DOUBT_X,
    DOUBT_Y,
    DOUBT_ACCURACY_M,
    FRAC,
    DISTANCE_M,
    TRUST,
    RUN,
    USUAL_M,
) = range(11)
FLOATS: Final = 11

# Figures that are the same for all members, in this order.
SPEED_FACTOR, SNAP_MAX, SPEED_MAX, UNSTATED_M, COUNTED_MAX_M = range(5)

ACCURACY_ABSURD_M: Final = 500.0
"""A device that states more than this does not know where it is."""

RADIUS_68: Final = 1.515
"""A device states the radius of 68 %; on the plane that is 1.515 standard deviations an axis."""

ACCURACY_BLIND_M: Final = 20.0
"""For weighing, where none is stated: a telephone in the street."""

ALIKE: Final = 2.5
"""Accuracies within this factor of the usual one are the same, stated roughly."""

USUAL_SHARE: Final = 0.2
"""Weight of the newest accuracy in the running mean."""

SOON_S: Final = 0.1
"""Fixes nearer in time than this are taken as so far apart."""

SIGMA_MIN_M: Final = 3.0
"""No place is better known than this: a centre line is not where the wheels are."""

ACCURACY_SLACK: Final = 3.0
"""Stated radii, this many times, excuse a leap of who states them: noise ends there."""

GAP_SEEDED_S: Final = 20.0
"""After a silence longer than this the member may be anywhere near the fix too."""

GAP_FORGOTTEN_S: Final = 120.0
"""After a silence longer than this nothing is known of the way."""

CORRELATED_S: Final = 2.0
"""Errors of fixes less than about so long apart are alike, and each counts for less."""

SPEED_NOISE_MPS: Final = 0.5
SPEED_NOISE_PER_M: Final = 0.015
"""What a receiver's speed is wrong by along the road, which gains and loses speed between two
fixes, and how that grows with the error of the place."""

ASIDE_NOISE_MPS: Final = 0.3
ASIDE_NOISE_PER_M: Final = 0.02
"""The same across the road, where nothing but noise is."""

MISFIT_FIX: Final = 12.0
"""Squared standard deviations of one fix from the best explanation that ask for another one."""

MISFIT_RUN: Final = 4.0
"""The same for the running mean, of which 2 are expected."""

MISFIT_SHARE: Final = 0.15
"""Weight of the newest fix in the running mean."""

MISFIT_COUNTED: Final = 9.0
"""One fix counts for no more than this in the mean."""

KEEPS: Final = 1.05
"""Another road has to be more likely by this factor: a member does not flicker."""

STALE_MPS: Final = 1.0
"""Who states a speed above this and the very same place has a device that repeats itself."""

TRUST_SUSPECT: Final = 0.5
TRUST_REPEATED: Final = 0.9
TRUST_ACCURACY_M: Final = 60.0
TRUST_RUN: Final = 4.0


class Place(NamedTuple):
    """A place as a device stated it; the accuracy is nan where it did not."""

    x: float
    y: float
    accuracy_m: float


class Bench(NamedTuple):
    """Room to work in, for a kernel makes no arrays of its own."""

    children: Floats
    kept: Floats
    stack: Floats
    seeds: Ints
    near: Floats

    @classmethod
    def empty(cls) -> "Bench":
        """Make the room."""
        return cls(
            np.empty((CHILDREN, FIELDS)),
            np.empty((HYPOTHESES, FIELDS)),
            np.empty((CHILDREN, 4)),
            np.empty(SEEDS, np.int32),
            np.empty((SEEDS, 2)),
        )


@kernel
def match_many(
    ways: Ways,
    bench: Bench,
    numbers: Floats,
    traits: Floats,
    slots: Pointers,
    modes: Ints,
    fix_ms: Pointers,
    stated: Floats,
    store: NDArray[np.float32],
    ints: Pointers,
    floats: Floats,
    found: Ints,
    measures: Floats,
) -> None:
    """Match fixes in order: ``stated`` has x, y, accuracy, speed, course (nan if unstated).

    ``found`` becomes the edge and the verdict of each, ``measures`` its share, distance and trust.
    """
    points, edges = ways.points, ways.edges
    children, kept, stack, seeds, near = bench
    for i in range(len(slots)):
        slot, mode, said = slots[i], int(modes[i]), stated[i]
        olds, whole, real, row = store[slot], ints[slot], floats[slot], traits[mode]
        travels = Travels(mode, row[0], row[1], row[2], row[3], row[4])
        verdict = judged(numbers, travels, fix_ms[i], said, whole, real)
        if verdict == TAKEN and not _repeats(fix_ms[i], said, olds, whole, real):
            dt_s = (fix_ms[i] - whole[FILTER_MS]) / 1000.0 * numbers[SPEED_FACTOR]
            known = whole[COUNT] > 0 and dt_s <= GAP_FORGOTTEN_S
            accuracy_m = _usual(said[2], real)
            fix = _weighable(numbers, travels, dt_s, known, said, accuracy_m)
            made = 0
            if known:
                made = advance(
                    points, edges, ways.node_ptr, ways.node_ends, travels, fix, olds, whole[COUNT],
                    children, stack,
                )  # fmt: skip
            if _lost(children, made, dt_s, real):
                base = LOG_SEED if known else 0.0
                made = seeded(ways, travels, fix, numbers[SNAP_MAX], base, seeds, near, children,
                              made)  # fmt: skip
            whole[FIX_MS], whole[FILTER_MS] = fix_ms[i], fix_ms[i]
            real[AT_X], real[AT_Y], real[ACCURACY_M] = said[0], said[1], said[2]
            count = settled(children, made, kept)
            _decide(points, edges, numbers, said, kept, count, whole, real)
            whole[COUNT] = count
            for k in range(count):
                for f in range(FIELDS):
                    olds[k, f] = kept[k, f]
        found[i, 0], found[i, 1] = whole[ON_EDGE], verdict
        measures[i, 0], measures[i, 1], measures[i, 2] = real[FRAC], real[DISTANCE_M], real[TRUST]


@kernel
def judged(
    numbers: Floats, travels: Travels, fix_ms: int, stated: Floats, whole: Pointers, real: Floats
) -> int:
    """Return the verdict on a fix and note what it is for the next one."""
    if not whole[KNOWN]:
        whole[KNOWN], whole[COUNT], whole[ON_EDGE], whole[DOUBTED] = 1, 0, -1, 0
        whole[HEARD_MS], whole[FIX_MS], whole[FILTER_MS] = fix_ms, fix_ms, fix_ms
        real[RUN], real[USUAL_M] = 0.0, 0.0
        return TAKEN
    if fix_ms <= whole[HEARD_MS]:
        return OUT_OF_ORDER
    before = Place(real[AT_X], real[AT_Y], real[ACCURACY_M])
    now = Place(stated[0], stated[1], stated[2])
    if not _reachable(numbers, travels, before, now, fix_ms - whole[FIX_MS]):
        doubted = Place(real[DOUBT_X], real[DOUBT_Y], real[DOUBT_ACCURACY_M])
        after_ms = fix_ms - whole[HEARD_MS]
        again = whole[DOUBTED] and _reachable(numbers, travels, doubted, now, after_ms)
        whole[HEARD_MS] = fix_ms
        if not again:
            whole[DOUBTED] = 1
            real[DOUBT_X], real[DOUBT_Y], real[DOUBT_ACCURACY_M] = stated[0], stated[1], stated[2]
            real[TRUST] *= TRUST_SUSPECT
            return SUSPECT
        whole[COUNT] = 0  # there indeed, and no way is known
    whole[HEARD_MS], whole[DOUBTED] = fix_ms, 0
    return TAKEN


@kernel
def _reachable(numbers: Floats, travels: Travels, before: Place, now: Place, after_ms: int) -> bool:
    """Say whether one can have come from a place to another, beyond both accuracies.

    Who states accuracies well is held to what the travel mode can do, others to what anybody can.
    """
    slack_m = _counted(numbers, before.accuracy_m) + _counted(numbers, now.accuracy_m)
    speed_mps, unstated_m = numbers[SPEED_MAX], numbers[UNSTATED_M]
    if 0.0 < before.accuracy_m <= unstated_m and 0.0 < now.accuracy_m <= unstated_m:
        speed_mps, slack_m = travels.reach_mps, slack_m * ACCURACY_SLACK
    reach_m = speed_mps * numbers[SPEED_FACTOR] * after_ms / 1000.0 + slack_m
    return bool(hypot(now.x - before.x, now.y - before.y) <= reach_m)


@kernel
def _counted(numbers: Floats, accuracy_m: float) -> float:
    if np.isnan(accuracy_m):
        return float(numbers[UNSTATED_M])
    return float(min(accuracy_m, numbers[COUNTED_MAX_M]))


@kernel
def _repeats(fix_ms: int, stated: Floats, olds: Floats, whole: Pointers, real: Floats) -> bool:
    """Take a fix that says nothing new: the very same place again, or a place anywhere at all.

    Who states to move and is at the very same place has a device that repeats itself: the filter
    waits. Who does not, stands: the filter rests there.
    """
    if whole[COUNT] == 0:
        return False
    if stated[2] > ACCURACY_ABSURD_M:
        real[TRUST] *= TRUST_SUSPECT
        return True
    if stated[0] != real[AT_X] or stated[1] != real[AT_Y]:
        return False
    whole[FIX_MS] = fix_ms
    if stated[3] > STALE_MPS:
        real[TRUST] *= TRUST_REPEATED
        return True
    whole[FILTER_MS] = fix_ms
    for i in range(whole[COUNT]):
        olds[i, SPEED_MPS], olds[i, COVAR] = 0.0, 0.0
    return True


@kernel
def _usual(accuracy_m: float, real: Floats) -> float:
    """Return what a stated accuracy means beside those stated before it, and note it.

    Devices state their error roughly, and differently each time where nothing has changed: the
    running mean is nearer to it. One that is quite another is believed at once.
    """
    if not accuracy_m > 0.0:
        return ACCURACY_BLIND_M
    usual_m = real[USUAL_M]
    if usual_m > 0.0 and usual_m < accuracy_m * ALIKE and accuracy_m < usual_m * ALIKE:
        accuracy_m = usual_m + USUAL_SHARE * (accuracy_m - usual_m)
    real[USUAL_M] = accuracy_m
    return accuracy_m


@kernel
def _weighable(
    numbers: Floats, travels: Travels, dt_s: float, known: bool, stated: Floats, accuracy_m: float
) -> Fix:
    """Return a fix with its errors."""
    sigma_m = max(accuracy_m / RADIUS_68, SIGMA_MIN_M)
    var_m2 = sigma_m * sigma_m * (1.0 + CORRELATED_S / max(dt_s, SOON_S) if known else 1.0)
    sigma_m = var_m2**0.5
    course = radians(stated[4])
    speed_mps = stated[3] / numbers[SPEED_FACTOR]
    aside_mps = ASIDE_NOISE_MPS + ASIDE_NOISE_PER_M * sigma_m
    return Fix(
        stated[0],
        stated[1],
        var_m2,
        dt_s,
        not np.isnan(stated[3]),
        speed_mps,
        not np.isnan(course),
        sin(course),
        cos(course),
        SPEED_NOISE_MPS + SPEED_NOISE_PER_M * sigma_m,
        aside_mps,
        standing(travels, speed_mps, aside_mps),
    )


@kernel
def _lost(children: Floats, made: int, dt_s: float, real: Floats) -> bool:
    """Say whether the hypotheses leave a fix, or the last ones together, without explanation."""
    best = -1
    for i in range(made):
        if best < 0 or children[i, LOG_WEIGHT] > children[best, LOG_WEIGHT]:
            best = i
    if best < 0:
        real[RUN] = 0.0
        return True
    misfit = children[best, MISFIT]
    lost = misfit > MISFIT_FIX or real[RUN] > MISFIT_RUN or dt_s > GAP_SEEDED_S
    real[RUN] += MISFIT_SHARE * (min(misfit, MISFIT_COUNTED) - real[RUN])
    return bool(lost)


@kernel
def _decide(
    points: Floats,
    edges: Ints,
    numbers: Floats,
    stated: Floats,
    kept: Floats,
    count: int,
    whole: Pointers,
    real: Floats,
) -> None:
    """Choose the likeliest road, and the likeliest edge of it; note edge, share and trust."""
    top, total = -inf, 0.0
    for i in range(count):
        top = max(top, kept[i, LOG_WEIGHT])
    for i in range(count):
        kept[i, LOG_WEIGHT] = exp(kept[i, LOG_WEIGHT] - top)
        total += kept[i, LOG_WEIGHT]
    held = edges[whole[ON_EDGE], ROAD] if whole[ON_EDGE] >= 0 else -1
    best, best_weight, best_share = -1, 0.0, 0.0
    for i in range(count):
        road, share, likeliest = edges[int(kept[i, EDGE]), ROAD], 0.0, i
        for k in range(count):
            if edges[int(kept[k, EDGE]), ROAD] == road:
                share += kept[k, LOG_WEIGHT] / total
                if kept[k, LOG_WEIGHT] > kept[likeliest, LOG_WEIGHT]:
                    likeliest = k
        weight = share * (KEEPS if road == held else 1.0)
        if weight > best_weight:
            best, best_weight, best_share = likeliest, weight, share
    whole[ON_EDGE], real[FRAC], real[DISTANCE_M], real[TRUST] = -1, 0.0, inf, 0.0
    for i in range(count):
        kept[i, LOG_WEIGHT] = log(max(kept[i, LOG_WEIGHT] / total, 1e-30))
    if best < 0:
        return
    edge = int(kept[best, EDGE])
    seen_m, distance_m, _, _, _ = located(
        points, edges[edge, FIRST], edges[edge, LAST], stated[0], stated[1]
    )
    if distance_m > numbers[SNAP_MAX]:
        return
    length_m = points[edges[edge, LAST], 2]
    along_m = kept[best, ALONG_M] if stated[2] > 0.0 else min(max(seen_m, 0.0), length_m)
    whole[ON_EDGE], real[FRAC], real[DISTANCE_M] = edge, along_m / length_m, distance_m
    fits = min(1.0, TRUST_RUN / max(real[RUN], 0.1))
    accuracy_m = stated[2] if stated[2] > 0.0 else ACCURACY_BLIND_M
    real[TRUST] = best_share * fits * min(1.0, TRUST_ACCURACY_M / accuracy_m)
