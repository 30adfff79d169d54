"""Mixing: images of a batch are joined in pairs, and count for both targets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["cutmix", "mixup"]

MIXUP, CUTMIX = 0.2, 1.0  # of the Beta distribution of shares: the papers', mixup's for ImageNet


def mixup(images: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    """Return weighted means of images and their partners (Zhang et al., ICLR 2018)."""
    generator = np.random.default_rng(seed)
    partner = torch.from_numpy(generator.permutation(len(images))).to(images.device)
    share = float(generator.beta(MIXUP, MIXUP))
    return share * images + (1 - share) * images[partner], partner, share


def cutmix(images: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
    """Return images with a rectangle of their partners (Yun et al., ICCV 2019)."""
    generator = np.random.default_rng(seed)
    partner = torch.from_numpy(generator.permutation(len(images))).to(images.device)
    side = float(np.sqrt(1 - generator.beta(CUTMIX, CUTMIX)))
    rows, columns = (_span(length, side, generator) for length in images.shape[2:])
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partner][:, :, rows, columns]
    replaced = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, partner, 1 - replaced / (images.shape[2] * images.shape[3])


def _span(length: int, share: float, generator: np.random.Generator) -> slice:
    """Return a stretch of that share of a length about a random centre, cut off at the ends."""
    centre, half = int(generator.integers(length)), round(share * length / 2)
    return slice(max(0, centre - half), min(length, centre + half))
