"""The compiled part of the matcher: a Gaussian mixture filter that lives on the road network.

A hypothesis says: on this edge, so many metres along, at this speed (signed: against the drawing
below zero), with the covariance of both, and so likely. A fix moves each hypothesis on by its
speed, out over the junctions within reach, and weighs every edge met there by how well it explains
place, speed and course. Near a junction the weight of an edge is the share of the bell curve that
lies on it, so that a fix just past a turn is divided between the streets as the evidence divides it.

All times are seconds of the network's clock: where ``speed_factor`` multiplies speeds, a second
is that much longer and a stated speed that much lower.
"""

from math import cos, erfc, exp, hypot, inf, log, radians, sin, sqrt
from typing import Final

import numpy as np

from xiaohe.geo.grid import Floats, Ints, Pointers, candidates, nearest
from xiaohe.geo.kernels import kernel

# A hypothesis is a row of numbers (in the store float32, in the making float64).
LOG_WEIGHT, ALONG_M, SPEED_MPS, VAR_M2, COVAR, VAR_SPEED, EDGE, MISFIT = range(8)
FIELDS: Final = 8

HYPOTHESES: Final = 6
"""Kept for a member. More than this many places at once are one: nowhere."""

CHILDREN: Final = 64
"""Made of one fix at most."""

SEEDS: Final = 8
"""Edges a member may be on when nothing is known of the way there."""

VISITS: Final = 48
"""Edges looked at from one hypothesis: bounds the work after a long silence in a dense town."""

# What an edge is, a row each: end nodes, number of the road, bits of who may use it and how.
U, V, ROAD, ALLOWED = range(4)

# What a travel mode does, a row each.
ACCELERATION, SPEED_TYPICAL, OFF_ROAD_M, WRONG_WAY = range(4)

GATE: Final = 3.5
"""Standard deviations of the place travelled to, within which edges are looked at."""

SPEED_MEMORY_S: Final = 30.0
"""After about so long a known speed says nothing any more."""

CALM_MPS: Final = 1.0
CALM: Final = 0.04
"""Who stood and stands moves less irregularly: by so much in the square."""

SPEED_NOISE_MPS: Final = 0.5
SPEED_NOISE_PER_M: Final = 0.015
"""What a receiver's speed is wrong by, to each side, and how that grows with the place's error."""

CROSSING_M: Final = 5.0
"""Who comes to a junction and stops there stops before it, not in its middle."""

ACROSS_NOISE_MPS: Final = 0.3
ACROSS_NOISE_PER_M: Final = 0.02
"""The same across the road, where nothing but noise is."""

COURSE_NOISE: Final = 0.1
"""Radians that a road bends between its vertices, and a receiver's course lags."""

COURSE_OUTLIER: Final = 0.005
"""Share of courses that mean nothing."""

LOG_SEED: Final = log(1e-3 / 300.0)
"""To be somewhere else than any way leads: one fix in a thousand, anywhere in 300 m of roads."""

LOG_DROPPED: Final = -9.0
"""A hypothesis this much less likely (1 : 8000) than the best one is given up."""

LOG_HOPELESS: Final = -12.0
"""What is so far behind by its place alone is not looked at further."""

MASS_MIN: Final = 1e-5
"""An edge that holds less of the curve than this is not where the member is."""

MISFIT_FIX: Final = 12.0
"""Squared standard deviations of one fix from the best explanation that ask for another one."""

MISFIT_RUN: Final = 4.0
"""The same for the running mean, of which 2 are expected."""

MISFIT_SHARE: Final = 0.15
"""Weight of the newest fix in the running mean."""

MERGED: Final = 1.5
"""Two hypotheses on one edge that are nearer than this many of their deviations are one."""


