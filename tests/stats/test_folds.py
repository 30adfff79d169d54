"""Folds that a head is evaluated in."""

from __future__ import annotations

import numpy as np

from autotl.stats.folds import folds_for


def test_classes_are_spread_and_groups_are_whole() -> None:
    labels, group = np.arange(200) % 4, np.arange(200) // 8
    fold = folds_for(labels, None)
    for label in range(4):
        assert np.bincount(fold[labels == label]).tolist() == [10] * 5
    for number in range(25):
        assert len(np.unique(folds_for(labels, group)[group == number])) == 1


def test_rows_keep_their_fold_when_rows_are_added() -> None:
    generator = np.random.default_rng(0)
    labels, group = generator.integers(7, size=300), generator.integers(90, size=300)
    for of_row in (None, group):
        whole = folds_for(labels, of_row)
        for count in (40, 150):
            part = folds_for(labels[:count], None if of_row is None else of_row[:count])
            assert np.array_equal(part, whole[:count])
