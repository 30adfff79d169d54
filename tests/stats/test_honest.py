"""Intervals of numbers and thresholds of labels: they hold what they promise on new rows."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.stats import conformal, label_errors, number_errors, thresholds

GENERATOR = np.random.default_rng(0)


def test_intervals_hold_new_rows_as_often_as_their_level_says() -> None:
    held = []
    for _ in range(200):
        truth, guess = GENERATOR.normal(size=(2, 120))
        width = conformal.half_width(np.abs(truth[:60] - guess[:60]))
        assert width is not None
        held.append((np.abs(truth[60:] - guess[60:]) <= width).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.015)


def test_intervals_hold_new_groups() -> None:
    held = []
    for _ in range(200):
        group = np.repeat(np.arange(40), 5)
        errors = np.repeat(GENERATOR.normal(size=40), 5) + GENERATOR.normal(scale=0.3, size=200)
        width = conformal.half_width(np.abs(errors[:100]), group[:100])
        assert width is not None
        held.append((np.abs(errors[100:]) <= width).mean())
    assert np.mean(held) > 0.87


def test_few_images_have_no_interval() -> None:
    found = conformal.calibrate(np.zeros(8), np.ones(8))
    assert found.half_width is None and conformal.on_new(found, np.zeros(3), np.ones(3)) == found


def test_coverage_is_counted_on_the_test_images() -> None:
    found = conformal.calibrate(np.zeros(50), np.linspace(-1, 1, 50))
    checked = conformal.on_new(found, np.zeros(4), np.array([0.0, 0.5, 2.0, 3.0]))
    assert (checked.coverage, checked.tested) == (0.5, 4)


def test_a_threshold_is_that_of_the_highest_f1() -> None:
    labels = np.array([[0]] * 20 + [[1]] * 20)
    shares = np.concatenate([np.linspace(0.0, 0.2, 20), np.linspace(0.3, 0.4, 20)])[:, None]
    (limit,) = thresholds.chosen(shares, labels)
    assert 0.2 < limit < 0.3
    assert thresholds.f1_scores(labels, shares >= limit) == (1.0, 1.0)


def test_a_rare_label_keeps_the_usual_threshold() -> None:
    labels = np.zeros((40, 1), np.int8)
    labels[:3] = 1
    assert thresholds.chosen(GENERATOR.random((40, 1)), labels).tolist() == [0.5]


def test_thresholds_are_judged_on_rows_that_did_not_choose_them() -> None:
    labels = (GENERATOR.random((60, 8)) < 0.3).astype(np.int8)
    noise = GENERATOR.random((60, 8))
    found = thresholds.calibrate(noise, labels)
    in_sample, _ = thresholds.f1_scores(labels, noise >= np.array(found.thresholds))
    assert found.micro_f1 <= in_sample


def test_errors_that_grow_with_the_prediction_are_seen() -> None:
    predicted = np.linspace(1, 10, 200)
    grows = predicted + GENERATOR.normal(size=200) * predicted * 0.2
    spread, p = number_errors.spread(grows, predicted)
    assert spread > 0.3 and p < 0.001
    _, p = number_errors.spread(predicted + GENERATOR.normal(size=200), predicted)
    assert p > 0.01


def test_the_figures_of_numbers_agree_with_their_definition() -> None:
    truth = GENERATOR.normal(10, 3, 100)
    guess = truth + GENERATOR.normal(1, 1, 100)
    found = number_errors.measured("r2", truth, guess, half_width=2.0)
    assert found["mae"].value == pytest.approx(np.abs(truth - guess).mean(), rel=1e-5)
    assert found["mae"].low < found["mae"].value < found["mae"].high
    assert found["rmse"].value == pytest.approx(np.sqrt(np.mean((truth - guess) ** 2)), rel=1e-5)
    assert found["bias"] == pytest.approx(-1, abs=0.4) and 0 < found["coverage"] < 1
    assert sum(each.images for each in found["bins"]) == 100


def test_the_figures_of_labels_agree_with_their_definition() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    shares = np.array([[0.9, 0.1], [0.6, 0.1], [0.7, 0.2], [0.1, 0.1]])
    found = label_errors.measured("mean_average_precision", labels, shares, ("a", "b"), limits=(0.65, 0.5))
    by_name = {each.name: each for each in found["labels"]}
    assert by_name["a"].average_precision == pytest.approx((1 + 2 / 3) / 2, abs=1e-5)
    assert (by_name["a"].precision, by_name["a"].recall) == (0.5, 0.5)
    assert by_name["b"].average_precision is None and by_name["b"].precision is None
    assert found["exact"] == 0.5 and found["constant"] == 0.5
