"""manifest.csv: what was used and what was left out, and why. Row i is row i of the data set.

Behind them come the items without a label, those of another source, and the files that are no items.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic_write
from autotl.errors import RunError
from autotl.records import PARTS, Columns, Dataset, Kind, Split, TargetName, fact
from autotl.report import wording
from autotl.report.format import csv_line, uncelled
from autotl.stats import values

COLUMNS = ("path", "label", "part", "fold", "group", "finding")
LEFT_OUT = "left out"
UNLABELLED = "unlabelled"  # in place of a part
RELATED = "another source"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """The rows that were read back, left-out files aside."""

    path: Path
    names: np.ndarray  # (n,) object
    label: np.ndarray  # (n,) object: display names, numbers or JSON lists of names
    part: np.ndarray  # (n,) int8, -1 for rows that took no part
    fold: np.ndarray  # (n,) int8
    group: np.ndarray | None  # (n,) int64
    unlabelled: tuple[
        str, ...
    ] = ()  # names of the items without a label, as many as there are in the decoded images

    def labels(self, classes: tuple[str, ...], target: TargetName = "multiclass") -> np.ndarray:
        """Return the labels, class indices (n,) int64 if they are multiclass. Raises `RunError` for any other label."""
        try:
            return values.of_kind(target).read(self.label.tolist(), classes)
        except ValueError as error:
            what = "a number" if target == "regression" else f"one of result.json: {', '.join(classes[:5])}"
            raise RunError(
                f"{self.path} has the label {str(error)!r}, expected {what}; restore the file"
            ) from error

    def columns(self, classes: tuple[str, ...], folds: int, target: TargetName = "multiclass") -> Columns:
        """Return the columns of the run: labels in the order of `classes`, rows in the order of the file.

        Raises `RunError` for a label that is none of `classes`.
        """
        return Columns(
            labels=self.labels(classes, target),
            part=self.part,
            fold=self.fold,
            group=self.group,
            order=np.arange(len(self.label)),
            classes=classes,
            folds=folds,
            target=target,
        )


def write(
    path: Path,
    data: Dataset,
    split: Split,
    reasons: Mapping[int, str] | None = None,
    unused: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write the manifest.

    `reasons` say why a row of the data set took no part, `unused` why an item that stands under `UNLABELLED` or `RELATED`
    is not learned from.
    """
    reasons = reasons or {}
    not_reached = wording.sentence(fact(Kind.NOT_REACHED))
    others = data.targets[1:]
    lines = [csv_line((*COLUMNS, *(f"label:{target.name}" for target in others)))]
    nothing = ("",) * len(others)
    kind = values.of(data.labels)
    for row, name in enumerate(data.names):
        code = int(split.part[row])
        fold = int(split.fold[row])
        columns = (
            str(name),
            kind.text(data.labels[row], data.classes),
            PARTS[code] if code >= 0 else LEFT_OUT,
            fold if fold >= 0 else "",
            "" if data.group is None else int(data.group[row]),
            reasons.get(row, "" if code >= 0 else not_reached),
            *(target.classes[target.values[row]] if target.values[row] >= 0 else "" for target in others),
        )
        lines.append(csv_line(columns))
    left_out = list(data.left_out)
    if data.unlabelled is not None:
        why = (unused or {}).get(UNLABELLED, {})
        lines += [
            csv_line((str(name), "", UNLABELLED, "", "", why.get(number, ""), *nothing))
            for number, name in enumerate(data.unlabelled.names)
        ]
        left_out += data.unlabelled.left_out
    if data.related is not None:
        why = (unused or {}).get(RELATED, {})
        shown = zip(data.related.names, data.related.labels, strict=True)
        lines += [
            csv_line((str(name), data.classes[label], RELATED, "", "", why.get(number, ""), *nothing))
            for number, (name, label) in enumerate(shown)
        ]
        left_out += data.related.left_out
    lines += [
        csv_line((left.name, "", LEFT_OUT, "", "", wording.sentence(left.reason), *nothing))
        for left in left_out
    ]
    atomic_write(path, "".join(lines))


def read(path: Path) -> Manifest:
    """Read the rows that are items of the data set. Raises `RunError` when the file is missing or damaged."""
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise RunError(
                    f"{path} is not a manifest of autotl; expected the columns {', '.join(COLUMNS)}"
                )
            rows = [_row(row, path, reader.line_num) for row in reader]
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); expected the manifest of a run") from error
    except csv.Error as error:
        raise RunError(
            f"{path} cannot be read ({error}); expected the manifest of a run; restore the file"
        ) from error
    unlabelled = tuple(uncelled(row["path"]) for row in rows if row["part"] == UNLABELLED)
    rows = [row for row in rows if row["label"] != "" and row["part"] != RELATED]
    grouped = any(row["group"] for row in rows)
    return Manifest(
        path=path,
        names=np.array([uncelled(row["path"]) for row in rows], object),
        label=np.array([uncelled(row["label"]) for row in rows], object),
        part=np.array([_CODES[row["part"]] for row in rows], np.int8),
        fold=np.array([int(row["fold"] or -1) for row in rows], np.int8),
        group=np.array([int(row["group"] or -1) for row in rows], np.int64) if grouped else None,
        unlabelled=unlabelled,
    )


_CODES: dict[str, int] = {
    **{name: code for code, name in enumerate(PARTS)},
    LEFT_OUT: -1,
    UNLABELLED: -1,
    RELATED: -1,
}
_FOLD, _GROUP = re.compile(r"\d{0,2}"), re.compile(r"\d{0,18}")


def _row(row: dict[str, str], path: Path, line: int) -> dict[str, str]:
    """Return a row of the file. Raises `RunError` for one that autotl did not write."""
    whole = None not in row and None not in row.values()
    if (
        not whole
        or row["part"] not in _CODES
        or not (_FOLD.fullmatch(row["fold"]) and _GROUP.fullmatch(row["group"]))
    ):
        raise RunError(
            f"{path}: line {line} is not a row of a manifest; expected {', '.join(COLUMNS)} as autotl writes them;"
            " restore the file"
        )
    return row
