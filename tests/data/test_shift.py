"""Test images that differ from the others are found, and groups or another mix of classes are no difference."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.data.shift import area, shifted

LABELS = np.arange(400) % 4
TEST = np.arange(400) >= 200


def features(moved: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(400, 32))
    values[:, 0] += 4 * LABELS
    values[TEST, 1] += moved
    return values.astype(np.float32)


def test_a_difference_is_found_with_the_images_that_show_it() -> None:
    shift = shifted(features(2.0, 0), TEST, LABELS, None)
    assert shift is not None
    assert shift.auc > 0.8 and shift.p < 1e-6
    assert TEST[shift.most].all() and not TEST[shift.other].any()


def test_parts_drawn_at_random_rarely_differ() -> None:
    assert sum(shifted(features(0.0, seed), TEST, LABELS, None) is not None for seed in range(100)) <= 2


def test_another_mix_of_classes_is_no_difference() -> None:
    generator = np.random.default_rng(0)
    rows = np.concatenate(
        [np.flatnonzero(TEST), np.flatnonzero(~TEST & (generator.random(400) < 0.3 + 0.23 * LABELS))]
    )
    assert shifted(features(0.0, 1)[rows], TEST[rows], LABELS[rows], None) is None


def test_the_class_that_differs_is_named() -> None:
    values = features(0.0, 2)
    values[TEST & (LABELS == 3), 5] += 6.0
    shift = shifted(values, TEST, LABELS, None)
    assert shift is not None and shift.classes == (3,)


def test_films_on_one_side_are_no_difference_where_they_are_declared() -> None:
    generator = np.random.default_rng(0)
    film = np.arange(400) // 20
    values = (generator.normal(size=(20, 32))[film] + 0.3 * generator.normal(size=(400, 32))).astype(
        np.float32
    )
    assert shifted(values, TEST, LABELS, None) is not None
    assert shifted(values, TEST, LABELS, film) is None


@pytest.mark.parametrize("tests", [0, 30])
def test_few_test_images_say_nothing(tests: int) -> None:
    rows = np.concatenate([np.flatnonzero(~TEST), np.flatnonzero(TEST)[:tests]])
    assert tests == 0 or shifted(features(9.0, 0)[rows], TEST[rows], LABELS[rows], None) is None


def test_ties_count_half() -> None:
    assert area(np.array([1.0, 1.0, 1.0, 1.0]), np.array([True, False, True, False])) == 0.5
