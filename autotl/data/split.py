"""Dataset → Split: the part and fold of every row. Stratified; groups stay whole; seeded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.random  # else numpy loads it at its first use, in a run that is under way, and that swallows a Ctrl-C

from autotl.data import iterative
from autotl.errors import DatasetError
from autotl.records import PARTS, Dataset, Fact, Kind, Split, fact
from autotl.stats import values
from autotl.stats.folds import stratified_order
from autotl.stats.sides import sides

TEST_SHARE = 0.15
SELECT_SHARE = 0.2
FEW_IMAGES = 200  # with fewer train images than this, selection is out-of-fold,
FEW_A_CLASS = 10  # or with fewer in the median class,
MANY_IMAGES = 2000  # unless there are so many: training for each fold would take too long
FOLDS = 5
TEST_NEEDS = (100, 5)  # images, and images in the median class, to set a test part aside
RARE = 5  # images of a class, fewer of which are too few to judge by
NO_ROWS = np.zeros(0, np.int64)


def split(
    data: Dataset, *, test_size: float | None = None, seed: int = 0, usable: np.ndarray | None = None
) -> Split:
    """Return the parts, folds and order of a data set.

    Given parts are kept. Without a test part, 15% are set aside where there are at least 100 images and
    5 in the median class (`test_size` replaces the share, 0 sets none aside). Without a select part, a fifth of train
    is held out for selection; where train is small, selection is out-of-fold over train instead. A rare class changes
    none of this: it is named. Raises `DatasetError` where all images that are to train and to select are one picture
    or one group. Rows that are not `usable` (n,) bool take no part.
    """
    labels, group = data.labels, _together(data)
    generator = np.random.default_rng(seed)
    part = sides(data.given).astype(np.int8)
    if usable is not None:
        part[~usable] = -1
    test = _test_part(labels, part, group, test_size, generator)
    part[test.rows] = 2
    select = _select_part(data, part, group, generator)
    part[select.rows] = 1
    grouped = data.group is not None and data.group_from != "copies"
    sizes = {name: int((part == code).sum()) for code, name in enumerate(PARTS) if (part == code).any()}
    facts = [fact(Kind.SPLIT_SIZES, **sizes), *test.facts, *select.facts]
    facts += _rare(labels, part, select.folds, len(data.classes))
    if data.group is not None:
        facts.append(fact(Kind.GROUPS_WHOLE if grouped else Kind.COPIES_WHOLE))
    return Split(
        part=part,
        fold=select.fold,
        order=stratified_order(labels, generator),
        folds=select.folds,
        select_from=select.source,
        test_from=test.source,
        grouped=grouped,
        seed=seed,
        facts=tuple(facts),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Test:
    """Where the test images come from."""

    source: Literal["given", "held out"] | None
    rows: np.ndarray  # that are set aside
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Select:
    """Where the images come from by which a candidate is chosen."""

    source: Literal["given", "held out", "out-of-fold"]
    fold: np.ndarray  # (n,) int8
    rows: np.ndarray  # that are held out
    folds: int = 0
    facts: tuple[Fact, ...] = ()


def _test_part(
    labels: np.ndarray,
    part: np.ndarray,
    group: np.ndarray | None,
    test_size: float | None,
    generator: np.random.Generator,
) -> _Test:
    if (part == 2).any():
        return _Test(source="given", rows=NO_ROWS)
    counts = _images_by_class(labels, part == 0)
    enough = counts.sum() >= TEST_NEEDS[0] and np.median(counts) >= TEST_NEEDS[1]
    share = test_size if test_size is not None else (TEST_SHARE if enough else 0.0)
    if share <= 0:
        return _Test(source=None, rows=NO_ROWS, facts=(fact(Kind.NO_TEST_PART, too_few=test_size != 0),))
    rows = hold_out(labels, part == 0, group, share, generator)
    if not len(rows):
        return _Test(source=None, rows=rows)
    of_all = round(len(rows) / len(part), 6)
    return _Test(source="held out", rows=rows, facts=(fact(Kind.TEST_HELD_OUT, share=of_all),))


def _select_part(
    data: Dataset, part: np.ndarray, group: np.ndarray | None, generator: np.random.Generator
) -> _Select:
    """Raises `DatasetError` where nothing can be left out that was not trained on."""
    labels, fold = data.labels, np.full(len(part), -1, np.int8)
    if (part == 1).any():
        return _Select(source="given", fold=fold, rows=NO_ROWS, facts=(fact(Kind.SELECT_GIVEN),))
    _refuse_one_unit(data, part == 0, group)
    counts = _images_by_class(labels, part == 0)
    if not _small(counts):
        held_out = hold_out(labels, part == 0, group, SELECT_SHARE, generator)
        if len(held_out):
            held = fact(Kind.SELECT_HELD_OUT, images=len(held_out))
            return _Select(source="held out", fold=fold, rows=held_out, facts=(held,))
    rows = np.flatnonzero(part == 0)
    unit, alone = _units_of_folds(labels[rows], None if group is None else group[rows])
    fold[rows] = fold_of(labels[rows], unit, int(max(2, min(FOLDS, np.median(counts)))), generator)
    folds = len(np.unique(fold[rows]))
    facts = [fact(Kind.SELECT_OUT_OF_FOLD, folds=folds)]
    if alone:
        facts.append(fact(Kind.ONE_GROUP_CLASSES, classes=alone, grouped=data.group is not None))
    return _Select(source="out-of-fold", fold=fold, rows=NO_ROWS, folds=folds, facts=tuple(facts))


def _images_by_class(labels: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Return the number of images of each class that has some of them."""
    return np.unique(values.of(labels).strata(labels)[some], return_counts=True)[1]


