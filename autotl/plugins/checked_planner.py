"""A plugin's planner under the sandbox, with the default planner behind it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autotl.plugins.sandbox import Sandbox
from autotl.protocols import Planner
from autotl.records import Trial, TrialResult

HYPER = ("lr", "layer_decay", "weight_decay", "augment", "batch", "flip")  # what the engine reads


@dataclass(frozen=True, slots=True)
class Delegate:
    """The default planner as a plugin's planner sees it; results reach it through `CheckedPlanner`."""

    _planner: Planner

    def ask(self, seconds: float) -> Trial | None:
        """Return the default planner's next probe."""
        return self._planner.ask(seconds)


@dataclass(slots=True, kw_only=True)
class CheckedPlanner:
    """Check every trial that a plugin's planner proposes; the default planner takes over once it breaks."""

    sandbox: Sandbox
    plugin: str
    planner: Any
    default: Planner
    ranked: Collection[tuple[str, int]]  # backbone and input size of what may be tried
    strategies: Collection[str]  # their names
    _ids: set[str] = field(default_factory=set)

    def ask(self, seconds: float) -> Trial | None:
        """Return the plugin's next probe, or the default planner's when the plugin is in quarantine."""
        if self.sandbox.quarantined(self.plugin):
            return self.default.ask(seconds)
        if seconds <= 0:
            return None
        trial = self.sandbox.call("ask", self.plugin, partial(self.planner.ask, seconds))
        if trial is not None and (problem := self._problem(trial)):
            self.sandbox.report("ask", self.plugin, problem)
        if self.sandbox.quarantined(self.plugin):
            return self.default.ask(seconds)
        if trial is not None:
            self._ids.add(trial.id)
        return trial  # type: ignore[no-any-return]

    def tell(self, result: TrialResult) -> None:
        """Pass a result to both planners, so that the default one can take over at any time."""
        self.default.tell(result)
        self.sandbox.call("tell", self.plugin, partial(self.planner.tell, result))

    def _problem(self, trial: Any) -> str | None:
        if not isinstance(trial, Trial):
            return f"returned {trial!r:.80}, expected a Trial or None"
        candidate = trial.candidate
        if (candidate.backbone, candidate.input_size) not in self.ranked:
            return f"asked for {candidate.id}, whose backbone and size are not in the ranking it was given"
        if candidate.strategy not in self.strategies:
            return f"asked for {candidate.id}; strategies are: {', '.join(sorted(self.strategies))}"
        unknown = [name for name, _ in candidate.hyper if name not in HYPER]
        if unknown:
            return (
                f"asked for {candidate.id}, with {unknown[0]!r} in hyper; expected one of {', '.join(HYPER)}"
            )
        if trial.id in self._ids or not trial.id.isidentifier():
            return (
                f"gave a trial the id {trial.id!r}; expected letters and digits, and another for each trial"
            )
        if not 0 <= trial.epochs < 10_000:
            return f"asked for {trial.epochs} epochs; expected 0 (a head in closed form) to 10,000"
        if trial.fit_on != ("train",) or trial.evaluate_on != ("select",):
            return (
                f"asked for fit_on {trial.fit_on}, evaluate_on {trial.evaluate_on}; expected train and select"
            )
        return None
