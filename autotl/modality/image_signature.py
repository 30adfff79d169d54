"""The first bytes of image files, for files whose names do not say what they are."""

from __future__ import annotations

import re

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
BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1")  # of ISO media files
NETPBM = re.compile(rb"P[1-6][ \t\r\n]+(#[^\n]*\n\s*)*\d+\s")
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes; two letters alone begin many a text


def recognised(head: bytes) -> bool:
    """Return whether a file that begins with `head` (64 bytes) is an image. Formats without a signature are not."""
    if head.startswith(STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[4:8] == b"ftyp":
        return head[8:12] in BRANDS
    if head[:2] == b"BM":
        return int.from_bytes(head[14:18], "little") in BMP_HEADERS
    return head[128:132] == b"DICM" or NETPBM.match(head) is not None
