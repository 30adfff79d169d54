"""Join the weights of several trainings of one network into one network's. Weights are tensors; no torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autotl.errors import Declined
from autotl.protocols import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["between", "soup"]

MIDDLE = 0.5  # share of the fine-tuned weights: the paper's where it is not chosen on the target


def soup(parents: Sequence[Checkpoint]) -> dict[str, Tensor]:
    """Return the mean of the weights of all trainings (Wortsman et al., ICML 2022)."""
    return _mean([(parent.weights, 1 / len(parents)) for parent in parents])


def between(parents: Sequence[Checkpoint]) -> dict[str, Tensor]:
    """Return weights between those of the frozen backbone and the best fine-tuned ones (Wortsman et al., CVPR 2022)."""
    frozen = [parent for parent in parents if not parent.epochs]
    tuned = [parent for parent in parents if parent.epochs]
    if not frozen or not tuned:
        raise Declined("it needs a linear probe and a fine-tuning of one backbone")
    return _mean([(frozen[0].weights, 1 - MIDDLE), (tuned[0].weights, MIDDLE)])


def _mean(weighted: Sequence[tuple[Mapping[str, Tensor], float]]) -> dict[str, Tensor]:
    first, _ = weighted[0]
    return {
        name: sum((weights[name] * share for weights, share in weighted[1:]), value * weighted[0][1])
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
