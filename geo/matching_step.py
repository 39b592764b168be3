"""One fix of one member: is it to be believed, and on which edge does it put the member?"""

from math import exp, hypot, inf, log, radians
from typing import Final

import numpy as np

from xiaohe.geo.grid import Floats, Ints, Pointers
from xiaohe.geo.kernels import kernel
from xiaohe.geo.matching_kernel import (
    ALONG_M,
    CHILDREN,
    COVAR,
    EDGE,
    FIELDS,
    HYPOTHESES,
    LOG_SEED,
    LOG_WEIGHT,
    MISFIT,
    MISFIT_FIX,
    MISFIT_RUN,
    MISFIT_SHARE,
    ROAD,
    SEEDS,
    SPEED_MPS,
    VAR_SPEED,
    advance,
    located,
    seeded,
    settled,
)

TAKEN, OUT_OF_ORDER, SUSPECT = range(3)

# What is kept of a member beside the hypotheses: whole numbers …
KNOWN, FIX_MS, FILTER_MS, HEARD_MS, COUNT, ON_EDGE, DOUBTED = range(7)
INTS: Final = 7
# … and others.
AT_X, AT_Y, ACCURACY_M, DOUBT_X, DOUBT_Y, DOUBT_ACCURACY_M, FRAC, DISTANCE_M, TRUST, RUN = range(10)
FLOATS: Final = 10

# Figures that are the same for all members, in this order.
SPEED_FACTOR, SNAP_MAX, SPEED_MAX, UNSTATED_M, COUNTED_MAX_M = range(5)

REACH_MPS: Final = 4
"""Column of the traits: the fastest that a member who travels so can come to be moved."""

RADIUS_68: Final = 1.515
"""A device states the radius of 68 %; on the plane that is 1.515 standard deviations an axis."""

ACCURACY_BLIND_M: Final = 20.0
"""For weighing, where none is stated: a telephone in the street."""

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

KEEPS: Final = 1.15
"""Another road has to be more likely by this factor: a member does not flicker."""

STALE_MPS: Final = 1.0
"""Who states a speed above this and the very same place has a device that repeats itself."""

TRUST_SUSPECT: Final = 0.5
TRUST_REPEATED: Final = 0.9
TRUST_ACCURACY_M: Final = 60.0
TRUST_RUN: Final = 4.0


@kernel
def match_many(
    slots: Pointers,
    modes: Ints,
    fix_ms: Pointers,
    stated: Floats,
    numbers: Floats,
    traits: Floats,
    store: Floats,
    ints: Pointers,
    floats: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
    out_edges: Ints,
    out: Floats,
) -> None:
    """Match fixes in order: ``stated`` has x, y, accuracy, speed, course (nan if unstated).

    ``out_edges`` becomes the edge and the verdict of each, ``out`` its share, distance and trust.
    """
    children = np.empty((CHILDREN, FIELDS))
    kept = np.empty((HYPOTHESES, FIELDS))
    stack = np.empty((CHILDREN, 4))
    seeds = np.empty(SEEDS, np.int32)
    measures = np.empty((SEEDS, 2))
    fix = np.empty(6)
    for i in range(len(slots)):
        slot, mode = slots[i], int(modes[i])
        whole, real = ints[slot], floats[slot]
        verdict = judged(fix_ms[i], stated[i], numbers, traits[mode], whole, real)
        if verdict == TAKEN and not _repeats(fix_ms[i], stated[i], store[slot], whole, real):
            count = _explained(
                fix_ms[i], mode, stated[i], numbers, traits[mode], store[slot], whole, real,
                points, start, edges, node_ptr, node_ends, head, ptr, rows,
                children, kept, stack, seeds, measures, fix,
            )  # fmt: skip
            _decide(stated[i], count, numbers, kept, whole, real, points, start, edges)
            _keep(count, kept, store[slot], whole)
        out_edges[i, 0], out_edges[i, 1] = whole[ON_EDGE], verdict
        out[i, 0], out[i, 1], out[i, 2] = real[FRAC], real[DISTANCE_M], real[TRUST]


