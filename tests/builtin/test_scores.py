"""Transferability scores against brute force, not against the same formula again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits

from autotl.builtin import scores
from autotl.protocols import ScoreCall
from autotl.stats import ridge


def call(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None = None
) -> ScoreCall:
    return ScoreCall(features=features, labels=labels, folds=folds, logits=logits)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(images))[:240]
    return images[rows], labels[rows], np.arange(240) % 5


@pytest.mark.parametrize("width", [20, 64, 400])
def test_ridge_equals_refitting_each_fold(
    digits: tuple[np.ndarray, np.ndarray, np.ndarray], width: int
) -> None:
    images, labels, folds = digits
    features = np.tanh(images @ np.random.default_rng(1).normal(size=(64, width)) / 30)
    x = ridge.standardise(features)
    one_hot = np.eye(10)[labels]
    one_hot -= one_hot.mean(0)
    penalty_unit = float(np.sum(x**2)) / len(x)
    for relative, left_out in zip(ridge.PENALTIES, ridge.left_out(x, labels, folds), strict=True):
        refitted = np.empty(len(x), np.int64)
        for fold in range(5):
            out = folds == fold
            mean, share = x[~out].mean(0), one_hot[~out].mean(0)
            rest = x[~out] - mean
            gram = rest.T @ rest + relative * penalty_unit * np.eye(x.shape[1])
            answers = (x[out] - mean) @ np.linalg.solve(gram, rest.T @ (one_hot[~out] - share)) + share
            refitted[out] = (answers + np.eye(10)[labels].mean(0)).argmax(1)
        assert np.mean(left_out.argmax(1) == refitted) > 0.99


def test_knn_never_asks_its_own_fold() -> None:
    features = np.repeat(np.random.default_rng(0).normal(size=(20, 8)), 2, axis=0)  # each row twice
    labels = np.repeat(np.random.default_rng(1).integers(2, size=20), 2)
    together = np.repeat(np.arange(20) % 5, 2)
    apart = np.arange(40) % 5
    assert scores.knn(call(features, labels, apart)) > scores.knn(call(features, labels, together))


def test_logme_is_the_maximised_evidence(digits: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, folds = digits
    features, labels = images[:60, 10:30] / 16.0, labels[:60] % 2

    def negative_log_evidence(log_precisions: np.ndarray, y: np.ndarray) -> float:
        alpha, beta = np.exp(log_precisions)
        covariance = features @ features.T / alpha + np.eye(len(y)) / beta  # of y, weights integrated out
        sign, logdet = np.linalg.slogdet(covariance)
        assert sign > 0
        return float(0.5 * (logdet + y @ np.linalg.solve(covariance, y) + len(y) * np.log(2 * np.pi)))

    best = []
    for label in (0, 1):
        y = (labels == label).astype(float)
        found = minimize(negative_log_evidence, np.zeros(2), args=(y,), method="Nelder-Mead")
        best.append(-found.fun / len(y))
    assert scores.logme(call(features, labels, folds[:60])) == pytest.approx(np.mean(best), abs=1e-3)


@pytest.mark.parametrize("width", [12, 300])
def test_hscore_is_the_trace_of_two_shrunk_covariances(width: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=80)
    features = generator.normal(size=(80, width)) + generator.normal(size=(4, width))[labels]
    estimate = LedoitWolf().fit(features)
    means = np.stack([features[labels == label].mean(0) for label in range(4)])[labels]  # E[f|y], by row
    between = np.cov(means.T, bias=True) * (1 - estimate.shrinkage_)
    expected = np.trace(np.linalg.inv(estimate.covariance_) @ between)
    assert scores.hscore(call(features, labels, labels)) == pytest.approx(expected, rel=1e-6)


def test_nleep_of_clusters_that_lie_apart_is_a_count_of_their_labels() -> None:
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(10), 12)  # five for each of two classes
    angle = clusters * 2 * np.pi / 10
    features = np.stack([np.cos(angle), np.sin(angle)], 1) * 100 + generator.normal(size=(120, 2))
    labels, folds = (clusters + (generator.random(120) < 0.2)) % 2, np.arange(120) % 5
    expected = []
    for row in range(120):
        others = [labels[i] for i in range(120) if clusters[i] == clusters[row] and folds[i] != folds[row]]
        votes = others.count(labels[row]) + np.mean(labels == labels[row])
        expected.append(np.log(votes / (len(others) + 1)))
    assert scores.nleep(call(features, labels, folds)) == pytest.approx(np.mean(expected), abs=1e-6)


def test_scores_prefer_features_that_know_the_classes(
    digits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    images, labels, folds = digits
    noise = np.random.default_rng(2).normal(size=images.shape)
    for score in (scores.linear, scores.knn, scores.logme, scores.hscore, scores.nleep):
        assert score(call(images, labels, folds)) > score(call(noise, labels, folds))


def test_the_source_head_is_sure_of_what_it_knows() -> None:
    sure, torn = np.eye(10, dtype=np.float32) * 50, np.zeros((10, 10), np.float32)
    labels, folds = np.arange(10), np.arange(10) % 5

    def certainty(logits: np.ndarray | None) -> float:
        return scores.source_head(call(np.zeros((10, 4), np.float32), labels, folds, logits))

    assert certainty(sure) == pytest.approx(1.0) and certainty(torn) == pytest.approx(0.0)
    half = np.where(np.arange(10) < 5, 50.0, 0.0)[None].repeat(
        10, 0
    )  # five of ten alike: log 5 of log 10 unsure
    assert certainty(half) == pytest.approx(1 - np.log(5) / np.log(10))
    with pytest.raises(ValueError, match="needs its logits"):
        certainty(None)
