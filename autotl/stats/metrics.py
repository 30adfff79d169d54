"""The metrics that a goal may name, and their intervals. `target_kinds` lists them.

Classes are judged by hits, one a row, with weights; numbers and sets of labels by the merits of
`autotl.stats.merits`. Both are values a row whose weighted mean is the metric.
"""

from __future__ import annotations

import numpy as np

from autotl.records import Interval, Metric
from autotl.stats import merits, values

Z95 = 1.959964  # two-sided 95% point of the standard normal
LARGE = 200  # degrees of freedom, from which Student's t is the normal


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): rows are the true class, columns the predicted one."""
    cell = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    flat = np.bincount(cell, minlength=classes * classes)
    return np.asarray(flat.reshape(classes, classes))


def score(metric: Metric, labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Return the metric as a fraction; classes absent from `labels` do not count. NaN for no rows.

    >>> score("balanced_accuracy", np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
    0.5
    """
    if len(labels) == 0:
        return float("nan")
    if (of_rows := _merits(metric, labels, predicted)) is not None:
        return float(of_rows.mean())
    if metric == "accuracy":
        return float(np.mean(labels == predicted))
    table = confusion(labels, predicted, classes)
    truth, claimed, right = table.sum(1), table.sum(0), np.diag(table)
    present = truth > 0
    recall = right[present] / truth[present]
    if metric == "balanced_accuracy":
        return float(recall.mean())
    precision = right[present] / np.maximum(claimed[present], 1)
    return float(np.mean(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def _merits(metric: Metric, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray | None:
    """Return the merits (n,) of predictions; None for classes, which have hits."""
    if labels.ndim == 2:
        return merits.LABEL_SETS[metric](labels, predicted)
    return merits.NUMBERS[metric](labels, predicted) if metric in merits.NUMBERS else None


def row_values(metric: Metric, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the value (n,) of each row whose mean, weighted by `row_weights`, is the metric: 0 or 1 for a class."""
    of_rows = _merits(metric, labels, predicted)
    return (labels == predicted).astype(float) if of_rows is None else of_rows


def of_labels(labels: np.ndarray) -> Metric:
    """Return the metric of labels of a kind in which all rows weigh the same: accuracy, R² or mean average precision."""
    kind = values.of(labels)
    if isinstance(kind, values.Classes):
        return "accuracy"
    return "r2" if isinstance(kind, values.Numbers) else "mean_average_precision"


def is_share(metric: Metric) -> bool:
    """Return whether a metric lies between 0 and 1 as a share of images does; that of numbers has no lower end."""
    return metric not in merits.NUMBERS


def of_constant(metric: Metric, labels: np.ndarray, classes: int) -> float:
    """Return the score of always giving the same answer, the best one."""
    kind = values.of(labels)
    if isinstance(kind, values.Classes) and metric != "accuracy":
        return 1.0 / max(len(np.unique(labels)), 1)
    return score(metric, labels, kind.constant(labels, classes), classes)


def row_weights(metric: Metric, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return weights (n,) whose weighted mean of hits is the metric (macro F1: its balanced-accuracy proxy).

    They turn every metric into a mean over rows, which is what paired tests and intervals need.
    """
    if metric == "accuracy" or not isinstance(values.of(labels), values.Classes):
        return np.full(len(labels), 1.0 / max(len(labels), 1))
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(1.0 / (counts[labels] * max(int((counts > 0).sum()), 1)))


def fitting_weights(metric: Metric, labels: np.ndarray, own: np.ndarray | None = None) -> np.ndarray | None:
    """Return the weight (n,) of each row in a fit for the metric; None where all rows weigh the same.

    Where every class weighs the same, each has the same sum of weights; their mean is 1. `own` (n,) are weights that
    the data give to their items: they count within a class, or over all rows where rows weigh the same in the metric.
    """
    if metric == "accuracy" or not isinstance(values.of(labels), values.Classes):
        return None if own is None else np.asarray(own / own.mean())
    _, place = np.unique(labels, return_inverse=True)
    given = np.ones(len(labels)) if own is None else own
    sums = np.bincount(place, given)
    return np.asarray(len(labels) * given / (len(sums) * sums[place]))


def clusters(group: np.ndarray | None, rows: int) -> np.ndarray:
    """Return the cluster number (n,) of each row: its group, or itself."""
    return np.arange(rows) if group is None else np.unique(group, return_inverse=True)[1]


def standard_error(values: np.ndarray, weights: np.ndarray, cluster: np.ndarray) -> float:
    """Return the standard error of ``sum(weights * values)`` when rows of a cluster are correlated.

    The usual sandwich estimator of a weighted mean, with the small-sample factor G/(G-1).
    """
    mean = float(weights @ values / weights.sum())
    sums = np.bincount(cluster, weights=weights * (values - mean))
    number = int((np.bincount(cluster) > 0).sum())
    if number < 2:
        return float("nan")
    return float(np.sqrt(np.sum(sums**2) * number / (number - 1)))


def point(z: float, cluster: np.ndarray) -> float:
    """Return the point of Student's t that stands for `z` of the normal, by the number of clusters less one.

    A standard error that few clusters gave is itself uncertain (Cameron, Gelbach and Miller 2008).
    """
    freedom = int((np.bincount(cluster) > 0).sum()) - 1
    if freedom < 1 or freedom >= LARGE:
        return z
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(freedom, ndtr(z)))


def interval(
    metric: Metric, labels: np.ndarray, predicted: np.ndarray, classes: int, group: np.ndarray | None = None
) -> Interval:
    """Return the metric with a 95% interval for its value on new images of the same kind.

    Wilson's score interval on the effective number of rows (weights and clusters taken into account),
    which stays inside 0..1 and keeps its coverage near both ends (Wilson, JASA 22, 1927). With groups Student's t
    stands in for the normal. Metrics of numbers, which no share of rows can be, have Student's interval on the scale on
    which they are nearly normal: log(1 - R²), and Fisher's z of a correlation.
    """
    value = score(metric, labels, predicted, classes)
    if not is_share(metric):
        return _of_numbers(metric, value, row_values(metric, labels, predicted), group)
    weights = row_weights(metric, labels, classes)
    hits = row_values(metric, labels, predicted)
    cluster = clusters(group, len(labels))
    error = standard_error(hits, weights, cluster)
    mean = min(max(float(weights @ hits), 0.0), 1.0)
    independent = 1.0 / float(np.sum(np.bincount(cluster, weights=weights) ** 2))  # Kish, with whole clusters
    if error > 0 and 0 < mean < 1:
        rows = min(mean * (1 - mean) / error**2, float(len(labels)))
    else:  # all right or all wrong: the variance is 0, so the design alone counts
        rows = independent
    rows = max(rows, 1.0)
    t = Z95 if group is None else point(Z95, cluster)
    centre = (value + t**2 / (2 * rows)) / (1 + t**2 / rows)
    half = t / (1 + t**2 / rows) * np.sqrt(value * (1 - value) / rows + t**2 / (4 * rows**2))
    return Interval(value=value, low=float(max(0.0, centre - half)), high=float(min(1.0, centre + half)))


def _of_numbers(metric: Metric, value: float, of_rows: np.ndarray, group: np.ndarray | None) -> Interval:
    cluster = clusters(group, len(of_rows))
    error = standard_error(of_rows, np.full(len(of_rows), 1 / max(len(of_rows), 1)), cluster)
    if not np.isfinite(error):  # one cluster says nothing of others
        return Interval(value=value, low=min(value, 0.0), high=1.0)
    wide = point(Z95, cluster) * error
    if metric == "spearman":
        room = max(1 - value**2, 1e-12)
        low, high = np.tanh(
            np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)) + np.array([-1, 1]) * wide / room
        )
        return Interval(value=value, low=float(low), high=float(high))
    left = max(1 - value, 1e-12)
    factor = float(np.exp(min(wide / left, 700.0)))
    return Interval(value=value, low=1 - left * factor, high=1 - left / factor)


def paired_difference(
    metric: Metric,
    labels: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    classes: int,
    group: np.ndarray | None = None,
    z: float = Z95,
) -> Interval:
    """Return the metric of `one` minus that of `other` on the same rows, with an interval at ±`z` errors.

    Few rows or groups make it the point of Student's t that corresponds to `z`. The variance of a paired difference
    has a floor of one discordant row, as in the add-one form of McNemar's test: that two models agree on every one
    of 20 images does not prove them equal. Numbers have none: two models do not agree on them by chance.
    """
    weights = row_weights(metric, labels, classes)
    difference = row_values(metric, labels, one) - row_values(metric, labels, other)
    value = float(weights @ difference)
    if metric == "macro_f1":
        value = score(metric, labels, one, classes) - score(metric, labels, other, classes)
    cluster = clusters(group, len(labels))
    error, z = standard_error(difference, weights, cluster), point(z, cluster)
    floor = float(np.sqrt(np.sum(weights**2) / max(len(labels), 1))) if is_share(metric) else 0.0
    error = max(error, floor) if error == error else 1.0
    return Interval(value=value, low=value - z * error, high=value + z * error)
