"""Open image files that may come from anyone: listed raster formats only, within limits of pixels, memory and time.

Every image that autotl reads from a file or a stream is opened here, so training and predict accept the same ones.
The format is recognised by the content, never by the name, and only `DECODERS` are asked. None of them starts
another program; Pillow itself also knows formats that are programs, such as PostScript.
"""

from __future__ import annotations

import builtins
import os
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from autotl.budget import Allowance
from autotl.modality import dicom, image_signature

__all__ = [
    "DECODERS",
    "MOST_PIXELS",
    "SECONDS",
    "MemoryGate",
    "NeedsPackage",
    "NotAFile",
    "Opened",
    "OutOfTime",
    "TooLaborious",
    "decoders",
    "open",
    "origin",
    "pages",
    "reason",
]

# Names of Pillow's formats, in the order in which they are asked. TGA has no signature, so it comes last.
# HEIF is pillow-heif's, which is registered where it is installed.
DECODERS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "HEIF", "TGA")
HEAD = 132  # bytes by which DICOM and HEIC are recognised
MOST_PIXELS = (
    89_478_485  # decoded at once; a JPEG is decoded at a fraction of its size. Pillow warns from here on
)
MEMORY = 2**30  # bytes that images under decoding take together; one image may take `MOST_PIXELS` on its own
SECONDS = 10.0  # of processor time for one image: a busy machine or a slow disk makes no image a bad one
PIXEL_BYTES = 8  # Pillow keeps a colour pixel in 4 bytes, and a step of the reduction holds a second copy
PROGRESSIVE_BYTES = 6  # coefficients of a progressive JPEG, held at its full size
STANDARD_TABLE = 3688  # sum of the luminance table of JPEG's annex K, which is that of quality 50
PROGRESSIVE_BLOCK = (
    4096  # bytes between two looks at the clock: 64 kB may hold hundreds of passes over the image
)


class TooLaborious(Exception):
    """An image took more than `SECONDS` of processor time."""


class NotAFile(Exception):
    """A pipe, a socket or a device."""


class NeedsPackage(Exception):
    """An image of a format that a package reads which is not installed."""

    def __init__(self, name: str, package: str, extra: str) -> None:
        self.name, self.package, self.extra = name, package, extra
        super().__init__(f"{name}, which the package {package} reads; pip install 'autotl[{extra}]'")


class OutOfTime(Exception):
    """The time for decoding was over before the image was decoded: this is no fault of the image."""


@cache
def decoders() -> tuple[str, ...]:
    """Return those of `DECODERS` that this Pillow has, pillow-heif's included."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in DECODERS if name in Image.OPEN)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image whose header has been read."""

    image: Image.Image  # not yet decoded: `load()` does that
    width: int  # in the file, in pixels; a JPEG is decoded smaller
    height: int
    pages: int = 1  # of a DICOM file; of other formats see `pages`


@contextmanager
def open(  # noqa: A001 (read as image_file.open)
    file: str | Path | IO[bytes], side: int, allowance: Allowance | None = None
) -> Iterator[Opened]:
    """Yield an opened image, to be decoded in the block and in the same thread.

    A JPEG is decoded at a half, quarter or eighth of its size where both its sides stay at least `side`. Raises
    `UnidentifiedImageError` for what is no image of a listed format, `NotAFile`, `Image.DecompressionBombError`
    for too many pixels, `TooLaborious` for an image that takes too long, `OutOfTime` when the allowance ends, and
    whatever Pillow raises for a broken file.
    """
    with ExitStack() as stack:
        if isinstance(file, str | Path):
            _require_regular(file)
            file = stack.enter_context(builtins.open(file, "rb"))
        timed = cast("IO[bytes]", _Timed(file, allowance))
        image, frames = _image(timed)
        stack.enter_context(image)
        opened = Opened(image, *image.size, frames)
        coefficients = 0
        if image.info.get("progressive"):
            image.decodermaxblock = PROGRESSIVE_BLOCK  # type: ignore[attr-defined]
            coefficients = image.width * image.height
        if image.format == "JPEG":
            image.draft("RGB", (side, side))
        pixels = image.width * image.height
        if max(pixels, coefficients) > MOST_PIXELS:
            raise Image.DecompressionBombError(f"{opened.width} × {opened.height} pixels")
        stack.enter_context(_MEMORY.hold(pixels * PIXEL_BYTES + coefficients * PROGRESSIVE_BYTES))
        yield opened