def _small(counts: np.ndarray) -> bool:
    """Return whether selection is out-of-fold, by the train images of each class."""
    images = counts.sum()
    return bool(images < FEW_IMAGES or (np.median(counts) < FEW_A_CLASS and images < MANY_IMAGES))


def _refuse_one_unit(data: Dataset, candidates: np.ndarray, group: np.ndarray | None) -> None:
    """Raise `DatasetError` where nothing can be left out that was not trained on."""
    rows = np.flatnonzero(candidates)
    if len(rows) < 2 or group is None or len(np.unique(group[rows])) > 1:
        return
    if data.group is not None:
        raise DatasetError(
            f"all {len(rows):,} images that train are in one group; expected at least two groups, so that one can be"
            " judged by the others; use another --group, or none"
        )
    raise DatasetError(
        f"all {len(rows):,} images that train are one picture (equal files); expected at least two different images;"
        " look at the source of the files"
    )


def _units_of_folds(labels: np.ndarray, group: np.ndarray | None) -> tuple[np.ndarray | None, int]:
    """Return the units (n,) that share a fold, and how many classes lie in one group.

    A fold with all of a class would leave none of it to train on. Its images are spread over the folds instead, and
    are judged by others of their own group.
    """
    if group is None:
        return None, 0
    if not isinstance(values.of(labels), values.Classes):
        return group, 0  # no answer is missing where a group with many labels is left out
    unit = np.unique(group, return_inverse=True)[1].astype(np.int64)
    alone = 0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1 and len(np.unique(unit[rows])) == 1:
            unit[rows] = unit.max() + 1 + np.arange(len(rows))
            alone += 1
    return unit, alone


def _rare(labels: np.ndarray, part: np.ndarray, folds: int, classes: int) -> list[Fact]:
    """Return a fact where classes have too few images to choose or to be tested by; numbers have no classes."""
    kind = values.of(labels)
    if isinstance(kind, values.Numbers):
        return []
    table = kind.targets(labels, classes) > 0
    present = table.any(0)
    judged = {"select": part == (0 if folds else 1), "test": part == 2}
    few = {
        name: int((present & (table[rows].sum(0) < RARE)).sum())
        for name, rows in judged.items()
        if rows.any()
    }
    return [fact(Kind.RARE_CLASSES, least=RARE, **few)] if any(few.values()) else []


