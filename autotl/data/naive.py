"""Compute what a random split would show and choose where a run keeps images together or leaves some out. numpy only.

Linear classifiers on frozen features are judged out-of-fold twice, on the same images: by folds drawn at random and by
those that the run respects. Nothing is trained again, so this says what the split changes for frozen features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autotl.records import Interval, Metric
from autotl.stats import metrics, ridge, values
from autotl.stats.folds import folds_for

PENALTY = 2  # of `ridge.PENALTIES`


@dataclass(frozen=True, slots=True, kw_only=True)
class Naive:
    """Scores of the backbones by a random split and by the run's own, and which each of them chooses."""

    random: Mapping[str, float]  # by backbone
    own: Mapping[str, float]
    by_random: str  # the backbone of the highest score
    by_own: str
    lost: (
        Interval | None
    )  # score by the run's own split that the choice of the random one loses; None: the same


def naive(
    features: Mapping[str, np.ndarray],
    labels: np.ndarray,
    group: np.ndarray | None,
    left_out: np.ndarray,
    metric: Metric,
) -> Naive:
    """Return the comparison for features (n, d) by backbone, all of the same rows.

    `group` are those that the run keeps whole, `left_out` (n,) bool the rows that take no part in it: a random
    split trains on them too, and no score counts them.
    """
    classes = 1 if labels.ndim == 2 else int(labels.max()) + 1
    kept = np.flatnonzero(~left_out)
    whole = None if group is None else group[kept]
    predicted: dict[str, np.ndarray] = {}
    random: dict[str, float] = {}
    for name, pooled in features.items():
        drawn = out_of_fold(pooled, labels, folds_for(labels, None), metric)
        random[name] = round(metrics.score(metric, labels[kept], drawn[kept], classes), 6)
        folds = folds_for(labels[kept], whole)
        predicted[name] = out_of_fold(pooled[kept], labels[kept], folds, metric)
    own = {
        name: round(metrics.score(metric, labels[kept], answers, classes), 6)
        for name, answers in predicted.items()
    }
    by_random, by_own = (max(scores, key=lambda name: scores[name]) for scores in (random, own))
    lost = None
    if by_random != by_own:
        lost = metrics.paired_difference(
            metric, labels[kept], predicted[by_own], predicted[by_random], classes, whole
        )
    return Naive(random=random, own=own, by_random=by_random, by_own=by_own, lost=lost)


def out_of_fold(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, metric: Metric) -> np.ndarray:
    """Return what a ridge regression on the other folds predicts (n,), fitted for the metric."""
    kind = values.of(labels)
    if not isinstance(kind, values.Classes):
        aims = kind.targets(labels, 1)
        x = ridge.standardise(features)
        tables = ridge.left_out_targets(x, aims - aims.mean(0), folds, (PENALTY,))
        return kind.answers(tables[0] + aims.mean(0))
    present, place = np.unique(labels, return_inverse=True)
    weights = metrics.fitting_weights(metric, labels)
    x = ridge.standardise(features)
    x -= np.average(x, 0, weights)
    scores = ridge.left_out(x, place, folds, weights)[PENALTY]
    return np.asarray(present[scores.argmax(1)])