def origin(image: Image.Image) -> dict[str, Any]:
    """Return what the header of an opened image says of how its file was made. Broken metadata are no metadata.

    That is format, mode, quality (of a JPEG, from 1 to 100, else NaN), and by EXIF camera (maker and model), serial
    (number of the camera) and taken ("YYYY:MM:DD HH:MM:SS"), or "".
    """
    about: dict[str, Any] = {"format": image.format or "DICOM", "mode": image.mode, "quality": float("nan")}
    about |= {"camera": "", "serial": "", "taken": ""}
    tables = getattr(image, "quantization", None)
    if image.format == "JPEG" and tables:
        about["quality"] = _quality(sum(tables[min(tables)]))
    if "exif" in image.info:
        with suppress(Exception):
            exif = image.getexif()
            maker, model = (
                str(exif.get(tag, "")).strip(" \0") for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
            )
            about["camera"] = model if model.startswith(maker) else f"{maker} {model}".strip()
            inner = exif.get_ifd(ExifTags.IFD.Exif)
            about["taken"] = str(
                inner.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime, "")
            )[:19]
            about["serial"] = str(inner.get(ExifTags.Base.BodySerialNumber, "")).strip(" \0")
    return about


def _quality(total: int) -> float:
    """Return the quality at which the JPEG library makes a luminance table with this sum."""
    scale = 100 * total / STANDARD_TABLE
    return float(round((200 - scale) / 2 if scale <= 100 else 5000 / scale))


def _image(file: IO[bytes]) -> tuple[Image.Image, int]:
    """Return an image with its header read, and the frames of a DICOM file. Raises `NeedsPackage`."""
    start = file.tell()
    head = file.read(HEAD)
    file.seek(start)
    if dicom.is_dicom(head):
        try:
            return dicom.read(file, MOST_PIXELS)
        except ImportError as error:
            raise NeedsPackage("DICOM", "pydicom", "dicom") from error
    try:
        return Image.open(file, formats=decoders()), 1
    except UnidentifiedImageError as error:
        if image_signature.is_heic(head):
            raise NeedsPackage("HEIC", "pillow-heif", "heic") from error
        raise


def pages(file: IO[bytes]) -> int:
    """Return the number of pages or frames of an image file, of which the first is used; 1 for what is broken."""
    head = file.read(HEAD)
    file.seek(0)
    if not image_signature.may_have_pages(head) and not dicom.is_dicom(head):
        return 1
    try:
        with open(file, 1) as opened:
            return max(opened.pages, int(getattr(opened.image, "n_frames", 1)))
    except Exception:  # the check of the file names what is wrong
        return 1


def _require_regular(file: str | Path) -> None:
    """Raise for a pipe or a device: opening one may wait for ever. Raises `OSError` as the file system does."""
    mode = os.stat(file).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(file)
    if not stat.S_ISREG(mode):
        raise NotAFile(file)


# Pillow warns of many pixels and of damaged metadata. The limit here is stricter, metadata do not matter, and a
# warning would break the progress line. Filters of the user's own come first.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)


class _Timed:
    """A stream that looks at the clocks whenever it is read.

    It has no file descriptor: Pillow would map the file, and a file cut off meanwhile would end the process.
    """

    def __init__(self, stream: IO[bytes], allowance: Allowance | None) -> None:
        self._stream = stream
        self._end = time.thread_time() + SECONDS
        self._allowance = allowance

    def read(self, size: int = -1) -> bytes:
        if time.thread_time() > self._end:
            raise TooLaborious
        if self._allowance is not None and self._allowance.expired:
            raise OutOfTime
        return self._stream.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        """Leave the stream to whoever opened it."""

    @property
    def closed(self) -> bool:
        return self._stream.closed


class MemoryGate:
    """Bytes that threads share: one that wants more than are left waits, unless it is alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + amount <= self._size)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


_MEMORY = MemoryGate(MEMORY)


def reason(error: Exception) -> str:
    """Return why an image cannot be read, in a few words: what PIL and the file system raise is for programmers."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder, not an image"
    if isinstance(error, NotAFile):
        return "a pipe or a device, not a file"
    if isinstance(error, NeedsPackage):
        return str(error)
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels to be decoded safely"
    if isinstance(error, TooLaborious):
        return f"takes more than {SECONDS:.0f} s to be decoded"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {error.strerror}"
    if "truncated" in str(error):
        return "a damaged image: the file breaks off"
    return f"a damaged image ({type(error).__name__})"
