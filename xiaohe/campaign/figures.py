"""Percentiles of recoveries, kept with the figures that they were made of."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def spread(seconds: Iterable[float]) -> dict[str, Any]:
    """Give number, median, 99th percentile and largest, and every single one, to a tenth."""
    each = sorted(round(value, 1) for value in seconds)
    if not each:
        return {"n": 0, "p50": None, "p99": None, "max": None, "each": []}
    p50, p99 = np.percentile(each, (50, 99), method="higher")
    return {"n": len(each), "p50": float(p50), "p99": float(p99), "max": each[-1], "each": each}
