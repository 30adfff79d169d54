"""Cut the objects of annotated images out, for ``--crops``: an item for each box, a group for each image.

The cuts are written to the cache, as the members of an archive are: a run can be continued and fitted again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageOps

from autotl import modality
from autotl.builtin.sources import boxes
from autotl.builtin.sources.boxes import Annotated, Box
from autotl.builtin.sources.listing import MODALITY, NO_PART, Choices, Item, Listing
from autotl.builtin.sources.tree import Folder
from autotl.cache import source_folder
from autotl.errors import DatasetError
from autotl.modality import image_file
from autotl.records import Kind, LeftOut, fact

MARGIN = 0.1  # of a box's width and height that is added on each side
LEAST_SIDE = 8  # pixels of a box's shorter side
MOST_COVERED = 20  # times that the boxes of an image may cover it: those of real objects overlap little
SAME_SHAPE = (
    0.02  # by which the sides of an image and those that its annotations state may differ in their ratio
)
UNREDUCED = 2**17  # pixels: a side from which no JPEG is decoded smaller, so that boxes fit
DONE = "cuts.json"  # written last

Corners = tuple[float, float, float, float]


def read(kind: str, root: Path, tree: Folder, listing: Listing, choices: Choices) -> Listing:
    """Return the objects of a set of annotated images as items. Raises `DatasetError` where there are none."""
    annotated = boxes.read(kind, root, tree, listing)
    with_boxes = [image for image in tree.all_images() if annotated.boxes.get(image)]
    place = source_folder(_digest(root, annotated, with_boxes))
    if not (place / DONE).is_file():
        _write(root, annotated, with_boxes, place)
    cuts: dict[str, dict[str, Any]] = json.loads((place / DONE).read_text(encoding="utf-8"))
    made = Listing(root=place / "files", left_out=listing.left_out, findings=listing.findings)
    for image in with_boxes:
        _add(image, cuts[image], annotated, made, choices)
    without = set(tree.all_images()) - set(with_boxes)
    for image in sorted(without):
        made.leave_out(image, Kind.NO_BOXES)
    named = {out.name for out in listing.left_out}
    for other in tree.all_others():
        if other not in annotated.files and other not in named:
            made.leave_out(other, Kind.NOT_AN_IMAGE)
    used = sum(bool(cuts[image]["cut"]) for image in with_boxes)
    made.reading = [
        *listing.reading,
        fact(
            Kind.READ_CROPS,
            annotations=kind,
            objects=len(made.items),
            images=used,
            margin=MARGIN,
            least=LEAST_SIDE,
            folder=str(made.root),
        ),
    ]
    return made


def _add(image: str, cut: Mapping[str, Any], annotated: Annotated, made: Listing, choices: Choices) -> None:
    """Add the items of an image, and its boxes that are left out."""
    if cut["problem"] is not None:
        kind, values = cut["problem"]
        made.left_out.append(LeftOut(name=image, reason=fact(Kind(kind), **values)))
    for number, why in cut["left_out"]:
        made.leave_out(f"{image}#{number}", Kind(why))
    for number in cut["cut"]:
        name = _name(image, number)
        made.items.append(
            Item(
                file=os.path.abspath(made.root / name),
                name=name,
                key=image,
                label=annotated.boxes[image][number].label,
                part=annotated.parts.get(image, NO_PART),
                group=image if choices.group is None else None,
            )
        )


def _name(image: str, number: int) -> str:
    return f"{image}/{number:04d}.png"


def _digest(root: Path, annotated: Annotated, images: Sequence[str]) -> str:
    """Return a digest of the boxes, and of the images by path, size and time: they may be too many to be read."""
    digest = hashlib.blake2b(repr((MARGIN, LEAST_SIDE)).encode(), digest_size=20)
    for image in images:
        status = os.stat(root / image)
        key = (os.path.abspath(root / image), status.st_size, status.st_mtime_ns, annotated.boxes[image])
        digest.update(repr(key).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _write(root: Path, annotated: Annotated, images: Sequence[str], place: Path) -> None:
    """Cut all objects out and write them to a folder, all or none. Raises `DatasetError` where there is no room."""
    temporary = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        files = temporary / "files"
        with ThreadPoolExecutor(4) as pool:
            cuts = pool.map(
                lambda image: cut_out(root / image, annotated.boxes[image], files / image), images
            )
            text = json.dumps(dict(zip(images, cuts, strict=True)))
        (temporary / DONE).write_text(text, encoding="utf-8")
        with suppress(OSError):  # another process wrote them in the meantime
            os.replace(temporary, place)
    except OSError as error:
        raise DatasetError(
            f"the objects of {root} cannot be written to {place.parent} ({error.strerror}); expected room for them; point"
            " AUTOTL_CACHE to another folder"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def cut_out(file: Path, listed: Sequence[Box], folder: Path) -> dict[str, Any]:
    """Write the objects of an image; return the places of those, and why others are left out.

    Raises `OSError` where they cannot be written; an image that cannot be read is a problem of its own.
    """
    cut: list[int] = []
    left_out: list[tuple[int, str]] = []
    made: list[tuple[int, Image.Image]] = []
    try:
        with image_file.open(file, UNREDUCED) as opened:
            image = opened.image
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
            ImageOps.exif_transpose(image, in_place=True)
            image.load()
            corners = [_corners(box, (opened.width, opened.height), turned, image.size) for box in listed]
            covered = sum((c[2] - c[0]) * (c[3] - c[1]) for c in corners if isinstance(c, tuple))
            if covered > MOST_COVERED * image.width * image.height:
                return {"cut": [], "left_out": [], "problem": (Kind.BOXES_OVERLAP, {"times": MOST_COVERED})}
            for number, found in enumerate(corners):
                if isinstance(found, Kind):
                    left_out.append((number, found))
                else:
                    made.append((number, image.crop(found)))
    except Exception as error:  # PIL raises what it likes on a broken file
        problem = (Kind.UNREADABLE, {"error": image_file.reason(error)})
        return {"cut": [], "left_out": [], "problem": problem}
    if made:
        folder.mkdir(parents=True)
    for number, each in made:
        modality.get(MODALITY).keep(each, folder / os.path.basename(_name("", number)))
        cut.append(number)
    return {"cut": cut, "left_out": left_out, "problem": None}


def _corners(
    box: Box, stored: tuple[int, int], turned: int, shown: tuple[int, int]
) -> tuple[int, int, int, int] | Kind:
    """Return the corners of a box with its margin in pixels of the image as it is shown, or why it is left out.

    Annotations count in pixels of the image as it is stored, as it is shown, or as it was before it was resized: their
    own width and height say which. EXIF's orientations from 5 on swap both.
    """
    corners, size = box.corners, box.size
    if size is None:
        corners, size = _scaled(corners, shown), shown
    elif min(size) > 0 and size != shown:
        if size == stored and turned >= 5:
            corners, size = _upright(corners, stored, turned), shown
        elif abs(size[0] * shown[1] / (size[1] * shown[0]) - 1) <= SAME_SHAPE:
            corners = _scaled(corners, (shown[0] / size[0], shown[1] / size[1]))
        else:
            return Kind.BOX_OF_OTHER_SIZE
    left, top, right, bottom = corners
    width, height = shown
    if not all(map(math.isfinite, corners)) or right <= left or bottom <= top:
        return Kind.BOX_INVALID
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return Kind.BOX_OUTSIDE
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if min(right - left, bottom - top) < LEAST_SIDE:
        return Kind.BOX_SMALL
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    return (
        max(0, round(left - across)),
        max(0, round(top - down)),
        min(width, round(right + across)),
        min(height, round(bottom + down)),
    )


def _scaled(corners: Corners, by: tuple[float, float]) -> Corners:
    left, top, right, bottom = corners
    return left * by[0], top * by[1], right * by[0], bottom * by[1]


def _upright(corners: Corners, stored: tuple[int, int], turned: int) -> Corners:
    """Return corners in the image as it is shown, of those in the image as it is stored; orientations from 5 on."""
    left, top, right, bottom = corners
    width, height = stored
    across = (top, bottom) if turned in (5, 8) else (height - bottom, height - top)
    down = (left, right) if turned in (5, 6) else (width - right, width - left)
    return across[0], down[0], across[1], down[1]
