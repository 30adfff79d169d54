"""Losses by kind of target, named in `autotl.stats.target_kinds`."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

SMOOTHING = 0.05  # of the labels


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (m, classes) and class indices (m,), labels smoothed."""
    return F.cross_entropy(logits, target, label_smoothing=SMOOTHING)
