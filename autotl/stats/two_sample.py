"""Tests of two samples of images: whether a model is as good on one as on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autotl.records import Metric
from autotl.stats import metrics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """Images with their labels and a model's predictions; rows of one group are correlated."""

    labels: np.ndarray  # (n,) class index, or as another kind of target has them
    predicted: np.ndarray  # in the form that metrics compare
    group: np.ndarray | None = None  # (n,)


def p_value(
    metric: Metric, one: Answered, other: Answered, classes: int, *, value: float | None = None
) -> float:
    """Return the two-sided p-value of equal scores on both samples.

    `value` replaces the score on `one`, where that is known to be too high because it was chosen by. A Welch test on
    clusters: the variance of each sample is that of its groups, and at least that of independent images with the
    score of both samples together, so that twenty right answers in a row do not prove that a model is never wrong.
    """
    scores = [metrics.score(metric, of.labels, of.predicted, classes) for of in (one, other)]
    weights = [metrics.row_weights(metric, of.labels, classes) for of in (one, other)]
    hits = [metrics.row_values(metric, of.labels, of.predicted) for of in (one, other)]
    sizes = [len(of.labels) for of in (one, other)]
    together = (sum(float(hit.sum()) for hit in hits) + 0.5) / (sum(sizes) + 1)
    variances, freedom = [], 0.0
    for of, weight, hit in zip((one, other), weights, hits, strict=True):
        cluster = metrics.clusters(of.group, len(hit))
        error = metrics.standard_error(hit, weight, cluster)
        least = together * (1 - together) * float((weight**2).sum()) if metrics.is_share(metric) else 0.0
        if math.isnan(error):  # one group: it says nothing of others
            return 1.0
        variance = max(error**2, least)
        variances.append(variance)
        freedom += variance**2 / (len(np.unique(cluster)) - 1)
    total = sum(variances)
    if total <= 0:
        return 1.0
    from scipy.special import stdtr

    difference = (scores[0] if value is None else value) - scores[1]
    return float(2 * stdtr(total**2 / freedom, -abs(difference) / math.sqrt(total)))
