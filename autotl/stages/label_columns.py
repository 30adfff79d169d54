"""Label columns: the model gets a head for each further one, and is compared with trainings on one column alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from autotl.builtin.strategies import STRATEGIES
from autotl.decision import label_columns as comparison
from autotl.decision.evidence import representative_results, stored_predictions
from autotl.decision.twins import twin
from autotl.errors import AutotlError
from autotl.records import Kind, Strategy, Target, Trial, TrialResult, fact
from autotl.records.result import LabelColumn
from autotl.stages.context import RunContext
from autotl.stages.deliver import DeliverResult
from autotl.stages.setup import Setup
from autotl.stages.trials import report_progress
from autotl.stages.tried import Tried

HEADS = 0.5  # of the seconds, at most, for the heads of the further columns


def label_columns(context: RunContext, setup: Setup, searched: Tried, delivered: DeliverResult) -> None:
    """Give the model that ships a head for each further label column, and record how good each is.

    The test images are predicted by models that nothing is chosen from.
    """
    winner, others = context.journal.result.winner, setup.columns.others
    if not others or winner is None:
        return
    trained = delivered.fit or representative_results(searched.probes)[winner.candidate]
    with context.ledger.charge("label columns"):
        try:
            made = _Comparing(context, setup, trained).run()
        except AutotlError as error:
            made = ()
            names = [target.name for target in others]
            context.journal.note(fact(Kind.NO_OTHER_HEADS, columns=names, error=str(error)))
    context.journal.record(label_columns=made)


class _Comparing:
    """The heads of the model that ships, then a training on each column alone, in the time that is kept for them."""

    def __init__(self, context: RunContext, setup: Setup, trained: TrialResult) -> None:
        self.context, self.setup, self.trained = context, setup, trained
        columns = setup.columns
        self.main = Target(
            name=setup.parts.data.targets[0].name,
            kind="multiclass",
            classes=columns.classes,
            values=columns.labels,
        )
        self.strategy = setup.strategies[trained.trial.candidate.strategy]

    @property
    def seconds(self) -> float:
        """Return the seconds that are left for the heads and the trainings."""
        plan = self.context.plan
        return self.context.budget.left - plan.report - plan.explain - plan.distillation

    def run(self) -> tuple[LabelColumn, ...]:
        """Return the label columns, the main one first. Raises `AutotlError` where the heads cannot be fitted."""
        columns, every = self.setup.columns, self.strategy.every_target
        answers = self._answers()
        targets = (self.main, *columns.others)
        # Of a model that learned the main column alone its own training is the twin there.
        wanted = (*columns.others, *([self.main] if every else []))
        alone = self._alone() if any(len(each.rows) for each in answers) else None
        twins: dict[str, TrialResult | None] = {}
        if alone is not None:
            for target in wanted:
                share = self.seconds / (len(wanted) - len(twins))
                twins[target.name] = self._train(alone, target, f"alone{len(twins) + 1}", share)
        return tuple(
            comparison.compared(
                comparison.described(target, together=every, epochs=self.trained.epochs_done),
                target,
                predicted,
                twins.get(target.name),
                folder=self.context.journal.folder,
                columns=columns,
                metric=self.setup.goal.metric,
            )
            for target, predicted in zip(targets, answers, strict=True)
        )

    def _answers(self) -> list[comparison.Answers]:
        """Fit the heads, and return what the model predicts for the test images, by column, the main one first."""
        context, parts, trained = self.context, self.setup.parts, self.trained
        fitted = parts.rows(0)
        if "select" in trained.trial.fit_on:
            fitted = np.concatenate([fitted, parts.rows(1)])
        judged = parts.rows(2)
        if context.options.refit:  # the model has seen them
            judged = judged[:0]
        if self.seconds <= 0:
            raise AutotlError("no time left for their heads")
        allowance = context.budget.allowance(HEADS * self.seconds)
        table = context.engine.fit_others("model", fitted, judged, allowance)
        ends = np.cumsum([len(target.classes) for target in self.setup.columns.others])
        others = [
            comparison.Answers(rows=judged, predicted=part.argmax(1))
            for part in np.split(table, ends[:-1], axis=1)
        ]
        return [self._main_answers(judged), *others]

    def _main_answers(self, judged: np.ndarray) -> comparison.Answers:
        """Return what the model predicts in the main column, as its test was recorded."""
        nothing = comparison.Answers(rows=judged[:0], predicted=judged[:0])
        if (
            self.trained.predictions is None
            or "test" not in self.trained.trial.evaluate_on
            or not len(judged)
        ):
            return nothing
        stored = stored_predictions(
            self.context.journal.folder / self.trained.predictions, len(self.main.classes)
        )
        return comparison.Answers(rows=stored["rows"], predicted=stored["proba"].argmax(1))

    def _alone(self) -> Strategy | None:
        """Return the strategy that learns one column as the model's does; None where its trials are made of others."""
        strategy = self.strategy
        if strategy.combine is not None or strategy.parents:
            return None
        known = {**{each.name: each for each in STRATEGIES}, **self.setup.strategies}
        name = twin(strategy, known.values())
        return known[name] if name else replace(strategy, every_target=False)

    def _train(self, strategy: Strategy, target: Target, name: str, seconds: float) -> TrialResult | None:
        """Train on one column alone, on the same images for as many epochs as the model, or as many as there is time for.

        None where there is no time for one, and where it fails.
        """
        context, trained = self.context, self.trained
        made = trained.epochs_done - trained.trial.resumed_epochs
        epochs, unit = trained.epochs_done, trained.cost.seconds / (made if made > 0 else 1.0)
        if max(epochs, 1.0) * unit <= self.seconds:
            seconds = self.seconds  # one comparison of equals is worth more than two of others
        elif epochs > 0:
            epochs = float(int(seconds / unit))
        if max(epochs, 1.0) * unit > seconds or (epochs < 1 <= trained.epochs_done):
            return None
        candidate = replace(trained.trial.candidate, strategy=strategy.name)
        trial = Trial(
            id=name,
            candidate=candidate,
            epochs=epochs,
            fit_on=trained.trial.fit_on,
            evaluate_on=("test",),
            seed=context.options.seed,
            target="" if target is self.main else target.name,
            forecast=max(epochs, 1.0) * unit,
        )
        allowance = context.budget.allowance(seconds)
        spec = self.setup.backbones[candidate.backbone]
        progress = partial(report_progress, context, "final fit", candidate.id)
        result = context.engine.submit(trial, spec, strategy, allowance, progress).result()
        return result if result.status in ("finished", "stopped") else None
