"""Thumbnails of a few images, kept in the run folder, so that a report can be written without the data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from autotl import modality
from autotl.cache import atomic_write, key

FOLDER = "thumbnails"
SIDE = 128  # pixels, shorter side; shown at half on sharp screens
QUALITY = 78


def thumbnails(folder: Path, source: Path, names: Mapping[int, str]) -> dict[int, str]:
    """Return ``data:`` addresses of the rows' thumbnails; rows without one are missing.

    They come from an earlier report, otherwise from the decoded pixels of the run, otherwise from the file.
    New ones are kept.
    """
    kind = modality.get("image")  # result.json has no other kind of item
    made: dict[int, str] = {}
    for row, name in names.items():
        kept = (
            folder / FOLDER / f"{key(name)[:16]}.jpg"
        )  # by name: a continued run may number its rows otherwise
        try:
            if not kept.is_file():
                atomic_write(kept, kind.thumbnail(folder / ".pixels", row, source / name))
            made[row] = "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
        except Exception:  # noqa: S112 (one thumbnail less; PIL raises anything on a broken file)
            continue
    return made
