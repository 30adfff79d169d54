"""Temperatures and distances: made-up predictions whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autotl.stats import calibration, ood
from autotl.stats.calibration import calibrate


def drawn(rows: int, sharpness: float, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that say `sharpness` times the logits of the ones the labels are drawn from."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(rows, classes))
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(classes, p=p) for p in truth])
    shown = np.exp(sharpness * logits)
    return (shown / shown.sum(1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_sharpened(sharpness: float) -> None:
    probabilities, labels = drawn(2000, sharpness)
    assert calibration.temperature(probabilities, labels) == pytest.approx(sharpness, rel=0.12)


def test_overconfidence_is_taken_out_and_the_error_is_out_of_fold() -> None:
    probabilities, labels = drawn(600, 3.0)
    found = calibrate(probabilities, labels)
    assert found.temperature > 2
    assert found.ece < 0.06
    assert found.ece_before > 0.15
    assert found.images == 600


def test_what_is_calibrated_stays() -> None:
    probabilities, labels = drawn(1500, 1.0)
    found = calibrate(probabilities, labels)
    assert found.temperature == pytest.approx(1.0, abs=0.15)
    assert found.ece <= found.ece_before + 0.01


def test_a_few_right_answers_do_not_ask_for_certainty() -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]]), (30, 1))
    assert (
        calibration.apply(probabilities, calibrate(probabilities, np.zeros(30, int)).temperature).max() < 0.99
    )


def test_too_few_images_leave_it_alone() -> None:
    probabilities, labels = drawn(10, 5.0)
    assert calibrate(probabilities, labels).temperature == 1.0


def test_the_named_class_never_changes() -> None:
    probabilities, _ = drawn(200, 3.0)
    assert (calibration.apply(probabilities, 4.2).argmax(1) == probabilities.argmax(1)).all()


def test_the_temperature_goes_into_the_model_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"classes": ["a"], "temperature": 1.0}')
    found = calibrate(*drawn(600, 3.0))
    calibration.write({"temperature": found.temperature}, tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described == {"classes": ["a"], "temperature": found.temperature}
    calibration.write({"temperature": 2.0}, tmp_path / "gone")


# --------------------------------------------------------------------------- far from the training images


def kind(rows: int, seed: int, width: int = 32) -> np.ndarray:
    """Features of images of one kind: they vary in a few directions only."""
    axes = np.random.default_rng(7).normal(size=(6, width))
    return 3 + np.random.default_rng(seed).normal(size=(rows, 6)) @ axes


def test_one_in_a_hundred_of_the_same_kind_is_far_and_others_are() -> None:
    found = ood.fit(kind(400, 0), kind(300, 1))
    assert found is not None and found.held_out == 300
    assert (found.distance(kind(2000, 2)) > 1).mean() < 0.03
    assert (found.distance(np.random.default_rng(3).normal(size=(500, 32))) > 1).mean() > 0.95


def test_without_held_out_images_each_is_left_out_of_its_own_neighbours() -> None:
    found = ood.fit(kind(400, 0), kind(0, 1))
    assert found is not None and found.held_out == 0
    assert (found.distance(kind(2000, 2)) > 1).mean() < 0.03


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = ood.fit(kind(ood.MOST + 50, 0), kind(300, 1))
    assert found is not None
    ood.write(found, tmp_path)
    again = ood.read(tmp_path)
    assert again is not None and len(again.features) == ood.MOST
    asked = np.concatenate([kind(50, 4), np.full((1, 32), np.nan)])
    np.testing.assert_allclose(again.distance(asked), found.distance(asked), rtol=0.02, atol=0.01)
    assert np.isnan(again.distance(asked)[-1])
    assert ood.read(tmp_path / "gone") is None


def test_a_folder_of_the_first_version_is_read_under_its_old_name(tmp_path: Path) -> None:
    reference = ood.fit(kind(400, 0), kind(300, 1))
    assert reference is not None
    ood.write(reference, tmp_path)
    (tmp_path / "ood.safetensors").rename(tmp_path / "familiar.safetensors")
    again = ood.read(tmp_path)
    assert again is not None and again.threshold == pytest.approx(reference.threshold)


def test_too_few_training_images_say_nothing() -> None:
    assert ood.fit(kind(ood.FEWEST - 1, 0), kind(300, 1)) is None


def test_images_of_a_class_of_three_are_near_themselves() -> None:
    """The fifth nearest of such an image is of another class, far away."""
    rare = 40 + kind(3, 5)
    found = ood.fit(np.concatenate([kind(400, 0), rare]), kind(300, 1))
    assert found is not None
    assert (found.distance(rare) < 1).all()
    assert (found.distance(kind(2000, 2)) > 1).mean() < 0.03


def test_errors_of_probabilities_are_those_of_their_definitions() -> None:
    probabilities, labels = drawn(400, 3.0)
    found = calibration.errors(probabilities, labels, 1.0)
    true = np.eye(5)[labels]
    assert found.nll == pytest.approx(-np.log((probabilities * true).sum(1)).mean(), abs=1e-4)
    assert found.brier == pytest.approx(((probabilities - true) ** 2).sum(1).mean(), abs=1e-4)
    assert found.ece == pytest.approx(calibration.expected_error(probabilities, labels), abs=1e-4)
    cooler = calibration.errors(probabilities, labels, 3.0)
    assert cooler.nll < found.nll and cooler.brier < found.brier and cooler.ece < found.ece
