"""A linear probe's learning curve over nested subsamples, and the accuracy that more images should add.

A classifier's error falls about as a power of the number of training images (Hestness et al., 2017; Viering
and Loog, TPAMI 2023). A few points support no richer model, and the curve is not extrapolated beyond twice
the images there are. An asymptote is given only where the curve has reached it: both the accuracy on held-out images
and that on the images fitted on have flattened. No torch.
"""

from __future__ import annotations

import numpy as np

from autotl.records import Interval, LearningCurve
from autotl.stats import metrics, values
from autotl.stats.ridge import PENALTIES, standardise

SHARES = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)  # of the images that a fold trains on
RESAMPLES = 200
FEWEST = 8  # images of the smallest subsample, and two a class
MOST_ROWS = 2000  # images; more change the curve little and take more than about a second
SHRINK = 0.65  # of the gain by the power law that came true, on sets that were doubled (docs/measurements/ranking.md),
SHRINK_LOW = 0.3  # and the factor that its lower limit needed
HALF = SHARES.index(0.5)  # between this one and the last the images double
FLAT = 0.015  # of accuracy: a curve has flattened where its last doubling made less, at both ends of the 95% interval
FURTHER = 0.4  # additional images that the gain is computed for, as a share of the images; rounded


def learning_curve(
    backbone: str, input_size: int, features: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> LearningCurve | None:
    """Return the curve of a ridge classifier on features (n, d) with labels (n,) and folds (n,); rows in nested order.

    Of numbers it is the curve of R². Sets of labels have none: average precision belongs to all images together.

    Each fold is predicted by growing prefixes of the others, so every image is predicted at every size and
    differences along the curve are paired. None where there are too few images for a curve.
    """
    features, labels, folds = features[:MOST_ROWS], labels[:MOST_ROWS], folds[:MOST_ROWS]
    kind = values.of(labels)
    if isinstance(kind, values.LabelSets):
        return None
    if isinstance(kind, values.Classes):
        _, labels = np.unique(labels, return_inverse=True)
    classes = len(np.unique(labels)) if isinstance(kind, values.Classes) else 2
    if classes < 2 or SHARES[0] * 0.8 * len(labels) < max(FEWEST, 2 * classes):
        return None
    x = standardise(features)
    penalty = _penalty(x, labels, folds)
    hits = np.zeros((len(SHARES), len(labels)))
    hits_fitted, fitted = np.zeros_like(hits), np.zeros_like(hits)  # of fits on an image: right ones, and all
    sizes = np.zeros(len(SHARES))
    for fold in np.unique(folds):
        out, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        for place, share in enumerate(SHARES):
            rows = others[: round(share * len(others))]
            sizes[place] += len(rows) / len(np.unique(folds))
            asked = np.concatenate([out, rows])
            right = _right(labels, asked, _answers(x, labels, rows, asked, penalty))
            hits[place, out] = right[: len(out)]
            hits_fitted[place, rows] += right[len(out) :]
            fitted[place, rows] += 1
    more = _round(FURTHER * sizes[-1])
    return LearningCurve(
        backbone=backbone,
        input_size=input_size,
        rows=tuple(round(float(size)) for size in sizes),
        scores=tuple(round(float(score), 6) for score in hits.mean(1)),
        more=more,
        gain=_gain(hits, sizes, more),
        fits=tuple(round(float(score), 6) for score in hits_fitted.sum(1) / fitted.sum(1)),
        asymptote=_asymptote(hits, hits_fitted, fitted),
    )


def _penalty(x: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    """Return the penalty that predicts the first fold best."""
    out = folds == folds[0]
    others, out = np.flatnonzero(~out), np.flatnonzero(out)
    return max(
        PENALTIES,
        key=lambda penalty: np.mean(_right(labels, out, _answers(x, labels, others, out, penalty))),
    )


def _right(labels: np.ndarray, rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return which of the rows are answered rightly; of numbers, 1 less the squared error in units of their variance."""
    if not isinstance(values.of(labels), values.Numbers):
        return np.asarray(answers == labels[rows])
    return np.asarray(1 - (answers - labels[rows]) ** 2 / max(float(labels.var()), 1e-12))


def _answers(
    x: np.ndarray, labels: np.ndarray, rows: np.ndarray, out: np.ndarray, penalty: float
) -> np.ndarray:
    """Return the classes, or numbers, of the rows `out` by ridge regression on `rows`, for one penalty."""
    mean = x[rows].mean(0)
    inside, outside = x[rows] - mean, x[out] - mean
    kind = values.of(labels)
    outputs = int(labels.max()) + 1 if isinstance(kind, values.Classes) else 1
    one_hot = kind.targets(labels[rows], outputs)
    shares = one_hot.mean(0)
    wide = inside.shape[1] > len(inside)
    gram = inside @ inside.T if wide else inside.T @ inside
    gram[np.diag_indices_from(gram)] += penalty * np.trace(gram) / len(rows) + 1e-9
    if wide:
        answers = outside @ (inside.T @ np.linalg.solve(gram, one_hot - shares))
    else:
        answers = outside @ np.linalg.solve(gram, inside.T @ (one_hot - shares))
    return kind.answers(answers + shares)


def _gain(hits: np.ndarray, sizes: np.ndarray, more: int) -> Interval:
    """Return the accuracy that `more` images should add, with an interval that held 42 of 50 times.

    Measured in docs/measurements/ranking.md.

    Its bootstrap draws the images, and weights for the points of the curve, since no power law fits all of them.
    """
    rng = np.random.default_rng(0)
    gains = [
        _further(hits[:, rng.integers(hits.shape[1], size=hits.shape[1])].mean(1), sizes, more, weights)
        for weights in rng.dirichlet(np.ones(len(sizes)), RESAMPLES)
    ]
    low, high = np.quantile(gains, (0.025, 0.975))
    value = _further(hits.mean(1), sizes, more, np.ones(len(sizes)))
    # A loss is not shrunk at its lower end: that would promise more than the curve shows.
    return Interval(
        value=round(SHRINK * value, 6),
        low=round(min(SHRINK_LOW * float(low), float(low)), 6),
        high=round(float(high), 6),
    )


def _asymptote(hits: np.ndarray, hits_fitted: np.ndarray, fitted: np.ndarray) -> Interval | None:
    """Return the level that the scores have reached, or None where either curve may still move by `FLAT` in a doubling.

    Both use the same bootstrap over images. The upper end adds the gain of another doubling like the last.
    """
    rng = np.random.default_rng(0)
    drawn = [
        np.bincount(rng.integers(hits.shape[1], size=hits.shape[1]), minlength=hits.shape[1])
        for _ in range(RESAMPLES)
    ]
    scores = np.array([hits[[HALF, -1]] @ counts / counts.sum() for counts in drawn])
    fits = np.array([(hits_fitted[[HALF, -1]] @ counts) / (fitted[[HALF, -1]] @ counts) for counts in drawn])
    for curve in (scores, fits):
        low, high = np.quantile(curve[:, 1] - curve[:, 0], (0.025, 0.975))
        if low < -FLAT or high > FLAT:
            return None
    last = _interval(hits[-1])
    room = max(0.0, float(hits[-1].mean() - hits[HALF].mean()))
    return Interval(
        value=round(last.value, 6), low=round(last.low, 6), high=round(min(last.high + room, 1.0), 6)
    )


def _interval(hits: np.ndarray) -> Interval:
    """Return the mean of hits with its 95 % interval; of the fractions that numbers have, the usual one."""
    if np.isin(hits, (0.0, 1.0)).all():
        return metrics.interval("accuracy", np.ones(len(hits), int), hits.astype(int), 2)
    wide = metrics.Z95 * float(hits.std(ddof=1)) / len(hits) ** 0.5
    value = float(hits.mean())
    return Interval(value=value, low=value - wide, high=min(1.0, value + wide))


def _further(scores: np.ndarray, sizes: np.ndarray, more: int, weights: np.ndarray) -> float:
    """Return the gain by a power law through the errors, fitted in logarithms; negative where the curve falls."""
    error = np.maximum(1 - scores, 1e-3)
    slope = float(np.polyfit(np.log(sizes), np.log(error), 1, w=np.sqrt(weights))[0])
    return float((1 - scores[-1]) * (1 - (1 + more / sizes[-1]) ** slope))


def _round(number: float) -> int:
    """Return the nearest of 10, 20, 50, 100, 200, 500, ..."""
    steps = [factor * power for power in (10, 100, 1000, 10_000) for factor in (1, 2, 5)]
    return min(steps, key=lambda step: abs(np.log(step / number)))
