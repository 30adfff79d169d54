"""Deliver: the winner is fitted on everything it may see, tested once, and put in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from autotl import checksums
from autotl.cache import atomic, atomic_write
from autotl.data import unsampled as data_unsampled
from autotl.data.unsampled import Listed
from autotl.decision import calibrated, evidence
from autotl.decision.conclude import conclude as concluded_result
from autotl.decision.judge import Verdict
from autotl.errors import AutotlError
from autotl.records import Fact, Kind, Strategy, Trial, TrialResult, fact
from autotl.records.result import ModelIs
from autotl.report import wording
from autotl.run_folder.journal import ship
from autotl.search import final_fit
from autotl.search.final_fit import FitPlan
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.trials import report_progress, with_interval
from autotl.stages.tried import Tried
from autotl.stats import calibration, ood

ENOUGH = 0.6  # of the planned epochs: a final fit that made fewer is no better than the probe's own model
TEST_MARGIN = (
    1.5  # on the seconds that predicting the test images is forecast to take: they are decoded again
)
LEAST_TESTED = 20  # images, below which a test score is too uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverResult:
    """The fit that ships, with its predictions on the test part; None where the folder's model is a probe's."""

    fit: TrialResult | None = None


def deliver(context: RunContext, setup: Setup, searched: Tried, verdict: Verdict) -> DeliverResult:
    """Fit and test the winner, calibrate it, and conclude the result of the run."""
    winner = verdict.decision.winner
    fit: TrialResult | None = None
    if winner is not None:
        with context.ledger.charge("final fit"):
            delivery = _Delivery(context, setup, searched, winner)
            fit = delivery.fit()
            delivery.note_outside(fit)
        with context.ledger.charge("out of distribution"):
            _measure_ood(context, setup, fit, evidence.representative_results(searched.probes)[winner])
    conclude(context, setup, fit)
    if searched.costs is not None and context.budget.left - context.plan.after_fit > context.plan.ends_early:
        context.journal.note(fact(Kind.ENDED_EARLY, seconds=context.budget.left))
    return DeliverResult(fit=fit)


def conclude(context: RunContext, setup: Setup, fit: TrialResult | None) -> None:
    """Record what follows from the decision and the fit that ships: winner, test score and calibration."""
    journal = context.journal
    state = journal.result
    fit = None if fit is None else evidence.sealed(fit, journal.folder)
    if fit is not None and fit not in state.trials:
        state = replace(state, trials=(*state.trials, fit))
    concluded = concluded_result(state, fit, journal.folder, setup.columns)
    fields = calibrated.described(concluded)
    if fields and concluded.winner and concluded.winner.model_is is not ModelIs.ANOTHER_CANDIDATES:
        calibration.write(fields, journal.folder / "model")
    if fit is not None:
        journal.held(fit.cost.bytes)
    journal.record(
        winner=concluded.winner,
        leaderboard=concluded.leaderboard,
        warnings=concluded.warnings,
        calibration=concluded.calibration,
        conformal=concluded.conformal,
        thresholds=concluded.thresholds,
        trials=concluded.trials,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The images outside the sample, which the budget or `--sample` set."""

    images: Listed | None  # that the final fit may learn from
    count: int  # of all
    cause: str  # why it may not learn from some

    @property
    def usable(self) -> int:
        return 0 if self.images is None else len(self.images)


