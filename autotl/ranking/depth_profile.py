"""features at every layer group → DepthProfile: what the labels can be told by at each depth, before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autotl.builtin import scores
from autotl.records import DepthPoint, DepthProfile

MOST_ROWS = 600  # images; the closed forms grow with the cube of them


def profile(
    backbone: str, size: int, groups: Sequence[np.ndarray], labels: np.ndarray, folds: np.ndarray
) -> DepthProfile:
    """The profile of features (n, d_i), shallow to deep, with labels (n,); rows of a fold are judged by the others."""
    points = tuple(
        DepthPoint(
            depth=depth,
            linear=scores.linear(features, labels, folds),
            knn=scores.knn(features, labels, folds),
            width=features.shape[1],
        )
        for depth, features in enumerate(groups, start=1)
    )
    return DepthProfile(backbone=backbone, size=size, points=points, rows=len(labels))


def recoverable(profile: DepthProfile) -> tuple[int, float]:
    """How many of the last layer groups lose what an earlier one knew, and the share of the error that makes.

    Whoever trains these groups again can do at least what a linear probe does below them. (0, 0.0) where the
    features that enter the classifier are the best there are, within a standard error.
    """
    last = profile.points[-1]
    best = max(profile.points, key=lambda point: (point.linear, point.depth))
    gain = best.linear - last.linear
    noise = (max(last.linear * (1 - last.linear), 0.01) / profile.rows) ** 0.5
    if gain <= noise:
        return 0, 0.0
    return last.depth - best.depth, gain / (1 - last.linear)
