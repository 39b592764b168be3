"""Tracks of invented travellers over a real map, where the truth is known: to judge a matcher by.

A traveller goes from place to place by the quickest ways of its mode, slows for turns, waits at
some junctions, and stands a while where it arrives. ``observed`` makes of the truth what a device
would send: places with noise, and speed and course that are worse the slower it goes.

**What noise of N metres means**: each fix is off by a normal deviate of N metres standard deviation
to the east and another to the north. The radius that a device would state for it (68 %) is 1.515 N.
Independent noise is the plain case; ``drifting`` noise has the same spread and changes slowly, as
reflections between buildings do, so that no mean of several fixes undoes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.geometry import Spot
from xiaohe.geo.modes import speed_mps
from xiaohe.geo.network import Network
from xiaohe.geo.roads import Mode
from xiaohe.geo.search import Leg, TravelField
from xiaohe.geo.snap import Site

Floats = NDArray[np.float64]

FIX_EVERY_S: Final = 5.0
STEP_M: Final = 2.0
"""Between points of the truth: far below any noise."""

REFUSED_MAX: Final = 20
"""So many goals without a way there, and the traveller stays where it is."""

STILL_M: Final = 1e-6
"""Points nearer than this are one."""

WAITS: Final = 0.2
"""Share of junctions at which one has to wait."""
WAIT_MEAN_S: Final = 12.0
STOP_LINE_M: Final[dict[Mode, float]] = {"walk": 4.0, "ebike": 6.0, "car": 8.0}
"""One waits so far before the middle of a junction: at the kerb, at the line."""
STAND_MEAN_S: Final = 40.0
"""At the end of a way, before the next one."""

PACE: Final = (0.75, 1.1)
"""The speeds of ways are these times the ones that the engine reckons with."""

GAIN_MPS2: Final[dict[Mode, float]] = {"walk": 1.0, "ebike": 1.2, "car": 2.0}
"""How quickly speed is gained and lost."""

TURN_MPS: Final[dict[Mode, float]] = {"walk": 5.0, "ebike": 3.5, "car": 5.0}
TURN_COSINE: Final = 0.7
"""A bend sharper than 45° is a turn, and is taken slowly."""

RADIUS_68: Final = 1.515
ACCURACY_SPREAD: Final = 0.25
"""Devices state their accuracy no better than so (deviation of its logarithm)."""

VELOCITY_NOISE_MPS: Final = 0.3
VELOCITY_NOISE_PER_M: Final = 0.02
"""Noise of the velocity to each side, and what a metre of noise in place adds to it."""

COURSE_FROM_MPS: Final = 0.5
"""Below this speed no course is stated."""

DRIFT_S: Final = 30.0
"""After about so long a drifting error is another one."""


@dataclass(frozen=True)
class Truth:
    """Where somebody was: an array a field, a row a fix. ``course_deg`` is nan standing still."""

    mode: Mode
    time_ms: NDArray[np.int64]
    edge: NDArray[np.int64]
    frac: Floats
    place_m: Floats
    speed_mps: Floats
    course_deg: Floats


@dataclass(frozen=True)
class Observed:
    """What a device sent; ``of`` is the row of the truth that each fix is of."""

    of: NDArray[np.int64]
    fix_ms: NDArray[np.int64]
    place_m: Floats
    accuracy_m: Floats
    speed_mps: Floats
    course_deg: Floats

    def only(self, rows: NDArray[np.int64]) -> "Observed":
        """Return some of the fixes, in the order given: left out, late or twice."""
        fields = {name: values[rows] for name, values in vars(self).items()}
        return replace(self, **fields)


def travelled(
    network: Network,
    mode: Mode,
    chance: np.random.Generator,
    *,
    minutes: float,
    every_s: float = FIX_EVERY_S,
    start_ms: int = 0,
) -> Truth:
    """Return the truth of somebody under way for so long, from a place by chance."""
    parts: list[Floats] = []
    begun_s = 0.0
    here = _somewhere(network, mode, chance)
    refused = 0
    while begun_s < minutes * 60 and refused < REFUSED_MAX:
        goal = _somewhere(network, mode, chance)
        legs = _way(network, mode, here, goal)
        if not legs:
            # A start from which nothing is reached is given up; who came to such a place stays.
            here = goal if not parts else here
            refused += len(parts) > 0
            continue
        refused = 0
        part = _timed(network, mode, legs, chance)
        part[:, 0] += begun_s
        parts.append(part)
        begun_s = float(part[-1, 0])
        here = goal
    return _sampled(mode, np.concatenate(parts), minutes * 60, every_s, start_ms)


def observed(
    truth: Truth, noise_m: float, chance: np.random.Generator, *, drifting: bool = False
) -> Observed:
    """Return what a device makes of the truth, with noise of ``noise_m`` (see the module)."""
    count = len(truth.time_ms)
    shocks = chance.normal(0.0, noise_m, (count, 2))
    if drifting:
        shocks = _drift(shocks, truth.time_ms / 1000.0)
    course = np.radians(np.nan_to_num(truth.course_deg))
    velocity = truth.speed_mps[:, None] * np.column_stack((np.sin(course), np.cos(course)))
    noise_mps = VELOCITY_NOISE_MPS + VELOCITY_NOISE_PER_M * noise_m
    velocity += chance.normal(0.0, noise_mps, (count, 2))
    speed = np.hypot(*velocity.T)
    seen_deg = np.degrees(np.arctan2(velocity[:, 0], velocity[:, 1])) % 360.0
    return Observed(
        of=np.arange(count),
        fix_ms=truth.time_ms.copy(),
        place_m=truth.place_m + shocks,
        accuracy_m=RADIUS_68 * noise_m * np.exp(chance.normal(0.0, ACCURACY_SPREAD, count)),
        speed_mps=speed,
        course_deg=np.where(speed < COURSE_FROM_MPS, nan, seen_deg),
    )


def place_alone(seen: Observed) -> Observed:
    """Return the same from a device that states neither speed nor course."""
    unstated = np.full(len(seen.of), nan)
    return replace(seen, speed_mps=unstated, course_deg=unstated)


def leaping(seen: Observed, chance: np.random.Generator, share: float, far_m: float) -> Observed:
    """Return the same with a share of fixes that are ``far_m`` off, each by itself."""
    place_m = seen.place_m.copy()
    hit = np.flatnonzero(chance.random(len(place_m)) < share)
    hit = hit[hit > 0]
    bearing = chance.random(len(hit)) * 2 * np.pi
    place_m[hit] += far_m * np.column_stack((np.sin(bearing), np.cos(bearing)))
    return replace(seen, place_m=place_m)


def silent(seen: Observed, chance: np.random.Generator, gaps: int, gap_s: float) -> Observed:
    """Return the same without the fixes of some stretches, as in a tunnel."""
    begun_ms = chance.choice(seen.fix_ms, gaps)
    lost = np.zeros(len(seen.of), np.bool_)
    for ms in begun_ms:
        lost |= (seen.fix_ms >= ms) & (seen.fix_ms < ms + 1000 * gap_s)
    return seen.only(np.flatnonzero(~lost))


def repeating(seen: Observed, chance: np.random.Generator, share: float) -> Observed:
    """Return the same where a share of fixes says the place before again, with a new time."""
    place_m = seen.place_m.copy()
    for row in np.flatnonzero(chance.random(len(place_m)) < share):
        place_m[row] = place_m[max(row - 1, 0)]
    return replace(seen, place_m=place_m)


def shuffled(seen: Observed, chance: np.random.Generator, share: float) -> Observed:
    """Return the same where a share of fixes comes after the next one."""
    rows = np.arange(len(seen.of))
    for row in np.flatnonzero(chance.random(len(rows) - 1) < share):
        rows[[row, row + 1]] = rows[[row + 1, row]]
    return seen.only(rows)


def _somewhere(network: Network, mode: Mode, chance: np.random.Generator) -> Spot:
    """Return a spot that the mode may use, on longer edges more often."""
    length_m = np.where(network.graphs[mode].usable, network.length_m, 0.0)
    edge = int(chance.choice(network.edge_count, p=length_m / length_m.sum()))
    return Spot(edge, float(chance.random()))


def _way(network: Network, mode: Mode, here: Spot, goal: Spot) -> tuple[Leg, ...]:
    lon, lat = network.point_at(goal)
    site = Site(lon, lat, goal, network.road_of(goal.edge), 0.0, lon, lat)
    field = TravelField(network, site, mode)
    legs = field.legs(here)
    return legs if sum(leg.length_m for leg in legs) > STEP_M else ()


def _timed(
    network: Network, mode: Mode, legs: tuple[Leg, ...], chance: np.random.Generator
) -> Floats:
    """Return rows (seconds, edge, share, x, y, speed, course) of one way, the standing included."""
    rows = np.concatenate([np.column_stack(columns) for columns in _laid(network, legs)])
    far_m = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(rows[:, 2:4], axis=0).T))))
    pace = chance.uniform(*PACE)
    top = pace * np.array([speed_mps(network.piece(int(edge)), mode) for edge in rows[:, 0]])
    course = np.arctan2(*np.diff(rows[:, 2:4], axis=0).T)
    course = np.append(course, course[-1])
    turned = np.cos(np.diff(course, prepend=course[0])) < TURN_COSINE
    top[turned] = np.minimum(top[turned], TURN_MPS[mode])
    junction = np.flatnonzero(np.diff(rows[:, 0], prepend=rows[0, 0]) != 0)
    waits = junction[chance.random(len(junction)) < WAITS]
    waits = np.unique(np.searchsorted(far_m, np.maximum(far_m[waits] - STOP_LINE_M[mode], 0.0)))
    top[waits] = 0.0
    top[[0, -1]] = 0.0
    speed = _kept_within(top, far_m, GAIN_MPS2[mode])
    mean = np.maximum((speed[1:] + speed[:-1]) / 2, 0.3)
    seconds = np.concatenate(([0.0], np.cumsum(np.diff(far_m) / mean)))
    pauses = np.zeros(len(rows))
    pauses[waits] = chance.exponential(WAIT_MEAN_S, len(waits))
    pauses[-1] = chance.exponential(STAND_MEAN_S)
    left = seconds + np.cumsum(pauses)
    came = left - pauses
    columns = (rows, speed[:, None], np.degrees(course)[:, None] % 360.0)
    there = np.column_stack((came, *columns))
    still = np.column_stack((left, *columns))[pauses > 0]
    whole = np.concatenate((there, still))
    return whole[np.argsort(whole[:, 0], kind="stable")]


def _laid(network: Network, legs: tuple[Leg, ...]) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield (edge, share, place) of the points along each leg, no farther apart than a step."""
    shapes = network.shapes
    for leg in legs:
        steps = max(int(leg.length_m / STEP_M), 1) + 1
        shares = np.linspace(leg.from_frac, leg.to_frac, steps)
        a, b = shapes.start[leg.edge], shapes.start[leg.edge + 1]
        along = shares * shapes.along_m[b - 1]
        place = [np.interp(along, shapes.along_m[a:b], shapes.metres[a:b, axis]) for axis in (0, 1)]
        yield np.full(steps, float(leg.edge)), shares, np.column_stack(place)


