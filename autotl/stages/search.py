"""Search: short trainings, as the planner asks for them, as long as the final fit still fits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any

from autotl.builtin.heads import MOST_UNLABELLED
from autotl.decision import twins
from autotl.decision.evidence import judged_rows, right_answers, selection, selection_images
from autotl.decision.limits import best_within_limits
from autotl.errors import AutotlError, SlotLost
from autotl.plugins.checked_planner import CheckedPlanner
from autotl.protocols import PlannerCall, Slot
from autotl.ranking import depth_profile, entries
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
from autotl.search import forecast, planner
from autotl.stages import controls, trials
from autotl.stages.context import RunContext
from autotl.stages.rank import RankResult
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried

TIMED = 3  # backbones whose training is timed before the search
TRIES = 2  # of a trial whose slot is lost; then it has failed
Seconds = dict[tuple[str, int], float]  # by backbone and input size
Paces = dict[tuple[str, int], tuple[float, float]]  # seconds a training image, and a predicted image


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
    gained = twins.compared(
        searcher.probes, setup.strategies.values(), context.journal.folder, setup.columns, setup.goal
    )
    for each in gained:
        context.journal.note(each)
    return searcher.result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The work of a slot: a trial, or three timed batches of a recipe."""

    slot: Slot
    kind: str  # of the slot when the work began
    since: float  # seconds of the budget that were spent
    candidate: Candidate
    trial: Trial | None  # None: the kind of slot is new, and the recipe shows its pace
    timing: bool = False  # of the trial's recipe, before it is decided upon

    @property
    def order(self) -> str:
        """Return what results that come together are taken by."""
        return "" if self.trial is None else self.trial.id


