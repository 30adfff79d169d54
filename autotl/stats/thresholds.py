"""The probability of each class from which it is predicted, where an image has any number of classes. numpy only.

The threshold of a class is the one of the highest F1 (Lipton, Elkan and Narayanaswamy, Optimal thresholding of
classifiers to maximize F1 measure, ECML PKDD 2014), found on images that the model was not fitted on. What it is worth
is judged out-of-fold: a threshold that few images chose suits these images too well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotl.records import LabelThresholds
from autotl.stats.folds import folds_for

__all__ = ["calibrate", "chosen", "f1_scores", "on_new"]

USUAL = 0.5  # of a class with too few images to choose one,
FEWEST = 5  # i.e. fewer than so many
FOLDS = 5


def calibrate(
    probabilities: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None
) -> LabelThresholds:
    """Return the thresholds for probabilities (n, classes) of images with `labels` (n, classes) of 0 and 1."""
    fold = folds_for(labels, group, FOLDS)
    decided = np.zeros(labels.shape, bool)
    for number in np.unique(fold):
        out = fold == number
        decided[out] = probabilities[out] >= chosen(probabilities[~out], labels[~out])
    micro, macro = f1_scores(labels, decided)
    return LabelThresholds(
        thresholds=tuple(chosen(probabilities, labels).tolist()),
        micro_f1=micro,
        macro_f1=macro,
        images=len(labels),
    )


def chosen(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the threshold (classes,) of the highest F1 of each class: half way between two probabilities.

    Of equal ones it is that nearest to `USUAL`.
    """
    thresholds = np.full(labels.shape[1], USUAL)
    for place in range(labels.shape[1]):
        own, scores = labels[:, place] > 0, probabilities[:, place].astype(float)
        if not FEWEST <= int(own.sum()) <= len(own) - FEWEST:
            continue
        order = np.argsort(-scores, kind="stable")
        hits = np.cumsum(own[order])
        f1 = 2 * hits / (np.arange(1, len(own) + 1) + own.sum())
        ranked = scores[order]
        between = np.append((ranked[1:] + ranked[:-1]) / 2, ranked[-1] / 2)
        f1[:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal probabilities are on one side
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        thresholds[place] = between[best[np.abs(between[best] - USUAL).argmin()]]
    return np.round(thresholds, 6)


def f1_scores(labels: np.ndarray, decided: np.ndarray) -> tuple[float, float]:
    """Return micro and macro F1 of predicted labels (n, classes); classes without an image do not count."""
    own = labels > 0
    hits, both = 2 * (own & decided).sum(0), own.sum(0) + decided.sum(0)
    present = own.any(0)
    macro = float((hits[present] / both[present]).mean()) if present.any() else 0.0
    return round(float(hits.sum() / max(both.sum(), 1)), 6), round(macro, 6)


def on_new(found: LabelThresholds, probabilities: np.ndarray, labels: np.ndarray) -> LabelThresholds:
    """Return the thresholds with F1 on images that they were not chosen on."""
    micro, macro = f1_scores(labels, probabilities >= np.array(found.thresholds))
    return replace(found, test_micro_f1=micro, test_macro_f1=macro)
