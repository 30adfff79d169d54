"""Dataset, image statistics → Profile: counts, sizes, quality, duplicates. numpy only."""

from __future__ import annotations

import numpy as np

from autotl.data import duplicates
from autotl.data.image_store import STATISTICS
from autotl.records import Dataset, Finding, Profile

SHOWN = 20
FEW = 30


def profile(data: Dataset, statistics: np.ndarray, thumbnails: np.ndarray) -> Profile:
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
            *_near_duplicates(data, thumbnails, seen),
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
                what=f"fewer than {FEW} images in {len(scarce)} of {len(present)} classes",
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
    order = np.argsort(inverse, kind="stable")
    families = [family for family in np.split(order, np.cumsum(sizes)[:-1]) if len(family) > 1]
    return _copies(data, families, "duplicate", "byte-equal", 1.0)


def _near_duplicates(data: Dataset, thumbnails: np.ndarray, seen: np.ndarray) -> list[Finding]:
    """Copies that were saved again. Families of byte-equal files alone are duplicates, and not told twice."""
    families = duplicates.families(thumbnails, np.flatnonzero(seen))
    if data.digests is not None:
        families = [family for family in families if len(set(data.digests[family].tolist())) > 1]
    return _copies(data, families, "near_duplicate", "nearly equal", 0.9)


def _times(found: list[np.ndarray]) -> str:
    return "once" if len(found) == 1 else f"{len(found)} times"


def _copies(data: Dataset, families: list[np.ndarray], kind: str, equal: str, sure: float) -> list[Finding]:
    """What `families` of equal images are to whoever trains and scores on them."""

    def finding(kind: str, some: list[np.ndarray], count: int, what: str, action: str = "kept") -> Finding:
        names = _names(data, np.concatenate(some))  # side by side, so that one sees what is alike
        return Finding(kind=kind, what=what, count=count, where=names, certainty=sure, action=action)

    if not families:
        return []
    count = sum(map(len, families))
    findings = [finding(kind, families, count, f"{count} images are {equal} to another")]
    leaks = [family for family in families if len(np.unique(data.given[family][data.given[family] >= 0])) > 1]
    if leaks:
        what = f"{_times(leaks)} images of different given parts are {equal}, so scores there flatter"
        findings.append(finding("leak", leaks, len(leaks), what, "kept as given"))
    torn = [family for family in families if len(np.unique(data.labels[family])) > 1]
    if torn:
        what = f"{_times(torn)} images that are {equal} carry different labels"
        findings.append(finding("conflict", torn, len(torn), what))
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
