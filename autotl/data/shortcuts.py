"""Labels that follow from how the files were made: a network may learn that instead of what images show. numpy only.

A naive Bayes classifier predicts the label out-of-fold from metadata alone: size in pixels, format, colour mode, JPEG
quality, camera, time of the file, and the colour of a uniform border. File size is named beside these, but alone it
proves nothing: at one quality it follows from what an image shows. Neither does a border that several kinds of scan have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autotl.stats.folds import folds_for
from autotl.stats.permutation import Permuted, permuted

MADE = (
    "width",
    "height",
    "aspect",
    "format",
    "mode",
    "quality",
    "camera",
    "time",
)  # of a file, by whoever made it
SHOWN = ("border",)  # what an image shows, where a class has it alone
BESIDE = ("bytes",)
FEWEST = 60  # images, below which nothing is concluded
FEWEST_OF_CLASS = 10
MOST = 1000  # images that are examined
FOLDS = 5
BINS = 8  # of a number, about equally many images each; a value that many images share is a bin of its own
COMMON = 0.05  # share of the images that makes a value a bin
VALUES = 16  # of a text, the most frequent ones
SMOOTHING = 0.5  # images that each bin of each class has before any is counted
EFFECT = 0.22  # of the way from chance to all right, below which nothing is said of all classes
OF_CLASS = 0.6  # share of a class that is recognised, minus that of the others taken for it, from which it is said of it
PERMUTATIONS = 99
SIGNIFICANT = 0.01
GIVEN_AWAY = (0.9, 0.05)  # share of a class that has a border, and of all others
SIGNS = 3  # that a finding names
LEAST_SIGN = 0.3  # share of a class with a value, minus that of the others
DAY = 86_400.0  # seconds: files that were written within one were copied together, class by class


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A value of one field that a class has far more often than the others."""

    field: str
    value: str  # of a text
    low: float  # of a number
    high: float
    label: int
    share: float  # of the class
    others: float  # of all others
    rows: tuple[
        int, int
    ]  # an image of the class that has the value, and one of another class that has it not


@dataclass(frozen=True, slots=True, kw_only=True)
class OfClass:
    """How well metadata alone distinguish one class from the others."""

    label: int
    share: float  # of the class, recognised
    others: float  # share of the others that are taken for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """The score of metadata alone, and what gives labels away."""

    score: float  # balanced accuracy, out-of-fold
    chance: float
    p: float
    of_class: OfClass | None  # where one class is given away, and hardly any other
    fields: tuple[tuple[str, float], ...]  # score of each alone, the best first
    signs: tuple[Sign, ...]


def shortcut(
    metadata: Mapping[str, np.ndarray], labels: np.ndarray, group: np.ndarray | None = None, *, seed: int = 0
) -> Shortcut | None:
    """Return how well metadata (n,) by field predict the labels (n,), or None where they do not.

    Fields are texts or numbers, "" or NaN where a file has none. Rows of a group are judged by others.
    """
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(np.bincount(labels)[labels] >= FEWEST_OF_CLASS)
    rows = np.sort(generator.permutation(rows)[:MOST])
    if len(rows) < FEWEST or len(np.unique(labels[rows])) < 2:
        return None
    present, own = np.unique(labels[rows], return_inverse=True)
    of_rows = None if group is None else group[rows]
    bins = {name: _bins(values[rows]) for name, values in metadata.items() if _tells(name, values[rows])}
    order = generator.permutation(len(own))
    fold = np.empty(len(own), np.int64)
    fold[order] = folds_for(own[order], None if of_rows is None else of_rows[order], FOLDS)
    signs = [sign for name, of in bins.items() for sign in _signs(name, of, metadata[name][rows], own)]
    away = {s.field for s in signs if s.share >= GIVEN_AWAY[0] and s.others <= GIVEN_AWAY[1]}
    used = [name for name in bins if name in MADE or (name in SHOWN and name in away)]
    if not used:
        return None
    hot = _one_hot([bins[name] for name in used])
    judged = _judged(hot, own, fold, len(present))
    is_of_all = (judged.score - 1 / len(present)) * len(present) / (len(present) - 1) >= EFFECT
    if not is_of_all and judged.apart.max() < OF_CLASS:
        return None
    orders = (permuted(own, of_rows, generator) for _ in range(PERMUTATIONS))
    drawn = [_judged(hot, order, fold, len(present)) for order in orders]
    tested = Permuted(
        score=judged.score if is_of_all else float(judged.apart.max()),
        shuffled=np.array([each.score if is_of_all else each.apart.max() for each in drawn]),
        rows=len(rows),
    )
    if tested.p > SIGNIFICANT:
        return None
    named = [name for name in bins if name in used or name in BESIDE]
    by_field = {name: _judged(_one_hot([bins[name]]), own, fold, len(present)) for name in named}
    place = int(judged.apart.argmax())
    alone = {
        name: round(each.score if is_of_all else float(each.apart[place]), 6)
        for name, each in by_field.items()
    }
    telling = sorted((s for s in signs if s.field in named), key=lambda s: s.others - s.share)
    return Shortcut(
        score=round(judged.score, 6),
        chance=round(float(np.mean([each.score for each in drawn])), 6),
        p=round(tested.p, 6),
        of_class=None if is_of_all else judged.of_class(place, int(present[place])),
        fields=tuple(sorted(alone.items(), key=lambda pair: -pair[1])),
        signs=tuple(_each_once(telling, present, rows))[:SIGNS],
    )


