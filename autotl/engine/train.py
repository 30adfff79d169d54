"""Train a network: one loop for every strategy, whose phases decide which parameters train."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autotl.budget import Allowance
from autotl.engine import device as devices
from autotl.engine import objective, sampling, stopwatch
from autotl.engine.averaging import Average
from autotl.engine.backbone import Backbone
from autotl.engine.batch_norm import averaged_statistics
from autotl.engine.images import normalised
from autotl.engine.model import Model
from autotl.engine.objective import Objective
from autotl.engine.resolve import resolve
from autotl.engine.selection import select
from autotl.engine.setting import Setting
from autotl.errors import EngineError
from autotl.records import CurvePoint, Depth, Phase
from autotl.stats import metrics, values

WARM_UP = 0.1  # of the steps
CLIP = 1.0
LATE = 0.05  # of a phase: behind by less, only steps set the rate, and the same seed gives the same weights
EVALUATION_BATCH = 64
RUNAWAY = 1.5  # of the loss of an even guess: a training above it after its warm-up does not recover
WATCHED = 10  # steps whose mean loss is compared with that
FOLLOWED = 0.05  # of the training's time, at most, for the score in the learning curve
FEWEST_FOLLOWED = 20  # images; the score of fewer is too uncertain


class Diverged(Exception):
    """The loss is not finite, or far above that of an even guess."""


@dataclass(slots=True, kw_only=True)
class Course:
    """The learning curve of a training, and how far it came."""

    curve: list[CurvePoint] = field(default_factory=list)
    steps: int = 0
    epochs: float = 0.0


def fit(
    model: Model,
    phases: tuple[Phase, ...],
    depth: Depth,
    rows: np.ndarray,
    epochs: float,
    setting: Setting,
    allowance: Allowance,
    hyper: dict[str, float | int | str],
) -> Course:
    """Train `model` in place for `epochs` passes over `rows`, or for as long as the allowance grants.

    The schedule follows whichever is further on, the steps or the clock, so that a training that runs
    short of time ends annealed instead of cut. Raises `Diverged` when the loss is not finite, or
    stays far above that of an even guess after the warm-up: a rate that is too high costs little time.
    """
    generator = torch.Generator().manual_seed(setting.seed)
    torch.manual_seed(setting.seed)
    starts = setting.starts if setting.starts is not None else _starts(model, phases)
    steps_per_epoch = max(1, (setting.counted or len(rows)) // setting.batch)
    training = _Training(
        model=model,
        setting=setting,
        allowance=allowance,
        generator=generator,
        steps_per_epoch=steps_per_epoch,
        planned=max(1.0, epochs * steps_per_epoch),
        start=time.monotonic(),
        seconds=max(allowance.left, 1e-3),
        followed=_followed(model, depth, len(rows), setting),
    )
    highest_loss = RUNAWAY * setting.outputs.even_loss(setting.labels[rows])
    if setting.reporter is not None:
        setting.reporter.begin_run()
    for phase, share, steps in _shares(phases, training.planned):
        work = _begin(model, phase, depth, rows, setting, hyper, generator, starts)
        losses = _Losses(highest=highest_loss if objective.on_own_scale([phase]) else math.inf)
        with averaged_statistics(model, phase):
            training.take_steps(work, steps, share, losses)
        work.end()
        if losses.count:
            training.add_point(losses)
    model.eval()
    course = training.course
    course.epochs = epochs if course.steps >= 0.98 * training.planned else training.epochs
    return course


def _shares(phases: tuple[Phase, ...], planned: float) -> Iterator[tuple[Phase, float, int]]:
    """Return each phase with its share of the training and its steps; rounding loses no step."""
    steps_before, share_before = 0, 0.0
    for phase in phases:
        share = phase.share / sum(p.share for p in phases)
        share_before += share
        steps = max(1, round(planned * share_before) - steps_before)
        steps_before += steps
        yield phase, share, steps


@dataclass(slots=True, kw_only=True)
class _Training:
    """A training under way: its steps, its clock and its learning curve."""

    model: Model
    setting: Setting
    allowance: Allowance
    generator: torch.Generator
    steps_per_epoch: int
    planned: float  # steps
    start: float  # by the clock
    seconds: float  # that it may take
    followed: np.ndarray  # the rows whose score the learning curve has
    course: Course = field(default_factory=Course)

    @property
    def epochs(self) -> float:
        """Return the epochs that the steps so far are."""
        return self.course.steps / self.steps_per_epoch

    def take_steps(self, work: _Work, steps: int, share: float, losses: _Losses) -> None:
        """Take the steps of a phase, or as many as its share of the time grants."""
        peak_rates = [group["lr"] for group in work.rates]
        phase_start = self.course.steps / self.planned
        for step in range(steps):
            clock = (time.monotonic() - self.start) / self.seconds
            progress = _further(step / steps, (clock - phase_start) / max(share, 1e-9))
            if progress >= 1.0 or self.allowance.expired:
                break
            for group, rate in zip(work.rates, peak_rates, strict=True):
                group["lr"] = rate * _schedule(progress)
            loss = _step(work, self.setting, self.generator, progress)
            if loss is not None:
                losses.add(loss, warm=progress >= WARM_UP)
            self.course.steps += 1
            if losses.count == self.steps_per_epoch:
                self.add_point(losses)
            self._report(loss)

    def add_point(self, losses: _Losses) -> None:
        """Add a point to the learning curve, with the mean of the losses since the last one."""
        loss, score = losses.take_mean(), _score(self.model, self.followed, self.setting)
        seconds = round(time.monotonic() - self.start, 3)
        epoch = round(self.epochs, 3)
        self.course.curve.append(CurvePoint(epoch=epoch, seconds=seconds, loss=round(loss, 6), score=score))

    def _report(self, loss: float | None) -> None:
        """Report a step, with the last score of the learning curve."""
        if self.setting.reporter is not None:
            score = self.course.curve[-1].score if self.course.curve else None
            self.setting.reporter.step(self.epochs, loss, score)


@dataclass(slots=True, kw_only=True)
class _Losses:
    """The losses of a phase: their mean since it was last taken, and a watch that raises `Diverged`."""

    highest: float
    count: int = 0
    _sum: float = 0.0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=WATCHED))

    def add(self, loss: float, *, warm: bool) -> None:
        """Take the loss of a step; `warm`: the warm-up is over."""
        if warm:
            self._recent.append(loss)
        runaway = len(self._recent) == WATCHED and sum(self._recent) / WATCHED > self.highest
        if runaway or not math.isfinite(loss):
            raise Diverged
        self._sum, self.count = self._sum + loss, self.count + 1

    def take_mean(self) -> float:
        """Return the mean of the losses since the last call."""
        mean = self._sum / self.count
        self._sum, self.count = 0.0, 0
        return mean


def _further(steps: float, clock: float) -> float:
    """Return how far a phase is: by its steps, or by the clock where that is further by more than `LATE`."""
    return clock if clock > steps + LATE else steps


def predict(model: Model, rows: np.ndarray, setting: Setting) -> tuple[np.ndarray, float]:
    """Return predictions (m, outputs) float32 of rows, and seconds an image."""
    model.eval()
    tables, start = [], time.monotonic()
    with torch.inference_mode():
        for first in range(0, len(rows), EVALUATION_BATCH):
            part = rows[first : first + EVALUATION_BATCH]
            squares = setting.squares.get(part, setting.size, setting.preprocess)
            batch = setting.to_input(squares, setting.size, setting.preprocess, setting.device)
            with stopwatch.on("forward"), devices.autocast(setting.device, setting.precision):
                tables.append(setting.outputs(model(batch)).cpu().numpy())
            if setting.reporter is not None:
                setting.reporter.alive()
    table = np.concatenate(tables) if tables else np.zeros((0, 1), np.float32)
    return table, (time.monotonic() - start) / max(len(table), 1)


def features(backbone: Backbone, rows: np.ndarray, setting: Setting, flipped: bool = False) -> np.ndarray:
    """Return pooled features (m, d) float32 of rows, of their images flipped horizontally if asked for."""
    backbone.eval()
    parts = []
    with torch.inference_mode(), devices.autocast(setting.device, setting.precision):
        for first in range(0, len(rows), EVALUATION_BATCH):
            part = rows[first : first + EVALUATION_BATCH]
            squares = setting.squares.get(part, setting.size, setting.preprocess)
            batch = setting.to_input(squares, setting.size, setting.preprocess, setting.device)
            with stopwatch.on("forward"):
                parts.append(backbone(batch.flip(3) if flipped else batch).float().cpu().numpy())
    return np.concatenate(parts)


def snapshot(model: Model) -> dict[str, Tensor]:
    """Return a copy of the weights, to start again from."""
    return copy.deepcopy(model.state_dict())


@dataclass(slots=True, kw_only=True)
class _Work:
    """A phase, ready to train."""

    model: Model
    phase: Phase
    batches: Iterator[np.ndarray] | None  # of images with a label; None: none are read
    unlabelled: Iterator[np.ndarray] | None  # of images without one
    objective: Objective
    augment: str
    optimiser: torch.optim.Optimizer | None  # None: nothing trains, and the statistics alone move
    average: Average | None

    @property
    def rates(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups of parameters, each with its rate."""
        return [] if self.optimiser is None else self.optimiser.param_groups

    def end(self) -> None:
        """Leave the network as the phase ends with it."""
        if self.average is not None:
            self.average.give(self.model)


