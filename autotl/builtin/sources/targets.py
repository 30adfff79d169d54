"""Recognise the target of the labels in a table: one class, several, or a number for each image."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotl.builtin.sources.names import normal_form, squeezed
from autotl.builtin.sources.table_files import text_of
from autotl.errors import DatasetError
from autotl.records import Fact, Kind, TargetName, fact

__all__ = ["Labels", "merged", "numbers_of", "of_columns", "read"]

SEPARATORS = ",;|"
# What joins labels, but the words of one name as well: only where each member is a label alone, too.
JOINERS = (" ", "/", "+", "&", " and ")
UNIQUE = 10  # rows, from which labels that never repeat are no classes
SPREAD = 20  # whole numbers, from which those that hardly repeat are no classes,
REPEATED = 3.0  # i.e. rows a number, with fewer of which they are none
MISSING = {"", "na", "n/a", "nan", "none", "null", "?", "-", "#n/a", "inf", "-inf"}  # among numbers
# Usual names of columns of numbers, without spaces, signs and case.
MEASURED = (
    "age", "count", "counts", "price", "weight", "height", "width", "length", "area", "volume", "angle", "distance",
    "temperature", "rating", "percentage", "percent", "concentration", "yield", "biomass", "bmi", "depth",
)  # fmt: skip
A_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")
SPACED = re.compile(r"(?<=\d)[ '\u2019\u00a0\u202f](?=\d{3}(?!\d))")  # between groups of three digits
TWO_MEANINGS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # 1,234


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of some rows in the form of `Item.label`, "" where there is none, and what was guessed."""

    kind: TargetName
    texts: list[str]
    guesses: list[Fact]
    guessed: bool = False  # the kind was not asked for


def read(labels: Sequence[Any], where: str, target: str | None, column: str = "") -> Labels:
    """Return the labels of a column, of the kind that `target` says or that they look like.

    A class is its name, a number its shortest text, a set of labels a JSON list. Raises `DatasetError` for objects, for
    names that never repeat, and for what is no number where numbers were asked for.
    """
    _refuse_objects(labels, where)
    texts = [_text(label) for label in labels]
    if target == "regression":
        numbers, guesses = numbers_of(texts, where)
        return Labels("regression", numbers, guesses)
    if target == "multilabel":
        return Labels("multilabel", [_set(label, _separator(texts)) for label in labels], [])
    counts = Counter(text for text in texts if text)
    if target is not None:
        return Labels("multiclass", texts, [])
    if _are_numbers(counts, column):  # first: a decimal comma is no separator of labels
        numbers, _ = numbers_of([text if text.casefold() not in MISSING else "" for text in texts], where)
        found = sorted(float(text) for text in numbers if text)
        return Labels(
            "regression",
            numbers,
            [
                fact(
                    Kind.READ_NUMBERS,
                    where=column or where,
                    low=found[0],
                    high=found[-1],
                    distinct=len(set(found)),
                    rows=len(found),
                )
            ],
            guessed=True,
        )
    several = _example_of_several(labels, counts)
    if several is not None:
        sets = [_set(label, _separator(texts)) for label in labels]
        return Labels("multilabel", sets, [_read_sets(several)], guessed=True)
    if len(counts) == counts.total() >= UNIQUE:
        example = next(iter(counts))
        numbers_too = ", or use --target regression for the numbers in them" if _hold_numbers(counts) else ""
        raise DatasetError(
            f"{where} never repeats a label: {counts.total():,} rows, as many values, such as {example!r}; expected"
            f" classes with several images; name another column with --label{numbers_too}"
        )
    return Labels("multiclass", texts, [*_joined(counts), *_whole_numbers(counts), *_gaps(counts)])


def of_columns(rows: Sequence[Sequence[str]], target: str | None) -> Labels:
    """Return the labels of rows by the names of their columns that hold 1.

    One column in each row is its class; any number of them are several labels.
    """
    several = next((row for row in rows if len(row) > 1), None)
    if target == "multilabel" or (target is None and several is not None):
        sets = [_written(row) for row in rows]
        guesses = [] if target is not None else [_read_sets(", ".join(several or ()))]
        return Labels("multilabel", sets, guesses, guessed=target is None)
    if target == "regression":
        raise DatasetError(
            "columns of 0 and 1 are labels; expected one column of numbers for --target regression; name it with --label"
        )
    return Labels("multiclass", [", ".join(row) for row in rows], [])