def _kept_within(top: Floats, far_m: Floats, gain_mps2: float) -> Floats:
    """Return the quickest speeds below ``top`` that are gained and lost no quicker than that."""
    speed = top.copy()
    step = 2 * gain_mps2 * np.diff(far_m)
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + step[i - 1]))
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + step[i]))
    return speed


def _sampled(mode: Mode, rows: Floats, until_s: float, every_s: float, start_ms: int) -> Truth:
    times = np.arange(0.0, until_s, every_s)
    at = np.searchsorted(rows[:, 0], times, side="right") - 1
    here, ahead = rows[at], rows[np.minimum(at + 1, len(rows) - 1)]
    still = np.hypot(*(ahead[:, 3:5] - here[:, 3:5]).T) < STILL_M
    span_s = np.maximum(ahead[:, 0] - here[:, 0], 1e-9)
    share = np.where(ahead[:, 1] == here[:, 1], np.clip((times - here[:, 0]) / span_s, 0, 1), 0.0)
    here = here + share[:, None] * (ahead - here)
    speed = np.where(still, 0.0, here[:, 5])
    return Truth(
        mode=mode,
        time_ms=start_ms + np.rint(times * 1000).astype(np.int64),
        edge=here[:, 1].astype(np.int64),
        frac=here[:, 2],
        place_m=here[:, 3:5],
        speed_mps=speed,
        course_deg=np.where(still, nan, rows[at, 6]),
    )


def _drift(shocks: Floats, seconds: Floats) -> Floats:
    """Return errors of the same spread that pass into each other over ``DRIFT_S``."""
    drifted = shocks.copy()
    for i in range(1, len(shocks)):
        kept = np.exp(-(seconds[i] - seconds[i - 1]) / DRIFT_S)
        drifted[i] = kept * drifted[i - 1] + np.sqrt(1 - kept * kept) * shocks[i]
    return drifted
