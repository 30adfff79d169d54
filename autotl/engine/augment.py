"""Augment whole batches by one affine resampling and a change of brightness and contrast."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Of the square: least share of its area, aspect ratio, rotation in degrees, change of brightness and contrast.
STRENGTHS = {
    "light": (0.6, 1.2, 0.0, 0.2),
    "strong": (0.35, 1.33, 12.0, 0.4),
}


def augment(squares: Tensor, size: int, strength: str, flip: bool, generator: torch.Generator) -> Tensor:
    """Return random crops (m, 3, size, size) in 0..255 of squares (m, S, S, 3) uint8.

    Scale, aspect ratio, position, rotation and flip are one affine map per image; brightness and contrast
    change by a factor. `strength` is none (the central crop), light or strong.
    """
    images = squares.permute(0, 3, 1, 2).float()
    count, side = len(images), images.shape[-1]
    if strength == "none":
        margin = (side - size) // 2
        images = images[:, :, margin : margin + size, margin : margin + size]
        return torch.where(_coin(count, generator, images) & flip, images.flip(3), images)
    least, aspect, rotation, light = STRENGTHS[strength]

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).to(images.device)

    scale = uniform(least, 1.0).sqrt()
    ratio = torch.exp(uniform(-math.log(aspect), math.log(aspect)) / 2)
    wide, high = (scale * ratio).clamp(max=1.0), (scale / ratio).clamp(max=1.0)
    across, down = uniform(-1, 1) * (1 - wide), uniform(-1, 1) * (1 - high)
    sign = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if flip else torch.ones_like(wide)
    angle = uniform(-rotation, rotation) * (math.pi / 180)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([wide * cos * sign, -high * sin, across], 1),
            torch.stack([wide * sin * sign, high * cos, down], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    contrast = uniform(1 - light, 1 + light).view(-1, 1, 1, 1)
    brightness = uniform(-light, light).view(-1, 1, 1, 1) * 128
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + brightness).clamp_(0, 255)


def _coin(count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    return (torch.rand(count, generator=generator) < 0.5).view(-1, 1, 1, 1).to(like.device)