def _begin(
    model: Model,
    phase: Phase,
    depth: Depth,
    rows: np.ndarray,
    setting: Setting,
    hyper: dict[str, float | int | str],
    generator: torch.Generator,
    starts: Mapping[str, Tensor],
) -> _Work:
    """Freeze what a phase does not train and return what it works with."""
    select(model, phase, depth)
    model.train()
    labels = setting.labels[rows]
    labelled = _batches(phase, rows, setting, generator) if phase.data == "labelled" else None
    unlabelled = _unlabelled(phase, rows, setting, generator) if phase.views else None
    own = None
    if phase.auxiliary is not None:
        own = objective.auxiliary(phase.auxiliary, model.backbone.feature_dim, setting.classes)
        own = own.to(setting.device).train()
    return _Work(
        model=model,
        phase=phase,
        batches=_ready(labelled, setting),
        unlabelled=_ready(unlabelled, setting),
        objective=Objective(
            model=model,
            loss=setting.loss,
            name=phase.objective,
            counts=objective.class_counts(labels, setting.classes),
            starts=starts,
            auxiliary=own,
        ),
        augment=str(hyper.get("augment", phase.augment)),
        optimiser=phase_optimiser(model, phase, hyper, () if own is None else own.parameters()),
        average=Average(model, phase.average) if phase.average else None,
    )


