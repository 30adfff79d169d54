"""Records of the ranking: scores, learning curves and depth profiles before any training."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records.decision import Interval
from autotl.records.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A backbone at an input size, with its expected accuracy before any training."""

    backbone: str  # its name
    input_size: int  # side, pixels
    expected: float  # accuracy of a linear probe on all train images, a fraction
    prior: float | None = None  # expected on any data, at its native input size
    scores: tuple[tuple[str, float], ...] = ()  # name and value of each score that was computed
    rows: int = 0  # images that its scores were computed on; 0: ranked by its prior alone
    embedded: int = 0  # images whose features are stored
    seconds_per_image: float | None = None  # forward pass of an image; None: not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPoint:
    """Cross-validated accuracy on the features after a layer group; classes weigh the same where the metric says so."""

    depth: int  # layer groups passed, from 1; the last is what enters the classifier
    linear: float  # accuracy of a ridge classifier,
    low: float | None = None  # and its 95% interval on new images; None in results of before it was measured
    high: float | None = None
    knn: float  # accuracy of nearest neighbours
    width: int  # of the pooled features


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthProfile:
    """Accuracy on a frozen backbone's features by depth, before anything is trained."""

    backbone: str
    size: int  # input, pixels
    points: tuple[DepthPoint, ...]  # shallow to deep
    rows: int  # images it was measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWeight:
    """Weight of a score, or of the prior, in a run's ranking beside the linear probe."""

    score: str
    usual: float  # weight fitted on other data
    weight: float  # weight in this run, by its agreement
    agreement: float | None = None  # Kendall's tau with this run's linear probes
    backbones: int = 0  # number of backbones compared


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """A linear probe's accuracy on growing subsamples, and the expected gain from more images."""

    backbone: str
    input_size: int
    rows: tuple[int, ...]  # images it was fitted on
    scores: tuple[float, ...]  # accuracy there, every image predicted by fits without it
    more: int  # images beyond the last of `rows`
    gain: Interval  # of accuracy, by so many
    fits: tuple[float, ...] = ()  # accuracy on the images that were fitted on
    asymptote: Interval | None = None  # of `scores`; named only where they and `fits` have both flattened


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The order before any training.

    Backbones that were read on the larger sample of images come first, then those that were read on the smaller
    sample alone, then those that no sample was read with, most of them with `rows` 0. Each of the three is sorted by
    `expected`, highest first; of equal ones the name and then the smaller input size decides. So the first entry need
    not have the highest `expected`.
    """

    ranked: tuple[Ranked, ...]  # by sample of images read, then by `expected`: see above
    facts: tuple[Fact, ...] = ()  # notes on the ranking
    curves: tuple[LearningCurve, ...] = ()  # of the first few
    weights: tuple[ScoreWeight, ...] = ()  # of the scores, in this run
