"""Names, EXIF and features → undeclared groups, and test images that differ from the others. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from autotl.data import copies, crops, groups
from autotl.data.capture_keys import capture_keys
from autotl.data.shift import shifted
from autotl.data.shortcuts import OfClass, shortcut
from autotl.records import Dataset, Finding, Kind
from autotl.records.data import GroupFrom
from autotl.stats import values
from autotl.stats.sides import known_images, on_several

SHOWN = 20  # names in a finding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Diagnosis:
    """The findings, and the groups that a split keeps whole."""

    findings: tuple[Finding, ...] = ()
    group: np.ndarray | None = None  # (n,) int64: found here; None: nothing is to be held together
    group_from: GroupFrom = "names"
    parts: tuple[
        np.ndarray, ...
    ] = ()  # rows of images that show parts of one picture, and are in no group yet


def together(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Return pooled features (m, d_i) of several layer groups side by side, each centred and of equal weight."""
    parts = []
    for layer in layers:
        centred = layer.astype(np.float32) - layer.astype(np.float32).mean(0)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        parts.append(centred / (np.maximum(length, 1e-9) * np.sqrt(len(layers))))
    return np.concatenate(parts, axis=1)


def rows_to_examine(data: Dataset, usable: np.ndarray, *, most_tests: int, seed: int = 0) -> np.ndarray:
    """Return the rows whose features are needed: those that train, in blocks of neighbours, then given test rows.

    Both in an order of which any beginning is a sample.
    """
    generator = np.random.default_rng(seed)
    trains = groups.sample(data.names, np.flatnonzero(usable & (data.given != 2)), generator)
    tests = generator.permutation(np.flatnonzero(usable & (data.given == 2)))[:most_tests]
    return np.concatenate([trains, tests])


def diagnose(
    data: Dataset,
    rows: np.ndarray,
    features: np.ndarray,
    *,
    backbone: str = "",
    pictures: crops.Pictures | None = None,
    metadata: Mapping[str, np.ndarray] | None = None,
    auto_group: bool = True,
    seed: int = 0,
) -> Diagnosis:
    """Return what names and the features (m, d) of `rows` show; `features` are those of `together`, of the `backbone`.

    With the `metadata` (n,) of all files also what camera and time show, with the `pictures` of the rows which of them
    show parts of one.
    """
    findings: list[Finding] = []
    suspected = None
    if data.group is None or data.group_from == "copies":
        trains = data.given[rows] != 2
        names = data.names.tolist()
        labels = values.of(data.labels).strata(data.labels)
        suspected = groups.suspected(
            names, labels, rows[trains], features[trains], others=capture_keys(metadata or {}), seed=seed
        )
        if suspected is None:
            findings += _of_frames(data, groups.frames(names, labels, rows[trains], features[trains]))
    held = suspected is not None and suspected.safe and auto_group
    if suspected is not None:
        judged = int((data.given[rows] != 2).sum())
        findings.append(_of_groups(data, suspected, held=held, backbone=backbone, judged=judged))
    group = data.group if suspected is None else suspected.key.group
    findings += _of_shift(data, rows, features, group, seed)
    found = suspected.key.group if held and suspected is not None else None
    parts: list[np.ndarray] = []
    if pictures is not None:
        together_already = found if found is not None else data.group
        of_rows = None if together_already is None else together_already[rows]
        families = crops.families(rows, features, pictures, group=of_rows, seed=seed)
        parts = copies.outside(found, copies.outside(data.group, copies.unequal(data, families)))
        findings += copies.of_parts(data, parts)
    in_names = suspected is None or suspected.key.by == "names"
    return Diagnosis(
        findings=tuple(findings),
        group=found,
        group_from="names" if in_names else "capture",
        parts=tuple(parts),
    )


