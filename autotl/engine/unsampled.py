"""Images outside the sample, read from their files batch by batch while the final fit learns from them.

They are numbered behind the decoded images of the run. Threads read the next batches while one is learned from, so that
memory holds a few batches whatever the size of the set, and nothing is written. An image is reduced as those of the store
are. One that cannot be read, or that is a copy of an image that is judged, is left out of its batch.
"""

from __future__ import annotations

import io
import os
import time
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from autotl.budget import Allowance
from autotl.data import unsampled as data_unsampled
from autotl.data.unsampled import NOT_DECODED, Listed
from autotl.engine import device as devices
from autotl.engine import stopwatch
from autotl.engine.backbone import Backbone
from autotl.engine.images import Squares, side_before_crop, to_input
from autotl.modality.image_store import available_threads, digest_of, load_image, square_image
from autotl.records import PARTS, Columns, Preprocess, Trial

AHEAD = 3  # batches that are read while one is learned from
TRIED = 64  # files; where none of the first so many is there, this machine does not see them
BATCH = 32  # images in a pass for features
VALUE_BYTES = (
    36  # of memory that a head takes for a feature: half precision, twice single, and three times double
)
MEMORY_SHARE = 0.5  # of the free memory, at most, for features and the fit of a head on them
HEAD_MARGIN = 1.3  # on the seconds of a head on more rows, which grow as the rows do


class Streamed(Squares):
    """The images of the run, with those of a list behind them: row `first` + i is image i of the list."""

    def __init__(self, squares: Squares, images: Listed, judged: Collection[str]) -> None:
        super().__init__(squares.pixels)
        self.first = len(squares.pixels)
        self.images = images
        self.lost: set[int] = set()  # rows that could not be read so far, or are copies of judged images
        self._squares, self._judged = squares, frozenset(judged)
        self._held: dict[int, np.ndarray] = {}  # squares of the batches that are being learned from
        self._pool = ThreadPoolExecutor(available_threads())

    @property
    def rows(self) -> np.ndarray:
        """Return the numbers of the images of the list."""
        return self.first + np.arange(len(self.images))

    def close(self) -> None:
        """End the threads; what they have not begun is not read."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ready(self, batches: Iterator[np.ndarray], size: int, preprocess: Preprocess) -> Iterator[np.ndarray]:
        """Yield the batches, read ahead, without the rows that cannot be read."""
        waiting: deque[tuple[np.ndarray, dict[int, Future[np.ndarray | None]]]] = deque()
        for batch in batches:
            outside = [row for row in batch.tolist() if self._is_file(row)]
            waiting.append(
                (batch, {row: self._pool.submit(self._square, row, size, preprocess) for row in outside})
            )
            if len(waiting) > AHEAD:
                yield from self._settled(*waiting.popleft())
        while waiting:
            yield from self._settled(*waiting.popleft())

    def get(self, rows: np.ndarray, size: int, preprocess: Preprocess) -> np.ndarray:
        """Return squares (m, S, S, 3) uint8 of rows that `ready` gave."""
        side = side_before_crop(size, preprocess)
        out = np.empty((len(rows), side, side, 3), np.uint8)
        decoded = np.array([not self._is_file(row) for row in rows.tolist()], bool)
        if decoded.any():
            out[decoded] = self._squares.get(self._stored(rows[decoded]), size, preprocess)
        for place in np.flatnonzero(~decoded).tolist():
            out[place] = self._held[int(rows[place])]
        return out

    def sees_files(self) -> bool:
        """Return whether one of the first files can be opened here; where all are decoded already, it needs none."""
        places = np.flatnonzero(self.images.row == NOT_DECODED)[:TRIED]
        return not len(places) or any(os.path.isfile(self.images.path(place)) for place in places.tolist())

    def _is_file(self, row: int) -> bool:
        return row >= self.first and int(self.images.row[row - self.first]) == NOT_DECODED

    def _stored(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of the store that decoded images are: some are in the list."""
        listed = rows >= self.first
        stored = rows.copy()
        stored[listed] = self.images.row[rows[listed] - self.first]
        return stored

    def _settled(
        self, batch: np.ndarray, reading: dict[int, Future[np.ndarray | None]]
    ) -> Iterator[np.ndarray]:
        """Yield the rows of a batch that could be read, while their squares are held."""
        with stopwatch.on("decode"):
            squares = {row: future.result() for row, future in reading.items()}
        lost = {row for row, square in squares.items() if square is None}
        held = {row: square for row, square in squares.items() if square is not None}
        self.lost |= lost
        self._held |= held
        kept = np.array([row for row in batch.tolist() if row not in lost], np.int64)
        if len(kept):
            yield kept
        for row in held:
            self._held.pop(row, None)

    def _square(self, row: int, size: int, preprocess: Preprocess) -> np.ndarray | None:
        """Return an image of the list as a square; None for one that cannot be read or is judged."""
        place = row - self.first
        try:
            pixels, _ = load_image(self._content(place), self.pixels.side)
        except Exception:  # PIL raises what it likes on a broken file
            return None
        if digest_of(pixels) in self._judged:
            return None
        side = side_before_crop(size, preprocess)
        return square_image(pixels, side, preprocess.interpolation, preprocess.geometry)

    def _content(self, place: int) -> str | io.BytesIO:
        """Return the path of an image, or its bytes where it lies in a larger file."""
        path, size = self.images.path(place), int(self.images.size[place])
        if size == NOT_DECODED:
            return path
        with open(path, "rb") as file:
            file.seek(int(self.images.offset[place]))
            return io.BytesIO(file.read(size))


