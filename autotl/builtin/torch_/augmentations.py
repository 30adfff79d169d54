"""Augmentations of torchvision, image by image. They follow the crop and the flip of light augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision import transforms

__all__ = ["rand_augment", "trivial_augment"]


def trivial_augment(images: Tensor, seed: int) -> Tensor:
    """Return each image after one random operation of random strength (Müller and Hutter, ICCV 2021)."""
    return _each(transforms.TrivialAugmentWide(), images, seed)


def rand_augment(images: Tensor, seed: int) -> Tensor:
    """Return each image after two random operations of middle strength (Cubuk et al., NeurIPS 2020)."""
    return _each(transforms.RandAugment(), images, seed)


def _each(transform: nn.Module, images: Tensor, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the generator of the whole process
        torch.manual_seed(seed)
        pixels = images.round().to(torch.uint8)
        return torch.stack([transform(image) for image in pixels]).to(images.dtype)
