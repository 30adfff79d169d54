"""A fold that is left out is as unknown as to a fit that never saw it: not even the mean of its labels shows through."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.stats import ridge


def naive(
    x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray, penalty: float
) -> np.ndarray:
    """Ridge regression with an intercept, fitted for each fold on the others."""
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    scores = np.empty_like(one_hot)
    for fold in np.unique(folds):
        rest, block = folds != fold, folds == fold
        mean, share = np.average(x[rest], 0, weights[rest]), np.average(one_hot[rest], 0, weights[rest])
        root = np.sqrt(weights[rest])[:, None]
        centred, aimed = root * (x[rest] - mean), root * (one_hot[rest] - share)
        gram = centred.T @ centred + penalty * np.eye(x.shape[1])
        scores[block] = (x[block] - mean) @ np.linalg.solve(gram, centred.T @ aimed) + share
    return scores


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("rows", "columns", "number"), [(40, 12, 8), (40, 12, 2), (30, 60, 5)])
def test_left_out_scores_are_those_of_fits_without_the_fold(
    rows: int, columns: int, number: int, weighted: bool
) -> None:
    generator = np.random.default_rng(rows + columns + number)
    labels, folds = generator.integers(0, 3, rows), np.arange(rows) % number
    weights = generator.uniform(0.5, 2.0, rows) if weighted else None
    x = ridge.standardise(generator.normal(size=(rows, columns)) + labels[:, None])
    if weights is not None:
        x = x - np.average(x, 0, weights)
    scaled = x if weights is None else np.sqrt(weights)[:, None] * x
    mean_eigenvalue = float((scaled**2).sum()) / rows
    for scores, relative in zip(ridge.left_out(x, labels, folds, weights), ridge.PENALTIES, strict=True):
        same = naive(
            x, labels, folds, np.ones(rows) if weights is None else weights, relative * mean_eigenvalue
        )
        np.testing.assert_allclose(scores, same, atol=1e-6)


def test_repeated_rows_of_a_rare_class_do_not_give_their_fold_away() -> None:
    """Noise with more columns than rows, the rare class repeated until it weighs as much: half is right by chance."""
    generator = np.random.default_rng(0)
    correct = []
    for _ in range(20):
        labels = np.repeat([0, 1], [60, 5])
        folds = np.concatenate([np.arange(60) % 5, np.arange(5)])
        at = np.concatenate([np.arange(60), np.repeat(np.arange(60, 65), 12)])
        x = ridge.standardise(generator.normal(size=(65, 200))[at])
        scores = ridge.left_out(x, labels[at], folds[at])[0]
        correct.append(np.mean(scores.argmax(1) == labels[at]))
    assert np.mean(correct) < 0.6


@pytest.mark.parametrize("columns", [2, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_with_all_rows_in_one_fold_nothing_is_known_but_the_shares(columns: int, weighted: bool) -> None:
    x = ridge.standardise(np.random.default_rng(0).normal(size=(3, columns)))
    labels, weights = np.array([0, 1, 1]), np.array([2.0, 0.5, 0.5]) if weighted else None
    for scores in ridge.left_out(x, labels, np.zeros(3, int), weights):
        np.testing.assert_allclose(scores, np.tile(np.average(np.eye(2)[labels], 0, weights), (3, 1)))
