"""Masks that lie beside the images that they belong to, as in data sets for segmentation. They are no examples."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from autotl.builtin.sources.names import words
from autotl.modality import image_file

MASK = re.compile(
    r"(?P<stem>.+?)[\s_.-]+(?:mask|masks|seg|segmentation|gt|groundtruth|ground_truth|annotation)"
    r"(?:[\s_.-]*\d+)?$",
    re.IGNORECASE,
)
FOLDERS = frozenset({"mask", "masks", "segmentation", "segmentations", "gt", "groundtruth"})
SIDE = 256  # pixels that a picture is judged at
MOST_VALUES = 24  # grey levels of a mask, or
EXTREME = 16  # distance from its darkest or brightest level, within which
EXTREMES = 0.9  # of its pixels lie
TRIED = 5  # masks of a folder that are looked at


def masks_among(root: Path, images: Iterable[str]) -> dict[str, str]:
    """Return each mask with the image that it belongs to. Both the name and the content decide.

    ``x_mask.png`` beside ``x.png`` is a mask, and ``masks/x.png`` where another folder beside ``masks`` has ``x``;
    each only if it has few grey levels, because people also photograph masks.
    """
    by_folder: dict[str, dict[str, str]] = {}
    for image in images:
        folder, name = os.path.split(image)
        by_folder.setdefault(folder, {})[os.path.splitext(name)[0]] = image
    found: dict[str, str] = {}
    for stems in by_folder.values():
        for stem, image in stems.items():
            match = MASK.fullmatch(stem)
            if match and match["stem"] in stems and has_few_levels(root / image):
                found[image] = stems[match["stem"]]
    found |= _in_folders_of_their_own(root, by_folder)
    return found


def _in_folders_of_their_own(root: Path, by_folder: dict[str, dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder, stems in by_folder.items():
        above, name = os.path.split(folder)
        if not set(words(name)) or not set(words(name)) <= FOLDERS:
            continue
        beside = [
            others
            for place, others in by_folder.items()
            if os.path.dirname(place) == above and place != folder
        ]
        pairs = {
            image: others[_of(stem)]
            for stem, image in stems.items()
            for others in beside
            if _of(stem) in others
        }
        looked_at = list(stems.values())[:: max(1, len(stems) // TRIED)]
        if len(pairs) == len(stems) and all(has_few_levels(root / image) for image in looked_at):
            found |= pairs
    return found


def _of(stem: str) -> str:
    match = MASK.fullmatch(stem)
    return match["stem"] if match else stem


def has_few_levels(path: Path) -> bool:
    """Return whether an image looks like a mask: without colour, and made of a few grey levels."""
    try:
        with image_file.open(path, SIDE) as opened:
            image = opened.image
            if image.mode in ("1", "P"):
                return True
            image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
            pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    except Exception:  # Pillow raises what it likes; the check of the file itself names the problem
        return False
    if np.ptp(pixels, axis=2).max() > EXTREME:
        return False
    gray = pixels[..., 0]
    low, high = int(gray.min()), int(gray.max())
    extreme = ((gray - low <= EXTREME) | (high - gray <= EXTREME)).mean()
    return len(np.unique(gray)) <= MOST_VALUES or (high - low > 4 * EXTREME and bool(extreme >= EXTREMES))