def merged(by_name: Mapping[str, Sequence[str]], labels: Labels, target: str | None) -> Labels | None:
    """Return the labels of images that have a row for each of theirs, one for each name in order; None where few do.

    Twice one image is a slip; many images in several rows have several labels.
    """
    several = {name: texts for name, texts in by_name.items() if len(set(texts)) > 1}
    often = len(several) >= 3 and len(several) >= 0.1 * len(by_name)
    if labels.kind == "regression" or target == "multiclass" or not several:
        return None
    if labels.kind == "multiclass" and not often:
        return None
    sets = [
        _written(
            name
            for text in texts
            for name in (json.loads(text) if labels.kind == "multilabel" and text else [text])
            if name
        )
        for texts in by_name.values()
    ]
    name, texts = next(iter(several.items()))
    guess = _read_sets(f"{name}: {', '.join(dict.fromkeys(texts))}")
    return Labels("multilabel", sets, labels.guesses or [guess], guessed=target is None)


def numbers_of(texts: Sequence[str], where: str) -> tuple[list[str], list[Fact]]:
    """Return labels as numbers, "" where there is none, and that they stand in names, such as 2 in ``grade 2``.

    Raises `DatasetError` with the first that holds no number.
    """
    groups = _groups_mark(texts, where)
    numbers = [_number(text, groups) if text else None for text in texts]
    strange = next(
        (text for text, number in zip(texts, numbers, strict=True) if text and number is None), None
    )
    if strange is None:
        return ["" if number is None else repr(number) for number in numbers], []
    inside = [A_NUMBER.findall(text) for text in texts]
    beside = {A_NUMBER.sub("", text).strip().casefold() for text in texts if text}
    without = next((text for text, each in zip(texts, inside, strict=True) if text and len(each) != 1), None)
    if len(beside) > 1 or without is not None:
        raise DatasetError(
            f"{where} holds {without or strange!r}, which is no number; expected a number in each label for"
            " --target regression; correct it, or use --target multiclass"
        )
    found = [_number(each[0]) if text else None for text, each in zip(texts, inside, strict=True)]
    guess = fact(Kind.READ_GRADES, label=strange, number=found[texts.index(strange)])
    return ["" if number is None else repr(number) for number in found], [guess]


def _read_sets(example: str) -> Fact:
    return fact(Kind.READ_SETS, example=example)


def _written(names: Iterable[str]) -> str:
    """Return a set of labels as the text of `Item.label`: sorted, each once."""
    return json.dumps(sorted({normal_form(name) for name in names}), ensure_ascii=False)


def _set(label: Any, separator: str) -> str:
    """Return the set of labels in a cell; "" for an empty cell, which says nothing."""
    items = _items(label)
    if items is not None:
        return _written(item for item in items if item)
    text = text_of(label)
    if not text:
        return ""
    return _written(_split(text, separator))


def _separator(texts: Sequence[str]) -> str:
    """Return what stands between the labels of a column: the commonest sign, or a space; "" for neither."""
    signs = Counter(sign for text in texts for sign in SEPARATORS if sign in text)
    if signs:
        return max(signs, key=lambda sign: (signs[sign], SEPARATORS.index(sign)))
    alone = set(texts)
    joined = Counter(joiner for text in texts if (joiner := _joiner(text, alone)))
    return max(joined, key=lambda joiner: joined[joiner], default="")


def _joiner(text: str, labels: Container[str]) -> str:
    """Return what joins several labels in a text, each of which is also a label alone; "" if it is one label."""
    for joiner in JOINERS:
        members = _split(text, joiner)
        if len(members) > 1 and all(member in labels for member in members):
            return joiner
    return ""


def _split(text: str, separator: str) -> list[str]:
    parts = text.split() if separator == " " else text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


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


def _refuse_objects(labels: Sequence[Any], where: str) -> None:
    for label in labels:
        if isinstance(label, dict):
            raise DatasetError(
                f"{where} holds objects, such as {str(label)[:60]!r}; expected a class for each image; annotations of"
                " boxes and outlines are not read: cut the objects out and label each cut"
            )


