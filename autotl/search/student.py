"""Choose the input size and the epochs of a smaller backbone that learns from the winner. Pure: no clock."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.search.cost_model import MARGIN, OVERHEAD, RECALIBRATED, SETUP

__all__ = ["size_and_epochs"]

ENOUGH = 6.0  # epochs, below which a smaller input size is tried
LEAST = 2.0  # epochs that are worth training
MOST = 30.0  # epochs


def size_and_epochs(
    sizes: Sequence[int], seconds: float, *, step: float, latency: float, rows: int, predicted: int
) -> tuple[int, float] | None:
    """Return the largest of the input sizes at which a training has enough epochs, and their number.

    `sizes` are in falling order. `step` are the seconds of a training image and `latency` those of a predicted one at
    the first size; `rows` images train and `predicted` are predicted. None where even the smallest size has no time.

    >>> size_and_epochs((224, 128), 60, step=0.01, latency=0.003, rows=400, predicted=100)
    (224, 10.0)
    >>> size_and_epochs((224, 128), 25, step=0.01, latency=0.003, rows=400, predicted=100)
    (128, 12.0)
    """
    able = 0.0
    for size in sizes:
        area = (size / sizes[0]) ** 2
        once = SETUP + latency * area * (predicted + min(RECALIBRATED, rows))
        able = (seconds / MARGIN - once) / (rows * step * area * OVERHEAD)
        if able >= ENOUGH:
            break
    return (size, min(MOST, float(int(able)))) if able >= LEAST else None
