"""A penalty of your own in one file: fine-tuning stays near the pretrained weights (L2-SP).

AUTOTL_PLUGINS=own_penalty PYTHONPATH=examples autotl run photos/ --budget 2m --strategies my_l2_sp,linear_probe
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autotl.plugin import ObjectiveCall, Phase, Strategy, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = 0.1  # of the squared distance


@hookimpl
def register_strategies() -> list[Strategy]:
    tuned = Strategy(
        name="my_l2_sp",
        summary="fine-tuning with a penalty on the distance from the pretrained weights (Li et al., ICML 2018)",
        phases=(Phase(trains="k", weight_decay=0.0, objective="own_penalty:near_the_start"),),
        depths=True,
    )
    return [tuned]


def near_the_start(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and the penalty."""
    loss = call.loss(call.logits, call.targets)
    for name, parameter in call.trained.items():
        loss = loss + WEIGHT / 2 * (parameter - call.starts[name]).square().sum()
    return loss
