"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): what image classifiers saw before networks."""

from __future__ import annotations

import numpy as np

CELL = 8  # pixels, side of a cell
ORIENTATIONS = 9  # of unsigned gradients
CLIP = 0.2  # of a block's values once it has length 1: one strong edge does not drown the others
TINY = 1e-6
AT_ONCE = 512  # images: of 5,000 of 48 pixels at once the work took 1.1 GB


def histograms(images: np.ndarray) -> np.ndarray:
    """Return descriptors (n, d) float32 of images (n, S, S, 3) uint8, S a multiple of `CELL`.

    Blocks are 2 × 2 cells and overlap by one cell.
    """
    firsts = range(0, len(images), AT_ONCE)
    return np.concatenate([_histograms(images[first : first + AT_ONCE]) for first in firsts])


def _histograms(images: np.ndarray) -> np.ndarray:
    gray = images.astype(np.float32).mean(-1) / 255.0
    down, across = np.zeros_like(gray), np.zeros_like(gray)
    down[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    across[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    strength = np.hypot(down, across)
    place = (np.arctan2(down, across) / np.pi % 1.0) * ORIENTATIONS
    lower = np.floor(place)
    share = place - lower  # a gradient between two orientations counts for both
    number, side = len(gray), gray.shape[1] // CELL
    cells = np.zeros((number, side, side, ORIENTATIONS), np.float32)
    for index, weight in ((lower, 1 - share), (lower + 1, share)):
        orientation = index.astype(int) % ORIENTATIONS
        for one in range(ORIENTATIONS):
            part = np.where(orientation == one, strength * weight, 0.0)
            cells[..., one] += part.reshape(number, side, CELL, side, CELL).sum((2, 4))
    corners = (cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, :-1, 1:], cells[:, 1:, 1:])
    blocks = np.concatenate(corners, axis=-1)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + TINY
    blocks = np.minimum(blocks, CLIP)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + TINY
    return np.asarray(blocks.reshape(number, -1), np.float32)