@kernel
def advance(
    olds: Floats,
    count: int,
    mode: int,
    traits: Floats,
    fix: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    children: Floats,
    stack: Floats,
) -> int:
    """Move all hypotheses on to a fix; fills ``children`` and returns how many there are."""
    made, best = 0, -inf
    for i in range(count):
        made, best = _grow(
            olds[i],
            mode,
            traits,
            fix,
            points,
            start,
            edges,
            node_ptr,
            node_ends,
            children,
            made,
            stack,
            best,
        )
    return made


@kernel
def _grow(
    old: Floats,
    mode: int,
    traits: Floats,
    fix: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    children: Floats,
    made: int,
    stack: Floats,
    best: float,
) -> tuple[int, float]:
    """Predict one hypothesis and weigh every edge within its reach."""
    prior = _predicted(old, traits, fix)
    low_m, high_m = _reach(prior, fix)
    first = int(old[EDGE])
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = first, 0.0, 1.0, old[LOG_WEIGHT]
    height, visits = 1, 0
    while height > 0 and visits < VISITS:
        height -= 1
        visits += 1
        edge, base_m, sign = int(stack[height, 0]), stack[height, 1], stack[height, 2]
        log_prior = stack[height, 3]
        length_m = points[start[edge + 1] - 1, 2]
        from_m = min(base_m, base_m + sign * length_m)
        to_m = from_m + length_m
        open_low, open_high = False, False
        # On over the far end, away from where the hypothesis began.
        if edge == first and base_m == 0.0 and sign == 1.0:
            ways_low, ways_high = low_m < from_m, high_m > to_m
        else:
            ways_low, ways_high = low_m < from_m and from_m < 0.0, high_m > to_m and from_m >= 0.0
        if ways_high:
            height, some = _pushed(
                edge,
                sign > 0,
                to_m,
                1.0,
                prior[2] >= 0.0,
                log_prior,
                mode,
                traits,
                points,
                start,
                edges,
                node_ptr,
                node_ends,
                stack,
                height,
            )
            open_high = not some
        if ways_low:
            height, some = _pushed(
                edge,
                sign < 0,
                from_m,
                -1.0,
                prior[2] <= 0.0,
                log_prior,
                mode,
                traits,
                points,
                start,
                edges,
                node_ptr,
                node_ends,
                stack,
                height,
            )
            open_low = not some
        if made < CHILDREN and high_m > from_m and low_m < to_m:
            a = -inf if open_low else from_m
            b = inf if open_high else to_m
            if edge != first and fix[SPEED] < CALM_MPS and length_m > 4 * CROSSING_M:
                if prior[2] > CALM_MPS and a >= 0.0:
                    a += CROSSING_M
                elif prior[2] < -CALM_MPS and b <= 0.0:
                    b -= CROSSING_M
            before = made
            made = _weighed(
                prior,
                edge,
                base_m,
                sign,
                a,
                b,
                log_prior,
                mode,
                traits,
                fix,
                points,
                start,
                edges,
                children,
                made,
                best,
            )
            if made > before:
                best = max(best, children[before, LOG_WEIGHT])
    return made, best


@kernel
def _reach(prior: tuple[float, float, float, float, float], fix: Floats) -> tuple[float, float]:
    """Return the stretch of the way unrolled on which the member can be, by time and speed."""
    along_m, var_m2, speed, var_speed, covar = prior
    if speed * speed > 4.0 * var_speed and fix[SPEED] == fix[SPEED]:  # noqa: PLR0124 - stated
        noise = SPEED_NOISE_MPS + SPEED_NOISE_PER_M * sqrt(fix[VAR_FIX])
        gain = covar / (var_speed + noise * noise)
        along_m += gain * ((fix[SPEED] if speed > 0.0 else -fix[SPEED]) - speed)
        var_m2 -= gain * covar
    spread_m = GATE * sqrt(var_m2)
    return along_m - spread_m, along_m + spread_m


