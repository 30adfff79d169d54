"""The transferability scores that come with autotl: numbers from features and labels, without training.

Each takes ``(features (n, d), labels (n,), folds (n,), logits (n, s) or None)`` and returns a float;
higher is better. Rows of one fold are judged by the others, so groups that share a fold never vouch
for one another.
"""

from __future__ import annotations

import numpy as np

from autotl.hookspecs import hookimpl
from autotl.records import Score

SCORES = (
    Score(
        name="linear",
        summary="cross-validated accuracy of a ridge classifier (closed form)",
        compute="autotl.builtin.scores:linear",
    ),
    Score(
        name="knn",
        summary="cross-validated accuracy of nearest neighbours by cosine similarity",
        compute="autotl.builtin.scores:knn",
    ),
    Score(
        name="logme",
        summary="log maximum evidence of a Bayesian linear model (You et al., ICML 2021)",
        compute="autotl.builtin.scores:logme",
    ),
)

RIDGE = (1e-3, 1e-2, 1e-1, 1.0)  # penalties, relative to the mean eigenvalue of the Gram matrix
NEIGHBOURS = 5


@hookimpl
def register_scores() -> tuple[Score, ...]:
    return SCORES


def standardise(features: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and deviation 1 (constant ones stay 0), float64 (n, d)."""
    x = features.astype(np.float64)
    x -= x.mean(0)
    deviation = x.std(0)
    return x / np.where(deviation > 1e-8, deviation, 1.0)


def linear(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None = None
) -> float:
    """Accuracy of ridge regression on one-hot labels, each fold predicted by the others, best penalty."""
    return float(
        max(np.mean(predicted == labels) for predicted in ridge_predictions(features, labels, folds))
    )


def ridge_predictions(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> list[np.ndarray]:
    """Left-out predictions (n,) of a ridge classifier for each penalty of `RIDGE`, without refitting.

    With the smoother S = X(X'X + aI)^-1 X', the residuals of a block B that was left out are
    (I - S)_BB^-1 ((I - S)Y)_B: the leave-one-out identity of linear smoothers, for blocks (Cook and
    Weisberg, Residuals and Influence in Regression, 1982). One eigendecomposition serves all
    penalties, of the smaller of X'X and XX'.
    """
    x = standardise(features)
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    one_hot -= one_hot.mean(0)
    wide = x.shape[1] > x.shape[0]
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    keep = values > 1e-9 * max(float(values[-1]), 1e-12)
    values, vectors = values[keep], vectors[:, keep]
    basis = vectors if wide else x @ vectors / np.sqrt(values)  # (n, rank) orthonormal
    projected = basis.T @ one_hot
    mean = float(values.sum()) / len(x)
    blocks = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    answers = []
    for relative in RIDGE:
        shrink = values / (values + relative * mean)
        residuals = one_hot - basis @ (shrink[:, None] * projected)
        scores = np.empty_like(one_hot)
        for block in blocks:
            rows = basis[block]
            corner = np.eye(len(block)) - (rows * shrink) @ rows.T
            scores[block] = one_hot[block] - np.linalg.solve(corner, residuals[block])
        answers.append(scores.argmax(1))
    return answers


def knn(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None = None
) -> float:
    """Accuracy of a vote of the 5 nearest neighbours outside the row's own fold, weighted by similarity."""
    x = features.astype(np.float32)
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    similarity = x @ x.T
    similarity[folds[:, None] == folds[None, :]] = -np.inf
    near = np.argpartition(-similarity, min(NEIGHBOURS, len(x) - 1), axis=1)[:, :NEIGHBOURS]
    weight = np.exp(np.take_along_axis(similarity, near, 1) / 0.1)
    votes = np.zeros((len(x), int(labels.max()) + 1), np.float64)
    for column in range(near.shape[1]):
        votes[np.arange(len(x)), labels[near[:, column]]] += weight[:, column]
    return float(np.mean(votes.argmax(1) == labels))


def logme(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None = None
) -> float:
    """Mean over classes of the maximised log evidence per row of y = Fw + noise, w ~ N(0, I/alpha).

    You, Liu, Wang, Long: LogME, ICML 2021 (fixed-point iteration of alpha and beta on the spectrum of
    F'F). Unlike the others it is no accuracy: compare its values within one data set only.
    """
    f = features.astype(np.float64)
    n, d = f.shape
    u, s, _ = np.linalg.svd(f, full_matrices=False)
    spectrum = s**2
    evidences = []
    for label in np.unique(labels):
        y = (labels == label).astype(np.float64)
        z2 = (u.T @ y) ** 2
        rest = max(float(y @ y - z2.sum()), 0.0)
        alpha, beta = 1.0, 1.0
        for _ in range(50):
            before = alpha / beta
            shrink = alpha + beta * spectrum
            gamma = float(np.sum(beta * spectrum / shrink))
            m2 = float(np.sum(beta**2 * spectrum * z2 / shrink**2))
            residual = float(np.sum(z2 * (alpha / shrink) ** 2)) + rest
            alpha = gamma / (m2 + 1e-12)
            beta = (n - gamma) / (residual + 1e-12)
            if abs(alpha / beta - before) < 1e-4 * before:
                break
        shrink = alpha + beta * spectrum
        m2 = float(np.sum(beta**2 * spectrum * z2 / shrink**2))
        residual = float(np.sum(z2 * (alpha / shrink) ** 2)) + rest
        evidence = (
            d * np.log(alpha)
            + n * np.log(beta)
            - np.log(shrink).sum()
            - (d - len(s)) * np.log(alpha)
            - beta * residual
            - alpha * m2
            - n * np.log(2 * np.pi)
        ) / 2
        evidences.append(evidence / n)
    return float(np.mean(evidences))
