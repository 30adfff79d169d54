"""Builders of timm's networks, without weights.

Names reach these functions from files (a user's index.json), so a name is looked up in timm's registry and
nothing else: timm itself would also take "hf-hub:..." and "local-dir:...", which fetch what they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import timm
from timm.models._efficientnet_builder import decode_arch_def, resolve_act_layer, resolve_bn_args
from timm.models.efficientnet import EfficientNet, _gen_mobilenet_v1
from torch import nn

from autotl.errors import UnknownNameError

__all__ = ["efficientnet", "mobilenet_v1", "registered"]


def registered(name: str, **settings: Any) -> nn.Module:
    """Build a network of timm's registry, `name` with or without the tag of its weights, with its classifier.

    Raises `UnknownNameError` when timm has no such model.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise UnknownNameError("timm model", name, timm.list_models(), f"(timm {timm.__version__})")
    model: nn.Module = timm.create_model(name, pretrained=False, **settings)
    return model


def mobilenet_v1(variant: str, **settings: Any) -> nn.Module:
    """Build MobileNetV1 (arXiv:1704.04861) of any width; `variant` is a name of timm's registry."""
    if not timm.is_model(variant):
        raise UnknownNameError("timm model", variant, timm.list_models("mobilenetv1*"))
    model: nn.Module = _gen_mobilenet_v1(variant, pretrained=False, **settings)  # type: ignore[no-untyped-call]
    return model


def efficientnet(arch_def: Sequence[Sequence[str]], **settings: Any) -> nn.Module:
    """Build a network of inverted residuals from timm's block strings, such as ``[["ds_r1_k3_s1_c16"], ...]``.

    `settings` are those of timm's `EfficientNet`; `bn_eps`, `bn_momentum` and `act_layer` are plain values.
    """
    norm = partial(nn.BatchNorm2d, **resolve_bn_args(settings))  # type: ignore[no-untyped-call]
    act_layer = resolve_act_layer(settings, None)  # type: ignore[no-untyped-call]
    return EfficientNet(
        block_args=decode_arch_def([list(stage) for stage in arch_def]),  # type: ignore[no-untyped-call]
        norm_layer=norm,
        act_layer=act_layer,
        **settings,
    )
