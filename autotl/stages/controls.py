"""Controls: the best candidate against no pretraining, no network, and shuffled labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from autotl import hardware, modality
from autotl.cache import atomic
from autotl.candidates import gather
from autotl.decision import controls as decision_controls
from autotl.decision.controls import ByHand, Fitting
from autotl.decision.evidence import representative_results, selection
from autotl.decision.judge import Verdict
from autotl.decision.limits import best_within_limits
from autotl.errors import AutotlError
from autotl.records import BackboneSpec, Cost, Kind, Ranking, Strategy, Trial, TrialResult, fact
from autotl.search.cost_model import CostModel
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.split import STORE
from autotl.stages.trials import report_end, report_progress, scored
from autotl.stages.tried import Tried
from autotl.stats.folds import folds_for
from autotl.stats.permutation import permutation_test, rows_in_seconds

SHUFFLED_SHARE = 0.25  # of the seconds of the controls, for the permutation test


def controls(context: RunContext, setup: Setup, searched: Tried, verdict: Verdict) -> tuple[TrialResult, ...]:
    """Run the controls that fit into the time that can be spared, and return them."""
    winner = verdict.decision.winner
    if winner is None or searched.costs is None:
        return setup.controls
    best = representative_results(searched.probes)[winner]
    plan, budget = context.plan, context.budget
    final_fit = searched.costs.final(best.trial.candidate, best.epochs_done)
    seconds = min(plan.controls, budget.left - plan.report - plan.after_fit - final_fit)
    if seconds <= 0:
        context.journal.note(fact(Kind.CONTROLS_SKIPPED))
        return setup.controls
    runner = _Runner(context, setup, end=budget.left - seconds)
    with context.ledger.charge("controls"):
        runner.shuffled(searched, best)
        runner.by_hand()
        runner.scratch(best, searched, searched.costs)
    return tuple(runner.controls.values())


def seconds_needed(
    context: RunContext, setup: Setup, probes: Sequence[TrialResult], ranking: Ranking, costs: CostModel
) -> float:
    """Return the seconds that controls of the best probe so far have a use for.

    They are all of the plan's only where the network from scratch fits into these: it takes as many as it gets.
    """
    plan, best = context.plan, best_within_limits(probes, setup.goal)
    if best is None:
        return plan.controls
    fresh = scratch_of(best, setup, ranking, costs, context.options.seed)
    fits = fresh is not None and fresh.seconds <= plan.controls
    return plan.controls if fits else min(plan.controls, plan.simple_controls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scratch:
    """A candidate's network from random weights: trainings of two lengths, and the forecast of the fewest epochs."""

    half: Trial
    whole: Trial
    spec: BackboneSpec
    seconds: float


def scratch_of(
    best: TrialResult, setup: Setup, ranking: Ranking, costs: CostModel, seed: int
) -> _Scratch | None:
    """Return the control from scratch of a candidate; None where its backbone has random weights anyway.

    Its smallest input gives it the most steps in the time.
    """
    candidate = best.trial.candidate
    spec = setup.backbones[candidate.backbone]
    if spec.init == "random":
        return None
    priced = {entry.input_size for entry in ranking.ranked if entry.backbone == spec.name}
    sizes = [size for size in gather.sizes(spec, setup.profile.side) if size in priced]
    smallest = min([candidate.input_size, *sizes])
    half, _ = decision_controls.scratch(best, spec, smallest, seed, half=True)
    whole, fresh = decision_controls.scratch(best, spec, smallest, seed)
    seconds = costs.probe(whole.candidate, decision_controls.FEWEST_EPOCHS)
    return _Scratch(half=half, whole=whole, spec=fresh, seconds=seconds / (1 - decision_controls.HALF_SHARE))