@kernel
def _predicted(
    old: Floats, traits: Floats, fix: Floats
) -> tuple[float, float, float, float, float]:
    """Return (along_m, its variance, speed, its variance, covariance) at the time of a fix."""
    dt_s = fix[DT_S]
    q = traits[ACCELERATION] * traits[ACCELERATION]
    if abs(old[SPEED_MPS]) < CALM_MPS and fix[SPEED] < CALM_MPS:
        q *= CALM
    typical2 = traits[SPEED_TYPICAL] * traits[SPEED_TYPICAL]
    kept = exp(-dt_s / SPEED_MEMORY_S)
    lasting_s = SPEED_MEMORY_S * (1.0 - kept)
    near_s = min(dt_s, SPEED_MEMORY_S / 3)
    along_m = old[ALONG_M] + old[SPEED_MPS] * lasting_s
    var_m2 = (
        old[VAR_M2]
        + 2 * lasting_s * old[COVAR]
        + lasting_s * lasting_s * old[VAR_SPEED]
        + q * near_s**3 / 3
        + typical2 * max(dt_s - near_s, 0.0) * SPEED_MEMORY_S / 3
    )
    covar = kept * (old[COVAR] + lasting_s * old[VAR_SPEED]) + q * near_s * near_s / 2
    var_speed = kept * kept * old[VAR_SPEED] + q * near_s
    if var_speed > typical2:  # speeds do not wander without bounds
        covar *= typical2 / var_speed
        var_speed = typical2
    return along_m, var_m2, old[SPEED_MPS] * kept, var_speed, covar


@kernel
def _pushed(
    edge: int,
    at_v: bool,
    node_m: float,
    away: float,
    leaving: bool,
    log_prior: float,
    mode: int,
    traits: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    stack: Floats,
    height: int,
) -> tuple[int, bool]:
    """Put the edges that lead on from an end of ``edge`` on the stack, with their chances.

    ``node_m`` is where the junction lies on the way unrolled, ``away`` the direction there, and
    ``leaving`` whether the member moves that way (else it may have come from there).
    Returns the new height, and whether any way leads on.
    """
    node = edges[edge, V if at_v else U]
    in_x, in_y = _end_course(edge, at_v, points, start)
    total, bottom = 0.0, height
    for i in range(node_ptr[node], node_ptr[node + 1]):
        other, other_at_v = node_ends[i] // 2, node_ends[i] % 2 == 1
        if other == edge and other_at_v == at_v:
            continue
        allowed = edges[other, ALLOWED] >> (2 * mode)
        if allowed & 3 == 0 or height >= len(stack):
            continue
        # From u to v the edge needs the first bit, from v to u the second.
        onward = (allowed >> (1 if other_at_v == leaving else 0)) & 1
        out_x, out_y = _end_course(other, other_at_v, points, start)
        ahead = -(in_x * out_x + in_y * out_y)
        chance = (0.3 + 0.7 * max(ahead, 0.0)) if ahead > -0.8 else 0.05
        if not onward:
            chance *= traits[WRONG_WAY]
        length_m = points[start[other + 1] - 1, 2]
        # The way unrolled grows with the drawing (sign 1) or against it (-1).
        sign = -away if other_at_v else away
        base_m = node_m if not other_at_v else node_m + away * length_m
        stack[height, 0], stack[height, 1], stack[height, 2] = other, base_m, sign
        stack[height, 3] = chance
        total += chance
        height += 1
    for i in range(bottom, height):
        stack[i, 3] = log_prior + log(stack[i, 3] / total)
    return height, height > bottom


@kernel
def _end_course(edge: int, at_v: bool, points: Floats, start: Pointers) -> tuple[float, float]:
    """Return the unit vector out of an end of the edge, along it."""
    a = start[edge + 1] - 1 if at_v else start[edge]
    b = a - 1 if at_v else a + 1
    x, y = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    length = hypot(x, y)
    return (x / length, y / length) if length > 0.0 else (0.0, 0.0)


# What is known of a fix.
X, Y, VAR_FIX, DT_S, SPEED, COURSE = range(6)


