"""Dataset, measurements of its items → Profile: counts, sizes, quality, duplicates. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autotl import modality
from autotl.data import duplicates
from autotl.records import Dataset, Finding, Kind, Profile

SHOWN = 20  # names in a finding
FEW = 30  # items of a class
WEIGHTY = 10  # items of a class, from which it may weigh as much as the others
IMBALANCED = 10  # largest class / smallest class, above which it is a finding


def profile(data: Dataset, statistics: np.ndarray, thumbnails: np.ndarray) -> Profile:
    """Return the profile of a data set from the columns that decoding measured (NaN rows were not decoded).

    `statistics` (n, columns) and `thumbnails` (n, S, S, 3) uint8 are those of `modality.Modality.decode`.
    """
    kind = modality.get(data.modality)
    decoded = ~np.isnan(statistics[:, 0])
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
            *_duplicates(data),
            *_near_duplicates(data, thumbnails, decoded),
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


def _classes(data: Dataset, mask: np.ndarray) -> list[str]:
    return [data.classes[index] for index in np.flatnonzero(mask)]


def _duplicates(data: Dataset) -> list[Finding]:
    """List byte-equal files: harmless within a part, a leak across given parts, a conflict across labels."""
    if data.digests is None:
        return []
    _, inverse, sizes = np.unique(data.digests.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    families = [family for family in np.split(order, np.cumsum(sizes)[:-1]) if len(family) > 1]
    return _families(data, families, exact=True)


def _near_duplicates(data: Dataset, thumbnails: np.ndarray, decoded: np.ndarray) -> list[Finding]:
    """List copies that were saved again. Byte-equal files alone are left to `_duplicates`."""
    families = duplicates.families(thumbnails, np.flatnonzero(decoded))
    if data.digests is not None:
        families = [family for family in families if len(set(data.digests[family].tolist())) > 1]
    return _families(data, families, exact=False)


def _families(data: Dataset, families: Sequence[np.ndarray], *, exact: bool) -> list[Finding]:
    """Return what `families` of equal images mean for training and for scores."""

    def finding(kind: Kind, some: Sequence[np.ndarray], count: int) -> Finding:
        names = _names(data, np.concatenate(some))  # side by side, so that one sees what is alike
        certainty = 1.0 if exact else 0.9
        return Finding(kind=kind, values={"exact": exact}, count=count, where=names, certainty=certainty)

    if not families:
        return []
    kind = Kind.DUPLICATE if exact else Kind.NEAR_DUPLICATE
    findings = [finding(kind, families, sum(map(len, families)))]
    leaks = [family for family in families if len(np.unique(data.given[family][data.given[family] >= 0])) > 1]
    if leaks:
        findings.append(finding(Kind.LEAK, leaks, len(leaks)))
    conflicts = [family for family in families if len(np.unique(data.labels[family])) > 1]
    if conflicts:
        findings.append(finding(Kind.CONFLICT, conflicts, len(conflicts)))
    return findings


def _names(data: Dataset, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in data.names[rows[:SHOWN]])
