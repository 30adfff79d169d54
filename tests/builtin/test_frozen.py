"""Heads by name on frozen features: each shows the effect that it is known for, on features made for it."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from example_run import example
from scipy.special import log_softmax

from autotl.builtin import frozen, heads
from autotl.builtin.strategies import FROZEN, STRATEGIES
from autotl.protocols import HeadCall
from autotl.records import Strategy
from autotl.records.head import Head
from autotl.stats.folds import folds_for

BY_NAME = {
    "ridge": heads.ridge,
    "class_mean": frozen.class_mean,
    "lda": frozen.lda,
    "linear_svm": frozen.linear_svm,
    "mlp": frozen.mlp,
}


def call(features: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray, **more: Any) -> HeadCall:
    return HeadCall(features=features, labels=labels, classes=classes, folds=folds, seed=0, **more)


def logits(head: Head, features: np.ndarray, classes: int) -> np.ndarray:
    if head.kind == "arrays":
        return np.asarray(frozen.mlp_logits(features, head.arrays, classes))
    return np.asarray(features @ head.arrays["weight"].T + head.arrays["bias"])


def right(head: Head, features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    return float((logits(head, features, classes).argmax(1) == labels).mean())


def normal(
    rows: int, width: int, distance: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features and labels of three classes, and the same of new rows behind them, with the folds of the first."""
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(3, width)) * distance
    labels = np.arange(2 * rows) % 3
    features = (means[labels] + generator.normal(size=(2 * rows, width))).astype(np.float32)
    return features, labels, folds_for(labels[:rows], None)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_scores_of_new_rows_are_about_log_probabilities(name: str) -> None:
    """Scores such as margins or distances are scaled: the log loss is near what the rate of errors would have at best."""
    features, labels, folds = normal(300, 20, 0.6)
    head: Head = BY_NAME[name](call(features[:300], labels[:300], 3, folds))
    scores = logits(head, features[300:], 3)
    assert (scores.argmax(1) == labels[300:]).mean() > 0.9
    assert -log_softmax(scores, axis=1)[np.arange(300), labels[300:]].mean() < 0.25


@pytest.mark.parametrize("name", BY_NAME)
def test_classes_without_a_row_and_a_single_class_are_answered(name: str) -> None:
    features, labels, folds = normal(60, 8, 1.0)
    head: Head = BY_NAME[name](call(features[:60], labels[:60], 5, folds))
    assert set(logits(head, features[60:], 5).argmax(1)) == {0, 1, 2}
    one: Head = BY_NAME[name](call(features[:9], np.full(9, 1), 5, np.arange(9) % 3))
    assert set(logits(one, features[60:], 5).argmax(1)) == {1}


def test_discriminants_see_through_a_direction_that_all_classes_share() -> None:
    """A large variance common to all classes hides them from the nearest mean, not from the discriminants."""
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    shared = 3.0 * generator.normal(size=(400, 1))
    offset = labels[:, None] * np.array([[1.0, -1.0]])
    features = (shared + offset + 0.3 * generator.normal(size=(400, 2))).astype(np.float32)
    folds = folds_for(labels[:200], None)
    rates = {
        name: right(
            BY_NAME[name](call(features[:200], labels[:200], 2, folds)), features[200:], labels[200:], 2
        )
        for name in ("class_mean", "lda")
    }
    assert rates["lda"] > 0.95
    assert rates["class_mean"] < 0.8


def test_a_hidden_layer_learns_what_no_linear_head_can() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(600, 2)).astype(np.float32)
    labels = (features[:, 0] * features[:, 1] > 0).astype(int)
    folds = folds_for(labels[:300], None)
    network = frozen.mlp(call(features[:300], labels[:300], 2, folds))
    line = frozen.linear_svm(call(features[:300], labels[:300], 2, folds))
    assert right(network, features[300:], labels[300:], 2) > 0.9
    assert right(line, features[300:], labels[300:], 2) < 0.65


@pytest.mark.parametrize("name", ["lda", "linear_svm", "mlp", "ridge"])
def test_rows_of_a_rare_class_that_weigh_more_are_answered_more_often(name: str) -> None:
    generator = np.random.default_rng(0)
    labels = (np.arange(600) % 20 == 0).astype(int)
    features = (generator.normal(size=(600, 4)) + labels[:, None] * 0.7).astype(np.float32)
    weights = np.where(labels == 1, 20.0, 1.0)[:300]
    weights /= weights.mean()
    fit: Any = BY_NAME[name]
    folds = folds_for(labels[:300], None)
    rare = {
        how: (
            logits(
                fit(call(features[:300], labels[:300], 2, folds, weights=given)), features[300:], 2
            ).argmax(1)
        ).mean()
        for how, given in (("alike", None), ("weighted", weights))
    }
    assert rare["weighted"] > rare["alike"] + 0.1


