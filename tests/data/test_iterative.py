"""Splits of images with numbers, and with several labels: evenly, groups whole, seeded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotl.data import iterative, split
from autotl.stats import values


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(40, 160), grouped=st.booleans())
def test_labels_are_spread_and_groups_stay_whole(seed: int, rows: int, grouped: bool) -> None:
    generator = np.random.default_rng(seed)
    labels = (generator.random((rows, 4)) < [0.6, 0.3, 0.2, 0.1]).astype(np.int8)
    group = generator.integers(0, rows // 3, rows) if grouped else None
    held = iterative.hold_out(labels, np.ones(rows, bool), group, 0.25, np.random.default_rng(seed))
    again = iterative.hold_out(labels, np.ones(rows, bool), group, 0.25, np.random.default_rng(seed))
    assert held.tolist() == again.tolist()
    kept = np.setdiff1d(np.arange(rows), held)
    assert (labels[kept].any(0) == labels.any(0)).all()  # every label that there is trains
    if group is not None:
        assert not set(group[held]) & set(group[kept])
    counts = labels.sum(0)
    if not grouped:
        assert np.abs(labels[held].sum(0) - 0.25 * counts).max() <= 2
        assert abs(len(held) - 0.25 * rows) <= 3
    fold = iterative.fold_of(labels, group, 5, np.random.default_rng(seed))
    assert len(np.unique(fold)) == 5 and fold.min() == 0
    if group is not None:
        assert all(len(np.unique(fold[group == each])) == 1 for each in np.unique(group))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(60, 200))
def test_numbers_are_spread_by_quantile(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.exp(generator.normal(size=rows))
    held = split.hold_out(labels, np.ones(rows, bool), None, 0.25, np.random.default_rng(seed))
    strata = values.of(labels).strata(labels)
    assert set(strata[held]) == set(strata)
    assert abs(np.median(labels[held]) - np.median(labels)) < labels.std()


def test_grades_are_their_own_strata() -> None:
    labels = np.array([0.0, 1.0, 2.0, 1.0, 0.0])
    assert values.of(labels).strata(labels).tolist() == [0, 1, 2, 1, 0]
    assert values.of(labels).strata_names(labels, ("grade",)) == ("0", "1", "2")


@pytest.mark.parametrize(
    "labels",
    [np.array([0, 2, 1]), np.array([[1, 0, 1], [0, 0, 0]], np.int8), np.array([0.1, -3.5e-7, 12.0])],
    ids=["classes", "sets", "numbers"],
)
def test_labels_survive_the_manifest(labels: np.ndarray) -> None:
    kind, classes = values.of(labels), ("a, b", 'c "d"', "[]")
    texts = [kind.text(label, classes) for label in labels]
    assert all(texts)
    again = kind.read(texts, classes)
    assert again.dtype == labels.dtype and (again == labels).all()
    with pytest.raises(ValueError, match="nonsense"):
        kind.read(["nonsense"], classes)
