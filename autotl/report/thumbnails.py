"""Thumbnails of a few images, kept in the run folder, so that a report can be written without the data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from autotl.cache import atomic_write, key

FOLDER = "thumbnails"
SIDE = 128  # pixels, shorter side; shown at half on sharp screens
QUALITY = 78


def thumbnails(folder: Path, source: Path, names: Mapping[int, str]) -> dict[int, str]:
    """Return ``data:`` addresses of the rows' thumbnails; rows without one are missing.

    They come from an earlier report, otherwise from the decoded pixels of the run, otherwise from the file.
    New ones are kept.
    """
    made: dict[int, str] = {}
    for row, name in names.items():
        kept = (
            folder / FOLDER / f"{key(name)[:16]}.jpg"
        )  # by name: a continued run may number its rows otherwise
        try:
            if not kept.is_file():
                atomic_write(kept, _make(folder, source / name, row))
            made[row] = "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
        except Exception:  # noqa: S112 (one thumbnail less; PIL raises anything on a broken file)
            continue
    return made


def _make(folder: Path, file: Path, row: int) -> bytes:
    from PIL import Image

    from autotl.data.image_store import Pixels, load_image

    try:
        pixels = Pixels.open(folder / ".pixels").image(row)
    except (OSError, LookupError):
        pixels, _ = load_image(file, SIDE)
    image = Image.fromarray(pixels)
    image.thumbnail((2 * SIDE, SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
