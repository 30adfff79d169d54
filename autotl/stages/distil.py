"""Distil: a smaller backbone learns from the winner, and is compared with the same training without it."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np

from autotl.builtin.fine_tuning import DISTILLED
from autotl.builtin.strategies import STRATEGIES
from autotl.candidates import gather
from autotl.decision import distilled
from autotl.decision.evidence import representative_results
from autotl.errors import AutotlError
from autotl.records import BackboneSpec, Candidate, Kind, Parent, Strategy, Trial, TrialResult, fact
from autotl.run_folder.journal import ship
from autotl.search.student import size_and_epochs
from autotl.stages.context import RunContext
from autotl.stages.deliver import DeliverResult
from autotl.stages.setup import Setup
from autotl.stages.trials import report_progress
from autotl.stages.tried import Tried

FOLDER = "distilled"  # in the run folder: the student's model
ALONE = next(strategy for strategy in STRATEGIES if strategy.name == "fine_tune")


def distil(context: RunContext, setup: Setup, searched: Tried, delivered: DeliverResult) -> None:
    """Train the backbone of --distil-into with and without the winner's predictions, and record both.

    The test images are predicted by models that nothing is chosen from.
    """
    winner, spec = context.journal.result.winner, setup.student
    if spec is None or winner is None:
        return
    if winner.backbone == spec.name:
        context.journal.note(fact(Kind.NOT_DISTILLED, cause="winner", backbone=spec.name))
        return
    teacher = delivered.fit or representative_results(searched.probes)[winner.candidate]
    with context.ledger.charge("distillation"):
        try:
            _Distilling(context, setup, setup.shaped(spec), teacher).run()
        except AutotlError as error:
            context.journal.note(
                fact(Kind.NOT_DISTILLED, cause="failed", backbone=spec.name, error=str(error))
            )


class _Distilling:
    """Two trainings of the student for as many epochs as fit, the one without a teacher first."""

    def __init__(self, context: RunContext, setup: Setup, spec: BackboneSpec, teacher: TrialResult) -> None:
        self.context, self.setup, self.spec, self.teacher = context, setup, spec, teacher
        self.tested = len(setup.parts.rows(2))

    @property
    def seconds(self) -> float:
        """Return the seconds that are left for both trainings."""
        return self.context.budget.left - self.context.plan.report - self.context.plan.explain

    def run(self) -> None:
        """Train, compare and keep the student. Raises `AutotlError` where it cannot be trained."""
        context = self.context
        planned = self._planned()
        if planned is None:
            context.journal.note(fact(Kind.NOT_DISTILLED, cause="time", backbone=self.spec.name))
            return
        size, epochs = planned
        alone = self._train(ALONE, size, epochs, self.seconds / 2) if self.tested else None
        if alone is not None and alone.status == "stopped":
            epochs = max(1.0, float(int(alone.epochs_done)))  # the two are compared at the same length
        student = self._train(DISTILLED, size, epochs, self.seconds)
        folder = context.journal.folder
        if student.model is None:
            raise AutotlError(student.error or student.status)
        ship(folder / student.model, folder, FOLDER)
        record = distilled.compared(
            self.teacher,
            student,
            alone if alone is not None and alone.predictions is not None else None,
            folder=folder,
            columns=self.setup.columns,
            metric=self.setup.goal.metric,
        )
        for result in (student, alone):
            if result is not None and result.model is not None:
                shutil.rmtree(folder / result.model, ignore_errors=True)
        context.journal.record(distillation=record)

    def _planned(self) -> tuple[int, float] | None:
        """Return the input size and the epochs of the trainings; None where there is no time."""
        context, spec = self.context, self.spec
        if self.seconds <= 0:
            return None
        native = Candidate(
            backbone=spec.name, input_size=spec.input_size, strategy=ALONE.name, unfreeze="all"
        )
        measured = context.engine.measure(native, spec, context.budget.allowance(reserve=context.plan.report))
        rows = self._rows()
        taught = (self.teacher.latency or 0.0) * rows  # the teacher's one pass over them
        return size_and_epochs(
            gather.sizes(spec, self.setup.profile.side),
            (self.seconds - taught) / (2 if self.tested else 1),
            step=measured.seconds_per_image + measured.prepare,
            latency=measured.latency,
            rows=rows,
            predicted=self.tested,
        )

    def _rows(self) -> int:
        return int(np.isin(self.setup.parts.split.part, (0, 1)).sum())

    def _train(self, strategy: Strategy, size: int, epochs: float, seconds: float) -> TrialResult:
        """Train the student on everything that may be fitted, for `seconds` at most."""
        context, spec = self.context, self.spec
        candidate = Candidate(backbone=spec.name, input_size=size, strategy=strategy.name, unfreeze="all")
        trial = Trial(
            id=f"{strategy.name}-student",
            candidate=candidate,
            epochs=epochs,
            fit_on=("train", "select"),
            evaluate_on=("test",) if self.tested else (),
            seed=context.options.seed,
            keep_model=True,
            parents=(self._parent(),) if strategy.parents else (),
        )
        allowance = context.budget.allowance(seconds, reserve=context.plan.report)
        progress = partial(report_progress, context, "final fit", candidate.id)
        return context.engine.submit(trial, spec, strategy, allowance, progress).result()

    def _parent(self) -> Parent:
        """Return the winner as a teacher: its fit without the test images, if that is not the model that ships."""
        teacher, folder = self.teacher, self.context.journal.folder
        own = (
            teacher.model is not None
            and "select" in teacher.trial.fit_on
            and (folder / teacher.model).is_dir()
        )
        return Parent(
            strategy=teacher.trial.candidate.strategy,
            model=str(teacher.model) if own else "model",
            score=teacher.score_val or 0.0,
            epochs=teacher.epochs_done,
        )
