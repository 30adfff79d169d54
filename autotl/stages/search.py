"""Search: short trainings, as the planner asks for them, as long as the final fit still fits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, replace

from autotl.decision.evidence import judged_rows, right_answers, selection, selection_images
from autotl.decision.limits import best_within_limits
from autotl.errors import AutotlError
from autotl.plugins.checked_planner import CheckedPlanner
from autotl.protocols import PlannerCall
from autotl.ranking import depth_profile
from autotl.records import (
    Candidate,
    Forecast,
    Kind,
    Measurement,
    Ranked,
    Ranking,
    Skipped,
    Trial,
    TrialResult,
    fact,
)
from autotl.records.candidate_id import backbone_of
from autotl.search import forecast, planner
from autotl.stages import trials
from autotl.stages.context import RunContext
from autotl.stages.rank import RankResult
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried

TIMED = 3  # backbones whose training is timed before the search
CLEARLY_SLOWER = 1.2  # than --max-latency: embedding takes about as long as predicting, not exactly
Seconds = dict[tuple[str, int], float]  # by backbone and input size


def repeat(context: RunContext, setup: Setup, recipe: Trial) -> Tried:
    """Train one recipe, and return it as all that was tried. Raises `AutotlError` when it does not finish."""
    budget, plan = context.budget, context.plan
    ranking = Ranking(ranked=())
    reserve = plan.report + (1 - plan.recipe_probe) * max(0.0, budget.left - plan.report)
    with context.ledger.charge("search"):
        result = trials.run(context, setup, ranking, recipe, setup.probes, reserve)
    if best_within_limits([result], setup.goal) is None:
        raise trials.nothing_finished(context, setup.skipped, [result])
    return Tried(probes=(*setup.probes, result), ranking=ranking)


def search(context: RunContext, setup: Setup, ranked: RankResult) -> Tried:
    """Probe what the planner asks for and return all probes. Raises `AutotlError` when none has a score."""
    searcher = _Searcher(context, replace(setup, backbones=ranked.backbones), ranked)
    searcher.forecast_run()
    with context.ledger.charge("search"):
        searcher.search()
    return searcher.result()


class _Searcher:
    """The planner, driven: as many trials at once as the engine has slots."""

    def __init__(self, context: RunContext, setup: Setup, ranked: RankResult) -> None:
        self.context, self.setup = context, setup
        self.probes: list[TrialResult] = list(ranked.probes)
        self.measurements: list[Measurement] = []
        self.skipped: list[Skipped] = list(ranked.skipped)
        self.untimed: set[Candidate] = set()  # recipes that failed while they were timed
        self.forecast: Forecast | None = None
        timed, latencies = self._time_backbones(ranked.ranking)
        self.ranking = _with_latencies(ranked.ranking, latencies)
        facts = self._facts(timed, ranked)
        self.default = planner.DefaultPlanner(
            ranked=self._fast_enough(_with_earlier(self.ranking.ranked, self.probes)),
            strategies=list(setup.strategies.values()),
            facts=facts,
        )
        self.guest = self._guests_planner(facts)
        for result in self.probes:
            self._update(result)
        self.kept = context.plan.report + context.plan.controls + context.plan.recheck

    def _guests_planner(self, facts: planner.Facts) -> CheckedPlanner | None:
        """Return the planner of a plugin, which is noted; None where none makes one."""
        context, setup = self.context, self.setup
        call = PlannerCall(
            profile=setup.profile,
            ranking=self.ranking,
            seconds=context.budget.left,
            strategies=tuple(setup.strategies.values()),
            facts=facts,
            costs=self.default.costs,
            belief=self.default.belief,
            reserve=self.default.reserve,
            goal=setup.goal,
            default=self.default,
        )
        guest = context.plugins.make_planner(call)
        if guest is not None:
            context.journal.note(fact(Kind.GUEST_PLANS, plugin=guest.plugin))
        return guest

    def forecast_run(self) -> None:
        """Forecast the seconds and bytes of the whole run."""
        context = self.context
        self.forecast = forecast.foresee(
            self.default,
            spent=context.journal.before + context.budget.spent,
            left=context.budget.left,
            ends=context.plan.report,
            controls=context.plan.controls,
            peak=context.journal.peak,
        )
        context.journal.record(forecast=self.forecast)
        context.journal.event("forecast", fact(Kind.FORECAST, **asdict(self.forecast)))

    def search(self) -> None:
        """Run trials until the planner asks for none."""
        engine = self.context.engine
        running: set[Future[TrialResult]] = set()
        while True:
            while len(running) < engine.slots and (trial := self._next()) is not None:
                running.add(trials.start(self.context, self.setup, trial, self.probes, self._reserve(trial)))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for result in sorted((future.result() for future in ended), key=lambda r: r.trial.id):
                self._finish(result)
        if self.default.stopped:
            self.context.journal.note(self.default.stopped)

    def result(self) -> Tried:
        """Return what was tried; backbones that were ranked and not tried are skipped with their place."""
        skipped = (*self.setup.skipped, *self.skipped)
        if not any(result.score_val is not None for result in self.probes):
            raise trials.nothing_finished(self.context, skipped, self.probes)
        return Tried(
            probes=tuple(self.probes),
            ranking=self.default.with_embedded(self.ranking),
            skipped=(*self.skipped, *untried(self.ranking.ranked, self.probes, skipped)),
            measurements=tuple(self.measurements),
            forecast=self.forecast,
            costs=self.default.costs,
        )

    def _next(self) -> Trial | None:
        """Return the planner's next trial, with its forecast.

        A recipe that was never timed is timed first. Then the default planner is asked again; a plugin's planner
        cannot take a trial back, so its trial stays.
        """
        while (trial := self._ask()) is not None:
            timed = self._time_recipe(trial)
            if self.guest is not None and not self.guest.broken():
                forecast = self.default.costs.probe(trial.candidate, trial.epochs, trial.resumed_epochs)
                return replace(trial, forecast=forecast, keep_model=True)
            if not timed:
                return trial
            self.default.take_back(trial)
        return None

    def _ask(self) -> Trial | None:
        seconds = max(0.0, self.context.budget.left - self.kept)
        return self.default.ask(seconds) if self.guest is None else self.guest.ask(seconds)

    def _finish(self, result: TrialResult) -> None:
        result = trials.finish(self.context, self.setup, self.ranking, result, self.probes)
        self.probes.append(result)
        self._update(result)

    def _update(self, result: TrialResult) -> None:
        """Give a result to the default planner, with the images that were answered rightly, and to a plugin's."""
        folder = self.context.journal.folder
        self.default.tell(result, right_answers(result, folder, self.setup.columns, self.setup.goal.metric))
        if self.guest is not None:
            self.guest.tell(result)

    def _facts(self, timed: Seconds, ranked: RankResult) -> planner.Facts:
        """Return what the planner knows of the data and the machine."""
        setup, columns = self.setup, self.setup.columns
        train, select, test = (len(setup.parts.rows(code)) for code in range(3))
        return planner.Facts(
            rows=train,
            rows_final=train + select,
            rows_select=len(selection(columns.part, columns.folds)),
            rows_test=test,
            folds=columns.folds,
            refit=self.context.options.refit,
            last_fit=self.context.plan.last_fit,
            selection=selection_images(judged_rows(columns), setup.goal),
            seed=self.context.options.seed,
            trials=len(self.probes) if setup.parts.earlier is not None else 0,
            timed=timed,
            recoverable={
                profile.backbone: depth_profile.recoverable(profile) for profile in ranked.depth_profiles
            },
        )

    def _time_backbones(self, ranking: Ranking) -> tuple[Seconds, Seconds]:
        """Return seconds a training image, and a predicted image, of the first few backbones: three batches each."""
        context, setup = self.context, self.setup
        trained = [strategy for strategy in setup.strategies.values() if not strategy.head_only]
        timed: Seconds = {}
        latencies: Seconds = {}
        if not trained:
            return timed, latencies
        end = context.budget.left - context.plan.timing
        least = context.plan.end * setup.slowness if self.probes else context.plan.first_training
        with context.ledger.charge("timing"):
            for entry in ranking.ranked[:TIMED]:
                if context.budget.left < max(end, least):
                    break
                candidate = Candidate(
                    backbone=entry.backbone,
                    input_size=entry.input_size,
                    strategy=trained[0].name,
                    unfreeze="all",
                )
                measured = self._measure(candidate)
                if isinstance(measured, AutotlError):
                    context.journal.note(fact(Kind.NOT_TIMED, backbone=entry.backbone, error=str(measured)))
                    continue
                timed[entry.backbone, entry.input_size] = measured.seconds_per_image + measured.prepare
                latencies[entry.backbone, entry.input_size] = measured.latency
        return timed, latencies

    def _time_recipe(self, trial: Trial) -> bool:
        """Time three batches of a recipe whose training was never timed; return whether that was done."""
        candidate, costs = trial.candidate, self.default.costs
        trains = trial.epochs > trial.resumed_epochs
        if not trains or costs.is_measured(candidate) or candidate in self.untimed:
            return False
        measured = self._measure(candidate)
        if isinstance(measured, AutotlError):  # the training will report why
            self.untimed.add(candidate)
            return False
        costs.measured(candidate, measured.seconds_per_image + measured.prepare)
        return True

    def _measure(self, candidate: Candidate) -> Measurement | AutotlError:
        context, setup = self.context, self.setup
        spec = setup.backbones[candidate.backbone]
        allowance = context.budget.allowance(reserve=context.plan.report)
        try:
            measured = context.engine.measure(candidate, spec, allowance)
        except AutotlError as error:
            return error
        self.measurements.append(measured)
        context.journal.held(measured.peak)
        context.journal.record(measurements=tuple(self.measurements))
        return measured

    def _fast_enough(self, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """Return the entries; those clearly slower than --max-latency are not offered, except the fastest."""
        limit = self.setup.goal.max_latency
        if limit is None:
            return ranked
        slow = [entry for entry in ranked if (entry.seconds_per_image or 0.0) > CLEARLY_SLOWER * limit]
        if len(slow) == len(ranked):
            slow.remove(min(slow, key=lambda entry: entry.seconds_per_image or 0.0))
        for entry in slow:
            too_slow = fact(Kind.TOO_SLOW, latency=entry.seconds_per_image, allowed=limit)
            self.skipped.append(Skipped(name=f"{entry.backbone}@{entry.input_size}", reason=too_slow))
        # An entry without rows and seconds is not asked for; trials of it can still be looked up.
        return [replace(e, rows=0, embedded=0, seconds_per_image=None) if e in slow else e for e in ranked]

    def _reserve(self, trial: Trial) -> float:
        """Return the seconds that a trial may not touch.

        The first training that does not fit is ended by the clock: it gets all but the report's, for what follows
        needs its model, and its own model ships where no final fit fits.
        """
        reserve = self.kept + self._final_fit(trial)
        scored = any(result.score_val is not None for result in self.probes)
        fits = (trial.forecast or 0.0) + reserve <= self.context.budget.left
        return reserve if scored or fits else self.context.plan.report

    def _final_fit(self, trial: Trial) -> float:
        """Return the seconds of the longest final fit among those that may follow: of the best, and of `trial`."""
        leading = best_within_limits(self.probes, self.setup.goal)
        recipes = [(trial.candidate, trial.epochs)]
        if leading is not None:
            recipes += [
                (result.trial.candidate, result.epochs_done)
                for result in self.probes
                if (result.score_val or 0.0) >= (leading.score_val or 0.0) - planner.CLOSE
            ]
        return max(self.default.costs.final(candidate, epochs) for candidate, epochs in recipes)


def untried(
    ranked: Sequence[Ranked], probes: Sequence[TrialResult], skipped: Sequence[Skipped]
) -> list[Skipped]:
    """Return a row for each backbone that was ranked and neither trained nor skipped."""
    places: dict[str, tuple[int, Ranked]] = {}
    for entry in ranked:
        places.setdefault(entry.backbone, (len(places) + 1, entry))
    named = {result.trial.candidate.backbone for result in probes}
    named |= {backbone_of(skip.name) for skip in skipped}
    return [
        Skipped(
            name=name,
            reason=fact(Kind.RANKED_TOO_LOW, place=place, of=len(places), rows=entry.rows),
        )
        for name, (place, entry) in places.items()
        if name not in named
    ]


def _with_latencies(ranking: Ranking, latencies: Seconds) -> Ranking:
    """Return the ranking with measured seconds an image where all features came from the cache."""
    return replace(
        ranking,
        ranked=tuple(
            entry
            if entry.seconds_per_image is not None
            else replace(entry, seconds_per_image=latencies.get((entry.backbone, entry.input_size)))
            for entry in ranking.ranked
        ),
    )


def _with_earlier(ranked: Sequence[Ranked], probes: Sequence[TrialResult]) -> Sequence[Ranked]:
    """Return the entries, and one for each backbone that was tried before and is not ranked now."""
    keys = {(entry.backbone, entry.input_size) for entry in ranked}
    missing: dict[tuple[str, int], Ranked] = {}
    for result in probes:
        key = (result.trial.candidate.backbone, result.trial.candidate.input_size)
        if key not in keys:
            missing[key] = Ranked(
                backbone=key[0],
                input_size=key[1],
                expected=result.score_val or 0.0,
                seconds_per_image=result.latency,
            )
    return (*ranked, *missing.values())
