"""Annotations of objects in images, as boxes: COCO, YOLO and Pascal VOC. Every image and every box is accounted for.

What a file of annotations says is only ever matched with images that were found below the folder: no path in it is
opened. Coordinates are pixels of the image as it is stored, or fractions of the image as it is shown.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotl.builtin.sources.listing import NO_PART, Listing
from autotl.builtin.sources.names import PART_WORDS, normal_form, words
from autotl.builtin.sources.tree import Folder
from autotl.errors import DatasetError
from autotl.records import Kind

MOST_TEXT = 16 * 2**20  # bytes of an annotation file of one image, or of a list of names
LONGEST = 2**31  # pixels of a side
MOST_JSON = 2**31  # bytes of COCO's file for all images
PARTS_FILES = re.compile(r"(?:^|/)ImageSets/Main/(train|val|test)\.txt$")  # of Pascal VOC


@dataclass(frozen=True, slots=True)
class Box:
    """An object: its class, and its corners (left, top, right, bottom)."""

    label: str
    corners: tuple[float, float, float, float]
    size: tuple[int, int] | None = (
        None  # (width, height) of the image that pixels count in; None: corners are fractions
    )


@dataclass(slots=True)
class Annotated:
    """The boxes of a set by image, and the files that they were read from."""

    boxes: dict[str, list[Box]] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def add(self, image: str, box: Box) -> None:
        """Add a box of an image."""
        self.boxes.setdefault(image, []).append(box)


class Images:
    """The images of a tree, found by what annotations call them."""

    def __init__(self, tree: Folder) -> None:
        self.all = list(tree.all_images())
        self.known = frozenset(self.all)
        self.by_name: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        for image in self.all:
            name = os.path.basename(image)
            self.by_name.setdefault(name, []).append(image)
            self.by_stem.setdefault(os.path.splitext(name)[0], []).append(image)

    def find(self, name: str, place: str, *, by_stem: bool = False) -> str | Kind:
        """Return the image that an annotation in the folder `place` names, or why there is none."""
        name = name.replace("\\", "/")
        for start in (place, os.path.dirname(place), ""):
            exact = os.path.normpath(os.path.join(start, name))
            if exact in self.known:
                return exact
        last = os.path.basename(name)
        found = self.by_stem.get(os.path.splitext(last)[0], []) if by_stem else self.by_name.get(last, [])
        if (
            len(found) > 1
        ):  # train/0.jpg and val/0.jpg: what lies nearest to the annotations, or has their part
            near = max(_shared(image, place) for image in found)
            found = [image for image in found if _shared(image, place) == near]
        if len(found) == 1:
            return found[0]
        return Kind.SEVERAL_FILES if found else Kind.NO_SUCH_FILE


def _shared(image: str, place: str) -> int:
    """Return how many folders an image and a place have in common, whatever they lie in: images/val and labels/val."""
    return len(set(image.split("/")[:-1]) & set(place.split("/")) - {""})


def read(kind: str, root: Path, tree: Folder, listing: Listing) -> Annotated:
    """Return the boxes of a set of a kind. Raises `DatasetError` where its annotations cannot be read."""
    others = list(tree.all_others())
    images = Images(tree)
    readers = {"COCO": _coco, "YOLO": _yolo, "Pascal VOC": _voc}
    found = readers[kind](root, others, images, listing)
    for image in images.all:
        code = part_of_path(image)
        if code != NO_PART:
            found.parts.setdefault(image, code)
    return found


def part_of_path(place: str) -> int:
    """Return the part that folders or a file are named after, as in images/train2017 or instances_val.json."""
    codes = {PART_WORDS[word] for word in words(place) if word in PART_WORDS}
    return codes.pop() if len(codes) == 1 else NO_PART


def _text(path: Path, most: int) -> str:
    """Return the text of a file of annotations. Raises `DatasetError` for one that is too large, or no text."""
    try:
        if path.stat().st_size > most:
            raise DatasetError(
                f"{path} has more than {most / 2**20:,.0f} MB; expected annotations; leave it out of the folder"
            )
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); expected annotations") from error


# --------------------------------------------------------------------------- COCO


def _coco(root: Path, others: Sequence[str], images: Images, listing: Listing) -> Annotated:
    found = Annotated()
    for file in others:
        if not file.lower().endswith(".json"):
            continue
        try:
            content = json.loads(_text(root / file, MOST_JSON))
        except (ValueError, RecursionError) as error:
            listing.leave_out(file, Kind.UNREADABLE_ANNOTATIONS, error=type(error).__name__)
            continue
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            continue
        if all(isinstance(each, dict) and "bbox" in each for each in content["annotations"]):
            _of_coco(file, content, images, found, listing)
    if not found.files:
        raise _nothing(root, "COCO", "a JSON with images, annotations with bbox, and categories")
    return found


def _of_coco(
    file: str, content: Mapping[str, Any], images: Images, found: Annotated, listing: Listing
) -> None:
    """Add the boxes of one of COCO's files."""
    found.files.add(file)
    place, code = os.path.dirname(file), part_of_path(file)
    names = {
        _hashable(each.get("id")): str(each.get("name", "")) for each in _mappings(content, "categories")
    }
    of_id: dict[Any, tuple[str, tuple[int, int]]] = {}
    for each in _mappings(content, "images"):
        name = str(each.get("file_name", ""))
        image = images.find(name, place)
        if isinstance(image, Kind):
            listing.leave_out(name, image)
            continue
        of_id[_hashable(each.get("id"))] = image, (_pixels(each.get("width")), _pixels(each.get("height")))
        if code != NO_PART:
            found.parts[image] = code
    for number, each in enumerate(content["annotations"]):
        owner = of_id.get(_hashable(each.get("image_id")))
        label = names.get(_hashable(each.get("category_id")), "")
        what = f"{file}#{number}"
        corners = _corners_of_coco(each["bbox"])
        if owner is None:
            listing.leave_out(what, Kind.BOX_OF_NO_IMAGE)
        elif each.get("iscrowd"):
            listing.leave_out(what, Kind.BOX_OF_CROWD)
        elif not label:
            listing.leave_out(what, Kind.NO_LABEL)
        elif corners is None:
            listing.leave_out(what, Kind.BOX_INVALID)
        else:
            found.add(owner[0], Box(normal_form(label), corners, owner[1]))


