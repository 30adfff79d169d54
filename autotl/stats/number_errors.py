"""The errors of predicted numbers: their size with intervals, and whether they grow with the prediction. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotl.records import Interval, Metric
from autotl.records.evaluation import ResidualBin
from autotl.stats import metrics

__all__ = ["bins", "mean_absolute", "measured", "root_mean_square", "spread"]

BIN = 10  # images of a bin of predictions, at least,
BINS = 5  # and bins, at most


def measured(
    metric: Metric,
    labels: np.ndarray,
    predicted: np.ndarray,
    group: np.ndarray | None = None,
    *,
    half_width: float | None = None,
) -> dict[str, Any]:
    """Return what a `NumberEvaluation` records of predictions (n,) for images with `labels` (n,)."""
    grows, p = spread(labels, predicted)
    held = None if half_width is None else np.abs(labels - predicted) <= half_width
    return {
        "images": len(labels),
        "metric": metric,
        "score": _six(metrics.interval(metric, labels, predicted, 1, group)),
        "mae": mean_absolute(labels, predicted, group),
        "rmse": root_mean_square(labels, predicted, group),
        "r2": _six(metrics.interval("r2", labels, predicted, 1, group)),
        "spearman": _six(metrics.interval("spearman", labels, predicted, 1, group)),
        "constant_mae": _rounded(np.abs(labels - np.median(labels)).mean()),
        "bias": _rounded((labels - predicted).mean()),
        "spread": grows,
        "spread_p": p,
        "half_width": half_width,
        "coverage": None if held is None else _rounded(held.mean()),
        "bins": bins(labels, predicted, half_width),
    }


def mean_absolute(labels: np.ndarray, predicted: np.ndarray, group: np.ndarray | None = None) -> Interval:
    """Return the mean absolute error with a 95 % interval: Student's, on the logarithm, which stays above 0."""
    return _of_mean(np.abs(labels - predicted), group, power=1.0)


def root_mean_square(labels: np.ndarray, predicted: np.ndarray, group: np.ndarray | None = None) -> Interval:
    """Return the root of the mean squared error with a 95 % interval, as `mean_absolute`."""
    return _of_mean((labels - predicted) ** 2, group, power=0.5)


def _of_mean(errors: np.ndarray, group: np.ndarray | None, *, power: float) -> Interval:
    mean = float(errors.mean()) if len(errors) else float("nan")
    cluster = metrics.clusters(group, len(errors))
    error = metrics.standard_error(errors, np.full(len(errors), 1 / max(len(errors), 1)), cluster)
    if not np.isfinite(error) or mean <= 0:
        return Interval(value=_rounded(mean**power), low=0.0, high=_rounded(mean**power))
    factor = float(np.exp(min(metrics.point(metrics.Z95, cluster) * error / mean, 50.0)))
    low, high = (mean / factor) ** power, (mean * factor) ** power
    return Interval(value=_rounded(mean**power), low=_rounded(low), high=_rounded(high))


def spread(labels: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Return the rank correlation of predictions and absolute errors, and its p-value.

    Errors whose size depends on the prediction are heteroscedastic: one interval for all is then too wide for some
    images and too narrow for others. By ranks, as outliers would decide otherwise.
    """
    from scipy.stats import spearmanr

    residuals = np.abs(labels - predicted)
    if len(labels) < 2 * BIN or predicted.std() <= 0 or residuals.std() <= 0:
        return 0.0, 1.0
    found = spearmanr(predicted, residuals)
    return _rounded(found.statistic), _rounded(found.pvalue)


def bins(labels: np.ndarray, predicted: np.ndarray, half_width: float | None) -> tuple[ResidualBin, ...]:
    """Return the errors by prediction, about as many images in each bin."""
    number = min(BINS, len(labels) // BIN)
    made = []
    for rows in np.array_split(np.argsort(predicted, kind="stable"), number) if number > 1 else []:
        residuals = labels[rows] - predicted[rows]
        held = None if half_width is None else _rounded((np.abs(residuals) <= half_width).mean())
        made.append(
            ResidualBin(
                low=_rounded(predicted[rows].min()),
                high=_rounded(predicted[rows].max()),
                images=len(rows),
                bias=_rounded(residuals.mean()),
                mae=_rounded(np.abs(residuals).mean()),
                coverage=held,
            )
        )
    return tuple(made)


def _rounded(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _six(found: Interval) -> Interval:
    return Interval(value=_rounded(found.value), low=_rounded(found.low), high=_rounded(found.high))
