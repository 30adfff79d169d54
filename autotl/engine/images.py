"""Prepare pixels for the network: central squares in memory, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from autotl.engine import device as devices
from autotl.engine import stopwatch
from autotl.modality.image_store import Interpolation, Pixels, square
from autotl.records import Geometry, Preprocess

MEMORY_SHARE = 0.25  # of the free memory, at most, for one set of squares
KEPT = 3  # sets of squares
ENLARGED = (
    2**29
)  # bytes of a set that is larger than the images that it is made of: to make it again costs little


class Squares:
    """The images of the run as (n, S, S, 3) uint8 for a size and a preprocessing, made on first use.

    S is the side before the central crop, so that training can crop elsewhere. Where a set does not fit
    into memory, or is large and shows small images enlarged, its squares are made batch by batch.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.kept: dict[tuple[int, Interpolation, Geometry], tuple[np.ndarray, np.ndarray]] = {}

    def ready(self, batches: Iterator[np.ndarray], size: int, preprocess: Preprocess) -> Iterator[np.ndarray]:
        """Return batches of rows whose squares `get` can make at once: these here, which are decoded already."""
        return batches

    @stopwatch.on("decode")
    def get(self, rows: np.ndarray, size: int, preprocess: Preprocess) -> np.ndarray:
        """Return squares (m, S, S, 3) uint8 of some rows, whose central crop is an input of `size`."""
        key = side_before_crop(size, preprocess), preprocess.interpolation, preprocess.geometry
        side = key[0]
        if key not in self.kept:
            count = len(self.pixels)
            size_of_set = count * side * side * 3
            most = MEMORY_SHARE * devices.free_memory(torch.device("cpu"))
            if size_of_set > (most if size_of_set <= self.pixels.data.size else min(most, ENLARGED)):
                return square(self.pixels, rows, *key)
            while len(self.kept) >= KEPT:
                self.kept.pop(next(iter(self.kept)))
            self.kept[key] = (np.empty((count, side, side, 3), np.uint8), np.zeros(count, bool))
        store, filled = self.kept[key] = self.kept.pop(key)  # the latest used goes last
        fresh = rows[~filled[rows]]
        if len(fresh):
            store[fresh] = square(self.pixels, fresh, *key)
            filled[fresh] = True
        return np.asarray(store[rows])


def side_before_crop(size: int, preprocess: Preprocess) -> int:
    """Return the side in pixels of the square whose central crop is the network's input."""
    if preprocess.geometry != "crop":
        return size
    return max(size, round(size / preprocess.crop))


@stopwatch.on("decode")
def to_input(squares: np.ndarray | Tensor, size: int, preprocess: Preprocess, device: torch.device) -> Tensor:
    """Return the central crop of squares (m, S, S, 3) uint8 as normalised input (m, 3, size, size), channels last."""
    batch = torch.as_tensor(squares)
    margin = (batch.shape[1] - size) // 2
    batch = batch[:, margin : margin + size, margin : margin + size].to(device)
    return normalised(batch.permute(0, 3, 1, 2).float(), preprocess)


def normalised(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """Normalise (m, 3, h, w) in 0..255 by the mean and deviation of the backbone's pretraining."""
    mean = torch.tensor(preprocess.mean, device=batch.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(preprocess.std, device=batch.device).view(1, 3, 1, 1) * 255
    return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)
