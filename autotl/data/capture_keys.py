"""Keys that EXIF holds: the camera that took an image, and the burst or session in which it was taken.

Nothing is known of what a key means; `autotl.data.groups` measures on features whether its images belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from autotl.data.name_keys import Key, KeyFrom

# Seconds without an image of the same camera, after which another burst or session begins.
GAPS: Mapping[KeyFrom, float] = {"burst": 10.0, "session": 1800.0}


def capture_keys(metadata: Mapping[str, np.ndarray]) -> list[Key]:
    """Return the partitions by camera, and by bursts and sessions of each, of images with `metadata` (n,) by field.

    "camera" is maker and model, "serial" the number of the camera, "taken" the time as EXIF writes it; "" where a file
    has none. Such images are groups of their own.
    """
    if not {"camera", "serial", "taken"} <= metadata.keys():
        return []
    taken = metadata["taken"].astype(str)
    numbered = np.char.add(np.char.add(metadata["camera"].astype(str), " "), metadata["serial"].astype(str))
    names = np.char.strip(numbered)
    keys = [_key("camera", names)]
    if (taken != "").any():
        seconds = np.array([_seconds(text) for text in taken.tolist()])
        keys += [_key(by, _sittings(names, seconds, taken, gap)) for by, gap in GAPS.items()]
    return [key for key in keys if 1 < len(key.keys) < len(names)]


def _key(by: KeyFrom, texts: np.ndarray) -> Key:
    """Return the partition by texts (n,); each "" is a group of its own."""
    own = np.char.add("\0", np.arange(len(texts)).astype(str))
    keys, group = np.unique(np.where(texts == "", own, texts), return_inverse=True)
    return Key(
        by=by,
        group=group.astype(np.int64),
        keys=tuple(key if key[:1] != "\0" else "" for key in keys.tolist()),
    )


def _seconds(text: str) -> float:
    """Return the time that EXIF gives, NaN for what is none: a camera whose clock was never set writes zeros."""
    try:
        return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("nan")


def _sittings(cameras: np.ndarray, seconds: np.ndarray, taken: np.ndarray, gap: float) -> np.ndarray:
    """Return for each image (n,) the time and camera of the first one of its sitting, "" without a time."""
    texts = np.full(len(seconds), "", object)
    rows = np.flatnonzero(np.isfinite(seconds))
    rows = rows[np.lexsort((seconds[rows], cameras[rows]))]
    follows = (np.diff(seconds[rows]) <= gap) & (cameras[rows][1:] == cameras[rows][:-1])
    first = np.maximum.accumulate(
        np.where(np.concatenate([[True], ~follows])[: len(rows)], np.arange(len(rows)), 0)
    )
    texts[rows] = [f"{taken[row]} {cameras[row]}".strip() for row in rows[first]]
    return texts.astype(str)
