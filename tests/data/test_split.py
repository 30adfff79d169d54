"""Which rows train, which choose, which test."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.data.split import fold_of, hold_out, split, stratified_order
from autotl.errors import DatasetError
from autotl.records import Dataset, Kind, Split, Target, fact
from autotl.report import wording


def data(
    labels: np.ndarray,
    given: np.ndarray | None = None,
    group: np.ndarray | None = None,
    digests: np.ndarray | None = None,
) -> Dataset:
    names = np.array([str(row) for row in range(len(labels))], object)
    classes = tuple(str(label) for label in range(int(labels.max()) + 1))
    return Dataset(
        source="s",
        modality="image",
        files=names,
        names=names,
        targets=(Target(name="label", kind="multiclass", classes=classes, values=labels),),
        given=np.full(len(labels), -1, np.int8) if given is None else given.astype(np.int8),
        group=group,
        digests=digests,
    )


def sizes(found: Split) -> list[int]:
    return np.bincount(found.part, minlength=3).tolist()


def test_fifteen_percent_test_and_a_fifth_of_the_rest_chooses() -> None:
    labels = np.repeat(np.arange(5), 200)
    found = split(data(labels))
    assert sizes(found) == [680, 170, 150]
    assert found.facts == (
        fact(Kind.SPLIT_SIZES, train=680, select=170, test=150),
        fact(Kind.TEST_HELD_OUT, share=0.15),
        fact(Kind.SELECT_HELD_OUT, images=170),
    )
    assert (found.select_from, found.test_from, found.folds) == ("held out", "held out", 0)
    for code in range(3):
        assert len(set(np.bincount(labels[found.part == code]))) == 1, "stratified"


def test_the_same_seed_splits_alike_and_another_does_not() -> None:
    labels = np.repeat(np.arange(4), 100)
    one, again, other = (split(data(labels), seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.part, again.part) and np.array_equal(one.order, again.order)
    assert not np.array_equal(one.part, other.part)


def test_given_parts_are_kept() -> None:
    labels = np.tile(np.arange(3), 200)
    given = np.repeat([0, 1, 2], 200)
    found = split(data(labels, given))
    assert np.array_equal(found.part, given)
    assert (found.select_from, found.test_from) == ("given", "given")


def test_rows_without_a_part_train_where_others_have_one() -> None:
    labels = np.tile(np.arange(2), 300)
    found = split(data(labels, np.repeat([-1, 2], 300)))
    assert set(found.part[:300].tolist()) == {0, 1} and (found.part[300:] == 2).all()


def test_few_images_are_chosen_by_out_of_fold() -> None:
    labels = np.repeat(np.arange(3), 20)
    found = split(data(labels))
    assert found.folds == 5 and found.select_from == "out-of-fold"
    assert found.test_from is None and sizes(found) == [60, 0, 0]
    for fold in range(5):
        assert np.bincount(labels[found.fold == fold]).tolist() == [4, 4, 4]


@pytest.mark.parametrize("counts", [(2, 1), (3, 3), (1, 1), (50, 2), (50, 1)])
def test_a_handful_of_images_is_still_split(counts: tuple[int, int]) -> None:
    found = split(data(np.repeat([0, 1], counts)))
    assert found.folds >= 2 and (found.part == 0).all()
    assert set(found.fold.tolist()) == set(range(found.folds))


def test_no_test_part_when_none_is_wanted_or_too_few_images() -> None:
    labels = np.tile(np.arange(2), 300)
    assert split(data(labels), test_size=0.0).test_from is None
    assert sizes(split(data(labels), test_size=0.3))[2] == 180
    assert split(data(labels[:99])).test_from is None


def test_one_rare_class_is_named_and_changes_nothing_else() -> None:
    labels = np.repeat([0, 1], [500, 3])
    found = split(data(labels))
    assert (found.test_from, found.select_from, found.folds) == ("held out", "held out", 0)
    assert (found.part[labels == 1] == 0).sum() >= 2
    assert fact(Kind.NO_TEST_PART, too_few=True) not in found.facts
    (rare,) = [one for one in found.facts if one.kind is Kind.RARE_CLASSES]
    assert rare.values == {"least": 5, "select": 1, "test": 1}
    assert "1 class has fewer than 5 images to choose by" in wording.sentence(rare)
    assert not [one for one in split(data(np.repeat([0, 1], 300))).facts if one.kind is Kind.RARE_CLASSES]


def test_a_rare_class_does_not_force_two_folds() -> None:
    labels = np.repeat([0, 1, 2], [60, 60, 2])
    assert split(data(labels), test_size=0.0).folds == 5


def test_many_images_of_many_classes_are_held_out() -> None:
    """Out-of-fold would train each candidate five times on 8,000 images."""
    labels = np.repeat(np.arange(1000), 8)
    found = split(data(labels))
    assert (found.select_from, found.folds) == ("held out", 0)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_class_of_one_picture_or_one_group_is_trained_on_in_every_fold(grouped: bool) -> None:
    """60 images: a fold with all of a class would leave none of it to train on."""
    labels = np.repeat([0, 1, 2], 20)
    content = np.concatenate([np.zeros(20, int), np.arange(1, 41)])
    given = {"group": content} if grouped else {"digests": content.astype(str)}
    found = split(data(labels, **given))
    assert found.folds >= 2
    for number in range(found.folds):
        assert set(labels[found.fold != number]) == {0, 1, 2}
    assert fact(Kind.ONE_GROUP_CLASSES, classes=1, grouped=grouped) in found.facts


@pytest.mark.parametrize("count", [60, 600])
def test_one_picture_for_everything_is_refused(count: int) -> None:
    labels = np.arange(count) % 3
    with pytest.raises(DatasetError, match="are one picture"):
        split(data(labels, digests=np.full(count, "same")))
    with pytest.raises(DatasetError, match="in one group"):
        split(data(labels, group=np.zeros(count, int)))


def test_two_pictures_of_many_copies_are_judged_out_of_fold() -> None:
    """No copy may be held out from the others of its class, so there is no part to select on."""
    labels = np.repeat([0, 1], 300)
    found = split(data(labels, digests=labels.astype(str)))
    assert found.select_from == "out-of-fold" and found.folds >= 2
    assert fact(Kind.ONE_GROUP_CLASSES, classes=2, grouped=False) in found.facts


def test_groups_stay_whole_in_parts_and_folds() -> None:
    generator = np.random.default_rng(0)
    group = generator.integers(0, 90, 700)
    labels = group % 4
    found = split(data(labels, group=group))
    assert found.grouped and found.facts[-1] == fact(Kind.GROUPS_WHOLE)
    for number in np.unique(group):
        assert len(np.unique(found.part[group == number])) == 1
    assert all(len(np.unique(labels[found.part == code])) == 4 for code in range(3))
    few = split(data(labels[:150], group=group[:150]))
    for number in np.unique(group[:150]):
        assert len(np.unique(few.fold[group[:150] == number])) == 1


@pytest.mark.parametrize("count", [60, 600])
def test_byte_equal_images_stay_on_one_side(count: int) -> None:
    content = np.concatenate([np.arange(count), np.arange(0, count, 3)])
    labels = content % 3
    found = split(data(labels, digests=content.astype(str)))
    assert not found.grouped
    for number in range(0, count, 3):
        same = content == number
        assert len(np.unique(found.part[same])) == len(np.unique(found.fold[same])) == 1


def test_without_copies_digests_change_nothing() -> None:
    labels = np.repeat(np.arange(3), 100)
    with_digests = split(data(labels, digests=np.arange(300).astype(str)))
    assert np.array_equal(with_digests.part, split(data(labels)).part)


def test_a_class_in_one_group_trains() -> None:
    labels = np.repeat([0, 1], [300, 40])
    group = np.concatenate([np.arange(300), np.full(40, 999)])
    found = split(data(labels, group=group))
    assert (found.part[labels == 1] == 0).all()


def test_holding_out_leaves_every_class_something() -> None:
    labels = np.repeat(np.arange(30), 2)
    taken = hold_out(labels, np.ones(60, bool), None, 0.9, np.random.default_rng(0))
    assert len(np.unique(labels[np.setdiff1d(np.arange(60), taken)])) == 30


def test_folds_are_even() -> None:
    labels = np.repeat(np.arange(4), [50, 30, 13, 7])
    fold = fold_of(labels, None, 5, np.random.default_rng(0))
    assert np.ptp(np.bincount(fold)) <= 2
    for label in range(4):
        assert np.ptp(np.bincount(fold[labels == label], minlength=5)) <= 1


@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_fewer_groups_than_folds_make_fewer_folds(groups: int) -> None:
    group = np.repeat(np.arange(groups), 10)
    fold = fold_of(np.tile([0, 1], 5 * groups), group, 5, np.random.default_rng(0))
    assert len(np.unique(fold)) == min(groups, 5)
    for number in range(groups):
        assert len(np.unique(fold[group == number])) == 1


@pytest.mark.parametrize("group", [None, np.arange(101) // 2])
def test_classes_of_one_image_each_are_spread_over_the_folds(group: np.ndarray | None) -> None:
    fold = fold_of(np.arange(101), group, 2, np.random.default_rng(0))
    assert np.ptp(np.bincount(fold, minlength=2)) <= 2


def test_rare_classes_raise_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    labels = np.repeat(np.arange(20), [9, 1] * 10)
    fold_of(labels, None, 5, np.random.default_rng(0))
    fold_of(labels, np.arange(len(labels)) // 2, 5, np.random.default_rng(0))
    assert not recwarn.list


def test_the_same_generator_makes_the_same_folds() -> None:
    labels, group = np.arange(120) % 3, np.arange(120) // 2
    for of_group in (None, group):
        one, again, other = (fold_of(labels, of_group, 5, np.random.default_rng(seed)) for seed in (3, 3, 4))
        assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_every_prefix_of_the_order_is_stratified_and_holds_each_class_early() -> None:
    labels = np.repeat(np.arange(10), 100)
    order = stratified_order(labels, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(1000))
    assert set(np.bincount(labels[order[:20]], minlength=10)) == {2}
    for length in (100, 300, 750):
        counts = np.bincount(labels[order[:length]], minlength=10)
        assert np.abs(counts - length / 10).max() <= 3
