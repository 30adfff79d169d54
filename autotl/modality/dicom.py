"""DICOM files as images, by pydicom: the extra ``dicom``."""

from __future__ import annotations

from typing import IO

import numpy as np
from PIL import Image

MARK = (128, b"DICM")  # place and bytes that every DICOM file has


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with `head` (132 bytes or more) is DICOM."""
    place, mark = MARK
    return head[place : place + len(mark)] == mark


def read(file: IO[bytes], most_pixels: int) -> tuple[Image.Image, int]:
    """Return the first frame of a DICOM file, and the number of frames.

    Values are those of the display: rescaled, windowed as the file says, and MONOCHROME1, where 0 is white, inverted.
    Raises `ImportError` without pydicom, `Image.DecompressionBombError` for too many pixels, and whatever pydicom
    raises for a broken file.
    """
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

    data = pydicom.dcmread(file)
    frames = int(data.get("NumberOfFrames") or 1)
    if int(data.Rows) * int(data.Columns) > most_pixels:
        raise Image.DecompressionBombError(f"{data.Columns} × {data.Rows} pixels")
    values = pixel_array(data, index=0)
    if values.ndim == 3:  # colours, which pydicom has converted to RGB
        return Image.fromarray(values.astype(np.uint8)), frames
    shown = np.asarray(apply_voi_lut(apply_modality_lut(values, data), data), np.float32)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() - shown
    span = float(shown.max() - shown.min())
    return Image.fromarray(((shown - shown.min()) * (255.0 / max(span, 1e-9))).astype(np.uint8)), frames
