"""Report: the folder is put in order, and leaderboard, report and model card are written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from autotl.cache import atomic_write
from autotl.errors import AutotlError
from autotl.ranking import history
from autotl.records import Kind, fact
from autotl.records.result import is_probe
from autotl.report import material, model_card, occlusion, render
from autotl.run_folder import result_file, table
from autotl.stages.context import RunContext
from autotl.stages.split import STORE

Status = Literal["finished", "interrupted"]


def report(context: RunContext, status: Status) -> None:
    """Write what a person reads about the run as its journal has it, and remove what only the run needed."""
    journal, ledger, folder = context.journal, context.ledger, context.journal.folder
    if status == "finished":
        with ledger.charge("explain"):
            _explain(context)
    journal.record(status=status)
    with ledger.charge("report"):
        data = journal.result.data
        # On a machine so slow the figures would take several times their seconds.
        hurried = any(note.kind is Kind.HURRIED for note in journal.notes)
        late = status == "finished" and hurried and context.budget.left < context.plan.report
        pictures = material.gather(journal.result, folder, Path(data.root or data.source), late=late)
    shutil.rmtree(folder / STORE, ignore_errors=True)
    for trial in journal.result.trials:
        if trial.model is not None and is_probe(trial):  # curves and predictions stay
            shutil.rmtree(folder / trial.model, ignore_errors=True)
    journal.record(files=result_file.files(folder))
    state = journal.result
    rows = table.write(table.rows(state), columns=list(table.COLUMNS), style="csv")
    atomic_write(folder / "leaderboard.csv", rows)
    render.render(state, folder, pictures)
    model_card.write(state, folder)
    if status == "finished":
        _add_to_history(context, folder)
    journal.event("report", fact(Kind.TEXT, text=render.summary(state)))


def _explain(context: RunContext) -> None:
    """Compute what a few answers of the model rest on; the first thing to be left out when time is short."""
    plan, folder = context.plan, context.journal.folder
    target = context.journal.result.data.target
    if target != "multiclass":
        context.journal.note(fact(Kind.NOT_FOR_TARGET, what="occlusion", target=target))
        return
    question = occlusion.question(context.journal.result, folder)
    allowance = context.budget.allowance(plan.explain, reserve=plan.report)
    if question is None or allowance.expired:
        return
    try:
        maps = context.engine.explain("model", question.rows, question.answers, allowance)
    except AutotlError as error:
        context.journal.note(fact(Kind.NO_EXPLANATION, error=str(error)))
        return
    occlusion.keep(question, maps, folder)


def _add_to_history(context: RunContext, folder: Path) -> None:
    """Add the run to the file of past runs, if one is named."""
    state, file = context.journal.result, context.options.history
    if file and state.data.target != "multiclass":
        note = fact(Kind.NOT_FOR_TARGET, what="history", target=state.data.target)
        context.journal.event("report", note)
        return
    if not file or state.ranking is None or not state.ranking.ranked:
        return
    try:
        history.append(file, history.record(state.data.fingerprint, state.profile, state.ranking))
    except OSError as error:  # the run itself is complete
        problem = fact(Kind.HISTORY_NOT_WRITTEN, file=file, error=error.strerror or str(error))
        context.journal.event("report", problem)
