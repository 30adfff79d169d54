"""Run one trial on a session: fit or train, predict, and recover from what goes wrong on the way."""

from __future__ import annotations

import hashlib
import math
import re
import time
import traceback
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import torch
from torch import nn

from autotl import __version__, hardware
from autotl.budget import Allowance
from autotl.builtin.builds import BUILTIN_BUILDS
from autotl.builtin.heads import MOST_UNLABELLED
from autotl.builtin.strategies import BUILTIN_PREPARES
from autotl.cache import atomic, disk_full
from autotl.cache import key as cache_key
from autotl.engine import device as devices
from autotl.engine import memory, objective, stopwatch, train
from autotl.engine.augment import augment
from autotl.engine.images import normalised, side_before_crop
from autotl.engine.model import (
    ArraysHead,
    Description,
    Model,
    load_weights,
    make_head,
    read_weights,
    save,
    without_source,
)
from autotl.engine.outputs import Outputs, fitted_labels, outputs_of
from autotl.engine.progress import Reporter, Send
from autotl.engine.resolve import resolve
from autotl.engine.selection import select
from autotl.engine.session import Session
from autotl.errors import AutotlError, Declined, EngineError
from autotl.plugins import validation
from autotl.plugins.provenance import package_of
from autotl.protocols import Checkpoint, HeadCall, RelatedCall
from autotl.records import (
    PARTS,
    BackboneSpec,
    Candidate,
    Columns,
    Cost,
    CurvePoint,
    Fact,
    Kind,
    Measurement,
    Status,
    Strategy,
    Trial,
    TrialResult,
    fact,
)
from autotl.records.head import Head
from autotl.stats import metrics
from autotl.stats.folds import folds_for
from autotl.stats.target_kinds import TARGET_KINDS

