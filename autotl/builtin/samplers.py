"""Samplers: the order in which a training sees its rows. Each returns places of the labels for one pass."""

from __future__ import annotations

import numpy as np

__all__ = ["balanced", "natural"]


def natural(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Return each row once, shuffled, whatever the metric of the run."""
    return np.random.default_rng(seed).permutation(len(labels))


def balanced(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Return as many rows of every class, shuffled: rows of small classes again and again, before any a second time."""
    generator = np.random.default_rng(seed)
    present = np.unique(labels)
    each = -(-len(labels) // len(present))
    passes = [
        np.concatenate([generator.permutation(rows) for _ in range(-(-each // len(rows)))])[:each]
        for rows in (np.flatnonzero(labels == label) for label in present)
    ]
    return generator.permutation(np.concatenate(passes))
