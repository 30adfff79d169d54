from __future__ import annotations

import torch
from torch import nn

from autotl.engine.memory import predicting


def test_weights_and_the_largest_pair_of_activations_are_counted() -> None:
    wide, narrow = nn.Conv2d(3, 64, 1, bias=False), nn.Conv2d(64, 1, 1, bias=False)
    network = nn.Sequential(wide, nn.ReLU(inplace=True), narrow, nn.Flatten())
    weights = 4 * (3 * 64 + 64)
    image = torch.ones(1, 3, 32, 32)
    assert predicting(network, image) == weights + 4 * 32 * 32 * (64 + 1)


def test_what_was_freed_does_not_count() -> None:
    layer = nn.Conv2d(3, 3, 1, bias=False)
    few, many = nn.Sequential(*[layer] * 3), nn.Sequential(*[layer] * 30)
    image = torch.ones(1, 3, 32, 32)
    assert predicting(few, image) == predicting(many, image)