HEAD_FOLDS = 5
HEAD_SECONDS = 3.0  # that fitting a head is left, where the time is short
# Factors on the learning rate asked for, one after the other where a training diverged or collapsed.
RATES = (1.0, 0.25, 1 / 32)
FEWEST_BATCH = 4
TIMED = 32  # images in a batch that is timed
TIMED_SECONDS = 0.02  # of passes at least
FEW_ROWS = 400  # below, half the batch: twice the steps
PASSES = ("decode", "forward", "backward")  # the kinds of work that are more than preparation
COLLAPSED = 0.97  # of the loss of the best constant prediction
NOTHING = np.zeros((0, 1), np.float32)
MOST_RELATED = 4  # images of another source for each that trains, at most,
FEWEST_RELATED = 1000  # or so many
RELATED_SHARE = 0.5  # of a trial's time, at most, for the features that these are weighted by
LEAST_SHARE = 1e-8  # of a class in a prediction that teaches: its logarithm stays finite


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A trial with all it works with; `columns` are the session's."""

    session: Session
    trial: Trial
    spec: BackboneSpec
    strategy: Strategy
    columns: Columns
    reporter: Reporter | None

    @property
    def outputs(self) -> Outputs:
        """Return what the outputs of its network mean."""
        return outputs_of(self.columns.target, self.session.data.scaling)

    @property
    def size(self) -> int:
        """Return the side of the images in pixels."""
        return self.trial.candidate.input_size

    def setting(self, precision: str) -> train.Setting:
        """Return what a training or prediction of this trial works with."""
        setting = self.session.setting(self.spec, self.size, precision)
        setting.labels, setting.reporter = self.columns.labels, self.reporter
        setting.weight = self.columns.weight
        return setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to fit on, in stratified order, and rows to predict; of one fold, or of all."""

    fitted: np.ndarray
    judged: np.ndarray
    related: int = 0  # of the fitted ones, at their end: images of another source

    @property
    def own(self) -> int:
        """Return the number of fitted rows that are the data's own."""
        return len(self.fitted) - self.related


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A fit on some rows."""

    model: Model
    course: train.Course = field(default_factory=train.Course)
    status: Status = "finished"
    notes: list[Fact] = field(default_factory=list)
    error: str | None = None
    precision: str = "fp32"  # of the training
    predicts_in: str = "fp32"  # a network predicts in one precision, whatever trained its layers


@stopwatch.on("other")
def attempt(
    session: Session,
    trial: Trial,
    spec: BackboneSpec,
    strategy: Strategy,
    allowance: Allowance,
    send: Send | None = None,
) -> TrialResult:
    """Run a trial and return its result; one that raises is a failed trial, a row of the leaderboard."""
    try:
        return run(session, trial, spec, strategy, allowance, send)
    except Declined as reason:
        return TrialResult(trial=trial, status="skipped", error=str(reason))
    except AutotlError as error:
        return TrialResult(trial=trial, status="failed", error=str(error))
    except Exception as error:
        if disk_full(error):
            raise
        traceback.print_exc()
        devices.release(session.device)
        return TrialResult(trial=trial, status="failed", error=f"{type(error).__name__}: {error}")


def run(
    session: Session,
    trial: Trial,
    spec: BackboneSpec,
    strategy: Strategy,
    allowance: Allowance,
    send: Send | None = None,
) -> TrialResult:
    """Fit as the strategy defines and predict the rows that are to be judged; out-of-fold where there are folds.

    `send` receives the trial's progress while it trains. Predictions and model go into the run folder.
    """
    before = stopwatch.so_far()
    columns = session.data.columns
    runs = _runs(columns, trial)
    reporter = None if send is None else Reporter(send, trial, len(runs))
    task = Task(
        session=session, trial=trial, spec=spec, strategy=strategy, columns=columns, reporter=reporter
    )
    if strategy.learns_unlabelled and (columns.unlabelled is None or not len(columns.unlabelled)):
        raise Declined(
            "it learns from images without a label, and this run has none; expected some; name their folder with "
            "--unlabelled"
        )
    whole = task
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    late = False
    notes: list[Fact] = []  # of all folds: what is measured once a run is noted in the first
    for index, own in enumerate(runs):
        share = _share(allowance, 1.0 / (len(runs) - index))
        task, rows = (whole, own) if strategy.related is None else _with_related(whole, own, share)
        attempted = _combined if strategy.combine else _tuned if strategy.phases else _closed
        outcome, table, latency = attempted(task, rows, share)
        tables.append((rows.judged[: len(table)], table))
        notes += [note for note in outcome.notes if note not in notes]
        if reporter is not None:
            reporter.end_run()
        late = late or outcome.status == "stopped"
        if outcome.status not in ("finished", "stopped"):
            break
    outcome.notes = notes
    if late and outcome.status == "finished":
        outcome.status = "stopped"  # the time of one fold was over: the others had theirs
    predictions = _write_predictions(task, tables)
    model = _write_model(task, outcome)
    return _result(task, outcome, predictions, model, latency, stopwatch.since(before))


@stopwatch.on("timing")
def measure(session: Session, candidate: Candidate, spec: BackboneSpec) -> Measurement:
    """Return the seconds of a training image and of a predicted image, from three timed batches of noise.

    What was measured once is kept in the cache, by machine, architecture, input size and depth.
    """
    described = (*devices.identity(session.device), session.threads, session.wanted_precision)
    architecture = (spec.build, spec.arguments, candidate.input_size, str(candidate.unfreeze))
    name = cache_key("measurement", __version__, described, architecture)
    cached = None if session.cache is None else session.cache.get(name)
    if cached is not None and "measurement" in cached:
        measured = msgspec.json.decode(bytes(cached["measurement"]), type=Measurement)
        return replace(measured, candidate=candidate.id, peak=devices.peak_memory(session.device))
    measured = timed_batches(session, candidate, spec)
    if session.cache is not None:
        session.cache.put(name, {"measurement": np.frombuffer(msgspec.json.encode(measured), np.uint8)})
    return measured


def timed_batches(session: Session, candidate: Candidate, spec: BackboneSpec) -> Measurement:
    """Return what three batches of noise take."""
    backbone = session.fresh(spec, candidate.input_size)
    precision, predicts_in = session.precision(backbone, training=True), session.precision(backbone)
    classes = max(2, len(session.data.columns.classes))
    network = Model(backbone, nn.Linear(backbone.feature_dim, classes)).to(session.device)
    backbone.freeze(candidate.unfreeze)
    network.train()
    batch = torch.randn(16, 3, candidate.input_size, candidate.input_size, device=session.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    side = side_before_crop(candidate.input_size, spec.preprocess)
    squares = torch.randint(0, 256, (16, side, side, 3), dtype=torch.uint8, device=session.device)
    generator = torch.Generator().manual_seed(0)
    train_seconds, predict_seconds, prepare_seconds = [], [], []
    for _ in range(3):
        start = time.perf_counter()
        normalised(augment(squares, candidate.input_size, "light", True, generator), spec.preprocess)
        devices.synchronize(session.device)
        prepared = time.perf_counter()
        with devices.autocast(session.device, precision):
            loss = network(batch).square().mean()
        loss.backward()
        devices.synchronize(session.device)
        trained = time.perf_counter()
        with torch.inference_mode(), devices.autocast(session.device, predicts_in):
            network(batch)
        devices.synchronize(session.device)
        prepare_seconds.append(prepared - start)
        train_seconds.append(trained - prepared)
        predict_seconds.append(time.perf_counter() - trained)
    return Measurement(
        candidate=candidate.id,
        seconds_per_image=min(train_seconds) / len(batch),
        latency=min(predict_seconds) / len(batch),
        prepare=min(prepare_seconds) / len(batch),
        bytes=memory.predicting(network.eval(), batch[:1]),
        peak=devices.peak_memory(session.device),
        precision=precision,
    )


def _runs(columns: Columns, trial: Trial) -> list[Rows]:
    """Return the rows of each training of a trial: one for each fold, or one."""
    part, order, fold = columns.part, columns.order, columns.fold
    fitted = order[np.isin(part[order], [PARTS.index(name) for name in trial.fit_on])]
    if trial.rows is not None:
        fitted = fitted[: trial.rows]
    if columns.folds and trial.evaluate_on == ("select",):
        numbers = np.unique(fold[fitted]).tolist()
        return [
            Rows(fitted=fitted[fold[fitted] != number], judged=fitted[fold[fitted] == number])
            for number in numbers
        ] or [Rows(fitted=fitted, judged=fitted)]
    judged = order[np.isin(part[order], [PARTS.index(name) for name in trial.evaluate_on])]
    return [Rows(fitted=fitted, judged=judged)]


def _with_related(task: Task, rows: Rows, allowance: Allowance) -> tuple[Task, Rows]:
    """Return the task with the images of another source among those that are fitted, by the weights of its strategy.

    The images that judge stay as they are. Where time runs out before all features are there, fewer are learned from.
    """
    session, columns, name = task.session, task.columns, str(task.strategy.related)
    if columns.related is None or columns.related_labels is None or not len(columns.related):
        raise Declined(
            "it learns from labelled images of another source, and there are none; give some with --source"
        )
    number = min(len(columns.related), max(MOST_RELATED * len(rows.fitted), FEWEST_RELATED))
    chosen = np.random.default_rng(task.trial.seed).permutation(len(columns.related))[:number]
    wanted = np.concatenate([rows.fitted, columns.related[chosen]])
    features = session.features(
        task.spec, task.size, wanted, _share(allowance, RELATED_SHARE), task.strategy.prepare
    )
    label_of = dict(zip(columns.related.tolist(), columns.related_labels.tolist(), strict=True))
    own = features.rows < len(columns.labels)
    related = features.rows[~own]
    call = RelatedCall(
        features=features.groups[-1][own],
        labels=columns.labels[features.rows[own]],
        related=features.groups[-1][~own],
        related_labels=np.array([label_of[row] for row in related.tolist()], np.int64),
        seed=task.trial.seed,
    )
    with stopwatch.on("head"):
        weights = np.asarray(resolve(name)(call), np.float64)
    if weights.shape != (len(related),) or not np.isfinite(weights).all() or weights.min(initial=0.0) < 0:
        raise EngineError(
            f"the function {name!r} gave weights of the shape {weights.shape}; expected a number of 0 or more for each "
            f"of {len(related)} images; correct it"
        )
    kept = weights > 0
    related, weights = related[kept], weights[kept]
    extended = _extended(columns, related, call.related_labels[kept], weights)
    fitted = np.concatenate([rows.fitted, related])
    return replace(task, columns=extended), replace(rows, fitted=fitted, related=len(related))


def _extended(columns: Columns, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Columns:
    """Return the columns with entries for rows behind those of the data: labels, weights, and groups of their own."""
    count = len(columns.labels)
    behind = max(int(rows.max(initial=count - 1)) + 1 - count, 0)

    def longer(column: np.ndarray, fill: float) -> np.ndarray:
        return np.concatenate([column, np.full(behind, fill, column.dtype)])

    every_label, part, fold = longer(columns.labels, 0), longer(columns.part, -1), longer(columns.fold, -1)
    every_label[rows] = labels
    group = columns.group
    if group is not None:
        group = np.concatenate([group, group.max(initial=0) + 1 + np.arange(behind)])
    weight = None
    if columns.weight is not None or (weights != 1.0).any():
        weight = longer(np.ones(count) if columns.weight is None else columns.weight, 0.0)
        weight[rows] = weights * (1.0 if columns.weight is None else columns.weight.mean())
    return replace(columns, labels=every_label, part=part, fold=fold, group=group, weight=weight)


# --------------------------------------------------------------------------- heads in closed form


def _closed(task: Task, rows: Rows, allowance: Allowance) -> tuple[Outcome, np.ndarray, float]:
    """Fit a head on stored features; judged rows need no further pass through the network."""
    session, classes = task.session, len(task.columns.classes)
    if task.strategy.needs_text:
        session.text(task.spec)  # a backbone without it is declined before its features cost anything
    prepare = task.strategy.prepare
    backbone = session.backbone(task.spec, task.size, prepare)
    precision = session.precision(backbone)  # chosen now, so that the features are in it, too
    # The judged rows come first: a fit on fewer images is a fit, a score on fewer is another score.
    without = _without_label(task)
    wanted = np.concatenate([rows.judged, rows.fitted, without])
    features = session.features(task.spec, task.size, wanted, _before_head(allowance), prepare)
    place = {row: index for index, row in enumerate(features.rows.tolist())}
    inside = [place[row] for row in rows.fitted.tolist() if row in place]
    outside = [place[row] for row in rows.judged.tolist() if row in place]
    if len(outside) < len(rows.judged) or len(inside) < min(len(rows.fitted), classes):
        network = Model(backbone, nn.Linear(backbone.feature_dim, classes))
        return Outcome(model=network, status="failed", error="out of time"), NOTHING, 0.0
    layers = task.strategy.layers
    groups = features.groups if layers == "all" else features.groups[-1:]
    seen = np.concatenate(groups, axis=1)
    widths = tuple(group.shape[1] for group in groups)
    at = [place[row] for row in without.tolist() if row in place]
    head = _fit_head(task, seen[inside], features.rows[inside], widths, seen[at])
    module = make_head(head, classes, task.strategy.predict).to(session.device)
    with torch.inference_mode():
        table = task.outputs(module(torch.from_numpy(seen[outside]).to(session.device))).cpu().numpy()
    notes = []
    if head.method:
        notes.append(fact(Kind.HEAD_FITTED, method=head.method, setting=head.setting))
    if len(inside) < len(rows.fitted):
        notes.append(fact(Kind.FEWER_ROWS, rows=len(inside), of=len(rows.fitted)))
    model = Model(backbone, module, layers).eval()
    outcome = Outcome(model=model, notes=notes, precision=precision, predicts_in=precision)
    return outcome, table, _latency(outcome.model, task, precision)


def _without_label(task: Task) -> np.ndarray:
    """Return the rows without a label that a head gets: drawn at random where they are many."""
    rows = task.columns.unlabelled
    if not task.strategy.needs_unlabelled or rows is None:
        return np.zeros(0, np.int64)
    return np.random.default_rng(task.session.seed).permutation(rows)[:MOST_UNLABELLED]


@stopwatch.on("head")
def _fit_head(
    task: Task,
    features: np.ndarray,
    rows: np.ndarray,
    widths: tuple[int, ...] = (),
    unlabelled: np.ndarray | None = None,
) -> Head:
    """Fit the strategy's head on features (m, d) of `rows`; `widths` are those of the layer groups in them.

    `unlabelled` (u, d) are the features of images without a label, for a strategy that needs them.
    """
    strategy, columns = task.strategy, task.columns
    fit = resolve(str(strategy.head))
    if (unfit := validation.call_flaw(fit, validation.ARGUMENTS["head"])) is not None:
        raise EngineError(f"the head {strategy.head!r} {unfit}")
    order = np.argsort(rows)  # folds follow the data, not the order in which rows were drawn
    features, rows = features[order], rows[order]
    labels = columns.labels[rows]
    own = None if columns.weight is None else columns.weight[rows]
    call = HeadCall(
        features=features,
        labels=fitted_labels(labels, task.session.data.scaling),
        classes=len(columns.classes),
        folds=folds_for(labels, None if columns.group is None else columns.group[rows], HEAD_FOLDS),
        seed=task.trial.seed,
        weights=metrics.fitting_weights(task.session.data.metric, labels, own),
        widths=widths if strategy.layers == "all" else (),
        unlabelled=unlabelled if strategy.needs_unlabelled else None,
    )
    if strategy.needs_text:
        text, factor = task.session.text(task.spec)
        call = replace(call, text=text, factor=factor)
    with hardware.one_thread():
        head = fit(call)
    flaw = validation.head_flaw(
        head,
        call.classes,
        features.shape[1],
        trained=bool(strategy.phases),
        predict=strategy.predict,
        labels=call.labels,
    )
    if flaw is not None:
        raise EngineError(f"the head {strategy.head!r} {flaw}")
    return head  # type: ignore[no-any-return]


# --------------------------------------------------------------------------- the weights of several trials


def _combined(task: Task, rows: Rows, allowance: Allowance) -> tuple[Outcome, np.ndarray, float]:
    """Join the weights of finished trials of the same network, and predict the judged rows."""
    session, strategy, parents = task.session, task.strategy, task.trial.parents
    if len(parents) < 2:
        raise Declined(f"it joins {' and '.join(strategy.parents)}, and there are not two trials of them")
    backbone = session.fresh(task.spec, task.size)
    if backbone.folded:
        raise Declined("batch norm is folded away in the weights, and trainings measure it in different ways")
    outcome = Outcome(
        model=Model(backbone, _new_head(backbone.feature_dim, task.columns)).to(session.device),
        precision=session.precision(backbone, training=True),
    )
    checkpoints = [
        Checkpoint(
            strategy=parent.strategy,
            score=parent.score,
            epochs=parent.epochs,
            weights=read_weights(session.folder, parent.model),
        )
        for parent in parents
    ]
    shapes = {name: tensor.shape for name, tensor in outcome.model.state_dict().items()}
    if any({n: w.shape for n, w in c.weights.items()} != shapes for c in checkpoints):
        raise Declined("the trials that it joins are of different networks")
    try:
        outcome.model.load_state_dict(dict(resolve(str(strategy.combine))(checkpoints)), strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise EngineError(
            f"{strategy.combine!r} returned something else than weights by name ({error}); expected those of one "
            "network, of backbone and head; correct it"
        ) from error
    setting = task.setting(outcome.precision)
    train.remeasure(outcome.model, rows.fitted, setting)
    outcome.course = train.Course(epochs=task.trial.epochs)
    table, _ = train.predict(outcome.model, rows.judged, setting)
    return outcome, table, _latency(outcome.model, task, outcome.precision)


# --------------------------------------------------------------------------- training


def _tuned(task: Task, rows: Rows, allowance: Allowance) -> tuple[Outcome, np.ndarray, float]:
    """Train, then predict the judged rows, also when the time is over: a score on fewer is another score."""
    outcome = _tune(task, rows, allowance)
    outcome.predicts_in = task.session.precision(outcome.model.backbone)
    table, _ = train.predict(outcome.model, rows.judged, task.setting(outcome.predicts_in))
    return outcome, table, _latency(outcome.model, task, outcome.predicts_in)


def _tune(task: Task, rows: Rows, allowance: Allowance) -> Outcome:
    """Train, and start again at a lower rate when the loss runs away or stays that of a constant."""
    outcome, setting = _prepare(task, rows, allowance)
    first = train.snapshot(outcome.model)
    time_to_train = _less(allowance, len(rows.judged))
    hyper = dict(task.trial.candidate.hyper)
    rate = float(hyper.get("lr", task.strategy.phases[0].lr))
    rates = iter(RATES)
    factor = next(rates)
    resumed = task.trial.resumed_epochs
    epochs = task.trial.epochs - resumed
    phases = task.strategy.continued if task.trial.resume_from else task.strategy.phases
    while True:
        try:
            course = train.fit(
                outcome.model,
                phases,
                task.trial.candidate.unfreeze,
                rows.fitted,
                epochs,
                setting,
                time_to_train,
                hyper,
            )
            cause = "constant"
            labels = task.columns.labels[rows.fitted]
            constant, comparable = setting.outputs.constant_loss(labels), objective.on_own_scale(phases)
            if time_to_train.expired or not comparable or not _collapsed(course.curve, constant, epochs):
                outcome.course = _counted_from(resumed, course)
                break
        except train.Diverged:
            course, cause = None, "diverged"
        except Exception as error:
            if not devices.out_of_memory(error) or setting.batch <= FEWEST_BATCH:
                raise
            devices.release(task.session.device)
            setting.batch //= 2
            outcome.notes.append(fact(Kind.BATCH_HALVED, batch=setting.batch))
            outcome.model.load_state_dict(first)
            continue
        lower = next(rates, None)
        if lower is None:
            _accept(outcome, course, rate)
            break
        outcome.notes.append(fact(Kind.RATE_LOWERED, cause=cause, rate=factor * rate, next_rate=lower * rate))
        factor, hyper["lr"] = lower, lower * rate
        outcome.model.load_state_dict(first)
    trained = outcome.course.epochs
    if outcome.status == "finished" and trained < 0.98 * task.trial.epochs:
        outcome.status = "stopped"
        outcome.notes.append(fact(Kind.FEWER_EPOCHS, epochs=round(trained, 4), of=task.trial.epochs))
    return outcome


def _counted_from(resumed: float, course: train.Course) -> train.Course:
    """Return a course whose epochs include those that the model had made before."""
    curve = [replace(point, epoch=round(point.epoch + resumed, 3)) for point in course.curve]
    return train.Course(curve=curve, steps=course.steps, epochs=course.epochs + resumed)


def _accept(outcome: Outcome, course: train.Course | None, rate: float) -> None:
    """Take the training at the lowest rate as it is: a constant prediction, or none at all."""
    if course is None:
        outcome.status = "diverged"
        outcome.error = f"the loss diverged at the learning rates {', '.join(f'{f * rate:g}' for f in RATES)}"
    else:
        outcome.course = course


def _prepare(task: Task, rows: Rows, allowance: Allowance) -> tuple[Outcome, train.Setting]:
    """Build the network as its first phase begins with it, and the setting of the training."""
    session, trial, strategy = task.session, task.trial, task.strategy
    hyper = dict(trial.candidate.hyper)
    backbone = session.fresh(task.spec, task.size, strategy.prepare)
    precision = session.precision(backbone, training=True)
    torch.manual_seed(trial.seed)
    head = _new_head(backbone.feature_dim, task.columns)
    outcome = Outcome(model=Model(backbone, head).to(session.device), precision=precision)
    setting = task.setting(precision)
    setting.seed = trial.seed
    default_batch = train.BATCH if rows.own >= FEW_ROWS else train.BATCH // 2
    setting.counted = rows.own
    setting.batch = int(hyper.get("batch", default_batch))
    if "flip" in hyper:
        setting.flip = bool(hyper["flip"])
    else:
        setting.flip, measured = session.flips(task.spec, task.size)
        outcome.notes += [] if measured is None else [measured]
    setting.metric = session.data.metric
    setting.followed = rows.judged if trial.evaluate_on == ("select",) else None  # the test part is seen once
    if strategy.parents:
        setting.teacher = _teacher(task, rows.fitted, allowance)
    phase = strategy.phases[0]
    select(outcome.model, phase, trial.candidate.unfreeze)
    if trial.resume_from is not None:
        if any(
            phase.objective for phase in strategy.phases
        ):  # they may ask for the weights before all training
            if backbone.folded or strategy.head:
                train.recalibrate(outcome.model, rows.fitted, setting)
            setting.starts = objective.starts_of(outcome.model)
        load_weights(outcome.model, session.folder, trial.resume_from)
        return outcome, setting
    if backbone.folded:
        outcome.notes.append(fact(Kind.BATCH_NORM_MEASURED))
    if strategy.head:
        without = _without_label(task)
        wanted = np.concatenate([rows.fitted, without])
        features = session.features(task.spec, task.size, wanted, allowance, strategy.prepare)
        own = features.rows < len(task.columns.labels)
        seen = features.groups[-1]
        fitted_head = _fit_head(task, seen[own], features.rows[own], (), seen[~own])
        outcome.model.head = make_head(fitted_head, len(task.columns.classes)).to(session.device)
    if backbone.folded or strategy.head:
        train.recalibrate(outcome.model, rows.fitted, setting)
    return outcome, setting


def _teacher(task: Task, rows: np.ndarray, allowance: Allowance) -> np.ndarray:
    """Return logits (n, classes) float32 of `rows` as the trials predict that teach this one; other rows stay 0.

    The images are those of a prediction, without augmentation, so that one pass through each teacher is enough.
    """
    session, classes = task.session, task.columns.classes
    if not task.trial.parents:
        raise Declined("it learns from the predictions of another trial, and there is none that teaches it")
    shares = np.zeros((len(task.columns.labels), len(classes)), np.float32)
    for parent in task.trial.parents:
        predictor = session.predictor(parent.model)
        described = predictor.description
        if described.classes != classes:
            raise EngineError(
                f"{parent.model} predicts {len(described.classes)} classes of its own; expected those of this run"
            )
        for first in range(0, len(rows), train.EVALUATION_BATCH):
            if allowance.expired:
                raise EngineError("the time was over before the model that teaches had predicted its images")
            part = rows[first : first + train.EVALUATION_BATCH]
            squares = session.data.squares.get(part, described.input_size, described.backbone.preprocess)
            shares[part] += predictor.predict_squares(squares)[0]
            if task.reporter is not None:
                task.reporter.alive()
    logits: np.ndarray = np.log(np.maximum(shares / len(task.trial.parents), LEAST_SHARE))
    return logits


def _new_head(width: int, columns: Columns) -> nn.Linear:
    """Return a head whose outputs are all about 0: the same probability for every class, or the mean."""
    head: nn.Linear = resolve(TARGET_KINDS[columns.target].head)(width, len(columns.classes))
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head


def _collapsed(curve: list[CurvePoint], constant: float, epochs: float) -> bool:
    """Return whether the training loss stayed where a constant prediction would have it."""
    return bool(curve) and epochs >= 3 and curve[-1].loss > COLLAPSED * constant


# --------------------------------------------------------------------------- time


@stopwatch.on("timing")
def _latency(network: Model, task: Task, precision: str) -> float:
    """Return the seconds that predicting one image of a batch of 32 takes.

    The backbone is timed once a run: whatever head it has, and however it was trained, it takes the same time.
    """
    device, known = task.session.device, task.session.latencies
    key = (task.spec.name, task.strategy.prepare, task.size, precision)
    network.eval()
    with torch.inference_mode(), devices.autocast(device, precision):
        if key not in known:
            batch = torch.randn(TIMED, 3, task.size, task.size, device=device)
            batch = batch.contiguous(memory_format=torch.channels_last)
            known[key] = _seconds(network.backbone, batch)
        features = torch.randn(TIMED, network.head_width, device=device)
        return known[key] + _seconds(network.head, features)


def _seconds(module: nn.Module, batch: torch.Tensor) -> float:
    """Return the seconds an item of a batch takes: the shortest of three passes or more after a first one.

    What takes next to nothing is passed until `TIMED_SECONDS` are over: among few short passes of a busy machine
    each may have been interrupted, and a head would seem to slow its network down.
    """
    passes: list[float] = []
    while len(passes) < 4 or sum(passes) < TIMED_SECONDS:
        start = time.perf_counter()
        module(batch)
        devices.synchronize(batch.device)
        passes.append(time.perf_counter() - start)
    return min(passes[1:]) / len(batch)


def _share(allowance: Allowance, share: float) -> Allowance:
    """Return a share of the time left, under the same cancel token."""
    end = allowance.clock() + share * allowance.left
    return Allowance(deadline=end, clock=allowance.clock, cancelled=allowance.cancelled)


def _before_head(allowance: Allowance) -> Allowance:
    """Return the allowance without the time for fitting the head, three tenths at most."""
    keep = min(0.3 * allowance.left, HEAD_SECONDS)
    return replace(allowance, deadline=allowance.deadline - keep)


def _less(allowance: Allowance, judged: int) -> Allowance:
    """Return the allowance without the time for predicting the judged rows, about a tenth at most."""
    keep = min(0.1 * allowance.left, 0.5 + 0.01 * judged)
    return Allowance(deadline=allowance.deadline - keep, clock=allowance.clock, cancelled=allowance.cancelled)


# --------------------------------------------------------------------------- files and result


def _write_predictions(task: Task, tables: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Write rows, probabilities and folds; return the path within the run folder."""
    rows = np.concatenate([rows for rows, _ in tables])
    proba = np.concatenate([table for rows, table in tables if len(rows)]) if len(rows) else NOTHING
    path = f"trials/{_slug(task.trial)}/predictions.npz"
    with atomic(task.session.folder / path) as temporary, open(temporary, "wb") as file:
        np.savez(file, rows=rows, proba=proba.astype(np.float32), fold=task.columns.fold[rows])
    return path


