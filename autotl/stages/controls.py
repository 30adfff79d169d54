"""Controls: the best candidate against no pretraining, no network, and shuffled labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from autotl import modality
from autotl.cache import atomic
from autotl.candidates import gather
from autotl.decision import controls as decision_controls
from autotl.decision.evidence import representative_results, selection
from autotl.decision.judge import Verdict
from autotl.records import BackboneSpec, Cost, Kind, Strategy, Trial, TrialResult, fact
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.split import STORE
from autotl.stages.trials import report_end, report_progress, scored
from autotl.stages.tried import Tried


def controls(context: RunContext, setup: Setup, searched: Tried, verdict: Verdict) -> tuple[TrialResult, ...]:
    """Run the controls that fit into the time that can be spared, and return them."""
    winner = verdict.decision.winner
    if winner is None or searched.costs is None:
        return setup.controls
    best = representative_results(searched.probes)[winner]
    plan, budget = context.plan, context.budget
    final_fit = searched.costs.final(best.trial.candidate, best.epochs_done)
    seconds = min(plan.controls, budget.left - plan.report - final_fit)
    if seconds <= 0:
        context.journal.note(fact(Kind.CONTROLS_SKIPPED))
        return setup.controls
    runner = _Runner(context, setup, end=budget.left - seconds)
    with context.ledger.charge("controls"):
        runner.shuffled(searched)
        runner.forest()
        runner.scratch(best)
    return tuple(runner.controls.values())


class _Runner:
    """Runs controls until `end` seconds of the budget are left; what a continued run has is not made again."""

    def __init__(self, context: RunContext, setup: Setup, end: float) -> None:
        self.context, self.setup, self.end = context, setup, end
        self.controls = {result.trial.control: result for result in setup.controls}

    @property
    def left(self) -> float:
        """Return the seconds that the controls still have."""
        return self.context.budget.left - self.end

    def shuffled(self, searched: Tried) -> None:
        """Fit a closed-form head on shuffled labels."""
        trial = decision_controls.shuffled(
            searched.ranking.ranked,
            list(self.setup.strategies.values()),
            len(self.setup.parts.rows(0)),
            self.context.options.seed,
        )
        if trial is None or "shuffled" in self.controls:
            return
        candidate = trial.candidate
        spec, strategy = self.setup.backbones[candidate.backbone], self.setup.strategies[candidate.strategy]
        self._train(trial, spec, strategy)

    def forest(self) -> None:
        """Fit a random forest on pixels and colours; computed here, not by the engine."""
        if "pixels" in self.controls or self.left <= decision_controls.FOREST_SECONDS:
            return
        context, columns, seed = self.context, self.setup.columns, self.context.options.seed
        begun = context.budget.spent
        kind = modality.get(self.setup.parts.data.modality)
        store = kind.open(context.journal.folder / STORE)
        judged = selection(columns.part, columns.folds)
        train = self.setup.parts.rows(0)
        probabilities = np.zeros((len(judged), len(columns.classes)), np.float32)
        fold = columns.fold[judged] if columns.folds else np.full(len(judged), -1, np.int8)
        for number in np.unique(fold):
            fitted = train if number < 0 else train[columns.fold[train] != number]
            fitted = fitted[: decision_controls.FOREST_ROWS]
            held_out = fold == number
            probabilities[held_out] = decision_controls.forest(
                kind.by_hand(store, fitted),
                columns.labels[fitted],
                kind.by_hand(store, judged[held_out]),
                len(columns.classes),
                seed,
            )
        predictions = "trials/pixels.npz"
        with atomic(context.journal.folder / predictions) as temporary, open(temporary, "wb") as file:
            np.savez(file, rows=judged, proba=probabilities, fold=fold)
        trial = Trial(id="c-pixels", candidate=decision_controls.PIXELS, seed=seed, control="pixels")
        cost = Cost(other=round(context.budget.spent - begun, 4))
        self._keep(TrialResult(trial=trial, status="finished", predictions=predictions, cost=cost))

    def scratch(self, best: TrialResult) -> None:
        """Train the best candidate's network from random weights, at its smallest input: the most steps in the time."""
        candidate = best.trial.candidate
        spec = self.setup.backbones[candidate.backbone]
        if self.left < decision_controls.LEAST_SECONDS or spec.init == "random":
            self.context.journal.note(fact(Kind.SCRATCH_SKIPPED))
            return
        smallest = min(gather.sizes(spec, self.setup.profile.side)[-1], candidate.input_size)
        trial, fresh = decision_controls.scratch(best, spec, smallest, self.context.options.seed)
        before = self.controls.get("scratch")
        if before is None or before.trial.candidate != trial.candidate:
            self._train(trial, fresh, decision_controls.SCRATCH)

    def _train(self, trial: Trial, spec: BackboneSpec, strategy: Strategy) -> None:
        started = fact(Kind.CONTROL_STARTED, control=trial.control)
        self.context.journal.event("control", started, candidate=trial.candidate.id)
        allowance = self.context.budget.allowance(reserve=self.end)
        progress = partial(report_progress, self.context, "control", trial.candidate.id)
        self._keep(self.context.engine.submit(trial, spec, strategy, allowance, progress).result())

    def _keep(self, result: TrialResult) -> None:
        result = scored(self.context, self.setup, result, ())
        self.controls.pop(result.trial.control, None)
        self.controls[result.trial.control] = result
        report_end(self.context, "control", result, self.setup.goal)
