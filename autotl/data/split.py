"""Dataset → Split: which rows train, which choose, which test. Stratified; groups stay whole; seeded."""

from __future__ import annotations

import numpy as np
import numpy.random  # else numpy loads it at its first use, in a run that is under way, and that swallows a Ctrl-C

from autotl.records import PARTS, Dataset, Split
from autotl.stats.folds import stratified_order

TEST_SHARE = 0.15
SELECT_SHARE = 0.2
FEW_IMAGES = 200  # below this many train images, or
FEW_A_CLASS = 10  # this many in the median class, selection is out-of-fold
FOLDS = 5
TEST_NEEDS = (100, 5)  # images, and images a class, to set a test part aside


def split(data: Dataset, *, test_size: float | None = None, seed: int = 0) -> Split:
    """Parts, folds and order of a data set.

    Given parts are kept. Without a test part, 15 % are set aside where there are at least 100 images and
    5 a class (`test_size` replaces the share, 0 says no). Without a select part, a fifth of train chooses;
    where train is small, choosing is out-of-fold over train instead.
    """
    labels, classes, group = data.labels, len(data.classes), _together(data)
    generator = np.random.default_rng(seed)
    part = np.where(data.given < 0, 0, data.given).astype(np.int8)
    reasons = []
    test_from = "given" if (data.given == 2).any() else None
    counts = np.bincount(labels[part == 0], minlength=classes)
    enough = (part == 0).sum() >= TEST_NEEDS[0] and counts[counts > 0].min() >= TEST_NEEDS[1]
    share = test_size if test_size is not None else (TEST_SHARE if enough else 0.0)
    if test_from is None and share > 0:
        part[hold_out(labels, part == 0, group, share, generator)] = 2
        if (part == 2).any():
            test_from = "held out"
            reasons.append(f"{(part == 2).mean():.0%} set aside as test part")
    elif test_from is None:
        reasons.append("no test part" + ("" if test_size == 0 else ": too few images to set one aside"))
    counts = np.bincount(labels[part == 0], minlength=classes)
    few = (part == 0).sum() < FEW_IMAGES or np.median(counts[counts > 0]) < FEW_A_CLASS
    fold, folds = np.full(len(labels), -1, np.int8), 0
    if (part == 1).any():
        select_from = "given"
        reasons.append("the given validation part chooses")
    elif few:
        select_from = "out-of-fold"
        folds = int(max(2, min(FOLDS, counts[counts > 0].min())))
        rows = np.flatnonzero(part == 0)
        fold[rows] = fold_of(labels[rows], None if group is None else group[rows], folds, generator)
        folds = len(np.unique(fold[rows]))
        reasons.append(f"few images: choosing is out-of-fold over {folds} folds of train")
    else:
        select_from = "held out"
        part[hold_out(labels, part == 0, group, SELECT_SHARE, generator)] = 1
        reasons.append(f"{(part == 1).sum():,} of train held out to choose on")
    if data.group is not None:
        reasons.append("groups kept whole")
    sizes = ", ".join(
        f"{(part == code).sum():,} {name}" for code, name in enumerate(PARTS) if (part == code).any()
    )
    return Split(
        part=part,
        fold=fold,
        order=stratified_order(labels, generator),
        folds=folds,
        select_from=select_from,  # type: ignore[arg-type]
        test_from=test_from,  # type: ignore[arg-type]
        grouped=data.group is not None,
        seed=seed,
        reason=f"{sizes}; {'; '.join(reasons)}",
    )


def _together(data: Dataset) -> np.ndarray | None:
    """What must not be torn apart: the groups, else byte-equal images, which would be learnt and then tested on."""
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
    """Rows (m,) to set aside from the candidate rows: about `share` of each class, whole groups.

    Every class keeps at least one group on the other side.
    """
    rows = np.flatnonzero(candidates)
    unit = np.arange(len(rows)) if group is None else np.unique(group[rows], return_inverse=True)[1]
    taken = np.zeros(unit.max(initial=-1) + 1, bool)
    of_row = labels[rows]
    for label in np.unique(of_row)[np.argsort(np.bincount(of_row)[np.unique(of_row)])]:  # rare classes first
        units, sizes = np.unique(unit[of_row == label], return_counts=True)
        wanted = share * sizes.sum() - sizes[taken[units]].sum()
        free = generator.permutation(np.flatnonzero(~taken[units]))
        for index in free:
            if wanted < 0.5 * sizes[index] or (~taken[units]).sum() <= 1:
                continue
            taken[units[index]] = True
            wanted -= sizes[index]
    return np.asarray(rows[taken[unit]])


def fold_of(
    labels: np.ndarray, group: np.ndarray | None, folds: int, generator: np.random.Generator
) -> np.ndarray:
    """Fold (n,) of each row: classes spread evenly, rows of one group together."""
    unit = np.arange(len(labels)) if group is None else np.unique(group, return_inverse=True)[1]
    classes = int(labels.max()) + 1
    table = np.zeros((int(unit.max()) + 1, classes))
    np.add.at(table, (unit, labels), 1)
    load = np.zeros((folds, classes))
    chosen = np.zeros(len(table), np.int64)
    shuffled = generator.permutation(len(table))
    for index in shuffled[np.argsort(-table[shuffled].sum(1), kind="stable")]:
        # the fold that holds least of this unit's classes, then least in all
        cost = (load * table[index]).sum(1) + 1e-3 * load.sum(1)
        chosen[index] = int(cost.argmin())
        load[chosen[index]] += table[index]
    return chosen[unit].astype(np.int8)