@kernel
def located(
    x: float, y: float, edge: int, points: Floats, start: Pointers
) -> tuple[float, float, float, float, float]:
    """Return (along_m, distance_m, off_m, course x, course y) of a fix from an edge.

    ``along_m`` goes on past the ends in the direction that the edge has there, and ``off_m`` is how
    far aside the fix then lies; ``distance_m`` is to the edge itself.
    """
    best, at, where = inf, 0.0, start[edge]
    for i in range(start[edge], start[edge + 1] - 1):
        d_x, d_y = points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1]
        square = d_x * d_x + d_y * d_y
        if square == 0.0:
            continue
        share = ((x - points[i, 0]) * d_x + (y - points[i, 1]) * d_y) / square
        on = min(max(share, 0.0), 1.0)
        off_x, off_y = x - points[i, 0] - on * d_x, y - points[i, 1] - on * d_y
        far2 = off_x * off_x + off_y * off_y
        if far2 < best:
            best, at, where = far2, share, i
    distance_m = sqrt(best)
    d_x, d_y = points[where + 1, 0] - points[where, 0], points[where + 1, 1] - points[where, 1]
    length_m = hypot(d_x, d_y)
    beyond = (at < 0.0 and where == start[edge]) or (at > 1.0 and where == start[edge + 1] - 2)
    off_m = distance_m
    if beyond:
        off_m = abs(d_x * (y - points[where, 1]) - d_y * (x - points[where, 0])) / length_m
    else:
        at = min(max(at, 0.0), 1.0)
    return points[where, 2] + at * length_m, distance_m, off_m, d_x / length_m, d_y / length_m


@kernel
def _weighed(
    prior: tuple[float, float, float, float, float],
    edge: int,
    base_m: float,
    sign: float,
    from_m: float,
    to_m: float,
    log_prior: float,
    mode: int,
    traits: Floats,
    fix: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    children: Floats,
    made: int,
    best: float,
) -> int:
    """Add what a fix makes of one edge within reach, if it is likely enough."""
    along_m, var_m2, speed, var_speed, covar = prior
    seen_m, _, off_m, c_x, c_y = located(fix[X], fix[Y], edge, points, start)
    off2 = traits[OFF_ROAD_M] * traits[OFF_ROAD_M] + fix[VAR_FIX]
    # Along the way: where the fix is, and where the member was to be expected.
    gap_m, sum_m2 = base_m + sign * seen_m - along_m, var_m2 + fix[VAR_FIX]
    misfit = gap_m * gap_m / sum_m2 + off_m * off_m / off2
    log_weight = log_prior - 0.5 * (misfit + log(sum_m2) + log(off2 / fix[VAR_FIX]))
    if log_weight < best + LOG_HOPELESS:
        return made
    gain, gain_speed = var_m2 / sum_m2, covar / sum_m2
    along_m += gain * gap_m
    speed += gain_speed * gap_m
    var_speed -= gain_speed * covar
    var_m2, covar = var_m2 * (1.0 - gain), covar * (1.0 - gain)
    # Along the course: how fast.
    known, forward, var_seen, log_course = moved(fix, sign * c_x, sign * c_y, speed, var_speed)
    log_weight += log_course
    if known:
        sum_speed = var_speed + var_seen
        miss = forward - speed
        log_weight -= 0.5 * (min(miss * miss / sum_speed, 9.0) + log(sum_speed))
        gain, gain_m = var_speed / sum_speed, covar / sum_speed
        along_m += gain_m * miss
        speed += gain * miss
        var_m2 -= gain_m * covar
        var_speed, covar = var_speed * (1.0 - gain), covar * (1.0 - gain)
    # What of the curve lies on this edge.
    var_m2 = max(var_m2, 0.01)
    sd_m = sqrt(var_m2)
    low, high = (from_m - along_m) / sd_m, (to_m - along_m) / sd_m
    mass = within(low, high)
    if mass < MASS_MIN:
        return made
    log_weight += log(mass) - _against(edge, mode, sign * speed, var_speed, traits, edges)
    if low > -4.0 or high < 4.0:
        bell_low, bell_high = bell(low), bell(high)
        shift = (bell_low - bell_high) / mass
        left = low * bell_low if low > -8.0 else 0.0
        right = high * bell_high if high < 8.0 else 0.0
        narrower = max(1.0 + (left - right) / mass - shift * shift, 0.05)
        slope = covar / var_m2
        along_m += shift * sd_m
        speed += slope * shift * sd_m
        var_speed -= slope * covar * (1.0 - narrower)
        var_m2, covar = var_m2 * narrower, covar * narrower
    child = children[made]
    length_m = points[start[edge + 1] - 1, 2]
    child[LOG_WEIGHT] = log_weight
    child[ALONG_M] = min(max(sign * (along_m - base_m), 0.0), length_m)
    child[SPEED_MPS] = sign * speed
    child[VAR_M2], child[COVAR], child[VAR_SPEED] = var_m2, covar, max(var_speed, 1e-4)
    child[EDGE], child[MISFIT] = edge, misfit
    return made + 1


