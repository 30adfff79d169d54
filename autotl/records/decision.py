"""Records of the decision: intervals, winner, calibration, forecast, and a model's answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl.records.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of a whole run, made before its search: each figure with its 80% interval."""

    seconds: float
    seconds_low: float
    seconds_high: float
    bytes: int = 0  # that the engine holds at most; 0: not known
    bytes_low: int = 0
    bytes_high: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and its 95% interval."""

    value: float  # the estimate
    low: float  # lower end
    high: float  # upper end


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A recipe that was not tried and may still be the best."""

    candidate: str
    chance: float  # that it scores best of all, tried or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The winner, its uncertainty, and the reasons."""

    winner: str | None
    score: Interval | None = None  # of the winner on the selection rows
    expected: Interval | None = None  # of the winner on new images
    winners_set: tuple[str, ...] = ()
    chance: float | None = None  # that the winner scores best of all recipes, tried or not
    open: tuple[Prospect, ...] = ()  # untried recipes that may, likeliest first
    runner_up: str | None = None
    margin: Interval | None = None
    transfer: Interval | None = None  # winner minus the best without pretraining
    reasons: tuple[Fact, ...] = ()
    would_change: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityErrors:
    """The errors of a model's probabilities on images that it was not fitted on."""

    ece: float  # expected calibration error
    nll: float  # negative log likelihood: mean of -log of the true class's probability
    brier: float  # mean squared error over all classes, from 0 to 2
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The calibration of the winner's probabilities, on images that it was not fitted on."""

    temperature: float  # logits are divided by it; 1 leaves them
    ece: float  # expected calibration error with it, each image judged by a temperature fitted without it
    ece_before: float
    images: int
    test: ProbabilityErrors | None = None  # of the model that ships, at this temperature, on the test images


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformal:
    """The prediction intervals of numbers, from residuals of images that the model was not fitted on."""

    level: float  # share of new images whose number lies within its interval
    half_width: float | None  # in the unit of the labels; None where there are too few images
    images: int  # that it was made from
    coverage: float | None = None  # share of the test images within their intervals
    tested: int = 0  # test images


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelThresholds:
    """The probability of each class from which it is predicted, chosen on images that the model was not fitted on."""

    thresholds: tuple[float, ...]  # in the order of the classes
    micro_f1: float  # at these thresholds, each image judged by thresholds that were chosen without it
    macro_f1: float
    images: int
    test_micro_f1: float | None = None  # of the model that ships, on the test images
    test_macro_f1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """The predictions of a model for image files, row by row; NaN where an error is given."""

    probabilities: np.ndarray  # (n, outputs) float32: probabilities, or the number
    errors: list[str | None]
    distance: np.ndarray | None = (
        None  # (n,) from the training images, above 1: far; None: the model cannot say
    )
    features: np.ndarray | None = None  # (n, d) pooled, where asked for
    # (n, k) float32: probabilities by the heads of further label columns, side by side
    others: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """Occlusion maps: for each image, how far the probability falls when a region is hidden."""

    maps: np.ndarray  # (m, 8, 8) float32: mean fall of the log-odds; above 0: it speaks for the answer
    shares: np.ndarray  # (m, 2) float32: the answer's probability, and with the weightiest part hidden
    seen: np.ndarray  # (m, s, s, 3) uint8: the part of the image that the network sees, made small


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """A row of the time plan: the most that a stage may take."""

    stage: str
    seconds: float
    covers: tuple[str, ...]  # names in the seconds that result.json records
    fixed: bool = False  # a forecast or a reserve; else a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A backbone or candidate that was asked for or proposed and not tried."""

    name: str
    reason: Fact
