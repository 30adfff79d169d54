"""A strategy and a score for autotl that need only the means of the classes."""

from __future__ import annotations

import numpy as np

from autotl.plugin import Head, HeadCall, Score, ScoreCall, Strategy, hookimpl

AUTOTL_API_VERSION = 4


@hookimpl
def register_strategies() -> list[Strategy]:
    means = Strategy(
        name="class_means",
        summary="frozen backbone, nearest class mean in whitened features (linear discriminant analysis)",
        head="autotl_means:class_means",
    )
    return [means]


@hookimpl
def register_scores() -> list[Score]:
    h_score = Score(
        name="h_score",
        summary="share of the features' variance that the class means explain (Bao et al., ICIP 2019)",
        compute="autotl_means:h_score",
        weight=0.1,
    )
    return [h_score]


def class_means(call: HeadCall) -> Head:
    """Fit the head on features (n, d) and labels (n,). A class without a row gets a bias that rules it out."""
    features, weights = call.features, call.weights
    present, of_row, means = _means(features, call.labels)
    inverse = np.linalg.inv(_covariance(features - means[of_row]))
    weight, bias = np.zeros((call.classes, features.shape[1])), np.full(call.classes, -1e6)
    weight[present] = means @ inverse
    prior = np.bincount(of_row, weights) / (len(of_row) if weights is None else weights.sum())
    bias[present] = np.log(prior) - np.sum(weight[present] * means, axis=1) / 2
    return Head(kind="linear", arrays={"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)})


def h_score(call: ScoreCall) -> float:
    """Return the trace of cov(f)^-1 cov(E[f | y]); higher is better."""
    features = call.features
    _, of_row, means = _means(features, call.labels)
    between = np.cov(means[of_row], rowvar=False)
    return float(np.trace(np.linalg.solve(_covariance(features - features.mean(0)), between)))


def _means(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the classes (k,), the index of each row's class (n,), and the means (k, d)."""
    present, of_row = np.unique(labels, return_inverse=True)
    means = np.stack([features[labels == label].mean(0, dtype=np.float64) for label in present])
    return present, of_row, means


def _covariance(centred: np.ndarray) -> np.ndarray:
    """Return the covariance (d, d), shrunk so that it can be inverted with any number of rows."""
    covariance = centred.T.astype(np.float64) @ centred / len(centred)
    size = float(np.trace(covariance)) / len(covariance)
    return 0.9 * covariance + (0.1 * size + 1e-6) * np.eye(len(covariance))
