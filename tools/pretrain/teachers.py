"""Pretrained backbones that students learn from, read from a folder with an index.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from tools.pretrain.students import see

# Weights under other licences may be measured, but must not shape weights that ship.
LICENCES = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A network in eval mode and what its input has to look like."""

    name: str
    model: nn.Module
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    feature_dim: int
    classes: int
    licence: str


def open_teacher(folder: Path, name: str) -> Teacher:
    """Build a teacher and load its weights.

    Raises `KeyError` for an unknown name and `ValueError` for a licence that forbids teaching.
    """
    entries = {entry["name"]: entry for entry in json.loads((folder / "index.json").read_text())}
    entry = entries[name]
    if entry["licence"] not in LICENCES:
        raise ValueError(f"{name} is under {entry['licence']}: not a teacher for weights that ship")
    if entry["library"] == "timm":
        model = timm.create_model(entry["arch"], pretrained=False, **entry["kwargs"])
    else:
        from timm.models._efficientnet_builder import decode_arch_def
        from timm.models.efficientnet import EfficientNet

        arguments = dict(entry["kwargs"])
        model = EfficientNet(block_args=decode_arch_def(arguments.pop("arch_def")), **arguments)
    state = {key: value.float() for key, value in load_file(folder / entry["file"]).items()}
    model.load_state_dict(state, strict=True)
    model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    with torch.no_grad():
        features, logits = see(model, torch.zeros(1, 3, entry["input_size"], entry["input_size"]))
    return Teacher(
        name=name,
        model=model,
        input_size=entry["input_size"],
        mean=tuple(entry["mean"]),
        std=tuple(entry["std"]),
        feature_dim=features.shape[1],
        classes=logits.shape[1],
        licence=entry["licence"],
    )
