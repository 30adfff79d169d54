from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from autotl.builtin import heads
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats import metrics, ridge
from autotl.stats.folds import folds_for


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(images))[:600]
    return images[rows].astype(np.float32), labels[rows]


def call(features: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray, **more: Any) -> HeadCall:
    return HeadCall(features=features, labels=labels, classes=classes, folds=folds, seed=0, **more)


def answers(head: Head, features: np.ndarray) -> np.ndarray:
    return np.asarray(features @ head.arrays["weight"].T + head.arrays["bias"])


def test_the_linear_head_is_as_good_as_the_better_of_two(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    wide = np.tanh(features @ np.random.default_rng(1).normal(size=(64, 700)).astype(np.float32) / 30)
    folds = folds_for(labels[:400], None)
    head = heads.linear(call(wide[:400], labels[:400], 10, folds))
    right = float((answers(head, wide[400:]).argmax(1) == labels[400:]).mean())
    by_ridge = RidgeClassifier(alpha=70.0).fit(ridge.standardise(wide[:400]), labels[:400])
    x = (wide[400:] - wide[:400].mean(0)) / wide[:400].std(0)
    assert right >= by_ridge.score(x, labels[400:]) - 0.02
    assert right > 0.93


@pytest.mark.parametrize("fit", [heads.linear, heads.logistic])
def test_a_head_ends_in_its_seconds(
    digits: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    fit: Callable[[HeadCall], Head],
) -> None:
    """On a busy machine 101 classes took three times the seconds of the trial, and a run ended without a model."""
    features, labels = digits
    fitted: list[float] = []

    class Counted(LogisticRegression):
        def fit(self, *arguments: Any) -> Any:
            fitted.append(self.C)
            return super().fit(*arguments)

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Counted)
    of_all = call(features, labels, 10, folds_for(labels, None))
    fit(of_all)
    assert set(fitted) == set(heads.PENALTIES)
    fitted.clear()
    head = fit(replace(of_all, seconds=0.0))
    assert set(fitted) == {heads.PENALTIES[0]}
    assert float((answers(head, features).argmax(1) == labels).mean()) > 0.85


