"""Trial → TrialResult: builds, fits or trains, predicts, and answers what goes wrong on the way."""

from __future__ import annotations

import hashlib
import importlib
import math
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from autotl import __version__, hardware
from autotl.budget import Allowance
from autotl.builtin.heads import Head
from autotl.cache import atomic
from autotl.engine import device as devices
from autotl.engine import flip, memory, stopwatch, train
from autotl.engine.augment import augment
from autotl.engine.images import normalised, side_before_crop
from autotl.engine.model import Description, Model, make_head, save, without_source
from autotl.records import (
    PARTS,
    BackboneSpec,
    Candidate,
    Cost,
    CurvePoint,
    Measurement,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.stats import metrics
from autotl.stats.folds import folds_for

if TYPE_CHECKING:
    from autotl.engine.worker import Worker

HEAD_FOLDS = 5
RATES = (
    1.0,
    0.25,
    1 / 32,
)  # of the rate asked for, one after the other where a training diverged or collapsed
FEWEST_BATCH = 4
FEW_ROWS = 400  # below, half the batch: twice the steps
PASSES = ("decode", "forward", "backward")  # what of a training is more than preparing it
COLLAPSED = 0.97  # of the loss of the best constant answer


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a fit on some rows gave."""

    model: Model
    course: train.Course = field(default_factory=train.Course)
    status: str = "finished"
    note: str = ""
    precision: str = "fp32"


def run(
    worker: Worker, trial: Trial, spec: BackboneSpec, strategy: Strategy, allowance: Allowance
) -> TrialResult:
    """Fits as the strategy says and predicts the rows that are to be judged; out-of-fold where there are folds."""
    if trial.control != "shuffled":
        return _run(worker, trial, spec, strategy, allowance)
    true = worker.table["labels"]
    worker.table["labels"] = np.random.default_rng(trial.seed).permutation(true)
    try:
        return _run(worker, trial, spec, strategy, allowance)
    finally:
        worker.table["labels"] = true


@stopwatch.on("other")
def _run(
    worker: Worker, trial: Trial, spec: BackboneSpec, strategy: Strategy, allowance: Allowance
) -> TrialResult:
    before = stopwatch.so_far()
    fitted, judged, folds = _rows(worker, trial)
    fold = worker.table["fold"]
    share = 1.0 / max(len(folds), 1)
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    outcome, latency = None, 0.0
    turns: list[int | None] = [*folds] or [None]
    for number in turns:
        inside = fitted if number is None else fitted[fold[fitted] != number]
        outside = judged if number is None else judged[fold[judged] == number]
        right = _slice(allowance, share if number is None else 1.0 / (len(folds) - len(tables)))
        if strategy.phases:
            outcome = _tune(worker, trial, spec, strategy, inside, outside, right)
            table, latency = train.predict(
                outcome.model, outside, _setting(worker, trial.candidate, spec, outcome.precision)
            )
        else:
            outcome, table, latency = _closed(worker, trial, spec, strategy, inside, outside, right)
        tables.append((outside[: len(table)], table))
        if outcome.status != "finished":
            break
    assert outcome is not None
    folder = Path(worker.start.folder if worker.start else ".")
    place = Path("trials") / _slug(trial)
    rows = np.concatenate([rows for rows, _ in tables])
    proba = np.concatenate([table for rows, table in tables if len(rows)]) if len(rows) else np.zeros((0, 1))
    with atomic(folder / place / "predictions.npz") as temporary, open(temporary, "wb") as file:
        np.savez(file, rows=rows, proba=proba.astype(np.float32), fold=fold[rows])
    saved = None
    if trial.keep_model and outcome.status in ("finished", "stopped"):
        saved = str(place / "model")
        head = "linear" if isinstance(outcome.model.head, nn.Linear) else "knn"
        description = Description(
            backbone=without_source(spec),
            input_size=trial.candidate.input_size,
            head=head,
            classes=worker.classes,
            precision=outcome.precision,
            autotl=__version__,
        )
        save(outcome.model, description, folder / saved)
    return _result(
        worker, trial, outcome, str(place / "predictions.npz"), saved, latency, stopwatch.since(before)
    )


@stopwatch.on("timing")
def measure(worker: Worker, candidate: Candidate, spec: BackboneSpec, allowance: Allowance) -> Measurement:
    """Seconds a training image and a predicted image, from three timed batches of noise."""
    del allowance  # three batches
    backbone = worker.fresh(spec, candidate.input_size)
    precision = worker.precision(backbone, training=True)
    network = Model(backbone, nn.Linear(backbone.feature_dim, max(2, len(worker.classes)))).to(worker.device)
    backbone.freeze(candidate.unfreeze)
    network.train()
    batch = torch.randn(16, 3, candidate.input_size, candidate.input_size, device=worker.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    side = side_before_crop(candidate.input_size, spec.preprocess)
    squares = torch.randint(0, 256, (16, side, side, 3), dtype=torch.uint8, device=worker.device)
    generator = torch.Generator().manual_seed(0)
    seconds: list[tuple[float, float, float]] = []
    for _ in range(3):
        early = time.perf_counter()
        normalised(augment(squares, candidate.input_size, "light", True, generator), spec.preprocess)
        devices.synchronize(worker.device)
        begun = time.perf_counter()
        with devices.autocast(worker.device, precision):
            loss = network(batch).square().mean()
        loss.backward()
        devices.synchronize(worker.device)
        both = time.perf_counter()
        with torch.inference_mode(), devices.autocast(worker.device, precision):
            network(batch)
        devices.synchronize(worker.device)
        end = time.perf_counter()
        seconds.append(((both - begun) / 16, (end - both) / 16, (begun - early) / 16))
    return Measurement(
        candidate=candidate.id,
        seconds_per_image=min(each[0] for each in seconds),
        latency=min(each[1] for each in seconds),
        prepare=min(each[2] for each in seconds),
        bytes=memory.predicting(network.eval(), batch[:1]),
        peak=devices.peak_memory(worker.device),
        precision=precision,
    )


def _rows(worker: Worker, trial: Trial) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Rows to fit on (in stratified order), rows to judge on, and the folds to go through, if any."""
    part, order = worker.table["part"], worker.table["order"]
    fitted = order[np.isin(part[order], [PARTS.index(name) for name in trial.fit_on])]
    if trial.rows is not None:
        fitted = fitted[: trial.rows]
    if worker.folds and trial.evaluate_on == ("select",):
        return fitted, fitted, np.unique(worker.table["fold"][fitted]).tolist()
    judged = order[np.isin(part[order], [PARTS.index(name) for name in trial.evaluate_on])]
    return fitted, judged, []


def _closed(
    worker: Worker,
    trial: Trial,
    spec: BackboneSpec,
    strategy: Strategy,
    fitted: np.ndarray,
    judged: np.ndarray,
    allowance: Allowance,
) -> tuple[Outcome, np.ndarray, float]:
    """A head on stored features; judged rows need no further pass through the network."""
    size = trial.candidate.input_size
    # What is judged comes first: a fit on fewer images is a fit, a score on fewer is another score.
    found = worker.features(spec, size, np.concatenate([judged, fitted]), allowance)
    have = {row: index for index, row in enumerate(found.rows.tolist())}
    features = found.groups[-1] if found.groups else np.zeros((0, 1), np.float32)
    inside = [have[row] for row in fitted.tolist() if row in have]
    outside = [have[row] for row in judged.tolist() if row in have]
    labels = worker.table["labels"]
    complete = len(outside) == len(judged) and len(inside) >= min(len(fitted), len(worker.classes))
    backbone = worker.backbone(spec, size)
    if not complete:
        network = Model(backbone, nn.Linear(backbone.feature_dim, len(worker.classes)))
        return Outcome(model=network, status="failed", note="out of time"), np.zeros((0, 1)), 0.0
    head = _fit_head(
        worker, strategy, features[inside], labels[found.rows[inside]], found.rows[inside], trial.seed
    )
    module = make_head(head, len(worker.classes)).to(worker.device)
    with torch.inference_mode():
        logits = module(torch.from_numpy(features[outside]).to(worker.device))
        table = torch.softmax(logits.float(), 1).cpu().numpy()
    precision = worker.precision(backbone)
    fewer = f"fitted on {len(inside):,} of {len(fitted):,} images: out of time"
    note = head.note if len(inside) == len(fitted) else "; ".join(filter(None, (head.note, fewer)))
    outcome = Outcome(model=Model(backbone, module).eval(), note=note, precision=precision)
    return outcome, table, _latency(outcome.model, worker, spec, size, precision)


@stopwatch.on("head")
def _fit_head(
    worker: Worker, strategy: Strategy, features: np.ndarray, labels: np.ndarray, rows: np.ndarray, seed: int
) -> Head:
    order = np.argsort(rows)  # folds follow the data, not the order in which rows were drawn
    features, labels, rows = features[order], labels[order], rows[order]
    module, _, name = (strategy.head or "").partition(":")
    groups = worker.table["groups"][rows] if "groups" in worker.table else None
    folds = folds_for(labels, groups, HEAD_FOLDS)
    fit = getattr(importlib.import_module(module), name)
    weights = metrics.fitting_weights(worker.metric, labels)
    with hardware.one_thread():
        fitted: Head = fit(features, labels, len(worker.classes), folds, seed, weights)
    return fitted


def _tune(
    worker: Worker,
    trial: Trial,
    spec: BackboneSpec,
    strategy: Strategy,
    fitted: np.ndarray,
    judged: np.ndarray,
    allowance: Allowance,
) -> Outcome:
    """Trains, and begins again at a lower rate when the loss runs away or nothing is learnt."""
    hyper = dict(trial.candidate.hyper)
    notes: list[str] = []
    backbone = worker.fresh(spec, trial.candidate.input_size)
    precision = worker.precision(backbone, training=True)
    torch.manual_seed(trial.seed)
    network = Model(backbone, _new_head(backbone.feature_dim, len(worker.classes))).to(worker.device)
    outcome = Outcome(model=network, precision=precision)
    setting = _setting(worker, trial.candidate, spec, outcome.precision)
    setting.seed = trial.seed
    setting.batch = int(hyper.get("batch", train.BATCH if len(fitted) >= FEW_ROWS else train.BATCH // 2))
    setting.flip = bool(hyper["flip"]) if "flip" in hyper else _mirror(worker, spec, trial, notes)
    setting.metric = worker.metric
    setting.followed = judged if trial.evaluate_on == ("select",) else None  # the test part is seen once
    phase = strategy.phases[0]
    backbone.freeze(train.trained_groups(phase, trial.candidate.unfreeze), phase.norm)
    if backbone.folded:
        notes.append("batch norm had been folded: its statistics were measured again")
    if strategy.head:
        found = worker.features(spec, trial.candidate.input_size, fitted, allowance)
        labels = worker.table["labels"][found.rows]
        head = _fit_head(worker, strategy, found.groups[-1], labels, found.rows, trial.seed)
        network.head = make_head(head, len(worker.classes)).to(worker.device)
    if backbone.folded or strategy.head:
        train.recalibrate(network, fitted, setting)
    first = train.snapshot(network)
    right = _less(allowance, len(judged))
    rate = float(hyper.get("lr", strategy.phases[0].lr))
    turn = 0
    while True:
        try:
            course = train.fit(
                network,
                strategy.phases,
                trial.candidate.unfreeze,
                fitted,
                trial.epochs,
                setting,
                right,
                hyper,
            )
            if (
                turn == len(RATES) - 1
                or not _collapsed(course.curve, worker.table["labels"][fitted], trial.epochs)
                or right.expired
            ):
                outcome.course = course
                break
            fault = "it learnt nothing"
        except train.Diverged:
            if turn == len(RATES) - 1:
                outcome.status = "diverged"
                break
            fault = "the loss diverged"
        except Exception as error:
            if not devices.out_of_memory(error) or setting.batch <= FEWEST_BATCH:
                raise
            devices.release(worker.device)
            setting.batch //= 2
            notes.append(f"out of memory: batches of {setting.batch}")
            network.load_state_dict(first)
            continue
        turn += 1
        network.load_state_dict(first)
        hyper["lr"] = RATES[turn] * rate
        notes.append(
            f"{fault} at a rate of {RATES[turn - 1] * rate:g}: begun again at {RATES[turn] * rate:g}"
        )
    if outcome.status == "finished" and outcome.course.epochs < 0.98 * trial.epochs:
        outcome.status = "stopped"
        notes.append(f"{outcome.course.epochs:.1f} of {trial.epochs:g} epochs in its time, annealed")
    outcome.note = "; ".join(notes)
    return outcome


def _mirror(worker: Worker, spec: BackboneSpec, trial: Trial, notes: list[str]) -> bool:
    """Whether to train on mirrored images too; found out once a run, by the first pretrained backbone that trains."""
    if worker.mirror is None and spec.init == "random":
        return False  # its features tell nothing yet
    if worker.mirror is None:
        size = trial.candidate.input_size
        rows = worker.table["order"]
        rows = rows[worker.table["part"][rows] == PARTS.index("train")][: flip.ROWS]
        backbone, labels = worker.backbone(spec, size), worker.table["labels"][rows]
        setting = _setting(worker, trial.candidate, spec, worker.precision(backbone))
        plain, turned = (train.features(backbone, rows, setting, mirrored) for mirrored in (False, True))
        groups = worker.table["groups"][rows] if "groups" in worker.table else None
        with stopwatch.on("head"), hardware.one_thread():
            worker.mirror = flip.harmless(plain, turned, labels, folds_for(labels, groups, flip.FOLDS))
        notes.append(worker.mirror[1])
    return worker.mirror[0]


def _new_head(width: int, classes: int) -> nn.Linear:
    """A head that says nothing yet: every class alike."""
    head = nn.Linear(width, classes)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head


def _collapsed(curve: list[CurvePoint], labels: np.ndarray, epochs: float) -> bool:
    """Whether the training loss stayed where a constant answer would have it."""
    if epochs < 3 or not curve:
        return False
    shares = np.bincount(labels) / len(labels)
    constant = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
    return curve[-1].loss > COLLAPSED * constant


def _setting(worker: Worker, candidate: Candidate, spec: BackboneSpec, precision: str) -> train.Setting:
    assert worker.squares is not None
    return train.Setting(
        squares=worker.squares,
        labels=worker.table["labels"],
        preprocess=spec.preprocess,
        size=candidate.input_size,
        device=worker.device,
        precision=precision,
        seed=0,
    )


@stopwatch.on("timing")
def _latency(network: Model, worker: Worker, spec: BackboneSpec, size: int, precision: str) -> float:
    """Seconds an image of one batch of 32, the second of two."""
    batch = torch.randn(32, 3, size, size, device=worker.device).contiguous(memory_format=torch.channels_last)
    begun = 0.0
    with torch.inference_mode(), devices.autocast(worker.device, precision):
        for _ in range(2):
            begun = time.perf_counter()
            network(batch)
            devices.synchronize(worker.device)
    return (time.perf_counter() - begun) / len(batch)


def _slice(allowance: Allowance, share: float) -> Allowance:
    """A share of the time left, under the same cancel token."""
    end = allowance.clock() + share * allowance.left
    return Allowance(deadline=end, clock=allowance.clock, cancelled=allowance.cancelled)


def _less(allowance: Allowance, judged: int) -> Allowance:
    """The allowance without what predicting the judged rows will take, about a tenth at most."""
    keep = min(0.1 * allowance.left, 0.5 + 0.01 * judged)
    return Allowance(deadline=allowance.deadline - keep, clock=allowance.clock, cancelled=allowance.cancelled)


def _result(
    worker: Worker,
    trial: Trial,
    outcome: Outcome,
    predictions: str,
    saved: str | None,
    latency: float,
    seconds: dict[str, float],
) -> TrialResult:
    course, backbone = outcome.course, outcome.model.backbone
    failed = outcome.status in ("failed", "diverged")
    return TrialResult(
        trial=trial,
        status=outcome.status,  # type: ignore[arg-type]
        predictions=None if failed else predictions,
        model=saved,
        curve=tuple(course.curve),
        cost=Cost(
            **{kind: round(seconds[kind], 4) for kind in PASSES},
            other=round(sum(seconds.values()) - sum(seconds[kind] for kind in PASSES), 4),
            bytes=devices.peak_memory(worker.device),
        ),
        precision=outcome.precision,
        steps_done=course.steps,
        epochs_done=round(course.epochs, 4),
        latency=latency if math.isfinite(latency) else None,
        parameters=sum(p.numel() for p in outcome.model.parameters()),
        macs=backbone.macs,
        note=outcome.note,
        error=outcome.note or outcome.status if failed else None,
    )


def _slug(trial: Trial) -> str:
    """A folder name: the candidate's id, made safe, and eight digits that tell trials apart."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", trial.candidate.id).strip("-")[:80]
    digest = hashlib.blake2b(
        f"{trial.id} {trial.candidate.id} {trial.epochs}".encode(), digest_size=4
    ).hexdigest()
    return f"{safe}-{digest}"
