"""Learn from images without their labels: which way they were turned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autotl.protocols import ObjectiveCall

__all__ = ["half_turn", "quarter_turn", "three_quarter_turn", "turn_classifier", "turned"]

TURNS = 4  # views: upright, and turned by one, two and three quarters


def quarter_turn(images: Tensor, seed: int) -> Tensor:
    """Return the images (B, 3, S, S) turned by 90 degrees."""
    return torch.rot90(images, 1, (2, 3))


def half_turn(images: Tensor, seed: int) -> Tensor:
    """Return the images (B, 3, S, S) turned by 180 degrees."""
    return torch.rot90(images, 2, (2, 3))


def three_quarter_turn(images: Tensor, seed: int) -> Tensor:
    """Return the images (B, 3, S, S) turned by 270 degrees."""
    return torch.rot90(images, 3, (2, 3))


def turn_classifier(width: int, classes: int) -> nn.Module:
    """Return a layer that tells by features which way an image was turned."""
    return nn.Linear(width, TURNS)


def turned(call: ObjectiveCall) -> Tensor:
    """Return the loss of telling each view's turn (Gidaris, Singh and Komodakis, ICLR 2018)."""
    assert call.auxiliary is not None
    features = torch.cat([view.features[-1] for view in call.unlabelled])
    turn = torch.arange(TURNS, device=features.device).repeat_interleave(len(features) // TURNS)
    return F.cross_entropy(call.auxiliary(features), turn)
