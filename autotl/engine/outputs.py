"""Map the outputs of a network to losses and predictions, by kind of target.

Networks answer in numbers of about the size of one, so numbers are standardised by the train images. The way back to
their own unit is part of the model: of its folder and of what is exported.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autotl.engine.resolve import resolve
from autotl.records import PARTS, Columns, Scaling
from autotl.stats.target_kinds import TARGET_KINDS

__all__ = [
    "ClassOutputs",
    "LabelOutputs",
    "NumberOutputs",
    "Outputs",
    "fitted_labels",
    "outputs_of",
    "scaling_of",
]


class Outputs(Protocol):
    """The meaning of a network's outputs. A module, so that it can be part of an exported graph."""

    def __call__(self, raw: Tensor) -> Tensor:
        """Map raw outputs (B, k) to predictions (B, k) float32: probabilities, or numbers in their unit."""

    def aims(self, labels: np.ndarray) -> np.ndarray:
        """Return what the loss compares the raw outputs for these labels with."""

    def constant_loss(self, labels: np.ndarray) -> float:
        """Return the loss of the best network that gives every image the same answer."""

    def even_loss(self, labels: np.ndarray) -> float:
        """Return the loss of a network that knows nothing yet."""


class ClassOutputs(nn.Module):
    """Logits of classes that exclude each other."""

    def __init__(self, scaling: Scaling, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, raw: Tensor) -> Tensor:
        """Return the softmax at the temperature."""
        return torch.softmax(raw.float() / self.temperature, 1)

    def aims(self, labels: np.ndarray) -> np.ndarray:
        """Return the class indices."""
        return labels

    def constant_loss(self, labels: np.ndarray) -> float:
        """Return the entropy of the shares of the classes."""
        shares = np.bincount(labels) / len(labels)
        return -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))

    def even_loss(self, labels: np.ndarray) -> float:
        """Return the loss of equal probabilities."""
        return math.log(max(2, len(np.unique(labels))))


class LabelOutputs(nn.Module):
    """A logit for each class that an image may have."""

    def __init__(self, scaling: Scaling, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, raw: Tensor) -> Tensor:
        """Return the sigmoid of each logit."""
        return torch.sigmoid(raw.float() / self.temperature)

    def aims(self, labels: np.ndarray) -> np.ndarray:
        """Return the table of 0 and 1 as floats."""
        return labels.astype(np.float32)

    def constant_loss(self, labels: np.ndarray) -> float:
        """Return the mean entropy of the share of each class."""
        shares = np.clip(labels.mean(0), 1e-9, 1 - 1e-9)
        return -float(np.mean(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)))

    def even_loss(self, labels: np.ndarray) -> float:
        """Return the loss of a probability of one half."""
        return math.log(2)


class NumberOutputs(nn.Module):
    """A standardised number."""

    def __init__(self, scaling: Scaling, temperature: float = 1.0) -> None:
        super().__init__()
        self.offset, self.scale = scaling.offset, scaling.scale

    def forward(self, raw: Tensor) -> Tensor:
        """Return the number in its own unit."""
        return raw.float() * self.scale + self.offset

    def aims(self, labels: np.ndarray) -> np.ndarray:
        """Return the standardised numbers, a column."""
        return ((labels - self.offset) / self.scale).astype(np.float32)[:, None]

    def constant_loss(self, labels: np.ndarray) -> float:
        """Return the loss of always answering the median."""
        aims = torch.from_numpy(self.aims(labels))
        return float(F.smooth_l1_loss(aims.median().expand_as(aims), aims))

    def even_loss(self, labels: np.ndarray) -> float:
        """Return the loss of answers that are two standard deviations wrong."""
        return 2 - 0.5


def scaling_of(columns: Columns) -> Scaling:
    """Return mean and deviation of the numbers that train; 0 and 1 for other kinds of target."""
    trains = columns.labels[columns.part == PARTS.index("train")]
    if columns.target != "regression" or not len(trains):
        return Scaling()
    deviation = float(trains.std())
    return Scaling(offset=float(trains.mean()), scale=deviation if deviation > 0 else 1.0)


def fitted_labels(labels: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the labels that a head is fitted on in closed form: numbers standardised, (n,) float64."""
    return (labels - scaling.offset) / scaling.scale if labels.dtype.kind == "f" else labels


def outputs_of(target: str, scaling: Scaling, temperature: float = 1.0) -> Outputs:
    """Return the meaning of the outputs of a network for a kind of target."""
    made: Outputs = resolve(TARGET_KINDS[target].outputs)(scaling, temperature)
    return made
