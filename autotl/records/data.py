"""Records of the data: items, targets, profile and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Part = Literal["train", "select", "test"]


PARTS: tuple[Part, ...] = ("train", "select", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something seen in the data: what, where, how sure, and what was done about it."""

    kind: str  # a slug: broken, hidden, duplicate, leak, imbalance, few, shared_group, one_sided_class, ...
    what: str  # one sentence
    count: int = 0  # how many items it concerns
    where: tuple[str, ...] = ()  # some of their names, at most 20
    certainty: float = 1.0
    action: str = ""  # what autotl did: "left out", "kept", ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that was found and not used."""

    name: str  # relative to the source, "/" as separator
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What is to be predicted of each item."""

    name: str
    kind: Literal["multiclass"]
    classes: tuple[str, ...]  # display names; `values` index them
    values: np.ndarray  # (n,) int64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled items. Row i is line i of manifest.csv; left-out files follow behind."""

    source: str  # as the user gave it
    modality: Literal["image"]
    files: np.ndarray  # (n,) absolute paths, dtype object
    names: np.ndarray  # (n,) names relative to the source, dtype object; unique
    targets: tuple[Target, ...]  # one, today
    given: np.ndarray  # (n,) int8: index into PARTS of the part the source gave, -1 where it gave none
    group: np.ndarray | None = None  # (n,) int64: rows of one number stay together
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()
    digests: np.ndarray | None = None  # (n,) content digest of each file as text: equal files, equal digests
    fingerprint: str = ""  # of contents, labels, parts and groups; independent of where the folder lies

    @property
    def classes(self) -> tuple[str, ...]:
        """Display names of the classes of the one target."""
        return self.targets[0].classes

    @property
    def labels(self) -> np.ndarray:
        """Class index of each row, (n,) int64."""
        return self.targets[0].values


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """How far the images lie inside a source domain, as seen by the reference backbone."""

    domain: str
    value: float
    low: float
    high: float
    word: Literal["near", "middling", "far"]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the data are, before any training."""

    images: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]  # images a class, in the order of `classes`, all parts together
    imbalance: float  # largest class / smallest class, of what trains
    side: int  # median of the images' shorter sides, pixels
    sides: tuple[int, int]  # 5 % and 95 % quantiles of the shorter sides
    gray: float  # share of images without colour
    alpha: float  # share of images with an alpha channel that is used
    bytes: int
    findings: tuple[Finding, ...] = ()
    similarity: tuple[Similarity, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Which row does what. Subsamples are prefixes of `order`, so a smaller one lies inside a larger."""

    part: np.ndarray  # (n,) int8: index into PARTS
    fold: np.ndarray  # (n,) int8: fold of a train row where folds > 0, else -1
    order: np.ndarray  # (n,) int64: permutation; any prefix is stratified and holds every class early
    folds: int  # 0: the select part is one set of rows; k: selection is out-of-fold over train
    select_from: Literal["given", "held out", "out-of-fold"]
    test_from: Literal["given", "held out"] | None
    grouped: bool
    seed: int
    reason: str  # one or two sentences
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """The columns that a decision rests on, one entry a row: what `manifest.csv` holds and a run hands on."""

    labels: np.ndarray  # (n,) int64: class index
    part: np.ndarray  # (n,) int8: index into PARTS, -1 for rows that take no part
    fold: np.ndarray  # (n,) int8: fold of a train row where folds > 0, else -1
    group: np.ndarray | None  # (n,) int64: rows of one number stay together
    order: np.ndarray  # (n,) int64: permutation that nested subsamples are prefixes of
    classes: tuple[str, ...]
    folds: int = 0  # 0: the select part is one set of rows; k: selection is out-of-fold over train
