"""The first bytes of image files, for files whose names do not say what they are."""

from __future__ import annotations

import re

from autotl.modality import dicom

STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF, both byte orders, and BigTIFF
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
NETPBM = re.compile(rb"P[1-6][ \t\r\n]+(#[^\n]*\n\s*)*\d+\s")
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes; two letters alone begin many a text


HEIC = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"hevc", b"heim")
PAGED = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8")  # and WebP, AVIF, HEIC


def is_heic(head: bytes) -> bool:
    """Return whether a file begins as HEIC does."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC


def may_have_pages(head: bytes) -> bool:
    """Return whether a file is of a format that holds several pages or frames."""
    return head.startswith(PAGED) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"


def recognised(head: bytes) -> bool:
    """Return whether a file that begins with `head` (132 bytes) is an image. Formats without a signature are not."""
    if head.startswith(STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[4:8] == b"ftyp":
        return head[8:12] in (b"avif", b"avis", *HEIC)
    if head[:2] == b"BM":
        return int.from_bytes(head[14:18], "little") in BMP_HEADERS
    return dicom.is_dicom(head) or NETPBM.match(head) is not None
