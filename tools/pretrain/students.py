"""The three architectures that ship, stock timm code with keyword arguments, one of each family.

Chosen by milliseconds a training image on two CPU cores and by the accuracy that they reach on
Tiny ImageNet validation in that time; docs/measurements/embedded.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A network to be trained, and at which sizes."""

    name: str
    family: str
    arch: str  # a name that timm registers
    arguments: dict[str, Any] = field(default_factory=dict)
    train_size: int  # side of what it sees while it learns, pixels
    input_size: int  # side at which it is used: larger, because a random window enlarges things
    fixed_size: bool = False  # works at input_size alone
    lr: float = 2e-3


STUDENTS: tuple[Student, ...] = (
    Student(
        name="resnet14t_small",
        family="residual convolutional net",
        arch="resnet14t",
        arguments={"channels": [16, 32, 64, 128], "stem_width": 16},
        train_size=64,
        input_size=96,
    ),
    Student(
        name="mobilenetv3_small_050",
        family="depthwise (mobile) net",
        arch="mobilenetv3_small_050",
        train_size=64,
        input_size=64,
    ),
    Student(
        name="levit_small",
        family="vision transformer",
        arch="levit_128s",
        arguments={
            "embed_dim": [64, 96, 144],
            "num_heads": [2, 3, 4],
            "key_dim": 16,
            "depth": [2, 3, 3],
            "distilled": False,
            "img_size": 96,
        },
        train_size=96,
        input_size=96,
        fixed_size=True,
        lr=1.5e-3,
    ),
)


def find_student(name: str) -> Student:
    """Return the student of that name. Raises `KeyError` with the names there are."""
    for student in STUDENTS:
        if student.name == name:
            return student
    raise KeyError(f"no student {name!r}; there are {', '.join(student.name for student in STUDENTS)}")


def build(student: Student, classes: int, drop_path: float = 0.0) -> nn.Module:
    """Return a fresh network with a head for `classes`, channels last."""
    arguments: dict[str, Any] = {**student.arguments, "num_classes": classes}
    if drop_path:
        arguments["drop_path_rate"] = drop_path
    model: nn.Module = timm.create_model(student.arch, pretrained=False, **arguments)
    return model.to(memory_format=torch.channels_last)


def see(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pooled features (b, d), what enters the classifier, and logits (b, classes)."""
    features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]
    logits: Tensor = model.get_classifier()(features)  # type: ignore[operator]
    return features, logits


def feature_dim(model: nn.Module, size: int) -> int:
    """Return the width of the pooled features, by one forward pass."""
    model.eval()
    with torch.no_grad():
        features, _ = see(model, torch.zeros(1, 3, size, size))
    return int(features.shape[1])
