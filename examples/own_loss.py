"""A loss of your own in one file: the focal loss.

AUTOTL_PLUGINS=own_loss PYTHONPATH=examples autotl run photos/ --budget 2m --strategies my_focal,linear_probe
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autotl.plugin import ObjectiveCall, Phase, Strategy, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

GAMMA = 2.0  # 0 is cross-entropy


@hookimpl
def register_strategies() -> list[Strategy]:
    tuned = Strategy(
        name="my_focal",
        summary="fine-tuning with the focal loss (Lin et al., ICCV 2017)",
        phases=(Phase(trains="k", objective="own_loss:focal"),),
        depths=True,
    )
    return [tuned]


def focal(call: ObjectiveCall) -> Tensor:
    """Return the loss of a batch, in which an image counts by how far it is from being recognised."""
    import torch  # here, because every command imports this file

    loss = torch.nn.functional.cross_entropy(call.logits, call.targets, reduction="none")
    return torch.mean((1 - torch.exp(-loss)) ** GAMMA * loss)
