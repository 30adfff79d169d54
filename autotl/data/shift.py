"""A classifier that tells test images from the others by their features: where it can, the two differ. numpy only.

A classifier two-sample test (Lopez-Paz & Oquab, ICLR 2017) within classes: each class has as many images on both
sides, so that another mix of classes is no difference. Images of a group are in one fold, because frames of a film
that is all in the test part would be recognised whatever the two parts have in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIGNIFICANT = 0.01  # p-value
APART = 0.6  # area under the ROC curve, below which a difference is of no consequence
APART_CLASS = 0.8  # for a class to be named
FEWEST = 40  # images of each side
FEWEST_OF_CLASS = 10
MOST = 1000  # images of both sides together
FOLDS = 5
SHOWN = 3  # images of each side that are most unlike the other
PENALTY = 0.1  # of the ridge regression, relative to the mean variance of a feature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shift:
    """The accuracy at which test images are distinguished from the others."""

    auc: float
    p: float
    classes: tuple[int, ...]  # labels of those that are distinguished best
    most: np.ndarray  # places of the test images that are most unlike the others
    other: np.ndarray  # and of the others that are most unlike the test images


def shifted(
    features: np.ndarray, test: np.ndarray, labels: np.ndarray, group: np.ndarray | None, *, seed: int = 0
) -> Shift | None:
    """Return the shift between rows that are in the test part (m,) bool and those that are not, or None."""
    generator = np.random.default_rng(seed)
    chosen = _balanced(test, labels, generator)
    if len(chosen) < 2 * FEWEST:
        return None
    side, label = test[chosen], labels[chosen]
    values = features[chosen] - _means(features[chosen], label)
    score = _out_of_fold(values, side, _folds(side, None if group is None else group[chosen], generator))
    auc = area(score, side)
    p = _p_value(auc, side, None if group is None else group[chosen])
    if auc < APART or p >= SIGNIFICANT:
        return None
    of_class = {
        int(number): area(score[label == number], side[label == number])
        for number in np.unique(label)
        if (label == number).sum() >= 2 * FEWEST_OF_CLASS
    }
    apart = sorted((n for n, value in of_class.items() if value >= APART_CLASS), key=lambda n: -of_class[n])
    order = np.argsort(score, kind="stable")
    tests, others = order[side[order]], order[~side[order]]
    return Shift(
        auc=round(auc, 6),
        p=round(p, 6),
        classes=tuple(apart[:SHOWN]),
        most=chosen[tests[::-1][:SHOWN]],
        other=chosen[others[:SHOWN]],
    )


def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a positive row scores above a negative one.

    >>> area(np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, True, False, True]))
    1.0
    """
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above, below = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - above * (above + 1) / 2) / (above * below))


def _balanced(test: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return places of as many rows of each class on both sides."""
    chosen = []
    for label in np.unique(labels):
        sides = [np.flatnonzero((labels == label) & (test == side)) for side in (False, True)]
        number = min(map(len, sides))
        chosen += [generator.permutation(rows)[:number] for rows in sides]
    rows = np.concatenate(chosen)
    if len(rows) > MOST:
        rows = generator.permutation(rows)[:MOST]
    return np.sort(rows)


def _means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each row the mean of its class."""
    _, place = np.unique(labels, return_inverse=True)
    sums = np.zeros((place.max() + 1, features.shape[1]), features.dtype)
    np.add.at(sums, place, features)
    return np.asarray((sums / np.bincount(place)[:, None])[place])


def _folds(side: np.ndarray, group: np.ndarray | None, generator: np.random.Generator) -> np.ndarray:
    """Return the fold of each row: both sides spread evenly, groups whole."""
    unit = np.arange(len(side)) if group is None else np.unique(group, return_inverse=True)[1]
    _, first = np.unique(unit, return_index=True)
    fold = np.zeros(len(first), np.int64)
    for value in (False, True):
        units = generator.permutation(np.flatnonzero(side[first] == value))
        fold[units] = np.arange(len(units)) % FOLDS
    return fold[unit]


def _out_of_fold(features: np.ndarray, side: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the score of each row by a ridge regression on the other folds."""
    score = np.zeros(len(side))
    target = np.where(side, 1.0, -1.0)
    for number in range(FOLDS):
        out = fold == number
        if not out.any() or len(np.unique(side[~out])) < 2:
            continue
        mean, bias = features[~out].mean(0), target[~out].mean()
        centred = (features[~out] - mean).astype(np.float64)
        gram = centred @ centred.T
        gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
        weight = centred.T @ np.linalg.solve(gram, target[~out] - bias)
        score[out] = (features[out] - mean) @ weight
    return score


def _p_value(auc: float, side: np.ndarray, group: np.ndarray | None) -> float:
    """Return the one-sided p-value of an area: the normal approximation, on as many rows as there are groups."""
    from math import erfc, sqrt

    sizes = [
        len(np.unique(group[side == value])) if group is not None else int((side == value).sum())
        for value in (False, True)
    ]
    error = sqrt((sum(sizes) + 1) / (12 * sizes[0] * sizes[1]))
    return 0.5 * erfc((auc - 0.5) / error / sqrt(2))
