"""Builders of torchvision's classification networks, without weights and without auxiliary heads.

torchvision does not name a network's classifier and stages; the table here does.
"""

from __future__ import annotations

from typing import Any

import torchvision
from torch import nn

from autotl.errors import UnknownNameError

__all__ = ["registered"]

# class of the network: its classifier, and an expression whose groups name a parameter's stage
_TABLE: dict[str, tuple[str, str]] = {
    "AlexNet": ("classifier.6", r"features\.(\d+)"),
    "ConvNeXt": ("classifier.2", r"features\.(\d+)"),
    "DenseNet": ("classifier", r"features\.(?:conv0|norm0|(?:denseblock|transition)(\d+))"),
    "EfficientNet": ("classifier.1", r"features\.(\d+)"),
    "GoogLeNet": ("fc", r"((?:conv\d|inception\d[a-e]))"),
    "Inception3": ("fc", r"((?:Conv2d|Mixed)_\d[a-e])"),
    "MNASNet": ("classifier.1", r"layers\.(\d+)"),
    "MaxVit": ("classifier.5", r"(?:stem|blocks\.(\d+))"),
    "MobileNetV2": ("classifier.1", r"features\.(\d+)"),
    "MobileNetV3": ("classifier.3", r"features\.(\d+)"),
    "RegNet": ("fc", r"(?:stem|trunk_output\.(block\d+))"),
    "ResNet": ("fc", r"(?:conv1|bn1|(layer\d+))"),
    "ShuffleNetV2": ("fc", r"(?:conv1|(stage\d+|conv5))"),
    "SqueezeNet": ("classifier.1", r"features\.(\d+)"),
    "SwinTransformer": ("head", r"features\.(\d+)"),
    "VGG": ("classifier.6", r"features\.(\d+)"),
    "VisionTransformer": ("heads.head", r"encoder\.layers\.(encoder_layer_\d+)"),
}


def registered(name: str, **settings: Any) -> nn.Module:
    """Build a classification network of torchvision's registry, with its classifier named in `classifier_name`.

    Raises `UnknownNameError` when torchvision has no such classification model.
    """
    available = torchvision.models.list_models(module=torchvision.models)
    if name not in available:
        raise UnknownNameError(
            "torchvision model", name, available, f"(torchvision {torchvision.__version__})"
        )
    if name in ("googlenet", "inception_v3"):
        # The auxiliary classifiers exist to train the network from nothing; the slow initialisation of
        # these two is pointless before weights are loaded.
        settings = {"init_weights": False, **settings, "aux_logits": False}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **settings)
    classifier, stages = _TABLE[type(model).__name__]
    model.classifier_name = classifier  # type: ignore[assignment]
    model.layer_pattern = stages  # type: ignore[assignment]
    return model
