"""Metrics of numbers and of sets of labels, as one merit for each row.

The mean of the merits is the metric, exactly; their spread over rows is that of its influence function, so that one
standard error, with whole groups as clusters, serves every metric, and the difference of two models is one of paired
rows (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6: the infinitesimal jackknife).
numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from autotl.records import Metric

__all__ = ["LABEL_SETS", "NUMBERS", "average_precisions", "mean_average_precision", "r2"]

Merits = Callable[[np.ndarray, np.ndarray], np.ndarray]
DECIDED = 0.5  # probability from which a label is predicted, where no threshold was chosen


def r2(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return merits (n,) of R²: 1 − squared error / squared distance from the mean of the labels."""
    return _skill((labels - predicted) ** 2, (labels - labels.mean()) ** 2)


def mae(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return merits (n,) of D²: 1 − absolute error / absolute distance from the median of the labels.

    It orders models as their mean absolute error does, the smallest first, and is 0 for the best constant.
    """
    return _skill(np.abs(labels - predicted), np.abs(labels - np.median(labels)))


def _skill(error: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return merits of 1 − mean(error) / mean(usual): a ratio, linearised about its value."""
    scale = float(usual.mean())
    if scale <= 0:  # all labels are the same: 1 for all right, else 0
        return np.asarray((error <= 0).astype(float))
    value = 1 - float(error.mean()) / scale
    return np.asarray(value + ((1 - value) * usual - error) / scale)


def spearman(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return merits (n,) of Spearman's rank correlation; 0 where either is constant."""
    from scipy.stats import rankdata

    one, other = (_standardised(rankdata(values)) for values in (labels, predicted))
    value = float(np.mean(one * other))
    return np.asarray(value + one * other - value * (one**2 + other**2) / 2)


def _standardised(values: np.ndarray) -> np.ndarray:
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values)))


def mean_average_precision(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return merits (n,) of the mean over the classes, with an image, of average precision."""
    columns = [_average_precision(labels[:, place], scores[:, place]) for place in _present(labels)]
    return np.asarray(np.mean(columns, 0)) if columns else np.zeros(len(labels))


def average_precisions(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the average precision (classes,) of each class; NaN for one without an image.

    The mean over a class's images of the precision among all that score at least as much; images of equal score
    count together.
    """
    values = np.full(labels.shape[1], np.nan)
    for place in _present(labels):
        values[place] = _average_precision(labels[:, place], scores[:, place]).mean()
    return values


def _present(labels: np.ndarray) -> np.ndarray:
    return np.flatnonzero(labels.any(0))


def _average_precision(own: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return merits (n,) of one class: the average precision plus n times its derivative by the weight of a row."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hit = scores[order], own[order].astype(float)
    last = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))
    place = np.searchsorted(last, np.arange(len(order)))  # of the row's block of equal scores
    count, found = (last + 1.0)[place], np.cumsum(hit)[last][place]
    precision, positives = found / count, hit.sum()
    value = float((hit * precision).sum() / positives)
    # A row of more weight raises the count of every block from its own on, and the hits if it is one.
    start = np.searchsorted(place, place, side="left")
    rest = np.append(np.cumsum((hit / count)[::-1])[::-1], 0.0)[start]
    lost = np.append(np.cumsum((hit * precision / count)[::-1])[::-1], 0.0)[start]
    derivative = (hit * (precision - value) + hit * rest - lost) / positives
    merits = np.empty(len(order))
    merits[order] = value + len(order) * derivative
    return merits


def micro_f1(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return merits (n,) of F1 over all classes together, of labels whose probability is at least a half."""
    return _f1((labels > 0).astype(float), (scores >= DECIDED).astype(float))


def macro_f1(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return merits (n,) of the mean of F1 over the classes with an image, at a probability of one half."""
    claimed = (scores >= DECIDED).astype(float)
    columns = [_f1((labels[:, [place]] > 0).astype(float), claimed[:, [place]]) for place in _present(labels)]
    return np.asarray(np.mean(columns, 0)) if columns else np.zeros(len(labels))


def _f1(own: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Return merits of 2 · hits / (labels + predictions): a ratio, linearised about its value."""
    hits, both = 2 * (own * claimed).sum(1), own.sum(1) + claimed.sum(1)
    total = float(both.mean())
    if total <= 0:
        return np.zeros(len(own))
    value = float(hits.mean()) / total
    return np.asarray(value + (hits - value * both) / total)


NUMBERS: Mapping[Metric, Merits] = {"r2": r2, "mae": mae, "spearman": spearman}
LABEL_SETS: Mapping[Metric, Merits] = {
    "mean_average_precision": mean_average_precision,
    "micro_f1": micro_f1,
    "macro_f1": macro_f1,
}
