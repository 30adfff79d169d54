"""Recognise the target of the labels in a table. Several labels an image, and numbers to predict, are refused by name."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from autotl.builtin.sources.table_files import text_of
from autotl.errors import DatasetError
from autotl.records import Fact, Kind, fact

SEPARATORS = ",;|"
UNIQUE = 10  # rows, from which labels that never repeat are no classes

SEVERAL = (
    "{where} has several labels for one image, such as {example!r}; expected one class for each image, because autotl"
    " does not train on several; keep one label a row, or use --target multiclass to read each combination as a"
    " class of its own"
)
NUMBERS = (
    "{where} holds numbers, such as {example!r}, with {distinct:,} values in {rows:,} rows; expected classes, because"
    " autotl does not predict numbers; bin them into classes, or use --target multiclass if each value is a class"
)


def classes_of(labels: Sequence[Any], where: str, target: str | None) -> tuple[list[str], list[Fact]]:
    """Return the labels as names of classes, "" where there is none, and what was guessed.

    Raises `DatasetError` for several labels an image, numbers to predict and names that never repeat, unless
    `target` says that they are classes.
    """
    if target is None:
        _refuse_lists(labels, where)
    texts = [_text(label) for label in labels]
    counts = Counter(text for text in texts if text)
    if target is not None:
        return texts, []
    _refuse_numbers(counts, where)  # first: a decimal comma is no separator of labels
    reading = _refuse_several(counts, where)
    if len(counts) == counts.total() >= UNIQUE:
        example = next(iter(counts))
        raise DatasetError(
            f"{where} never repeats a label: {counts.total():,} rows, as many values, such as {example!r}; expected"
            " classes with several images; name another column with --label"
        )
    return texts, reading


def refuse_repeated(labels_by_name: dict[str, list[str]], where: str, target: str | None) -> None:
    """Raise `DatasetError` where many images are listed once for each of several labels."""
    several = {name: labels for name, labels in labels_by_name.items() if len(set(labels)) > 1}
    if target is None and len(several) >= 3 and len(several) >= 0.1 * len(labels_by_name):
        name, labels = next(iter(several.items()))
        raise DatasetError(SEVERAL.format(where=where, example=f"{name}: {', '.join(dict.fromkeys(labels))}"))


def class_of(columns: Sequence[str], where: str, target: str | None) -> str:
    """Return the class of a row whose `columns` of 0 and 1 hold 1, "" for none. Raises `DatasetError` for several."""
    if len(columns) > 1 and target is None:
        raise DatasetError(SEVERAL.format(where=where, example=", ".join(columns)))
    return ", ".join(columns)


def _text(label: Any) -> str:
    items = _items(label)
    return text_of(label) if items is None else ", ".join(items)


def _items(label: Any) -> list[str] | None:
    """Return the members of a label that is a list, also of one that is written as text; None for others."""
    if isinstance(label, list | tuple | set):
        return [text_of(item) for item in label]
    if isinstance(label, str) and re.fullmatch(r"\s*\[.*\]\s*", label, re.DOTALL):
        try:
            items = json.loads(label.replace("'", '"'))
        except ValueError:
            return None
        return [text_of(item) for item in items]
    return None


def _refuse_lists(labels: Sequence[Any], where: str) -> None:
    for label in labels:
        if isinstance(label, dict):
            raise DatasetError(
                f"{where} holds objects, such as {str(label)[:60]!r}; expected a class for each image; annotations of"
                " boxes and outlines are not read: cut the objects out and label each cut"
            )
        items = _items(label)
        if items is not None and len(items) > 1:
            raise DatasetError(SEVERAL.format(where=where, example=", ".join(items)))


def _refuse_several(counts: Counter[str], where: str) -> list[Fact]:
    """Raise `DatasetError` where parts of the labels are labels themselves; state commas that mean nothing."""
    split = {label: _members(label) for label in counts}
    joined = {label: members for label, members in split.items() if len(members) > 1}
    appearances = Counter(member for members in split.values() for member in set(members))
    for label, members in joined.items():
        if any(appearances[member] > 1 for member in members):
            raise DatasetError(SEVERAL.format(where=where, example=label))
    for label in counts:  # spaces join words of one name as well, so each word must be a label
        tokens = label.split()
        if len(tokens) > 1 and all(token in counts for token in tokens):
            raise DatasetError(SEVERAL.format(where=where, example=label))
    return [fact(Kind.READ_JOINED, label=next(iter(joined)))] if joined else []


def _members(label: str) -> list[str]:
    separator = next((mark for mark in reversed(SEPARATORS) if mark in label), None)
    if separator is None:
        return [label]
    return [member for member in (part.strip() for part in label.split(separator)) if member]


def _refuse_numbers(counts: Counter[str], where: str) -> None:
    numbers = [_number(label) for label in counts]
    if not numbers or any(number is None for number in numbers):
        return
    rows, distinct = counts.total(), len(counts)
    fractions = any(number is not None and not number.is_integer() for number in numbers)
    if fractions or (distinct == rows >= UNIQUE):
        example = next(
            (label for label, n in zip(counts, numbers, strict=True) if n and not n.is_integer()),
            next(iter(counts)),
        )
        raise DatasetError(NUMBERS.format(where=where, example=example, distinct=distinct, rows=rows))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        # a decimal comma, as the same Excel writes it that writes semicolons
        if not re.fullmatch(r"[+-]?\d+,\d+", text):
            return None
        number = float(text.replace(",", "."))
    return number if math.isfinite(number) else None
