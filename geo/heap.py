"""A binary heap for the compiled loops: rows of (first, number, second), the least on top.

Compared by ``first`` (a time), then ``number``, then ``second``: so the order in which equal times
come is settled, and the same as that of Python's own heap over such tuples. ``reals`` (n, 2) holds
first and second, ``numbers`` (n,) the number; the caller keeps the count of rows in use.
"""

import numpy as np
from numpy.typing import NDArray

from xiaohe.geo.kernels import inlined

Reals = NDArray[np.float64]
Numbers = NDArray[np.int64]


@inlined
def heap_push(
    reals: Reals, numbers: Numbers, count: int, first: float, number: int, second: float
) -> int:
    """Put a row on a heap of ``count`` rows; return the new count. There must be room."""
    at = count
    while at > 0:
        above = (at - 1) >> 1
        above_first = reals[above, 0]
        if above_first < first or (
            above_first == first
            and (
                numbers[above] < number or (numbers[above] == number and reals[above, 1] <= second)
            )
        ):
            break
        reals[at, 0], reals[at, 1], numbers[at] = above_first, reals[above, 1], numbers[above]
        at = above
    reals[at, 0], reals[at, 1], numbers[at] = first, second, number
    return count + 1


@inlined
def heap_pop(reals: Reals, numbers: Numbers, count: int) -> int:
    """Take the top row off a heap of ``count`` rows; return the new count.

    Read the top before: it is row 0.
    """
    count -= 1
    first, second, number = reals[count, 0], reals[count, 1], numbers[count]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= count:
            break
        other = below + 1
        if other < count:
            mine, theirs = reals[below, 0], reals[other, 0]
            if theirs < mine or (
                theirs == mine
                and (
                    numbers[other] < numbers[below]
                    or (numbers[other] == numbers[below] and reals[other, 1] < reals[below, 1])
                )
            ):
                below = other
        below_first = reals[below, 0]
        if first < below_first or (
            first == below_first
            and (
                number < numbers[below] or (number == numbers[below] and second <= reals[below, 1])
            )
        ):
            break
        reals[at, 0], reals[at, 1], numbers[at] = below_first, reals[below, 1], numbers[below]
        at = below
    reals[at, 0], reals[at, 1], numbers[at] = first, second, number
    return count
