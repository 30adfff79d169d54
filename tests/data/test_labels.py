from __future__ import annotations

import numpy as np

from autotl.data.labels import suspects


def _blobs(apart: float, images: int = 300, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(images) % classes
    return apart * np.eye(classes, 16)[labels] + generator.normal(size=(images, 16)), labels


def _planted(labels: np.ndarray, share: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    wrong = generator.permutation(len(labels))[: round(share * len(labels))]
    given = labels.copy()
    given[wrong] = (labels[wrong] + 1) % (labels.max() + 1)
    return given, wrong


def test_planted_wrong_labels_are_found_with_the_class_they_are_of() -> None:
    features, labels = _blobs(apart=6.0)
    given, wrong = _planted(labels)
    found = suspects(features, given)
    assert found is not None
    hits = np.isin(found.places, wrong)
    assert hits.mean() >= 0.9 and np.isin(wrong, found.places).mean() >= 0.9
    assert (found.likelier[hits] == labels[found.places[hits]]).all()
    assert found.recall >= 0.7 and (np.diff(found.probability) <= 0.3).all()


def test_no_label_is_named_where_all_are_right() -> None:
    found = suspects(*_blobs(apart=8.0))
    assert found is not None and not len(found.places)


def test_features_that_do_not_separate_the_classes_name_nothing() -> None:
    features, labels = _blobs(apart=1.5)
    assert suspects(features, _planted(labels)[0]) is None


def test_classes_that_lie_within_a_large_one_are_no_slips() -> None:
    """A classifier answers the large class for most of the others; one label in four would be wrong."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), [700, *[60] * 5])
    features = generator.normal(size=(1000, 20)) + 1.2 * np.eye(6, 20)[labels] * (labels > 0)[:, None]
    assert suspects(features, labels) is None
    group = np.arange(1000) // 5
    labels = np.where(group < 140, 0, 1 + group % 5)
    features = 1.5 * (generator.normal(size=(200, 20)) + np.eye(6, 20)[labels[::5]])[group]
    assert suspects(features + 0.2 * generator.normal(size=features.shape), labels, group) is None


def test_an_image_is_not_judged_by_its_own_copies() -> None:
    """Three copies with one wrong label: together they would vouch for each other."""
    features, labels = _blobs(apart=6.0)
    copied = np.concatenate([features, features[:30].repeat(2, axis=0)])
    group = np.concatenate([np.arange(300), np.arange(30).repeat(2)])
    given = np.concatenate([labels, labels[:30].repeat(2)])
    given[group == 0] = (labels[0] + 1) % 5
    found = suspects(copied, given, group)
    assert found is not None and set(np.flatnonzero(group == 0)) <= set(found.places.tolist())


def test_too_few_images_and_one_class_conclude_nothing() -> None:
    features, labels = _blobs(apart=6.0)
    assert suspects(features[:40], labels[:40]) is None
    assert suspects(features, np.zeros(len(labels), np.int64)) is None
