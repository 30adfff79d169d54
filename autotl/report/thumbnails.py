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
LARGEST = 2**18  # bytes of a thumbnail, far more than one has


def thumbnails(folder: Path, source: Path | None, names: Mapping[int, str]) -> dict[int, str]:
    """Return ``data:`` addresses of the rows' thumbnails; rows without one are missing.

    They come from an earlier report, otherwise from the decoded pixels of the run, otherwise from the file in
    `source`. New ones are kept. With None for `source` no other file is read: a run folder that was received could
    name any file of this machine, and its picture would be in the report.
    """
    kind = modality.get("image")  # result.json has no other kind of item
    made: dict[int, str] = {}
    for row, name in names.items():
        kept = (
            folder / FOLDER / f"{key(name)[:16]}.jpg"
        )  # by name: a continued run may number its rows otherwise
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