def opened(
    trial: Trial, folder: Path, squares: Squares, digests: np.ndarray, columns: Columns
) -> Streamed | None:
    """Return the run's images with those outside the sample that a trial asks for; None where they are not seen here.

    `digests` are those of the decoded images; `folder` is that of the run.
    """
    try:
        images = data_unsampled.read(folder)
    except OSError:  # a machine that the list was not sent to
        return None
    fitted = [PARTS.index(name) for name in trial.fit_on]
    judged = (columns.part >= 0) & ~np.isin(columns.part, fitted)
    streamed = Streamed(squares, images, digests[: len(judged)][judged].tolist())
    if streamed.sees_files():
        return streamed
    streamed.close()
    return None


def extended(columns: Columns, streamed: Streamed) -> Columns:
    """Return the columns with entries for the images of the list, which lie behind all that are decoded."""
    images, count = streamed.images, len(columns.labels)
    between = streamed.first - count  # images without a label, or of another source

    def longer(column: np.ndarray, values: np.ndarray, fill: int = -1) -> np.ndarray:
        unused = np.full((between, *column.shape[1:]), fill, column.dtype)
        return np.concatenate([column, unused, values.astype(column.dtype)])

    unknown = np.full(len(images), -1)
    group, weight = columns.group, columns.weight
    if group is not None:
        group = np.concatenate([group, group.max(initial=0) + 1 + np.arange(between + len(images))])
    if weight is not None or (images.weight != 1.0).any():
        weight = longer(np.ones(count) if weight is None else weight, images.weight, 0)
    return replace(
        columns,
        labels=longer(columns.labels, images.labels, 0),
        part=longer(columns.part, unknown),
        fold=longer(columns.fold, unknown),
        group=group,
        weight=weight,
        others=tuple(replace(target, values=longer(target.values, unknown)) for target in columns.others),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitting:
    """A head that was fitted on the sample: what one on more rows will take is forecast by it."""

    rows: int
    width: int  # features of a row
    seconds: float


def features(
    streamed: Streamed,
    backbone: Backbone,
    fitting: Fitting,
    allowance: Allowance,
    *,
    device: torch.device,
    precision: str,
    layers: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return half-precision features (m, d) of images of the list, in its order, and their rows (m,).

    There are as many as memory holds and as the allowance grants, the time to fit a head on them set aside.
    """
    able = MEMORY_SHARE * devices.free_memory(torch.device("cpu")) / (fitting.width * VALUE_BYTES)
    most = max(0, min(len(streamed.images), int(able) - fitting.rows))
    table, rows, count = np.empty((most, fitting.width), np.float16), np.empty(most, np.int64), 0
    size, preprocess = backbone.input_size, backbone.spec.preprocess
    batches = (streamed.rows[first : min(first + BATCH, most)] for first in range(0, most, BATCH))
    backbone.eval()
    slowest, before = 0.0, time.monotonic()  # of a batch, with the wait for its images
    with torch.inference_mode():
        for batch in streamed.ready(batches, size, preprocess):
            inputs = to_input(streamed.get(batch, size, preprocess), size, preprocess, device)
            with stopwatch.on("forward"), devices.autocast(device, precision):
                groups, _ = backbone.forward_source(inputs)
                chosen = groups if layers == "all" else groups[-1:]
                pooled = torch.cat([group.float() for group in chosen], 1).clamp(-6e4, 6e4).cpu().numpy()
            finite = np.isfinite(pooled).all(1)
            end = count + int(finite.sum())
            table[count:end], rows[count:end] = pooled[finite], batch[finite]
            count = end
            now = time.monotonic()
            slowest, before = max(slowest, now - before), now
            head = HEAD_MARGIN * fitting.seconds * (fitting.rows + count) / max(fitting.rows, 1)
            if allowance.left < head + AHEAD * slowest:
                break
    return table[:count], rows[:count]
