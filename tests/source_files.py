"""Sources that tests of reading make themselves, and ways to read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from autotl.data import load
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset
from autotl.report import wording

PLUGINS = load_plugins(installed=False)


def picture(path: Path, value: int = 0) -> Path:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value % 256, np.uint8)).save(path)
    return path


def folders(root: Path, *places: str, each: int = 2) -> Path:
    """Write `each` images into each of some folders below a root."""
    for number, place in enumerate(places):
        for index in range(each):
            picture(root / place / f"{index}.png", 20 * number + index)
    return root


def table(
    root: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    name: str = "labels.csv",
    *,
    sep: str = ",",
    encoding: str = "utf-8",
) -> Path:
    """Write a table beside images."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [sep.join(map(str, row)) for row in [header, *rows]]
    (root / name).write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return root / name


def twelve(root: Path, folder: str = "img", *, count: int = 12) -> Path:
    """Write 0.png to 11.png, or `count` of them, into a folder below a root."""
    for number in range(count):
        picture(root / folder / f"{number}.png", number * 20 % 256)
    return root


def read(source: Path, **options: str) -> Dataset:
    """Return the data set of a source."""
    return load.load(str(source), options, PLUGINS)


def guesses(data: Dataset) -> str:
    """Return how the source was read, a sentence a line."""
    return "\n".join(wording.sentences(data.reading))


def reasons(data: Dataset) -> dict[str, str]:
    """Return why each file is left out."""
    return {out.name: out.reason.kind for out in data.left_out}


def labels(data: Dataset) -> dict[str, str]:
    """Return the class of each item by its name."""
    return {str(name): data.classes[label] for name, label in zip(data.names, data.labels, strict=True)}
