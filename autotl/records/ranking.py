"""Records of the ranking: scores, learning curves and depth profiles before any training."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records.decision import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A backbone's place before any training, and why."""

    backbone: str
    input_size: int
    expected: float  # what the ranking goes by: accuracy promised, a fraction
    prior: float | None = None  # what the backbone promises on any data, at its native input size
    scores: tuple[tuple[str, float], ...] = ()
    rows: int = 0  # how many images it was judged on; 0: by prior alone
    seconds_per_image: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPoint:
    """What the features after a layer group tell of the labels, each image judged by the others."""

    depth: int  # layer groups passed, from 1; the last is what enters the classifier
    linear: float  # accuracy of a ridge classifier
    knn: float  # accuracy of nearest neighbours
    width: int  # of the pooled features


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthProfile:
    """How a frozen backbone's features grow with depth on these data, before anything is trained."""

    backbone: str
    size: int  # input, pixels
    points: tuple[DepthPoint, ...]  # shallow to deep
    rows: int  # images it was measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """How much a score, or the prior, weighs in a run's ranking beside the linear probe."""

    score: str
    usual: float  # its weight as learnt on other data
    weight: float  # here, by how it agrees
    agreement: float | None = None  # Kendall's tau with this run's linear probes
    backbones: int = 0  # that were compared
    says: str = ""  # why it counts for less, a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A linear probe's accuracy on growing subsamples, and what more images should add."""

    backbone: str
    input_size: int
    rows: tuple[int, ...]  # images it was fitted on
    scores: tuple[float, ...]  # accuracy there, every image judged by fits that had not seen it
    more: int  # images beyond the last of `rows`
    gain: Interval  # of accuracy, by so many
    fits: tuple[float, ...] = ()  # accuracy on the images that were fitted on
    asymptote: Interval | None = None  # of `scores`; named only where they and `fits` have both flattened


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The order before any training."""

    ranked: tuple[Ranked, ...]
    notes: tuple[str, ...] = ()
    growth: tuple[Growth, ...] = ()  # of the first few
    believed: tuple[Believed, ...] = ()
