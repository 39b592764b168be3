"""The compiled heart of the matcher: a Gaussian mixture filter that lives on the road network.

A hypothesis says: on this edge, so many metres along, at this speed (signed: against the drawing
below zero), with the covariance of both, and so likely. A fix moves each hypothesis on by its
speed, out over the junctions within reach, and weighs every edge met there by how well it explains
place, speed and course. Near a junction the weight of an edge is the share of the bell curve that
lies on it, so that a fix just past a turn is divided between the streets as the evidence has it.

The idea of weighing edges by distance and by the way between fixes is Newson and Krumm's (Hidden
Markov Map Matching Through Noise and Sparseness, 2009); here the way is followed by a Kalman filter
along the road instead of being searched between two fixes, so that nothing waits for the next one.
"""

from math import exp, inf, log, sqrt
from typing import Final, NamedTuple

from xiaohe.geo.grid import Floats, Ints, Pointers
from xiaohe.geo.kernels import kernel
from xiaohe.geo.matching_speed import CALM_MPS, CERTAIN, against, hurried, moved
from xiaohe.geo.matching_ways import (
    ALLOWED,
    BOTH_WAYS,
    CAR_KMH,
    FIRST,
    LAST,
    Fix,
    Travels,
    U,
    V,
    bell,
    end_course,
    located,
    within,
)

LOG_WEIGHT, ALONG_M, SPEED_MPS, VAR_M2, COVAR, VAR_SPEED, EDGE, MISFIT = range(8)
"""A hypothesis as a row of numbers: float32 in the store, float64 in the making."""
FIELDS: Final = 8

CHILDREN: Final = 64
"""Made of one fix at most."""

VISITS: Final = 48
"""Edges looked at from one hypothesis: bounds the work after a long silence in a dense town."""

GATE: Final = 2.5
"""Standard deviations of the place travelled to, within which edges are looked at."""

SPEED_MEMORY_S: Final = 60.0
"""After about so long a known speed says nothing any more."""

CALM: Final = 0.02
"""Who stood and stands moves less irregularly: by so much in the square."""

STEADY: Final = 0.2
"""Who goes as fast as before has hardly changed speed in between: by so much in the square."""

LOG_PAST: Final = log(0.07)
"""Who comes to a junction and stops, stops before it: to stand on an edge that was entered since
the last fix has this chance. Fixes that say so again are not held against it."""

AHEAD_MIN: Final = 0.3
"""Chance of a turn, where going straight on has 1."""

SHARP_COSINE: Final = -0.8
SHARP: Final = 0.05
"""The same of a turn back of more than about 140°."""

SPEED_MISFIT_MAX: Final = 9.0
"""A speed off by more squared deviations than this is an outlier and says no more against."""

LOG_HOPELESS: Final = -9.0
"""What is so far behind the best by its place alone is not looked at further."""

MASS_MIN: Final = 1e-5
"""An edge that holds less of the curve than this is not where the member is."""

CUT: Final = 4.0
"""Standard deviations from the ends of an edge beyond which the curve is not cut by them."""

NARROWEST: Final = 0.05
"""A cut curve keeps at least this share of its variance."""

VAR_MIN_M2: Final = 0.01
VAR_SPEED_MIN: Final = 1e-4


class Moving(NamedTuple):
    """Where on its way something is: metres and speed, their variances and covariance."""

    along_m: float
    var_m2: float
    speed_mps: float
    var_speed: float
    covar: float


class Stretch(NamedTuple):
    """An edge on the way unrolled from a hypothesis.

    A place at ``along_m`` of the edge is at ``base_m + sign * along_m`` of the way; the edge holds
    what lies between ``low_m`` and ``high_m`` there. ``log_chance`` is that of having come so.
    """

    edge: int
    base_m: float
    sign: float
    low_m: float
    high_m: float
    log_chance: float


@kernel
def advance(
    points: Floats,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    travels: Travels,
    fix: Fix,
    olds: Floats,
    count: int,
    children: Floats,
    stack: Floats,
) -> int:
    """Move all hypotheses on to a fix; fills ``children`` and returns how many there are."""
    made, best = 0, -inf
    for i in range(count):
        made, best = _grow(
            points, edges, node_ptr, node_ends, travels, fix, olds[i], children, made, best, stack
        )
    return made