@kernel
def moved(
    fix: Floats, c_x: float, c_y: float, speed: float, var_speed: float
) -> tuple[bool, float, float, float]:
    """Return what speed and course say of moving along (c_x, c_y).

    As (whether the speed along it is known, that speed, its variance, the log of how likely
    the part across is).
    """
    noise = SPEED_NOISE_MPS + SPEED_NOISE_PER_M * sqrt(fix[VAR_FIX])
    stated = fix[SPEED]
    if stated != stated:  # noqa: PLR0124 - not a number: unstated
        if fix[COURSE] != fix[COURSE] or speed * speed < 4.0 * var_speed:  # noqa: PLR0124 - the same
            return False, 0.0, 1.0, 0.0
        stated, noise = abs(speed), sqrt(var_speed) + noise
        known = False
    else:
        known = True
    if fix[COURSE] != fix[COURSE]:  # noqa: PLR0124 - the same
        if speed * speed < 2.0 * var_speed and stated > noise:
            return False, 0.0, 1.0, 0.0  # fast, and either way
        return True, stated if speed >= 0.0 else -stated, noise * noise, 0.0
    ahead = stated * (sin(fix[COURSE]) * c_x + cos(fix[COURSE]) * c_y)
    across = stated * (sin(fix[COURSE]) * c_y - cos(fix[COURSE]) * c_x)
    aside = ACROSS_NOISE_MPS + ACROSS_NOISE_PER_M * sqrt(fix[VAR_FIX])
    var_across = aside * aside + (COURSE_NOISE * stated) ** 2
    likely = exp(-0.5 * across * across / var_across) + COURSE_OUTLIER
    if not known:  # of a course alone, only the side of the road counts
        likely = likely if ahead * speed > 0 else COURSE_OUTLIER
    return known, ahead, noise * noise, log(likely)


@kernel
def _against(
    edge: int, mode: int, speed: float, var_speed: float, traits: Floats, edges: Ints
) -> float:
    """Return what going against a one-way costs in log weight: nothing, for who stands."""
    allowed = (edges[edge, ALLOWED] >> (2 * mode)) & 3
    if allowed == 3:  # noqa: PLR2004 - both bits
        return 0.0
    right_way = speed if allowed == 1 else -speed
    share = 0.5 * erfc(-(right_way + 1.0) / sqrt(2.0 * var_speed))
    return -log(max(share, traits[WRONG_WAY]))


@kernel
def within(low: float, high: float) -> float:
    """Return the share of the bell curve between two places in standard deviations."""
    if low > 0.0:  # by the nearer tail, which keeps small numbers
        return 0.5 * (erfc(low / sqrt(2.0)) - erfc(high / sqrt(2.0)))
    return 0.5 * (erfc(-high / sqrt(2.0)) - erfc(-low / sqrt(2.0)))


