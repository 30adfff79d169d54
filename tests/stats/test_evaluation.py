from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from autotl.stats import evaluation
from autotl.stats.evaluation import measured


def drawn(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.0
    proba = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, proba


def test_figures_are_those_of_scikit_learn() -> None:
    labels, proba = drawn(200, 7)
    found = measured("accuracy", labels, proba, tuple("abcdefg"))
    assert found["score"].value == pytest.approx((proba.argmax(1) == labels).mean())
    assert found["log_loss"] == pytest.approx(log_loss(labels, proba), abs=1e-6)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, proba, multi_class="ovr"), abs=1e-6)
    assert found["accuracy"].value < found["top5"] < 1
    assert sum(line.images for line in found["classes"]) == 200
    assert found["thresholds"] == ()


def test_two_classes_have_thresholds_of_the_rarer_one() -> None:
    labels = np.array([0, 0, 0, 1])
    proba = np.array([[0.95, 0.05], [0.65, 0.35], [0.25, 0.75], [0.05, 0.95]])
    found = measured("accuracy", labels, proba, ("common", "rare"))
    assert found["positive"] == "rare"
    by = {cut.probability: (cut.precision, cut.recall) for cut in found["thresholds"]}
    assert by[0.3] == (pytest.approx(1 / 3, abs=1e-6), 1.0)
    assert by[0.9] == (1.0, 1.0)
    assert found["confusions"] == (("common", "rare", 1),)
    assert found["top5"] is None


def test_a_class_without_images_or_predictions_has_no_figure() -> None:
    proba = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    found = measured("balanced_accuracy", np.array([0, 0]), proba, ("a", "b", "c"))
    assert [line.recall is None for line in found["classes"]] == [False, True, True]
    assert found["classes"][1].precision is None
    assert found["auc"] is None


def test_as_many_far_images_as_usual_are_no_shift() -> None:
    assert evaluation.by_chance(2, 200) > 0.1
    assert evaluation.by_chance(20, 200) < 1e-6
    assert evaluation.by_chance(0, 0) == 1.0
