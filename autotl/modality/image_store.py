"""The decoded-image store: images as uint8 RGB in one flat file, decoded once, read by memory map.

The parent process decodes (PIL, in threads, no torch) while the worker still imports torch; the worker
reads. An image is reduced so that its shorter side is at most `side` pixels, never enlarged.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from PIL import Image, ImageOps

from autotl.budget import Allowance
from autotl.cache import atomic
from autotl.modality import image_file
from autotl.records import Geometry

Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos"]
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}
LONGEST = (
    4  # longer side / shorter side, beyond which the shorter side is reduced too, so that the area is bounded
)
GROUND = (124, 116, 104)  # the mean colour of ImageNet, around padded images
STORE_BYTES = 2 * 2**30
LARGEST_SIDE = 256  # pixels, of a stored image's shorter side
CHUNK = 64
LEAST_SECONDS = 5.0  # for the first chunk, where the allowance is smaller
LARGE = 2**24  # pixels, beyond which an image is reduced before it is converted: that takes several copies
THUMBNAIL = 16  # pixels: enough to separate copies from different images

# Columns of `Decoded.statistics`, one row an image.
STATISTICS = ("width", "height", "brightness", "contrast", "sharpness", "colour", "alpha", "bytes")
# Names of `Decoded.metadata`, and an unknown value of each: texts and numbers.
METADATA: dict[str, str | float] = {
    **dict.fromkeys(("format", "mode", "camera", "serial", "taken", "border"), ""),
    **dict.fromkeys(("width", "height", "aspect", "quality", "bytes", "time"), math.nan),
}
UNIFORM = 4.0  # largest deviation of a border's pixels, in grey levels, and
SHADE = 32  # grey levels of one colour of it
PLAIN = 0.98  # of the pixels of a line of a frame that have its colour
FRAME = 0.15  # of a side that a frame takes at each end, at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """Result of decoding a list of files."""

    present: np.ndarray  # (n,) bool: decoded and stored
    errors: dict[int, str]  # row → why it cannot be decoded
    statistics: np.ndarray  # (n, len(STATISTICS)) float32, NaN where not decoded
    metadata: dict[
        str, np.ndarray
    ]  # column (n,) by `METADATA`: how the file was made; "" or NaN where unknown
    thumbnails: np.ndarray  # (n, THUMBNAIL, THUMBNAIL, 3) uint8, black where not decoded
    inner: np.ndarray  # the same of what lies inside a frame of one colour; of the whole image without one
    digests: np.ndarray  # (n,) str: content of the stored pixels, "" where not decoded

    def between(self, first: int, end: int) -> Decoded:
        """Return the result for the files from `first` to `end`, numbered from 0."""
        at = slice(first, end)
        return Decoded(
            present=self.present[at],
            errors={row - first: why for row, why in self.errors.items() if first <= row < end},
            statistics=self.statistics[at],
            metadata={name: values[at] for name, values in self.metadata.items()},
            thumbnails=self.thumbnails[at],
            inner=self.inner[at],
            digests=self.digests[at],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An opened store."""

    data: np.ndarray  # flat uint8
    offset: np.ndarray
    height: np.ndarray
    width: np.ndarray
    side: int = LARGEST_SIDE  # pixels: what the shorter sides were reduced to

    @classmethod
    def open(cls, folder: str | Path) -> Pixels:
        """Open what `decode` wrote. Raises `OSError` when it is not there."""
        with np.load(Path(folder) / "pixels.npz", allow_pickle=False) as index:
            offset, height, width = index["offset"], index["height"], index["width"]
            side = int(index["side"]) if "side" in index else LARGEST_SIDE
        path = Path(folder) / "pixels.bin"
        empty = path.stat().st_size == 0
        data = np.zeros(0, np.uint8) if empty else np.memmap(path, np.uint8, mode="r")
        return cls(data, offset, height, width, side)

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def present(self) -> np.ndarray:
        """Return which rows hold an image, (n,) bool."""
        return np.asarray(self.offset >= 0)

    def image(self, row: int) -> np.ndarray:
        """Return (H, W, 3) uint8, a view into the file. Raises `LookupError` for a row that was not decoded."""
        start, height, width = int(self.offset[row]), int(self.height[row]), int(self.width[row])
        if start < 0:
            raise LookupError(f"row {row} was not decoded")
        return np.asarray(self.data[start : start + height * width * 3]).reshape(height, width, 3)


