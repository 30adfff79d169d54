"""Compute the regret of a choice, and figures over many choices with their intervals. numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autotl.records import Interval

HALVES = 100
RESAMPLES = 2000


def regrets(
    right: np.ndarray, group: np.ndarray | None = None, halves: int = HALVES, seed: int = 0
) -> np.ndarray:
    """Return the regret (cells,) of choosing each cell, a fraction: against the cell that is best on one half of the
    test images, both scored on the other half, mean over `halves` random halves.

    `right` is (cells, images) bool; images of one group stay in one half. The best test score of a grid is
    a moving target, flattered by its own choice; the cell that one half names is not, on the other. Cells
    that tie on the first half stand for the best together, by their mean.
    """
    generator = np.random.default_rng(seed)
    images = right.shape[1]
    unit = np.arange(images) if group is None else np.unique(group, return_inverse=True)[1]
    units = int(unit.max()) + 1
    total = np.zeros(len(right))
    for _ in range(halves):
        first = np.zeros(units, bool)
        first[generator.permutation(units)[: units // 2]] = True
        here = first[unit]
        named, scored = right[:, here].mean(1), right[:, ~here].mean(1)
        total += scored[named >= named.max() - 1e-12].mean() - scored
    return total / halves


def over_sets(values: Mapping[str, Sequence[float]], seed: int = 0) -> Interval:
    """Return the mean over sets of each set's mean, with a 95% interval from drawing sets with replacement.

    What was replayed on one set hangs together, so sets are drawn whole.
    """
    means = np.array([np.mean(found) for found in values.values()])
    generator = np.random.default_rng(seed)
    drawn = means[generator.integers(len(means), size=(RESAMPLES, len(means)))].mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return Interval(value=float(means.mean()), low=low, high=high)


def worst(values: Mapping[str, Sequence[float]]) -> float:
    """Return the mean of the set where it is largest."""
    return max(float(np.mean(found)) for found in values.values())


def median(values: Mapping[str, Sequence[float]]) -> float:
    """Return the median over all replays."""
    return float(np.median(np.concatenate([np.asarray(found) for found in values.values()])))
