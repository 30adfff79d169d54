"""Compute 80% intervals of time forecasts."""

from __future__ import annotations

import math
from collections.abc import Sequence

ERROR = 0.25  # deviation of log(taken / forecast) before a run has any to compare
ERROR_HEAD = 0.8  # the same for a head in closed form: short, and it waits for every core at once
ERROR_WEIGHT = 2.0  # which counts like so many forecasts
ROUGH = 0.3  # seconds, that a training may be out however short it is
Z80 = 1.281552  # two-sided 80% point of the standard normal


def within(seconds: float, ratios: Sequence[float], error: float = ERROR) -> tuple[float, float]:
    """Return the 80% interval of a forecast, by how much longer or shorter earlier trainings took than theirs.

    `ratios` are seconds taken over seconds forecast; their logarithms are taken for normal about none, with
    a deviation of `error` as long as there are none.
    """
    squares = sum(math.log(ratio) ** 2 for ratio in ratios)
    deviation = math.sqrt((ERROR_WEIGHT * error**2 + squares) / (ERROR_WEIGHT + len(ratios)))
    factor = math.exp(Z80 * deviation)
    return max(0.0, seconds / factor - ROUGH), seconds * factor + ROUGH
