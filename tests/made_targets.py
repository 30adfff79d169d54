"""Small sets of generated pictures whose labels are numbers, or several labels an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def discs(root: Path, images: int = 160, *, seed: int = 0, side: int = 48) -> Path:
    """Write pictures of a disc, and a table with its radius in pixels; return the table."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    lines = ["path,radius"]
    (root / "discs").mkdir(parents=True)
    for number in range(images):
        radius = float(generator.uniform(4, side / 2 - 4))
        inside = (x - side / 2) ** 2 + (y - side / 2) ** 2 < radius**2
        pixels = generator.normal(110, 14, (side, side, 3))
        pixels[inside] += (70, 50, -40)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "discs" / f"{number:03d}.png")
        lines.append(f"discs/{number:03d}.png,{radius:.3f}")
    (root / "discs.csv").write_text("\n".join(lines) + "\n")
    return root / "discs.csv"


def tiles(root: Path, images: int = 160, *, seed: int = 0, side: int = 48) -> Path:
    """Write pictures with a square of each of up to three colours, and a table with these; return the table."""
    generator = np.random.default_rng(seed)
    lines = ["path,labels"]
    (root / "tiles").mkdir(parents=True)
    for number in range(images):
        own = [name for name in COLOURS if generator.random() < 0.45]
        pixels = generator.normal(120, 14, (side, side, 3))
        for place, name in enumerate(own):
            top, left = generator.integers(0, side - 16), 16 * place
            pixels[top : top + 16, left : left + 16] = COLOURS[name]
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "tiles" / f"{number:03d}.png")
        lines.append(f"tiles/{number:03d}.png,{'|'.join(own) or '[]'}")
    (root / "tiles.csv").write_text("\n".join(lines) + "\n")
    return root / "tiles.csv"
