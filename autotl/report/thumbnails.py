"""Thumbnails of a few images, kept in the run folder, so that a report can be written without the data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from autotl import modality
from autotl.cache import atomic_write, key
from autotl.records import PARTS
from autotl.records.result import Recommendation
from autotl.run_folder import manifest
from autotl.stats import values

FOLDER = "thumbnails"
SIDE = 128  # pixels, shorter side; shown at half on sharp screens
QUALITY = 78
# Images of a class at most; images of all classes together, as far as each class has one.
SAMPLES_OF_CLASS, SAMPLED_CLASSES = 6, 60
LARGEST = 2**18  # bytes of a thumbnail, far more than one has


class Sample(NamedTuple):
    """An image that stands for its class."""

    name: str
    picture: str  # data: address
    file: str  # of the picture, from the run folder


def samples(
    result: Recommendation, folder: Path, source: Path | None, table: manifest.Manifest
) -> dict[str, tuple[Sample, ...]]:
    """Return a few training images of each class: at equal distances in the order of the manifest.

    Of numbers they are those of each range, of sets of labels those with each label, the rarest of an image's.
    """
    own = table.labels(result.data.classes, result.data.target)
    kind = values.of(own)
    labels, names = kind.strata(own), kind.strata_names(own, result.data.classes)
    classes = names[:SAMPLED_CLASSES]
    each = min(SAMPLES_OF_CLASS, max(1, SAMPLED_CLASSES // max(len(classes), 1)))
    chosen: dict[int, str] = {}
    for number in range(len(classes)):
        rows = np.flatnonzero((labels == number) & (table.part == PARTS.index("train")))
        places = np.unique(np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int))
        chosen |= {int(row): str(table.names[row]) for row in rows[places]}
    pictures = thumbnails(folder, source, chosen)
    by_class: dict[str, list[Sample]] = {}
    for row, picture in pictures.items():
        by_class.setdefault(classes[int(labels[row])], []).append(
            Sample(chosen[row], picture, kept_at(chosen[row]).as_posix())
        )
    return {name: tuple(images) for name, images in by_class.items()}


def kept_at(name: str) -> PurePath:
    """Return where the thumbnail of an image is, from the run folder.

    By the name of the image: a continued run may number its rows otherwise.
    """
    return PurePath(FOLDER, f"{key(name)[:16]}.jpg")


def thumbnails(folder: Path, source: Path | None, names: Mapping[int, str]) -> dict[int, str]:
    """Return ``data:`` addresses of the rows' thumbnails; rows without one are missing.

    They come from an earlier report, otherwise from the decoded pixels of the run, otherwise from the file in
    `source`. New ones are kept. With None for `source` no other file is read: a run folder that was received could
    name any file of this machine, and its picture would be in the report.
    """
    kind = modality.get("image")  # result.json has no other kind of item
    made: dict[int, str] = {}
    for row, name in names.items():
        kept = folder / kept_at(name)
        try:
            if not kept.is_file():
                if source is None:
                    continue
                atomic_write(kept, kind.thumbnail(folder / ".pixels", row, source / name))
            if kept.stat().st_size > LARGEST:
                continue
            made[row] = "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
        except Exception:  # noqa: S112 (one thumbnail less; PIL raises anything on a broken file)
            continue
    return made
