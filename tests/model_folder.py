"""A small model folder without a run: an embedded backbone with a head that was not trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autotl.engine.backbone import build
from autotl.engine.model import Description, Model, make_head, save, without_source
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Settings
from autotl.records.head import Head

SPEC: BackboneSpec = load_plugins().backbones(None, Settings(offline=True))["autotl:resnet14t_small"]


def model_folder(
    folder: Path, *, head: str = "linear", size: int = 64, spec: BackboneSpec = SPEC, decoded: int = 256
) -> Path:
    """Writes it and returns it: three classes a, b and c, temperature 1.5."""
    torch.manual_seed(0)
    backbone = build(spec, size)
    width, generator = backbone.feature_dim, np.random.default_rng(0)
    if head == "linear":
        weight = generator.normal(size=(3, width)).astype(np.float32)
        arrays = {"weight": weight, "bias": np.zeros(3, np.float32)}
    else:
        stored = generator.normal(size=(30, width)).astype(np.float32)
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        arrays = {
            "features": stored,
            "labels": np.arange(30) % 3,
            "centre": np.zeros(width, np.float32),
            "count": np.array(5),
        }
    description = Description(
        backbone=without_source(spec),
        input_size=size,
        head=head,
        classes=("a", "b", "c"),
        temperature=1.5,
        decoded=decoded,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    save(Model(backbone, make_head(Head(kind=head, arrays=arrays), 3)).eval(), description, folder)
    return folder


def picture(
    number: int, size: tuple[int, int], *, noise: float = 20.0, seed: int | None = None
) -> Image.Image:
    """Stripes of a colour and a period of their own, with noise."""
    generator = np.random.default_rng(number)
    colour, period = generator.integers(0, 255, 3), int(generator.integers(3, 12))
    wave = (np.add.outer(np.arange(size[1]), np.arange(size[0])) // period) % 2
    pixels = wave[..., None] * colour
    pixels = pixels + np.random.default_rng(number if seed is None else seed).normal(0, noise, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
