"""The result of a reader: the files of a source with their labels, before any file is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from autotl.builtin.sources import sampling
from autotl.errors import DatasetError
from autotl.options import LAYOUTS
from autotl.records import Fact, Finding, Kind, LeftOut, TargetName, fact

MODALITY = "image"
TEST = 2  # index into PARTS
NO_PART = -1

INCLUDED = ("hidden", "masks")  # values of ``--include``


@dataclass(frozen=True, slots=True)
class Item:
    """A file that is taken for an image by its name or its first bytes."""

    file: str  # absolute
    name: str  # relative to `Listing.root`, "/" as separator
    key: str  # relative to the folder that was listed: what --group is searched in
    label: str  # a class; the shortest text of a number; a JSON list of classes, sorted
    part: int  # index into PARTS, or NO_PART
    group: str | None = None
    weight: float | None = None
    domain: str | None = None
    others: tuple[str, ...] = ()  # classes by the further columns of `Listing.others`; "" for no label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beyond:
    """Images in the files of a source that a sample leaves out, a few bytes each: there may be many millions."""

    files: Sequence[str]  # absolute paths of what holds them
    file: np.ndarray  # (k,) int64: place in `files`
    offset: np.ndarray  # (k,) int64
    size: np.ndarray  # (k,) int64
    labels: Sequence[str]  # as `Item.label`; "": of no image of the sample
    label: np.ndarray  # (k,) int64: place in `labels`


@dataclass(slots=True)
class Listing:
    """Files of a source: items, files that are left out, and how the source was read."""

    root: Path  # names are relative to it
    items: list[Item] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    reading: list[Fact] = field(default_factory=list)  # each guess, one fact
    findings: list[Finding] = field(default_factory=list)
    is_table: bool = False
    target: TargetName = "multiclass"  # kind of the labels; `Item.label` is a class, a number or a JSON list
    column: str = ""  # of the labels in a table
    others: tuple[str, ...] = ()  # further columns of labels
    not_sampled: int = 0  # images that a sample leaves out, besides
    beyond: Beyond | None = None  # those of them that may train

    def leave_out(self, name: str, kind: Kind, **values: object) -> None:
        """Add a file that is left out."""
        self.left_out.append(LeftOut(name=name, reason=fact(kind, **values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The user's options on the data; None and empty stand for a guess."""

    test: str | None = None
    group: str | None = None
    domain: str | None = None
    path: str | None = None
    label: str | None = None
    others: tuple[str, ...] = ()  # further columns of labels
    split: str | None = None
    weight: str | None = None
    root: Path | None = None
    encoding: str | None = None
    target: str | None = None
    layout: str | None = None
    include: frozenset[str] = frozenset()
    ignore_case: bool = False
    crops: bool = False
    sample: int = sampling.MOST  # images that take part, about; 0: all
    # Images at an address that a sample leaves out and that were not copied: names by the folder they would lie in.
    away: Mapping[str, Collection[str]] = field(default_factory=dict)
    unlabelled: Path | None = None  # a folder whose images have no labels, wherever it lies


def choices_of(options: Mapping[str, str]) -> Choices:
    """Return the options of the hook `load_dataset` as values. Raises `DatasetError` for an unknown value."""
    layout, include = options.get("layout"), options.get("include", "")
    names = frozenset(name.strip() for name in include.split(",") if name.strip())
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"the layout {layout!r} is not known; expected one of {', '.join(LAYOUTS)}")
    if names - set(INCLUDED):
        unknown = min(names - set(INCLUDED))
        raise DatasetError(f"{unknown!r} cannot be included; expected one of {', '.join(INCLUDED)}")
    root, unlabelled = options.get("root"), options.get("unlabelled")
    label, *others = options["label"].split("\n") if "label" in options else [None]
    return Choices(
        test=options.get("test"),
        group=options.get("group"),
        domain=options.get("domain"),
        path=options.get("path"),
        label=label,
        others=tuple(map(str, others)),
        split=options.get("split"),
        weight=options.get("weight"),
        root=None if root is None else Path(root),
        encoding=options.get("encoding"),
        target=options.get("target"),
        layout=layout,
        include=names,
        ignore_case=options.get("ignore_case", "") == "True",
        crops=options.get("crops", "") == "True",
        sample=int(options.get("sample", sampling.MOST)),
        unlabelled=None if unlabelled is None else Path(unlabelled),
    )


def like(listing: Listing, choices: Choices) -> Choices:
    """Return the choices for further labels of the same data: what the first were seen to be, they are too."""
    known = choices.target is not None or listing.target == "multiclass"
    return choices if known else replace(choices, target=listing.target)
