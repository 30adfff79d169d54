"""Dataset, measurements of its items → Profile: counts, sizes, quality. numpy only."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb

import numpy as np

from autotl import modality
from autotl.records import Dataset, Finding, Kind, LabelSetProfile, NumberProfile, Profile
from autotl.stats import values

SHOWN = 20  # names in a finding
FEW = 30  # items of a class
WEIGHTY = 10  # items of a class, from which it may weigh as much as the others
PICTURES = 6  # of odd images, that are shown
SURELY = 0.01  # chance, up to which images of another colour are said to be of one class
BINS = 20  # of the distribution of numbers, at most
FAR_OUT = 3.0  # interquartile ranges beyond the quartiles
IMBALANCED = 10  # largest class / smallest class, above which it is a finding


def profile(data: Dataset, statistics: np.ndarray) -> Profile:
    """Return the profile of a data set from the columns that decoding measured (NaN rows were not decoded).

    `statistics` (n, columns) are those of `modality.Modality.decode`.
    """
    kind = modality.get(data.modality)
    target = values.of(data.labels)
    is_number = isinstance(target, values.Numbers)
    hits = np.ones((len(data.labels), 1)) if is_number else target.targets(data.labels, len(data.classes))
    counts, trains = (hits[rows].sum(0).astype(int) for rows in (data.given >= -1, data.given != 2))
    trains = trains[trains > 0]
    return Profile(
        images=len(data.files),
        classes=data.classes,
        counts=tuple(counts.tolist()),
        imbalance=round(float(trains.max() / trains.min()), 6),
        target=data.targets[0].kind,
        others=tuple(target.name for target in data.targets[1:]),
        numbers=_numbers(data.labels) if is_number else None,
        label_sets=_label_sets(data) if isinstance(target, values.LabelSets) else None,
        findings=(
            *(_outliers(data) if is_number else _balance(data, counts)),
            *_alike(data.classes),
            *(_of_quality(data, kind_of, rows) for kind_of, rows in kind.quality(statistics)),
        ),
        **kind.describe(statistics),
    )


def unread(
    names: np.ndarray, present: np.ndarray, errors: Mapping[int, str], late: Kind = Kind.NO_TIME
) -> list[Finding]:
    """Return the findings on items that could not be decoded, and on those that were not reached in time, of kind `late`.

    `names` and `present` are (n,) of the items; `errors` holds a reason by row.
    """
    findings = []
    if errors:
        where = tuple(str(names[row]) for row in sorted(errors)[:SHOWN])
        findings.append(Finding(kind=Kind.BROKEN, count=len(errors), where=where, action="left_out"))
    if not_reached := int((~present).sum()) - len(errors):
        findings.append(Finding(kind=late, count=not_reached, action="left_out"))
    return findings


def _of_quality(data: Dataset, kind: Kind, rows: np.ndarray) -> Finding:
    """Return the finding of some odd images; of those with another colour than the rest also of which class they are."""
    shown = tuple((name,) for name in _names(data, rows[:PICTURES]))
    found = Finding(kind=kind, count=len(rows), where=_names(data, rows), pairs=shown, certainty=0.7)
    if kind not in (Kind.GRAY, Kind.COLOURED) or data.targets[0].kind != "multiclass":
        return found
    own, all_of = (
        np.bincount(labels, minlength=len(data.classes)) for labels in (data.labels[rows], data.labels)
    )
    label = int((own / np.maximum(all_of, 1)).argmax())
    chance = _at_least(int(own[label]), len(rows), int(all_of[label]), len(data.labels)) * len(data.classes)
    if chance > SURELY or own[label] <= len(rows) / 2:
        return found
    return replace(found, values={"label": data.classes[label], "of_label": int(own[label])})


def _at_least(hits: int, drawn: int, marked: int, count: int) -> float:
    """Return the chance that of some things drawn without replacement at least `hits` are among the marked ones."""
    ways = (comb(marked, n) * comb(count - marked, drawn - n) for n in range(hits, min(drawn, marked) + 1))
    return sum(ways) / comb(count, drawn)


def _numbers(labels: np.ndarray) -> NumberProfile:
    """Return the distribution of numbers (n,)."""
    counts, edges = np.histogram(labels, min(BINS, max(1, len(np.unique(labels)))))
    shares = np.quantile(labels, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
    return NumberProfile(
        mean=_six(labels.mean()),
        deviation=_six(labels.std()),
        quantiles=tuple(map(_six, shares)),
        distinct=len(np.unique(labels)),
        edges=tuple(map(_six, edges)),
        counts=tuple(counts.tolist()),
    )


def _six(value: float) -> float:
    """Return a number with six significant digits, as it is written."""
    return float(f"{float(value):.6g}")


def _outliers(data: Dataset) -> list[Finding]:
    """List numbers far outside: three times the interquartile range beyond the quartiles (Tukey 1977)."""
    low, high = np.quantile(data.labels, (0.25, 0.75))
    reach = FAR_OUT * (high - low)
    if reach <= 0:
        return []
    rows = np.flatnonzero((data.labels < low - reach) | (data.labels > high + reach))
    rows = rows[np.argsort(-np.abs(data.labels[rows] - (low + high) / 2), kind="stable")]
    if not len(rows):
        return []
    ends = {"low": _six(low - reach), "high": _six(high + reach)}
    return [
        Finding(kind=Kind.OUTLIERS, values=ends, count=len(rows), where=_names(data, rows), certainty=0.7)
    ]


def _label_sets(data: Dataset) -> LabelSetProfile:
    """Return how many labels images have, and which go together."""
    labels = data.labels.astype(np.int64)
    both = np.triu(labels.T @ labels, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:SHOWN]
    pairs = [divmod(int(cell), len(data.classes)) for cell in order if both.flat[cell]]
    return LabelSetProfile(
        mean=round(float(labels.sum(1).mean()), 6),
        most=int(labels.sum(1).max(initial=0)),
        without=int((~labels.any(1)).sum()),
        together=tuple((data.classes[a], data.classes[b], int(both[a, b])) for a, b in pairs),
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
