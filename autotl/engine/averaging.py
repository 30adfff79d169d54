"""A moving average of the weights that train."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Average"]

FIRST = 10.0  # the average of so few first steps is nearly plain: the start has little weight in it


class Average:
    """An exponential moving average of a network's trained parameters.

    Its decay rises from 0 to the one given, so that a short training does not end where it began.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.values = {name: p.detach().clone() for name, p in _trained(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (FIRST + self.steps))
        for name, parameter in _trained(model).items():
            self.values[name].lerp_(parameter.detach(), 1 - decay)

    @torch.no_grad()
    def give(self, model: nn.Module) -> None:
        """Give the network the averaged weights."""
        for name, parameter in _trained(model).items():
            parameter.copy_(self.values[name])


def _trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
