"""Evaluate predicted probabilities against labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotl.records import Interval, Metric
from autotl.records.evaluation import ClassEvaluation, Threshold
from autotl.stats import calibration, metrics

__all__ = ["by_chance", "measured"]

TOP = 5
CONFUSIONS = 10
FAR = 0.01  # share of images of the same kind that a model marks as far from its training images
STEPS = tuple(round(0.1 * step, 1) for step in range(1, 10))  # probabilities of the thresholds


def measured(
    metric: Metric,
    labels: np.ndarray,
    proba: np.ndarray,
    classes: tuple[str, ...],
    group: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what an `Evaluation` records of the probabilities (n, classes) of images with `labels` (n,)."""
    count = len(classes)
    predicted = proba.argmax(1)
    table = metrics.confusion(labels, predicted, count)
    top5 = None
    if count > TOP:
        best = np.argsort(-proba, axis=1, kind="stable")[:, :TOP]
        top5 = _rounded((best == labels[:, None]).any(1).mean())
    positive, thresholds = _thresholds(labels, proba, classes) if count == 2 else ("", ())
    return {
        "images": len(labels),
        "metric": metric,
        "score": metrics.interval(metric, labels, predicted, count, group),
        "accuracy": metrics.interval("accuracy", labels, predicted, count, group),
        "top5": top5,
        "auc": auc(labels, proba),
        "log_loss": _rounded(-np.log(np.maximum(proba[np.arange(len(labels)), labels], 1e-12)).mean()),
        "confidence": _rounded(proba.max(1).mean()),
        "calibration_error": _rounded(calibration.expected_error(proba, labels)),
        "classes": tuple(_of_class(number, table, classes) for number in range(count)),
        "confusions": _confusions(table, classes),
        "positive": positive,
        "thresholds": thresholds,
    }


def auc(labels: np.ndarray, proba: np.ndarray) -> float | None:
    """Return the area under the ROC curve, the mean over the classes with images; None for a single class.

    >>> auc(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]))
    1.0
    """
    from scipy.stats import rankdata

    areas = []
    for number in np.unique(labels):
        own = labels == number
        positive, negative = int(own.sum()), int((~own).sum())
        if negative:
            ranks = rankdata(proba[:, number])[own].sum()
            areas.append((ranks - positive * (positive + 1) / 2) / (positive * negative))
    return _rounded(np.mean(areas)) if areas else None


def by_chance(far: int, images: int) -> float:
    """Return the probability that so many images of the training images' kind, or more, are marked as far."""
    from scipy.stats import binomtest

    return float(binomtest(far, images, FAR, alternative="greater").pvalue) if images else 1.0


def _of_class(number: int, table: np.ndarray, classes: tuple[str, ...]) -> ClassEvaluation:
    support, claimed, hits = (
        int(table[number].sum()),
        int(table[:, number].sum()),
        int(table[number, number]),
    )
    recall: Interval | None = None
    if support:
        hit = (np.arange(support) < hits).astype(np.int64)
        recall = metrics.interval("accuracy", np.ones(support, np.int64), hit, 2)
    precision = _rounded(hits / claimed) if claimed else None
    return ClassEvaluation(name=classes[number], images=support, recall=recall, precision=precision)


def _confusions(table: np.ndarray, classes: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    cells = [divmod(int(cell), len(classes)) for cell in order]
    return tuple((classes[row], classes[col], int(wrong[row, col])) for row, col in cells if wrong[row, col])


def _thresholds(
    labels: np.ndarray, proba: np.ndarray, classes: tuple[str, ...]
) -> tuple[str, tuple[Threshold, ...]]:
    """Return the rarer of two classes, and its precision and recall from each probability on."""
    rarer = int((labels == 1).sum() <= (labels == 0).sum())
    own = labels == rarer
    if not own.any():
        return "", ()
    rows = []
    for step in STEPS:
        claimed = proba[:, rarer] >= step
        precision = _rounded(own[claimed].mean()) if claimed.any() else None
        rows.append(Threshold(probability=step, precision=precision, recall=_rounded(claimed[own].mean())))
    return classes[rarer], tuple(rows)


def _rounded(value: Any) -> float:
    return round(float(value), 6)