def choose_side(images: int, largest: int) -> int:
    """Return a shorter side such that about `images` squares of it stay within `STORE_BYTES`; 64 to `largest` pixels."""
    return int(min(largest, max(64, math.isqrt(STORE_BYTES // max(images * 4, 1)))))


def decode(
    files: Sequence[str],
    folder: str | Path,
    *,
    side: int,
    allowance: Allowance,
    order: np.ndarray | None = None,
    threads: int | None = None,
) -> Decoded:
    """Decode files in the given order (row numbers) until the allowance expires, and write the store.

    The first `CHUNK` files have at least `LEAST_SECONDS`. An image that is not decoded when the time is over is
    not present, and has no error.

    Images with an alpha channel that is used are laid on white, or on black where the drawing itself is
    bright, so that the drawing differs from its ground.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    order = np.arange(len(files)) if order is None else order
    least = replace(allowance, deadline=max(allowance.deadline, allowance.clock() + LEAST_SECONDS))
    with (
        atomic(folder / "pixels.bin") as temporary,
        open(temporary, "wb") as out,
        ThreadPoolExecutor(threads or available_threads()) as pool,
        _cancelled_by_errors(allowance),  # else the pool waits for what is still being decoded
    ):
        store = _Store(len(files), out)
        for first in range(0, len(order), CHUNK):
            if first and allowance.expired:
                break
            rows, granted = order[first : first + CHUNK], allowance if first else least
            answers = pool.map(partial(_read, side=side, allowance=granted), [files[row] for row in rows])
            for row, answer in zip(rows.tolist(), answers, strict=True):
                if isinstance(answer, _Image):
                    store.add(row, answer)
                elif answer is not None:
                    store.errors[row] = answer
    with atomic(folder / "pixels.npz") as temporary, open(temporary, "wb") as out:
        np.savez(out, offset=store.offset, height=store.height, width=store.width, side=side)
    return store.decoded()


@contextmanager
def _cancelled_by_errors(allowance: Allowance) -> Iterator[None]:
    try:
        yield
    except BaseException:
        allowance.cancelled.set()
        raise


class _Store:
    """A store that is being written to a file, its index, and what is known of each image in it."""

    def __init__(self, count: int, out: IO[bytes]) -> None:
        self.out = out
        self.end = 0  # bytes written
        self.errors: dict[int, str] = {}  # row → why it cannot be decoded
        self.offset = np.full(count, -1, np.int64)
        self.height, self.width = np.zeros(count, np.int32), np.zeros(count, np.int32)
        self.statistics = np.full((count, len(STATISTICS)), np.nan, np.float32)
        self.thumbnails = np.zeros((count, THUMBNAIL, THUMBNAIL, 3), np.uint8)
        self.inner = self.thumbnails.copy()
        self.digests = np.full(count, "", object)
        self.metadata = {name: [unknown] * count for name, unknown in METADATA.items()}

    def add(self, row: int, image: _Image) -> None:
        """Write an image, and keep what is known of it."""
        self.out.write(image.pixels.data)
        self.offset[row], self.height[row], self.width[row] = self.end, *image.pixels.shape[:2]
        self.end += image.pixels.size
        self.statistics[row], self.digests[row] = image.statistics, image.digest
        self.thumbnails[row], self.inner[row] = image.thumbnail, image.inner
        for name, value in image.metadata.items():
            self.metadata[name][row] = value

    def decoded(self) -> Decoded:
        """Return what is known of all rows."""
        return Decoded(
            present=self.offset >= 0,
            errors=self.errors,
            statistics=self.statistics,
            metadata={name: np.array(values) for name, values in self.metadata.items()},
            thumbnails=self.thumbnails,
            inner=self.inner,
            digests=self.digests,
        )


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest_of(pixels: np.ndarray) -> str:
    """Return what identifies the content of a stored image (H, W, 3) uint8."""
    pixels = np.ascontiguousarray(pixels)
    return hashlib.blake2b(pixels.data, digest_size=16, salt=b"%dx%d" % pixels.shape[:2]).hexdigest()


def load_image(
    file: str | Path | IO[bytes], side: int, allowance: Allowance | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return one image as (H, W, 3) uint8 with a shorter side of at most `side`, and what its header says.

    That is width and height, what `image_file.origin` returns, and alpha: 1.0 where it is used.

    Raises as `image_file.open` does.
    """
    with image_file.open(file, side, allowance) as opened:
        about = {"width": opened.width, "height": opened.height, **image_file.origin(opened.image)}
        image = opened.image
        ImageOps.exif_transpose(image, in_place=True)  # in place: a copy of a large image is large
        image.load()
        image = _without_surplus(image, side)
    pixels, about["alpha"] = _reduced(image, side)
    return pixels, about


def _without_surplus(image: Image.Image, side: int) -> Image.Image:
    """Return a large image reduced by a whole factor, to at least twice the size that is kept.

    Smaller images are returned as they are.
    """
    if image.width * image.height <= LARGE:
        return image
    factor = int(1 / _scale(image.size, 2 * side))
    return _reducible(image).reduce(factor) if factor > 1 else image


def _reducible(image: Image.Image) -> Image.Image:
    """Return the image in a mode that can be averaged."""
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    others = {"1": "L", "PA": "RGBA"}
    mode = "I" if image.mode.startswith("I;16") else others.get(image.mode, image.mode)
    return image if mode == image.mode else image.convert(mode)


def reduced(image: Image.Image, side: int) -> np.ndarray:
    """Return an upright PIL image as (H, W, 3) uint8 with a shorter side of at most `side`, as files are read."""
    return _reduced(image, side)[0]


def _reduced(image: Image.Image, side: int) -> tuple[np.ndarray, float]:
    image, alpha = _as_rgb(image)
    scale = _scale(image.size, side)
    if scale < 1:
        new = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(new, Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image), alpha


def _scale(size: tuple[int, int], side: int) -> float:
    """Return what the sides of an image (W, H) are multiplied by; nothing is enlarged."""
    shorter, longer = sorted(size)
    return min(1.0, side / shorter, side * math.sqrt(LONGEST / (shorter * longer)))


def _as_rgb(image: Image.Image) -> tuple[Image.Image, float]:
    """Return RGB, and 1.0 where an alpha channel was used. 16-bit grey is scaled by its own range, not clipped."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        low, high = float(values.min()), float(values.max())
        if high > 255 or low < 0:
            values = (values - low) * (255.0 / max(high - low, 1e-9))
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB"), 0.0
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba)[..., 3]
        if int(alpha.min()) == 255:
            return rgba.convert("RGB"), 0.0
        drawn = np.asarray(rgba.convert("RGB"))[alpha > 127]
        dark = drawn.size == 0 or float(drawn.mean()) < 128
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255) if dark else (0, 0, 0, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB"), 1.0
    return image.convert("RGB"), 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """One decoded image."""

    pixels: np.ndarray  # (H, W, 3) uint8, contiguous
    digest: str
    statistics: tuple[float, ...]
    metadata: dict[str, str | float]
    thumbnail: np.ndarray
    inner: np.ndarray


def _read(file: str, *, side: int, allowance: Allowance) -> _Image | str | None:
    """Return an image, or why it cannot be decoded; None when there was no time for it."""
    try:
        status = os.stat(file)
        pixels, about = load_image(file, side, allowance)
    except image_file.OutOfTime:
        return None
    except Exception as error:  # PIL raises what it likes on a broken file
        return image_file.reason(error)
    pixels = np.ascontiguousarray(pixels)
    small = _small(pixels)
    gray = small.mean(2)
    laplacian = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    statistics = (
        about["width"],
        about["height"],
        float(gray.mean()),
        float(gray.std()),
        float(laplacian.std()),
        float(np.abs(small - gray[..., None]).mean()),
        about["alpha"],
        float(status.st_size),
    )
    metadata = {name: value for name, value in about.items() if name in METADATA} | {
        "aspect": round(about["width"] / about["height"], 2),
        "bytes": float(status.st_size),
        "time": status.st_mtime,
        "border": _border(pixels),
    }
    thumbnail = _thumbnail(small)
    inside = within_frame(pixels)
    inner = thumbnail if inside is pixels else _thumbnail(_small(inside))
    return _Image(pixels, digest_of(pixels), statistics, metadata, thumbnail, inner)


def _small(pixels: np.ndarray) -> np.ndarray:
    """Return an image of twice the size of a thumbnail, float32."""
    side = 2 * THUMBNAIL
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX), np.float32)


def _thumbnail(small: np.ndarray) -> np.ndarray:
    return np.asarray(small.reshape(THUMBNAIL, 2, THUMBNAIL, 2, 3).mean((1, 3)).round().astype(np.uint8))


def within_frame(pixels: np.ndarray) -> np.ndarray:
    """Return what lies inside a frame of one colour, the image itself where there is none.

    A frame takes at most `FRAME` of a side: what lies on a plain ground is no frame.
    """
    if not _border(pixels):
        return pixels
    colour = np.median(pixels[0], axis=0)
    plain = np.abs(pixels.astype(np.int16) - colour.astype(np.int16)).max(2) <= SHADE
    ends = []
    for lines in (plain.mean(1) >= PLAIN, plain.mean(0) >= PLAIN):
        busy = np.flatnonzero(~lines)
        most = FRAME * len(lines)
        if not len(busy) or busy[0] > most or len(lines) - 1 - busy[-1] > most:
            return pixels
        ends.append((int(busy[0]), int(busy[-1]) + 1))
    (top, bottom), (left, right) = ends
    if (bottom - top, right - left) == pixels.shape[:2]:
        return pixels
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def _border(pixels: np.ndarray) -> str:
    """Return the colour of the outermost pixels in steps of `SHADE`, "" where they are not of one colour."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    if edges.std(0).max() > UNIFORM:
        return ""
    return "#" + "".join(f"{int(value) // SHADE * SHADE:02x}" for value in edges.mean(0))


def square(
    pixels: Pixels,
    rows: np.ndarray,
    side: int,
    interpolation: Interpolation = "bilinear",
    geometry: Geometry = "crop",
    threads: int | None = None,
) -> np.ndarray:
    """Return rows as squares (m, side, side, 3) uint8, as `square_image` makes them."""
    out = np.empty((len(rows), side, side, 3), np.uint8)

    def one(number: int) -> None:
        out[number] = square_image(pixels.image(int(rows[number])), side, interpolation, geometry)

    with ThreadPoolExecutor(threads or available_threads()) as pool:
        list(pool.map(one, range(len(rows)), chunksize=16))
    return out


def square_image(
    image: np.ndarray, side: int, interpolation: Interpolation = "bilinear", geometry: Geometry = "crop"
) -> np.ndarray:
    """Return one image (H, W, 3) as a square (side, side, 3), antialiased.

    By geometry: ``crop`` takes the central square, resized from just the part that is kept; ``squash`` resizes
    both sides to the same length; ``pad`` keeps the shape and fills the rest with `GROUND`.
    """
    height, width = image.shape[:2]
    filter_ = FILTERS[interpolation]
    if geometry == "pad" and height != width:
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        ground = Image.new("RGB", (side, side), GROUND)
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        ground.paste(Image.fromarray(image).resize(size, filter_), (left, top))
        return np.asarray(ground)
    shorter = min(height, width)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    box = (left, top, left + shorter, top + shorter) if geometry == "crop" else None
    return np.asarray(Image.fromarray(image).resize((side, side), filter_, box=box))
