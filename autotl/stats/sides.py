"""The sides that a source put its items on: what trains, what selects, what tests. numpy only.

A part that is named in the source and items that are in none lie on different sides as well: with a test folder of its
own, all the others train.
"""

from __future__ import annotations

import numpy as np

from autotl.records import PARTS


def sides(given: np.ndarray) -> np.ndarray:
    """Return the side (n,) int8 of each row as an index into PARTS; rows that are `given` no part (-1) train."""
    return np.asarray(np.maximum(given, 0))


def on_several(given: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the numbers of the groups that have rows on more than one side."""
    cells = np.unique(np.stack([group, sides(given)]), axis=1)[0]
    numbers, counts = np.unique(cells, return_counts=True)
    return np.asarray(numbers[counts > 1])


def known_images(given: np.ndarray, group: np.ndarray) -> dict[str, list[int]]:
    """Return by given part how many images have one of their group on a side before it, and how many images it has."""
    side = sides(given)
    known: dict[str, list[int]] = {}
    for code in (1, 2):
        own = group[side == code]
        if (images := int(np.isin(own, group[side < code]).sum())) > 0:
            known[PARTS[code]] = [images, len(own)]
    return known
