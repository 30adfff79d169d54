"""Kinds of item. Everything that knows that an item is an image lies behind `Modality`; `image` is the only member.

A member is a module that has these names. Another kind of item is added by writing such a module and naming it
in `get`. No torch: what the engine calls is named as ``"module:attr"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from autotl.budget import Allowance
from autotl.errors import UnknownNameError
from autotl.modality.image_store import Decoded, Pixels
from autotl.records import Fact, Geometry, Kind

__all__ = ["Modality", "get"]


class Modality(Protocol):
    """The operations of a run that depend on the kind of item."""

    SUFFIXES: frozenset[str]  # of file names, in lower case with their dot
    AUGMENT: str  # "module:attr" of the function that augments a batch while a network trains
    BATCH: str  # "module:attr" of the function that makes a network's input of stored items

    def recognised(self, head: bytes) -> bool:
        """Return whether a file is of this kind, judged by its first 132 bytes; names say it for most files."""
        ...

    def check(self, file: BinaryIO) -> Fact | None:
        """Return why a file is not an item of this kind, judged by its header, or None if it is one."""
        ...

    def pages(self, file: BinaryIO) -> int:
        """Return the number of pages or frames of a file, of which the first alone is used."""
        ...

    def single(self, item: Any) -> bool:
        """Return whether an object in memory is one item rather than several."""
        ...

    def keep(self, item: Any, path: Path) -> None:
        """Write an item in memory to a file. Raises `DatasetError` for what is no item of this kind."""
        ...

    def decode(
        self,
        files: Sequence[str],
        folder: str | Path,
        *,
        allowance: Allowance,
        order: np.ndarray | None = None,
        side: int | None = None,
    ) -> Decoded:
        """Decode files in the given order of row numbers until the allowance expires, and write the store.

        `side` limits the size of what is stored; None chooses it by the number of files.
        """
        ...

    def open(self, folder: str | Path) -> Pixels:
        """Open the store that `decode` wrote. Raises `OSError` when it is not there."""
        ...

    def describe(self, statistics: np.ndarray) -> dict[str, Any]:
        """Return the fields of `Profile` that are measured on the items, from `Decoded.statistics`."""
        ...

    def quality(self, statistics: np.ndarray) -> list[tuple[Kind, np.ndarray]]:
        """Return a kind of finding and the rows (m,) that it concerns, for every check that has any."""
        ...

    def glance(self, files: Sequence[str]) -> tuple[int, int, int]:
        """Return the 5%, 50% and 95% quantiles of the items' sizes, from the headers of some files."""
        ...

    def by_hand(self, store: Pixels, rows: np.ndarray, geometry: Geometry = "crop") -> dict[str, np.ndarray]:
        """Return simple features (m, d) float32 of some rows, "pixels" first: for the baselines without a network."""
        ...

    def gray(self, store: Pixels, rows: np.ndarray) -> np.ndarray:
        """Return rows (m,) as gray images (m, S, S) uint8, S even, by which copies are compared closely."""
        ...

    def thumbnail(self, store: Path, row: int, file: Path) -> bytes:
        """Return a small JPEG of a row, from the store in a folder, or from its file where the store is gone."""
        ...


def get(name: str) -> Modality:
    """Return the modality of that name. Raises `UnknownNameError`."""
    from autotl.modality import image

    members: dict[str, Modality] = {"image": image}
    if name not in members:
        raise UnknownNameError("modality", name, members)
    return members[name]
