"""Spread images with any number of labels evenly over parts and folds: iterative stratification, groups whole.

Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, ECML PKDD 2011, algorithm 1: the label with
the fewest images left is dealt out first, each image to the subset that lacks most images of this label; of equal ones to
the one that lacks most images. A group is dealt out as one image with the counts of its labels. numpy only.
"""

from __future__ import annotations

import numpy as np

__all__ = ["deal", "fold_of", "hold_out"]


def hold_out(
    labels: np.ndarray,
    candidates: np.ndarray,
    group: np.ndarray | None,
    share: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return rows (m,) to set aside from the candidate rows: about `share` of each label, whole groups.

    A label of one group stays on the other side.
    """
    rows = np.flatnonzero(candidates)
    if not len(rows):
        return rows
    unit = _units(group, rows)
    taken = deal(_sums(labels[rows], unit), np.array([1 - share, share]), generator)[unit] == 1
    kept = labels[rows][~taken].any(0) | ~labels[rows].any(0)
    alone = labels[rows][:, ~kept].any(1)  # of a label that would have no image on the other side
    back = np.isin(unit, unit[alone])
    return np.asarray(rows[taken & ~back])


def fold_of(
    labels: np.ndarray, group: np.ndarray | None, folds: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the fold (n,) int8 of each row: labels spread evenly, rows of one group together."""
    unit = _units(group, np.arange(len(labels)))
    folds = max(1, min(folds, int(unit.max(initial=0)) + 1))
    dealt = deal(_sums(labels, unit), np.full(folds, 1 / folds), generator)[unit]
    return np.unique(dealt, return_inverse=True)[1].astype(np.int8)


def deal(counts: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the subset (m,) of each unit, by its images and its labels, counts (m, 1 + labels), and the shares (k,)."""
    counts = np.concatenate([counts[:, 1:], counts[:, :1]], axis=1).astype(float)  # labels first, then images
    wanted = shares[:, None] * counts.sum(0)  # (k, labels + 1), that each subset still lacks
    subset = np.full(len(counts), -1, np.int64)
    order = generator.permutation(len(counts))
    left = counts[:, :-1].sum(0)
    while (left > 0).any():
        label = int(np.where(left > 0, left, np.inf).argmin())
        units = [unit for unit in order if subset[unit] < 0 and counts[unit, label] > 0]
        # Large groups first: what they leave uneven, small ones can even out.
        for unit in sorted(units, key=lambda unit: -counts[unit, label]):
            _give(unit, label, counts, wanted, subset)
            left -= counts[unit, :-1]
        left[label] = 0.0
    for unit in order[subset[order] < 0]:  # without any label
        _give(unit, -1, counts, wanted, subset)
    return subset


def _give(unit: int, label: int, counts: np.ndarray, wanted: np.ndarray, subset: np.ndarray) -> None:
    lacking = np.stack([wanted[:, label], wanted[:, -1]])
    best = int(np.lexsort((-lacking[1].round(9), -lacking[0].round(9)))[0])
    subset[unit] = best
    wanted[best] -= counts[unit]


def _units(group: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    if group is None:
        return np.arange(len(rows))
    return np.asarray(np.unique(group[rows], return_inverse=True)[1], np.int64)


def _sums(labels: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return images and labels (units, 1 + labels) of each unit."""
    sums = np.zeros((int(unit.max(initial=-1)) + 1, 1 + labels.shape[1]))
    np.add.at(sums, unit, np.concatenate([np.ones((len(labels), 1)), labels], axis=1))
    return sums
