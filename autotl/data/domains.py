"""Compute how well frozen features serve a domain that no image was trained on. numpy only.

A linear classifier is fitted on all domains but one and judged on that one, for each in turn: the leave-one-domain-out
score by which methods of domain generalisation are compared (Gulrajani and Lopez-Paz, ICLR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.data.naive import out_of_fold
from autotl.records import Interval, Metric
from autotl.stats import metrics
from autotl.stats.folds import folds_for

__all__ = ["FEWEST_IMAGES", "MOST", "Domain", "left_out"]

MOST = 12  # groups that are domains; more are persons, tracks or places
FEWEST_IMAGES = 20  # of a domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The scores of one domain."""

    group: int
    images: int
    score: Interval  # of a classifier that saw the other domains alone
    mixed: float  # of one that saw other images of this domain, too


def left_out(
    features: np.ndarray, labels: np.ndarray, group: np.ndarray, metric: Metric
) -> tuple[Domain, ...]:
    """Return the scores of the domains in `group` (n,) by features (n, d); none where these are too few or too many."""
    numbers, counts = np.unique(group, return_counts=True)
    if not 2 <= len(numbers) <= MOST or counts.min() < FEWEST_IMAGES:
        return ()
    classes = 1 if labels.ndim == 2 else int(labels.max()) + 1
    across = out_of_fold(features, labels, np.searchsorted(numbers, group), metric)
    mixed = out_of_fold(features, labels, folds_for(labels, None), metric)
    return tuple(
        Domain(
            group=int(number),
            images=int(own.sum()),
            score=metrics.interval(metric, labels[own], across[own], classes),
            mixed=metrics.score(metric, labels[own], mixed[own], classes),
        )
        for number in numbers
        for own in (group == number,)
    )
