"""The result of a run: `Recommendation`, its leaderboard rows and its winner."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from autotl.records import (
    BackboneSpec,
    Calibration,
    Columns,
    Conformal,
    Control,
    Decision,
    Depth,
    DepthProfile,
    Fact,
    Finding,
    Forecast,
    Goal,
    Interval,
    Kind,
    LabelThresholds,
    Measurement,
    Metric,
    Profile,
    Ranking,
    Similarity,
    Skipped,
    StagePlan,
    Status,
    Strategy,
    TargetName,
    TrialResult,
)

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The data, as far as a decision depends on them."""

    source: str
    fingerprint: str
    classes: tuple[str, ...]
    target: TargetName = "multiclass"
    counts: dict[str, int]  # images by part, and left out
    grouped: bool = False
    folds: int = 0
    select_from: str = ""
    test_from: str | None = None
    split: tuple[Fact, ...] = ()  # how the parts were made
    findings: tuple[Finding, ...] = ()
    unlabelled: int | None = (
        None  # images that may be learned from without a label; None where no folder was given
    )
    related: int | None = None  # labelled images of another source; None where none was given
    root: str = (
        ""  # folder that names of images are relative to; "" for the source, or the folder that it lies in
    )


class ModelIs(StrEnum):
    """The fit that the folder's ``model/`` holds."""

    REFITTED = "refitted"  # on train and select
    PROBE = "probe"  # the checkpoint of the winner's probe, fitted on train
    ANOTHER_CANDIDATES = "another_candidates"  # the winner was not fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The recommended candidate and its scores."""

    candidate: str
    backbone: str
    strategy: str
    unfreeze: Depth
    input_size: int
    score_val: float  # on the selection images, with its 95% interval
    ci_low: float
    ci_high: float
    expected: float | None = None  # score on new images, with its 95% interval
    expected_low: float | None = None
    expected_high: float | None = None
    score_test: float | None = None
    test_low: float | None = None
    test_high: float | None = None
    test_images: int | None = None  # that the test score is measured on
    model_is: ModelIs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One of the models that a distillation compares."""

    candidate: str
    score_test: float | None = None  # on the test images that all of them predicted, with its 95% interval
    test_low: float | None = None
    test_high: float | None = None
    parameters: int | None = None
    latency: float | None = None  # seconds an image
    epochs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """A smaller backbone that learned from the winner, beside the winner and the same training without it."""

    teacher: Student  # the winner, as it ships
    student: Student  # whose model is in ``distilled/``
    alone: Student | None = None  # the same backbone trained without the teacher; None without test images
    images: int = 0  # test images that all of them predicted
    gain: Interval | None = None  # of the student over `alone`, paired
    behind: Interval | None = None  # of the student over the teacher, paired


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumn:
    """A label column of several: the model's head for it, beside a training on this column alone.

    The figures are of the test images that have its label. The model's backbone is one for all columns.
    """

    name: str
    classes: tuple[str, ...]
    labelled: int  # images with a label in it, in all parts
    images: int = 0  # test images among them
    together: bool = False  # the backbone was trained on all columns; False: on the main one alone, if at all
    epochs: float = 0.0  # of the model
    score_test: float | None = None  # of the model, with its 95% interval
    test_low: float | None = None
    test_high: float | None = None
    alone: str = ""  # recipe of its single-task twin: trained on this column alone; "" for none
    alone_epochs: float = 0.0
    alone_score: float | None = None  # of the twin, with its 95% interval
    alone_low: float | None = None
    alone_high: float | None = None
    difference: Interval | None = (
        None  # of the model's score to the twin's, paired; None where that is shorter
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the leaderboard: a candidate, its best evidence, and what became of it."""

    candidate: str
    status: Status
    backbone: str = ""
    input_size: int = 0
    strategy: str = ""
    unfreeze: Depth = 0
    score_val: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    expected: float | None = None  # score on new images, by which the candidates are ordered
    score_test: float | None = None
    in_winners_set: bool = False
    fit_time: float | None = None  # seconds of all its probes, without the final fit
    pred_time: float | None = None  # seconds an image
    parameters: int | None = None
    macs: float | None = None
    epochs: float | None = None
    rows: int | None = None
    control: Control = ""
    facts: tuple[Fact, ...] = ()  # why it is out or has no score, else the notes on its trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """An installed plugin that contributed to a run."""

    plugin: str  # its name
    package: str  # that it is part of; the module of a plugin without package
    version: str  # of the package; empty where there is none
    contributed: tuple[
        str, ...
    ]  # "backbone mine:net", "strategy x", "score x", "data", "planner", "observer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The whole of a run, as result.json holds it."""

    schema_version: int = SCHEMA_VERSION
    status: Literal["running", "finished", "interrupted"] = "running"
    command: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    precision: str = ""
    data: Data
    profile: Profile
    similarity: tuple[Similarity, ...] = ()
    goal: Goal
    metric: Metric
    winner: Winner | None = None
    winners_set: tuple[str, ...] = ()
    transfer: Interval | None = None  # winner minus the best without pretraining
    warnings: tuple[Fact, ...] = ()  # why the scores may mislead
    calibration: Calibration | None = None  # of the probabilities of classes
    conformal: Conformal | None = None  # intervals of numbers
    thresholds: LabelThresholds | None = None  # from which labels are predicted, where there are several
    distillation: Distillation | None = None  # of the winner into a smaller backbone, where it was asked for
    label_columns: tuple[LabelColumn, ...] = ()  # the main one first; empty where there is one
    decision: Decision | None = None
    leaderboard: tuple[Row, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    ranking: Ranking | None = None
    depth_profiles: tuple[DepthProfile, ...] = ()  # of the backbones that ranked first
    backbones: tuple[BackboneSpec, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()  # of plugins
    plugins: tuple[Guest, ...] = ()  # that contributed, without autotl's own
    notes: tuple[Fact, ...] = ()  # what was skipped, shortened or changed on the way
    seconds: dict[str, float] = field(default_factory=dict)  # budget, total, by stage
    measurements: tuple[Measurement, ...] = ()  # timed batches, by which trainings were forecast
    time_plan: tuple[StagePlan, ...] = ()  # how the budget was divided
    forecast: Forecast | None = None  # of the whole run, made before its search
    peak: int = 0  # bytes that the engine held at most
    worked: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # seconds of the engine by stage and kind
    files: dict[str, str] = field(default_factory=dict)  # SHA-256 of manifest and model, once concluded


def is_probe(result: TrialResult) -> bool:
    """Return whether a trial was made to choose by, and not to be tested or shipped."""
    return "test" not in result.trial.evaluate_on and "select" not in result.trial.fit_on


def repeats_probe(result: TrialResult) -> bool:
    """Return whether a trial is a probe whose own model was tested: the same training once more, with a test score."""
    return "test" in result.trial.evaluate_on and "select" not in result.trial.fit_on


def looks(state: Recommendation) -> int:
    """Return how many models were tested on the test part; more than one biases its score."""
    return sum(
        "test" in result.trial.evaluate_on and result.predictions is not None for result in state.trials
    )


def refutes(winner: Winner) -> bool:
    """Return whether the test score lies so far from the expected score that their intervals do not meet."""
    if None in (winner.expected_low, winner.expected_high, winner.test_low, winner.test_high):
        return False
    return (winner.expected_low or 0.0) > (winner.test_high or 0.0) or (winner.test_low or 0.0) > (
        winner.expected_high or 0.0
    )


def no_signal(state: Recommendation) -> Fact | None:
    """Return the fact that the winner is hardly better than answering one class, if its test does not refute it."""
    signal = _no_signal(state)
    return None if signal is None or _signal_on_test(state.winner, signal) else signal


def signal_on_test_alone(state: Recommendation) -> Fact | None:
    """Return the fact of `no_signal` where the test refutes it."""
    signal = _no_signal(state)
    return signal if signal is not None and _signal_on_test(state.winner, signal) else None


def _no_signal(state: Recommendation) -> Fact | None:
    reasons = state.decision.reasons if state.decision else ()
    return next((reason for reason in reasons if reason.kind is Kind.NO_SIGNAL), None)


def _signal_on_test(winner: Winner | None, signal: Fact) -> bool:
    return winner is not None and (winner.test_low or 0.0) > signal.values["constant"]


def interval_of(row: Row) -> Interval | None:
    """Return the interval of a leaderboard row, if it has one."""
    if row.score_val is None or row.ci_low is None or row.ci_high is None:
        return None
    return Interval(value=row.score_val, low=row.ci_low, high=row.ci_high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Everything but the trials that a decision is derived from."""

    columns: Columns
    goal: Goal
    ranking: Ranking | None = None
    similarity: tuple[Similarity, ...] = ()
    strategies: tuple[Strategy, ...] = ()  # that the run could choose from
    depth_profiles: tuple[DepthProfile, ...] = ()
    backbones: tuple[BackboneSpec, ...] = ()  # whose declared licence or size a goal may rule out
    notes: tuple[Fact, ...] = ()  # of the run so far: why its search ended is among them
    skipped: tuple[Skipped, ...] = ()