def _tells(name: str, values: np.ndarray) -> bool:
    """Return whether a field can tell anything: its values differ, and those of time by more than a copy takes."""
    if name not in (*MADE, *SHOWN, *BESIDE) or len(np.unique(values)) < 2:
        return False
    return name != "time" or float(np.nanmax(values) - np.nanmin(values)) > DAY


def _bins(values: np.ndarray) -> np.ndarray:
    """Return the bin (n,) of each value."""
    if values.dtype.kind in "UO":
        _, code, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
        place = np.empty(len(counts), np.int64)
        place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return np.asarray(np.minimum(place[code], VALUES - 1))
    numbers = np.nan_to_num(values.astype(float), nan=-1.0)
    _, code, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    if len(counts) <= BINS:
        return np.asarray(code)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    of_value = np.searchsorted(edges, numbers, side="right")
    common = np.flatnonzero(counts > COMMON * len(numbers))
    for number, value in enumerate(common[np.argsort(-counts[common], kind="stable")][:BINS]):
        of_value[code == value] = BINS + number
    return np.asarray(np.unique(of_value, return_inverse=True)[1])


def _one_hot(bins: Sequence[np.ndarray]) -> np.ndarray:
    """Return (n, bins of all fields) float32."""
    return np.concatenate([np.eye(int(of.max()) + 1, dtype=np.float32)[of] for of in bins], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    shares: np.ndarray  # (classes,) of each class that are recognised, out-of-fold
    others: np.ndarray  # (classes,) of all other images that are taken for it

    @property
    def score(self) -> float:
        """Return the balanced accuracy."""
        return float(self.shares.mean())

    @property
    def apart(self) -> np.ndarray:
        """Return how well each class is told apart, (classes,): 0 by chance, 1 at most (Youden's index)."""
        return np.asarray(self.shares - self.others)

    def of_class(self, place: int, label: int) -> OfClass:
        """Return how well one class is told apart."""
        share, others = (round(float(column[place]), 6) for column in (self.shares, self.others))
        return OfClass(label=label, share=share, others=others)


def _judged(hot: np.ndarray, labels: np.ndarray, fold: np.ndarray, classes: int) -> _Judged:
    """Return what naive Bayes with equal priors answers out-of-fold."""
    given = np.eye(classes, dtype=np.float32)[labels]
    right, answered = np.zeros(classes), np.zeros(classes)
    for number in range(FOLDS):
        out = fold == number
        counts = hot[~out].T @ given[~out] + SMOOTHING
        log = np.log(counts / (given[~out].sum(0) + 1.0))
        predicted = (hot[out] @ log).argmax(1)
        right += np.bincount(labels[out][predicted == labels[out]], minlength=classes)
        answered += np.bincount(predicted, minlength=classes)
    images = np.bincount(labels, minlength=classes)
    return _Judged(shares=right / images, others=(answered - right) / (len(labels) - images))


def _signs(name: str, bins: np.ndarray, values: np.ndarray, labels: np.ndarray) -> list[Sign]:
    """Return the values of a field that one class has much more often than the others."""
    counts = np.zeros((int(bins.max()) + 1, int(labels.max()) + 1))
    np.add.at(counts, (bins, labels), 1)
    share = counts / counts.sum(0)
    others = (counts.sum(1, keepdims=True) - counts) / (counts.sum() - counts.sum(0))
    found = []
    for number, label in zip(*np.nonzero(share - others >= LEAST_SIGN), strict=True):
        inside = values[bins == number]
        without = np.flatnonzero((bins != number) & (labels != label))
        is_text = values.dtype.kind in "UO"
        found.append(
            Sign(
                field=name,
                value=str(inside[0]) if is_text else "",
                low=0.0 if is_text else round(float(np.nanmin(np.append(inside, np.inf))), 6),
                high=0.0 if is_text else round(float(np.nanmax(np.append(inside, -np.inf))), 6),
                label=int(label),
                share=round(float(share[number, label]), 6),
                others=round(float(others[number, label]), 6),
                rows=(int(np.flatnonzero((bins == number) & (labels == label))[0]), int(without[0])),
            )
        )
    return found


def _each_once(signs: Sequence[Sign], present: np.ndarray, rows: np.ndarray) -> list[Sign]:
    """Return the signs with labels and rows of the data set, one for each field and class."""
    first: dict[tuple[str, int], Sign] = {}
    for sign in signs:
        one, other = sign.rows
        row = (int(rows[one]), int(rows[other]))
        first.setdefault((sign.field, sign.label), replace(sign, label=int(present[sign.label]), rows=row))
    return list(first.values())
