"""The transferability scores that come with autotl: numbers from features and labels, without training.

Each takes ``(features (n, d), labels (n,), folds (n,), logits (n, s) or None)`` and returns a float;
higher is better. Rows of one fold are judged by the others, so groups that share a fold never vouch
for one another.
"""

from __future__ import annotations

import numpy as np

from autotl.builtin import ridge
from autotl.builtin.ridge import standardise
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

NEIGHBOURS = 5


@hookimpl
def register_scores() -> tuple[Score, ...]:
    return SCORES


def linear(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None = None
) -> float:
    """Accuracy of ridge regression on one-hot labels, each fold predicted by the others, best penalty."""
    left_out = ridge.left_out(standardise(features), labels, folds)
    return float(max(np.mean(scores.argmax(1) == labels) for scores in left_out))


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
