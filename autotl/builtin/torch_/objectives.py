"""Objectives: losses of a batch beside the usual cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autotl.protocols import ObjectiveCall

__all__ = ["batch_spectral_shrinkage", "focal", "l2_sp", "label_smoothed", "logit_adjusted", "soft_targets"]

GAMMA = 2.0  # of the focal loss: the paper's
SMOOTHING = 0.1  # of the labels; the usual loss has 0.05
TO_START = 0.1  # weight of the squared distance from the start: the paper's
SPECTRAL = 1e-3  # weight of the smallest squared singular value: the paper's
SOFTENED = 2.0  # temperature of the teacher's and the student's probabilities
TAUGHT = 0.9  # weight of the loss by those; the labels have the rest: a small weight, as the paper advises


def focal(call: ObjectiveCall) -> Tensor:
    """Return the focal loss: an image counts by how far it is from being recognised (Lin et al., ICCV 2017)."""
    loss = F.cross_entropy(call.logits, call.targets, reduction="none")
    return torch.mean((1 - torch.exp(-loss)) ** GAMMA * loss)


def label_smoothed(call: ObjectiveCall) -> Tensor:
    """Return the cross-entropy with labels smoothed by 0.1 (Szegedy et al., CVPR 2016)."""
    return F.cross_entropy(call.logits, call.targets, label_smoothing=SMOOTHING)


def logit_adjusted(call: ObjectiveCall) -> Tensor:
    """Return the usual loss of logits that are raised by the classes' logarithmic shares (Menon et al., ICLR 2021).

    The network then need not learn which classes are frequent, and predicts as if all were alike.
    """
    shares = call.counts.clamp(min=1) / call.counts.sum()
    return call.loss(call.logits + torch.log(shares), call.targets)


def l2_sp(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and a penalty on the distance from the pretrained weights (Li et al., ICML 2018)."""
    loss = call.loss(call.logits, call.targets)
    for name, parameter in call.trained.items():
        loss = loss + TO_START / 2 * (parameter - call.starts[name]).square().sum()
    return loss


def batch_spectral_shrinkage(call: ObjectiveCall) -> Tensor:
    """Return the usual loss and a penalty on the features' smallest singular value (Chen et al., NeurIPS 2019)."""
    smallest: Tensor = torch.linalg.svdvals(call.features[-1])[-1]
    return call.loss(call.logits, call.targets) + SPECTRAL * smallest.square()


def soft_targets(call: ObjectiveCall) -> Tensor:
    """Return the loss by a teacher's softened probabilities, and a small one by the labels (Hinton et al., 2015)."""
    assert call.teacher is not None  # a strategy without a teacher declines
    soft = F.softmax(call.teacher / SOFTENED, dim=1)
    apart = F.kl_div(F.log_softmax(call.logits / SOFTENED, dim=1), soft, reduction="batchmean")
    return TAUGHT * SOFTENED**2 * apart + (1 - TAUGHT) * call.loss(call.logits, call.targets)
