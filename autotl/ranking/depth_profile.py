"""Features at every layer group → DepthProfile: accuracy on frozen features by depth, before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autotl.builtin import scores
from autotl.protocols import ScoreCall
from autotl.records import DepthPoint, DepthProfile
from autotl.stats import metrics

MOST_ROWS = 600  # images; the closed forms grow with the cube of them


def profile(
    backbone: str,
    size: int,
    groups: Sequence[np.ndarray],
    labels: np.ndarray,
    folds: np.ndarray,
    images: int | None = None,
    cluster: np.ndarray | None = None,
) -> DepthProfile:
    """Return the profile of features (n, d_i), shallow to deep, with labels (n,), cross-validated over the folds.

    `images` is the number of different ones, where rows are repeated so that all classes weigh the same. Rows of one
    `cluster` (n,) are not independent: images of one group, or one image that is repeated.
    """
    calls = [ScoreCall(features=features, labels=labels, folds=folds) for features in groups]
    points = tuple(_point(depth, call, cluster) for depth, call in enumerate(calls, start=1))
    return DepthProfile(backbone=backbone, size=size, points=points, rows=images or len(labels))


def _point(depth: int, call: ScoreCall, cluster: np.ndarray | None) -> DepthPoint:
    """Return the scores after a layer group, rounded: as they are written down and decided by."""
    labels = call.labels
    metric, answers = metrics.of_labels(labels), scores.linear_answers(call)
    classes = int(labels.max()) + 1 if metric == "accuracy" else 0
    likely = metrics.interval(metric, labels, answers, classes, cluster)
    return DepthPoint(
        depth=depth,
        linear=round(max(likely.value, 0.0), 6),
        low=round(likely.low, 6),
        high=round(likely.high, 6),
        knn=round(scores.knn(call), 6),
        width=call.features.shape[1],
    )


def recoverable(profile: DepthProfile) -> tuple[int, float]:
    """Return the number of last layer groups that lose accuracy, and the share of the error that this loss makes up.

    Fine-tuning these groups can reach at least the linear probe below them. (0, 0.0) where the features that enter
    the classifier are the best of all depths, within a standard error.
    """
    last = profile.points[-1]
    best = max(profile.points, key=lambda point: (point.linear, point.depth))
    gain = best.linear - last.linear
    noise = (max(last.linear * (1 - last.linear), 0.01) / profile.rows) ** 0.5
    if gain <= noise:
        return 0, 0.0
    return last.depth - best.depth, gain / (1 - last.linear)
