"""A network and images that train in milliseconds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autotl.engine.augment import augment
from autotl.engine.backbone import Backbone, build
from autotl.engine.images import Squares, to_input
from autotl.engine.losses import cross_entropy
from autotl.engine.model import Model
from autotl.engine.outputs import ClassOutputs
from autotl.engine.setting import Setting
from autotl.modality.image_store import Pixels
from autotl.records import BackboneSpec, Preprocess, Scaling

SIDE = 16


class Net(nn.Module):
    """Three stages with batch norm and dropout, ending in a map."""

    layer_pattern = r"stages\.(\d+)"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        widths = (3, 8, 12, 16)
        self.stages = nn.Sequential(
            *[
                nn.Sequential(
                    nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                    nn.Dropout(0.1),
                )
                for before, after in itertools.pairwise(widths)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.stages(x)
        return found


class Elsewhere(Net):
    """As if trained on other images: its running statistics are far from those of any batch seen here."""

    def __init__(self) -> None:
        super().__init__()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.fill_(-0.3)
                module.running_var.copy_(torch.linspace(0.02, 0.2, module.num_features))


def spec(name: str = "toy", **more: Any) -> BackboneSpec:
    values: dict[str, Any] = {"build": "toy:Net", "input_size": SIDE, "min_size": 8, "size_step": 8}
    return BackboneSpec(name=name, **(values | {"preprocess": Preprocess(crop=1.0)} | more))


def images(count: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, SIDE, SIDE, 3) uint8 whose class is where it is bright, and labels (n,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    found = generator.integers(60, 120, (count, SIDE, SIDE, 3))
    for image, label in zip(found, labels, strict=True):
        at = slice(label * SIDE // classes, (label + 1) * SIDE // classes)
        image[at, :, label % 3] += 120
    return found.astype(np.uint8), labels


def store(pictures: np.ndarray) -> Pixels:
    each = pictures[0].size
    count = len(pictures)
    return Pixels(
        pictures.reshape(-1),
        np.arange(count) * each,
        np.full(count, pictures.shape[1]),
        np.full(count, pictures.shape[2]),
    )


def squares(pictures: np.ndarray) -> Squares:
    return Squares(store(pictures))


def setting(pictures: np.ndarray, labels: np.ndarray, **more: Any) -> Setting:
    values: dict[str, Any] = {"seed": 0, "batch": 16, "precision": "fp32", "device": torch.device("cpu")}
    return Setting(
        squares=squares(pictures),
        labels=labels,
        classes=int(labels.max()) + 1,
        augment=augment,
        to_input=to_input,
        loss=cross_entropy,
        outputs=ClassOutputs(Scaling()),
        preprocess=Preprocess(crop=1.0),
        size=SIDE,
        **(values | more),
    )


def backbone() -> Backbone:
    return build(spec(), SIDE)


def model(classes: int = 3) -> Model:
    torch.manual_seed(1)
    body = backbone()
    return Model(body, nn.Linear(body.feature_dim, classes))