def layers() -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return features of three layer groups, of which the second alone knows the classes, by five features."""
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 4
    features = generator.normal(size=(400, 240)).astype(np.float32)
    features[:, 85:90] += 2.0 * generator.normal(size=(4, 5))[labels]
    return features, labels, folds_for(labels[:200], None), (80, 80, 80)


def test_the_layer_that_knows_the_classes_is_chosen() -> None:
    features, labels, folds, widths = layers()
    head = frozen.best_layer(call(features[:200], labels[:200], 4, folds, widths=widths))
    assert head.method == "layer group 2"
    assert np.flatnonzero(np.abs(head.arrays["weight"]).sum(0)).tolist() == list(range(80, 160))
    assert right(head, features[200:], labels[200:], 4) > 0.8


def test_features_that_matter_are_selected_among_those_of_all_layers() -> None:
    features, labels, folds, widths = layers()
    head = frozen.head2toe(call(features[:200], labels[:200], 4, folds, widths=widths))
    kept = set(np.flatnonzero(np.abs(head.arrays["weight"]).sum(0)).tolist())
    assert set(range(85, 90)) <= kept and len(kept) <= 24
    rate = right(head, features[200:], labels[200:], 4)
    every = heads.ridge(call(features[:200], labels[:200], 4, folds))
    assert rate > right(every, features[200:], labels[200:], 4) + 0.03


def test_a_default_run_tries_none_of_them() -> None:
    from autotl.candidates.gather import gather
    from autotl.plugins.manager import load_plugins
    from autotl.records import Goal, Settings

    plugins, settings = load_plugins(), Settings(offline=True, wanted=("autotl:resnet14t_small",))
    profile = example().profile
    names = {strategy.name for strategy in FROZEN}
    tried = gather(plugins, profile, settings, Goal()).strategies
    assert not names.intersection(strategy.name for strategy in tried)
    asked = gather(plugins, profile, settings, Goal(), tuple(names)).strategies
    assert {strategy.name for strategy in asked} == names


@pytest.mark.parametrize(
    "strategy",
    [each for each in (*STRATEGIES, *FROZEN) if each.head and each.takes_weights],
    ids=lambda s: s.name,
)
def test_rows_of_hardly_any_weight_have_hardly_any_say(strategy: Strategy) -> None:
    features, labels, folds = normal(240, 12, 1.0)
    given, weights = labels[:240].copy(), np.ones(240)
    wrong = np.arange(240) % 5 < 3
    given[wrong], weights[wrong] = (given[wrong] + 1) % 3, 1e-3
    module, _, name = (strategy.head or "").partition(":")
    fit = getattr(import_module(module), name)
    plain = call(features[:240], given, 3, folds, widths=(6, 6))
    head: Head = fit(replace(plain, weights=weights))
    assert right(head, features[240:], labels[240:], 3) > 0.8
    misled: Head = fit(plain)
    assert right(misled, features[240:], labels[240:], 3) < 0.5


def test_names_of_classes_are_for_backbones_that_read_them() -> None:
    """Asked for by name, zero-shot is tried on the one backbone with a text tower, and says so of the other."""
    from types import SimpleNamespace

    from autotl.candidates.gather import gather
    from autotl.plugins.manager import load_plugins
    from autotl.records import Goal, Kind, Settings

    plugins = load_plugins()
    profile = SimpleNamespace(target="multiclass", unlabelled=None, related=None, others=())
    settings = Settings(offline=True, wanted=("autotl:resnet14t_small",))
    plain = plugins.backbones(None, settings)["autotl:resnet14t_small"]
    clip = replace(plain, name="clip", text="autotl.builtin.frozen:zero_shot")
    offered = {spec.name: spec for spec in (plain, clip)}
    standing: Any = SimpleNamespace(
        backbones=lambda *_: offered, strategies=plugins.strategies, worth=plugins.worth
    )
    asked = gather(
        standing,
        profile,
        replace(settings, wanted=("*",)),
        Goal(),
        ("zero_shot", "linear_probe"),  # type: ignore[arg-type]
    )
    tried = {strategy.name: strategy for strategy in asked.strategies}
    assert tried["zero_shot"].takes("clip") and not tried["zero_shot"].takes(plain.name)
    assert tried["linear_probe"].takes(plain.name)
    declined = [skip.reason for skip in asked.skipped if skip.reason.kind == Kind.STRATEGY_DECLINED]
    assert [reason.values["backbones"] for reason in declined] == [[plain.name]]
