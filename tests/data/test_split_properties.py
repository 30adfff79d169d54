"""What holds for every split into parts and folds, whatever the classes, groups, copies and given parts are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autotl.data import split
from autotl.errors import DatasetError
from autotl.records import Dataset, Target

SOME = settings(max_examples=40, deadline=None)
sizes_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=6)


def dataset(
    sizes: list[int], seed: int, *, groups: int = 0, copies: bool = False, parts: bool = False
) -> Dataset:
    """Return images of classes of these sizes, in any order; every class trains."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    count = len(labels)
    names = np.arange(count).astype(str).astype(object)
    given_parts = np.full(count, -1, np.int8)
    if parts:
        given_parts = generator.choice([-1, 0, 0, 0, 1, 2], count).astype(np.int8)
        given_parts[np.unique(labels, return_index=True)[1]] = 0
    digests = generator.integers(0, max(2, count // 2), count).astype(str).astype(object) if copies else names
    return Dataset(
        source="somewhere",
        modality="image",
        files=names,
        names=names,
        targets=(
            Target(
                name="label", kind="multiclass", classes=tuple(map(str, range(len(sizes)))), values=labels
            ),
        ),
        given=given_parts,
        group=generator.integers(0, groups, count) if groups else None,
        digests=digests,
    )


@SOME
@given(sizes=sizes_of_classes, seed=st.integers(0, 999), share=st.sampled_from([None, 0.0, 0.1, 0.3]))
def test_sizes_are_right_and_every_class_is_on_both_sides(
    sizes: list[int], seed: int, share: float | None
) -> None:
    data = dataset(sizes, seed)
    found = split.split(data, test_size=share, seed=seed)
    again = split.split(data, test_size=share, seed=seed)
    assert (found.part == again.part).all() and (found.fold == again.fold).all()
    assert (found.order == again.order).all() and sorted(found.order.tolist()) == list(
        range(len(data.labels))
    )
    assert set(found.part.tolist()) <= {0, 1, 2}
    table = np.array(
        [np.bincount(found.part[data.labels == label], minlength=3) for label in range(len(sizes))]
    )
    assert (table[:, 0] > 0).all()  # every class trains
    wanted = share if share is not None else (split.TEST_SHARE if found.test_from else 0.0)
    for size, (_, select, test) in zip(sizes, table, strict=True):
        assert abs(test - wanted * size) <= 0.5 or size - test - select <= 1
        if not found.folds:
            assert abs(select - split.SELECT_SHARE * (size - test)) <= 0.5 or size - test - select <= 1
    if found.folds:
        assert ((found.fold >= 0) == (found.part == 0)).all()
        counts = np.bincount(found.fold[found.part == 0], minlength=found.folds)
        assert counts.max() - counts.min() <= len(sizes)


@SOME
@given(
    sizes=sizes_of_classes,
    seed=st.integers(0, 999),
    groups=st.integers(0, 30),
    copies=st.booleans(),
    parts=st.booleans(),
)
def test_groups_and_copies_are_never_split_and_given_parts_stay(
    sizes: list[int], seed: int, groups: int, copies: bool, parts: bool
) -> None:
    data = dataset(sizes, seed, groups=groups, copies=copies, parts=parts)
    try:
        found = split.split(data, seed=seed)
    except DatasetError:  # one group, or one picture, is all that trains
        unit = data.digests if data.group is None else data.group
        assert unit is not None and len(np.unique(unit[data.given != 2])) <= max(2, groups)
        return
    assert (found.part[data.given >= 0] == data.given[data.given >= 0]).all()
    assert set(data.labels.tolist()) == set(data.labels[found.part == 0].tolist())
    unit = data.digests if data.group is None else data.group
    assert unit is not None
    free = data.given < 0
    for key in np.unique(unit[free]):
        rows = np.flatnonzero(free & (unit == key))
        assert len(set(found.part[rows].tolist())) == 1, "a group on two sides"
        classes_of_key = set(data.labels[rows].tolist())
        alone = any(
            len(np.unique(unit[(data.labels == label) & (found.part == 0)])) == 1 for label in classes_of_key
        )
        if found.folds and not alone:  # a class of one group alone is spread over the folds, and said to be
            assert len(set(found.fold[rows].tolist())) == 1, "a group in two folds"