def _corners_of_coco(box: Any) -> tuple[float, float, float, float] | None:
    numbers = _numbers(box) if isinstance(box, list) else []
    if len(numbers) != 4:
        return None
    left, top, width, height = numbers
    return left, top, left + width, top + height


def _mappings(content: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    listed = content.get(name)
    return (each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict))


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else None


def _pixels(value: Any) -> int:
    """Return a side in pixels, 0 for what is none."""
    return int(value) if isinstance(value, int | float) and 0 < value < LONGEST else 0


def _numbers(values: Iterable[Any]) -> list[float]:
    """Return finite numbers; nothing where one is none."""
    found = []
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return []
        if not math.isfinite(number):
            return []
        found.append(number)
    return found


# --------------------------------------------------------------------------- YOLO


def _yolo(root: Path, others: Sequence[str], images: Images, listing: Listing) -> Annotated:
    found = Annotated()
    names, found.files = _names_of_yolo(root, others)
    for file in others:
        if not file.lower().endswith(".txt") or file in found.files:
            continue
        place, name = os.path.split(file)
        folders = place.split("/")
        beside = "/".join("images" if folder == "labels" else folder for folder in folders)
        stem = os.path.splitext(name)[0]
        near = [image for image in images.by_stem.get(stem, ()) if os.path.dirname(image) in (place, beside)]
        image = near[0] if len(near) == 1 else images.find(name, place, by_stem=True)
        if isinstance(image, Kind):
            continue  # a list of files, a readme: what is no annotation is left out as no image
        found.files.add(file)
        found.boxes.setdefault(image, [])
        for number, line in enumerate(_text(root / file, MOST_TEXT).splitlines()):
            if line.strip():
                box = _of_yolo(line.split(), names)
                if isinstance(box, Kind):
                    listing.leave_out(f"{file}#{number}", box)
                else:
                    found.add(image, box)
    if not any(found.boxes.values()):
        raise _nothing(root, "YOLO", "a text for each image, with class and box in each line")
    return found