def cuts(group: np.ndarray, given: np.ndarray, split: Split) -> bool:
    """Return whether a split has a group on two sides; rows that were given to select or to test are where they are."""
    rows = np.flatnonzero((given <= 0) & (split.part >= 0))
    sides = np.unique(np.stack([group[rows], split.part[rows], split.fold[rows]]), axis=1)
    return bool(len(np.unique(sides[0])) < sides.shape[1])


def _together(data: Dataset) -> np.ndarray | None:
    """Return the groups, else numbers of equal files, which would be trained on and tested on; None if there are none."""
    if data.group is not None or data.digests is None:
        return data.group
    _, content, copies = np.unique(data.digests.astype(str), return_inverse=True, return_counts=True)
    return content if (copies > 1).any() else None


def hold_out(
    labels: np.ndarray,
    candidates: np.ndarray,
    group: np.ndarray | None,
    share: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return rows (m,) to set aside from the candidate rows: about `share` of each class, whole groups.

    Every class keeps at least one group on the other side. scikit-learn's `StratifiedShuffleSplit` knows no groups
    and refuses a class of one image and a share that is smaller than one image a class; `StratifiedGroupKFold`
    cuts equal folds only, and lets a class of one group leave train. Numbers are spread by quantile, sets of labels by
    `autotl.data.iterative`.
    """
    if labels.ndim == 2:
        return iterative.hold_out(labels, candidates, group, share, generator)
    labels = values.of(labels).strata(labels)
    rows = np.flatnonzero(candidates)
    unit = np.arange(len(rows)) if group is None else np.unique(group[rows], return_inverse=True)[1]
    taken = np.zeros(unit.max(initial=-1) + 1, bool)
    of_row = labels[rows]
    classes, place = np.unique(of_row, return_inverse=True)
    holds = np.zeros((len(taken), len(classes)), bool)  # which classes a unit has images of
    holds[unit, place] = True
    left = holds.sum(0)  # units of each class that are not taken
    for label in np.unique(of_row)[np.argsort(np.bincount(of_row)[np.unique(of_row)])]:  # rare classes first
        units, sizes = np.unique(unit[of_row == label], return_counts=True)
        wanted = share * sizes.sum() - sizes[taken[units]].sum()
        available = generator.permutation(np.flatnonzero(~taken[units]))
        for index in available:
            if wanted < 0.5 * sizes[index] or (left[holds[units[index]]] <= 1).any():
                continue
            taken[units[index]] = True
            left -= holds[units[index]]
            wanted -= sizes[index]
    return np.asarray(rows[taken[unit]])


def fold_of(
    labels: np.ndarray, group: np.ndarray | None, folds: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the fold (n,) int8 of each row: classes spread evenly, rows of one group together.

    scikit-learn's stratified splitters, with fewer folds than asked for where there are fewer groups. Where no
    class has as many rows as there are folds, nothing can be stratified and the rows are spread as they are. Numbers are
    spread by quantile, sets of labels by `autotl.data.iterative`.
    """
    if labels.ndim == 2:
        return iterative.fold_of(labels, group, folds, generator)
    labels = values.of(labels).strata(labels)
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    _, labels = np.unique(labels, return_inverse=True)
    folds = min(folds, len(np.unique(group)) if group is not None else len(labels))
    fold = np.zeros(len(labels), np.int8)
    if folds < 2:
        return fold
    stratified = np.bincount(labels).max() >= folds
    seed = int(generator.integers(2**31))
    splitter: Any
    if group is None:
        splitter = (StratifiedKFold if stratified else KFold)(folds, shuffle=True, random_state=seed)
    elif stratified:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    else:
        splitter = GroupKFold(folds)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a class with fewer rows than folds is missing in some of them, of necessity
        for number, (_, rows) in enumerate(splitter.split(labels, labels, group)):
            fold[rows] = number
    return fold
