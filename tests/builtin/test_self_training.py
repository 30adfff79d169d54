"""A head that guesses the labels of images without one gains from them where classes lie apart."""

from __future__ import annotations

import numpy as np

from autotl.builtin import heads
from autotl.builtin.self_training import pseudo_labels
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats.folds import folds_for


def clusters(rows: int, seed: int, width: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return features of two classes that lie apart in one direction of many."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    features = generator.normal(size=(rows, width))
    features[:, 0] += 6.0 * (labels - 0.5)
    return features.astype(np.float32), labels


def right(head: Head, features: np.ndarray, labels: np.ndarray) -> float:
    return float(((features @ head.arrays["weight"].T + head.arrays["bias"]).argmax(1) == labels).mean())


def test_with_ten_labels_guesses_gain_twenty_points() -> None:
    unlabelled, _ = clusters(400, 1)
    test = clusters(400, 2)
    gains = []
    for seed in range(3, 8):
        features, labels = clusters(10, seed)
        folds = folds_for(labels, None)
        call = HeadCall(
            features=features, labels=labels, classes=2, folds=folds, seed=0, unlabelled=unlabelled
        )
        plain, more = heads.logistic(call), pseudo_labels(call)
        gains.append(right(more, *test) - right(plain, *test))
    assert np.mean(gains) >= 0.2 and min(gains) > 0


def test_without_an_image_it_is_the_regression_on_the_labels() -> None:
    features, labels = clusters(40, 3)
    folds = folds_for(labels, None)
    call = HeadCall(features=features, labels=labels, classes=2, folds=folds, seed=0, unlabelled=features[:0])
    alone, plain = pseudo_labels(call), heads.logistic(call)
    assert all(np.array_equal(alone.arrays[name], plain.arrays[name]) for name in plain.arrays)
