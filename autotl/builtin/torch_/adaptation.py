"""Objectives that learn from images without a label beside the labelled ones, and what they train for it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autotl.protocols import ObjectiveCall

__all__ = ["correlation_alignment", "domain_adversarial", "domain_classifier", "fix_match", "least_confusion"]

SURE = (
    0.8  # share from which a guess is trained on; the paper's 0.95 is out of reach where labels are smoothed
)
TEMPERATURE = 2.5  # of the shares that the confusion is computed from: the paper's
STEEPNESS = 10.0  # of the rise of the reversed gradient from 0 to 1: the paper's
HIDDEN = 128  # units of the network that tells the domains apart


def fix_match(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and that of strong views with labels guessed on weak ones (Sohn et al., NeurIPS 2020)."""
    weak, strong = call.unlabelled
    confidence, guesses = weak.logits.detach().softmax(1).max(1)
    losses = F.cross_entropy(strong.logits, guesses, reduction="none")
    return call.loss(call.logits, call.targets) + (losses * (confidence >= SURE)).mean()


def correlation_alignment(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and the distance of the logits' covariances (Sun and Saenko, ECCV workshops 2016)."""
    (view,) = call.unlabelled
    gap = torch.cov(call.logits.T) - torch.cov(view.logits.T)
    return call.loss(call.logits, call.targets) + gap.square().mean() / 4


def least_confusion(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and how often classes are confused on images without a label (Jin et al., ECCV 2020)."""
    (view,) = call.unlabelled
    shares = (view.logits / TEMPERATURE).softmax(1)
    entropy = -(shares * torch.log(shares + 1e-5)).sum(1).detach()
    certainty = 1 + torch.exp(-entropy)
    together = (shares * (len(shares) * certainty / certainty.sum())[:, None]).T @ shares
    together = together / together.sum(1, keepdim=True)
    confusion = (together.sum() - together.trace()) / len(together)
    return call.loss(call.logits, call.targets) + confusion


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round and multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradient, None


def domain_classifier(width: int, classes: int) -> nn.Module:
    """Return a small network that tells images with a label from those without, by their features."""
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def domain_adversarial(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and that of a domain classifier that the features train against (Ganin et al., JMLR 2016)."""
    (view,) = call.unlabelled
    assert call.auxiliary is not None
    factor = 2 / (1 + math.exp(-STEEPNESS * call.progress)) - 1
    features = torch.cat([call.features[-1], view.features[-1]])
    domain = torch.cat([torch.zeros(len(call.logits)), torch.ones(len(view.logits))]).to(features.device)
    told: Tensor = call.auxiliary(_Reversed.apply(features, factor))
    return call.loss(call.logits, call.targets) + F.binary_cross_entropy_with_logits(told[:, 0], domain)