def _of_yolo(cells: Sequence[str], names: Mapping[int, str]) -> Box | Kind:
    """Return the box of a line: class, centre and sides, or class and the points of an outline."""
    numbers = _numbers(cells)
    if len(numbers) < 5 or not numbers[0].is_integer() or (len(numbers) > 5 and len(numbers) % 2 == 0):
        return Kind.BOX_INVALID
    label = names.get(int(numbers[0]), "" if names else str(int(numbers[0])))
    if not label:
        return Kind.NO_LABEL
    if len(numbers) == 5:
        x, y, width, height = numbers[1:]
        return Box(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    across, down = numbers[1::2], numbers[2::2]
    return Box(label, (min(across), min(down), max(across), max(down)))


def _names_of_yolo(root: Path, others: Sequence[str]) -> tuple[dict[int, str], set[str]]:
    """Return the names of the classes by number, from data.yaml or classes.txt, and the file that holds them."""
    for file in others:
        if file.lower().endswith((".yaml", ".yml")):
            names = _names_of_yaml(_text(root / file, MOST_TEXT))
            if names:
                return names, {file}
    for file in others:
        if os.path.basename(file).lower() in ("classes.txt", "obj.names", "classes.names"):
            lines = [line.strip() for line in _text(root / file, MOST_TEXT).splitlines()]
            return {number: normal_form(line) for number, line in enumerate(lines) if line}, {file}
    return {}, set()


def _names_of_yaml(text: str) -> dict[int, str]:
    import yaml  # type: ignore[import-untyped]  # comes with huggingface_hub

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    return {
        int(number): normal_form(str(name))
        for number, name in names.items()
        if isinstance(number, int) and isinstance(name, str | int)
    }


# --------------------------------------------------------------------------- Pascal VOC


def _voc(root: Path, others: Sequence[str], images: Images, listing: Listing) -> Annotated:
    from xml.etree import ElementTree as ET

    found = Annotated()
    for file in others:
        if not file.lower().endswith(".xml"):
            continue
        text = _text(root / file, MOST_TEXT)
        if "<annotation" not in text:
            continue
        try:
            if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can grow without limit
                raise ET.ParseError("a document type")
            tree = ET.fromstring(text)  # noqa: S314 (no document type, so no entities)
        except ET.ParseError as error:
            listing.leave_out(file, Kind.UNREADABLE_ANNOTATIONS, error=str(error))
            continue
        place = os.path.dirname(file)
        name = tree.findtext("filename", "").strip() or os.path.splitext(os.path.basename(file))[0]
        image = images.find(name, place)
        if image is Kind.NO_SUCH_FILE:
            image = images.find(os.path.basename(file), place, by_stem=True)
        if isinstance(image, Kind):
            listing.leave_out(name, image)
            continue
        found.files.add(file)
        found.boxes.setdefault(image, [])
        size = _numbers(tree.findtext(f"size/{side}", "0") for side in ("width", "height")) or [0, 0]
        for number, each in enumerate(tree.iter("object")):
            label = normal_form(each.findtext("name", ""))
            corners = _numbers(each.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
            if not label:
                listing.leave_out(f"{file}#{number}", Kind.NO_LABEL)
            elif len(corners) != 4:
                listing.leave_out(f"{file}#{number}", Kind.BOX_INVALID)
            else:
                left, top, right, bottom = corners
                # the first pixel is number 1, and the last one belongs to the box
                box = Box(label, (left - 1, top - 1, right, bottom), (_pixels(size[0]), _pixels(size[1])))
                found.add(image, box)
    if not any(found.boxes.values()):
        raise _nothing(root, "Pascal VOC", "an XML for each image, with objects and their bndbox")
    _parts_of_voc(root, others, images, found)
    return found


def _parts_of_voc(root: Path, others: Sequence[str], images: Images, found: Annotated) -> None:
    """Add the parts that the lists of a set name."""
    for file in others:
        match = PARTS_FILES.search(file)
        if match is None:
            continue
        found.files.add(file)
        for line in _text(root / file, MOST_TEXT).splitlines():
            for image in images.by_stem.get(line.strip(), ())[:1] if line.strip() else ():
                found.parts[image] = PART_WORDS[match[1]]


def _nothing(root: Path, kind: str, expected: str) -> DatasetError:
    return DatasetError(
        f"{root} holds no {kind} annotations with boxes; expected {expected}; check the files"
    )
