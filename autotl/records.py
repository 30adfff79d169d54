"""The values that pass between the stages: frozen, printable, JSON-able, without verbs.

Scores are fractions from 0 to 1 and higher is better; times are seconds, sizes bytes. Columns that
grow with the data are numpy arrays (they stay in the process, or travel as files); everything else
is encoded by `msgspec` as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Depth = int | Literal["all"]
Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
Prefer = Literal["accuracy", "speed", "size"]
Part = Literal["train", "select", "test"]
Status = Literal["finished", "stopped", "diverged", "failed", "skipped"]
Control = Literal["", "scratch", "pixels", "shuffled"]

PARTS: tuple[Part, ...] = ("train", "select", "test")
SCHEMA_VERSION = 1


# --------------------------------------------------------------------------- data


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


# --------------------------------------------------------------------------- wishes and limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is wanted of the winner."""

    metric: Metric = "accuracy"
    prefer: Prefer = "accuracy"
    max_params: int | None = None
    max_latency: float | None = None  # seconds an image
    max_memory: int | None = None  # bytes while predicting
    licence: tuple[str, ...] = ()  # names or globs of SPDX licences, or "permissive"; empty: any


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a plugin may know of the run."""

    weights: tuple[str, ...] = ()  # folders with the user's checkpoints
    offline: bool = False
    device: str = "auto"
    licence: tuple[str, ...] = ()
    seconds: float | None = None  # the budget; None when a command only lists
    wanted: tuple[str, ...] = ()  # names or globs asked for; empty: what is proposed by default


# --------------------------------------------------------------------------- what plugins contribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """From a decoded RGB image to the backbone's input."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"] = "bilinear"
    crop: float = 0.875  # side of the central crop / shorter side of the resized image


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where pretrained weights come from."""

    kind: Literal["file", "hub", "torchvision"]  # packaged weights are files
    location: str  # path of a safetensors file; hub repository; torchvision weights name
    url: str | None = None  # of torchvision's file
    revision: str | None = None
    sha256: str | None = None
    bytes: int | None = None  # size of the download or file
    present: bool = False  # already on this machine: no connection is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pretrained (or fresh) network that autotl may put a head on."""

    name: str  # origin:name, or the file's stem for a user's checkpoint
    build: str  # "module:attr" of a callable(**arguments) -> nn.Module, see engine/backbone.py
    arguments: dict[str, Any] = field(default_factory=dict)  # JSON-able
    init: Literal["pretrained", "random"] = "pretrained"
    weights: Weights | None = None
    preprocess: Preprocess = Preprocess()
    modality: Literal["image"] = "image"
    input_size: int = 224  # native side, pixels
    size_step: int = 32  # other sizes are multiples of it; 0: only the native size works
    min_size: int = 32
    feature_dim: int | None = None
    parameters: int | None = None  # without the source head
    macs: float | None = None  # multiply-accumulates of one image at the native size
    licence: str | None = None  # SPDX expression
    domain: str | None = None  # slug of what it was pretrained on: imagenet-1k, inat-birds, ...
    source_classes: int = 0  # width of the source head in the weights; 0: none
    published: float | None = None  # ImageNet-1k top-1 accuracy as published, a fraction
    proposed: bool = True  # tried by default
    text_head: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of a training: what moves, how, and for what share of the steps."""

    trains: str = "k"  # head, k (the candidate's depth), all, none, or "module:attr" of a selector
    norm: Literal["with_group", "frozen", "adapt"] = "with_group"
    share: float = 1.0  # of the trial's steps
    lr: float = 2e-3  # peak rate of the head; the candidate's `lr` replaces it
    layer_decay: float = 0.7  # factor on the rate from one layer group to the one below
    weight_decay: float = 0.02
    augment: str = "light"  # none, light, strong
    views: int = 1
    data: Literal["labelled", "unlabelled"] = "labelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to carry a backbone over to new data. Callables are named "module:attr"."""

    name: str
    summary: str
    phases: tuple[Phase, ...] = ()  # none: the head is fitted in closed form on pooled features
    depths: bool = False  # takes an unfreeze depth 1..n or all
    worth: str | None = None  # (profile, backbone, seconds) -> float in 0..1; torch-free
    prepare: str | None = None  # (model) -> model, e.g. adapters
    head: str | None = None  # (features, labels, classes, folds, seed, weights) -> Head, see builtin/heads.py
    objective: str | None = None  # factory of an nn.Module(logits, targets, context) -> loss
    sampler: str | None = None
    combine: str | None = None
    parents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A transferability score: a number from features and labels, without training."""

    name: str
    summary: str  # with its paper
    compute: str  # "module:attr" of (features, labels, folds, logits or None) -> float; higher is better
    needs_logits: bool = False


# --------------------------------------------------------------------------- candidates and trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A recipe: backbone, input size, strategy, depth and what differs from the strategy's defaults."""

    backbone: str
    input_size: int
    strategy: str
    unfreeze: Depth = 0
    hyper: tuple[tuple[str, float | int | str], ...] = ()  # sorted; only what differs from the defaults

    @property
    def id(self) -> str:
        """For people, and unique: ``timm:resnet18.a1_in1k@96/fine_tune:2?lr=0.0003``."""
        depth = f":{self.unfreeze}" if self.unfreeze != 0 else ""
        hyper = "&".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.hyper)
        return f"{self.backbone}@{self.input_size}/{self.strategy}{depth}" + (f"?{hyper}" if hyper else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training. A probe is a short trial; the final fit is a long one."""

    id: str  # unique in the run, e.g. t007
    candidate: Candidate
    rows: int | None = None  # how many rows of the fitted parts (a prefix of the order); None: all
    epochs: float = 0.0  # passes over those rows; 0 for closed-form heads
    fit_on: tuple[Part, ...] = ("train",)
    evaluate_on: tuple[Part, ...] = ("select",)  # out-of-fold over train where the split has folds
    seed: int = 0
    keep_model: bool = False  # write a loadable model folder
    forecast: float | None = None  # seconds it was expected to take when it was asked for
    forecast_low: float | None = None  # 80 % interval of that
    forecast_high: float | None = None
    resume_from: str | None = None
    parents: tuple[str, ...] = ()
    control: Control = ""  # what it is held against the others for; a control never competes


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
    """Where a training stood: after `epoch` passes and `seconds`."""

    epoch: float
    seconds: float
    loss: float  # mean training loss since the point before
    score: float | None = None  # the goal's metric on the evaluated rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What came of a trial."""

    trial: Trial
    status: Status
    score_val: float | None = None
    predictions: str | None = None  # npz relative to the run folder: rows, proba, fold
    digest: str | None = None  # of the predictions file: a replay sees whether it is still the same
    model: str | None = None  # model folder relative to the run folder
    curve: tuple[CurvePoint, ...] = ()
    cost: Cost = Cost()
    precision: str = ""  # fp32, bf16 or fp16: what this training computed in
    steps_done: int = 0
    epochs_done: float = 0.0
    classes_seen: int = 0
    latency: float | None = None  # seconds an image when predicting, decoded
    memory: int | None = None  # bytes while predicting one image; measured where a limit asks for it
    parameters: int | None = None  # of backbone and head
    macs: float | None = None  # of one image at the candidate's input size
    trained_parameters: float | None = None  # share
    note: str = ""  # what was answered on the way: batch halved, rate lowered, ...
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Pooled features on disk: an npz with `rows` (m,), `g0`.. (m, d_i) float32, `logits` if there are."""

    backbone: str
    input_size: int
    path: str
    groups: int  # feature arrays, shallow to deep; the last is what enters the classifier
    rows: int
    cost: Cost = Cost()
    seconds_per_image: float = 0.0  # measured forward time, without decoding
    cached: int = 0  # rows that came from the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where an engine works."""

    device: str
    precision: str  # the one asked for; what "auto" became stands in each `TrialResult`
    threads: int = 1
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a candidate costs here: three timed batches."""

    candidate: str
    seconds_per_image: float  # one training image, forward and backward
    latency: float  # one image, prediction
    prepare: float = 0.0  # one training image, augmentation; it counts where little of the network moves
    peak: int = 0  # bytes that the engine held at most so far; on a GPU its memory
    bytes: int  # weights and the most that lives at once while one image is predicted
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a whole run is expected to take, said before its search: each figure with its 80 % interval."""

    seconds: float
    seconds_low: float
    seconds_high: float
    bytes: int = 0  # that the engine holds at most; 0: not known
    bytes_low: int = 0
    bytes_high: int = 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Seconds spent, and on what."""

    stage: str
    seconds: float
    what: str = ""
    worked: dict[str, float] = field(default_factory=dict)  # seconds of the engine in that time, by kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What observers receive, and a line of events.jsonl."""

    time: float  # seconds since the run began
    stage: str
    message: str
    candidate: str | None = None
    score: float | None = None
    best: float | None = None
    left: float | None = None  # seconds of the budget
    low: float | None = None  # 95 % interval of the best
    high: float | None = None
    forecast: float | None = None  # seconds that what begins now is expected to take
    memory: int | None = None  # bytes that run and worker hold
    granted: int | None = None  # bytes they may hold
    folder: str = ""  # the run folder; not in events.jsonl, which lies in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A recipe that was not tried and may still be the best."""

    candidate: str
    chance: float  # that it scores best of all, tried or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which candidate, how sure, and why."""

    winner: str | None
    score: Interval | None = None  # of the winner on the selection rows
    winners_set: tuple[str, ...] = ()
    chance: float | None = None  # that the winner scores best of all recipes, tried or not
    open: tuple[Prospect, ...] = ()  # untried recipes that may, likeliest first
    runner_up: str | None = None
    margin: Interval | None = None
    transfer: Interval | None = None  # winner minus the same training without pretraining
    reasons: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far the winner's probabilities can be believed, on images it was not fitted on."""

    temperature: float  # logits are divided by it; 1 leaves them
    ece: float  # expected calibration error with it, each image judged by a temperature fitted without it
    ece_before: float
    images: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a model says of image files, row by row; NaN where an error is given."""

    probabilities: np.ndarray  # (n, classes) float32
    errors: list[str | None]
    distance: np.ndarray | None = (
        None  # (n,) from the training images, above 1: far; None: the model cannot say
    )
    features: np.ndarray | None = None  # (n, d) pooled, where asked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """What a model's answers rest on: for each image a map of how far belief falls when a part is hidden."""

    maps: np.ndarray  # (m, 8, 8) float32: mean fall of the log-odds; above 0: it speaks for the answer
    shares: np.ndarray  # (m, 2) float32: the answer's probability, and with the weightiest part hidden
    seen: np.ndarray  # (m, s, s, 3) uint8: the part of the image that the network sees, made small


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A backbone or candidate that was asked for or proposed and not tried."""

    name: str
    reason: str
