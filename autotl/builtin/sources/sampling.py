"""Choose a sample of the images of a large set by their places in a list, before any of them is opened."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["LEAST", "MOST", "chosen", "key_of"]

MOST = 100_000  # images that take part, where --sample gives no other number
LEAST = 20  # images of a class in a part that are kept, if it has so many: rare classes stay


def chosen(strata: np.ndarray, keys: np.ndarray, most: int) -> np.ndarray:
    """Return the rows (m,), sorted, of about `most` items: the same share of each stratum, of small ones more.

    Within a stratum (n,) those with the smallest keys (n,) are chosen, so that a set that grows keeps most of its
    sample. 0 stands for all items.
    """
    if not most or len(strata) <= most:
        return np.arange(len(strata))
    _, numbers, counts = np.unique(strata, return_inverse=True, return_counts=True)
    kept = np.maximum(np.ceil(most / len(strata) * counts), np.minimum(counts, LEAST))
    order = np.lexsort((keys, numbers))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < np.repeat(kept, counts)])


def key_of(name: str) -> int:
    """Return a number of a name that has nothing to do with its place in the alphabet."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape"))
