"""What more images would buy, where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.folds import folds_for
from autotl.growth import grow


def world(rows: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=rows)
    centres = np.random.default_rng(7).normal(size=(4, 24))
    features = centres[labels] + noise * generator.normal(size=(rows, 24))
    return features, labels, folds_for(labels, None)


def test_more_images_help_where_they_helped_before_and_not_where_nothing_is_left() -> None:
    hard, solved = grow("a", 64, *world(600, 4.0)), grow("a", 64, *world(600, 0.1))
    assert hard is not None and solved is not None
    assert hard.gain.low > 0 and hard.gain.value > solved.gain.value
    assert solved.gain.value == pytest.approx(0.0, abs=1e-3)
    assert hard.more == 200 and hard.rows[-1] == 480 and list(hard.rows) == sorted(hard.rows)


def test_labels_without_meaning_promise_nothing() -> None:
    features, labels, _ = world(600, 2.0)
    shuffled = np.random.default_rng(3).permutation(labels)
    grown = grow("a", 64, features, shuffled, folds_for(shuffled, None))
    assert grown is not None and grown.gain.low <= 0.005


def test_what_it_promises_comes_true() -> None:
    inside = []
    for seed in range(12):
        features, labels, _ = world(1400, 4.0, seed)
        few = grow("a", 64, features[:600], labels[:600], folds_for(labels[:600], None))
        many = grow("a", 64, features[:850], labels[:850], folds_for(labels[:850], None))
        assert few is not None and many is not None  # 200 more train there, as 480 + 200 = 680
        came = many.scores[-1] - few.scores[-1]
        inside.append(few.gain.low - 0.02 <= came <= few.gain.high + 0.02)
    assert np.mean(inside) >= 0.75


def test_a_handful_of_images_is_no_curve() -> None:
    assert grow("a", 64, *world(60, 1.0)) is None
    assert grow("a", 64, np.ones((200, 3)), np.zeros(200, int), np.arange(200) % 5) is None
