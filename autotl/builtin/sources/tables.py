"""Tables of paths and labels, in every form that `table_files` reads."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from autotl.builtin.sources import columns, targets
from autotl.builtin.sources.columns import LOOKED_AT, Columns, is_true, part_by_flag
from autotl.builtin.sources.listing import NO_PART, Choices, Item, Listing
from autotl.builtin.sources.names import normal_form, part_of, several_spellings
from autotl.builtin.sources.resolve import Found, Resolver, foreign_prefixes, shown, starts_for
from autotl.builtin.sources.table_files import BAD, EXTRA, Row, Table, bad_cell, text_of, without_header
from autotl.builtin.sources.tree import is_image
from autotl.errors import DatasetError
from autotl.records import Kind, LeftOut, fact

PART_NAMES = "train, val, test or nothing"


def read(table: Table, choices: Choices) -> Listing:
    """Return the images of a table with their labels, parts and groups. Raises `DatasetError`.

    Paths are relative to `choices.root`, by default to the folder of the table; nothing outside it is read.
    """
    root = table.path.parent if choices.root is None else choices.root
    if not root.is_dir():
        raise DatasetError(f"--root {root} is not a folder; expected the folder that paths start from")
    resolver = Resolver(root, (), table.encoding, away=choices.away)
    if not choices.path and any(resolver.find(cell).file for cell in table.header):
        table = without_header(table)
    table, resolver, found = _columns(table, resolver, choices)
    listing = Listing(root=root, is_table=True)
    rows = list(_rows(table, found, resolver, choices, listing))
    _leave_out(rows, listing)
    used = [row for row in rows if row.image.file and EXTRA not in row.cells]
    _items(table, used, found, listing, choices)
    _not_listed(listing)
    _reading(table, resolver, found, used, listing)
    return listing


def strata(table: Table, choices: Choices) -> Iterator[tuple[str, str]]:
    """Yield the file that each row names, and what the row says of class and part, before any image is read.

    Raises `DatasetError` as `read` does.
    """
    root = table.path.parent if choices.root is None else choices.root
    resolver = Resolver(root, (), table.encoding, away=choices.away)
    table, resolver, found = _columns(table, resolver, choices)
    said = [found.label, found.split, found.flag[0] if found.flag else None, *found.one_hot]
    for cells in table.rows():
        image = resolver.find(text_of(cells.get(found.path)))
        if image.file:
            yield image.file, "\0".join(text_of(cells.get(column)) for column in said if column)


class _Row:
    """A row of a table: its cells, its file, and what the columns say of it."""

    __slots__ = ("cells", "domain", "group", "image", "label", "others", "part", "weight")

    def __init__(self, cells: Row, image: Found, label: Any, part: int) -> None:
        self.cells, self.image, self.label, self.part = cells, image, label, part
        self.group: str | None = None
        self.domain: str | None = None
        self.weight: float | None = None
        self.others: tuple[str, ...] = ()


def _columns(table: Table, resolver: Resolver, choices: Choices) -> tuple[Table, Resolver, Columns]:
    """Return the table, where its paths start, and its columns."""
    found = columns.find(table, choices, lambda text: resolver.find(text).file)
    texts = [text_of(row.get(found.path)) for row in islice(table.rows(), LOOKED_AT)]
    places, prefixes = starts(resolver, texts, found.path, choices), foreign_prefixes(resolver, texts)
    if places != (resolver.root,) or prefixes:
        resolver = Resolver(resolver.root, places, table.encoding, prefixes, choices.away)
        found = columns.find(table, choices, lambda text: resolver.find(text).file)
    return table, resolver, found


def starts(resolver: Resolver, texts: Iterable[str], column: str, choices: Choices) -> tuple[Path, ...]:
    """Return the folders that the paths of a column are relative to. Raises `DatasetError` if that is not clear."""
    if choices.root is not None:
        return (resolver.root,)
    return starts_for(resolver, [text for text in texts if text], f"column {column!r}")


def _rows(
    table: Table, found: Columns, resolver: Resolver, choices: Choices, listing: Listing
) -> Iterator[_Row]:
    """Yield the rows that name a file; what cannot be read as a row is left out."""
    for cells in table.rows():
        if BAD in cells:
            longest = csv.field_size_limit()
            listing.leave_out(f"line {cells[BAD]}", Kind.BAD_ROW, problem="long", longest=longest)
            continue
        text = text_of(cells.get(found.path))
        if not text:
            continue
        bad = bad_cell(text) or bad_cell(text_of(cells.get(found.label or "")))
        if bad is not None:
            listing.left_out.append(LeftOut(name=shown(text), reason=bad))
            continue
        label: Any
        if found.one_hot:
            label = [column for column in found.one_hot if is_true(cells.get(column))]
        else:
            label = cells.get(found.label or "")
        group = text_of(cells.get(found.group)) if found.group else ""
        image = resolver.find(text)
        if resolver.is_away(image.file):
            continue  # counted with the sample
        row = _Row(cells, image, label, _part(table, found, cells, image.name))
        row.group = group or None
        row.domain = (text_of(cells.get(found.domain)) or None) if found.domain else None
        if found.weight is not None:
            row.weight = _weight(table, cells.get(found.weight), image.name)
        yield row


def _weight(table: Table, cell: object, name: str) -> float:
    """Return the weight of a row. Raises `DatasetError` for what is no number, or a negative one."""
    try:
        weight = float(text_of(cell))
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise DatasetError(
            f"{table.path} has the weight {text_of(cell)[:40]!r} for {name}; expected a positive number, or 0 for an"
            " image that takes no part; correct it"
        )
    return weight


def _part(table: Table, found: Columns, cells: Row, name: str) -> int:
    """Return the part of a row. Raises `DatasetError` for a value that is no part."""
    if found.flag:
        return part_by_flag(cells, found.flag)
    given = text_of(cells.get(found.split)) if found.split else ""
    if not given:
        return NO_PART
    code_or_none = part_of(given)
    if code_or_none is None:
        raise DatasetError(
            f"{table.path} has the split {given!r} for {name}; expected {PART_NAMES}; correct it, or name another"
            " column with --split"
        )
    return code_or_none


def _leave_out(rows: list[_Row], listing: Listing) -> None:
    for row in rows:
        if row.image.problem is not None:
            listing.leave_out(row.image.name, row.image.problem)
        elif EXTRA in row.cells:
            listing.leave_out(
                row.image.name, Kind.EXTRA_CELLS, cells=[text_of(c) for c in row.cells[EXTRA]][:3]
            )


def _items(table: Table, used: list[_Row], found: Columns, listing: Listing, choices: Choices) -> None:
    where = f"column {found.label!r} of {table.path}" if found.label else str(table.path)
    _others(table, used, found, listing, choices)
    if found.one_hot:
        labels = targets.of_columns([row.label for row in used], choices.target)
    else:
        column = found.label or ""
        labels = targets.read([row.label for row in used], where, choices.target, column)
    by_name: dict[str, list[str]] = {}
    for row, label in zip(used, labels.texts, strict=True):
        if label:
            by_name.setdefault(row.image.name, []).append(label)
    together = targets.merged(by_name, labels, choices.target)
    texts = labels.texts
    if together is not None:
        of_name = dict(zip(by_name, together.texts, strict=True))
        first = {row.image.name: row for row in reversed(used)}
        used = [first[name] for name in dict.fromkeys(row.image.name for row in used)]
        labels, texts = together, [of_name.get(row.image.name, "") for row in used]
    listing.target, listing.column = labels.kind, found.label or ""
    listing.reading += labels.guesses
    if labels.kind == "multiclass":
        listing.reading += several_spellings(texts)
    for row, label in zip(used, texts, strict=True):
        if not label:
            listing.leave_out(row.image.name, Kind.NO_LABEL)
            continue
        if row.weight == 0:
            listing.leave_out(row.image.name, Kind.NO_WEIGHT)
            continue
        listing.items.append(
            Item(
                file=row.image.file,
                name=row.image.name,
                key=row.image.name,
                label=normal_form(label),
                part=row.part,
                group=row.group,
                domain=row.domain,
                weight=row.weight,
                others=row.others,
            )
        )


def _others(table: Table, used: list[_Row], found: Columns, listing: Listing, choices: Choices) -> None:
    """Read the further columns of labels. Raises `DatasetError` where one holds no classes."""
    listing.others = found.others
    columns_read = []
    for column in found.others:
        where = f"column {column!r} of {table.path}"
        labels = targets.read([row.cells.get(column) for row in used], where, choices.target, column)
        if labels.kind != "multiclass":
            raise DatasetError(
                f"{where} holds {labels.kind} labels; expected one class an image in each of several --label columns;"
                " train on it alone, or use --target multiclass to read its values as classes"
            )
        columns_read.append([normal_form(text) for text in labels.texts])
        listing.reading += labels.guesses
    for row, texts in zip(used, zip(*columns_read, strict=True), strict=bool(columns_read)):
        row.others = texts


def _not_listed(listing: Listing) -> None:
    """Leave out the images that no row names, in the folders of those that are named."""
    named = {item.name for item in listing.items} | {left.name for left in listing.left_out}
    for folder in sorted({os.path.dirname(item.name) for item in listing.items}):
        place = os.path.join(listing.root, folder)
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if (
                name not in named
                and not entry.name.startswith(".")
                and entry.is_file()
                and is_image(entry.path)
            ):
                listing.leave_out(name, Kind.NOT_LISTED)


def _reading(table: Table, resolver: Resolver, found: Columns, used: list[_Row], listing: Listing) -> None:
    """State how the table was read, where it could have been read in another way."""
    values: dict[str, Any] = dict(table.reading)
    for (how, by), _ in reversed(Counter(row.image.changed for row in used).most_common()):
        if how:
            values[how] = by  # the commonest last
    if resolver.starts != (resolver.root,):
        values["root"] = [f"{os.path.relpath(start, resolver.root)}/" for start in resolver.starts]
    if resolver.prefixes:
        values["prefix"] = list(resolver.prefixes)
    if found.no_parts:
        values["no_parts"] = list(found.no_parts)
    if found.one_hot:
        values["one_hot"] = list(found.one_hot[:6])
        if listing.target == "multiclass":
            values["one_class"] = True
    if values or found.guessed:
        names = {"path": found.path, "label": found.label, "split": found.split}
        names |= {"group": found.group, "weight": found.weight, "flag": found.flag[0] if found.flag else None}
        roles = {role: name for role, name in names.items() if name is not None}
        values |= {"others": list(found.others)} if found.others else {}
        listing.reading.append(fact(Kind.READ_TABLE, file=table.path.name, **roles, **values))


def paths(table: Table) -> Iterator[tuple[str, str]]:
    """Yield path and file of each row of a table without labels. Raises `DatasetError` without such a column."""
    resolver = Resolver(table.path.parent, (), table.encoding)
    sample = list(islice(table.rows(), LOOKED_AT))
    column, _ = columns.path_column(table, sample, None, lambda text: resolver.find(text).file)
    for row in table.rows():
        name = text_of(row.get(column))
        if name:
            image = resolver.find(name)
            yield name, image.file or str(table.path.parent / name)
