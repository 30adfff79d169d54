"""Labels that are probably wrong among numbers and sets of labels, by out-of-fold predictions of frozen features.

As for classes (`autotl.data.labels`), how far this can be trusted is measured on the same images: wrong labels are
planted, and those that are found again are counted. A wrong number is one far from what other images predict; a wrong set
has a label too many or too few. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.data.labels import DRAWS, FEWEST, FEWEST_OF_CLASS, PLANTED, first_trusted
from autotl.stats import ridge
from autotl.stats.folds import folds_for

PENALTIES = (1, 2, 3)  # of `ridge.PENALTIES`
DEVIATIONS = np.arange(4.0, 12.0)  # usual errors that a number is off by, from which it is listed
FAR = 1.0  # deviation of all numbers, by which a planted number is off at least
MARGINS = np.arange(0.7, 1.25, 0.05)  # of the way from the images without a label to those with it
TO_DEVIATION = 1.4826  # from the median absolute error of normal errors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slips:
    """Images whose label is probably wrong, the likeliest first."""

    places: np.ndarray  # (k,) places among the images that were examined
    likelier: np.ndarray  # (k,) numbers, or (k, classes) sets of labels
    precision: float  # estimated share of wrong labels among the listed ones
    recall: float  # share of planted labels that were listed
    planted: float  # share of images with a planted label


def slips(
    features: np.ndarray, labels: np.ndarray, group: np.ndarray | None = None, *, seed: int = 0
) -> Slips | None:
    """Return the images of features (n, d) whose numbers (n,) or sets of labels (n, classes) are probably wrong.

    None where there are too few images, or where planted wrong labels are not found well enough to name any. Rows of a
    group are judged by others.
    """
    if len(labels) < FEWEST:
        return None
    generator = np.random.default_rng(seed)
    table = labels.astype(np.float64).reshape(len(labels), -1)
    numbers = labels.ndim == 1
    plant = _other_numbers if numbers else _other_labels
    variants = [table, *(plant(table, generator) for _ in range(DRAWS))]
    order = generator.permutation(len(table))
    folds = np.empty(len(table), np.int64)
    folds[order] = folds_for(np.zeros(len(table), np.int64), None if group is None else group[order])
    predicted = _out_of_fold(features, variants, folds)
    errors = [
        (_by_numbers if numbers else _by_labels)(given, answers)
        for given, answers in zip(variants, predicted, strict=True)
    ]
    wrong = np.stack([(variant != table).any(1) for variant in variants[1:]])
    cells = np.stack([(variant != table).argmax(1) for variant in variants[1:]])
    limits = DEVIATIONS if numbers else MARGINS
    own, *others = [(error.max(1), error.argmax(1)) for error in errors]
    found = [w & (cell == place) for w, cell, (_, place) in zip(wrong, cells, others, strict=True)]
    far = np.concatenate(
        [np.where(f, error, -np.inf)[w] for f, w, (error, _) in zip(found, wrong, others, strict=True)]
    )
    recalls = np.array([(far > limit).mean() for limit in limits])
    trusted = first_trusted(recalls, np.array([(own[0] > limit).mean() for limit in limits]))
    if trusted is None:
        return None
    number, precision = trusted
    places = np.flatnonzero(own[0] > limits[number])
    places = places[np.argsort(-own[0][places], kind="stable")]
    return Slips(
        places=places,
        likelier=predicted[0][places, 0] if numbers else _flipped(labels[places], own[1][places]),
        precision=precision,
        recall=round(float(recalls[number]), 6),
        planted=PLANTED,
    )


def apart(labels: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return how far labels (n, …) of any kind are from one; the nearest tenth of numbers are as far as each other."""
    if labels.ndim == 2:
        return np.asarray((labels != label).sum(1), np.float64)
    if labels.dtype.kind == "f":
        gap = np.abs(labels - label)
        return np.asarray(np.maximum(gap, max(float(np.sort(gap)[len(gap) // 10]), 0.0)))
    return np.asarray(labels != label, np.float64)


def _flipped(labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return sets of labels (k, classes) with one label each taken away or added."""
    flipped = labels.copy()
    rows = np.arange(len(labels))
    flipped[rows, cells] = 1 - flipped[rows, cells]
    return flipped


def _some(rows: int, generator: np.random.Generator) -> np.ndarray:
    return generator.permutation(rows)[: max(1, round(PLANTED * rows))]


def _other_numbers(table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return numbers (n, 1) of which some are those of other images, far from their own."""
    replaced, far = table.copy(), FAR * table.std()
    for row in _some(len(table), generator).tolist():
        others = np.flatnonzero(np.abs(table[:, 0] - table[row, 0]) >= far)
        if len(others):
            replaced[row] = table[generator.choice(others)]
    return replaced


def _other_labels(table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return sets of labels (n, classes), some with a label taken away or, as often, with another one added."""
    replaced = table.copy()
    for row in _some(len(table), generator).tolist():
        cells = np.flatnonzero(table[row] == generator.integers(2))
        cells = cells if len(cells) else np.arange(table.shape[1])
        cell = generator.choice(cells)
        replaced[row, cell] = 1 - replaced[row, cell]
    return replaced


def _out_of_fold(features: np.ndarray, variants: list[np.ndarray], folds: np.ndarray) -> list[np.ndarray]:
    """Return what a ridge regression on the other folds predicts of each variant, with the penalty of the least error."""
    means = [variant.mean(0) for variant in variants]
    targets = np.hstack([variant - mean for variant, mean in zip(variants, means, strict=True)])
    answers = ridge.left_out_targets(ridge.standardise(features), targets, folds, PENALTIES)
    width = variants[0].shape[1]
    best = min(answers, key=lambda answer: float(np.abs(answer[:, :width] - targets[:, :width]).mean()))
    return [each + mean for each, mean in zip(np.split(best, len(variants), axis=1), means, strict=True)]


def _by_numbers(given: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return how many usual errors each number (n, 1) is off by."""
    error = np.abs(given - predicted)
    return np.asarray(error / max(TO_DEVIATION * float(np.median(error)), 1e-12))


def _by_labels(given: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return how far each cell (n, classes) lies on the other side: 0 for what is usual with its label, 1 without it."""
    with_it, count = given > 0, given.sum(0)
    high = (predicted * with_it).sum(0) / np.maximum(count, 1)
    low = (predicted * ~with_it).sum(0) / np.maximum(len(given) - count, 1)
    known = (np.minimum(count, len(given) - count) >= FEWEST_OF_CLASS) & (high - low > 1e-6)
    place = (predicted - low) / np.where(known, high - low, 1.0)
    return np.where(known, np.where(with_it, 1 - place, place), 0.0)
