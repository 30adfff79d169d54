"""Folders of images that tests make themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def pictures(folder: Path, each: int = 60, classes: int = 4) -> Path:
    generator = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(each):
            pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            pixels[:, :, 0] = label * 60
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number:03d}.png")
    return folder


def stripes(folder: Path, each: int = 50) -> Path:
    """Two classes that no colour tells apart: horizontal and vertical stripes."""
    generator = np.random.default_rng(0)
    for label in ("across", "down"):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            period = int(generator.integers(6, 14))
            wave = (np.arange(48) + int(generator.integers(period))) % period < period // 2
            pixels = np.where(wave, 220, 40)[:, None] * np.ones((1, 48))
            pixels = pixels + generator.normal(scale=15, size=pixels.shape)
            pixels = (pixels if label == "across" else pixels.T).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:03d}.png")
    return folder
