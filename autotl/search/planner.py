"""Ask for trials within a budget and take in their results: the default planner. Pure: no torch, no clock.

First the closed-form heads on every backbone whose features are at hand; they cost next to nothing.
Then fine-tuning, one probe at a time. What recipes may score is drawn from the run's belief
(`autotl.search.belief`). Those that together have the largest expected maximum within the seconds left are a plan;
its best member is asked for, and the plan is made again with what it showed. A recipe is only asked for when it
and the final fit fit into the seconds left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autotl.records import Candidate, Ranked, Strategy, Trial, TrialResult
from autotl.records.facts import Fact, Kind, fact
from autotl.search import knapsack
from autotl.search.belief import Belief, Selection
from autotl.search.cost_model import CostModel
from autotl.search.recipe import recipes

EPOCHS = (4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
FEWEST_STEPS = 40  # fewer optimiser steps than this teach a new head little
WORTH = 0.0003  # expected gain in score for which another probe is made: what few images can show of it
PATIENCE = 6  # probes in a row that may bring nothing
LONGER = 0.001  # score that a training must be expected to gain for taking twice as long as another
DRAWS = 512  # of the scores that all recipes may have
GENTLE_RATE = 7e-4  # peak learning rate that is tried too where the usual one lost to the linear probe
CLOSE = 0.01  # scores so near the best may win in the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The data and the machine as the planner sees them."""

    rows: int  # images a probe fits on
    rows_final: int  # images the final fit fits on
    rows_select: int  # images a probe is judged on
    rows_test: int  # images the final fit is judged on
    folds: int = 0
    refit: bool = False  # a last fit on the test images too
    batch: int = 32
    seed: int = 0
    comparable: bool = True  # the metric is accuracy, as the ranking's scores are
    selection: Selection | None = None  # the images that judge; None: `rows_select` of equal weight
    # Seconds a training image when everything moves, measured for some backbones at a size.
    timed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # By backbone: how many of its last layer groups lose what earlier ones knew of these labels, and the share
    # of the linear probe's error that this makes (`depth_profile.recoverable`).
    recoverable: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A fine-tuning that could be probed."""

    candidate: Candidate
    epochs: float
    seconds: float  # forecast of the probe
    final: float  # forecast of the final fit


@dataclass(slots=True)
class DefaultPlanner:
    """Closed-form heads first, then fine-tuning where its expected gain is largest."""

    ranked: Sequence[Ranked]
    strategies: Sequence[Strategy]
    facts: Facts
    counter: int = 0
    results: list[TrialResult] = field(default_factory=list)
    asked: set[tuple[str, float]] = field(default_factory=set)
    stopped: Fact | None = None  # why it asks for nothing more
    costs: CostModel = field(init=False)
    belief: Belief = field(init=False)

    def __post_init__(self) -> None:
        facts = self.facts
        self.costs = CostModel(
            ranked=self.ranked,
            rows=facts.rows,
            rows_final=facts.rows_final,
            rows_select=facts.rows_select,
            rows_test=facts.rows_test,
            folds=facts.folds,
            refit=facts.refit,
            timed=facts.timed,
        )
        self.belief = Belief(
            entries=self.ranked,
            selection=facts.selection or Selection(rows=facts.rows_select),
            comparable=facts.comparable,
            out_of_fold=bool(facts.folds),
            recoverable=facts.recoverable,
        )

    def ask(self, seconds: float) -> Trial | None:
        """Return the next probe, to be done with its final fit within `seconds`; None when nothing is worth it."""
        head = self._next_head(seconds)
        if head is not None:
            return self._trial(head, 0.0)
        reserve = self._best_final()
        options = self.options(seconds, reserve)
        if not options:
            self.stopped = self.stopped or fact(Kind.NO_RECIPE_FITS)
            return None
        best = self.best_value() or 0.0
        if best > 1 - 1 / max(self.facts.rows_select, 1):  # no selection image is left to show a better one
            self.stopped = fact(Kind.NO_GAIN_EXPECTED)
            return None
        if self._in_vain() >= PATIENCE:
            self.stopped = fact(Kind.PROBES_WITHOUT_GAIN, probes=PATIENCE)
            return None
        plan = knapsack.best_plan(
            self.drawn(options),
            best,
            np.array([option.seconds for option in options]),
            np.array([option.final for option in options]),
            seconds,
            reserve,
        )
        if plan.first is None or plan.gain < WORTH:
            self.stopped = fact(Kind.NO_GAIN_EXPECTED)
            return None
        option = options[plan.first]
        return self._trial(option.candidate, option.epochs, option.seconds)

    def take_back(self, trial: Trial) -> None:
        """Take back a trial that was asked for: its cost is known better now."""
        self.asked.discard((trial.candidate.id, trial.epochs))
        self.counter -= 1

    def tell(self, result: TrialResult, right: np.ndarray | None = None) -> None:
        """Take in the result of a probe, its own or one that was made before it was asked.

        `right` (rows,) is which selection images it predicted correctly, where that is known.
        """
        self.results.append(result)
        trial = result.trial
        self.asked.add((trial.candidate.id, trial.epochs))
        self.costs.tell(result)
        self.belief.update(result, right)

    def best_value(self) -> float | None:
        """Return the best expected score of the candidates tried so far."""
        return max((value for _, value in self._values()), default=None)

    def _values(self) -> list[tuple[TrialResult, float]]:
        """Return each scored trial with the score that its recipe is expected to have at that length."""
        scored = [result for result in self.results if result.score_val is not None]
        points = [
            (result.trial.candidate, max(result.epochs_done, 1.0) if result.trial.epochs else 0.0)
            for result in scored
        ]
        return list(zip(scored, self.belief.means(points).tolist(), strict=True)) if scored else []

    def _in_vain(self) -> int:
        """Return how many fine-tunings there were since one was better than all before."""
        best, count = -1.0, 0
        for result, value in self._values():
            count = 0 if value > best + WORTH else count + bool(result.trial.epochs)
            best = max(best, value)
        return count

    def _best_final(self) -> float:
        """Return the dearest final fit among those that may win, which a probe must leave time for."""
        values = self._values()
        best = max((value for _, value in values), default=0.0)
        return max(
            (
                self.costs.final(result.trial.candidate, result.epochs_done)
                for result, value in values
                if value >= best - CLOSE
            ),
            default=0.0,
        )

    # -- closed-form heads

    def _next_head(self, seconds: float) -> Candidate | None:
        closed = [strategy for strategy in self.strategies if strategy.head and not strategy.phases]
        whole = [entry for entry in self.ranked if entry.rows >= self.facts.rows]
        for candidate in recipes(whole, closed):
            if (candidate.id, 0.0) not in self.asked and seconds > 2.0:
                return candidate
        return None

    # -- fine-tuning

    def options(self, seconds: float, reserve: float = 0.0) -> list[Option]:
        """Return the fine-tunings that fit into `seconds`, at every length that does."""
        options = []
        for candidate in self._candidates():
            if self.belief.failed(candidate):
                continue
            longest = max(
                (r.trial.epochs for r in self.results if r.trial.candidate == candidate), default=0.0
            )
            for epochs in EPOCHS:
                if epochs <= longest or (candidate.id, epochs) in self.asked:
                    continue
                if epochs * self.facts.rows / self.facts.batch < FEWEST_STEPS:
                    continue
                cost, final = self.costs.probe(candidate, epochs), self.costs.final(candidate, epochs)
                if cost + max(final, reserve) > seconds:
                    break
                options.append(Option(candidate=candidate, epochs=epochs, seconds=cost, final=final))
        return options

    def _candidates(self) -> list[Candidate]:
        """Return every fine-tuning, those that lost to their linear probe at a gentler rate too."""
        timed = [entry for entry in self.ranked if entry.seconds_per_image is not None]
        rates = {strategy.name: strategy.phases[0].lr for strategy in self.strategies if strategy.phases}
        candidates = []
        for candidate in recipes(timed, [s for s in self.strategies if s.phases]):
            candidates.append(candidate)
            if rates[candidate.strategy] > GENTLE_RATE and self._lost(candidate):
                candidates.append(replace(candidate, hyper=(("lr", GENTLE_RATE),)))
        return candidates

    def _lost(self, candidate: Candidate) -> bool:
        """Return whether this recipe ended below its frozen head: a gentler rate then deserves a look."""
        own = [result for result in self.results if result.trial.candidate == candidate]
        if not own:
            return False
        base = self.belief.frozen(candidate)
        return any(result.score_val is None or result.score_val < base for result in own)

    def drawn(self, options: Sequence[Option]) -> np.ndarray:
        """Return draws (draws, options) of what these are expected to score once they are probed.

        A longer training must be worth its time.
        """
        values = self.belief.forthcoming([(option.candidate, option.epochs) for option in options], DRAWS)
        seconds = np.array([option.seconds for option in options])
        return np.asarray(values - LONGER * np.log2(seconds / seconds.min()))

    def _trial(self, candidate: Candidate, epochs: float, forecast: float | None = None) -> Trial:
        self.asked.add((candidate.id, epochs))
        self.counter += 1
        return Trial(
            id=f"t{self.counter:03d}",
            candidate=candidate,
            epochs=epochs,
            seed=self.facts.seed,
            keep_model=True,
            forecast=forecast,
        )
