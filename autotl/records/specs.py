"""Records of what plugins contribute and what a run is asked for: backbones, strategies, scores, goal."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from autotl.records.data import TargetName
from autotl.records.named_fields import named_fields

Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "mean_average_precision",
    "micro_f1",
    "r2",
    "mae",
    "spearman",
]


Prefer = Literal["accuracy", "speed", "size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The metric, the preference and the limits that decide the winner."""

    metric: Metric = "accuracy"  # that candidates are compared by
    prefer: Prefer = "accuracy"  # among the winner's set
    max_params: int | None = None  # parameters of backbone and head
    max_latency: float | None = None  # seconds an image
    max_memory: int | None = None  # bytes while predicting
    licence: tuple[str, ...] = ()  # names or globs of SPDX licences, or "permissive"; empty: any


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of the run that a plugin receives."""

    weights: tuple[str, ...] = ()  # folders with the user's checkpoints
    offline: bool = False  # no connection may be opened
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    licence: tuple[str, ...] = ()  # names or globs of SPDX licences, or "permissive"; empty: any
    seconds: float | None = None  # the budget; None when a command only lists
    wanted: tuple[str, ...] = ()  # names or globs that the user gave; empty: what is proposed by default


DATA = ("labelled", "unlabelled", "all")  # images that the batches of a phase are drawn from
TRAINS = ("head", "k", "all", "none")  # what a phase trains, in words
AUGMENT = ("none", "light", "strong")  # how a phase augments, in words

Geometry = Literal["crop", "squash", "pad"]


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """The way from a decoded RGB image to the backbone's input."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of each channel, fractions of full brightness
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)  # deviation of each channel
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"] = "bilinear"  # when resized
    crop: float = 0.875  # side of the central crop / shorter side of the resized image
    geometry: Geometry = "crop"  # to a square: its central crop, or all of it squashed or padded


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The source of pretrained weights."""

    kind: Literal["file", "hub", "torchvision"]  # packaged weights are files
    location: str  # path of a safetensors file; hub repository; torchvision weights name
    url: str | None = None  # of torchvision's file
    revision: str | None = None  # commit or tag of the hub repository
    sha256: str | None = None  # of the file; another one is refused
    bytes: int | None = None  # size of the download or file
    present: bool = False  # already on this machine: no connection is needed


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pretrained (or fresh) network that autotl may put a head on."""

    name: str  # origin:name, or the file's stem for a user's checkpoint
    build: str  # "module:attr" of a callable(**arguments) -> nn.Module
    arguments: dict[str, Any] = field(default_factory=dict)  # JSON-able
    init: Literal["pretrained", "random"] = "pretrained"  # random: no pretrained weights, `weights` is None
    weights: Weights | None = None  # None: `build` loads its own
    preprocess: Preprocess = Preprocess()  # of the images it was trained on
    input_size: int = 224  # native side, pixels
    size_step: int = 32  # other sizes are multiples of it; 0: only the native size works
    min_size: int = 32  # smallest side that is tried, pixels
    feature_dim: int | None = None  # width of the pooled features; None: found when built
    parameters: int | None = None  # without the source head; None: 5 million are assumed before it is built
    macs: float | None = None  # multiply-accumulates of one image at the native size; None: 100 a parameter
    licence: str | None = None  # SPDX expression
    domain: str | None = None  # slug of what it was pretrained on: imagenet-1k, inat-birds, ...
    source_classes: int = 0  # optional: classes of the classifier in the weights; `autotl check` compares
    published: float | None = None  # ImageNet-1k top-1 accuracy as published, a fraction
    proposed: bool = True  # tried by default
    text: str | None = None  # "module:attr" of (arguments, state, class names) -> (features (k, d), factor)


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase of a training: which parameters train, on what, by which loss, at which rates, for how many steps."""

    trains: int | str = "k"  # beside the head: head, k, all, a number of last groups, none, or "module:attr"
    norm: Literal["with_group", "frozen", "adapt"] = "with_group"  # statistics: of trained groups, none, all
    share: float = 1.0  # of the trial's steps
    lr: float = 2e-3  # peak rate of the head; the candidate's `lr` replaces it
    layer_decay: float = 0.7  # factor on the rate from one layer group to the one below
    weight_decay: float = 0.02  # of AdamW, on weights of two or more axes
    augment: str = "light"  # none (flip alone), light or strong (crop, flip, brightness), or "module:attr"
    mix: str | None = None  # "module:attr" of (images, seed) -> (images, partner, share); None: no mixing
    sampler: str | None = None  # "module:attr" of (labels, classes, seed) -> order; None: by the metric
    objective: str | None = None  # "module:attr" of (ObjectiveCall) -> loss; None: that of the kind of target
    average: float = 0.0  # decay of a moving average of the weights, which the phase ends with; 0: none
    data: Literal["labelled", "unlabelled", "all"] = "labelled"  # images of a batch; else without targets
    unlabelled: tuple[str, ...] = ()  # views of images without a label for the objective, as `augment`
    auxiliary: str | None = None  # "module:attr" of (width, classes) -> network that the objective trains

    @property
    def selector(self) -> str | None:
        """Return the function that selects the parameters that train, None where `trains` is a word or a number."""
        return self.trains if isinstance(self.trains, str) and ":" in self.trains else None

    @property
    def views(self) -> tuple[str, ...]:
        """Return how the images without a label of a batch are augmented, once for each view of them."""
        return self.unlabelled or ((self.augment,) if self.data != "labelled" else ())


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to transfer a backbone to new data. Callables are named "module:attr"."""

    name: str  # of the strategy, without the characters of a candidate's id
    summary: str  # a few words for tables and reports
    phases: tuple[Phase, ...] = ()  # none: the head is fitted in closed form on pooled features
    depths: bool = False  # takes an unfreeze depth 1..n or all
    head: str | None = None  # "module:attr" of (HeadCall) -> Head
    predict: str | None = None  # "module:attr" of (features, arrays, classes) -> logits: of a head of arrays
    layers: Literal["last", "all"] = "last"  # groups whose features the head gets; all: of each, concatenated
    prepare: str | None = None  # "module:attr" of (network) -> network: adapters, another view of its layers
    needs_text: bool = False  # the head gets the features of the class names besides
    needs_unlabelled: bool = False  # the head gets the features of the images without a label besides
    worth: str | None = None  # "module:attr" of (profile, backbone, seconds) -> whether to propose it
    backbones: tuple[str, ...] = ()  # names or globs of those that it is for; empty: all
    combine: str | None = None  # "module:attr" of (checkpoints) -> weights: nothing trains, trials are joined
    parents: tuple[str, ...] = ()  # names or globs of strategies whose trials `combine` joins, or that teach
    related: str | None = None  # "module:attr" of (RelatedCall) -> weights, of images of another source
    every_target: bool = False  # trains a head for each further label column besides
    proposed: bool = True  # tried by default; else only where it is asked for by name
    targets: tuple[TargetName, ...] = (
        "multiclass",
    )  # kinds that it can train; for the others it is left out
    takes_weights: bool = True  # its head fits by the weights that data give to their items

    def takes(self, backbone: str) -> bool:
        """Return whether the strategy is for a backbone of that name."""
        return not self.backbones or any(fnmatchcase(backbone, pattern) for pattern in self.backbones)

    def joins(self, strategy: str) -> bool:
        """Return whether trials of a strategy of that name are among those that this one combines."""
        return any(fnmatchcase(strategy, pattern) for pattern in self.parents)

    @property
    def head_only(self) -> bool:
        """Return whether the backbone stays as it is: no phase trains layer groups of it."""
        return self.combine is None and all(phase.trains == "head" for phase in self.phases)

    @property
    def learns_unlabelled(self) -> bool:
        """Return whether it needs images without a label: its head or a phase learns from them.

        A phase on all images takes them where they are there.
        """
        return self.needs_unlabelled or any(phase.views and phase.data != "all" for phase in self.phases)

    @property
    def continued(self) -> tuple[Phase, ...]:
        """Return the phases by which a finished training goes on: the last that trains parameters, and what follows."""
        training = [place for place, phase in enumerate(self.phases) if phase.trains != "none"]
        return self.phases[max(training, default=0) :]


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A transferability score: a number from features and labels, without training."""

    name: str  # of the score
    summary: str  # with its paper
    compute: str  # "module:attr" of (ScoreCall) -> float; higher is better
    needs_logits: bool = False  # computed only for backbones with a source head
    proposed: bool = True  # computed in every run; else only where it is asked for by name
    targets: tuple[TargetName, ...] = ("multiclass",)  # kinds that it can score; the others it declines
    weight: float = 0.1  # usual share of its lead that counts, 0 to 0.5; a run moves it by agreement
