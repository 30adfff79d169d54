"""Wrong numbers and wrong sets of labels are named where features can tell, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.data.label_slips import apart, slips


def numbers(noise: float, images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(images, 16))
    return features, 50 + 10 * features[:, 0] + noise * generator.normal(size=images)


def sets(apart_by: float, images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (generator.random((images, 4)) < [0.5, 0.3, 0.2, 0.15]).astype(np.int8)
    return apart_by * (labels @ np.eye(4, 16)) + generator.normal(size=(images, 16)), labels


def test_a_number_that_belongs_to_another_image_is_named_with_what_is_likelier() -> None:
    features, labels = numbers(noise=1.0)
    given = labels.copy()
    given[7], given[90] = labels[7] + 40, labels[90] - 35
    found = slips(features, given)
    assert found is not None and set(found.places.tolist()) == {7, 90} and found.recall >= 0.7
    of = dict(zip(found.places.tolist(), found.likelier, strict=True))
    assert of[7] == pytest.approx(labels[7], abs=6) and of[90] == pytest.approx(labels[90], abs=6)


def test_a_set_with_a_label_too_many_or_too_few_is_named_with_the_set_that_is_likelier() -> None:
    features, labels = sets(apart_by=6.0)
    given = labels.copy()
    rows = [3, 40, 77, 120, 200]
    given[rows, [0, 1, 2, 3, 0]] = 1 - given[rows, [0, 1, 2, 3, 0]]
    found = slips(features, given)
    assert found is not None and set(rows) <= set(found.places.tolist()) and len(found.places) <= 7
    for place, likelier in zip(found.places.tolist(), found.likelier, strict=True):
        if place in rows:
            assert likelier.tolist() == labels[place].tolist()


@pytest.mark.parametrize("made", [numbers(noise=0.5), sets(apart_by=8.0)], ids=["numbers", "sets"])
def test_no_label_is_named_where_all_are_right(made: tuple[np.ndarray, np.ndarray]) -> None:
    found = slips(*made)
    assert found is not None and len(found.places) <= 1


@pytest.mark.parametrize("made", [numbers(noise=60.0), sets(apart_by=0.5)], ids=["numbers", "sets"])
def test_features_that_say_little_name_nothing(made: tuple[np.ndarray, np.ndarray]) -> None:
    assert slips(*made) is None
    assert slips(made[0][:40], made[1][:40]) is None


def test_the_distance_of_labels_is_that_of_their_kind() -> None:
    assert apart(np.array([0, 1, 1]), np.int64(1)).tolist() == [1, 0, 0]
    assert apart(np.array([[0, 1], [1, 1]], np.int8), np.array([0, 1], np.int8)).tolist() == [0, 1]
    spread = apart(np.arange(20.0), np.float64(5.0))
    assert set(np.flatnonzero(spread <= spread.min()).tolist()) == {4, 5, 6}
