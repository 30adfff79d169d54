"""Small pictures of a few images, kept in the run folder so that the report outlives the data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from autotl import modality
from autotl.cache import atomic_write, key

FOLDER = "thumbnails"


def thumbnails(folder: Path, source: Path, names: Mapping[int, str]) -> dict[int, str]:
    """``data:`` addresses of the rows' pictures; rows whose picture cannot be had are missing.

    From what an earlier report kept, else from the pixels of the run that is ending, else from the
    file itself if it is still where it was. What is made is kept.
    """
    kind = modality.get("image")  # result.json has no other kind of item
    found: dict[int, str] = {}
    for row, name in names.items():
        kept = folder / FOLDER / f"{key(name)[:16]}.jpg"  # a row may be another image once a run is continued
        try:
            if not kept.is_file():
                atomic_write(kept, kind.thumbnail(folder / ".pixels", row, source / name))
            found[row] = "data:image/jpeg;base64," + base64.b64encode(kept.read_bytes()).decode()
        except Exception:  # noqa: S112 (a picture less; PIL raises what it likes on a broken file)
            continue
    return found
