"""Metrics of numbers and of sets of labels: their values, and that their merits have the spread of the metric."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, d2_absolute_error_score, f1_score, r2_score

from autotl.records import Metric
from autotl.stats import merits, metrics

GENERATOR = np.random.default_rng(0)
NUMBERS = GENERATOR.normal(5, 2, 80)
GUESSES = NUMBERS + GENERATOR.normal(0, 1, 80)
SETS = (GENERATOR.random((80, 3)) < [0.5, 0.2, 0.1]).astype(np.int8)
SCORES = np.round(np.clip(0.4 * SETS + 0.6 * GENERATOR.random((80, 3)), 0, 1), 1)  # with many ties


@pytest.mark.parametrize(
    ("metric", "labels", "predicted", "expected"),
    [
        ("r2", NUMBERS, GUESSES, r2_score(NUMBERS, GUESSES)),
        ("mae", NUMBERS, GUESSES, d2_absolute_error_score(NUMBERS, GUESSES)),
        ("spearman", NUMBERS, NUMBERS**3, 1.0),
        ("mean_average_precision", SETS, SCORES, average_precision_score(SETS, SCORES)),
        ("micro_f1", SETS, SCORES, f1_score(SETS, SCORES >= 0.5, average="micro")),
        ("macro_f1", SETS, SCORES, f1_score(SETS, SCORES >= 0.5, average="macro")),
    ],
)
def test_a_metric_has_the_value_that_scikit_learn_gives(
    metric: Metric, labels: np.ndarray, predicted: np.ndarray, expected: float
) -> None:
    assert metrics.score(metric, labels, predicted, 1) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [*merits.NUMBERS, *merits.LABEL_SETS])
def test_the_spread_of_merits_is_that_of_the_metric_without_each_row(metric: Metric) -> None:
    numbers = metric in merits.NUMBERS
    labels, predicted = (NUMBERS, GUESSES) if numbers else (SETS, SCORES)
    of_rows = metrics.row_values(metric, labels, predicted)
    rows = np.arange(len(labels))
    without = [metrics.score(metric, labels[rows != row], predicted[rows != row], 1) for row in rows]
    jackknife = np.sqrt((len(rows) - 1) / len(rows) * np.sum((without - np.mean(without)) ** 2))
    assert of_rows.std() / np.sqrt(len(rows)) == pytest.approx(jackknife, rel=0.2)  # of first order alone


def test_a_constant_answer_has_no_skill_and_a_perfect_one_all_of_it() -> None:
    for metric in ("r2", "mae"):
        best = np.full(80, NUMBERS.mean() if metric == "r2" else np.median(NUMBERS))
        assert metrics.score(metric, NUMBERS, best, 1) == pytest.approx(0.0)
        assert metrics.score(metric, NUMBERS, NUMBERS, 1) == 1.0
    assert metrics.of_constant("r2", NUMBERS, 1) == pytest.approx(0.0)


def test_the_interval_of_numbers_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        truth = generator.normal(size=60)
        found = metrics.interval("r2", truth, truth + generator.normal(scale=0.6, size=60), 1)
        held += found.low <= 1 - 0.6**2 <= found.high
    assert 0.88 <= held / 300 <= 0.99


def test_models_that_differ_in_a_few_rows_are_compared_in_pairs() -> None:
    other = GUESSES.copy()
    other[:40] += 1.5
    found = metrics.paired_difference("r2", NUMBERS, GUESSES, other, 1)
    assert found.low > 0
    same = metrics.paired_difference("r2", NUMBERS, GUESSES, GUESSES, 1)
    assert (same.low, same.high) == (0.0, 0.0)


def test_groups_widen_the_interval() -> None:
    group = np.repeat(np.arange(8), 10)
    truth = NUMBERS + np.repeat(GENERATOR.normal(0, 3, 8), 10)
    guesses = truth + np.repeat(GENERATOR.normal(0, 1, 8), 10)
    alone, whole = (metrics.interval("r2", truth, guesses, 1, each) for each in (None, group))
    assert whole.high - whole.low > alone.high - alone.low


def test_classes_without_an_image_do_not_count() -> None:
    labels, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.8], [0.1, 0.2]])
    assert metrics.score("mean_average_precision", labels, scores, 2) == 1.0
    assert np.isnan(merits.average_precisions(labels, scores)[1])
