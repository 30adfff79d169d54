"""Sets for detection and segmentation: COCO, YOLO and Pascal VOC, recognised by their files.

Whole images of them have no class, so they are refused; ``--crops`` reads their objects (`cuts`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from autotl.builtin.sources.names import words
from autotl.builtin.sources.tree import Folder
from autotl.errors import DatasetError

BLOCK = 65536  # bytes of a file that are looked at
TRIED = 5  # files of a kind that are looked at
YOLO = re.compile(r"\s*\d+(\s+[\d.eE+-]+){4,}\s*")  # class, and a box or an outline in fractions
# Folders of such sets; class folders have other names.
GENERIC = frozenset(
    {
        "annotation", "annotations", "image", "images", "imagesets", "img", "imgs", "jpegimages", "label", "labels",
        "mask", "masks", "segmentationclass", "segmentationobject", "train", "valid", "val", "test", "dev",
    }
)  # fmt: skip


def refuse(tree: Folder, root: Path) -> None:
    """Raise `DatasetError` if a folder holds annotations of objects and no class folders."""
    holders = [folder for folder in tree.all_folders() if folder.images]
    names = {folder.name.casefold() for folder in holders if folder.place}
    if any(name not in GENERIC and not _is_generic(name) for name in names):
        return
    kind = kind_of(tree, root)
    if kind is not None:
        raise DatasetError(
            f"{root} holds {kind} annotations of objects in images; expected one class for each image, because autotl"
            " trains classifiers; --crops cuts the objects out and classifies them; or give a CSV with path and label"
            " for whole images"
        )


def kind_of(tree: Folder, root: Path) -> str | None:
    """Return whose annotations a folder holds, None without any."""
    others = list(tree.all_others())
    kinds = {"COCO": _is_coco, "YOLO": _is_yolo, "Pascal VOC": _is_voc}
    return next((kind for kind, recognised in kinds.items() if recognised(root, others)), None)


def _is_generic(name: str) -> bool:
    return bool(words(name)) and all(word in GENERIC for word in words(name))


def _beginnings(root: Path, files: Iterable[str], end: str) -> list[str]:
    """Return the beginning of some files whose names end so."""
    found = [file for file in files if file.lower().endswith(end)][:TRIED]
    texts = []
    for file in found:
        with (root / file).open(encoding="utf-8", errors="replace") as stream:
            texts.append(stream.read(BLOCK))
    return texts


def _is_coco(root: Path, others: list[str]) -> bool:
    named = any(os.path.basename(file).lower().endswith("_annotations.coco.json") for file in others)
    keys = ('"images"', '"annotations"', '"categories"', '"bbox"', '"file_name"')
    return named or any(
        sum(key in text for key in keys) >= 2 and text.lstrip().startswith("{")
        for text in _beginnings(root, others, ".json")
    )


def _is_yolo(root: Path, others: list[str]) -> bool:
    lists = [file for file in others if os.path.basename(file).lower() not in {"classes.txt", "readme.txt"}]
    for text in _beginnings(root, lists, ".txt"):
        lines = [line for line in text.splitlines()[:20] if line.strip()]
        if lines and all(YOLO.fullmatch(line) for line in lines):
            return True
    return any(
        re.search(r"^names\s*:", text, re.MULTILINE) and re.search(r"^(train|nc)\s*:", text, re.MULTILINE)
        for end in (".yaml", ".yml")
        for text in _beginnings(root, others, end)
    )


def _is_voc(root: Path, others: list[str]) -> bool:
    return any("<annotation" in text and "<object>" in text for text in _beginnings(root, others, ".xml"))