class _Delivery:
    """The winner's way into the folder: a new fit, or the model of its probe."""

    def __init__(self, context: RunContext, setup: Setup, searched: Tried, winner: str) -> None:
        self.context, self.setup, self.searched = context, setup, searched
        self.probe = evidence.representative_results(searched.probes)[winner]
        self.earlier = earlier_fit(context, setup.fits, winner)
        self.outside = self._outside()

    def fit(self) -> TrialResult | None:
        """Return the fit on train and select, tested once; where it does not finish, the probe, tested."""
        earlier, probe, trial = self.earlier, self.probe, self._trial()
        stands = earlier is not None and self.setup.same_data and _is_refit_of(earlier, probe)
        if earlier is not None and stands and (trial is None or trial.unsampled <= earlier.unsampled):
            return earlier
        if trial is None or self._is_late(trial):  # no more to train, or no time: the probe's model ships
            ship(self.context.journal.folder / str(probe.model), self.context.journal.folder)
            return self._tested()
        result = self._train(trial)
        if self._ships(result):
            return result
        error = result.error or "; ".join(wording.sentences(result.notes))
        failed = fact(Kind.FINAL_FIT_FAILED, status=result.status, error=error, probe=probe.trial.id)
        if probe.model is None:
            self.context.journal.note(replace(failed, values=failed.values | {"probe": ""}))
            return earlier
        self.context.journal.note(failed)
        ship(self.context.journal.folder / probe.model, self.context.journal.folder)
        return self._tested()

    def _trial(self) -> Trial | None:
        """Return the final fit; None where a probe's model ships as it is."""
        candidate, trained = self.probe.trial.candidate, self.probe.epochs_done
        if self._strategy.combine is not None:
            return None  # nothing trains: the joined weights are what they are
        planned, fits = self._planned(), self.setup.fits
        if planned is not None and self._continues and planned.more < 1 and not self.context.options.refit:
            return None
        more = 0.0
        if planned is not None and self._continues:
            more = max(1.0, float(planned.more))
        usable = 0 if trained else self.outside.usable  # what a training takes is not known without costs
        trial = Trial(
            id=f"final{len(fits) + 1}" if fits else "final",
            candidate=candidate,
            epochs=trained + more,
            fit_on=("train", "select"),
            evaluate_on=("test",) if len(self.setup.parts.rows(2)) else (),
            seed=self.context.options.seed,
            keep_model=True,
            forecast=None if planned is None else planned.forecast,
            resume_from=self.probe.model if more else None,
            resumed_epochs=trained if more else 0.0,
            unsampled=usable if planned is None else planned.outside,
        )
        return with_interval(trial, self.searched.probes)

    @property
    def _strategy(self) -> Strategy:
        return self.setup.strategies[self.probe.trial.candidate.strategy]

    @property
    def _continues(self) -> bool:
        """Return whether the fit goes on where its probe ended."""
        probe = self.probe
        return bool(probe.epochs_done) and probe.model is not None and not self.setup.columns.folds

    def _planned(self) -> FitPlan | None:
        """Return passes, images and seconds of the fit; None where nothing was measured that they follow from."""
        costs, trained = self.searched.costs, self.probe.epochs_done
        if costs is None:
            return None
        candidate, left = self.probe.trial.candidate, self.context.budget.left - self._kept()
        images, read = self.outside.usable, self._decode_seconds()
        if not trained:
            return final_fit.head(costs, candidate, left, images, read)
        of_kind = final_fit.continued if self._continues else final_fit.from_the_start
        return of_kind(costs, candidate, left, trained, images, read)

    def _outside(self) -> Outside:
        """Return the images outside the sample that the fit may learn from, and why there are none."""
        parts, columns, strategy = self.setup.parts, self.setup.columns, self._strategy
        unsampled = parts.data.unsampled
        of_sample = sum(finding.count for finding in parts.data.findings if finding.kind is Kind.SAMPLED)
        count = len(parts.left_out) + (of_sample if unsampled is None else len(unsampled.files))
        cause = "unlisted" if of_sample and unsampled is None else ""
        if self.probe.head == "knn":
            cause = "neighbours"
        elif strategy.parents:
            cause = "teacher"
        elif strategy.combine is not None:
            cause = "joined"
        if cause not in ("", "unlisted"):
            return Outside(images=None, count=count, cause=cause)
        found = parts.data.group_from in ("names", "capture") and parts.split.grouped
        if found and unsampled is not None:
            unsampled, cause = None, "groups"
        images = data_unsampled.listed(columns, parts.left_out, unsampled, seed=self.context.options.seed)
        cause = cause if len(images) or not count else cause or "groups"
        return Outside(images=images, count=count, cause=cause)

    def _is_late(self, trial: Trial) -> bool:
        """Return whether the time that a hurried run has left is too short to fit the head again."""
        left, plan = self.context.budget.left - self._kept(), self.context.plan
        return self.setup.hurried and not trial.epochs and left < plan.final_head * self.setup.slowness

    def _kept(self) -> float:
        """Return the seconds that a final fit leaves: for the test of the probe should it fail, and what follows."""
        plan = self.context.plan
        after = plan.last_seconds + plan.out_of_distribution + plan.after_fit
        return after + min(self._test_seconds(), plan.test)

    def _train(self, trial: Trial) -> TrialResult:
        self.context.journal.event(
            "final fit",
            fact(Kind.FINAL_FIT, low=trial.forecast_low, high=trial.forecast_high),
            candidate=trial.candidate.id,
            forecast=trial.forecast,
        )
        kept = self._kept()
        if trial.unsampled and self.context.options.refit:  # the refit reads as many again
            kept += (self.context.budget.left - kept) / 2
        return self._submit(trial, kept)

    def _ships(self, result: TrialResult) -> bool:
        """Put the model of a fit in place that trained long enough; return whether it did."""
        planned, before = result.trial.epochs, result.trial.resumed_epochs
        long_enough = result.epochs_done - before >= ENOUGH * (planned - before)
        if result.status not in ("finished", "stopped") or not long_enough or result.model is None:
            return False
        if result.epochs_done < planned and not before:
            self.context.journal.note(fact(Kind.FINAL_FIT_SHORT, epochs=result.epochs_done, planned=planned))
        ship(self.context.journal.folder / result.model, self.context.journal.folder)
        if self.context.options.refit and result.trial.evaluate_on:
            self._refit(result)
        return True

    def _refit(self, fit: TrialResult) -> None:
        """Fit on the test images too; the figures stay those of the fit without them."""
        trial = fit.trial
        everything = replace(trial, id="refit", fit_on=("train", "select", "test"), evaluate_on=())
        if trial.resume_from is not None:
            more = trial.epochs - trial.resumed_epochs
            everything = replace(
                everything,
                epochs=fit.epochs_done + more,
                resume_from=fit.model,
                resumed_epochs=fit.epochs_done,
            )
        result = self._submit(everything, self.context.plan.last_seconds)
        if result.status == "finished" and result.model is not None:
            ship(self.context.journal.folder / result.model, self.context.journal.folder)
            self.context.journal.note(fact(Kind.REFIT_ON_TEST))
        else:
            self.context.journal.note(fact(Kind.REFIT_FAILED, status=result.status))

    def note_outside(self, fit: TrialResult | None) -> None:
        """Note how many images outside the sample the model that ships has learned from, and why not from all."""
        outside = self.outside
        if not outside.count:
            return
        learned = 0 if fit is None else fit.unsampled
        cause = "" if learned else outside.cause or "time"
        sample = len(self.setup.parts.rows(0)) + len(self.setup.parts.rows(1))
        values = {"images": learned, "of": outside.count, "sample": sample, "cause": cause}
        self.context.journal.note(fact(Kind.FITTED_OUTSIDE, **values))

    def _submit(self, trial: Trial, reserve: float) -> TrialResult:
        candidate = trial.candidate
        if trial.unsampled and self.outside.images is not None:
            data_unsampled.write(self.outside.images, trial.unsampled, self.context.journal.folder)
        return self.context.engine.submit(
            trial,
            self.setup.backbones[candidate.backbone],
            self.setup.strategies[candidate.strategy],
            self.context.budget.allowance(reserve=reserve),
            partial(report_progress, self.context, "final fit", candidate.id),
        ).result()

    def _test_seconds(self, images: int | None = None) -> float:
        """Return a forecast of predicting test images with the probe's model from their files."""
        rows = len(self.setup.parts.rows(2)) if images is None else images
        return TEST_MARGIN * rows * ((self.probe.latency or 0.0) + self._decode_seconds())

    def _decode_seconds(self) -> float:
        """Return the seconds that this run took to decode an image."""
        stages = self.context.ledger.by_stage()
        return stages.get("decode", 0.0) / max(1, int(self.setup.parts.decoded.present.sum()))

    def _tested(self) -> TrialResult | None:
        """Return the probe with predictions of its model on the test part, or on as much of it as there is time for."""
        context, rows = self.context, self.setup.parts.rows(2)
        if not len(rows):
            return None
        allowance = context.budget.allowance(reserve=context.plan.last_seconds)
        image_seconds, least = self._test_seconds(1), min(LEAST_TESTED, len(rows))
        if (
            allowance.left < least * image_seconds
        ):  # a figure on few images is worth a report that is a little late
            allowance = context.budget.allowance()
        able = len(rows) if image_seconds <= 0 else min(len(rows), int(allowance.left / image_seconds))
        if able < least or allowance.expired:
            # A worker that is ended for being late would cost its start, to be late again.
            context.journal.note(fact(Kind.NO_TEST_SCORE, error=""))
            return None
        tested = rows[:able]  # the order is stratified, so its beginning represents the part
        files = [str(path) for path in self.setup.parts.data.files[tested]]
        try:
            answers = context.engine.predict("model", files, allowance)
        except AutotlError as error:
            context.journal.note(fact(Kind.NO_TEST_SCORE, error=str(error)))
            return None
        answered = ~np.isnan(answers.probabilities).any(1)
        if answered.sum() < least:
            context.journal.note(fact(Kind.NO_TEST_SCORE, error=next(filter(None, answers.errors), "")))
            return None
        tested = tested[answered]
        if len(tested) < len(rows):
            context.journal.note(fact(Kind.TESTED_ON_PART, images=len(tested), of=len(rows)))
        predictions = "trials/tested.npz"
        with atomic(context.journal.folder / predictions) as temporary, open(temporary, "wb") as file:
            proba, fold = answers.probabilities[answered], np.full(len(tested), -1, np.int8)
            np.savez(file, rows=tested, proba=proba, fold=fold)
        trial = replace(self.probe.trial, id="tested", evaluate_on=("test",))
        return replace(self.probe, trial=trial, predictions=predictions)


