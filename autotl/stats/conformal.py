"""Prediction intervals of numbers, from absolute residuals of images that the model was not fitted on. numpy only.

Split conformal prediction (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-free predictive inference for
regression, JASA 113, 2018): the interval of a prediction is ± the ceil((n + 1) · level)-th smallest of n residuals. It
then holds a new image of the same kind at least as often as `level` says, whatever the distribution. With residuals
out-of-fold the guarantee is weaker and the frequency in practice the same (Barber, Candès, Ramdas and Tibshirani,
Predictive inference with the jackknife+, Annals of Statistics 49, 2021).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from autotl.records import Conformal

__all__ = ["LEVEL", "calibrate", "half_width", "on_new"]

LEVEL = 0.9


def calibrate(predicted: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None) -> Conformal:
    """Return half the width of the intervals for predictions (n,) of images with `labels` (n,).

    Residuals of a group go together, and the next image is of a group that is not among them: with groups, each group
    counts as often as any other.
    """
    width = half_width(np.abs(predicted - labels), group)
    return Conformal(level=LEVEL, half_width=width, images=len(labels))


def half_width(residuals: np.ndarray, group: np.ndarray | None = None) -> float | None:
    """Return the quantile of absolute residuals (n,) that `LEVEL` asks for; None where there are too few of them.

    >>> half_width(np.arange(1.0, 20.0)), half_width(np.arange(5.0))
    (18.0, None)
    """
    if not len(residuals):
        return None
    unit = np.arange(len(residuals)) if group is None else np.unique(group, return_inverse=True)[1]
    sizes = np.bincount(unit)
    wanted = math.ceil((len(sizes) + 1) * LEVEL - 1e-9)  # of the units
    if wanted > len(sizes):
        return None
    order = np.argsort(residuals, kind="stable")
    below = np.cumsum(1.0 / sizes[unit[order]])
    place = int(np.searchsorted(below, wanted - 1e-9))
    return round(float(residuals[order][min(place, len(order) - 1)]), 6)


def on_new(found: Conformal, predicted: np.ndarray, labels: np.ndarray) -> Conformal:
    """Return the intervals with their coverage on images that they were not made from: predictions and `labels` (n,)."""
    if found.half_width is None or not len(labels):
        return found
    held = float((np.abs(predicted - labels) <= found.half_width).mean())
    return replace(found, coverage=round(held, 6), tested=len(labels))
