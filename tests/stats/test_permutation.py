"""The permutation test of a probe: chance is chance whatever the features are."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.records import Metric
from autotl.stats.folds import folds_for
from autotl.stats.permutation import Permuted, permutation_test, permuted, rows_in_seconds


def made(
    counts: tuple[int, ...], distance: float, metric: Metric = "accuracy", seed: int = 0, width: int = 16
) -> Permuted:
    """The test on clouds of points whose centres are `distance` apart."""
    labels = np.repeat(np.arange(len(counts)), counts)
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(len(labels), width)) + distance * np.eye(len(counts), width)[labels]
    found = permutation_test(metric, features.astype(np.float32), labels, folds_for(labels, None), seed)
    assert found is not None
    return found


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_separable_classes_are_no_alarm(metric: Metric) -> None:
    """Clusters that one shuffled label can flip as a whole."""
    found = made((60, 60), 20.0, metric)
    assert found.score > 0.95 and found.p < 0.01
    assert found.chance == pytest.approx(0.5, abs=0.05)
    assert np.quantile(found.shuffled, 0.975) < 0.65


def test_chance_is_that_of_the_metric_where_one_class_is_rare() -> None:
    plain, balanced = made((500, 3), 20.0, "accuracy"), made((500, 3), 20.0, "balanced_accuracy")
    assert plain.chance == pytest.approx(500 / 503, abs=0.01) and plain.score > 0.99
    assert balanced.chance == pytest.approx(0.5, abs=0.05) and balanced.p < 0.01


def test_without_signal_p_values_are_uniform() -> None:
    values = np.array([made((30, 30, 30), 0.0, seed=seed).p for seed in range(60)])
    assert (values <= 0.05).mean() <= 0.12
    assert 0.3 < values.mean() < 0.7


def test_a_p_value_is_never_zero_and_counts_the_true_order() -> None:
    assert Permuted(score=0.9, shuffled=np.full(299, 0.5), rows=10).p == pytest.approx(1 / 300)
    assert Permuted(score=0.5, shuffled=np.full(299, 0.5), rows=10).p == 1.0


def test_groups_of_one_class_exchange_their_labels_whole() -> None:
    """Ten images of one thing say no more than one: six groups cannot be significant at one in a thousand."""
    group = np.repeat(np.arange(6), 10)
    labels = group % 2
    generator = np.random.default_rng(0)
    for _ in range(20):
        order = permuted(labels, group, generator)
        assert all(len(set(order[group == number])) == 1 for number in range(6))
    features = generator.normal(size=(6, 8))[group] + 0.1 * generator.normal(size=(60, 8))
    alone = [
        permutation_test("accuracy", features, labels, folds_for(labels, group, 3), seed, group)
        for seed in range(3)
    ]
    assert all(found is not None and found.p > 0.04 for found in alone)


def test_nothing_is_tested_with_one_class_or_one_fold() -> None:
    features = np.random.default_rng(0).normal(size=(20, 4))
    assert permutation_test("accuracy", features, np.zeros(20, int), np.arange(20) % 5, 0) is None
    assert permutation_test("accuracy", features, np.arange(20) % 2, np.zeros(20, int), 0) is None


def test_images_that_are_all_equal_say_nothing() -> None:
    labels = np.arange(40) % 2
    found = permutation_test("accuracy", np.ones((40, 8)), labels, folds_for(labels, None), 0)
    assert found is not None and found.p > 0.05


def test_fewer_seconds_and_more_classes_leave_fewer_rows() -> None:
    assert rows_in_seconds(1000, 2.0) < rows_in_seconds(100, 2.0) < rows_in_seconds(2, 2.0) <= 2000
    assert rows_in_seconds(10, 1.0) < rows_in_seconds(10, 2.0)