def of_metadata(
    data: Dataset,
    metadata: Mapping[str, np.ndarray],
    usable: np.ndarray,
    group: np.ndarray | None,
    *,
    seed: int = 0,
) -> list[Finding]:
    """Return whether metadata (n,) by field, of the `usable` rows (n,) bool that train, predict the labels."""
    rows = np.flatnonzero(usable & (data.given != 2))
    of_rows = {name: values[rows] for name, values in metadata.items()}
    kind = values.of(data.labels)
    labels, strata = kind.strata(data.labels), kind.strata_names(data.labels, data.classes)
    found = shortcut(of_rows, labels[rows], None if group is None else group[rows], seed=seed)
    if found is None:
        return []
    pairs = tuple(dict.fromkeys(_names(data, rows[list(sign.rows)]) for sign in found.signs))
    signs = [asdict(sign) | {"label": strata[sign.label]} for sign in found.signs]
    return [
        Finding(
            kind=Kind.SHORTCUT,
            values={
                "score": found.score,
                "chance": found.chance,
                "p": found.p,
                "fields": dict(found.fields),
                **({} if found.of_class is None else {"of_class": _of_class(found.of_class, strata)}),
                "signs": [{name: value for name, value in sign.items() if name != "rows"} for sign in signs],
            },
            count=len(rows),
            pairs=pairs,
            certainty=round(1 - found.p, 6),
        )
    ]


def _of_class(found: OfClass, strata: Sequence[str]) -> dict[str, str | float]:
    return {"label": strata[found.label], "share": found.share, "others": found.others}


def expression_held(findings: Sequence[Finding]) -> str | None:
    """Return the expression of the groups that were found in the names and kept whole, None without one."""
    for finding in findings:
        if finding.kind is Kind.GROUPS and finding.action == "held_together":
            return str(finding.values["expression"]) or None
    return None


def _of_groups(data: Dataset, of: groups.Suspected, *, held: bool, backbone: str, judged: int) -> Finding:
    largest = np.argsort(-np.bincount(of.key.group), kind="stable")[:3]
    pairs = tuple(_names(data, np.array(pair)) for pair in of.pairs)
    return Finding(
        kind=Kind.GROUPS,
        values={
            "by": of.key.by,
            "expression": of.key.expression,
            "examples": [of.key.keys[number] for number in largest if of.key.keys[number]],
            "images": of.images,
            "measured": {name: getattr(of, name) for name in ("nearest", "chance", "random", "whole")},
            "shared": len(on_several(data.given, of.key.group)),
            "parts": known_images(data.given, of.key.group),
            "backbone": backbone,
            "judged": judged,
            "held": held,
            "safe": of.safe,
        },
        count=of.groups,
        where=tuple(name for pair in pairs for name in pair)[:SHOWN],
        pairs=pairs,
        certainty=0.9,
        action="held_together" if held else "kept",
    )


def _of_frames(data: Dataset, frames: groups.Frames | None) -> list[Finding]:
    """Return whether images follow each other as the frames of a film; where one ends the names do not say."""
    if frames is None:
        return []
    pairs = tuple(_names(data, np.array(pair)) for pair in frames.pairs)
    return [
        Finding(
            kind=Kind.FRAMES,
            values={"nearest": frames.nearest, "chance": frames.chance},
            count=frames.images,
            pairs=pairs,
            certainty=0.9,
        )
    ]


def _of_shift(
    data: Dataset, rows: np.ndarray, features: np.ndarray, group: np.ndarray | None, seed: int
) -> list[Finding]:
    """Return whether the test images that the source gave differ from the others."""
    test = data.given[rows] == 2
    if test.all() or not test.any():
        return []
    of_rows = None if group is None else group[rows]
    kind = values.of(data.labels)
    strata = kind.strata_names(data.labels, data.classes)
    shift = shifted(features, test, kind.strata(data.labels)[rows], of_rows, seed=seed)
    if shift is None:
        return []
    pairs = tuple(
        _names(data, np.array(pair)) for pair in zip(rows[shift.other], rows[shift.most], strict=True)
    )
    return [
        Finding(
            kind=Kind.TEST_IMAGES_DIFFER,
            values={
                "area": shift.auc,
                "p": shift.p,
                "classes": [strata[label] for label in shift.classes]
                if len(shift.classes) < len(strata)
                else [],
                "grouped": group is not None,
            },
            count=int((data.given == 2).sum()),
            where=tuple(name for pair in pairs for name in pair)[:SHOWN],
            pairs=pairs,
            certainty=0.99,
        )
    ]


def _names(data: Dataset, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in data.names[rows[:SHOWN]])
