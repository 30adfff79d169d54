"""The modality image: the member of `autotl.modality` for photographs, drawings and scans."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from autotl.budget import Allowance
from autotl.errors import DatasetError
from autotl.modality import hog, image_file, image_signature, image_store
from autotl.modality.image_store import STATISTICS, Decoded, Pixels
from autotl.records import Fact, Geometry, Kind, fact

SUFFIXES = frozenset(
    {
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".jfif",
        ".png",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tif",
        ".tiff",
        ".webp",
        ".tga",
        ".avif",
        ".heic",
        ".heif",
        ".dcm",
    }
)
AUGMENT = "autotl.engine.augment:augment"
BATCH = "autotl.engine.images:to_input"

GLANCED = 64  # images whose header is read
USUAL_SIDE = 224  # pixels, assumed where no header can be read
ELONGATED = 1.5  # longer side / shorter side, from which a square of an image is a choice
HAND_SIDE = 16  # pixels, of the small images among the features made by hand
HAND_BINS = 8  # of each colour's histogram
GRADIENT_SIDE = 48  # pixels, of the images whose gradients are counted
GRAY = 1.0  # mean distance of the colours from their light in grey levels, below which an image is gray
FEW = 0.2  # share of images that are unlike the others in this, up to which they are named
GRAY_SIDES = (32, 64)  # pixels, of the images by which copies are compared
THUMBNAIL_SIDE = 128  # pixels, shorter side; shown at half on sharp screens
QUALITY = 78  # of a thumbnail's JPEG


def recognised(head: bytes) -> bool:
    """See `Modality.recognised`."""
    return image_signature.recognised(head)


def check(file: BinaryIO) -> Fact | None:
    """See `Modality.check`. The header alone is read."""
    try:
        with image_file.open(file, image_store.LARGEST_SIDE) as opened:
            return fact(Kind.NO_PIXELS) if min(opened.width, opened.height) < 1 else None
    except Image.DecompressionBombError:
        return fact(Kind.TOO_MANY_PIXELS)
    except image_file.NeedsPackage as missing:
        return fact(Kind.NEEDS_PACKAGE, format=missing.name, package=missing.package, extra=missing.extra)
    except Exception as error:  # PIL raises what it likes on a bad header
        return fact(Kind.UNREADABLE, error=image_file.reason(error))


def pages(file: BinaryIO) -> int:
    """See `Modality.pages`."""
    return image_file.pages(file)


def single(item: Any) -> bool:
    """See `Modality.single`. An array (H, W) or (H, W, 1, 3 or 4) is one image, another a stack of them."""
    if isinstance(item, np.ndarray):
        return item.ndim == 2 or (item.ndim == 3 and item.shape[-1] in (1, 3, 4))
    return isinstance(item, Image.Image)


def keep(item: Any, path: Path) -> None:
    """See `Modality.keep`. Pixels and alpha are kept exactly."""
    image = as_image(item)
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image.save(path, format="PNG", compress_level=1)
    else:
        image.save(path, format="TIFF")


def as_image(item: Any) -> Image.Image:
    """Return a PIL image or an array as a PIL image, upright. Raises `DatasetError` for anything else."""
    if isinstance(item, Image.Image):
        return ImageOps.exif_transpose(item)
    array = np.asarray(item)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    picture = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))
    if not picture or array.dtype.kind not in "uifb" or array.size == 0:
        raise DatasetError(
            f"a {type(item).__name__} of shape {array.shape} and type {array.dtype} is not an image; expected a path,"
            " a PIL image or an array (H, W), (H, W, 3) or (H, W, 4) of uint8 or of floats from 0 to 1"
        )
    if array.dtype.kind == "f":
        if not (np.nanmin(array) >= 0 and np.nanmax(array) <= 1):
            raise DatasetError(
                f"an array of floats from {np.nanmin(array):g} to {np.nanmax(array):g} is not an image; expected"
                " floats from 0 to 1, or uint8; scale it"
            )
        array = np.rint(array * 255)
    return Image.fromarray(array.astype(np.uint8) if array.dtype != np.uint16 else array)


def decode(
    files: Sequence[str],
    folder: str | Path,
    *,
    allowance: Allowance,
    order: np.ndarray | None = None,
    side: int | None = None,
) -> Decoded:
    """See `Modality.decode`. `side` is that of the shorter side in pixels; images are never enlarged."""
    if side is None:
        side = image_store.choose_side(len(files), image_store.LARGEST_SIDE)
    return image_store.decode(files, folder, side=side, allowance=allowance, order=order)


def open(folder: str | Path) -> Pixels:  # noqa: A001 (the protocol's name)
    """See `Modality.open`."""
    return Pixels.open(folder)


def describe(statistics: np.ndarray) -> dict[str, Any]:
    """See `Modality.describe`. Sides are in pixels, `gray` and `alpha` shares of the images."""
    column, decoded = _columns(statistics)
    shorter = np.minimum(column["width"], column["height"])[decoded]
    longer = np.maximum(column["width"], column["height"])[decoded]
    if not len(shorter):
        return {"side": 0, "sides": (0, 0), "gray": 0.0, "alpha": 0.0, "bytes": 0, "elongated": 0.0}
    return {
        "side": int(np.median(shorter)),
        "sides": (int(np.quantile(shorter, 0.05)), int(np.quantile(shorter, 0.95))),
        "gray": round(float((column["colour"][decoded] < GRAY).mean()), 6),
        "alpha": round(float(column["alpha"][decoded].mean()), 6),
        "bytes": int(column["bytes"][decoded].sum()),
        "elongated": round(float((longer >= ELONGATED * shorter).mean()), 6),
    }


def quality(statistics: np.ndarray) -> list[tuple[Kind, np.ndarray]]:
    """See `Modality.quality`."""
    column, decoded = _columns(statistics)
    shorter = np.minimum(column["width"], column["height"])
    longer = np.maximum(column["width"], column["height"])
    checks = (
        (Kind.DARK, column["brightness"] < 20),
        (Kind.BRIGHT, column["brightness"] > 248),
        (Kind.FLAT, column["contrast"] < 2),
        (Kind.BLURRED, (column["sharpness"] < 1.5) & (column["contrast"] >= 2)),
        (Kind.TINY, shorter < 16),
        (Kind.LONG, longer > image_store.LONGEST * shorter),
    )
    found = [(kind, rows) for kind, mask in checks if len(rows := np.flatnonzero(mask & decoded))]
    gray = column["colour"] < GRAY
    share = float(gray[decoded].mean()) if decoded.any() else 0.0
    if 0 < share <= FEW:
        found.append((Kind.GRAY, np.flatnonzero(gray & decoded)))
    elif 0 < 1 - share <= FEW:
        found.append((Kind.COLOURED, np.flatnonzero(~gray & decoded)))
    return found


def _columns(statistics: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns by name, and which rows (n,) bool were decoded."""
    column = {name: statistics[:, index] for index, name in enumerate(STATISTICS)}
    return column, ~np.isnan(column["width"])