def test_ridge_without_a_fold_is_scikit_learns(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    x = ridge.standardise(features)
    for index, relative in enumerate(ridge.PENALTIES):
        weight, bias = ridge.fit(x, labels, index)
        alpha = relative * float(np.sum(x**2)) / len(x)
        same = RidgeClassifier(alpha=alpha).fit(x, labels)
        assert np.mean((x @ weight.T + bias).argmax(1) == same.predict(x)) > 0.995


def test_its_probabilities_mean_something(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    head = heads.linear(call(features[:400], labels[:400], 10, folds_for(labels[:400], None)))
    logits = answers(head, features[400:])
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    right = logits.argmax(1) == labels[400:]
    assert abs(float(shares.max(1).mean() - right.mean())) < 0.12


def test_a_class_without_a_row_is_never_answered(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    some = labels < 8
    head = heads.linear(call(features[some], labels[some], 12, folds_for(labels[some], None)))
    assert head.arrays["weight"].shape == (12, 64)
    assert answers(head, features).argmax(1).max() < 8


@pytest.mark.parametrize("each", [1, 2, 3])
def test_a_handful_of_images_suffices(each: int) -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), each)
    features = (np.eye(3)[labels] * 5 + generator.normal(size=(3 * each, 3))).astype(np.float32)
    head = heads.linear(call(features, labels, 3, folds_for(labels, None)))
    assert (answers(head, features).argmax(1) == labels).mean() > 0.6


def test_a_ridge_is_a_ridge_with_one_image_a_class(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """Nothing can be left out, so the penalty is the usual one and the scores are scaled by their own spread."""
    features, labels = digits
    rows = np.unique(labels, return_index=True)[1]
    head = heads.ridge(call(features[rows], labels[rows], 10, folds_for(labels[rows], None)))
    assert head.method == "ridge"
    logits = answers(head, features)
    assert (logits.argmax(1) == labels).mean() > 0.4
    assert 0.5 < logits.std(1).mean() < 2.0


def test_one_class_alone_is_always_answered(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    head = heads.linear(
        call(features[labels == 3], labels[labels == 3], 10, np.zeros((labels == 3).sum(), int))
    )
    assert set(answers(head, features).argmax(1).tolist()) == {3}


def test_neighbours_vote_in_another_fold_when_their_number_is_chosen(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    features, labels = digits
    head = heads.knn(call(features, labels, 10, folds_for(labels, None)))
    assert head.kind == "knn"
    assert int(head.arrays["count"]) in heads.NEIGHBOURS
    assert head.arrays["features"].shape == features.shape


def test_a_fine_tuning_starts_from_a_logistic_head(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits
    head = heads.logistic(call(features, labels, 10, folds_for(labels, None)))
    assert head.method == "logistic"
    assert (answers(head, features).argmax(1) == labels).mean() > 0.95


def test_many_classes_and_rows_cost_no_more_than_they_must(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logistic regression costs rows × columns × classes: beyond a limit a ridge, or fewer rows, stand in."""
    features, labels = digits
    folds = folds_for(labels[:400], None)
    fitted: list[int] = []
    fit = LogisticRegression.fit
    monkeypatch.setattr(
        LogisticRegression, "fit", lambda model, x, *rest: fitted.append(len(x)) or fit(model, x, *rest)
    )
    monkeypatch.setattr(heads, "LOGISTIC_WORK", 100 * 64 * 10)
    head = heads.linear(call(features[:400], labels[:400], 10, folds))
    assert head.method == "ridge" and not fitted
    assert (answers(head, features[400:]).argmax(1) == labels[400:]).mean() > 0.85
    head = heads.logistic(call(features[:400], labels[:400], 10, folds))
    assert head.method == "logistic" and 0 < max(fitted) <= 100
    assert (answers(head, features[400:]).argmax(1) == labels[400:]).mean() > 0.7
    monkeypatch.setattr(heads, "NEIGHBOUR_ROWS", 100)
    known = heads.knn(call(features[:400], labels[:400], 10, folds))
    assert len(known.arrays["features"]) == 400, "all of them vote, though fewer say how many do"


@pytest.fixture(scope="module")
def rare() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features and labels of overlapping classes, the rarest a thirtieth of the largest; then even ones to judge on."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(4, 20))
    labels, even = np.repeat(np.arange(4), [300, 100, 30, 10]), np.repeat(np.arange(4), 200)
    drawn = [centres[of] + 2 * generator.normal(size=(len(of), 20)) for of in (labels, even)]
    return drawn[0].astype(np.float32), labels, drawn[1].astype(np.float32), even


@pytest.mark.parametrize("fit", [heads.linear, heads.logistic])
def test_rare_classes_are_recalled_where_every_class_counts_the_same(
    fit: Callable[..., Head], rare: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> None:
    features, labels, unseen, even = rare
    folds = folds_for(labels, None)
    weights = metrics.fitting_weights("balanced_accuracy", labels)
    plain, weighed = (fit(call(features, labels, 4, folds, weights=given)) for given in (None, weights))
    recall = [float((answers(head, unseen).argmax(1) == even).mean()) for head in (plain, weighed)]
    assert recall[1] > recall[0] + 0.05


def test_a_row_that_counts_twice_is_as_good_as_two(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = digits[0][:200], digits[1][:200]
    twice = np.where(labels < 5, 2, 1)
    rows = np.repeat(np.arange(200), twice)
    folds = folds_for(labels, None)
    x = ridge.standardise(features[rows])
    _, first = np.unique(rows, return_index=True)
    one, other = ridge.fit(x, labels[rows], 2), ridge.fit(x[first], labels, 2, twice.astype(float))
    # Penalties are relative to the mean eigenvalue a row, which differs by the rows there are.
    assert np.corrcoef(one[0].ravel(), other[0].ravel())[0, 1] > 0.99
    assert np.allclose(one[1], other[1])
    apart = ridge.left_out(x, labels[rows], folds[rows])[2][first]
    weighed = ridge.left_out(x[first], labels, folds, twice.astype(float))[2]
    assert np.corrcoef(apart.ravel(), weighed.ravel())[0, 1] > 0.99


def test_the_number_of_neighbours_is_chosen_by_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six rare rows in a crowd of another class: many neighbours never answer them, which costs little accuracy."""
    monkeypatch.setattr(heads, "NEIGHBOURS", (1, 20))
    generator = np.random.default_rng(0)
    angles = np.concatenate([generator.uniform(0, 2 * np.pi, 100), generator.normal(1, 0.02, 16)])
    labels = np.repeat([0, 1], [110, 6])
    features = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    folds, weights = np.arange(116), metrics.fitting_weights("macro_f1", labels)
    plain, weighed = (heads.knn(call(features, labels, 2, folds, weights=given)) for given in (None, weights))
    assert int(weighed.arrays["count"]) < int(plain.arrays["count"])


@pytest.mark.parametrize("fit", [heads.linear, heads.knn, heads.logistic], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["numbers", "sets"])
def test_numbers_and_several_labels_are_fitted(fit: Any, kind: str) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(240, 12)).astype(np.float32)
    hidden = features[:, :3] @ generator.normal(size=(3, 3))
    labels = hidden[:, 0] if kind == "numbers" else (hidden > 0.5).astype(np.int8)
    outputs = 1 if kind == "numbers" else 3
    train, test = slice(0, 180), slice(180, 240)
    head = fit(call(features[train], labels[train], outputs, np.arange(180) % 5))
    if head.kind == "linear":
        answers = features[test] @ head.arrays["weight"].T + head.arrays["bias"]
    else:
        near = features[test] - head.arrays["centre"]
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        place = np.argsort(-near @ head.arrays["features"].T, axis=1)[:, : int(head.arrays["count"])]
        answers = head.arrays["labels"].reshape(180, -1)[place].mean(1)
    if kind == "numbers":
        assert metrics.score("r2", labels[test], answers[:, 0], 1) > (0.9 if head.kind == "linear" else 0.4)
    else:
        constant = labels[test].mean()
        assert metrics.score("mean_average_precision", labels[test], answers, 3) > constant + 0.3


@pytest.mark.parametrize("kind", ["numbers", "sets"])
def test_rows_of_hardly_any_weight_do_not_move_numbers_and_sets(kind: str) -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(200, 5)).astype(np.float32)
    numbers = features[:, 0].astype(float)
    numbers[:60] *= -1  # the opposite, of no weight
    labels = numbers if kind == "numbers" else np.stack([numbers > 0, numbers < 0.5], axis=1).astype(np.int8)
    weights = np.where(np.arange(200) < 60, 1e-3, 1.0)
    head = heads.linear(
        call(features, labels, 1 if kind == "numbers" else 2, np.arange(200) % 5, weights=weights)
    )
    answers = features[60:] @ head.arrays["weight"].T + head.arrays["bias"]
    if kind == "numbers":
        assert metrics.score("r2", labels[60:], answers[:, 0], 1) > 0.98
    else:
        assert metrics.score("mean_average_precision", labels[60:], answers, 2) > 0.97
