"""Adapters of your own in one file: low-rank changes of the weights of convolutions and linear layers.

    AUTOTL_PLUGINS=own_adapter PYTHONPATH=examples autotl run photos/ --budget 2m --strategies my_adapter,linear_probe

The pretrained weights stay as they are. `prepare` is called again when the model is loaded: predictions need this file.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from autotl.plugin import Declined, LayerGroup, Phase, Strategy, hookimpl

if TYPE_CHECKING:
    from torch import nn

RANK = 4


@hookimpl
def register_strategies() -> list[Strategy]:
    adapted = Strategy(
        name="my_adapter",
        summary="head and low-rank changes of all weights (Hu et al., ICLR 2022)",
        prepare="own_adapter:adapted",
        phases=(Phase(trains="own_adapter:of_adapters", layer_decay=1.0),),
    )
    return [adapted]


def adapted(network: nn.Module) -> nn.Module:
    """Return the network, with a low-rank change beside each weight that does nothing at first."""
    from torch import nn
    from torch.nn.utils import parametrize

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    if not layers:
        raise Declined("the network has neither convolutions nor linear layers")
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", _low_rank()(layer.weight.shape))
    return network


def of_adapters(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is one of the changes."""
    return name.endswith((".down", ".up"))


@cache
def _low_rank() -> type[nn.Module]:
    """Return the class of a change; torch is imported when it is needed."""
    import torch
    from torch import Tensor, nn

    class LowRank(nn.Module):
        """Add the product of two narrow matrices to a weight."""

        def __init__(self, shape: torch.Size) -> None:
            super().__init__()
            wide = shape[1:].numel()
            self.down = nn.Parameter(torch.randn(RANK, wide) / wide**0.5)
            self.up = nn.Parameter(torch.zeros(shape[0], RANK))

        def forward(self, weight: Tensor) -> Tensor:
            return weight + (self.up @ self.down).reshape(weight.shape)

    return LowRank
