"""Labelled images of another source, for ``--source``: matched to the classes of the data by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from autotl.builtin.sources.unlabelled import way_to
from autotl.errors import DatasetError
from autotl.plugins.manager import Plugins
from autotl.records import Dataset, Finding, Kind, LeftOut, Related, fact

SHOWN = 20  # names in a finding
MOST_NAMED = 5  # in a message


def read(source: str, data: Dataset, plugins: Plugins) -> Related:
    """Return the images of another source whose classes the data have, too, whatever part they are in there.

    Names are the same where they differ in case, spaces, hyphens and underscores alone. Raises `DatasetError` for a
    source that cannot be read, that shares no class, or whose labels are no classes, as those of the data have to be.
    """
    other = _labelled(source, data, plugins)
    place = matched(other.classes, data.classes)
    if not place:
        raise DatasetError(
            f"--source {source} has no class of DATA ({_some(other.classes)}; DATA has {_some(data.classes)}); expected "
            "the same names; rename its folders"
        )
    rows = np.flatnonzero(np.isin(other.labels, list(place)))
    prefix = _prefix(other, data)
    unmatched = [
        LeftOut(name=str(name), reason=fact(Kind.CLASS_NOT_IN_DATA, label=other.classes[int(label)]))
        for name, label in zip(other.names, other.labels, strict=True)
        if int(label) not in place
    ]
    return Related(
        source=source,
        files=other.files[rows],
        names=np.array([f"{prefix}/{name}" for name in other.names[rows]], object),
        labels=np.array([place[int(label)] for label in other.labels[rows]], np.int64),
        digests=None if other.digests is None else other.digests[rows],
        findings=tuple(_of_classes(source, other, data, place)),
        left_out=tuple(
            LeftOut(name=f"{prefix}/{out.name}", reason=out.reason) for out in (*unmatched, *other.left_out)
        ),
    )


def _labelled(source: str, data: Dataset, plugins: Plugins) -> Dataset:
    """Return the other source. Raises `DatasetError` unless its labels and those of the data are classes."""
    other = plugins.load_dataset(source, {})
    if other is None:
        raise DatasetError(
            f"nothing here can read --source {source}; expected labelled images, as DATA may be"
        )
    kinds = {dataset.targets[0].kind for dataset in (data, other)}
    if kinds != {"multiclass"}:
        raise DatasetError(
            f"--source {source}: the labels are {' and '.join(sorted(kinds))}; expected one class an image, in DATA and "
            "there; leave --source out"
        )
    return other


def _of_classes(source: str, other: Dataset, data: Dataset, place: Mapping[int, int]) -> list[Finding]:
    """Return how many images and classes are learned from, and which of its classes the data do not have."""
    missing = [name for number, name in enumerate(other.classes) if number not in place]
    learned_from = int(np.isin(other.labels, list(place)).sum())
    findings = [
        Finding(
            kind=Kind.RELATED_READ,
            values={"source": source, "classes": len(place), "of": len(data.classes)},
            count=learned_from,
        )
    ]
    if missing:
        findings.append(
            Finding(
                kind=Kind.RELATED_UNMATCHED,
                values={"classes": len(missing)},
                count=len(other.labels) - learned_from,
                where=tuple(missing[:SHOWN]),
                action="left_out",
            )
        )
    return findings


def _prefix(other: Dataset, data: Dataset) -> str:
    """Return the way from the data's folder to the other source's, which its names begin with."""
    path = os.path.abspath(other.root or other.source)
    return way_to(path if os.path.isdir(path) else os.path.dirname(path), data)


def matched(theirs: Sequence[str], own: Sequence[str]) -> Mapping[int, int]:
    """Return the index of a class in `own` by its index in `theirs`, for those whose names are the same.

    >>> matched(("Cat", "guide_dog", "horse"), ("cat", "guide dog"))
    {0: 0, 1: 1}
    """
    exact = {name: number for number, name in enumerate(own)}
    keys: dict[str, list[int]] = {}
    for number, name in enumerate(own):
        keys.setdefault(_key(name), []).append(number)
    places = {}
    for number, name in enumerate(theirs):
        alike = keys.get(_key(name), [])
        if name in exact:
            places[number] = exact[name]
        elif len(alike) == 1:
            places[number] = alike[0]
    return places


def of_copies(data: Dataset, found: Mapping[int, int]) -> list[Finding]:
    """Return that images of the other source are copies of images of the data; they are not learned from."""
    if not found:
        return []
    names = tuple(str(data.names[row]) for row in list(found.values())[:SHOWN])
    return [
        Finding(kind=Kind.RELATED_COPIES, count=len(found), where=names, certainty=0.9, action="left_out")
    ]


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
