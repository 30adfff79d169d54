"""Compute 80 % intervals of time forecasts."""

from __future__ import annotations

import math
from collections.abc import Sequence

ASTRAY = 0.25  # deviation of log(taken / forecast) before a run has seen how its forecasts do,


ASTRAY_HEAD = 0.8  # the same for a head in closed form: short, and it waits for every core at once


ASTRAY_WEIGHT = 2.0  # which counts like so many forecasts


ROUGH = 0.3  # seconds, that a training may be out however short it is


Z80 = 1.281552  # two-sided 80 % point of the standard normal


def within(seconds: float, ratios: Sequence[float], astray: float = ASTRAY) -> tuple[float, float]:
    """The 80 % interval of a forecast, by how much longer or shorter earlier trainings took than theirs.

    `ratios` are seconds taken over seconds forecast; their logarithms are taken for normal about none, with
    a deviation of `astray` as long as there are none.
    """
    squares = sum(math.log(ratio) ** 2 for ratio in ratios)
    deviation = math.sqrt((ASTRAY_WEIGHT * astray**2 + squares) / (ASTRAY_WEIGHT + len(ratios)))
    factor = math.exp(Z80 * deviation)
    return max(0.0, seconds / factor - ROUGH), seconds * factor + ROUGH
