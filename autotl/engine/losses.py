"""Losses by kind of target, named in `autotl.stats.target_kinds`."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

SMOOTHING = 0.05  # of the labels


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (m, classes) and class indices (m,), labels smoothed."""
    return F.cross_entropy(logits, target, label_smoothing=SMOOTHING)


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of logits (m, classes) and 0 or 1 (m, classes).

    Labels are not smoothed: most classes are rare, and a probability of `SMOOTHING` may be more than they have.
    """
    return F.binary_cross_entropy_with_logits(logits, target)


def smooth_l1(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the mean smooth L1 loss of standardised numbers (m, 1): squared up to one deviation, absolute beyond.

    An outlier thus pulls no harder than an error of one deviation (Girshick, Fast R-CNN, ICCV 2015).
    """
    return F.smooth_l1_loss(outputs, target)
