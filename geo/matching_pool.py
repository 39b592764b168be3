"""The hypotheses of a member taken together: new ones where none explains a fix, and fewer."""

from math import exp, inf, log, sqrt
from typing import Final

from xiaohe.geo.grid import Floats, Ints, candidates, nearest
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
    VAR_M2,
    VAR_SPEED,
)
from xiaohe.geo.matching_speed import against, hurried, moved
from xiaohe.geo.matching_ways import CAR_KMH, FIRST, LAST, Fix, Travels, Ways, located

HYPOTHESES: Final = 6
"""Kept for a member. More than this many places at once are one: nowhere."""

SEEDS: Final = 8
"""Edges a member may be on when nothing is known of the way there."""

SEED_REACH: Final = 3.0
"""Standard deviations around the nearest road, within which others are thought of."""

LOG_SEED: Final = log(1e-3 / 300.0)
"""To be somewhere else than any way leads: one fix in a thousand, anywhere in 300 m of roads."""

LOG_DROPPED: Final = -7.0
"""A hypothesis this much less likely (1 : 1100) than the best one is given up."""

MERGED: Final = 1.5
"""Two hypotheses on one edge that are nearer than this many of their deviations are one."""


@kernel
def seeded(
    ways: Ways,
    travels: Travels,
    fix: Fix,
    max_m: float,
    log_base: float,
    seeds: Ints,
    measures: Floats,
    children: Floats,
    made: int,
) -> int:
    """Add the edges around a fix as places where the member may be however it came there."""
    bit = 2 << travels.mode
    edge, _, near_m = nearest(fix.x, fix.y, max_m, bit, ways.head, ways.ptr, ways.rows)
    if edge < 0:
        return made
    off2 = travels.off_road_m * travels.off_road_m + fix.var_m2
    radius_m = min(sqrt(near_m * near_m + SEED_REACH * SEED_REACH * off2), max_m)
    count = candidates(fix.x, fix.y, radius_m, bit, ways.head, ways.ptr, ways.rows, seeds, measures)
    for i in range(min(count, CHILDREN - made)):
        misfit = measures[i, 1] * measures[i, 1] / off2
        log_weight = log_base - 0.5 * misfit
        _sow(
            ways.points,
            ways.edges,
            travels,
            fix,
            seeds[i],
            measures[i, 0],
            log_weight,
            children[made],
        )
        children[made, MISFIT] = misfit
        made += 1
    return made


@kernel
def _sow(
    points: Floats,
    edges: Ints,
    travels: Travels,
    fix: Fix,
    edge: int,
    frac: float,
    log_weight: float,
    child: Floats,
) -> None:
    """Make a hypothesis of an edge and a fix alone."""
    first, last = edges[edge, FIRST], edges[edge, LAST]
    _, _, _, course_x, course_y = located(points, first, last, fix.x, fix.y)
    speed, var_speed = 0.0, travels.speed_typical_mps * travels.speed_typical_mps
    known, forward, log_course = moved(fix, course_x, course_y, speed, var_speed)
    log_weight += log_course - hurried(edges[edge, CAR_KMH], travels, fix)
    if known:
        sum_speed = var_speed + fix.noise_mps * fix.noise_mps
        log_weight -= 0.5 * (forward * forward / sum_speed + log(sum_speed))
        gain = var_speed / sum_speed
        speed, var_speed = gain * forward, var_speed * (1.0 - gain)
    child[LOG_WEIGHT] = log_weight - against(edges, travels, edge, speed, var_speed)
    child[ALONG_M], child[SPEED_MPS] = frac * points[last, 2], speed
    child[VAR_M2], child[COVAR], child[VAR_SPEED] = fix.var_m2, 0.0, var_speed
    child[EDGE] = edge


@kernel
def settled(children: Floats, made: int, kept: Floats) -> int:
    """Merge what is the same place, keep the likeliest in ``kept``, and return how many.

    Their weights are as they were made; only their ratios mean anything.
    """
    best = -inf
    for i in range(made):
        best = max(best, children[i, LOG_WEIGHT])
    count = 0
    for i in range(made):
        child = children[i]
        if child[LOG_WEIGHT] < best + LOG_DROPPED or _merged(kept, count, child):
            continue
        at = count
        if count == len(kept):
            at = _least(kept)
            if kept[at, LOG_WEIGHT] >= child[LOG_WEIGHT]:
                continue
        else:
            count += 1
        for f in range(FIELDS):
            kept[at, f] = child[f]
    return count


@kernel
def _least(kept: Floats) -> int:
    at = 0
    for k in range(1, len(kept)):
        if kept[k, LOG_WEIGHT] < kept[at, LOG_WEIGHT]:
            at = k
    return at


@kernel
def _merged(kept: Floats, count: int, child: Floats) -> bool:
    """Say whether a hypothesis is one of those kept, and if so let it be in that one."""
    for k in range(count):
        one = kept[k]
        if one[EDGE] != child[EDGE]:
            continue
        near_m = MERGED * (sqrt(one[VAR_M2]) + sqrt(child[VAR_M2]))
        near_mps = MERGED * (sqrt(one[VAR_SPEED]) + sqrt(child[VAR_SPEED]))
        if (
            abs(one[ALONG_M] - child[ALONG_M]) < near_m
            and abs(one[SPEED_MPS] - child[SPEED_MPS]) < near_mps
        ):
            _merge(one, child)
            return True
    return False


@kernel
def _merge(one: Floats, other: Floats) -> None:
    """Make ``one`` the two together: their mean, and a spread that covers both."""
    top = max(one[LOG_WEIGHT], other[LOG_WEIGHT])
    a, b = exp(one[LOG_WEIGHT] - top), exp(other[LOG_WEIGHT] - top)
    p, q = a / (a + b), b / (a + b)
    gap_m, gap_mps = other[ALONG_M] - one[ALONG_M], other[SPEED_MPS] - one[SPEED_MPS]
    one[VAR_M2] = p * one[VAR_M2] + q * other[VAR_M2] + p * q * gap_m * gap_m
    one[COVAR] = p * one[COVAR] + q * other[COVAR] + p * q * gap_m * gap_mps
    one[VAR_SPEED] = p * one[VAR_SPEED] + q * other[VAR_SPEED] + p * q * gap_mps * gap_mps
    one[ALONG_M] += q * gap_m
    one[SPEED_MPS] += q * gap_mps
    one[MISFIT] = min(one[MISFIT], other[MISFIT])
    one[LOG_WEIGHT] = top + log(a + b)