def _ready(batches: Iterator[np.ndarray] | None, setting: Setting) -> Iterator[np.ndarray] | None:
    """Return batches whose images can be read; None for none."""
    return None if batches is None else setting.squares.ready(batches, setting.size, setting.preprocess)


def _starts(model: Model, phases: tuple[Phase, ...]) -> Mapping[str, Tensor]:
    """Return a copy of the body's parameters where an objective may ask for them."""
    return objective.starts_of(model) if any(phase.objective for phase in phases) else {}


def phase_optimiser(
    model: Model,
    phase: Phase,
    hyper: dict[str, float | int | str],
    more: Iterable[nn.Parameter] = (),
) -> torch.optim.Optimizer | None:
    """Return an optimiser of what `select` made trainable, with a rate for each group; None where nothing is.

    `more` trains at the rate of the head.
    """
    rate = float(hyper.get("lr", phase.lr))
    decay = float(hyper.get("layer_decay", phase.layer_decay))
    weight_decay = float(hyper.get("weight_decay", phase.weight_decay))
    groups: list[dict[str, object]] = []

    def add(parameters: list[nn.Parameter], lr: float) -> None:
        moving = [p for p in parameters if p.requires_grad]
        for some, wd in (
            ([p for p in moving if p.ndim > 1], weight_decay),
            ([p for p in moving if p.ndim <= 1], 0.0),
        ):
            if some:
                groups.append({"params": some, "lr": lr, "weight_decay": wd})

    add([*model.head.parameters(), *model.others.parameters(), *more], rate)
    for distance, group in enumerate(reversed(model.backbone.group_parameters()), start=1):
        add(group, rate * decay**distance)
    return torch.optim.AdamW(groups, fused=True) if groups else None


def _schedule(progress: float) -> float:
    """Return the share of the peak rate: linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _batches(
    phase: Phase, rows: np.ndarray, setting: Setting, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Return the rows of one batch after another, in the order of the phase's sampler, or by each row's weight.

    That is its weight in the metric, its own in the data, or both. Drawn so, the expected loss is the weighted one.
    """
    labels = setting.labels[rows]
    if phase.sampler is not None:
        batch = min(setting.batch, len(rows))
        return sampling.ordered(phase.sampler, rows, labels, setting.classes, batch, generator)
    own = None if setting.weight is None else setting.weight[rows]
    weights = metrics.fitting_weights(setting.metric, labels, own)
    return sampling.shuffled(rows, setting.batch, weights, generator)


