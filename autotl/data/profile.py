"""Dataset, measurements of its items → Profile: counts, sizes, quality. numpy only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from autotl import modality
from autotl.records import Dataset, Finding, Kind, Profile

SHOWN = 20  # names in a finding
FEW = 30  # items of a class
WEIGHTY = 10  # items of a class, from which it may weigh as much as the others
IMBALANCED = 10  # largest class / smallest class, above which it is a finding


def profile(data: Dataset, statistics: np.ndarray) -> Profile:
    """Return the profile of a data set from the columns that decoding measured (NaN rows were not decoded).

    `statistics` (n, columns) are those of `modality.Modality.decode`.
    """
    kind = modality.get(data.modality)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    trains = np.bincount(data.labels[data.given != 2], minlength=len(data.classes))
    trains = trains[trains > 0]
    return Profile(
        images=len(data.files),
        classes=data.classes,
        counts=tuple(counts.tolist()),
        imbalance=round(float(trains.max() / trains.min()), 6),
        findings=(
            *_balance(data, counts),
            *_alike(data.classes),
            *(
                Finding(kind=slug, count=len(rows), where=_names(data, rows), certainty=0.7)
                for slug, rows in kind.quality(statistics)
            ),
        ),
        **kind.describe(statistics),
    )


def imbalance(counts: np.ndarray) -> float:
    """Return largest / smallest class by images that may be chosen by, without classes of hardly any; 1 for one class.

    Where every class weighs the same, a class of three images would decide by one of them.
    """
    weighty = counts[counts >= WEIGHTY]
    return float(weighty.max() / weighty.min()) if len(weighty) else 1.0


def _balance(data: Dataset, counts: np.ndarray) -> list[Finding]:
    findings = []
    present = counts[counts > 0]
    if present.max() > IMBALANCED * present.min():
        rare = _classes(data, counts <= present.max() / IMBALANCED)
        ratio = round(float(present.max() / present.min()), 6)
        findings.append(
            Finding(kind=Kind.IMBALANCE, values={"ratio": ratio}, count=len(rare), where=tuple(rare[:SHOWN]))
        )
    scarce = _classes(data, (counts > 0) & (counts < FEW))
    if scarce:
        values = {"least": FEW, "classes": len(present)}
        findings.append(Finding(kind=Kind.FEW, values=values, count=len(scarce), where=tuple(scarce[:SHOWN])))
    return findings


def _alike(classes: Sequence[str]) -> list[Finding]:
    """List classes whose names differ only by case, accents, spaces or signs: more likely a slip than a difference."""
    of_plain: dict[str, list[str]] = {}
    for name in classes:
        letters = unicodedata.normalize("NFKD", name).casefold()
        of_plain.setdefault("".join(filter(str.isalnum, letters)), []).append(name)
    alike = [name for plain, names in of_plain.items() if plain and len(names) > 1 for name in names]
    if not alike:
        return []
    return [Finding(kind=Kind.CLASSES_ALIKE, count=len(alike), where=tuple(alike[:SHOWN]), certainty=0.8)]


def _classes(data: Dataset, mask: np.ndarray) -> list[str]:
    return [data.classes[index] for index in np.flatnonzero(mask)]


def _names(data: Dataset, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in data.names[rows[:SHOWN]])
