"""Ridge regression on one-hot labels: every penalty, and every left-out fold, from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 0.5, 2.0)  # relative to the mean eigenvalue of the Gram matrix


def standardise(features: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and deviation 1 (constant ones stay 0), float64 (n, d)."""
    x = features.astype(np.float64)
    x -= x.mean(0)
    deviation = x.std(0)
    return x / np.where(deviation > 1e-8, deviation, 1.0)


def left_out(
    x: np.ndarray, labels: np.ndarray, folds: np.ndarray, weights: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return scores (n, classes) of rows (n, d) left out with their fold, for each of `PENALTIES`.

    `x` is standardised, by the `weights` (n,) of the rows where they have any.

    Nothing is refitted where a fold has fewer rows than there are columns: with the smoother
    S = X(X'X + aI)^-1 X', the residuals of a block B that was left out are (I - S)_BB^-1 ((I - S)Y)_B, the
    leave-one-out identity of linear smoothers for blocks (Cook and Weisberg, Residuals and Influence in
    Regression, 1982). A larger fold is taken out of X'X instead.
    """
    one_hot, shares = _centred(labels, weights)
    if weights is not None:  # least squares with weights are plain ones on rows times the root of theirs
        root = np.sqrt(weights)[:, None]
        scaled = left_out_targets(root * x, root * one_hot, folds, root=root)
        return [scores / root + shares for scores in scaled]
    return [scores + shares for scores in left_out_targets(x, one_hot, folds)]


def left_out_targets(
    x: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    indices: Sequence[int] = range(len(PENALTIES)),
    root: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return predictions (n, k) of targets (n, k), left out with their fold, for ``PENALTIES[index]`` each.

    `root` (n, 1) are the roots of the rows' weights, which `x` and `targets` are multiplied by. `x` is centred. The
    intercept is left out with the fold as well: were it kept, the rows that are left would give away the mean of the
    labels of those that are not, exactly where there are more columns than rows.
    """
    root = np.ones((len(x), 1)) if root is None else root
    unit = root / np.linalg.norm(root)  # the column of the intercept
    values, vectors = _spectrum(x)
    blocks = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    penalties = [_penalties(values, len(x))[index] for index in indices]
    if len(blocks) == 1:  # nothing is left to fit on: the mean of the targets, which are centred
        return [np.zeros_like(targets) for _ in penalties]
    if max(map(len, blocks)) > x.shape[1]:
        return _refitted(x, targets, root, blocks, penalties)
    basis = vectors if x.shape[1] > len(x) else x @ vectors / np.sqrt(values)  # (n, rank) orthonormal
    projected = basis.T @ targets
    about_mean = targets - unit @ (unit.T @ targets)
    answers = []
    for penalty in penalties:
        shrink = values / (values + penalty)
        residuals = about_mean - basis @ (shrink[:, None] * projected)
        scores = np.empty_like(targets)
        for block in blocks:
            rows = basis[block]
            corner = np.eye(len(block)) - (rows * shrink) @ rows.T - unit[block] @ unit[block].T
            scores[block] = targets[block] - np.linalg.solve(corner, residuals[block])
        answers.append(scores)
    return answers


def _refitted(
    x: np.ndarray, targets: np.ndarray, root: np.ndarray, blocks: list[np.ndarray], penalties: list[float]
) -> list[np.ndarray]:
    gram, cross = x.T @ x, x.T @ targets
    answers = [np.empty_like(targets) for _ in penalties]
    for block in blocks:
        out, rows, aims = root[block], x[block], targets[block]
        weight = float((root**2).sum() - (out**2).sum())
        mean = (root.T @ x - out.T @ rows) / weight  # (1, d) of the rows that are left
        share = (root.T @ targets - out.T @ aims) / weight
        rest = gram - rows.T @ rows - weight * mean.T @ mean
        values, vectors = np.linalg.eigh(rest)
        rotated = (rows - out @ mean) @ vectors
        aimed = vectors.T @ (cross - rows.T @ aims - weight * mean.T @ share)
        for scores, penalty in zip(answers, penalties, strict=True):
            scores[block] = rotated @ (aimed / (np.maximum(values, 0.0) + penalty)[:, None]) + out @ share
    return answers


def fit(
    x: np.ndarray, labels: np.ndarray, index: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (classes, d) and bias (classes,) on standardised `x` with the penalty ``PENALTIES[index]``."""
    one_hot, shares = _centred(labels, weights)
    if weights is not None:
        root = np.sqrt(weights)[:, None]
        x, one_hot = root * x, root * one_hot
    return fit_targets(x, one_hot, index), shares


def fit_targets(x: np.ndarray, targets: np.ndarray, index: int) -> np.ndarray:
    """Return the weight (k, d) for centred targets (n, k) on centred `x` with the penalty ``PENALTIES[index]``."""
    values, vectors = _spectrum(x)
    penalty = _penalties(values, len(x))[index]
    if x.shape[1] > len(x):
        weight = x.T @ (vectors @ ((vectors.T @ targets) / (values + penalty)[:, None]))
    else:
        weight = vectors @ ((vectors.T @ (x.T @ targets)) / (values + penalty)[:, None])
    return np.asarray(weight.T)


def _centred(labels: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    shares = np.average(one_hot, 0, weights)
    return one_hot - shares, shares


def _spectrum(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and vectors of the smaller of X'X and XX', without the vanishing ones."""
    values, vectors = np.linalg.eigh(x @ x.T if x.shape[1] > len(x) else x.T @ x)
    keep = values > 1e-9 * max(float(values[-1]), 1e-12)
    return values[keep], vectors[:, keep]


def _penalties(values: np.ndarray, rows: int) -> list[float]:
    return [relative * float(values.sum()) / rows for relative in PENALTIES]
