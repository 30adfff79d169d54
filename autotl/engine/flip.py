"""Whether mirroring is safe here: it is not where left and right tell classes apart (digits, traffic signs)."""

from __future__ import annotations

import numpy as np

from autotl.builtin.heads import Head, linear

ROWS = 400  # images looked at, at most: one forward pass each
FOLDS = 4
TOLERATED = 0.02  # accuracy that mirrored images may lose


def harmless(
    features: np.ndarray, mirrored: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> tuple[bool, str]:
    """Whether linear probes recognise mirrored images as well as plain ones, and a sentence that says so.

    `features` and `mirrored` are (n, d) of the same images, `labels` (n,), `folds` (n,): each fold is judged
    by a probe fitted on the plain images of the others. A network pretrained with mirroring keeps enough of
    left and right for a probe to lose where they matter.
    """
    plain, turned = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    classes = int(labels.max()) + 1
    for fold in np.unique(folds):
        out = folds == fold
        if len(np.unique(labels[~out])) < 2:
            return False, "too few images to tell whether mirroring is safe: not used"
        head = linear(features[~out], labels[~out], classes, np.zeros(int((~out).sum())), 0)
        plain[out] = _answers(head, features[out]) == labels[out]
        turned[out] = _answers(head, mirrored[out]) == labels[out]
    lost = float(plain.mean() - turned.mean())
    safe = lost <= TOLERATED
    return safe, (
        f"mirrored images {'are' if safe else 'would be'} {'used' if safe else 'wrong'}: a linear probe recognises"
        f" {turned.mean():.0%} of them and {plain.mean():.0%} of the plain ones"
    )


def _answers(head: Head, features: np.ndarray) -> np.ndarray:
    return np.asarray((features @ head.arrays["weight"].T + head.arrays["bias"]).argmax(1))
