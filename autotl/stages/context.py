"""What the stages of one run share: what was asked for, what is known so far, and how a trial is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from autotl.budget import Allowance, Budget, Ledger
from autotl.decision import evidence as decision_evidence
from autotl.decision import judge as decision_judge
from autotl.decision.limits import over_limit
from autotl.errors import AutotlError
from autotl.options import END_SECONDS, Options
from autotl.plugins.manager import Plugins
from autotl.protocols import Engine
from autotl.ranking import history
from autotl.records import (
    BackboneSpec,
    Candidate,
    Columns,
    Dataset,
    Forecast,
    Goal,
    Measurement,
    Profile,
    Ranking,
    Skipped,
    Split,
    Strategy,
    Trial,
    TrialResult,
    result,
)
from autotl.records.result import Case
from autotl.run_folder import resume
from autotl.run_folder.journal import Journal, ship
from autotl.search import intervals
from autotl.weights import downloads, hub

NONE = Allowance(deadline=0.0)


def span(trial: Trial) -> str:
    """The interval of a trial's forecast in words, if it has one."""
    if trial.forecast_low is None or trial.forecast_high is None:
        return ""
    return f", four times in five within {trial.forecast_low:.0f} to {trial.forecast_high:.0f} s"


@dataclass(slots=True, kw_only=True)
class Job:
    """One run: its tools, its data, and what its stages have found."""

    options: Options
    budget: Budget
    ledger: Ledger
    plugins: Plugins
    journal: Journal
    engine: Engine
    data: Dataset = field(init=False)
    split: Split = field(init=False)
    profile: Profile = field(init=False)
    goal: Goal = field(init=False)
    unread: dict[int, str] = field(default_factory=dict)  # rows that could not be decoded, and why
    specs: dict[str, BackboneSpec] = field(default_factory=dict)
    strategies: dict[str, Strategy] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results: list[TrialResult] = field(default_factory=list)
    controls: list[TrialResult] = field(default_factory=list)
    ranking: Ranking = field(default_factory=lambda: Ranking(ranked=()))
    fetch: Callable[..., Path] = hub.fetch
    arrivals: downloads.Arrivals = field(
        default_factory=lambda: downloads.Arrivals(wanted=(), allowance=NONE)
    )
    earlier: resume.Earlier | None = None  # the run that is continued
    measured: list[Measurement] = field(default_factory=list)  # timed batches
    untimed: set[Candidate] = field(default_factory=set)  # what broke in them
    foreseen: Forecast | None = None  # of the whole run
    fits: list[TrialResult] = field(default_factory=list)  # its models that were fitted to be shipped
    past: tuple[history.Record, ...] = ()  # runs before, where a memory was named
    same_data: bool = True  # as when they were
    memory: dict[tuple[str, int], int] = field(default_factory=dict)  # bytes to predict, by backbone and size
    _named: int = 0  # how many of the plugins' problems were said
    searched: bool = True  # and not one recipe trained that was known
    # What the final fit of a candidate after so many epochs is forecast to take, and what is kept for it.
    fit_seconds: Callable[[Candidate, float], float] = field(default=lambda candidate, epochs: 5.0)
    final_seconds: Callable[[Candidate, float], float] = field(default=lambda candidate, epochs: 5.0)

    def why_nothing(self) -> str:
        """Why no candidate finished, for people."""
        reasons = dict.fromkeys(
            [f"{s.name}: {s.reason}" for s in self.skipped]
            + [f"{r.trial.candidate.id}: {r.error or r.note or r.status}" for r in self.results]
        )
        return (
            f"no candidate finished in {self.budget.spent:.0f} of {self.options.budget:.0f} s;"
            f" {'; '.join(list(reasons)[:5]) or 'there was no time for one'}; expected at least one: give more"
            " --budget or other --backbones"
        )

    def best(self) -> TrialResult | None:
        """The trial of the highest score that no limit forbids."""
        scored = [r for r in self.results if r.score_val is not None and not over_limit(r, self.goal)]
        return max(scored, key=lambda r: r.score_val or 0.0) if scored else None

    def attempt(self, trial: Trial, reserve: float) -> TrialResult:
        """Runs a probe, scores it, keeps its model if it is the best so far, and writes the result."""
        trial = self.foretold(trial)
        name = trial.candidate.id
        what = f"{trial.epochs:g} epochs" if trial.epochs else "closed form"
        self.journal.say(
            "probe", f"{what} started{span(trial)}", candidate=name, forecast=trial.forecast or None
        )
        done = self.scored(self.submit(trial, self.budget.allowance(reserve=reserve)))
        self.results.append(done)
        if self.best() is done:
            self.journal.best = done.score_val
            if done.model is not None:
                ship(self.journal.folder / done.model, self.journal.folder)
        self.record()
        said = f"{self.goal.metric} {done.score_val:.3f}" if done.score_val is not None else done.status
        self.journal.say("probe", said + (f" ({done.error})" if done.error else ""), name, done.score_val)
        return done

    def foretold(self, trial: Trial) -> Trial:
        """The trial with the 80 % interval of its forecast, by how this run's forecasts did so far."""
        if not trial.forecast:
            return trial
        ratios = [
            done.cost.seconds / done.trial.forecast
            for done in self.results
            if trial.epochs and done.trial.forecast and done.status == "finished" and done.cost.seconds
        ]
        error = intervals.ERROR if trial.epochs else intervals.ERROR_HEAD
        low, high = intervals.within(trial.forecast, ratios, error)
        return replace(trial, forecast_low=round(low, 3), forecast_high=round(high, 3))

    def scored(self, done: TrialResult) -> TrialResult:
        """A trial with its score on the images that judge candidates."""
        return decision_evidence.score_trial(
            self._weighed(done), self.journal.folder, self.columns, self.goal
        )

    @property
    def columns(self) -> Columns:
        """The columns of the data as the split has them."""
        split = self.split
        return Columns(
            labels=self.data.labels,
            part=split.part,
            fold=split.fold,
            group=self.data.group,
            order=split.order,
            classes=self.data.classes,
            folds=split.folds,
        )

    def _weighed(self, done: TrialResult) -> TrialResult:
        """With the memory that predicting takes, where a limit asks for it; measured once for each input size."""
        if self.goal.max_memory is None or done.predictions is None or done.trial.control:
            return done
        candidate = done.trial.candidate
        spec, strategy = self.specs[candidate.backbone], self.strategies[candidate.strategy]
        key = (candidate.backbone, candidate.input_size)
        if key not in self.memory:
            allowance = self.budget.allowance(reserve=END_SECONDS)
            try:
                self.memory[key] = self.engine.measure(candidate, spec, strategy, allowance).bytes
            except AutotlError as error:
                return replace(done, note=f"its memory could not be measured: {error}")
        return replace(done, memory=self.memory[key])

    def peak(self) -> int:
        """Bytes that the engine held at most, as far as it has told."""
        told = [done.cost.bytes for done in (*self.results, *self.controls, *self.fits)]
        return max([*told, *(found.peak for found in self.measured)], default=0)

    def submit(self, trial: Trial, allowance: Allowance) -> TrialResult:
        """Has the engine do a trial and waits for it."""
        spec = self.specs[trial.candidate.backbone]
        future = self.engine.submit(trial, spec, self.strategies[trial.candidate.strategy], allowance)
        return future.result()

    def rows(self, code: int) -> np.ndarray:
        """The rows of a part (0 train, 1 select, 2 test), in the order that nested subsamples are cut from."""
        order = self.split.order
        return np.asarray(order[self.split.part[order] == code])

    def judge(self) -> decision_judge.Verdict:
        """The decision as the trials stand."""
        case = Case(
            columns=self.columns,
            goal=self.goal,
            ranking=self.ranking,
            similarity=self.profile.similarity,
            strategies=tuple(self.strategies.values()),
            skipped=tuple(self.skipped),
            depth_profiles=self.journal.state.depth_profiles if self.journal.state else (),
        )
        return decision_judge.judge([*self.results, *self.controls], self.journal.folder, case)

    def record(self) -> result.Recommendation:
        """Decides by what there is and writes it down."""
        judged = self.judge()
        self.journal.interval = judged.decision.score
        for problem in self.plugins.problems[self._named :]:
            self._named += 1
            self.journal.say("plugins", f"left out: {problem}")
        return self.journal.write(
            decision=judged.decision,
            winners_set=judged.decision.winners_set,
            leaderboard=judged.leaderboard,
            transfer=judged.decision.transfer,
            trials=(*self.results, *self.controls, *self.fits),
            ranking=self.ranking,
            measurements=tuple(self.measured),
            forecast=self.foreseen,
            peak=self.peak(),
            skipped=tuple(self.skipped),
            problems=tuple(str(problem) for problem in self.plugins.problems),
            notes=tuple(dict.fromkeys(self.notes)),
            seconds=self.seconds(),
            worked=self.worked(),
        )

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, with those of the run that is continued."""
        stages = {stage: round(spent, 3) for stage, spent in self.ledger.by_stage().items()}
        now = {"budget": self.options.budget, "total": round(self.budget.spent, 3), **stages}
        before = self.earlier.state.seconds if self.earlier else {}
        return {name: round(before.get(name, 0.0) + now.get(name, 0.0), 3) for name in {**before, **now}}

    def worked(self) -> dict[str, dict[str, float]]:
        """Seconds of the engine by stage and kind, with those of the run that is continued."""
        total = (
            {stage: dict(kinds) for stage, kinds in self.earlier.state.worked.items()} if self.earlier else {}
        )
        for stage, kinds in self.ledger.worked().items():
            had = total.setdefault(stage, {})
            total[stage] = {
                kind: round(had.get(kind, 0.0) + kinds.get(kind, 0.0), 3) for kind in {**had, **kinds}
            }
        return total
