"""Adapters: small layers beside those of a transformer that is not changed itself."""

from __future__ import annotations

from torch import nn

from autotl.errors import Declined
from autotl.protocols import LayerGroup

__all__ = ["low_rank", "of_low_rank"]

RANK = 8
MARK = "lora_"  # of the names that peft gives


def low_rank(network: nn.Module) -> nn.Module:
    """Return the network with low-rank adapters beside the linear layers of its attention (Hu et al., ICLR 2022).

    Raises `Declined` without the package peft, and for a network without such layers.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise Declined(
            f"low-rank adapters need the package peft ({error}); install it with: pip install 'autotl[peft]'"
        ) from error
    layers = [
        name for name, module in network.named_modules() if isinstance(module, nn.Linear) and "attn" in name
    ]
    if not layers:
        raise Declined(f"{type(network).__name__} has no linear layer of attention; expected a transformer")
    adapted: nn.Module = inject_adapter_in_model(
        LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=layers), network
    )
    return adapted


def of_low_rank(name: str, module: nn.Module, group: LayerGroup) -> bool:
    """Return whether a parameter is one of a low-rank adapter."""
    return MARK in name