def earlier_fit(context: RunContext, fits: tuple[TrialResult, ...], winner: str) -> TrialResult | None:
    """Return the last fit of a candidate in the run that is continued; its model is put in place."""
    of_winner = [fit for fit in fits if fit.trial.candidate.id == winner and fit.model is not None]
    if not of_winner:
        return None
    ship(context.journal.folder / str(of_winner[-1].model), context.journal.folder)
    return of_winner[-1]


def _is_refit_of(fit: TrialResult, probe: TrialResult) -> bool:
    return "select" in fit.trial.fit_on and probe.epochs_done in (fit.trial.epochs, fit.trial.resumed_epochs)


def _measure_ood(context: RunContext, setup: Setup, fit: TrialResult | None, probe: TrialResult) -> None:
    """Let the model that ships measure which images are far from its training images."""
    candidate = probe.trial.candidate
    prepared = setup.strategies[candidate.strategy].prepare is not None
    stored = not probe.trial.epochs and not prepared  # the ranking has read the features of such a network
    frozen = (setup.backbones[candidate.backbone], candidate.input_size) if stored else None
    budget, plan, parts = context.budget, context.plan, setup.parts
    refitted = fit is not None and "select" in fit.trial.fit_on
    fitted = np.concatenate([parts.rows(0), parts.rows(1)]) if refitted else parts.rows(0)
    held_out = parts.rows(2) if refitted else np.concatenate([parts.rows(1), parts.rows(2)])
    allowance = budget.allowance(max(plan.out_of_distribution, budget.left - plan.last_seconds))

    def missing(error: str) -> Fact:
        return fact(Kind.NO_OOD, error=error)

    if allowance.expired:
        context.journal.note(missing(""))
        return
    if context.options.refit:
        held_out = held_out[:0]
    try:
        measured = context.engine.fit_ood("model", fitted, held_out, allowance, frozen)
    except AutotlError as error:
        context.journal.note(missing(str(error)))
        return
    if measured and refitted and fit is not None and fit.model is not None:
        # The fit may ship again from its own folder.
        folder = context.journal.folder
        atomic_write(folder / fit.model / ood.FILE, (folder / "model" / ood.FILE).read_bytes())
        checksums.seal(folder / fit.model)
