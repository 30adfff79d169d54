"""Images outside the sample that the final fit learns from besides: which, in which order, and as a file for the worker.

None is opened here. What the budget's own sample left out comes first, because it is decoded; then come the images of a
large set that were never opened. Of both, a beginning is a stratified sample of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic
from autotl.records import PARTS, Columns, Unsampled
from autotl.stats.folds import stratified_order

__all__ = ["Listed", "listed", "read", "write"]

FILE = ".engine/unsampled.npz"  # in the run folder, as long as the engine works
NOT_DECODED = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listed:
    """Images in the order in which they are learned from."""

    row: np.ndarray  # (k,) int32: of the decoded images; `NOT_DECODED`: it is read from its file
    labels: np.ndarray  # (k,) as `Target.values`
    paths: np.ndarray  # uint8: the distinct names of all files, one after another
    ends: np.ndarray  # (f,) int64: where each of them ends
    container: np.ndarray  # (k,) int32: which of them it lies in
    offset: np.ndarray  # (k,) int64: where it begins there
    size: np.ndarray  # (k,) int32: its bytes, `NOT_DECODED`: all of the file
    weight: np.ndarray  # (k,) float32, as in `Columns`

    def __len__(self) -> int:
        return len(self.row)

    def path(self, place: int) -> str:
        """Return the path of the file that an image lies in."""
        number = int(self.container[place])
        first = int(self.ends[number - 1]) if number else 0
        return bytes(self.paths[first : int(self.ends[number])]).decode("utf-8", "surrogateescape")


def listed(columns: Columns, left_out: np.ndarray, outside: Unsampled | None, *, seed: int) -> Listed:
    """Return the images outside the sample, but none of a group that is tested on.

    `left_out` are decoded rows that might train and that the budget had no time for.
    """
    generator = np.random.default_rng(seed)
    tested = columns.part == PARTS.index("test")
    if columns.group is not None:
        tested = np.isin(columns.group, columns.group[tested])
    rows = left_out[~tested[left_out]]
    rows = rows[stratified_order(columns.labels[rows], generator)]
    places = np.zeros(0, np.int64)
    if outside is not None:
        places = np.arange(len(outside.files))
        if outside.same_group is not None:
            places = places[~((outside.same_group >= 0) & tested[outside.same_group])]
        places = places[stratified_order(outside.labels[places], generator)]
    return _joined(columns, rows, outside, places)


def _joined(columns: Columns, rows: np.ndarray, outside: Unsampled | None, places: np.ndarray) -> Listed:
    """Return decoded rows, and behind them images outside the sample, in their order."""
    usual = np.ones(len(rows)) if columns.weight is None else columns.weight[rows]
    if outside is None:
        outside = Unsampled(files=np.zeros(0, object), labels=columns.labels[:0])
    numbers: dict[str, int] = {}
    container = [numbers.setdefault(path, len(numbers)) for path in outside.files[places]]
    names = [path.encode("utf-8", "surrogateescape") for path in numbers]
    count, whole = len(places), np.full(len(rows), NOT_DECODED)
    nowhere = np.zeros(len(rows), np.int64)
    offset = np.zeros(count, np.int64) if outside.offset is None else outside.offset[places]
    size = np.full(count, NOT_DECODED) if outside.size is None else outside.size[places]
    weight = np.ones(count) if outside.weight is None else outside.weight[places]
    return Listed(
        row=np.concatenate([rows, np.full(count, NOT_DECODED)]).astype(np.int32),
        labels=np.concatenate([columns.labels[rows], outside.labels[places]]),
        paths=np.frombuffer(b"".join(names), np.uint8),
        ends=np.cumsum([len(name) for name in names], dtype=np.int64),
        container=np.concatenate([nowhere, np.array(container, np.int64)]).astype(np.int32),
        offset=np.concatenate([nowhere, offset]),
        size=np.concatenate([whole, size]).astype(np.int32),
        weight=np.concatenate([usual, weight]).astype(np.float32),
    )


def write(images: Listed, most: int, folder: Path) -> None:
    """Write the first images of the list into a run folder, where the worker of a final fit reads them."""
    arrays = {name: getattr(images, name) for name in Listed.__slots__}
    arrays |= {name: array[:most] for name, array in arrays.items() if name not in ("paths", "ends")}
    with atomic(folder / FILE) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read(folder: Path) -> Listed:
    """Return the list in a run folder. Raises `OSError` where there is none."""
    with np.load(folder / FILE, allow_pickle=False) as stored:
        return Listed(**{name: stored[name] for name in stored.files})
