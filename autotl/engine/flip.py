"""Compare flipped images with plain ones: flips hurt where left and right distinguish classes (digits, signs)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtrc

from autotl.ranking.left_out import heads_left_out
from autotl.ranking.left_out import outputs as outputs_of
from autotl.records import Fact, Kind, fact
from autotl.stats import metrics, values

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
    kind, outputs = values.of(labels), len(classes)
    tables = [np.zeros((len(labels), outputs)) for _ in range(2)]
    for out, head in heads_left_out(features, labels, outputs, folds):
        if head is None:
            return False, fact(Kind.FLIPS_UNKNOWN)
        for table, images in zip(tables, (features, flipped), strict=True):
            table[out] = outputs_of(head, images[out])
    plain, turned = map(kind.answers, tables)
    metric = metrics.of_labels(labels)
    of_classes = isinstance(kind, values.Classes)
    pair = _confused(plain, turned, labels) if of_classes else None
    before, after = (metrics.score(metric, labels, answers, outputs) for answers in (plain, turned))
    used = before - after <= TOLERATED and pair is None
    return used, fact(
        Kind.FLIPS,
        used=used,
        plain=round(before, 6),
        flipped=round(after, 6),
        pair=() if pair is None else tuple(classes[index] for index in pair),
        **({} if of_classes else {"metric": metric}),
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
