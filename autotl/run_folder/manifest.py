"""manifest.csv: what was used and what was left out, and why. Row i is row i of the data set."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic_write
from autotl.errors import RunError
from autotl.records import PARTS, Columns, Dataset, Kind, Split, fact
from autotl.report import wording

COLUMNS = ("path", "label", "part", "fold", "group", "finding")
LEFT_OUT = "left out"
MISREAD = ("=", "+", "-", "@", "\t", "\r", "'")  # what makes a cell a formula, and the mark against it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """The rows that were read back, left-out files aside."""

    names: np.ndarray  # (n,) object
    label: np.ndarray  # (n,) object: display names
    part: np.ndarray  # (n,) int8, -1 for rows that took no part
    fold: np.ndarray  # (n,) int8
    group: np.ndarray | None  # (n,) int64

    def labels(self, classes: tuple[str, ...]) -> np.ndarray:
        """Return class indices (n,) int64 in the order of `classes`. Raises `KeyError` for any other label."""
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index[name] for name in self.label], np.int64)

    def columns(self, classes: tuple[str, ...], folds: int) -> Columns:
        """Return the columns of the run: labels in the order of `classes`, rows in the order of the file.

        Raises `KeyError` for a label that is none of `classes`.
        """
        return Columns(
            labels=self.labels(classes),
            part=self.part,
            fold=self.fold,
            group=self.group,
            order=np.arange(len(self.label)),
            classes=classes,
            folds=folds,
        )


def write(path: Path, data: Dataset, split: Split, reasons: dict[int, str] | None = None) -> None:
    """Write the manifest; `reasons` say why a row of the data set took no part."""
    reasons = reasons or {}
    not_reached = wording.sentence(fact(Kind.NOT_REACHED))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, name in enumerate(data.names):
        code = int(split.part[row])
        fold = int(split.fold[row])
        writer.writerow(
            (
                _as_text(name),
                _as_text(data.classes[int(data.labels[row])]),
                PARTS[code] if code >= 0 else LEFT_OUT,
                fold if fold >= 0 else "",
                "" if data.group is None else int(data.group[row]),
                reasons.get(row, "" if code >= 0 else not_reached),
            )
        )
    for left in data.left_out:
        writer.writerow((_as_text(left.name), "", LEFT_OUT, "", "", wording.sentence(left.reason)))
    atomic_write(path, out.getvalue())


def _as_text(name: str) -> str:
    """Return a cell that a spreadsheet takes for text: names are a stranger's, and one may be a formula."""
    return "'" + name if name.startswith(MISREAD) else name


def _from_text(cell: str) -> str:
    return cell.removeprefix("'")


def read(path: Path) -> Manifest:
    """Read the rows that are items of the data set. Raises `RunError` when there is no manifest."""
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise RunError(
                    f"{path} is not a manifest of autotl; expected the columns {', '.join(COLUMNS)}"
                )
            rows = [row for row in reader if row["label"] != ""]
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); expected the manifest of a run") from error
    codes: dict[str, int] = {name: code for code, name in enumerate(PARTS)}
    grouped = any(row["group"] for row in rows)
    return Manifest(
        names=np.array([_from_text(row["path"]) for row in rows], object),
        label=np.array([_from_text(row["label"]) for row in rows], object),
        part=np.array([codes.get(row["part"], -1) for row in rows], np.int8),
        fold=np.array([int(row["fold"] or -1) for row in rows], np.int8),
        group=np.array([int(row["group"]) for row in rows], np.int64) if grouped else None,
    )
