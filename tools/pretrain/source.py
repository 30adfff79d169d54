"""A folder of class folders, decoded once into one array.

Small pictures are decoded again and again in a training; as one uint8 array on disk, mapped into
memory, several trainings share them and an epoch decodes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = {".webp", ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Decoded images with their labels."""

    images: np.ndarray  # (n, side, side, 3) uint8, mapped from disk
    labels: np.ndarray  # (n,) int64, indices into `classes`
    classes: tuple[str, ...]

    @property
    def side(self) -> int:
        """Return the height and width of every image, pixels."""
        return int(self.images.shape[1])


def list_images(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """Return the files, class indices and class names of a folder of class folders.

    Classes are in sorted order, files in turn one of each class: so every prefix is a stratified sample,
    and a trial on a fifth of the data needs only the teachers' answers for the first fifth.
    """
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    found: list[tuple[int, int, Path]] = []
    for index, name in enumerate(classes):
        files = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES)
        found += [(turn, index, path) for turn, path in enumerate(files)]
    found.sort()
    return [path for _, _, path in found], [index for _, index, _ in found], tuple(classes)


def decode(path: Path, side: int) -> np.ndarray:
    """Decode one picture as (side, side, 3) uint8: shorter side resized, centre cropped if not square."""
    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
    if rgb.size != (side, side):
        scale = side / min(rgb.size)
        width, height = (max(side, round(length * scale)) for length in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - side) // 2, (height - side) // 2
        rgb = rgb.crop((left, top, left + side, top + side))
    return np.asarray(rgb)


def pack(folder: Path, packed: Path, side: int = 64, threads: int = 2) -> Source:
    """Decode `folder` into `packed` (``images.npy``, ``labels.npy``, ``classes.json``) and open it.

    Raises `ValueError` when the folder holds no picture.
    """
    files, labels, classes = list_images(folder)
    if not files:
        raise ValueError(f"no pictures under {folder}: expected one folder a class")
    packed.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(
        packed / "images.npy", mode="w+", dtype=np.uint8, shape=(len(files), side, side, 3)
    )
    with ThreadPoolExecutor(threads) as pool:
        for row, pixels in enumerate(pool.map(lambda path: decode(path, side), files, chunksize=256)):
            images[row] = pixels
    images.flush()
    np.save(packed / "labels.npy", np.asarray(labels, dtype=np.int64))
    (packed / "classes.json").write_text(json.dumps(classes))
    return open_packed(packed)


def open_packed(packed: Path) -> Source:
    """Open what `pack` wrote. Raises `FileNotFoundError` when it was not."""
    images = np.load(packed / "images.npy", mmap_mode="r")
    labels = np.load(packed / "labels.npy")
    classes = tuple(json.loads((packed / "classes.json").read_text()))
    return Source(images=images, labels=labels, classes=classes)


def batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield `rows` in slices of `size`, the last one shorter."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
