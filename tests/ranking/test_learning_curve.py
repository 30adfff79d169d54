"""Learning curves: the gain from more images, and the asymptote where it is reached."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.ranking.learning_curve import learning_curve
from autotl.stats.folds import folds_for


def world(rows: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=rows)
    centres = np.random.default_rng(7).normal(size=(4, 24))
    features = centres[labels] + noise * generator.normal(size=(rows, 24))
    return features, labels, folds_for(labels, None)


def test_more_images_help_where_they_helped_before_and_not_where_nothing_is_left() -> None:
    hard, solved = learning_curve("a", 64, *world(600, 4.0)), learning_curve("a", 64, *world(600, 0.1))
    assert hard is not None and solved is not None
    assert hard.gain.low > 0 and hard.gain.value > solved.gain.value
    assert solved.gain.value == pytest.approx(0.0, abs=1e-3)
    assert hard.more == 200 and hard.rows[-1] == 480 and list(hard.rows) == sorted(hard.rows)


def test_a_curve_that_falls_promises_no_gain() -> None:
    features, labels, folds = world(800, 1.0)
    shuffled = np.where(
        np.arange(800) < 240, labels, (labels + 1) % 4
    )  # later images, in large subsamples alone
    shuffled[folds == 0] = labels[folds == 0]
    found = learning_curve("a", 64, features, shuffled, np.where(folds == 0, 0, 1))
    assert found is not None and found.scores[-1] < found.scores[0]
    assert found.gain.low < found.gain.value < 0


def test_labels_without_meaning_promise_nothing() -> None:
    features, labels, _ = world(600, 2.0)
    shuffled = np.random.default_rng(3).permutation(labels)
    grown = learning_curve("a", 64, features, shuffled, folds_for(shuffled, None))
    assert grown is not None and grown.gain.low <= 0.005


def test_what_it_promises_comes_true() -> None:
    inside = []
    for seed in range(12):
        features, labels, _ = world(1400, 4.0, seed)
        few = learning_curve("a", 64, features[:600], labels[:600], folds_for(labels[:600], None))
        many = learning_curve("a", 64, features[:850], labels[:850], folds_for(labels[:850], None))
        assert few is not None and many is not None  # 200 more train there, as 480 + 200 = 680
        came = many.scores[-1] - few.scores[-1]
        inside.append(few.gain.low - 0.02 <= came <= few.gain.high + 0.02)
    assert np.mean(inside) >= 0.75


def test_a_handful_of_images_is_no_curve() -> None:
    assert learning_curve("a", 64, *world(60, 1.0)) is None
    assert learning_curve("a", 64, np.ones((200, 3)), np.zeros(200, int), np.arange(200) % 5) is None


def test_an_asymptote_is_named_only_where_both_curves_have_flattened() -> None:
    done, moving = learning_curve("a", 64, *world(2000, 1.5)), learning_curve("a", 64, *world(600, 4.0))
    assert done is not None and moving is not None
    assert done.asymptote is not None and moving.asymptote is None
    assert done.asymptote.low <= done.scores[-1] <= done.asymptote.high


def test_the_level_that_is_named_is_where_the_curve_ends() -> None:
    features, labels, _ = world(20_000, 1.5, seed=99)
    centres = np.random.default_rng(7).normal(size=(4, 24))
    best = float((np.linalg.norm(features[:, None] - centres, axis=2).argmin(1) == labels).mean())
    found = [learning_curve("a", 64, *world(2000, 1.5, seed)) for seed in range(12)]
    named = [grown.asymptote for grown in found if grown is not None and grown.asymptote is not None]
    assert len(named) >= 4
    assert np.mean([level.low <= best <= level.high for level in named]) >= 0.75


def test_a_flat_score_is_no_asymptote_while_the_fit_still_moves() -> None:
    """Labels without meaning are learned by heart, less so the more there are: chance is no level that was reached."""
    features, labels, _ = world(2000, 2.0)
    shuffled = np.random.default_rng(3).permutation(labels)
    grown = learning_curve("a", 64, features, shuffled, folds_for(shuffled, None))
    assert grown is not None
    assert grown.fits[0] > grown.fits[-1] + 0.05 > grown.scores[-1]
    assert grown.asymptote is None


def test_few_images_cannot_show_that_a_curve_is_flat() -> None:
    grown = learning_curve("a", 64, *world(150, 1.5))
    assert grown is not None and grown.asymptote is None
