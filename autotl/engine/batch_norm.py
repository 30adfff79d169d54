"""Give batch norm the statistics of a run's images: before a training, in a phase, and for weights that were joined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autotl.engine import stopwatch
from autotl.engine.model import Model
from autotl.engine.setting import Setting
from autotl.records import Phase

MEASURED = 192  # images that batch-norm statistics are measured on
MEASURED_AT_ONCE = 32  # of them in one pass: all at once took 2 GB more than training does


def recalibrate(model: Model, rows: np.ndarray, setting: Setting) -> None:
    """Give the batch norms that training moves the statistics of these data, without changing the function.

    In training batch norm uses the statistics of a batch. Where the images differ from those of the
    pretraining, or a conversion folded the statistics away, that is another function than the one in eval
    mode: a head that was fitted on features is lost, and its first gradients ruin the network. With
    y = a x + b as a layer computes it and mean m, variance v of x measured here, the layer becomes
    ((x - m) / sqrt(v + eps)) * a sqrt(v + eps) + (b + a m): the same in eval mode, and nearly so with batch
    statistics. Call it after `Backbone.freeze`.
    """
    moving = model.backbone.moving_statistics()
    layers = [m for m in moving if isinstance(m, _BatchNorm) and m.affine]
    seen: dict[nn.Module, tuple[int, Tensor, Tensor]] = {}  # values a channel, their mean and variance

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        positions = (0, *range(2, x.ndim))
        variance, mean = torch.var_mean(x, positions, unbiased=False)
        here = (x.numel() // x.shape[1], mean.double(), variance.double())
        seen[module] = _joined(seen[module], here) if module in seen else here

    handles = [layer.register_forward_pre_hook(measure) for layer in layers]
    model.eval()
    try:
        with torch.no_grad():
            for few in np.split(
                rows[:MEASURED], range(MEASURED_AT_ONCE, len(rows[:MEASURED]), MEASURED_AT_ONCE)
            ):
                squares = setting.squares.get(few, setting.size, setting.preprocess)
                batch = setting.to_input(squares, setting.size, setting.preprocess, setting.device)
                with stopwatch.on("forward"):
                    model.backbone(batch)
            # The function stays as it is, so what was measured holds whichever layer is changed first.
            for layer, (_, mean, variance) in seen.items():
                assert isinstance(layer, _BatchNorm)
                _restate(layer, mean.to(layer.weight), variance.to(layer.weight))
    finally:
        for handle in handles:
            handle.remove()


def remeasure(model: Model, rows: np.ndarray, setting: Setting) -> None:
    """Give every batch norm the statistics of these data with the weights as they are.

    The mean of two networks' statistics is not the statistics of the mean of their weights.
    """
    model.backbone.freeze(0, "adapt")
    layers = [m for m in model.backbone.moving_statistics() if isinstance(m, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
    model.train()
    with torch.no_grad():
        for first in range(0, len(rows[:MEASURED]) if layers else 0, MEASURED_AT_ONCE):
            few = rows[:MEASURED][first : first + MEASURED_AT_ONCE]
            squares = setting.squares.get(few, setting.size, setting.preprocess)
            batch = setting.to_input(squares, setting.size, setting.preprocess, setting.device)
            with stopwatch.on("forward"):
                model.backbone(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


@contextmanager
def averaged_statistics(model: Model, phase: Phase) -> Iterator[None]:
    """Let the statistics of a phase that moves these alone become the plain mean over its batches.

    By their momentum they would be as many steps behind as the network's maker found good for a long training.
    """
    layers = []
    if phase.trains == "none":
        layers = [m for m in model.backbone.moving_statistics() if isinstance(m, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        if layer.num_batches_tracked is not None:
            layer.momentum = None
            layer.num_batches_tracked.zero_()
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _joined(
    first: tuple[int, Tensor, Tensor], second: tuple[int, Tensor, Tensor]
) -> tuple[int, Tensor, Tensor]:
    """Return number, mean and variance of two samples together (Chan, Golub and LeVeque, 1983)."""
    (n, mean, variance), (m, other_mean, other_variance) = first, second
    share = m / (n + m)
    gap = other_mean - mean
    return (
        n + m,
        mean + share * gap,
        (1 - share) * variance + share * other_variance + share * (1 - share) * gap**2,
    )


def _restate(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Give a batch norm other statistics, and the scale and shift with which it still computes the same."""
    assert layer.running_mean is not None and layer.running_var is not None
    slope = layer.weight / torch.sqrt(layer.running_var + layer.eps)
    shift = layer.bias - layer.running_mean * slope
    layer.weight.copy_(slope * torch.sqrt(variance + layer.eps))
    layer.bias.copy_(shift + mean * slope)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
