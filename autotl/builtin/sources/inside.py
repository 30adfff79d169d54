"""Tables that lie in a folder with their images: Hugging Face's metadata files, and tables of any name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from autotl.builtin.sources import archives, columns, table_files, tables
from autotl.builtin.sources.listing import NO_PART, Choices, Listing, like
from autotl.builtin.sources.names import normal_form, part_of
from autotl.builtin.sources.resolve import Resolver
from autotl.builtin.sources.table_files import Table, text_of
from autotl.builtin.sources.tree import Folder
from autotl.errors import DatasetError
from autotl.records import Kind, LeftOut, fact

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
MOST_TABLES = 20  # files that are looked at


def read(tree: Folder, listing: Listing, choices: Choices) -> Listing | None:
    """Return the images of a folder by the tables in it; None where folders make the classes.

    Raises `DatasetError` when tables and folders say different things, or when several tables do.
    """
    if choices.layout is not None:
        return None
    found = [table for place in _places(tree) if (table := _usable(listing.root / place, choices))]
    if not found:
        return None
    if all(table.path.name in METADATA for table in found):
        return _merged(tree, listing, found, choices)
    outer = _outer(tree)
    if len(outer.with_images) > 1:
        _refuse_other_labels(listing, found, choices)
        return None
    parts = [part_of(table.path.stem) for table in found]
    if len(found) > 1 and (None in parts or len(set(parts)) < len(parts)):
        names = ", ".join(os.path.relpath(table.path, listing.root) for table in found[:4])
        raise DatasetError(
            f"{listing.root} holds {len(found)} tables with paths and labels ({names}); expected one, or one for each"
            " part, such as train.csv and test.csv; give one of them as DATA"
        )
    return _merged(tree, listing, found, choices)


def _outer(tree: Folder) -> Folder:
    while not tree.images and len(tree.with_images) == 1 and tree.with_images[0].with_images:
        tree = tree.with_images[0]
    return tree


def _places(tree: Folder) -> list[str]:
    """Return the tables at the top, in folders that only wrap others, and metadata files anywhere."""
    wrappers = {tree.place}
    folder = tree
    while not folder.images and len(folder.folders) == 1:
        folder = folder.folders[0]
        wrappers.add(folder.place)
    found = []
    for other in tree.all_others():
        folder_of, name = os.path.split(other)
        suffix = os.path.splitext(name)[1].lower()
        if name.lower() in METADATA or (folder_of in wrappers and suffix in table_files.SUFFIXES):
            found.append(other)
    return found[:MOST_TABLES]


def _usable(path: Path, choices: Choices) -> Table | None:
    """Return a table if its columns hold labels, and paths of images that exist."""
    try:
        table = table_files.read(path, choices.encoding)
        root = path.parent if choices.root is None else choices.root
        resolver = Resolver(root, (), table.encoding, away=choices.away)
        found = columns.find(table, choices, lambda text: resolver.find(text).file)
        sample = [text_of(row.get(found.path)) for row in islice(table.rows(), columns.LOOKED_AT)]
        starts = tables.starts(resolver, sample, found.path, choices)
    except DatasetError:
        return None  # notes, an index, annotations: no table of images
    inner = Resolver(resolver.root, starts, table.encoding, away=choices.away)
    return table if any(inner.find(text).file for text in sample if text) else None


def strata(folder: Path, others: Sequence[str], choices: Choices) -> dict[str, str]:
    """Return what the tables of a folder say of class and part of each image, by its path.

    `others` are the names of the folder's files that are no images; the images may be `choices.away`.
    """
    names = [name for name in others if os.path.splitext(name)[1].lower() in table_files.SUFFIXES]
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count("/"), name))[:MOST_TABLES]:
        table = _usable(folder / name, choices)
        for image, said in () if table is None else tables.strata(table, choices):
            found.setdefault(image, said)
    return found


def _refuse_other_labels(listing: Listing, found: Sequence[Table], choices: Choices) -> None:
    """Raise `DatasetError` when a table labels the images otherwise than the folders that they lie in."""
    for table in found:
        by_table = tables.read(table, choices)
        root = os.path.relpath(by_table.root, listing.root)
        differ = [
            item for item in by_table.items if normal_form(item.label) not in _folders_of(root, item.name)
        ]
        if len(differ) > len(by_table.items) / 2:
            name = os.path.relpath(table.path, listing.root)
            raise DatasetError(
                f"{listing.root} can be read in two ways: {name} labels {differ[0].name} as {differ[0].label!r}, and it"
                f" lies in {os.path.dirname(differ[0].name)}/; expected labels from the table or from the folders;"
                f" give {table.path} as DATA, or use --layout class"
            )


def _folders_of(root: str, name: str) -> set[str]:
    return {normal_form(part) for part in os.path.join(root, os.path.dirname(name)).split("/")}


def _merged(tree: Folder, listing: Listing, found: Sequence[Table], choices: Choices) -> Listing:
    """Return the items of all tables, and everything else that the folder holds as left out."""
    listing.is_table = True
    read = [tables.read(table, choices) for table in found]
    certain = next((each for each in read if each.target != "multiclass"), read[0])
    read = [  # one part may look like classes alone
        each if each.target == certain.target else tables.read(table, like(certain, choices))
        for each, table in zip(read, found, strict=True)
    ]
    listing.target, listing.column = read[0].target, read[0].column
    for table, of_table in zip(found, read, strict=True):
        part = _part(table, listing.root)
        prefix = os.path.relpath(of_table.root, listing.root)
        start = "" if prefix == "." else prefix.replace(os.sep, "/") + "/"
        listing.items += [
            replace(
                item,
                name=os.path.normpath(start + item.name).replace(os.sep, "/"),
                part=part if item.part == NO_PART else item.part,
            )
            for item in of_table.items
        ]
        listing.left_out += [
            LeftOut(name=start + out.name, reason=out.reason)
            for out in of_table.left_out
            if out.reason.kind is not Kind.NOT_LISTED
        ]
        if not any(guess.kind is Kind.READ_TABLE for guess in of_table.reading):
            name = os.path.relpath(table.path, listing.root)
            listing.reading.append(fact(Kind.READ_BY_TABLE, file=name))
        listing.reading += of_table.reading
    named = {item.name for item in listing.items} | {out.name for out in listing.left_out}
    used = {os.path.relpath(table.path, listing.root).replace(os.sep, "/") for table in found}
    for image in tree.all_images():
        if image not in named:
            listing.leave_out(image, Kind.NOT_LISTED)
    for other in tree.all_others():
        if other not in used and other not in named:
            listing.leave_out(other, archives.unused(listing.root / other))
    return listing


def _part(table: Table, root: Path) -> int:
    """Return the part that a table is of, by its own name or those of the folders that it lies in."""
    names = [table.path.stem, *Path(os.path.relpath(table.path.parent, root)).parts[::-1]]
    return next((code for name in names if (code := part_of(name)) is not None), NO_PART)