class _Runner:
    """Runs controls until `end` seconds of the budget are left; what a continued run has is not made again."""

    def __init__(self, context: RunContext, setup: Setup, end: float) -> None:
        self.context, self.setup, self.end = context, setup, end
        self.controls = {result.trial.control: result for result in setup.controls}

    @property
    def left(self) -> float:
        """Return the seconds that the controls still have."""
        return self.context.budget.left - self.end

    def shuffled(self, searched: Tried, best: TrialResult) -> None:
        """Test whether a linear probe on the train images scores more with their labels than with shuffled ones."""
        context, columns, rows = self.context, self.setup.columns, self.setup.parts.rows(0)
        entry = decision_controls.shuffled_on(searched.ranking.ranked, best.trial.candidate, len(rows))
        if entry is None or "shuffled" in self.controls:
            return
        begun, seconds = context.budget.spent, SHUFFLED_SHARE * self.left
        spec, seed = self.setup.backbones[entry.backbone], context.options.seed
        rows = rows[: rows_in_seconds(len(columns.classes), seconds)]
        try:
            allowance = context.budget.allowance(reserve=self.end)
            embedding = context.engine.embed(spec, entry.input_size, rows, allowance)
        except AutotlError:
            return  # the features were there a moment ago, and nothing depends on the test
        with np.load(context.journal.folder / embedding.path, allow_pickle=False) as stored:
            rows, features = stored["rows"], stored[f"g{embedding.groups - 1}"]
        labels, group = columns.labels[rows], None if columns.group is None else columns.group[rows]
        with hardware.one_thread():
            found = permutation_test(
                self.setup.goal.metric, features, labels, folds_for(labels, group), seed, group
            )
        if found is None:
            return
        result = decision_controls.shuffled(entry, found, seed)
        self._keep(replace(result, cost=Cost(other=round(context.budget.spent - begun, 4))))

    def by_hand(self) -> None:
        """Fit classifiers on features without a network; computed here, not by the engine."""
        kind = modality.get(self.setup.parts.data.modality)
        judged = selection(self.setup.columns.part, self.setup.columns.folds)
        train = self.setup.parts.rows(0)
        rows = np.unique(np.concatenate([judged, train[: decision_controls.BY_HAND_ROWS]]))
        features: dict[str, np.ndarray] = {}
        for baseline in decision_controls.BY_HAND:
            if baseline.control in self.controls or self.left <= decision_controls.BY_HAND_SECONDS:
                continue
            begun = self.context.budget.spent
            store = kind.open(self.context.journal.folder / STORE)
            features = features or kind.by_hand(store, rows, self.setup.geometry or "crop")
            self._fit_by_hand(baseline, rows, features[baseline.features], judged, begun)

    def _fit_by_hand(
        self, baseline: ByHand, rows: np.ndarray, features: np.ndarray, judged: np.ndarray, begun: float
    ) -> None:
        """Fit one on features (m, d) of `rows` in ascending order, and predict the judged rows."""
        context, columns = self.context, self.setup.columns
        place = np.searchsorted(rows, np.arange(len(columns.labels)))
        train = np.intersect1d(self.setup.parts.rows(0), rows)
        table = np.zeros((len(judged), len(columns.classes)), np.float32)
        fold = columns.fold[judged] if columns.folds else np.full(len(judged), -1, np.int8)
        for number in np.unique(fold):
            fitted = train if number < 0 else train[columns.fold[train] != number]
            held_out = fold == number
            how = Fitting(
                metric=self.setup.goal.metric,
                classes=len(columns.classes),
                seed=context.options.seed,
                group=None if columns.group is None else columns.group[fitted],
                weight=None if columns.weight is None else columns.weight[fitted],
            )
            with hardware.one_thread():
                table[held_out] = baseline.fit(
                    features[place[fitted]], columns.labels[fitted], features[place[judged[held_out]]], how
                )
        predictions = f"trials/{baseline.control}.npz"
        with atomic(context.journal.folder / predictions) as temporary, open(temporary, "wb") as file:
            np.savez(file, rows=judged, proba=table, fold=fold)
        trial = replace(baseline.trial, seed=context.options.seed)
        cost = Cost(other=round(context.budget.spent - begun, 4))
        self._keep(TrialResult(trial=trial, status="finished", predictions=predictions, cost=cost))

    def scratch(self, best: TrialResult, searched: Tried, costs: CostModel) -> None:
        """Train the best candidate's network from random weights for two lengths, if the longer one has enough epochs."""
        fresh = scratch_of(best, self.setup, searched.ranking, costs, self.context.options.seed)
        before = self.controls.get("scratch")
        if fresh is None or (before is not None and before.trial.candidate == fresh.whole.candidate):
            return
        if self.left < fresh.seconds:
            self.context.journal.note(fact(Kind.SCRATCH_SKIPPED, epochs=decision_controls.FEWEST_EPOCHS))
            return
        share = decision_controls.HALF_SHARE * self.left
        self._train(fresh.half, fresh.spec, decision_controls.SCRATCH, self.end + self.left - share)
        self._train(fresh.whole, fresh.spec, decision_controls.SCRATCH, self.end)

    def _train(self, trial: Trial, spec: BackboneSpec, strategy: Strategy, reserve: float) -> None:
        started = fact(Kind.CONTROL_STARTED, control=trial.control)
        self.context.journal.event("control", started, candidate=trial.candidate.id)
        allowance = self.context.budget.allowance(reserve=reserve)
        progress = partial(report_progress, self.context, "control", trial.candidate.id)
        self._keep(self.context.engine.submit(trial, spec, strategy, allowance, progress).result())

    def _keep(self, result: TrialResult) -> None:
        result = scored(self.context, self.setup, result, ())
        self.controls.pop(result.trial.control, None)
        self.controls[result.trial.control] = result
        report_end(self.context, "control", result, self.setup.goal)
