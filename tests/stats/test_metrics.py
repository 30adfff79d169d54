"""Metrics and intervals against definitions and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from autotl.stats import metrics


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    labels = generator.choice(4, size=200, p=[0.6, 0.2, 0.15, 0.05])
    predicted = np.where(generator.random(200) < 0.7, labels, generator.integers(4, size=200))
    return labels, predicted


def test_scores_are_scikit_learns(answers: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = answers
    assert metrics.score("accuracy", labels, predicted, 4) == np.mean(labels == predicted)
    assert metrics.score("balanced_accuracy", labels, predicted, 4) == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    assert metrics.score("macro_f1", labels, predicted, 4) == pytest.approx(
        f1_score(labels, predicted, average="macro", labels=np.unique(labels))
    )


def test_classes_without_rows_do_not_count() -> None:
    labels = np.array([0, 0, 1, 1])
    assert metrics.score("balanced_accuracy", labels, labels, 7) == 1.0


def test_row_weights_turn_balanced_accuracy_into_a_mean(answers: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = answers
    weights = metrics.row_weights("balanced_accuracy", labels, 4)
    assert weights @ (labels == predicted) == pytest.approx(
        metrics.score("balanced_accuracy", labels, predicted, 4)
    )


@pytest.mark.parametrize("truth", [0.6, 0.9, 0.98])
def test_interval_covers_about_95_percent(truth: float) -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        labels = np.zeros(120, np.int64)
        predicted = (generator.random(120) > truth).astype(np.int64)
        interval = metrics.interval("accuracy", labels, predicted, 2)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 400 <= 0.995


def test_grouped_rows_widen_the_interval() -> None:
    generator = np.random.default_rng(3)
    group = np.repeat(np.arange(20), 10)
    right = np.repeat(generator.random(20) < 0.8, 10)
    labels = np.zeros(200, np.int64)
    predicted = np.where(right, 0, 1)
    alone = metrics.interval("accuracy", labels, predicted, 2)
    together = metrics.interval("accuracy", labels, predicted, 2, group)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_perfect_score_still_has_an_interval() -> None:
    labels = np.arange(30) % 3
    interval = metrics.interval("accuracy", labels, labels, 3)
    assert interval.value == 1.0
    assert 0.8 < interval.low < 0.95


def test_paired_difference_is_antisymmetric_and_never_certain(answers: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predicted = answers
    one = metrics.paired_difference("accuracy", labels, labels, predicted, 4)
    other = metrics.paired_difference("accuracy", labels, predicted, labels, 4)
    assert one.value == pytest.approx(-other.value)
    assert one.low > 0
    same = metrics.paired_difference("accuracy", labels, predicted, predicted, 4)
    assert same.low < 0 < same.high


def test_what_is_fitted_for_a_metric_weighs_rows_as_the_metric_does() -> None:
    labels = np.array([0, 0, 0, 4])
    assert metrics.fitting_weights("accuracy", labels) is None
    weights = metrics.fitting_weights("balanced_accuracy", labels)
    assert weights is not None
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


@pytest.mark.parametrize("groups", [4, 8])
def test_few_groups_have_the_wider_interval_of_students_t(groups: int) -> None:
    """Two candidates of equal accuracy whose luck goes by groups: 0 is inside 95 times in 100, not 85."""
    generator = np.random.default_rng(4)
    group = np.repeat(np.arange(groups), 40)
    labels = np.zeros(len(group), np.int64)
    covered = normal = 0
    for _ in range(400):
        shares = np.clip(0.7 + 0.12 * generator.normal(size=(2, groups)), 0, 1)
        one, other = (generator.random(len(group)) > share[group] for share in shares)
        found = metrics.paired_difference("accuracy", labels, one * 1, other * 1, 2, group)
        covered += found.low <= 0 <= found.high
        narrow = (found.high - found.low) / 2 * metrics.Z95 / metrics.point(metrics.Z95, group)
        normal += abs(found.value) <= narrow
    assert 0.91 <= covered / 400 <= 0.98
    assert normal < covered


def test_many_groups_have_the_normal_interval() -> None:
    assert metrics.point(metrics.Z95, np.arange(1000)) == metrics.Z95
    assert metrics.point(metrics.Z95, np.arange(5)) == pytest.approx(2.776, abs=0.001)


def test_weights_of_the_data_count_within_a_class_where_classes_weigh_the_same() -> None:
    labels, own = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 2.0, 5.0])
    assert metrics.fitting_weights("accuracy", labels) is None
    plain = metrics.fitting_weights("accuracy", labels, own)
    assert plain is not None and plain.mean() == 1 and plain[2] == 2 * plain[0]
    balanced = metrics.fitting_weights("balanced_accuracy", labels, own)
    assert balanced is not None and balanced.mean() == pytest.approx(1)
    assert balanced[:3].sum() == pytest.approx(balanced[3]) and balanced[2] == 2 * balanced[0]