@kernel
def _grow(
    points: Floats,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    travels: Travels,
    fix: Fix,
    old: Floats,
    children: Floats,
    made: int,
    best: float,
    stack: Floats,
) -> tuple[int, float]:
    """Predict one hypothesis and weigh every edge within its reach."""
    prior = _predicted(travels, fix, old)
    low_m, high_m = _reach(fix, prior)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = old[EDGE], 0.0, 1.0, old[LOG_WEIGHT]
    height, visits = 1, 0
    while height > 0 and visits < VISITS and made < CHILDREN:
        height -= 1
        edge, base_m, sign = int(stack[height, 0]), stack[height, 1], stack[height, 2]
        log_chance = stack[height, 3]
        length_m = points[edges[edge, LAST], 2]
        from_m = base_m if sign > 0.0 else base_m - length_m
        to_m = from_m + length_m
        here = Stretch(edge, base_m, sign, from_m, to_m, log_chance)
        first = visits == 0
        visits += 1
        # On over the far ends, away from where the hypothesis began.
        dead_high = dead_low = False
        if high_m > to_m and (first or from_m >= 0.0):
            above = height
            height = _pushed(
                points,
                edges,
                node_ptr,
                node_ends,
                travels,
                here,
                1.0,
                prior.speed_mps >= 0.0,
                stack,
                height,
            )
            dead_high = height == above
        if low_m < from_m and (first or from_m < 0.0):
            above = height
            height = _pushed(
                points,
                edges,
                node_ptr,
                node_ends,
                travels,
                here,
                -1.0,
                prior.speed_mps <= 0.0,
                stack,
                height,
            )
            dead_low = height == above
        if high_m > from_m and low_m < to_m:
            low, high = -inf if dead_low else from_m, inf if dead_high else to_m
            if not first and fix.standing > 0.0:
                log_chance += fix.standing * LOG_PAST
            child = Stretch(edge, base_m, sign, low, high, log_chance)
            if _weighed(points, edges, travels, fix, prior, child, best, children[made]):
                best = max(best, children[made, LOG_WEIGHT])
                made += 1
    return made, best


@kernel
def _predicted(travels: Travels, fix: Fix, old: Floats) -> Moving:
    """Return where a hypothesis is at the time of a fix, before the fix is looked at."""
    dt_s = fix.dt_s
    q = travels.acceleration * travels.acceleration
    if abs(old[SPEED_MPS]) < CALM_MPS and fix.standing > 0.0:
        q *= CALM
    elif fix.has_speed:
        change = abs(old[SPEED_MPS]) - fix.speed_mps
        if change * change < old[VAR_SPEED] + fix.noise_mps * fix.noise_mps:
            q *= STEADY
    typical2 = travels.speed_typical_mps * travels.speed_typical_mps
    kept = exp(-dt_s / SPEED_MEMORY_S)
    lasting_s = SPEED_MEMORY_S * (1.0 - kept)
    near_s = min(dt_s, SPEED_MEMORY_S / 3)
    var_m2 = (
        old[VAR_M2]
        + 2 * lasting_s * old[COVAR]
        + lasting_s * lasting_s * old[VAR_SPEED]
        + q * near_s * near_s * near_s / 3
        + typical2 * (dt_s - near_s) * SPEED_MEMORY_S / 3
    )
    covar = kept * (old[COVAR] + lasting_s * old[VAR_SPEED]) + q * near_s * near_s / 2
    var_speed = kept * kept * old[VAR_SPEED] + q * near_s
    if var_speed > typical2:  # speeds do not wander without bounds
        covar *= typical2 / var_speed
        var_speed = typical2
    along_m = old[ALONG_M] + old[SPEED_MPS] * lasting_s
    return Moving(along_m, var_m2, old[SPEED_MPS] * kept, var_speed, covar)


@kernel
def _reach(fix: Fix, prior: Moving) -> tuple[float, float]:
    """Return the stretch of the way unrolled on which the member can be, by time and speed."""
    along_m, var_m2, speed = prior.along_m, prior.var_m2, prior.speed_mps
    if fix.has_speed and speed * speed > CERTAIN * CERTAIN * prior.var_speed:
        gain = prior.covar / (prior.var_speed + fix.noise_mps * fix.noise_mps)
        along_m += gain * ((fix.speed_mps if speed > 0.0 else -fix.speed_mps) - speed)
        var_m2 -= gain * prior.covar
    spread_m = GATE * sqrt(max(var_m2, VAR_MIN_M2))
    return along_m - spread_m, along_m + spread_m


@kernel
def _pushed(
    points: Floats,
    edges: Ints,
    node_ptr: Pointers,
    node_ends: Ints,
    travels: Travels,
    here: Stretch,
    away: float,
    leaving: bool,
    stack: Floats,
    height: int,
) -> int:
    """Put the edges beyond one end of a stretch on the stack, with their chances.

    ``away`` is the direction on the way unrolled, and ``leaving`` says that the member moves that
    way (else it may have come from there). Returns the new height.
    """
    at_v = here.sign * away > 0.0
    node = edges[here.edge, V if at_v else U]
    node_m = here.high_m if away > 0.0 else here.low_m
    in_x, in_y = end_course(points, edges, here.edge, at_v)
    total, bottom = 0.0, height
    for i in range(node_ptr[node], node_ptr[node + 1]):
        other, other_at_v = node_ends[i] // 2, node_ends[i] % 2 == 1
        bits = (edges[other, ALLOWED] >> (2 * travels.mode)) & BOTH_WAYS
        if (other == here.edge and other_at_v == at_v) or bits == 0 or height == len(stack):
            continue
        out_x, out_y = end_course(points, edges, other, other_at_v)
        ahead = -(in_x * out_x + in_y * out_y)
        chance = AHEAD_MIN + (1.0 - AHEAD_MIN) * max(ahead, 0.0) if ahead > SHARP_COSINE else SHARP
        # From u to v the edge needs the first bit, from v to u the second.
        if not bits & (2 if other_at_v == leaving else 1):
            chance *= travels.wrong_way
        stack[height, 0] = other
        stack[height, 1] = node_m + away * points[edges[other, LAST], 2] if other_at_v else node_m
        stack[height, 2] = -away if other_at_v else away
        stack[height, 3] = chance
        total += chance
        height += 1
    for i in range(bottom, height):
        stack[i, 3] = here.log_chance + log(stack[i, 3] / total)
    return height