@kernel
def bell(at: float) -> float:
    """Return the height of the bell curve."""
    return 0.3989422804014327 * exp(-0.5 * at * at) if abs(at) < 30.0 else 0.0


@kernel
def seeded(
    mode: int,
    traits: Floats,
    fix: Floats,
    max_m: float,
    head: Floats,
    ptr: Pointers,
    rows: Floats,
    points: Floats,
    start: Pointers,
    edges: Ints,
    seeds: Ints,
    measures: Floats,
    children: Floats,
    made: int,
    log_base: float,
) -> int:
    """Add the edges around a fix as places where the member may be however it came there."""
    bit = 2 << mode
    edge, _, near_m = nearest(fix[X], fix[Y], max_m, bit, head, ptr, rows)
    if edge < 0:
        return made
    off2 = traits[OFF_ROAD_M] * traits[OFF_ROAD_M] + fix[VAR_FIX]
    radius_m = min(sqrt(near_m * near_m + 9.0 * off2), max_m)
    count = candidates(fix[X], fix[Y], radius_m, bit, head, ptr, rows, seeds, measures)
    for i in range(count):
        if made == CHILDREN:
            break
        edge = seeds[i]
        child = children[made]
        length_m = points[start[edge + 1] - 1, 2]
        distance_m = measures[i, 1]
        _, _, _, c_x, c_y = located(fix[X], fix[Y], edge, points, start)
        misfit = distance_m * distance_m / off2
        typical2 = traits[SPEED_TYPICAL] ** 2
        log_weight = log_base - 0.5 * (misfit + log(off2 / fix[VAR_FIX]))
        speed, var_speed = 0.0, typical2
        known, forward, var_seen, log_course = moved(fix, c_x, c_y, 0.0, typical2)
        log_weight += log_course
        if known:
            gain = typical2 / (typical2 + var_seen)
            speed, var_speed = gain * forward, typical2 * (1.0 - gain)
            log_weight -= 0.5 * (
                forward * forward / (typical2 + var_seen) + log(typical2 + var_seen)
            )
        child[LOG_WEIGHT] = log_weight - _against(edge, mode, speed, var_speed, traits, edges)
        child[ALONG_M], child[SPEED_MPS] = measures[i, 0] * length_m, speed
        child[VAR_M2], child[COVAR], child[VAR_SPEED] = fix[VAR_FIX], 0.0, var_speed
        child[EDGE], child[MISFIT] = edge, misfit
        made += 1
    return made


@kernel
def settled(children: Floats, made: int, kept: Floats) -> int:
    """Merge what is the same place, keep the likeliest in ``kept``, and return how many.

    Their log weights are left as they are, so that the sum of weights can be compared.
    """
    best = -inf
    for i in range(made):
        best = max(best, children[i, LOG_WEIGHT])
    count = 0
    for i in range(made):
        child = children[i]
        if child[LOG_WEIGHT] < best + LOG_DROPPED:
            continue
        merged = False
        for k in range(count):
            if kept[k, EDGE] == child[EDGE] and _same(kept[k], child):
                _merge(kept[k], child)
                merged = True
                break
        if merged:
            continue
        at = count
        if count == len(kept):  # the least likely makes place
            at = 0
            for k in range(1, count):
                if kept[k, LOG_WEIGHT] < kept[at, LOG_WEIGHT]:
                    at = k
            if kept[at, LOG_WEIGHT] >= child[LOG_WEIGHT]:
                continue
        else:
            count += 1
        for f in range(FIELDS):
            kept[at, f] = child[f]
    return count


@kernel
def _same(one: Floats, other: Floats) -> bool:
    gap_m, gap_mps = abs(one[ALONG_M] - other[ALONG_M]), abs(one[SPEED_MPS] - other[SPEED_MPS])
    return bool(
        gap_m < MERGED * (sqrt(one[VAR_M2]) + sqrt(other[VAR_M2]))
        and gap_mps < MERGED * (sqrt(one[VAR_SPEED]) + sqrt(other[VAR_SPEED]))
    )


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
