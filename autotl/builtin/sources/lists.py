"""Lists beside class folders that say which image is of which part: train.txt and test.txt, or a table with a split."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from autotl.builtin.sources import columns, table_files
from autotl.builtin.sources.listing import NO_PART, Choices, Listing
from autotl.builtin.sources.names import folded, part_of
from autotl.builtin.sources.table_files import text_of
from autotl.builtin.sources.tree import Folder
from autotl.errors import DatasetError
from autotl.records import PARTS, Kind, fact

SUFFIXES = (".txt", ".lst", ".csv", ".tsv")
LISTS = re.compile(r"lists?|labels?|names?|ids?|\d+", re.IGNORECASE)  # beside the part in the name of a list
MOST = 40  # files that are looked at
NAMED = 0.5  # of the lines of a list, at least, name an image
TRAIN = 0

Image = tuple[str, str, int]  # place, label, part


def apply(
    tree: Folder, listing: Listing, images: list[Image], choices: Choices
) -> tuple[list[Image], set[str]]:
    """Return the images with the parts that lists give them, and the lists; as they are where there are no lists.

    Images that no list names are left out where one names those that train. Raises `DatasetError` for an image that
    lists put into several parts.
    """
    if choices.layout is not None or any(part != NO_PART for _, _, part in images):
        return images, set()
    found = dict(_lists(tree, listing.root, _Places(place for place, _, _ in images), choices))
    if not found:
        return images, set()
    parts: dict[str, tuple[int, str]] = {}
    in_order = sorted(found, key=lambda name: (min(found[name].values()), name))
    for name in in_order:
        for place, part in found[name].items():
            other, first = parts.setdefault(place, (part, name))
            if other != part:
                raise DatasetError(
                    f"{listing.root} can be read in two ways: {first} lists {place} for {PARTS[other]} and {name} for"
                    f" {PARTS[part]}; expected each image in one part; take away lists of other splits, or use --layout"
                    " class to read the folders without lists"
                )
    listing.reading.append(fact(Kind.READ_LISTS, lists=in_order))
    trains = any(part == TRAIN for part, _ in parts.values())
    kept = []
    for place, label, _ in images:
        if place in parts:
            kept.append((place, label, parts[place][0]))
        elif trains:
            listing.leave_out(place, Kind.NOT_LISTED)
        else:
            kept.append((place, label, NO_PART))
    return kept, set(found)


class _Places:
    """Images by the ends of their paths, with and without extension; an end that several have names none."""

    def __init__(self, places: Iterable[str]) -> None:
        self.by_end: dict[str, str] = {}
        for place in places:
            names = folded(place).split("/")
            for start in range(len(names)):
                end = "/".join(names[start:])
                for written in dict.fromkeys((end, os.path.splitext(end)[0])):
                    known = self.by_end.setdefault(written, place)
                    if known != place:
                        self.by_end[written] = ""

    def find(self, text: str) -> str:
        """Return the image that a path names, "" for none."""
        return self.by_end.get(folded(text.strip().replace("\\", "/").removeprefix("./")), "")


def _lists(
    tree: Folder, root: Path, places: _Places, choices: Choices
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each list with the parts of the images that it names."""
    outside = [
        other
        for folder in tree.all_folders()
        if folder is tree or not folder.holds_images
        for other in folder.others
    ]
    candidates = [other for other in outside if other.lower().endswith(SUFFIXES)]
    for other in candidates[:MOST]:
        part = part_of(LISTS.sub(" ", Path(other).stem))
        try:
            table = table_files.read(root / other, choices.encoding)
        except DatasetError:
            continue
        of_list = _by_column(table, places, choices)
        if of_list is None and part is not None:
            of_list = _by_name(root / other, table.encoding, part, places)
        if of_list:
            yield other, of_list


def _by_column(table: table_files.Table, places: _Places, choices: Choices) -> dict[str, int] | None:
    """Return the parts of images by a table with a column of paths and one of parts; None for another table."""
    sample = list(islice(table.rows(), columns.LOOKED_AT))
    try:
        path, _ = columns.path_column(table, sample, choices.path, places.find)
        split, flag = columns.split_column(table, sample, choices, taken={path})
    except DatasetError:
        return None  # notes, or a table of something else
    if split is None and flag is None:
        return None
    found = {}
    for row in table.rows():
        place = places.find(text_of(row.get(path)))
        if place and flag is not None:
            found[place] = columns.part_by_flag(row, flag)
        elif place and (part := part_of(text_of(row.get(split or "")))) is not None:
            found[place] = part
    return found


def _by_name(path: Path, encoding: str, part: int, places: _Places) -> dict[str, int]:
    """Return the images that the lines of a list name, if most do; something may follow the name: ``cat/0.jpg 3``."""
    lines = [line.strip() for line in path.read_text(encoding=encoding).splitlines() if line.strip()]
    named = [
        next(
            filter(None, map(places.find, (line, line.rpartition(" ")[0], re.split(r"[,;\t]", line)[0]))), ""
        )
        for line in lines
    ]
    found = dict.fromkeys(filter(None, named), part)
    return found if sum(map(bool, named)) >= NAMED * len(lines) else {}