@kernel
def _weighed(
    points: Floats,
    edges: Ints,
    travels: Travels,
    fix: Fix,
    prior: Moving,
    on: Stretch,
    best: float,
    child: Floats,
) -> bool:
    """Say whether a stretch is likely enough, and make ``child`` of it and the fix."""
    along_m, var_m2, speed, var_speed, covar = prior
    first, last = edges[on.edge, FIRST], edges[on.edge, LAST]
    seen_m, _, off_m, course_x, course_y = located(points, first, last, fix.x, fix.y)
    off2 = travels.off_road_m * travels.off_road_m + fix.var_m2
    # Along the way: where the fix is, and where the member was to be expected.
    gap_m, sum_m2 = on.base_m + on.sign * seen_m - along_m, var_m2 + fix.var_m2
    misfit = gap_m * gap_m / sum_m2 + off_m * off_m / off2
    log_weight = on.log_chance - 0.5 * (misfit + log(sum_m2))
    if log_weight < best + LOG_HOPELESS:
        return False
    gain, gain_speed = var_m2 / sum_m2, covar / sum_m2
    along_m += gain * gap_m
    speed += gain_speed * gap_m
    var_speed -= gain_speed * covar
    var_m2, covar = var_m2 * (1.0 - gain), covar * (1.0 - gain)
    # Along the course: how fast.
    known, forward, log_course = moved(
        fix, on.sign * course_x, on.sign * course_y, speed, var_speed
    )
    log_weight += log_course
    log_weight -= hurried(edges[on.edge, CAR_KMH], travels, fix)
    if known:
        sum_speed = var_speed + fix.noise_mps * fix.noise_mps
        miss = forward - speed
        log_weight -= 0.5 * (min(miss * miss / sum_speed, SPEED_MISFIT_MAX) + log(sum_speed))
        gain, gain_m = var_speed / sum_speed, covar / sum_speed
        along_m += gain_m * miss
        speed += gain * miss
        var_m2 -= gain_m * covar
        var_speed, covar = var_speed * (1.0 - gain), covar * (1.0 - gain)
    # What of the curve lies on this edge.
    after = Moving(along_m, max(var_m2, VAR_MIN_M2), speed, var_speed, covar)
    mass, after = _cut(after, on.low_m, on.high_m)
    if mass < MASS_MIN:
        return False
    child[LOG_WEIGHT] = (
        log_weight
        + log(mass)
        - against(edges, travels, on.edge, on.sign * after.speed_mps, after.var_speed)
    )
    length_m = points[last, 2]
    child[ALONG_M] = min(max(on.sign * (after.along_m - on.base_m), 0.0), length_m)
    child[SPEED_MPS] = on.sign * after.speed_mps
    child[VAR_M2], child[COVAR], child[VAR_SPEED] = after.var_m2, after.covar, after.var_speed
    child[EDGE], child[MISFIT] = on.edge, misfit
    return True


@kernel
def _cut(whole: Moving, low_m: float, high_m: float) -> tuple[float, Moving]:
    """Return the share of the curve between two places, and that part as a curve of its own."""
    along_m, var_m2, speed, var_speed, covar = whole
    sd_m = sqrt(var_m2)
    low, high = (low_m - along_m) / sd_m, (high_m - along_m) / sd_m
    if low < -CUT and high > CUT:
        return 1.0, Moving(along_m, var_m2, speed, max(var_speed, VAR_SPEED_MIN), covar)
    mass = within(low, high)
    if mass < MASS_MIN:
        return 0.0, whole
    at_low, at_high = bell(low), bell(high)
    shift = (at_low - at_high) / mass
    bend = (low * at_low if at_low > 0.0 else 0.0) - (high * at_high if at_high > 0.0 else 0.0)
    narrower = max(1.0 + bend / mass - shift * shift, NARROWEST)
    slope = covar / var_m2
    var_speed = max(var_speed - slope * covar * (1.0 - narrower), VAR_SPEED_MIN)
    return mass, Moving(
        along_m + shift * sd_m,
        var_m2 * narrower,
        speed + slope * shift * sd_m,
        var_speed,
        covar * narrower,
    )