def glance(files: Sequence[str]) -> tuple[int, int, int]:
    """See `Modality.glance`. Sizes are shorter sides in pixels."""
    sides = []
    for file in files[:: max(1, len(files) // GLANCED)]:
        with (
            suppress(Exception),
            image_file.open(file, image_store.LARGEST_SIDE) as opened,
        ):  # a run names the reason
            sides.append(min(opened.width, opened.height))
    low, middle, high = np.quantile(sides or [USUAL_SIDE], (0.05, 0.5, 0.95)).astype(int).tolist()
    return low, middle, high


def by_hand(store: Pixels, rows: np.ndarray, geometry: Geometry = "crop") -> dict[str, np.ndarray]:
    """See `Modality.by_hand`: small images with a histogram of each colour, (m, 16·16·3 + 24), and gradients."""
    small = image_store.square(store, rows, HAND_SIDE, geometry=geometry)
    colours = np.stack(
        [
            np.stack([np.histogram(small[i, ..., c], HAND_BINS, (0, 256))[0] for c in range(3)]).ravel()
            for i in range(len(small))
        ]
    )
    shares = colours / (HAND_SIDE * HAND_SIDE)
    pixels = np.concatenate([small.reshape(len(small), -1) / 255.0, shares], axis=1).astype(np.float32)
    return {
        "pixels": pixels,
        "gradients": hog.histograms(image_store.square(store, rows, GRADIENT_SIDE, geometry=geometry)),
    }


def gray(store: Pixels, rows: np.ndarray) -> np.ndarray:
    """See `Modality.gray`. Each image is stretched to a square; S is 32 where half of them are smaller than 64 pixels.

    A frame of one colour is taken off.
    """
    if not len(rows):
        return np.zeros((0, GRAY_SIDES[0], GRAY_SIDES[0]), np.uint8)
    large = np.median(np.minimum(store.height[rows], store.width[rows])) >= GRAY_SIDES[1]
    side = GRAY_SIDES[int(large)]
    made = [
        Image.fromarray(image_store.within_frame(store.image(int(row))))
        .convert("L")
        .resize((side, side), Image.Resampling.BOX)
        for row in rows
    ]
    return np.stack([np.asarray(each) for each in made])


def thumbnail(store: Path, row: int, file: Path) -> bytes:
    """See `Modality.thumbnail`. Raises whatever PIL raises for a broken file."""
    try:
        pixels = Pixels.open(store).image(row)
    except (OSError, LookupError):
        pixels, _ = image_store.load_image(file, THUMBNAIL_SIDE)
    image = Image.fromarray(pixels)
    image.thumbnail((2 * THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
