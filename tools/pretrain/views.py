"""Augmentation of an image: a random window of it, and a random change of appearance.

Windows are drawn beforehand and numbered, because teachers are asked once and their answers are
stored: student and teacher have to look at the same window, or the student learns to be wrong
(Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent").
All of it works on whole batches of tensors.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

WHOLE = (0.0, 0.0, 1.0, 1.0)


def draw_windows(
    images: int, views: int, seed: int, area: tuple[float, float] = (0.25, 1.0), first_whole: bool = True
) -> np.ndarray:
    """Draw random resized crops with flips, (images, views, 4) float32.

    A window is (x, y, w, h): its centre and half its size in a frame from -1 to 1; a negative w means
    mirrored. The first view is the whole image when `first_whole`. `area` is the range of the window's
    share of the image.
    """
    rng = np.random.default_rng([seed, images, views])
    shape = (images, views)
    share = rng.uniform(*area, shape)
    ratio = np.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3), shape))
    width = np.minimum(1.0, np.sqrt(share * ratio))
    height = np.minimum(1.0, np.sqrt(share / ratio))
    x = rng.uniform(-1.0, 1.0, shape) * (1.0 - width)
    y = rng.uniform(-1.0, 1.0, shape) * (1.0 - height)
    mirrored = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    windows = np.stack([x, y, width * mirrored, height], axis=-1).astype(np.float32)
    if first_whole:
        windows[:, 0] = WHOLE
    return windows


def render(images: np.ndarray, windows: np.ndarray, size: int) -> Tensor:
    """Render windows of uint8 images (b, h, w, 3) as floats (b, 3, size, size) from 0 to 1, channels last."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div_(255.0)
    box = torch.from_numpy(np.array(windows))
    theta = torch.zeros(len(box), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = box[:, 2], box[:, 0]
    theta[:, 1, 1], theta[:, 1, 2] = box[:, 3], box[:, 1]
    grid = functional.affine_grid(theta, [len(box), 3, size, size], align_corners=False)
    seen = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.contiguous(memory_format=torch.channels_last)


def change_appearance(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation, sharpness and noise of each image at random, (b, 3, s, s).

    Sharpness goes both ways: the source's pictures are small and become soft when enlarged, those that
    a user brings are reduced and crisp.
    """
    count = len(images)

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, 1, 1, 1).uniform_(low, high, generator=generator)

    def some(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=generator) < share).float()

    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    gray = (images * weights).sum(dim=1, keepdim=True)
    saturation = draw(0.6, 1.4)
    saturation = saturation * (1.0 - some(0.1))
    changed = gray + (images - gray) * saturation
    middle = gray.mean(dim=(2, 3), keepdim=True)
    changed = (middle + (changed - middle) * draw(0.65, 1.35)) * draw(0.7, 1.3)
    soft = functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    changed = changed + (changed - soft) * draw(-1.0, 2.0) * some(0.6)
    changed = changed + torch.randn(changed.shape, generator=generator) * (draw(0.0, 0.06) * some(0.2))
    return changed.clamp_(0.0, 1.0).contiguous(memory_format=torch.channels_last)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale images from 0 to 1 to a network's own range."""
    return (images - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
