"""Dataset, image statistics → Profile: counts, sizes, quality, duplicates. numpy only."""

from __future__ import annotations

import numpy as np

from autotl.pixels import STATISTICS
from autotl.records import Dataset, Finding, Profile

SHOWN = 20
NEAR_BITS = 3  # of 64 in which the difference hashes of near duplicates may differ
FEW = 30


def profile(data: Dataset, statistics: np.ndarray, hashes: np.ndarray) -> Profile:
    """What the data are, from the columns of `pixels.Decoded` (NaN rows were not decoded)."""
    column = {name: statistics[:, index] for index, name in enumerate(STATISTICS)}
    seen = ~np.isnan(column["width"])
    shorter = np.minimum(column["width"], column["height"])[seen]
    counts = np.bincount(data.labels, minlength=len(data.classes))
    trains = np.bincount(data.labels[data.given != 2], minlength=len(data.classes))
    trains = trains[trains > 0]
    return Profile(
        images=len(data.files),
        classes=data.classes,
        counts=tuple(counts.tolist()),
        imbalance=round(float(trains.max() / trains.min()), 6),
        side=int(np.median(shorter)) if len(shorter) else 0,
        sides=_quantiles(shorter),
        gray=round(float((column["colour"][seen] < 1.0).mean()), 6) if seen.any() else 0.0,
        alpha=round(float(column["alpha"][seen].mean()), 6) if seen.any() else 0.0,
        bytes=int(column["bytes"][seen].sum()),
        findings=(
            *_balance(data, counts),
            *_duplicates(data),
            *_near_duplicates(data, hashes, seen),
            *_quality(data, column, seen),
        ),
    )


def _quantiles(shorter: np.ndarray) -> tuple[int, int]:
    if not len(shorter):
        return (0, 0)
    return int(np.quantile(shorter, 0.05)), int(np.quantile(shorter, 0.95))


def _balance(data: Dataset, counts: np.ndarray) -> list[Finding]:
    findings = []
    present = counts[counts > 0]
    if present.max() > 10 * present.min():
        rare = [name for name, count in zip(data.classes, counts, strict=True) if count <= present.max() / 10]
        findings.append(
            Finding(
                kind="imbalance",
                what=f"the largest class has {present.max() / present.min():.0f} times the images of the smallest",
                count=len(rare),
                where=tuple(rare[:SHOWN]),
                action="kept; classes may be weighted",
            )
        )
    scarce = [name for name, count in zip(data.classes, counts, strict=True) if 0 < count < FEW]
    if scarce:
        findings.append(
            Finding(
                kind="few",
                what=f"{len(scarce)} classes have fewer than {FEW} images",
                count=len(scarce),
                where=tuple(scarce[:SHOWN]),
                action="kept",
            )
        )
    return findings


def _duplicates(data: Dataset) -> list[Finding]:
    """Byte-equal files: harmless within a part, a leak across given parts, a contradiction across labels."""
    if data.digests is None:
        return []
    _, inverse, sizes = np.unique(data.digests.astype(str), return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(sizes[inverse] > 1)
    return _copies(data, repeated, inverse[repeated], "duplicate", "byte-equal to another image", 1.0)


def _near_duplicates(data: Dataset, hashes: np.ndarray, seen: np.ndarray) -> list[Finding]:
    """Images whose difference hashes agree in all but a few bits, found by sorting each 16-bit quarter.

    Two hashes that differ in at most 3 bits share at least one of four quarters, so only rows that do
    are compared. Flat images have no hash to speak of and are left aside.
    """
    rows = np.flatnonzero(seen & (np.bitwise_count(hashes) > 8) & (np.bitwise_count(hashes) < 56))
    if len(rows) < 2:
        return []
    parent = np.arange(len(rows))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    marks = hashes[rows]
    for quarter in range(4):
        key = (marks >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)
        order = np.argsort(key, kind="stable")
        bounds = np.flatnonzero(np.diff(key[order])) + 1
        for bucket in np.split(order, bounds):
            if not 1 < len(bucket) <= 400:  # a fuller bucket says that its bits say nothing
                continue
            apart = np.bitwise_count(marks[bucket][:, None] ^ marks[bucket][None, :])
            for one, other in zip(*np.nonzero(np.triu(apart <= NEAR_BITS, 1)), strict=True):
                parent[root(int(bucket[one]))] = root(int(bucket[other]))
    family = np.array([root(index) for index in range(len(rows))])
    _, inverse, sizes = np.unique(family, return_inverse=True, return_counts=True)
    near = np.flatnonzero(sizes[inverse] > 1)
    return _copies(data, rows[near], inverse[near], "near_duplicate", "nearly equal to another image", 0.8)


def _copies(
    data: Dataset, rows: np.ndarray, family: np.ndarray, kind: str, what: str, sure: float
) -> list[Finding]:
    if not len(rows):
        return []
    findings = [
        Finding(
            kind=kind,
            what=f"{len(rows)} images are {what}",
            count=len(rows),
            where=_names(data, rows),
            certainty=sure,
            action="kept",
        )
    ]
    members = [rows[family == number] for number in np.unique(family)]
    leaks = [m for m in members if len({int(part) for part in data.given[m] if part >= 0}) > 1]
    if leaks:
        findings.append(
            Finding(
                kind="leak",
                what=f"{len(leaks)} times an image of one given part is {what} in another, so scores there flatter",
                count=len(leaks),
                where=_names(data, np.concatenate(leaks)),
                certainty=sure,
                action="kept as given",
            )
        )
    torn = [m for m in members if len(set(data.labels[m].tolist())) > 1]
    if torn and kind == "duplicate":
        findings.append(
            Finding(
                kind="conflict",
                what=f"{len(torn)} times equal images carry different labels",
                count=len(torn),
                where=_names(data, np.concatenate(torn)),
                action="kept",
            )
        )
    return findings


def _quality(data: Dataset, column: dict[str, np.ndarray], seen: np.ndarray) -> list[Finding]:
    shape = np.maximum(column["width"], column["height"]) / np.minimum(column["width"], column["height"])
    checks = (
        ("dark", column["brightness"] < 20, "almost black"),
        ("bright", column["brightness"] > 248, "almost white"),
        ("flat", column["contrast"] < 2, "without structure"),
        ("blurred", (column["sharpness"] < 1.5) & (column["contrast"] >= 2), "blurred"),
        ("tiny", np.minimum(column["width"], column["height"]) < 16, "smaller than 16 pixels"),
        ("long", shape > 4, "more than four times as long as wide; their middle is used"),
    )
    findings = []
    for kind, mask, what in checks:
        rows = np.flatnonzero(mask & seen)
        if len(rows):
            findings.append(
                Finding(
                    kind=kind,
                    what=f"{len(rows)} images are {what}",
                    count=len(rows),
                    where=_names(data, rows),
                    certainty=0.7,
                    action="kept",
                )
            )
    return findings


def _names(data: Dataset, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in data.names[rows[:SHOWN]])
