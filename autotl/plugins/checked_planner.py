"""A plugin's planner under the sandbox, with the default planner behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from autotl.errors import PluginError
from autotl.plugins.sandbox import Sandbox
from autotl.protocols import Belief, DefaultPlanner, PlannerCall
from autotl.records import Candidate, Interval, Strategy, Trial, TrialResult

HYPER = ("lr", "layer_decay", "weight_decay", "augment", "batch", "flip")  # what the engine reads
OWN_IDS = re.compile(r"final\d*|refit|tested")  # of what follows a search


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The run as a plugin's planner reads it: nothing any more once it broke, so that a call that hangs ends."""

    broken: Callable[[], bool]

    def require(self) -> None:
        """Raise `PluginError` when the plugin broke."""
        if self.broken():
            raise PluginError("the planner broke and is not used any more", plugin="", hook="ask")


@dataclass(frozen=True, slots=True)
class Delegate:
    """The default planner as a plugin's planner sees it; the run gives it every result."""

    _planner: DefaultPlanner
    _access: Access
    _asked: dict[str, Trial] = field(default_factory=dict)

    def ask(self, seconds: float) -> Trial | None:
        """Return the default planner's next probe."""
        self._access.require()
        trial = self._planner.ask(seconds)
        if trial is not None:
            self._asked[trial.id] = trial
        return trial

    def take_over(self, seconds: float) -> Trial | None:
        """Return the default planner's next probe for the run itself."""
        return self._planner.ask(seconds)

    def made(self, trial: Trial) -> bool:
        """Return whether the default planner asked for this very trial."""
        return self._asked.get(trial.id) == trial


@dataclass(frozen=True, slots=True)
class ReadBelief:
    """The belief of the run as a plugin sees it: without the methods that change it."""

    _belief: Belief
    _access: Access

    def estimate(self, candidate: Candidate, epochs: float) -> Interval:
        """Return the expected score of a recipe on new images, with its 95% interval."""
        self._access.require()
        return self._belief.estimate(candidate, epochs)

    def means(self, points: Sequence[tuple[Candidate, float]]) -> np.ndarray:
        """Return the expected scores (n,) of n points."""
        self._access.require()
        return self._belief.means(points)

    def draws(self, points: Sequence[tuple[Candidate, float]], number: int) -> np.ndarray:
        """Return joint draws (number, n) of the scores of n points."""
        self._access.require()
        return self._belief.draws(points, number)


def for_guest(call: PlannerCall, broken: Callable[[], bool]) -> tuple[PlannerCall, Delegate]:
    """Return the call as a plugin receives it, and the default planner behind its planner."""
    access = Access(broken=broken)
    default = Delegate(call.default, access)

    def reserve() -> float:
        access.require()
        return call.reserve()

    return replace(call, default=default, belief=ReadBelief(call.belief, access), reserve=reserve), default


@dataclass(slots=True, kw_only=True)
class CheckedPlanner:
    """Check every trial that a plugin's planner proposes; the default planner takes over once it breaks.

    The run gives the results to the default planner itself, so that it can take over at any time.
    """

    sandbox: Sandbox
    plugin: str
    planner: Any
    call: PlannerCall
    default: Delegate
    _ids: set[str] = field(default_factory=set)  # of trials that were asked for or made before
    _results: list[TrialResult] = field(default_factory=list)

    def broken(self) -> bool:
        """Return whether the default planner has taken over."""
        return self.sandbox.quarantined(self.plugin)

    def ask(self, seconds: float) -> Trial | None:
        """Return the plugin's next probe, or the default planner's when the plugin is in quarantine."""
        if self.broken():
            return self.default.take_over(seconds)
        if seconds <= 0:
            return None
        trial = self.sandbox.call("ask", self.plugin, partial(self.planner.ask, seconds))
        if trial is not None and (problem := self._problem(trial)):
            self.sandbox.report("ask", self.plugin, problem)
        if self.broken():
            return self.default.take_over(seconds)
        if trial is not None:
            self._ids.add(trial.id)
        return trial  # type: ignore[no-any-return]

    def tell(self, result: TrialResult) -> None:
        """Pass a result to the plugin."""
        self._ids.add(result.trial.id)
        self._results.append(result)
        self.sandbox.call("tell", self.plugin, partial(self.planner.tell, result))

    def _problem(self, trial: Any) -> str | None:
        if not isinstance(trial, Trial):
            return f"returned {trial!r:.80}, expected a Trial or None"
        if not str(trial.id).isidentifier() or trial.id in self._ids:
            return (
                f"gave a trial the id {trial.id!r}; expected letters and digits, and another for each trial"
            )
        if self.default.made(trial):
            return None
        if OWN_IDS.fullmatch(trial.id):
            return f"gave a trial the id {trial.id!r}, which is one of autotl's own; expected another"
        return self._of_candidate(trial.candidate, trial.epochs) or self._of_trial(trial)

    def _of_candidate(self, candidate: Candidate, epochs: float) -> str | None:
        asked = f"asked for {candidate.id}"
        if (candidate.backbone, candidate.input_size) not in {
            (entry.backbone, entry.input_size) for entry in self.call.ranking.ranked
        }:
            return f"{asked}, whose backbone and size are not in the ranking it was given"
        strategies = {strategy.name: strategy for strategy in self.call.strategies}
        if candidate.strategy not in strategies:
            return f"{asked}; strategies are: {', '.join(sorted(strategies))}"
        unknown = [name for name, _ in candidate.hyper if name not in HYPER]
        if unknown:
            return f"{asked}, with {unknown[0]!r} in hyper; expected one of {', '.join(HYPER)}"
        strategy = strategies[candidate.strategy]
        if not strategy.takes(candidate.backbone):
            return f"{asked}; the strategy is for the backbones {', '.join(strategy.backbones)}"
        if not 0 <= epochs < 10_000 or bool(epochs) != bool(strategy.phases):
            expected = "more than 0, at most 10,000" if strategy.phases else "0: it has no phases"
            return f"{asked} with {epochs} epochs; expected {expected}"
        return _of_depth(candidate, strategy)

    def _of_trial(self, trial: Trial) -> str | None:
        if trial.fit_on != ("train",) or trial.evaluate_on != ("select",):
            return (
                f"asked for fit_on {trial.fit_on}, evaluate_on {trial.evaluate_on}; expected train and select"
            )
        if trial.rows is not None or trial.control:
            return (
                f"asked for rows {trial.rows}, control {trial.control!r}; expected None and '': recipes are "
                "compared on all images"
            )
        if trial.resume_from is None and not trial.resumed_epochs:
            return None
        continued = [
            result
            for result in self._results
            if result.model is not None
            and result.trial.candidate == trial.candidate
            and (result.model, result.epochs_done) == (trial.resume_from, trial.resumed_epochs)
        ]
        if not continued or self.call.facts.folds or trial.epochs <= trial.resumed_epochs:
            return (
                f"continues {trial.resume_from!r} after {trial.resumed_epochs:g} of {trial.epochs:g} epochs; expected "
                "model and epochs_done of a result of the same recipe, more epochs, and a run without folds"
            )
        return None


def _of_depth(candidate: Candidate, strategy: Strategy) -> str | None:
    depth = candidate.unfreeze
    fits = depth == "all" or (strategy.depths and isinstance(depth, int) and depth > 0)
    if strategy.head_only:
        fits = depth == 0
    if fits:
        return None
    expected = (
        "1, 2, … or 'all'"
        if strategy.depths
        else "0: it trains the head alone"
        if strategy.head_only
        else "'all'"
    )
    return f"asked for {candidate.strategy} with unfreeze {depth!r}; expected {expected}"
