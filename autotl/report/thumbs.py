"""Small pictures of a few images, kept in the run folder so that the report outlives the data."""

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
    """``data:`` addresses of the rows' pictures; rows whose picture cannot be had are missing.

    From what an earlier report kept, else from the pixels of the run that is ending, else from the
    file itself if it is still where it was. What is made is kept.
    """
    found: dict[int, str] = {}
    for row, name in names.items():
        kept = folder / FOLDER / f"{key(name)[:16]}.jpg"  # a row may be another image once a run is continued
        try:
            if not kept.is_file():
                atomic_write(kept, _make(folder, source / name, row))
            found[row] = "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
        except Exception:  # noqa: S112 (a picture less; PIL raises what it likes on a broken file)
            continue
    return found


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
