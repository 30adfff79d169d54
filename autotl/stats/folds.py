"""Folds in which a head is evaluated on features, and nested subsamples: classes spread, groups whole."""

from __future__ import annotations

import numpy as np

from autotl.stats import values


def folds_for(labels: np.ndarray, group: np.ndarray | None, number: int = 5) -> np.ndarray:
    """Return the fold (n,) of each row, classes spread evenly; rows of one group share a fold.

    A row keeps its fold when rows are added behind it, so nested subsamples have nested folds; no seed is needed,
    and a class may have fewer rows than there are folds. scikit-learn's splitters do none of these, and their
    import takes a second in the worker, which needs folds before its first model. Numbers are spread by quantile, and
    sets of labels by the rarest of each.
    """
    labels = values.of(labels).strata(labels)
    unit = np.arange(len(labels)) if group is None else np.unique(group, return_inverse=True)[1]
    _, first = np.unique(unit, return_index=True)
    by_unit = np.empty(len(first), np.int64)
    for label in np.unique(labels[first]):
        of_class = np.flatnonzero(labels[first] == label)
        by_unit[of_class[np.argsort(first[of_class])]] = (np.arange(len(of_class)) + label) % number
    return by_unit[unit]


def stratified_order(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return a permutation of all rows whose prefixes hold every class in proportion, and two rows of each early.

    scikit-learn has no splitter whose subsamples contain each other. Numbers and sets of labels as in `folds_for`.
    """
    labels = values.of(labels).strata(labels)
    place, by_label = np.empty(len(labels)), np.argsort(labels, kind="stable")
    for of_label in np.split(by_label, np.flatnonzero(np.diff(labels[by_label])) + 1):
        rows = generator.permutation(of_label)
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
        place[rows[:2]] = -1 + generator.random(len(rows[:2]))
    return np.argsort(place, kind="stable")
