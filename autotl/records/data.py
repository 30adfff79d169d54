"""Records of the data: items, targets, profile and split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from autotl.records.facts import Fact, Kind

Part = Literal["train", "select", "test"]


Action = Literal["kept", "left_out", "held_together"]


GroupFrom = Literal[
    "declared", "names", "capture", "copies"
]  # by the user, found in the names, found in EXIF's camera or time, nearly equal images alone


TargetName = Literal["multiclass", "multilabel", "regression"]
# keys of `autotl.stats.target_kinds.TARGET_KINDS`
ModalityName = Literal["image"]  # see `autotl.modality.get`


PARTS: tuple[Part, ...] = ("train", "select", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fact about some items of the data: which items, how certain it is, and what autotl did with them."""

    kind: Kind  # of finding
    values: dict[str, Any] = field(
        default_factory=dict
    )  # JSON-able; its sentence is made of these and `count`
    count: int = 0  # number of items, classes or groups that it concerns
    where: tuple[str, ...] = ()  # names of some of them, at most 20
    pairs: tuple[tuple[str, ...], ...] = ()  # names to be looked at side by side
    certainty: float = 1.0  # 0 to 1
    action: Action = "kept"  # what was done with the items


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file of the source that is not an item of the data set."""

    name: str  # relative to the source, "/" as separator
    reason: Fact  # shown to the user: `autotl.plugin.fact(kind, …)`


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The way from a standardised number to its own unit: number · scale + offset."""

    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A value to predict for each item."""

    name: str  # of the target
    kind: TargetName  # of values
    classes: tuple[str, ...]  # display names of the outputs of a model; of numbers one, that of the target
    # multilabel: a table (n, classes) int8 of 0 and 1; regression: numbers, (n,) float64
    values: np.ndarray  # of the items: (n,) int64, indices into `classes`, if they are multiclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unlabelled:
    """Items without a label, beside those of a data set. They may be learned from; no score is measured on them."""

    source: str  # as the user gave it
    files: np.ndarray  # (m,) absolute paths, dtype object
    names: np.ndarray  # (m,) dtype object; unique, also among the names of the data set
    digests: np.ndarray | None = None  # (m,) content digest of each file as text, as in `Dataset`
    left_out: tuple[LeftOut, ...] = ()  # files of the source that are no items


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Related:
    """Labelled items of another source, which may be learned from. No score is measured on them."""

    source: str  # as the user gave it
    files: np.ndarray  # (k,) absolute paths, dtype object
    names: np.ndarray  # (k,) dtype object, relative to the folder of the data set
    labels: np.ndarray  # (k,) int64: index into the classes of the data set, matched by name
    digests: np.ndarray | None = None  # (k,) content digest of each file as text, as in `Dataset`
    findings: tuple[Finding, ...] = ()  # about classes that could not be matched
    left_out: tuple[
        LeftOut, ...
    ] = ()  # files of the source that are no items, or of classes that are not matched


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unsampled:
    """Labelled items that a sample of a large set leaves out; the final fit may learn from them. None is a test item.

    They are listed, not opened: some may turn out to be unreadable.
    """

    files: np.ndarray  # (k,) absolute paths, dtype object: of the items, or of what they lie in
    labels: np.ndarray  # (k,) as `Target.values` of the main target
    offset: np.ndarray | None = None  # (k,) int64: where an item begins in its file; None: each is a file
    size: np.ndarray | None = None  # (k,) int64: bytes of it
    same_group: np.ndarray | None = (
        None  # (k,) int64: a row of the data set in the same group, -1: none is in it
    )
    weight: np.ndarray | None = None  # (k,) float64, as in `Dataset`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled items. Row i is line i of manifest.csv; left-out files follow behind."""

    source: str  # as the user gave it
    modality: ModalityName  # kind of item
    files: np.ndarray  # (n,) absolute paths, dtype object
    names: np.ndarray  # (n,) names relative to the source, dtype object; unique
    targets: tuple[Target, ...]  # the main one, which a run decides on, first; -1 in the others: no label
    given: np.ndarray  # (n,) int8: index into PARTS of the part the source gave, -1 where it gave none
    group: np.ndarray | None = None  # (n,) int64: rows of one number stay together
    group_from: GroupFrom = "declared"  # where `group` comes from
    domain: np.ndarray | None = None  # (n,) int64: index into `domains`, -1: none
    domains: tuple[str, ...] = ()  # names of cameras, styles or sites, which do not bind the parts
    weight: np.ndarray | None = None  # (n,) float64, positive: how much a row counts in training alone
    left_out: tuple[LeftOut, ...] = ()  # files of the source that are no items
    findings: tuple[Finding, ...] = ()  # that the reader has about the items
    root: str = ""  # folder that names are relative to; empty: the source or its folder
    reading: tuple[Fact, ...] = ()  # how the source was read, where it could have been read in another way
    digests: np.ndarray | None = None  # (n,) content digest of each file as text: equal files, equal digests
    fingerprint: str = ""  # of contents, labels, parts and groups, without paths; may be left out
    unlabelled: Unlabelled | None = None  # items without a label, for strategies that learn from them
    related: Related | None = None  # labelled items of another source, for strategies that learn from them
    unsampled: Unsampled | None = None  # further labelled items of a large set, for the final fit alone

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the display names of the classes of the main target."""
        return self.targets[0].classes

    @property
    def labels(self) -> np.ndarray:
        """Return the values of the main target: the class index of each row, (n,) int64, if it is multiclass."""
        return self.targets[0].values


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Overlap of the images with a source domain in the features of a reference backbone, with a 95% interval."""

    domain: str
    value: float  # 0: a classifier separates the two kinds; 1: it can only guess
    low: float
    high: float
    level: Literal["near", "middling", "far"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledProfile:
    """Description of the items without a label."""

    images: int  # that could be decoded
    usable: int  # of them: those that are no copy of a labelled image
    side: int  # median of the images' shorter sides, pixels
    sides: tuple[int, int]  # 5% and 95% quantiles of the shorter sides
    gray: float  # share of images without colour
    bytes: int  # of all files
    left_out: int  # files that are no images, or cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberProfile:
    """The distribution of the numbers to predict."""

    mean: float
    deviation: float
    quantiles: tuple[float, ...]  # lowest, 5, 25, 50, 75, 95 %, highest
    distinct: int  # values
    edges: tuple[float, ...]  # of bins of equal width,
    counts: tuple[int, ...]  # and the images in each


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSetProfile:
    """Return how many labels images have, and which go together."""

    mean: float  # labels an image
    most: int
    without: int  # images that have none
    together: tuple[
        tuple[str, str, int], ...
    ]  # two classes and the images that have both, most frequent first


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Description of the data before any training."""

    images: int  # number of images
    classes: tuple[str, ...]  # display names
    counts: tuple[int, ...]  # images a class, in the order of `classes`, all parts together
    imbalance: float  # largest class / smallest class, of what trains
    side: int  # median of the images' shorter sides, pixels
    sides: tuple[int, int]  # 5% and 95% quantiles of the shorter sides
    gray: float  # share of images without colour
    alpha: float  # share of images with an alpha channel that is used
    bytes: int  # of all files
    target: TargetName = "multiclass"  # kind of what is predicted
    numbers: NumberProfile | None = None  # of numbers to predict
    label_sets: LabelSetProfile | None = None  # of several labels an image
    elongated: float = 0.0  # share of images whose longer side is at least 1.5 times the shorter
    findings: tuple[Finding, ...] = ()  # about single images, classes or groups
    similarity: tuple[Similarity, ...] = ()  # to source domains, where it was measured
    reading: tuple[Fact, ...] = ()  # how the source was read, where it could have been read in another way
    unlabelled: UnlabelledProfile | None = None  # of the items without a label, where there are any
    related: int | None = None  # labelled images of another source; None: none was given
    others: tuple[str, ...] = ()  # label columns besides the one that the run decides on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Part and fold of every row. Subsamples are prefixes of `order`, so a smaller one is contained in a larger one."""

    part: np.ndarray  # (n,) int8: index into PARTS
    fold: np.ndarray  # (n,) int8: fold of a train row where folds > 0, else -1
    order: np.ndarray  # (n,) int64: permutation; any prefix is stratified and holds every class early
    folds: int  # 0: the select part is one set of rows; k: selection is out-of-fold over train
    select_from: Literal["given", "held out", "out-of-fold"]
    test_from: Literal["given", "held out"] | None
    grouped: bool
    seed: int
    facts: tuple[Fact, ...]  # sizes of the parts, and where select and test come from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """The columns that a decision rests on, one entry a row: what `manifest.csv` holds and a run hands on."""

    labels: np.ndarray  # (n,) int64: class index; of another kind of target as `Target.values`
    part: np.ndarray  # (n,) int8: index into PARTS, -1 for rows that take no part
    fold: np.ndarray  # (n,) int8: fold of a train row where folds > 0, else -1
    group: np.ndarray | None  # (n,) int64: rows of one number stay together
    order: np.ndarray  # (n,) int64: permutation that nested subsamples are prefixes of
    classes: tuple[str, ...]
    folds: int = 0  # 0: the select part is one set of rows; k: selection is out-of-fold over train
    target: TargetName = "multiclass"
    modality: ModalityName = "image"
    weight: np.ndarray | None = None  # (n,) float64: how much a row counts in training
    # (m,) int64: rows of the decoded images, behind those of `labels`, that may be learned from without a label
    unlabelled: np.ndarray | None = None
    related: np.ndarray | None = None  # (k,) int64: rows behind those, of labelled images from another source
    related_labels: np.ndarray | None = None  # (k,) int64: their class indices
    others: tuple[Target, ...] = ()  # further label columns, whose classes a network predicts besides
