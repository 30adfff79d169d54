"""Folders of class folders, with or without parts above or inside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path

from autotl.builtin.sources import archives, cuts, inside, layout, lists, masks, object_sets
from autotl.builtin.sources.listing import Choices, Item, Listing
from autotl.builtin.sources.tree import Folder, walk
from autotl.errors import DatasetError
from autotl.records import Kind

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".json")


def read(root: Path, choices: Choices, *, is_test: bool = False) -> Listing:
    """Return the images of a folder, labelled by the folders that they lie in. Raises `DatasetError`."""
    listing = Listing(root=root)
    tree = walk(root, choices, listing)
    if "masks" not in choices.include:
        _leave_out_masks(tree, listing)
    if choices.crops:
        return _objects(tree, listing, choices)
    if choices.layout is None:
        object_sets.refuse(tree, root)
    by_table = inside.read(tree, listing, choices)
    return _label(tree, listing, choices, is_test=is_test) if by_table is None else by_table


def _objects(tree: Folder, listing: Listing, choices: Choices) -> Listing:
    """Return the objects of annotated images. Raises `DatasetError` where there are no annotations."""
    kind = object_sets.kind_of(tree, listing.root)
    if kind is None:
        raise DatasetError(
            f"{listing.root} holds no COCO, YOLO or Pascal VOC annotations; expected some, because --crops cuts out the"
            " objects that they name; leave the option out"
        )
    return cuts.read(kind, listing.root, tree, listing, choices)


def _label(tree: Folder, listing: Listing, choices: Choices, *, is_test: bool) -> Listing:
    """Add the items of a tree to the listing that was made with it, and return the listing."""
    root = listing.root
    decide: Callable[[Folder, Choices, str], layout.Labelled] = layout.as_test if is_test else layout.label
    found = decide(tree, choices, str(root))
    listing.reading += found.reading
    images, used = (found.images, set()) if is_test else lists.apply(tree, listing, found.images, choices)
    for image, name, part in images:
        file = os.path.abspath(root / image)
        listing.items.append(Item(file=file, name=image, key=image, label=name, part=part))
    for image, kind in found.unlabelled:
        listing.leave_out(image, kind)
    for other in tree.all_others():
        if other in used:
            continue
        is_table = other.lower().endswith(TABLES)
        listing.leave_out(other, Kind.TABLE_BESIDE if is_table else archives.unused(root / other))
    _leave_out_empty(tree, listing, _with_folders([*used, *(left.name for left in listing.left_out)]))
    return listing


def _leave_out_masks(tree: Folder, listing: Listing) -> None:
    """Take the masks out of the tree, before their folders look like classes."""
    found = masks.masks_among(listing.root, tree.all_images())
    tree.remove(found)
    for image in found:
        listing.leave_out(image, Kind.MASK)


def _with_folders(names: Iterable[str]) -> set[str]:
    """Return names without a slash at their ends, and all folders that they lie in."""
    found: set[str] = set()
    for name in names:
        place = name.rstrip("/")
        while place and place not in found:
            found.add(place)
            place = os.path.dirname(place)
    return found


def _leave_out_empty(folder: Folder, listing: Listing, named: Container[str]) -> None:
    """Add the outermost folders without an image: each would be a class, or was meant to be one.

    Those in `named` are left out already, or files in them are, each with its reason.
    """
    for outer in folder.all_folders():
        if outer.holds_images:
            for inner in outer.folders:
                if not inner.holds_images and inner.place not in named:
                    listing.leave_out(inner.place + "/", Kind.NO_IMAGES)
