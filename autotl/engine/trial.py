"""Run one trial on a session: fit as its strategy defines, predict, and write the result."""

from __future__ import annotations

import hashlib
import math
import re
import traceback
from dataclasses import replace

import numpy as np
from torch import nn

from autotl import __version__
from autotl.budget import Allowance
from autotl.builtin.builds import BUILTIN_BUILDS
from autotl.builtin.strategies import BUILTIN_PREPARES
from autotl.cache import atomic, disk_full
from autotl.engine import device as devices
from autotl.engine import others, stopwatch, unsampled
from autotl.engine.closed_form import fit_head_alone
from autotl.engine.combine import combine
from autotl.engine.fine_tuning import fine_tune
from autotl.engine.model import ArraysHead, Description, Model, save, without_source
from autotl.engine.progress import Reporter, Send
from autotl.engine.related import with_related
from autotl.engine.session import Session
from autotl.engine.task import NOTHING, Outcome, Rows, Task
from autotl.errors import AutotlError, Declined
from autotl.plugins.provenance import package_of
from autotl.records import PARTS, BackboneSpec, Columns, Cost, Fact, Strategy, Trial, TrialResult
from autotl.records.head import HeadKind

PASSES = ("decode", "forward", "backward")  # the kinds of work that are more than preparation


@stopwatch.on("other")
def attempt(
    session: Session,
    trial: Trial,
    spec: BackboneSpec,
    strategy: Strategy,
    allowance: Allowance,
    send: Send | None = None,
) -> TrialResult:
    """Run a trial and return its result; one that raises is a failed trial, a row of the leaderboard.

    What ends the run, or may be no fault of the trial, is raised: a full disk, and memory that is exhausted.
    """
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
        if devices.out_of_memory(error):  # another slot may have more
            raise
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
    if trial.target:
        columns = others.in_place_of_main(columns, trial.target)
    _require_learnable(strategy, trial, columns)
    runs = _runs(columns, trial)
    reporter = None if send is None else Reporter(send, trial, len(runs))
    whole = Task(
        session=session, trial=trial, spec=spec, strategy=strategy, columns=columns, reporter=reporter
    )
    tables: list[tuple[np.ndarray, np.ndarray]] = []
    late = False
    notes: list[Fact] = []  # of all folds: what is measured once a run is noted in the first
    for index, rows in enumerate(runs):
        task, outcome = _fit(whole, rows, allowance.share(1.0 / (len(runs) - index)))
        tables.append((rows.judged[: len(outcome.predicted)], outcome.predicted))
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
    return _result(task, outcome, predictions, model, stopwatch.since(before))


def _require_learnable(strategy: Strategy, trial: Trial, columns: Columns) -> None:
    """Raise `Declined` where the data lack what the strategy learns from."""
    if trial.target and strategy.needs_text:
        raise Declined("it reads the names of the classes of the main label column; expected that column")
    if strategy.every_target and not columns.others:
        raise Declined(
            "it learns several label columns, and this run has one; expected more; name each with --label"
        )
    if strategy.learns_unlabelled and (columns.unlabelled is None or not len(columns.unlabelled)):
        raise Declined(
            "it learns from images without a label, and this run has none; expected some; name their folder with "
            "--unlabelled"
        )


def _fit(task: Task, rows: Rows, allowance: Allowance) -> tuple[Task, Outcome]:
    """Fit once as the strategy defines; the task returned has the images that were added to the fitted ones."""
    strategy = task.strategy
    if strategy.related is not None:
        task, rows = with_related(task, rows, allowance)
    if task.trial.unsampled:
        task, rows = _with_unsampled(task, rows)
    fit = combine if strategy.combine else fine_tune if strategy.phases else fit_head_alone
    try:
        return task, fit(task, rows, allowance)
    finally:
        if task.streamed is not None:
            task.streamed.close()


def _with_unsampled(task: Task, rows: Rows) -> tuple[Task, Rows]:
    """Return the task with the images outside the sample that its trial asks for behind those that are fitted.

    Where this machine does not see them the trial is fitted on the sample.
    """
    session = task.session
    squares, digests = session.data.squares, session.data.digests
    streamed = unsampled.opened(task.trial, session.folder, squares, digests, task.columns)
    if streamed is None:
        return task, rows
    columns = unsampled.extended(task.columns, streamed)
    fitted = np.concatenate([rows.fitted, streamed.rows])
    task = replace(task, columns=columns, streamed=streamed)
    return task, replace(rows, fitted=fitted, unsampled=len(streamed.rows))


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
    head = _head_kind(outcome.model)
    predict = task.strategy.predict if head == "arrays" else None
    description = Description(
        backbone=without_source(task.spec),
        input_size=task.size,
        head=head,
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
        others=others.described(task.columns) if outcome.model.others else (),
    )
    save(outcome.model, description, task.session.folder / path)
    return path


def _head_kind(model: Model) -> HeadKind:
    if isinstance(model.head, nn.Linear):
        return "linear"
    return "arrays" if isinstance(model.head, ArraysHead) else "knn"


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
    seconds: dict[str, float],
) -> TrialResult:
    course, backbone = outcome.course, outcome.model.backbone
    failed = outcome.status in ("failed", "diverged")
    return TrialResult(
        trial=task.trial,
        status=outcome.status,
        predictions=None if failed else predictions,
        model=model,
        head=_head_kind(outcome.model),
        curve=tuple(course.curve),
        cost=Cost(
            **{kind: round(seconds[kind], 4) for kind in PASSES},
            other=round(sum(seconds.values()) - sum(seconds[kind] for kind in PASSES), 4),
            bytes=devices.peak_memory(task.session.device),
        ),
        precision=outcome.precision,
        steps_done=course.steps,
        epochs_done=round(course.epochs, 4),
        unsampled=outcome.unsampled,
        latency=outcome.latency if math.isfinite(outcome.latency) else None,
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
