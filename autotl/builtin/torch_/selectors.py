"""Selectors: which parameters of a backbone train."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from autotl.protocols import LayerGroup

__all__ = ["biases", "first_group", "middle_group", "norms"]

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def norms(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is the scale or the shift of a normalisation."""
    return isinstance(module, _NORMS)


def biases(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is a bias."""
    return name.rpartition(".")[2].endswith("bias")


def first_group(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is in the shallowest layer group."""
    return group.index == 0


def middle_group(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is in the layer group in the middle."""
    return group.index == (group.count - 1) // 2