def _unlabelled(
    phase: Phase, fitted: np.ndarray, setting: Setting, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Return the rows whose labels are not read, of one batch after another: shuffled passes over all of them."""
    rows = fitted[:0] if setting.unlabelled is None else setting.unlabelled
    if phase.data == "all":
        rows = np.concatenate([fitted, rows])
    if not len(rows):
        raise EngineError("a phase learns from images without a label, and there are none; expected some")
    return sampling.shuffled(rows, setting.batch, None, generator)


def _step(work: _Work, setting: Setting, generator: torch.Generator, progress: float) -> float | None:
    """Take one optimisation step on the next images and return their loss, None where there is nothing to learn."""
    batch = _read(work, setting, generator)
    with stopwatch.on("forward"), torch.set_grad_enabled(work.optimiser is not None):
        with devices.autocast(setting.device, setting.precision):
            logits, groups = work.objective.forward(batch.images)
        loss = work.objective(logits, groups, batch, progress)
        all_columns = None if loss is None else work.objective.with_others(loss, groups, batch)
    if work.optimiser is None or loss is None or all_columns is None:
        return None if loss is None else float(loss.item())
    with stopwatch.on("backward"):
        work.optimiser.zero_grad(set_to_none=True)
        all_columns.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for g in work.rates for p in g["params"]], CLIP)
        work.optimiser.step()
        if work.average is not None:
            work.average.update(work.model)
        return float(loss.item())


@stopwatch.on("decode")
def _read(work: _Work, setting: Setting, generator: torch.Generator) -> objective.Batch:
    """Return the next images of a phase, augmented: with their targets, mixed, and the views of those without a label."""
    parts, targets, mixture, teacher = [], None, None, None
    others: tuple[Tensor, ...] = ()
    if work.batches is not None:
        chosen = next(work.batches)
        images = normalised(_augmented(work.augment, chosen, setting, generator), setting.preprocess)
        if work.phase.mix is not None:
            mixture = objective.mix(work.phase.mix, images, sampling.seed_from(generator))
            images = mixture.images
        parts.append(images)
        targets = torch.from_numpy(setting.outputs.aims(setting.labels[chosen])).to(setting.device)
        others = tuple(torch.from_numpy(column[chosen]).to(setting.device) for column in setting.others)
        if setting.teacher is not None:
            teacher = torch.from_numpy(setting.teacher[chosen]).to(setting.device)
    if work.unlabelled is not None:
        without = next(work.unlabelled)
        parts += [
            normalised(_augmented(view, without, setting, generator), setting.preprocess)
            for view in work.phase.views
        ]
    images = parts[0]
    if len(parts) > 1:  # in one pass, so that batch norm sees one batch
        images = torch.cat(parts).contiguous(memory_format=torch.channels_last)
    return objective.Batch(
        images=images,
        targets=targets,
        views=len(work.phase.views),
        mixture=mixture,
        teacher=teacher,
        others=others,
    )


def _augmented(strength: str, chosen: np.ndarray, setting: Setting, generator: torch.Generator) -> Tensor:
    """Return augmented images (m, 3, size, size) in 0..255; a function of its own follows the light crop and flip."""
    squares = torch.from_numpy(setting.squares.get(chosen, setting.size, setting.preprocess)).to(
        setting.device
    )
    if ":" not in strength:
        return setting.augment(squares, setting.size, strength, setting.flip, generator)
    images = setting.augment(squares, setting.size, "light", setting.flip, generator)
    augmented = resolve(strength)(images, sampling.seed_from(generator))
    if not isinstance(augmented, Tensor) or augmented.shape != images.shape:
        raise EngineError(
            f"the augmentation {strength!r} returned something else than images {tuple(images.shape)}; correct it"
        )
    return augmented


def _followed(model: Model, depth: Depth, rows: int, setting: Setting) -> np.ndarray:
    """Return the rows to follow the score on: no more than `FOLLOWED` of the training's time goes into them.

    A step costs a forward pass, and about two more for the share of the network that moves.
    """
    if setting.followed is None:
        return np.zeros(0, np.int64)
    able = int(FOLLOWED * rows * (1 + 2 * model.backbone.trained_share(depth)[1]))
    return setting.followed[:able] if able >= FEWEST_FOLLOWED else setting.followed[:0]


def _score(model: Model, rows: np.ndarray, setting: Setting) -> float | None:
    """Return the goal's metric on rows with the model as it is; the model stays in training mode."""
    if not len(rows):
        return None
    table, _ = predict(model, rows, setting)
    model.train()
    labels = setting.labels[rows]
    answers = values.of(labels).answers(table)
    return round(metrics.score(setting.metric, labels, answers, table.shape[1]), 6)
