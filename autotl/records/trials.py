"""Records of candidates and trials, and what trials return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from autotl.records.data import Part
from autotl.records.facts import Fact, Kind
from autotl.records.head import HeadKind

Depth = int | Literal["all"]


Status = Literal["finished", "stopped", "diverged", "failed", "skipped"]


Control = Literal["", "scratch", "scratch_half", "pixels", "pixels_ridge", "gradients", "shuffled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A recipe: backbone, input size, strategy, depth and what differs from the strategy's defaults."""

    backbone: str  # its name
    input_size: int  # side, pixels
    strategy: str  # its name
    unfreeze: Depth = 0  # layer groups that train beside the head; 0: none
    hyper: tuple[tuple[str, float | int | str], ...] = ()  # sorted; only what differs from the defaults

    @property
    def id(self) -> str:
        """Return the unique, readable id: ``timm:resnet18.a1_in1k@96/fine_tune:2?lr=0.0003``."""
        depth = f":{self.unfreeze}" if self.unfreeze != 0 else ""
        hyper = "&".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.hyper)
        return f"{self.backbone}@{self.input_size}/{self.strategy}{depth}" + (f"?{hyper}" if hyper else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A finished trial whose weights another one takes, or whose predictions it learns from."""

    strategy: str  # its name
    model: str  # model folder, as its result has it
    score: float  # its score_val
    epochs: float  # passes that it made; 0: its backbone is frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training. A probe is a short trial; the final fit is a long one."""

    id: str  # unique in the run, e.g. t007
    candidate: Candidate  # the recipe
    rows: int | None = None  # how many rows of the fitted parts (a prefix of the order); None: all
    epochs: float = 0.0  # passes over those rows; 0 for closed-form heads
    fit_on: tuple[Part, ...] = ("train",)  # parts that train
    evaluate_on: tuple[Part, ...] = ("select",)  # out-of-fold over train where the split has folds
    seed: int = 0  # of weights, order and augmentation
    keep_model: bool = False  # write a loadable model folder
    forecast: float | None = None  # seconds it was expected to take when it was asked for
    forecast_low: float | None = None  # 80% interval of that
    forecast_high: float | None = None  # upper end of that
    control: Control = ""  # what it is held against the others for; a control never competes
    resume_from: str | None = None  # model folder of a shorter trial that it continues, as its result has it
    resumed_epochs: float = 0.0  # passes which that model has made; `epochs` counts them too
    parents: tuple[Parent, ...] = ()  # trials that are joined, best first, or that teach this one
    target: str = ""  # label column that it learns in place of the main one
    unsampled: int = 0  # images outside the sample that it is fitted on besides, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds by kind, and peak bytes."""

    decode: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    other: float = 0.0
    bytes: int = 0

    @property
    def seconds(self) -> float:
        return self.decode + self.forward + self.backward + self.other


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The state of a training after `epoch` passes and `seconds`."""

    epoch: float  # passes so far
    seconds: float  # since the training began
    loss: float  # mean training loss since the point before
    score: float | None = None  # the goal's metric on the evaluated rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The state of a trial that is training; a training that starts again at a lower rate starts at epoch 0."""

    trial: str  # its id
    epoch: float  # passes so far; out-of-fold the mean over the folds
    epochs: float  # that were asked for
    loss: float | None = None  # mean training loss since the report before
    score: float | None = None  # the goal's metric on the evaluated rows, where it was measured last
    seconds: float  # since the trial began


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The result of a trial."""

    trial: Trial  # that was asked for
    status: Status  # stopped: the time was over first
    score_val: float | None = None  # the goal's metric on the selection images, a fraction
    predictions: str | None = None  # npz relative to the run folder: rows, proba, fold
    digest: str | None = None  # of the predictions file: a replay sees whether it is still the same
    model: str | None = None  # model folder relative to the run folder
    head: HeadKind | None = None  # kind of its head; None: there was no fit, or it was not recorded
    curve: tuple[CurvePoint, ...] = ()  # learning curve
    cost: Cost = Cost()  # seconds by kind, and peak bytes
    precision: str = ""  # fp32, bf16 or fp16: what this training computed in
    steps_done: int = 0  # optimiser steps
    epochs_done: float = 0.0  # passes; 0 for heads in closed form
    unsampled: int = 0  # images outside the sample that it was fitted on
    latency: float | None = None  # seconds an image when predicting, decoded
    memory: int | None = None  # bytes while predicting one image; measured where a limit asks for it
    parameters: int | None = None  # of backbone and head
    macs: float | None = None  # of one image at the candidate's input size
    notes: tuple[Fact, ...] = ()  # what happened on the way: batch halved, rate lowered, ...
    error: str | None = None  # why there is no score


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Pooled features on disk: an npz with `rows` (m,), `g0`.. (m, d_i) float32, `logits` if there are."""

    backbone: str
    input_size: int
    path: str
    groups: int  # feature arrays, shallow to deep; the last is what enters the classifier
    rows: int
    seconds_per_image: float = 0.0  # measured forward time, without decoding
    cached: int = 0  # rows that came from the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that an engine works on."""

    device: str
    precision: str  # the one asked for; what "auto" became stands in each `TrialResult`
    threads: int = 1
    processor: str = ""  # its name, where the system gives one
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The measured cost of a candidate on this machine: three timed batches."""

    candidate: str
    seconds_per_image: float  # one training image, forward and backward
    latency: float  # one image, prediction
    prepare: float = 0.0  # one training image, augmentation; it counts where little of the network moves
    peak: int = 0  # bytes that the engine held at most so far; on a GPU its memory
    bytes: int  # weights and the most that lives at once while one image is predicted
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Seconds spent in a stage."""

    stage: str
    seconds: float
    worked: dict[str, float] = field(default_factory=dict)  # seconds of the engine in that time, by kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as observers receive it, and a line of events.jsonl."""

    time: float  # seconds since the run began
    stage: str  # of the run, see `on_event`
    message: str  # the sentence of `kind` and `values`
    kind: Kind = Kind.TEXT  # what happened, see `on_event`
    values: dict[str, Any] = field(default_factory=dict)  # facts of this kind
    candidate: str | None = None  # id of the recipe that it is about
    score: float | None = None  # its `score_val`, in the event of a trial that ended alone
    best: float | None = None  # `score_val` of the best so far
    left: float | None = None  # seconds of the budget
    low: float | None = None  # 95% interval of the best
    high: float | None = None  # upper end
    forecast: float | None = None  # seconds that what begins now is expected to take
    memory: int | None = None  # bytes that run and worker hold
    granted: int | None = None  # bytes they may hold
    folder: str = ""  # the run folder; not in events.jsonl, which is in it