class _Searcher:
    """The planner, driven: as many trials at once as the engine has slots."""

    def __init__(self, context: RunContext, setup: Setup, ranked: RankResult) -> None:
        self.context, self.setup = context, setup
        self.probes: list[TrialResult] = list(ranked.probes)
        self.measurements: list[Measurement] = []
        self.skipped: list[Skipped] = list(ranked.skipped)
        self.untimed: set[Candidate] = set()  # recipes that failed while they were timed
        self.forecast: Forecast | None = None
        self.running: dict[Future[Any], _Work] = {}
        self.returned: list[Trial] = []  # that the planner asked for, and that wait for a slot
        self.lost: dict[str, int] = {}  # how often a slot was lost with a trial, by its id
        self.guest_ended = False  # its planner asks for no more
        self.paces: dict[
            str, Paces | None
        ] = {}  # of the kinds of slots but the first; None: it cannot be used
        timed, latencies = self._time_backbones(ranked.ranking)
        self.ranking = entries.with_latencies(ranked.ranking, latencies)
        facts = self._facts(timed, latencies, ranked)
        self.default = planner.DefaultPlanner(
            ranked=self._fast_enough(entries.with_earlier(self.ranking.ranked, self.probes)),
            strategies=list(setup.strategies.values()),
            facts=facts,
        )
        self.default.slots = len(context.engine.slots)
        self.default.price(context.engine.slots[0].kind)
        self.guest = self._guests_planner(facts)
        for result in self.probes:
            self._update(result)

    @property
    def kept(self) -> float:
        """Return the seconds of the budget that the search leaves to later stages, besides the final fit."""
        plan = self.context.plan
        return plan.report + self._controls() + plan.rescore + plan.recheck + plan.unsampled + plan.after_fit

    def _controls(self) -> float:
        return controls.seconds_needed(
            self.context, self.setup, self.probes, self.ranking, self.default.final_costs
        )

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
            controls=self._controls(),
            peak=context.journal.peak,
        )
        context.journal.record(forecast=self.forecast)
        context.journal.event("forecast", fact(Kind.FORECAST, **asdict(self.forecast)))

    def search(self) -> None:
        """Run trials until the planner asks for none."""
        while True:
            self._fill()
            if not self.running:
                break
            ended = self.context.engine.wait(self.running)
            for future in sorted(ended, key=lambda future: self.running[future].order):
                self._end(future, self.running.pop(future))
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
            skipped=(*self.skipped, *entries.untried(self.ranking.ranked, self.probes, skipped)),
            measurements=tuple(self.measurements),
            forecast=self.forecast,
            costs=self.default.final_costs,
        )

    def _fill(self) -> None:
        """Give every slot that does nothing a trial, as far as the planner has one for it."""
        slots = self.context.engine.slots
        self.default.slots = len(slots)
        for slot in slots:
            if any(work.slot is slot for work in self.running.values()) or not self._is_priced(slot):
                continue
            trial = self._next()
            if trial is not None:
                self._begin(slot, trial)

    def _is_priced(self, slot: Slot) -> bool:
        """Price what is asked for next as on this slot; where its kind is new, begin to time it and return False."""
        kind = slot.kind
        if kind not in self.default.costs_of:
            if kind not in self.paces:
                self.paces[kind] = None
                first = next(entry for entry in self.ranking.ranked if entry.seconds_per_image is not None)
                strategy = next(iter(self.setup.strategies))
                candidate = Candidate(
                    backbone=first.backbone, input_size=first.input_size, strategy=strategy, unfreeze="all"
                )
                self._time(slot, candidate, None)
            paces = self.paces[kind]
            if paces is None:
                return False
            self.default.add_kind(kind, paces)
        self._price(kind)
        return True

    def _time(self, slot: Slot, candidate: Candidate, trial: Trial | None) -> None:
        context, spec = self.context, self.setup.backbones[candidate.backbone]
        allowance = context.budget.allowance(reserve=context.plan.report)
        self.running[slot.measurement(candidate, spec, allowance)] = _Work(
            slot=slot,
            kind=slot.kind,
            since=context.budget.spent,
            candidate=candidate,
            trial=trial,
            timing=True,
        )

    def _begin(self, slot: Slot, trial: Trial) -> None:
        """Begin a trial on a slot whose kind is priced. A recipe that was never timed on such a slot is timed first."""
        context, candidate, costs = self.context, trial.candidate, self.default.costs
        trains = trial.epochs > trial.resumed_epochs
        if trains and not costs.is_measured(candidate) and candidate not in self.untimed:
            self._time(slot, candidate, trial)
            return
        if self._is_guests():
            forecast = costs.probe(candidate, trial.epochs, trial.resumed_epochs)
            trial = replace(trial, forecast=forecast, keep_model=True)
        since, kind = context.budget.spent, slot.kind
        reserve = self.kept + self._final_fit(trial)
        future = trials.start(context, self.setup, trial, self.probes, reserve, slot)
        self.running[future] = _Work(slot=slot, kind=kind, since=since, candidate=candidate, trial=trial)

    def _is_guests(self) -> bool:
        return self.guest is not None and not self.guest.broken()

    def _end(self, future: Future[Any], work: _Work) -> None:
        """Take the result of a trial, or decide about one whose recipe was timed.

        Then the default planner is asked again; a plugin's planner cannot take a trial back, so its trial stays.
        """
        trial = work.trial
        try:
            value = future.result()
        except SlotLost as error:
            self._give_back(work, str(error))
        except AutotlError:
            if not work.timing:
                raise
            self.untimed.add(work.candidate)  # the training will report why
            if trial is not None:
                self.returned.append(trial)
        else:
            if trial is not None and not work.timing:
                self._finish(value, work)
            else:
                self._timed(value, work)

    def _timed(self, measured: Measurement, work: _Work) -> None:
        candidate, seconds = work.candidate, measured.seconds_per_image + measured.prepare
        self._measured(measured)
        if work.trial is None:
            key = (candidate.backbone, candidate.input_size)
            self.paces[work.kind] = {key: (seconds, measured.latency + measured.prepare)}
            return
        self._price(work.kind)
        self.default.costs.measured(candidate, seconds)
        if self._is_guests():
            self.returned.append(work.trial)
        else:
            self.default.take_back(work.trial)

    def _give_back(self, work: _Work, error: str) -> None:
        """Keep a trial whose slot was lost for the next slot that is free; after two tries it has failed."""
        trial = work.trial
        if trial is None:
            self.paces.pop(work.kind, None)
            return
        self.lost[trial.id] = self.lost.get(trial.id, 0) + 1
        if self.lost[trial.id] < TRIES:
            given_back = fact(Kind.TRIAL_GIVEN_BACK, error=error)
            self.context.journal.event("probe", given_back, candidate=trial.candidate.id)
            self.returned.append(trial)
        else:
            self._finish(TrialResult(trial=trial, status="failed", error=error), work)

    def _price(self, kind: str) -> None:
        """Price what is asked for next as on slots of this kind, given what is under way."""
        self.default.price(kind)
        spent = self.context.budget.spent
        self.default.under_way = [
            planner.UnderWay(
                trial=work.trial, seconds=max(0.0, (work.trial.forecast or 0.0) - (spent - work.since))
            )
            for work in self.running.values()
            if work.trial is not None
        ]

    def _next(self) -> Trial | None:
        """Return a trial that waits for a slot, or the planner's next one.

        A recipe that is under way waits for its end, and the planner is not asked for more until then.
        """
        busy = {work.candidate for work in self.running.values() if work.trial is not None}
        for trial in self.returned:
            if trial.candidate not in busy:
                self.returned.remove(trial)
                return trial
        if self.returned:
            return None
        asked = self._ask()
        if asked is not None and asked.candidate in busy:
            self.returned.append(asked)
            return None
        return asked

    def _ask(self) -> Trial | None:
        seconds = max(0.0, self.context.budget.left - self.kept)
        if self.guest is None:
            return self.default.ask(seconds)
        if self.guest_ended and not self.guest.broken():
            return None
        trial = self.guest.ask(seconds)
        self.guest_ended = trial is None
        return trial

    def _finish(self, result: TrialResult, work: _Work) -> None:
        result = trials.finish(self.context, self.setup, self.ranking, result, self.probes, work.slot)
        self.probes.append(result)
        self._update(result, work.kind)

    def _update(self, result: TrialResult, kind: str | None = None) -> None:
        """Give a result to the default planner, with the images that were answered rightly, and to a plugin's."""
        folder = self.context.journal.folder
        right = right_answers(result, folder, self.setup.columns, self.setup.goal.metric)
        self.default.tell(result, right, kind)
        if self.guest is not None:
            self.guest.tell(result)

    def _facts(self, timed: Seconds, latencies: Seconds, ranked: RankResult) -> planner.Facts:
        """Return what the planner knows of the data and the machine."""
        setup, columns = self.setup, self.setup.columns
        train, select, test = (len(setup.parts.rows(code)) for code in range(3))
        return planner.Facts(
            rows=train,
            rows_final=train + select,
            rows_select=len(selection(columns.part, columns.folds)),
            rows_test=test,
            folds=columns.folds,
            unlabelled=0 if columns.unlabelled is None else min(len(columns.unlabelled), MOST_UNLABELLED),
            refit=self.context.options.refit,
            last_fit=self.context.plan.last_fit,
            selection=selection_images(judged_rows(columns), setup.goal),
            seed=self.context.options.seed,
            trials=len(self.probes) if setup.parts.earlier is not None else 0,
            timed=timed,
            predicted=latencies,
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
                # Without the timing of one backbone nothing could be trained in the time that is kept for it.
                if context.budget.left < (max(end, least) if timed or self.probes else context.plan.end):
                    break
                candidate = Candidate(
                    backbone=entry.backbone,
                    input_size=entry.input_size,
                    strategy=trained[0].name,
                    unfreeze="all",
                )
                allowance = context.budget.allowance(reserve=context.plan.report)
                try:
                    measured = context.engine.measure(candidate, setup.backbones[entry.backbone], allowance)
                except AutotlError as error:
                    context.journal.note(fact(Kind.NOT_TIMED, backbone=entry.backbone, error=str(error)))
                    continue
                self._measured(measured)
                timed[entry.backbone, entry.input_size] = measured.seconds_per_image + measured.prepare
                latencies[entry.backbone, entry.input_size] = measured.latency + measured.prepare
        return timed, latencies

    def _measured(self, measured: Measurement) -> None:
        self.measurements.append(measured)
        self.context.journal.held(measured.peak)
        self.context.journal.record(measurements=tuple(self.measurements))

    def _fast_enough(self, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """Return the entries; those clearly slower than --max-latency are not offered, except the fastest."""
        limit = self.setup.goal.max_latency
        slow = entries.clearly_slower(ranked, limit)
        for entry in slow:
            too_slow = fact(Kind.TOO_SLOW, latency=entry.seconds_per_image, allowed=limit)
            self.skipped.append(Skipped(name=f"{entry.backbone}@{entry.input_size}", reason=too_slow))
        # An entry without rows and seconds is not asked for; trials of it can still be looked up.
        return [replace(e, rows=0, embedded=0, seconds_per_image=None) if e in slow else e for e in ranked]

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
        return max(self.default.final_costs.final(candidate, epochs) for candidate, epochs in recipes)
