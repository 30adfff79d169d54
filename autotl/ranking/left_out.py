"""Fit linear heads on frozen features, each with one fold left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autotl.builtin.heads import linear
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats import values
from autotl.stats.folds import folds_for


def heads_left_out(
    features: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray
) -> Iterator[tuple[np.ndarray, Head | None]]:
    """Yield the rows (n,) bool of each fold of features (n, d), and a linear head that was fitted on the other folds.

    There is none where the labels of the other folds are all the same. The head has `classes` outputs.
    """
    of_classes = isinstance(values.of(labels), values.Classes)
    for fold in np.unique(folds):
        out = folds == fold
        own = labels[~out]
        if len(np.unique(own, axis=0)) < 2:
            yield out, None
            continue
        # Of classes nothing is left out for the choice of the penalty: it is the usual one.
        inner = np.zeros(len(own), np.int64) if of_classes else folds_for(own, None)
        call = HeadCall(features=features[~out], labels=own, classes=classes, folds=inner, seed=0)
        yield out, linear(call)


def outputs(head: Head, features: np.ndarray) -> np.ndarray:
    """Return the outputs (n, classes) of a linear head."""
    return np.asarray(features @ head.arrays["weight"].T + head.arrays["bias"])