def _write_model(task: Task, outcome: Outcome) -> str | None:
    """Write the model folder, where the trial keeps one; return its path within the run folder."""
    if not task.trial.keep_model or outcome.status not in ("finished", "stopped"):
        return None
    if task.reporter is not None:
        task.reporter.alive()
    path = f"trials/{_slug(task.trial)}/model"
    head = outcome.model.head
    predict = task.strategy.predict if isinstance(head, ArraysHead) else None
    description = Description(
        backbone=without_source(task.spec),
        input_size=task.size,
        head="linear" if isinstance(head, nn.Linear) else "arrays" if predict else "knn",
        classes=task.columns.classes,
        precision=outcome.predicts_in,  # type: ignore[arg-type]
        decoded=task.session.data.squares.pixels.side,
        autotl=__version__,
        prepare=task.strategy.prepare,
        package=_package(task),
        predict=predict,
        predict_package=package_of(predict) if predict and not predict.startswith("autotl.") else "",
        layers=outcome.model.layers,
        target=task.columns.target,
        scaling=task.session.data.scaling,
    )
    save(outcome.model, description, task.session.folder / path)
    return path


def _package(task: Task) -> str:
    """Return the package, with its version, whose code a model folder needs beside autotl."""
    build, prepare = task.spec.build, task.strategy.prepare
    if build not in BUILTIN_BUILDS:
        return package_of(build)
    return "" if prepare is None or prepare in BUILTIN_PREPARES else package_of(prepare)


