"""Compare flipped images with plain ones: flips hurt where left and right distinguish classes (digits, signs)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtrc

from autotl.builtin.heads import linear
from autotl.protocols import HeadCall
from autotl.records import Fact, Kind, Metric, fact
from autotl.records.head import Head
from autotl.stats import metrics, values
from autotl.stats.folds import folds_for

ROWS = 400  # images that are compared, at most: one forward pass each
FOLDS = 4
TOLERATED = 0.02  # accuracy that flipped images may lose
CONFUSED = 0.05  # chance, over all pairs of classes, below which flipping is held to confuse one


def compare(
    features: np.ndarray, flipped: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: Sequence[str]
) -> tuple[bool, Fact]:
    """Return whether linear probes recognise flipped images as well as plain ones, and the fact behind it.

    `features` and `flipped` are (n, d) of the same images, `labels` (n,), `folds` (n,): each fold is judged
    by a probe fitted on the plain images of the others. A network pretrained with flips keeps enough of
    left and right for a probe to lose where they matter. Both the accuracy over all images must hold and each
    pair of classes must stay apart: among many classes a pair of mirror images is a small part of the average. Numbers
    and sets of labels are judged by R² and mean average precision alone.
    """
    if not isinstance(values.of(labels), values.Classes):
        return _compare_values(features, flipped, labels, folds, len(classes))
    plain, turned = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for fold in np.unique(folds):
        out = folds == fold
        if len(np.unique(labels[~out])) < 2:
            return False, fact(Kind.FLIPS_UNKNOWN)
        head = linear(
            HeadCall(
                features=features[~out],
                labels=labels[~out],
                classes=len(classes),
                folds=np.zeros(int((~out).sum())),  # nothing is left out: the penalty is the usual one
                seed=0,
            )
        )
        plain[out] = _predicted(head, features[out])
        turned[out] = _predicted(head, flipped[out])
    accuracy, accuracy_flipped = float((plain == labels).mean()), float((turned == labels).mean())
    pair = _confused(plain, turned, labels)
    used = accuracy - accuracy_flipped <= TOLERATED and pair is None
    return used, fact(
        Kind.FLIPS,
        used=used,
        plain=round(accuracy, 6),
        flipped=round(accuracy_flipped, 6),
        pair=() if pair is None else tuple(classes[index] for index in pair),
    )


def _compare_values(
    features: np.ndarray, flipped: np.ndarray, labels: np.ndarray, folds: np.ndarray, outputs: int
) -> tuple[bool, Fact]:
    kind = values.of(labels)
    metric: Metric = "r2" if isinstance(kind, values.Numbers) else "mean_average_precision"
    tables = [np.zeros((len(labels), outputs)) for _ in range(2)]
    for fold in np.unique(folds):
        out = folds == fold
        if len(np.unique(labels[~out], axis=0)) < 2:
            return False, fact(Kind.FLIPS_UNKNOWN)
        inner = folds_for(labels[~out], None)
        head = linear(
            HeadCall(features=features[~out], labels=labels[~out], classes=outputs, folds=inner, seed=0)
        )
        for table, images in zip(tables, (features, flipped), strict=True):
            table[out] = images[out] @ head.arrays["weight"].T + head.arrays["bias"]
    plain, turned = (metrics.score(metric, labels, kind.answers(table), outputs) for table in tables)
    used = plain - turned <= TOLERATED
    return used, fact(
        Kind.FLIPS, used=used, plain=round(plain, 6), flipped=round(turned, 6), pair=(), metric=metric
    )


def _confused(plain: np.ndarray, turned: np.ndarray, labels: np.ndarray) -> tuple[int, int] | None:
    """Return the pair of classes that flipping confuses most significantly; None if it confuses none significantly.

    All arrays are (n,): predictions of plain and of flipped images, and labels. Of the images whose prediction
    moves between a pair by flipping, as many would move to the right class as to the wrong one by chance: a sign
    test for each pair, at 5% over all pairs where any image moved (Bonferroni).
    """
    wrong: Counter[tuple[int, int]] = Counter()
    right: Counter[tuple[int, int]] = Counter()
    for label, before, after in zip(labels.tolist(), plain.tolist(), turned.tolist(), strict=True):
        if before == label != after:
            wrong[min(label, after), max(label, after)] += 1
        elif after == label != before:
            right[min(label, before), max(label, before)] += 1
    pairs = wrong.keys() | right.keys()
    chances = {
        pair: float(bdtrc(wrong[pair] - 1, wrong[pair] + right[pair], 0.5)) if wrong[pair] else 1.0
        for pair in sorted(pairs)
    }
    least = min(chances, key=lambda pair: chances[pair], default=None)
    return least if least is not None and chances[least] * len(pairs) < CONFUSED else None


def _predicted(head: Head, features: np.ndarray) -> np.ndarray:
    return np.asarray((features @ head.arrays["weight"].T + head.arrays["bias"]).argmax(1))
