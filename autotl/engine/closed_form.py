"""Fit a strategy's head in closed form on pooled features."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from autotl import hardware
from autotl.budget import Allowance
from autotl.builtin.heads import MOST_UNLABELLED
from autotl.engine import stopwatch, unsampled
from autotl.engine.model import Model, make_head
from autotl.engine.outputs import fitted_labels
from autotl.engine.resolve import resolve
from autotl.engine.task import Outcome, Rows, Task
from autotl.engine.timing import latency
from autotl.errors import EngineError
from autotl.plugins import validation
from autotl.protocols import HeadCall
from autotl.records import Kind, fact
from autotl.records.head import Head
from autotl.stats import metrics
from autotl.stats.folds import folds_for

HEAD_FOLDS = 5
AT_ONCE = 2048  # images that a head predicts: neighbours take memory by their product with the stored ones
HEAD_SECONDS = 3.0  # that fitting a head is left, where the time is short
HEAD_SHARE = 0.3  # of the time that a trial has once there are features


def fit_head_alone(task: Task, rows: Rows, allowance: Allowance) -> Outcome:
    """Fit a head on stored features; judged rows need no further pass through the network."""
    session, strategy, classes = task.session, task.strategy, len(task.columns.classes)
    if strategy.needs_text:
        session.text(task.spec)  # a backbone without it is declined before its features cost anything
    backbone = session.backbone(task.spec, task.size, strategy.prepare)
    precision = session.precision(backbone)  # chosen now, so that the features are in it, too
    # The judged rows come first: a fit on fewer images is a fit, a score on fewer is another score.
    parts = (rows.judged, rows.decoded, without_label(task))
    features = session.features(
        task.spec, task.size, np.concatenate(parts), _before_head(allowance), strategy.prepare
    )
    place = {row: index for index, row in enumerate(features.rows.tolist())}
    judged, fitted, without = ([place[row] for row in part.tolist() if row in place] for part in parts)
    if len(judged) < len(rows.judged) or len(fitted) < min(len(rows.decoded), classes):
        network = Model(backbone, nn.Linear(backbone.feature_dim, classes))
        return Outcome(model=network, status="failed", error="out of time")
    groups = features.groups if strategy.layers == "all" else features.groups[-1:]
    seen = np.concatenate(groups, axis=1)
    widths = tuple(group.shape[1] for group in groups)
    fit = partial(fit_head, task, widths=widths, unlabelled=seen[without])
    began = time.monotonic()
    head = fit(seen[fitted], features.rows[fitted], seconds=head_seconds(allowance))
    more = np.zeros(0, np.int64)
    if task.streamed is not None:
        sample = unsampled.Fitting(rows=len(fitted), width=seen.shape[1], seconds=time.monotonic() - began)
        table, more = unsampled.features(
            task.streamed,
            backbone,
            sample,
            allowance,
            device=session.device,
            precision=precision,
            layers=strategy.layers,
        )
        if len(more):
            every_row = np.concatenate([features.rows[fitted], more])
            head = fit(np.concatenate([seen[fitted], table]), every_row, seconds=head_seconds(allowance))
    module = make_head(head, classes, strategy.predict).to(session.device)
    notes = []
    if head.method:
        notes.append(fact(Kind.HEAD_FITTED, method=head.method, setting=head.setting))
    if len(fitted) < len(rows.decoded):
        notes.append(fact(Kind.FEWER_ROWS, rows=len(fitted), of=len(rows.decoded)))
    model = Model(backbone, module, strategy.layers).eval()
    return Outcome(
        model=model,
        predicted=_predicted(task, module, seen[judged]),
        latency=latency(model, task, precision),
        unsampled=len(more),
        notes=notes,
        precision=precision,
        predicts_in=precision,
    )


def _predicted(task: Task, head: nn.Module, features: np.ndarray) -> np.ndarray:
    """Return what a head predicts by features (m, d), (m, outputs) float32."""
    with torch.inference_mode():
        pieces = torch.split(torch.from_numpy(features), AT_ONCE)
        tables = [task.outputs(head(piece.to(task.session.device))).cpu().numpy() for piece in pieces]
    return np.concatenate(tables)


def without_label(task: Task) -> np.ndarray:
    """Return the rows without a label that a head gets: drawn at random where they are many."""
    rows = task.columns.unlabelled
    if not task.strategy.needs_unlabelled or rows is None:
        return np.zeros(0, np.int64)
    return np.random.default_rng(task.session.seed).permutation(rows)[:MOST_UNLABELLED]


@stopwatch.on("head")
def fit_head(
    task: Task,
    features: np.ndarray,
    rows: np.ndarray,
    widths: tuple[int, ...] = (),
    unlabelled: np.ndarray | None = None,
    *,
    seconds: float,
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
        seconds=seconds,
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


def head_seconds(allowance: Allowance) -> float:
    """Return the seconds that fitting a head has. A hundred classes would take minutes for a little more accuracy."""
    return HEAD_SHARE * allowance.left


def _before_head(allowance: Allowance) -> Allowance:
    """Return the allowance without the time for fitting the head, three tenths at most."""
    return allowance.without(min(0.3 * allowance.left, HEAD_SECONDS))
