"""Train a network by the phases of a strategy, and recover from what goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from autotl.budget import Allowance
from autotl.engine import batch_norm, objective, others, train
from autotl.engine import device as devices
from autotl.engine.closed_form import fit_head, head_seconds, without_label
from autotl.engine.model import Model, load_weights, make_head
from autotl.engine.selection import select
from autotl.engine.setting import BATCH, Setting
from autotl.engine.task import Outcome, Rows, Task
from autotl.engine.timing import latency
from autotl.errors import Declined, EngineError
from autotl.records import CurvePoint, Kind, Phase, fact

# Factors on the learning rate asked for, one after the other where a training diverged or collapsed.
RATES = (1.0, 0.25, 1 / 32)
# A continued training starts with the optimiser's moments at nought. At the full rate a few epochs then undo more than
# they teach. So its rate is lower the fewer epochs it adds, counted against `CAREFUL` times those that were made. Rates
# up to `LEAST_RATE` undo nothing and stay (docs/measurements/training.md).
CAREFUL, LEAST_RATE = 3.0, 5e-4
FEWEST_BATCH = 4
FEW_ROWS = 400  # below, half the batch: twice the steps
COLLAPSED = 0.97  # of the loss of the best constant prediction
LEAST_SHARE = 1e-8  # of a class in a prediction that teaches: its logarithm stays finite


def fine_tune(task: Task, rows: Rows, allowance: Allowance) -> Outcome:
    """Train, then predict the judged rows, also when the time is over: a score on fewer is another score."""
    outcome = _trained(task, rows, allowance)
    outcome.predicts_in = task.session.precision(outcome.model.backbone)
    outcome.predicted, _ = train.predict(outcome.model, rows.judged, task.setting(outcome.predicts_in))
    outcome.latency = latency(outcome.model, task, outcome.predicts_in)
    if task.streamed is not None:
        passes = min(1.0, outcome.course.epochs - task.trial.resumed_epochs)
        outcome.unsampled = max(0, round(passes * rows.unsampled) - len(task.streamed.lost))
    return outcome


def _trained(task: Task, rows: Rows, allowance: Allowance) -> Outcome:
    """Train, and start again at a lower rate when the loss runs away or stays that of a constant."""
    outcome, setting = _prepare(task, rows, allowance)
    first = train.snapshot(outcome.model)
    time_to_train = _before_prediction(allowance, len(rows.judged))
    resumed = task.trial.resumed_epochs
    epochs = task.trial.epochs - resumed
    phases, hyper = _phases(task, rows, epochs)
    rate = float(hyper.get("lr", phases[0].lr))
    constant = setting.outputs.constant_loss(task.columns.labels[rows.fitted])
    comparable = objective.on_own_scale(phases)  # with the loss of a constant

    def fit(setting: Setting) -> train.Course:
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
        return _counted_from(resumed, course)

    for factor, next_factor in zip(RATES, (*RATES[1:], None), strict=True):
        course, setting = _within_memory(fit, setting, outcome, first)
        accepted = course is not None and (
            time_to_train.expired or not comparable or not _collapsed(course.curve, constant, epochs)
        )
        if accepted or next_factor is None:
            _accept(outcome, course, rate)
            break
        cause = "diverged" if course is None else "constant"
        outcome.notes.append(
            fact(Kind.RATE_LOWERED, cause=cause, rate=factor * rate, next_rate=next_factor * rate)
        )
        hyper["lr"] = next_factor * rate
        outcome.model.load_state_dict(first)
    _note_fewer_epochs(outcome, task.trial.epochs)
    return outcome


def _within_memory(
    fit: Callable[[Setting], train.Course], setting: Setting, outcome: Outcome, first: dict[str, torch.Tensor]
) -> tuple[train.Course | None, Setting]:
    """Train, and start again from the weights `first` with half the batch where memory does not suffice.

    Return the course, None where the loss diverged, and the setting with the batch that was used.
    """
    while True:
        try:
            return fit(setting), setting
        except train.Diverged:
            return None, setting
        except Exception as error:
            if not devices.out_of_memory(error) or setting.batch <= FEWEST_BATCH:
                raise
            devices.release(setting.device)
            setting = replace(setting, batch=setting.batch // 2)
            outcome.notes.append(fact(Kind.BATCH_HALVED, batch=setting.batch))
            outcome.model.load_state_dict(first)


def _phases(task: Task, rows: Rows, epochs: float) -> tuple[tuple[Phase, ...], dict[str, float | int | str]]:
    """Return the phases and hyperparameters; rates are lower where `epochs` are added to a shorter training."""
    hyper = dict(task.trial.candidate.hyper)
    if task.trial.resume_from is None:
        return task.strategy.phases, hyper
    # A pass over further images is as many steps as several over those that the shorter training saw.
    passes = epochs * len(rows.fitted) / max(len(rows.decoded), 1)
    lower = partial(continued_rate, added=passes, trained=task.trial.resumed_epochs)
    if "lr" in hyper:
        hyper["lr"] = lower(float(hyper["lr"]))
    return tuple(replace(phase, lr=lower(phase.lr)) for phase in task.strategy.continued), hyper


def _note_fewer_epochs(outcome: Outcome, asked: float) -> None:
    """Note a training that ended before the epochs that were asked for, as one that was stopped."""
    trained = outcome.course.epochs
    if outcome.status == "finished" and trained < 0.98 * asked:
        outcome.status = "stopped"
        outcome.notes.append(fact(Kind.FEWER_EPOCHS, epochs=round(trained, 4), of=asked))


def continued_rate(rate: float, *, added: float, trained: float) -> float:
    """Return the peak learning rate at which a training of `trained` epochs is continued for `added` more.

    >>> continued_rate(2e-3, added=2, trained=6), continued_rate(2e-3, added=18, trained=6)
    (0.0005, 0.001)
    """
    return max(rate * added / (added + CAREFUL * trained), min(rate, LEAST_RATE))


def _counted_from(resumed: float, course: train.Course) -> train.Course:
    """Return a course whose epochs include those that the model had made before."""
    curve = [replace(point, epoch=round(point.epoch + resumed, 3)) for point in course.curve]
    return train.Course(curve=curve, steps=course.steps, epochs=course.epochs + resumed)


def _accept(outcome: Outcome, course: train.Course | None, rate: float) -> None:
    """Take a training as it is; None: it diverged at every rate."""
    if course is None:
        outcome.status = "diverged"
        outcome.error = f"the loss diverged at the learning rates {', '.join(f'{f * rate:g}' for f in RATES)}"
    else:
        outcome.course = course


def _prepare(task: Task, rows: Rows, allowance: Allowance) -> tuple[Outcome, Setting]:
    """Build the network as its first phase begins with it, and the setting of the training."""
    session, trial, strategy = task.session, task.trial, task.strategy
    hyper = dict(trial.candidate.hyper)
    backbone = session.fresh(task.spec, task.size, strategy.prepare)
    precision = session.precision(backbone, training=True)
    torch.manual_seed(trial.seed)
    outcome = Outcome(model=task.network(backbone), precision=precision)
    if "flip" in hyper:
        flip, measured = bool(hyper["flip"]), None
    else:
        flip, measured = session.flips(task.spec, task.size)
    outcome.notes += [] if measured is None else [measured]
    default_batch = BATCH if rows.own >= FEW_ROWS else BATCH // 2
    setting = replace(
        task.setting(precision),
        seed=trial.seed,
        counted=rows.own,
        batch=int(hyper.get("batch", default_batch)),
        flip=flip,
        metric=session.data.metric,
        followed=rows.judged if trial.evaluate_on == ("select",) else None,  # the test part is seen once
        teacher=_teacher(task, rows.fitted, allowance) if strategy.parents else None,
    )
    phase = strategy.phases[0]
    select(outcome.model, phase, trial.candidate.unfreeze)
    if trial.resume_from is not None:
        # An objective may ask for the weights before all training, which the shorter trial's replace.
        if any(phase.objective for phase in strategy.phases):
            if backbone.folded or strategy.head:
                batch_norm.recalibrate(outcome.model, rows.decoded, setting)
            setting = replace(setting, starts=objective.starts_of(outcome.model))
        load_weights(outcome.model, session.folder, trial.resume_from)
        return outcome, setting
    if backbone.folded:
        outcome.notes.append(fact(Kind.BATCH_NORM_MEASURED))
    if strategy.head:
        _fit_first_heads(task, rows, allowance, outcome.model)
    if backbone.folded or strategy.head:
        batch_norm.recalibrate(outcome.model, rows.decoded, setting)
    return outcome, setting


def _fit_first_heads(task: Task, rows: Rows, allowance: Allowance, model: Model) -> None:
    """Give a network the head in closed form that its training begins with, of each label column that it learns."""
    session, strategy = task.session, task.strategy
    wanted = np.concatenate([rows.decoded, without_label(task)])
    features = session.features(task.spec, task.size, wanted, allowance, strategy.prepare)
    own = np.isin(features.rows, rows.decoded)
    seen = features.groups[-1]
    head = fit_head(
        task, seen[own], features.rows[own], unlabelled=seen[~own], seconds=head_seconds(allowance)
    )
    model.head = make_head(head, len(task.columns.classes)).to(session.device)
    if strategy.every_target:
        data = replace(session.data, columns=task.columns)
        made = others.fitted(data, seen[own], features.rows[own], task.trial.seed)
        model.others = nn.ModuleList(made).to(session.device)


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


def _collapsed(curve: list[CurvePoint], constant: float, epochs: float) -> bool:
    """Return whether the training loss stayed where a constant prediction would have it."""
    return bool(curve) and epochs >= 3 and curve[-1].loss > COLLAPSED * constant


def _before_prediction(allowance: Allowance, judged: int) -> Allowance:
    """Return the allowance without the time for predicting the judged rows, about a tenth at most."""
    return allowance.without(min(0.1 * allowance.left, 0.5 + 0.01 * judged))