@kernel
def judged(
    fix_ms: int, stated: Floats, numbers: Floats, traits: Floats, whole: Pointers, real: Floats
) -> int:
    """Return the verdict on a fix and note what it is for the next one."""
    if not whole[KNOWN]:
        whole[KNOWN], whole[COUNT], whole[ON_EDGE], whole[DOUBTED] = 1, 0, -1, 0
        whole[HEARD_MS], whole[FIX_MS], whole[FILTER_MS] = fix_ms, fix_ms, fix_ms
        real[RUN] = 0.0
        return TAKEN
    if fix_ms <= whole[HEARD_MS]:
        return OUT_OF_ORDER
    near = _reachable(real[AT_X], real[AT_Y], real[ACCURACY_M], fix_ms - whole[FIX_MS], stated,
                      numbers, traits)  # fmt: skip
    if not near:
        again = whole[DOUBTED] and _reachable(
            real[DOUBT_X], real[DOUBT_Y], real[DOUBT_ACCURACY_M], fix_ms - whole[HEARD_MS], stated,
            numbers, traits,
        )  # fmt: skip
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
def _reachable(
    x: float,
    y: float,
    accuracy_m: float,
    after_ms: int,
    stated: Floats,
    numbers: Floats,
    traits: Floats,
) -> bool:
    """Say whether a fix can be reached from a place, beyond both accuracies.

    Who states accuracies well is held to what the travel mode can do, others to what anybody can.
    """
    before_m, now_m = _counted(accuracy_m, numbers), _counted(stated[2], numbers)
    speed_mps, slack_m = numbers[SPEED_MAX], before_m + now_m
    if 0.0 < accuracy_m <= numbers[UNSTATED_M] and 0.0 < stated[2] <= numbers[UNSTATED_M]:
        speed_mps, slack_m = traits[REACH_MPS], slack_m * ACCURACY_SLACK
    reach_m = speed_mps * numbers[SPEED_FACTOR] * after_ms / 1000.0 + slack_m
    return bool(hypot(stated[0] - x, stated[1] - y) <= reach_m)


@kernel
def _counted(accuracy_m: float, numbers: Floats) -> float:
    if accuracy_m != accuracy_m:  # noqa: PLR0124 - not a number: unstated
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


ACCURACY_ABSURD_M: Final = 500.0
"""A device that states more than this does not know where it is."""


@kernel
def _explained(
    fix_ms: int,
    mode: int,
    stated: Floats,
    numbers: Floats,
    traits: Floats,
    olds: Floats,
    whole: Pointers,
    real: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
    children: Floats,
    kept: Floats,
    stack: Floats,
    seeds: Ints,
    measures: Floats,
    fix: Floats,
) -> int:
    """Fill ``kept`` with the hypotheses that explain a fix, and return how many there are."""
    dt_s = (fix_ms - whole[FILTER_MS]) / 1000.0 * numbers[SPEED_FACTOR]
    sigma_m = max((stated[2] if stated[2] > 0.0 else ACCURACY_BLIND_M) / RADIUS_68, SIGMA_MIN_M)
    fix[0], fix[1], fix[3] = stated[0], stated[1], dt_s
    fix[2] = sigma_m * sigma_m
    fix[4] = stated[3] / numbers[SPEED_FACTOR]
    fix[5] = radians(stated[4])
    made, base = 0, 0.0
    if whole[COUNT] > 0 and dt_s <= GAP_FORGOTTEN_S:
        fix[2] *= 1.0 + CORRELATED_S / max(dt_s, 0.1)
        made = advance(olds, whole[COUNT], mode, traits, fix, points, start, edges, node_ptr,
                       node_ends, children, stack)  # fmt: skip
        base = LOG_SEED
    best = -1
    for i in range(made):
        if best < 0 or children[i, LOG_WEIGHT] > children[best, LOG_WEIGHT]:
            best = i
    misfit = children[best, MISFIT] if best >= 0 else inf
    lost = misfit > MISFIT_FIX or real[RUN] > MISFIT_RUN or dt_s > GAP_SEEDED_S
    if lost:
        made = seeded(mode, traits, fix, numbers[SNAP_MAX], head, ptr, rows, points, start, edges,
                      seeds, measures, children, made, base)  # fmt: skip
    real[RUN] += MISFIT_SHARE * ((min(misfit, 9.0) if misfit < inf else 2.0) - real[RUN])
    whole[FIX_MS], whole[FILTER_MS] = fix_ms, fix_ms
    real[AT_X], real[AT_Y], real[ACCURACY_M] = stated[0], stated[1], stated[2]
    return settled(children, made, kept)


@kernel
def _decide(
    stated: Floats,
    count: int,
    numbers: Floats,
    kept: Floats,
    whole: Pointers,
    real: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
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
    seen_m, distance_m, _, _, _ = located(stated[0], stated[1], edge, points, start)
    if distance_m > numbers[SNAP_MAX]:
        return
    length_m = points[start[edge + 1] - 1, 2]
    along_m = kept[best, ALONG_M] if stated[2] > 0.0 else min(max(seen_m, 0.0), length_m)
    whole[ON_EDGE], real[FRAC], real[DISTANCE_M] = edge, along_m / length_m, distance_m
    fits = min(1.0, TRUST_RUN / max(real[RUN], 0.1))
    accuracy_m = stated[2] if stated[2] > 0.0 else ACCURACY_BLIND_M
    real[TRUST] = best_share * fits * min(1.0, TRUST_ACCURACY_M / accuracy_m)


@kernel
def _keep(count: int, kept: Floats, olds: Floats, whole: Pointers) -> None:
    """Store the hypotheses of a member."""
    whole[COUNT] = count
    for i in range(count):
        for f in range(FIELDS):
            olds[i, f] = kept[i, f]
