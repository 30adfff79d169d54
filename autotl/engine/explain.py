"""Explain predictions by occlusion: how far a prediction's log-odds fall when a part of the image is hidden.

Occlusion (Zeiler and Fergus, ECCV 2014) needs nothing but predictions. No layer has to be chosen and no
gradient taken, so one method serves convolutions, transformers and nearest neighbours, and one sentence
describes it. The hidden part is replaced by the blurred image rather than by grey, which would be a new object
in the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from autotl.budget import Allowance
from autotl.records import Explained

CELLS = 8  # of the map, along a side
HIDDEN = 2  # cells along a side of the part that is hidden
SHOWN = 128  # pixels along a side of the image that is kept to be shown
_BLURRED = 4  # pixels along a side of what stands in for a hidden part
_BATCH = 25
_CERTAIN = 1e-6  # a probability this near to 0 or 1 is as good as that

Predict = Callable[[np.ndarray], np.ndarray]  # images (n, S, S, 3) uint8 → probabilities (n, classes)


def explain(images: np.ndarray, classes: np.ndarray, predict: Predict, allowance: Allowance) -> Explained:
    """Map the evidence for the predicted `classes` (m,) in `images` (m, S, S, 3) uint8, the network's own input.

    Images are explained one after another; those that the allowance does not grant are left out.
    """
    maps, shares, seen = [], [], []
    for image, number in zip(images, classes, strict=True):
        explained = _one(image, int(number), predict, allowance)
        if explained is None:
            break
        maps.append(explained[0])
        shares.append(explained[1])
        seen.append(np.asarray(Image.fromarray(image).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)))
    return Explained(
        maps=np.array(maps, np.float32).reshape(-1, CELLS, CELLS),
        shares=np.array(shares, np.float32).reshape(-1, 2),
        seen=np.array(seen, np.uint8).reshape(-1, SHOWN, SHOWN, 3),
    )


def _one(
    image: np.ndarray, number: int, predict: Predict, allowance: Allowance
) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Return the map of one image, and the probability of class `number` with nothing and with the main part hidden."""
    starts = [(top, left) for top in range(CELLS - HIDDEN + 1) for left in range(CELLS - HIDDEN + 1)]
    edges = np.linspace(0, len(image), CELLS + 1).round().astype(int)
    small = Image.fromarray(image).resize((_BLURRED, _BLURRED), Image.Resampling.BOX)
    blurred = np.asarray(small.resize(image.shape[1::-1], Image.Resampling.BICUBIC))
    variants = [image]
    for top, left in starts:
        part = np.s_[edges[top] : edges[top + HIDDEN], edges[left] : edges[left + HIDDEN]]
        hidden = image.copy()
        hidden[part] = blurred[part]
        variants.append(hidden)
    shares: list[float] = []
    for first in range(0, len(variants), _BATCH):
        if allowance.expired:
            return None
        shares += predict(np.stack(variants[first : first + _BATCH]))[:, number].tolist()
    clipped = np.clip(shares, _CERTAIN, 1 - _CERTAIN)
    log_odds = np.log(clipped / (1 - clipped))  # a fall from 99.9 to 99% counts as one from 50 to 9% does
    total, often = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (top, left), fall in zip(starts, log_odds[0] - log_odds[1:], strict=True):
        total[top : top + HIDDEN, left : left + HIDDEN] += fall
        often[top : top + HIDDEN, left : left + HIDDEN] += 1
    return total / often, (shares[0], min(shares[1:]))
