"""What a stated speed and course say: whether one stands, which way one goes, and on which road."""

from math import erfc, exp, log, sqrt
from typing import Final

from xiaohe.geo.grid import Ints
from xiaohe.geo.kernels import kernel
from xiaohe.geo.matching_ways import ALLOWED, BOTH_WAYS, ROOT_2, Fix, Travels
from xiaohe.geo.modes import KMH_PER_MPS
from xiaohe.geo.roads import MODES

CALM_MPS: Final = 1.0
"""Slower than this one stands, and in no direction."""

CERTAIN: Final = 2.0
"""Standard deviations of a speed from which on its direction is taken as known."""

STANDING_NOISES: Final = 5.0
STANDING_SHARE: Final = 0.5
"""Who states less than so many times the noise of a speed, and less than this share of what is
usual in the mode, may well stand: the more surely, the less it is …"""

STANDING_FADES: Final = 0.6
"""… until, this share below it, one stands for certain."""

COURSE_NOISE: Final = 0.07
"""Radians that a road bends between its vertices, and a receiver's course lags."""

COURSE_OUTLIER: Final = 0.002
"""Share of the courses stated by who moves that mean nothing."""

CAR: Final = MODES.index("car")

IN_A_HURRY: Final = 1.1
IN_A_HURRY_SPREAD: Final = 0.15
"""Cars go at up to so many times what the road allows, and few go this share of it faster yet."""

HURRIED_MISFIT_MAX: Final = 4.0
"""Some go faster still, on any road: more squared deviations say no more against."""


@kernel
def standing(travels: Travels, speed_mps: float, noise_mps: float) -> float:
    """Return how far a stated speed is that of who stands, 0 … 1; 0 where none is stated."""
    fastest_mps = min(STANDING_NOISES * noise_mps, STANDING_SHARE * travels.speed_typical_mps)
    if not speed_mps < fastest_mps:
        return 0.0
    return min((1.0 - speed_mps / fastest_mps) / STANDING_FADES, 1.0)


@kernel
def hurried(car_kmh: int, travels: Travels, fix: Fix) -> float:
    """Return what going faster than the road allows costs in log weight.

    So a car at 80 km/h is on the deck, and not on the street below it. Going slowly says nothing:
    there are jams on decks.
    """
    if travels.mode != CAR or not fix.has_speed:
        return 0.0
    usual_mps = car_kmh / KMH_PER_MPS
    over = (fix.speed_mps - IN_A_HURRY * usual_mps) / (
        IN_A_HURRY_SPREAD * usual_mps + fix.aside_mps
    )
    return 0.5 * min(over * over, HURRIED_MISFIT_MAX) if over > 0.0 else 0.0


@kernel
def moved(
    fix: Fix, course_x: float, course_y: float, speed: float, var_speed: float
) -> tuple[bool, float, float]:
    """Return what speed and course say of moving in a direction, for who does so at ``speed``.

    As (whether the speed that way is known, that speed, the log of how likely the rest is).
    """
    certain = speed * speed > CERTAIN * CERTAIN * var_speed
    if not fix.has_course:
        if not fix.has_speed or (not certain and fix.speed_mps > fix.noise_mps):
            return False, 0.0, 0.0  # nothing is stated, or fast and either way
        return True, fix.speed_mps if speed >= 0.0 else -fix.speed_mps, 0.0
    if not fix.has_speed and not certain:
        return False, 0.0, 0.0
    stated = fix.speed_mps if fix.has_speed else abs(speed)
    ahead = stated * (fix.course_x * course_x + fix.course_y * course_y)
    across = stated * (fix.course_x * course_y - fix.course_y * course_x)
    bent = COURSE_NOISE * stated
    likely = exp(-0.5 * across * across / (fix.aside_mps * fix.aside_mps + bent * bent))
    if not fix.has_speed and ahead * speed < 0.0:
        likely = 0.0
    return fix.has_speed, ahead, log(likely + COURSE_OUTLIER)


@kernel
def against(edges: Ints, travels: Travels, edge: int, speed: float, var_speed: float) -> float:
    """Return what going against a one-way costs in log weight: nothing, for who stands."""
    bits = (edges[edge, ALLOWED] >> (2 * travels.mode)) & BOTH_WAYS
    if bits == BOTH_WAYS:
        return 0.0
    right_way = speed if bits == 1 else -speed
    share = 0.5 * erfc(-(right_way + CALM_MPS) / (ROOT_2 * sqrt(var_speed)))
    return -log(max(share, travels.wrong_way))