def _example_of_several(labels: Sequence[Any], counts: Counter[str]) -> str | None:
    """Return a cell with several labels; None where each cell is one."""
    for label in labels:
        items = _items(label)
        if items is not None and len(items) > 1:
            return ", ".join(items)
    split = {label: _members(label) for label in counts}
    joined = {label: members for label, members in split.items() if len(members) > 1}
    appearances = Counter(member for members in split.values() for member in set(members))
    for label, members in joined.items():
        if any(appearances[member] > 1 for member in members):
            return label
    return next((label for label in counts if _joiner(label, counts)), None)


def _joined(counts: Counter[str]) -> list[Fact]:
    """Return that labels with commas are one class each."""
    label = next((label for label in counts if len(_members(label)) > 1), None)
    return [] if label is None else [fact(Kind.READ_JOINED, label=label)]


def _gaps(counts: Counter[str]) -> list[Fact]:
    """Return that words which often stand for no label are read as classes."""
    gaps = [label for label in counts if label.casefold() in MISSING and label]
    return [fact(Kind.READ_GAPS, labels=sorted(gaps))] if gaps else []


def _hold_numbers(counts: Counter[str]) -> bool:
    try:
        numbers_of(list(counts), "")
    except DatasetError:
        return False
    return True


def _whole_numbers(counts: Counter[str]) -> list[Fact]:
    """Return that whole numbers are read as classes, where there are so many that they may be an amount."""
    if len(counts) < SPREAD or any(_number(label) is None for label in counts):
        return []
    return [fact(Kind.READ_NUMBERED, classes=len(counts), example=next(iter(counts)))]


def _members(label: str) -> list[str]:
    separator = next((mark for mark in reversed(SEPARATORS) if mark in label), None)
    if separator is None:
        return [label]
    return [member for member in (part.strip() for part in label.split(separator)) if member]


def _are_numbers(counts: Counter[str], column: str) -> bool:
    """Return whether labels are numbers to predict: fractions, or whole numbers that hardly repeat or are an amount."""
    mark = _groups_mark(list(counts))
    found = {label: _number(label, mark) for label in counts if label.casefold() not in MISSING}
    numbers = [number for number in found.values() if number is not None]
    if not numbers or len(numbers) < len(found):
        return False
    rows, distinct = sum(counts[label] for label in found), len(found)
    if any(not number.is_integer() for number in numbers) or distinct == rows >= UNIQUE:
        return True
    if squeezed(column) in MEASURED and distinct > UNIQUE:
        return True
    return distinct >= SPREAD and rows < REPEATED * distinct


def _groups_mark(texts: Iterable[str], where: str | None = None) -> str:
    """Return the mark between groups of three digits in numbers, a comma or a point; "" where there is none.

    With `where`, raises `DatasetError` when 1,234 may be a thousand or a fraction.
    """
    marks = {
        "," if text.rfind(",") < text.rfind(".") else "." for text in texts if "," in text and "." in text
    }
    marks |= {mark for mark in ",." for text in texts if text.count(mark) > 1}
    with_comma = [text for text in texts if "," in text]
    if where is not None and not marks and with_comma and all(map(TWO_MEANINGS.fullmatch, with_comma)):
        example = with_comma[0]
        point, plain = example.replace(",", "."), example.replace(",", "")
        raise DatasetError(
            f"{where} holds numbers such as {example!r}, which may be {point} or {plain}; expected a decimal point and"
            f" no other marks; write {point} or {plain}, or use --target multiclass"
        )
    return marks.pop() if len(marks) == 1 else ""


def _number(text: str, groups: str = "") -> float | None:
    """Return a number, which may have a decimal comma, as the same Excel writes it that writes semicolons, and marks
    between `groups` of three digits; None for what is none.
    """
    plain = SPACED.sub("", text)
    if groups:
        decimal = "," if groups == "." else "."
        if not re.fullmatch(
            rf"[+-]?\d{{1,3}}(?:{re.escape(groups)}?\d{{3}})*(?:{re.escape(decimal)}\d+)?", plain
        ):
            return None
        plain = plain.replace(groups, "")
    if re.fullmatch(r"[+-]?\d+,\d+", plain):
        plain = plain.replace(",", ".")
    try:
        number = float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
