"""The rows of one batch after another: shuffled passes, draws by weight, or the order that a sampler gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from autotl.engine.resolve import resolve
from autotl.errors import EngineError

__all__ = ["ordered", "seed_from", "shuffled"]


def seed_from(generator: torch.Generator) -> int:
    """Return a seed for a function that draws random numbers of its own."""
    return int(torch.randint(2**31, (), generator=generator))


def shuffled(
    rows: np.ndarray, batch: int, weights: np.ndarray | None, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after another: shuffled passes, or draws where rows have weights."""
    count = min(batch, len(rows))
    if weights is not None:
        chances = torch.from_numpy(weights)
        while True:
            yield rows[torch.multinomial(chances, count, replacement=True, generator=generator).numpy()]
    while True:
        order = torch.randperm(len(rows), generator=generator).numpy()
        for first in range(0, len(rows) - count + 1, count):
            yield rows[order[first : first + count]]


def ordered(
    sampler: str, rows: np.ndarray, labels: np.ndarray, classes: int, batch: int, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after another in the order that a sampler gives for each pass.

    `labels` are those of `rows`. Raises `EngineError` for an order that is none.
    """
    order_of = resolve(sampler)
    waiting = np.zeros(0, np.int64)
    while True:
        while len(waiting) < batch:
            order = order_of(labels.copy(), classes, seed_from(generator))
            waiting = np.concatenate([waiting, _checked(sampler, order, len(rows))])
        yield rows[waiting[:batch]]
        waiting = waiting[batch:]


def _checked(sampler: str, order: Any, count: int) -> np.ndarray:
    """Return the order as an array. Raises `EngineError` for one that does not index the rows."""
    places = np.asarray(order)
    if places.ndim != 1 or not len(places) or places.dtype.kind not in "iu":
        raise EngineError(
            f"the sampler {sampler!r} gave an array of {places.dtype} of the shape {places.shape}; expected one "
            "or more whole numbers in a row; correct it"
        )
    if places.min() < 0 or places.max() >= count:
        raise EngineError(
            f"the sampler {sampler!r} gave places from {places.min()} to {places.max()}; expected places of its "
            f"labels, 0 to {count - 1}; correct it"
        )
    return places.astype(np.int64)
