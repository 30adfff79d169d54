"""Represent the labels of each kind of target as arrays: spread, compare, fit, predict and write them.

An array shows its kind: class indices are (n,) integers, sets of labels a table (n, classes) of 0 and 1, and numbers
(n,) floats. numpy only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np

__all__ = ["Classes", "LabelSets", "Numbers", "Values", "of", "of_kind"]

BIN = 20  # images of a bin of numbers, at least,
BINS = 10  # and bins, at most


class Values(Protocol):
    """The labels of one kind of target."""

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return a class (n,) int64 of each row, by which rows are spread evenly and images of one kind compared."""

    def strata_names(self, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the display names of the strata of `labels`."""

    def identity(self, labels: np.ndarray) -> np.ndarray:
        """Return numbers (n,) int64 that differ where labels of one picture contradict each other."""

    def targets(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return what a regression is fitted on, (n, outputs) float64."""

    def answers(self, table: np.ndarray) -> np.ndarray:
        """Return the predictions that a model's table (n, outputs) gives, in the form that metrics compare."""

    def constant(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the predictions of the best model that gives every image the same answer."""

    def text(self, label: np.ndarray, classes: Sequence[str]) -> str:
        """Return one label as the manifest holds it, never an empty text."""

    def read(self, texts: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Return the labels that `text` wrote. Raises `ValueError` with the first text that is none."""


class Classes:
    """Labels that are one class of several: (n,) int64."""

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes themselves."""
        return labels

    def strata_names(self, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the classes."""
        return tuple(classes)

    def identity(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes themselves."""
        return labels

    def targets(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the classes one-hot."""
        return np.asarray(np.eye(outputs)[labels])

    def answers(self, table: np.ndarray) -> np.ndarray:
        """Return the class of the highest score, (n,) int64."""
        return np.asarray(table.argmax(1))

    def constant(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the commonest class."""
        return np.full(len(labels), int(np.bincount(labels, minlength=outputs).argmax()))

    def text(self, label: np.ndarray, classes: Sequence[str]) -> str:
        """Return the name of the class."""
        return classes[int(label)]

    def read(self, texts: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Return the index of each name."""
        index = {name: number for number, name in enumerate(classes)}
        strange = next((name for name in texts if name not in index), None)
        if strange is not None:
            raise ValueError(strange)
        return np.array([index[name] for name in texts], np.int64)


class LabelSets:
    """Labels that are any number of classes: (n, classes) int8 of 0 and 1."""

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return the rarest class of each row, and the number of classes for a row without any."""
        counts = labels.sum(0)
        rarest = np.where(labels > 0, counts, counts.sum() + 1).argmin(1)
        return np.asarray(np.where(labels.any(1), rarest, labels.shape[1]), np.int64)

    def strata_names(self, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the classes, and that of a row without any."""
        return (*classes, "no label")

    def identity(self, labels: np.ndarray) -> np.ndarray:
        """Return the number of each distinct set."""
        return np.asarray(np.unique(labels, axis=0, return_inverse=True)[1].ravel(), np.int64)

    def targets(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the table as floats."""
        return labels.astype(np.float64)

    def answers(self, table: np.ndarray) -> np.ndarray:
        """Return the scores themselves: average precision orders images by them."""
        return table

    def constant(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the share of each class."""
        return np.tile(labels.mean(0), (len(labels), 1))

    def text(self, label: np.ndarray, classes: Sequence[str]) -> str:
        """Return the names as a JSON list, since a name may hold any separator."""
        return json.dumps([classes[number] for number in np.flatnonzero(label).tolist()], ensure_ascii=False)

    def read(self, texts: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Return the table of the lists."""
        index = {name: number for number, name in enumerate(classes)}
        table = np.zeros((len(texts), len(classes)), np.int8)
        for row, text in enumerate(texts):
            try:
                names = json.loads(text)
                table[row, [index[name] for name in names]] = 1
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(text) from error
        return table


class Numbers:
    """Labels that are numbers: (n,) float64."""

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return bins by quantile, about as many images in each; few distinct values stay as they are."""
        if not len(labels):
            return np.zeros(0, np.int64)
        distinct = np.unique(labels)
        if len(distinct) <= BINS:
            return np.asarray(np.searchsorted(distinct, labels), np.int64)
        bins = min(BINS, max(1, len(labels) // BIN))
        edges = np.unique(np.quantile(labels, np.linspace(0, 1, bins + 1)[1:-1]))
        code = np.searchsorted(edges, labels, side="right")
        return np.asarray(np.unique(code, return_inverse=True)[1], np.int64)

    def strata_names(self, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the lowest and the highest number of each bin."""
        code = self.strata(labels)
        ends = [(labels[code == number].min(), labels[code == number].max()) for number in np.unique(code)]
        return tuple(f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}" for low, high in ends)

    def identity(self, labels: np.ndarray) -> np.ndarray:
        """Return one number for all: two measurements of one picture may differ."""
        return np.zeros(len(labels), np.int64)

    def targets(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the numbers as a column."""
        return labels.astype(np.float64)[:, None]

    def answers(self, table: np.ndarray) -> np.ndarray:
        """Return the one column, (n,) float64."""
        return table[:, 0].astype(np.float64)

    def constant(self, labels: np.ndarray, outputs: int) -> np.ndarray:
        """Return the mean."""
        return np.full(len(labels), float(labels.mean()) if len(labels) else 0.0)

    def text(self, label: np.ndarray, classes: Sequence[str]) -> str:
        """Return the shortest text that reads back as the same number."""
        return repr(float(label))

    def read(self, texts: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """Return the numbers; NaN and infinity are none."""
        numbers = []
        for text in texts:
            try:
                number = float(text)
            except ValueError:
                number = float("nan")
            if not np.isfinite(number):
                raise ValueError(text)
            numbers.append(number)
        return np.array(numbers, np.float64)


_CLASSES, _LABEL_SETS, _NUMBERS = Classes(), LabelSets(), Numbers()
_OF_KIND: dict[str, Values] = {"multiclass": _CLASSES, "multilabel": _LABEL_SETS, "regression": _NUMBERS}


def of_kind(target: str) -> Values:
    """Return what the labels of a kind of target are."""
    return _OF_KIND[target]


def of(labels: np.ndarray) -> Values:
    """Return what labels of this kind are.

    >>> [type(of(array)).__name__ for array in (np.array([0, 1]), np.array([[0, 1]]), np.array([0.5]))]
    ['Classes', 'LabelSets', 'Numbers']
    """
    if labels.ndim == 2:
        return _LABEL_SETS
    return _NUMBERS if labels.dtype.kind == "f" else _CLASSES
