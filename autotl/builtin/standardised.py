"""Standardise the features that a head is fitted on, and fold the scale into the linear head that comes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.protocols import HeadCall
from autotl.records.head import Head

__all__ = ["Standardised", "constant", "standardised"]

ABSENT = 20.0  # that the bias of a class without a row is below the least of the others


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standardised:
    """Features whose columns have mean 0 and deviation 1, constant ones 0, by the weights of their rows."""

    x: np.ndarray  # (n, d) float64
    weights: np.ndarray  # (n,) float64
    mean: np.ndarray  # (d,) of the features
    deviation: np.ndarray  # (d,)

    def unscaled(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weight (k, d) and bias (k,) for the features as they were, from those for `x`."""
        return weight / self.deviation, bias - weight @ (self.mean / self.deviation)

    def linear(
        self,
        weight: np.ndarray,
        bias: np.ndarray,
        *,
        present: np.ndarray,
        classes: int,
        method: str,
        setting: float | None,
    ) -> Head:
        """Return the linear head of `classes` outputs, given weight (k, d) and bias (k,) of the `present` ones.

        Classes without a row get a bias that rules them out.
        """
        full_weight, full_bias = np.zeros((classes, self.x.shape[1])), np.full(classes, bias.min() - ABSENT)
        full_weight[present], full_bias[present] = self.unscaled(weight, bias)
        arrays = {"weight": full_weight.astype(np.float32), "bias": full_bias.astype(np.float32)}
        return Head(kind="linear", arrays=arrays, method=method, setting=setting)


def standardised(call: HeadCall) -> Standardised:
    """Return the features of a call in standardised columns, with the weights of their rows, 1 by default."""
    weights = np.ones(len(call.labels)) if call.weights is None else call.weights
    mean = np.average(call.features, 0, weights)
    deviation = np.sqrt(np.average((call.features - mean) ** 2, 0, weights))
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    x = ((call.features - mean) / deviation).astype(np.float64)
    return Standardised(x=x, weights=weights, mean=mean, deviation=deviation)


def constant(call: HeadCall) -> Head:
    """Return the head for rows that are all of one class, which it always answers."""
    bias = np.full(call.classes, -ABSENT, np.float32)
    bias[int(call.labels[0])] = 0.0
    arrays = {"weight": np.zeros((call.classes, call.features.shape[1]), np.float32), "bias": bias}
    return Head(kind="linear", arrays=arrays, method="constant")
