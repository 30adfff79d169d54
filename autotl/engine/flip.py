"""Compare flipped images with plain ones: flips hurt where left and right distinguish classes (digits, signs)."""

from __future__ import annotations

import numpy as np

from autotl.builtin.heads import Head, linear
from autotl.records import Fact, Kind, fact

ROWS = 400  # images that are compared, at most: one forward pass each
FOLDS = 4
TOLERATED = 0.02  # accuracy that flipped images may lose


def compare(
    features: np.ndarray, flipped: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> tuple[bool, Fact]:
    """Return whether linear probes recognise flipped images as well as plain ones, and the fact behind it.

    `features` and `flipped` are (n, d) of the same images, `labels` (n,), `folds` (n,): each fold is judged
    by a probe fitted on the plain images of the others. A network pretrained with flips keeps enough of
    left and right for a probe to lose where they matter.
    """
    plain_right, flipped_right = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    classes = int(labels.max()) + 1
    for fold in np.unique(folds):
        out = folds == fold
        if len(np.unique(labels[~out])) < 2:
            return False, fact(Kind.FLIPS_UNKNOWN)
        head = linear(features[~out], labels[~out], classes, np.zeros(int((~out).sum())), 0)
        plain_right[out] = _predicted(head, features[out]) == labels[out]
        flipped_right[out] = _predicted(head, flipped[out]) == labels[out]
    lost = float(plain_right.mean() - flipped_right.mean())
    used = lost <= TOLERATED
    return used, fact(
        Kind.FLIPS,
        used=used,
        plain=round(float(plain_right.mean()), 6),
        flipped=round(float(flipped_right.mean()), 6),
    )


def _predicted(head: Head, features: np.ndarray) -> np.ndarray:
    return np.asarray((features @ head.arrays["weight"].T + head.arrays["bias"]).argmax(1))
