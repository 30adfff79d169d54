"""Protocols that the stages use: engine, planner and what they receive."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from autotl.budget import Allowance
from autotl.records import (
    Answers,
    BackboneSpec,
    Candidate,
    Columns,
    Embedding,
    Explained,
    Goal,
    Interval,
    Machine,
    Measurement,
    Metric,
    Profile,
    Progress,
    Ranking,
    Settings,
    Strategy,
    Trial,
    TrialResult,
)

if TYPE_CHECKING:
    from torch import Tensor  # what an objective receives; this module imports no torch

OnProgress = Callable[[Progress], None]


class Slot(Protocol):
    """A place where work is done in turn: one worker on its device. Requests to a busy slot wait."""

    @property
    def kind(self) -> str:
        """Return the hardware. What is measured on a slot holds for slots of the same kind; empty before the start."""
        ...

    def embedding(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Future[Embedding]:
        """Begin what `Engine.embed` does; the future holds its result or error, `SlotLost` when the slot is lost."""
        ...

    def measurement(
        self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance
    ) -> Future[Measurement]:
        """Begin what `Engine.measure` does; the future holds its result or error, `SlotLost` when the slot is lost."""
        ...

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: OnProgress | None = None,
    ) -> Future[TrialResult]:
        """Begin a trial; the future holds its result, and never raises for what a training did.

        It raises `SlotLost` where the engine has other slots and this one was lost with the trial, which may then
        be submitted to another one, with the same id.

        The engine calls `on_progress` with a `Progress` while the trial trains: after the first step and then at
        most twice a second, from a thread of the engine's own, never after the future is done. It must return
        soon, because results arrive through the same thread; when it raises, it is not called again.
        """
        ...


class Engine(Slot, Protocol):
    """Everything that needs torch. Methods raise `EngineError`; a training that fails is a `TrialResult`.

    What is not asked of one of the `slots` is done by the first that is there.
    """

    @property
    def slots(self) -> Sequence[Slot]:
        """Return the slots that can work now: the engine itself where it has one.

        There is at least one after `started`. Others may join later, and a slot that is lost is left out.
        """
        ...

    def wait(self, futures: Collection[Future[Any]]) -> set[Future[Any]]:
        """Wait until one of these futures of the engine's slots is done, and return those that are.

        It may return none where `slots` has changed meanwhile.
        """
        ...

    @property
    def worked(self) -> dict[str, float]:
        """Return the seconds of work so far by kind: decode, forward, backward, and whatever else the engine names."""
        ...

    def open(
        self, pixels: str | Path, columns: Columns, *, metric: Metric, digests: Sequence[str] | None
    ) -> None:
        """Hand over the data of the run; it may be called again when parts or folds change.

        `pixels` is a folder of decoded images (`autotl.modality.image_store.Pixels`) with an image for each row of
        `columns`, and behind them those without a label; `metric` decides how rows are weighted; `digests` identify
        the contents of all these images for the cache of features, None keeps the features in this run.
        """
        ...

    def started(self, allowance: Allowance) -> Machine:
        """Wait until work can begin and return where it will be done."""
        ...

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """Compute pooled features at every layer group for `rows` of the data; cached on disk.

        When time runs out the result holds fewer rows, the first ones first. Raises `WeightsUnavailable` or
        `EngineError` when the backbone cannot be built.
        """
        ...

    def measure(self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance) -> Measurement:
        """Return the seconds and bytes that three timed batches take."""
        ...

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """Predict image files with a model folder, absolute or relative to the run folder."""
        ...

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """Fit the detector of out-of-distribution images and write it into a model folder.

        `fitted` are rows of the data that the model was trained on, `held_out` rows that it was not. A model whose
        backbone was not trained names it and its input size in `frozen`: its features are stored already. Returns
        False when there were too few images or no time for them.
        """
        ...

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """Give a model folder a head for each further label column, and return probabilities of the rows `judged`.

        Heads that the model has stay as they are; the others are linear ones, fitted on pooled features of the rows
        `fitted`. The probabilities (m, k) float32 of all columns stand side by side, in the order of `Columns.others`.
        Raises `EngineError` where time runs out.
        """
        ...

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """Map which parts of `rows` of the data a model folder's predictions rest on.

        `classes` (class indices) are the predictions to explain, one for each row. When time runs out the result
        holds fewer rows.
        """
        ...

    def close(self) -> None:
        """End the workers; safe to call twice."""
        ...


class Planner(Protocol):
    """A search policy. A run calls `ask` for each free slot and `tell` after each trial until `ask` returns None."""

    def ask(self, seconds: float) -> Trial | None:
        """Return the next probe; None ends the search.

        The probe and the final fit after it should fit into `seconds`. The trial's `id` is an identifier that no
        earlier trial has: letters and digits. Backbone and input size stand in the ranking.
        `epochs` is 0 for a strategy without phases. The candidate's `unfreeze` is 0 for a strategy that is
        `head_only`, 1, 2, … or "all" for one with `depths`, and "all" for others. To continue a training,
        `resume_from` and `resumed_epochs` are `model` and `epochs_done` of its result. `rows`, `fit_on`,
        `evaluate_on` and `control` stay as by default. autotl times the recipe, sets the forecast, and keeps the
        model.
        """
        ...

    def tell(self, result: TrialResult) -> None:
        """Take the result of a trial into account, whoever asked for it.

        Before the first `ask` come the results that are there already. In a new run that is one, the ranking's own
        probe ``t000``: a head in closed form on a ranked backbone, which is there when a strategy with a head and without
        phases is on offer. In a run that is continued it is every earlier result, of another planner too. `facts.trials`
        counts earlier results alone, so it is 0 in a new run although ``t000`` comes. Then come the results of this
        planner's trials, in the order in which they end. A result may have the status failed and no score.
        """
        ...


class PlannerFacts(Protocol):
    """The data and this run as they are known before its search."""

    @property
    def rows(self) -> int:
        """Return the number of images that a probe is fitted on."""
        ...

    @property
    def rows_final(self) -> int:
        """Return the number of images that the final fit is fitted on."""
        ...

    @property
    def rows_select(self) -> int:
        """Return the number of images that a probe is scored on."""
        ...

    @property
    def rows_test(self) -> int:
        """Return the number of images that the final fit is tested on; 0 without a test part."""
        ...

    @property
    def folds(self) -> int:
        """Return the number of folds of the out-of-fold selection; 0 where there is a select part."""
        ...

    @property
    def seed(self) -> int:
        """Return the seed of the run: a planner that draws random numbers seeds them with it."""
        ...

    @property
    def trials(self) -> int:
        """Return the number of trials of the run that is continued, 0 in a new run: ids count on from there."""
        ...


class Belief(Protocol):
    """The expected scores of all recipes, tried or not. The ranking and every result so far have updated it.

    The default planner, the decision and the report read the same one. A point is a recipe and its epochs (0: a head).
    """

    def estimate(self, candidate: Candidate, epochs: float) -> Interval:
        """Return the expected score of a recipe on new images, with its 95% interval."""
        ...

    def means(self, points: Sequence[tuple[Candidate, float]]) -> np.ndarray:
        """Return the expected scores (n,) of n points."""
        ...

    def draws(self, points: Sequence[tuple[Candidate, float]], number: int) -> np.ndarray:
        """Return joint draws (number, n) of the scores of n points. The same points have the same draws."""
        ...


class DefaultPlanner(Protocol):
    """The default planner, for a planner that delegates to it. It receives every result by itself."""

    def ask(self, seconds: float) -> Trial | None:
        """Return the trial that the default planner would make next; None where it would end the search."""
        ...


class CostModel(Protocol):
    """Forecasts of trainings in seconds on this machine. They improve with every result."""

    def probe(self, candidate: Candidate, epochs: float) -> float:
        """Return the seconds that a probe of `epochs` passes takes; 0: a closed-form head and its missing features."""
        ...

    def final(self, candidate: Candidate, epochs: float) -> float:
        """Return the seconds to reserve for the final fit of a recipe; `epochs` is 0 for a closed-form head."""
        ...


# --------------------------------------------------------------------------- what a hook receives


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingCall:
    """A call of `register_backbones`, `register_strategies` or `register_scores`."""

    profile: Profile | None  # the data, as measured before any training; None when a command only lists
    settings: Settings  # the user's options, as far as they are known


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCall:
    """A call of `load_dataset`."""

    source: str  # the data as the user named them: a path, a URL, a name
    options: Mapping[
        str, str
    ]  # the user's options on the data, of those that are set, by name: the last table of this page


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCall:
    """A call of `make_engine`."""

    name: str  # of the engine as the user wrote it, which may hold an address: ray, ray://host:10001
    settings: Settings  # the user's options, as far as an engine needs them
    folder: str  # the run folder, absolute: results of trials, and the paths in them, lie there
    cache: str | None  # folder of the store of features; None: nothing is kept between runs
    precision: str  # auto, fp32, bf16 or fp16
    seed: int  # of the run
    slots: int | None  # most trials at once that the user wants; None: as many as the engine has room for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannerCall:
    """A call of `make_planner`."""

    profile: Profile  # the data, as measured before any training
    ranking: Ranking  # the backbones that may be tried, each at an input size
    seconds: float  # left of the budget
    strategies: tuple[Strategy, ...]  # that may be tried
    facts: PlannerFacts  # rows, folds and seed
    costs: CostModel  # forecasts in seconds, by what was measured; `final` is the time to reserve for the final fit
    belief: Belief  # the expected scores of all recipes, as of now
    reserve: Callable[
        [], float
    ]  # seconds to keep for the final fit: the longest of those that may win by now
    goal: Goal  # the metric, the preference and the limits
    default: DefaultPlanner  # to delegate to


# --------------------------------------------------------------------------- what named functions receive


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadCall:
    """A call of a strategy's `head`: the rows that it is fitted on, and what the strategy asks for besides.

    Labels of a `regression` are (n,) float64, standardised, and `classes` is 1; those of a `multilabel` target are
    (n, classes) of 0 and 1.
    """

    features: np.ndarray  # (n, d) float32: pooled, as the backbone gives them, neither centred nor scaled
    labels: np.ndarray  # (n,) int64: class indices from 0
    classes: int  # number of classes, of which some may have no row: the head has so many outputs
    folds: np.ndarray  # (n,) int64: five folds, 0 to 4; rows of one group share one
    seed: int  # of everything random
    weights: np.ndarray | None = None  # (n,) float64 in the metric and the data, mean 1; None: all equal
    widths: tuple[int, ...] = ()  # with layers="all": features of each layer group, shallow to deep
    text: np.ndarray | None = None  # with needs_text: (classes, d) features of the class names
    factor: float = 1.0  # with needs_text: of an image's cosines with them, as logits
    unlabelled: np.ndarray | None = None  # with needs_unlabelled: (u, d) of 2,000 unlabelled images at most
    seconds: float = math.inf  # that there are for the fit: a longer one may end its trial without a result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreCall:
    """A call of a score's `compute`: the rows that it is computed on.

    Labels of a `regression` are (n,) float64; those of a `multilabel` target are (n, classes) of 0 and 1.
    """

    features: np.ndarray  # (n, d) float32: pooled, as the backbone gives them, neither centred nor scaled
    labels: np.ndarray  # (n,) int64: class indices from 0
    folds: np.ndarray  # (n,) int64: five folds, 0 to 4; rows of one group share one
    logits: np.ndarray | None = None  # (n, s) float32 of the backbone's own classifier, where it has one


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """The layer group that a parameter belongs to."""

    index: int  # from 0, the shallowest
    count: int  # of layer groups


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A view of a batch of images without a label: all of them, augmented in one way."""

    logits: Tensor  # (U, classes) float32
    features: tuple[Tensor, ...]  # pooled (U, d) of each layer group, as in `ObjectiveCall`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectiveCall:
    """A call of a phase's `objective`: one batch of a training."""

    logits: Tensor  # (B, classes) float32
    targets: Tensor  # (B,) int64 class indices; of other kinds of target float32, by output
    features: tuple[
        Tensor, ...
    ]  # pooled (B, d) of each layer group, shallow to deep; the last enters the head
    counts: Tensor  # (classes,) int64: images of each class that are trained on; empty without classes
    trained: Mapping[str, Tensor]  # the backbone's parameters that train, by name
    starts: Mapping[str, Tensor]  # the same as the training began: the pretrained ones
    progress: float  # of the phase, 0 to 1
    loss: Callable[[Tensor, Tensor], Tensor]  # (logits, targets) -> loss of the kind of target
    unlabelled: tuple[View, ...] = ()  # one for each view of the phase, of the same images in the same order
    auxiliary: Callable[..., Any] | None = None  # the phase's own network, which trains with this one
    teacher: Tensor | None = None  # (B, classes) logits of the trials that the strategy's `parents` name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelatedCall:
    """A call of a strategy's `related`: the images that train, and labelled ones of another source.

    Features are pooled ones of the backbone before its training. A weight is 1 where an image of the other source counts
    like one of the data, and 0 where it is not learned from.
    """

    features: np.ndarray  # (n, d) float32 of the images that train
    labels: np.ndarray  # (n,) int64: their class indices
    related: np.ndarray  # (k, d) float32 of the images of the other source
    related_labels: np.ndarray  # (k,) int64: theirs
    seed: int  # of everything random


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A finished trial as `combine` gets it, best first."""

    strategy: str  # its name
    score: float  # its score_val
    epochs: float  # passes that it made; 0: its backbone is frozen
    weights: Mapping[str, Tensor]  # of backbone and head, by name