def _result(
    task: Task,
    outcome: Outcome,
    predictions: str,
    model: str | None,
    latency: float,
    seconds: dict[str, float],
) -> TrialResult:
    course, backbone = outcome.course, outcome.model.backbone
    failed = outcome.status in ("failed", "diverged")
    return TrialResult(
        trial=task.trial,
        status=outcome.status,
        predictions=None if failed else predictions,
        model=model,
        curve=tuple(course.curve),
        cost=Cost(
            **{kind: round(seconds[kind], 4) for kind in PASSES},
            other=round(sum(seconds.values()) - sum(seconds[kind] for kind in PASSES), 4),
            bytes=devices.peak_memory(task.session.device),
        ),
        precision=outcome.precision,
        steps_done=course.steps,
        epochs_done=round(course.epochs, 4),
        latency=latency if math.isfinite(latency) else None,
        # What nearest neighbours store is no parameter of a network, but it is loaded and shipped like one.
        parameters=sum(p.numel() for p in [*outcome.model.parameters(), *outcome.model.head.buffers()]),
        macs=backbone.macs,
        notes=tuple(outcome.notes),
        error=outcome.error,
    )


def _slug(trial: Trial) -> str:
    """Return a folder name: the candidate's id, made safe, and eight digits that distinguish trials."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", trial.candidate.id).strip("-")[:80]
    digest = hashlib.blake2b(
        f"{trial.id} {trial.candidate.id} {trial.epochs}".encode(), digest_size=4
    ).hexdigest()
    return f"{safe}-{digest}"
