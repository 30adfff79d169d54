"""Four convolutions and a classifier."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class TinyCNN(nn.Module):
    """Map images (B, 3, H, W) to logits (B, classes)."""

    classifier_name = "classifier"  # autotl removes it: its input is the feature vector
    layer_pattern = r"stages\.(\d+)"  # each stage is a layer group

    def __init__(self, classes: int = 8) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(stage(a, b) for a, b in pairwise((3, 16, 32, 64, 128))))
        self.classifier = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.stages(x).mean((2, 3)))
        return logits


def stage(into: int, out: int) -> nn.Module:
    convolution = nn.Conv2d(into, out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())
