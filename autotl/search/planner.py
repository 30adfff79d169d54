"""ask/tell over trials within a budget: the default planner. Pure: no torch, no clock.

First the closed-form heads on every backbone whose features are at hand; they cost next to nothing.
Then fine-tuning, one probe at a time. What recipes may score is drawn from what is known of them
(`autotl.search.belief`): from recorded data sets before the first probe, and more and more from the probes of
this run. Those that together promise most within the seconds left are a plan; its most promising
member is asked for, and the plan is made anew with what it showed. A recipe is only asked for when it
and the final fit fit into the seconds left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autotl.records import Candidate, Depth, Ranked, Strategy, Trial, TrialResult
from autotl.search import belief, knapsack
from autotl.search.cost_model import CostModel

EPOCHS = (4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
DEPTHS: tuple[Depth, ...] = (1, 2, "all")
FEWEST_STEPS = 40  # fewer optimiser steps than this teach a new head little
WORTH = 0.0003  # accuracy that the time left must promise, for another probe: what few images can show of it
PATIENCE = 6  # probes in a row that may bring nothing
LONGER = 0.001  # and that a training must promise for taking twice as long as another
DRAWS = 512  # of the scores that all recipes may have
GENTLE_RATE = 7e-4  # peak learning rate that is tried too where the usual one lost to the linear probe
CROSS_VALIDATED = {"linear_probe": "linear", "knn": "knn"}  # which score of the ranking speaks for a strategy
CLOSE = 0.01  # scores so near the best may win in the end
ALIKE = (
    0.5  # correlation of hits and misses of a fine-tuning and its frozen head: measured on the recorded sets
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the planner knows of the data and the machine."""

    rows: int  # images a probe fits on
    rows_final: int  # images the final fit fits on
    rows_select: int  # images a probe is judged on
    rows_test: int  # images the final fit is judged on
    folds: int = 0
    refit: bool = False  # a last fit on the test images too
    batch: int = 32
    seed: int = 0
    pooled: bool = False  # whether the ranking's cross-validated scores are what a probe is judged by
    # Seconds a training image when everything moves, measured for some backbones at a size.
    timed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # By backbone: how many of its last layer groups lose what earlier ones knew of these labels, and the share
    # of the linear probe's error that this makes (`depths.recoverable`).
    recoverable: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A fine-tuning that could be probed."""

    recipe: belief.Recipe
    epochs: float
    seconds: float  # forecast of the probe
    final: float  # forecast of the final fit

    @property
    def candidate(self) -> Candidate:
        return self.recipe.candidate


@dataclass(slots=True)
class DefaultPlanner:
    """Closed-form heads first, then fine-tuning where it promises most."""

    ranked: Sequence[Ranked]
    strategies: Sequence[Strategy]
    facts: Facts
    counter: int = 0
    results: list[TrialResult] = field(default_factory=list)
    asked: set[tuple[str, float]] = field(default_factory=set)
    stopped: str = ""  # why it asks for nothing more
    costs: CostModel = field(init=False)

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

    def ask(self, seconds: float) -> Trial | None:
        """The next probe, to be done with its final fit within `seconds`; None when nothing is worth it."""
        head = self._next_head(seconds)
        if head is not None:
            return self._trial(head, 0.0)
        reserve = self._best_final()
        options = self._options(seconds, reserve)
        if not options:
            self.stopped = self.stopped or "no further recipe fits into the time left"
            return None
        if self._in_vain() >= PATIENCE:
            self.stopped = f"{PATIENCE} probes in a row brought nothing better"
            return None
        plan = knapsack.best_plan(
            self._drawn(options),
            self.best_value() or 0.0,
            np.array([option.seconds for option in options]),
            np.array([option.final for option in options]),
            seconds,
            reserve,
        )
        if plan.first is None or plan.promised < WORTH:
            self.stopped = "nothing that was left to try promised a better score"
            return None
        option = options[plan.first]
        return self._trial(option.candidate, option.epochs, option.seconds)

    def take_back(self, trial: Trial) -> None:
        """As if a trial had not been asked for: what it costs is known better now."""
        self.asked.discard((trial.candidate.id, trial.epochs))
        self.counter -= 1

    def tell(self, result: TrialResult) -> None:
        """What came of a probe, its own or one that was made before it was asked."""
        self.results.append(result)
        trial = result.trial
        self.asked.add((trial.candidate.id, trial.epochs))
        self.costs.tell(result)

    def best_value(self) -> float | None:
        """The best score that a candidate is taken to have so far."""
        return max((value for _, value in self._values()), default=None)

    def _values(self) -> list[tuple[TrialResult, float]]:
        """What each candidate that was tried is taken to score: a selection part of some hundred images flatters.

        A frozen head's score is pooled with its cross-validation; a fine-tuning's is what its own and all
        others' let expect of it.
        """
        level, seen = self._level(), self._seen()
        mean, _ = belief.posterior([each.recipe for each in seen], level, seen)
        tuned = [done for done in self.results if done.trial.epochs]
        values = [
            (done, self._pooled(done, self._arm(done.trial.candidate)))
            for done in self.results
            if not done.trial.epochs and done.score_val is not None
        ]
        for done, each, value in zip(tuned, seen, mean, strict=True):
            believed = float(belief.scores(each.recipe, level, max(done.epochs_done, 1.0), value))
            if done.score_val is not None:
                values.append((done, each.score if each.failed else believed))
        return values

    def _in_vain(self) -> int:
        """How many fine-tunings there were since one was better than all before."""
        best, count = -1.0, 0
        for done, value in self._values():
            count = 0 if value > best + WORTH else count + bool(done.trial.epochs)
            best = max(best, value)
        return count

    def _seen(self) -> list[belief.Seen]:
        """What each fine-tuning so far says of the others.

        Where its frozen head was judged on the same images and in cross-validation, what these images gave
        the head too much is taken off, as far as both are right and wrong together (control variates).
        """
        level = self._level()
        seen = []
        for done in self.results:
            if not done.trial.epochs:
                continue
            recipe, epochs = self._recipe(done.trial.candidate), max(done.epochs_done, 1.0)
            heads = self._heads(self._arm(done.trial.candidate))
            best = max(heads, key=lambda head: head.score_val or 0.0, default=None)
            flattered = 0.0
            if best is not None:
                flattered = (best.score_val or 0.0) - self._pooled(best, self._arm(best.trial.candidate))
            score = (done.score_val or 0.0) - ALIKE * flattered
            variance = float(belief.sampling_variance(score, self.facts.rows_select))
            seen.append(
                belief.share(recipe, level, epochs, score, variance * (1 if best is None else 1 - ALIKE**2))
            )
        return seen

    def _level(self) -> float:
        """The best score that a frozen head is taken to have."""
        return max((self._linear(arm) for arm in self.ranked), default=0.0)

    def _heads(self, arm: Ranked) -> list[TrialResult]:
        """The closed-form heads on an arm's features that have a score."""
        key = (arm.backbone, arm.input_size)
        return [
            done
            for done in self.results
            if not done.trial.epochs
            and done.score_val is not None
            and (done.trial.candidate.backbone, done.trial.candidate.input_size) == key
        ]

    def _pooled(self, done: TrialResult, arm: Ranked) -> float:
        """A frozen head's score on the selection images, and on the train images in cross-validation where it has one."""
        seen, rows = done.score_val or 0.0, self.facts.rows_select
        score = dict(arm.scores).get(CROSS_VALIDATED.get(done.trial.candidate.strategy, ""))
        if not self.facts.pooled or score is None:
            return seen
        return (rows * seen + arm.rows * score) / max(rows + arm.rows, 1)

    def _best_final(self) -> float:
        """Forecast of the dearest final fit among those that may win, which a probe must not eat up."""
        values = self._values()
        best = max((value for _, value in values), default=0.0)
        return max(
            (
                self.costs.final(done.trial.candidate, done.epochs_done)
                for done, value in values
                if value >= best - CLOSE
            ),
            default=0.0,
        )

    # -- closed-form heads

    def _next_head(self, seconds: float) -> Candidate | None:
        closed = [s for s in self.strategies if s.head and not s.phases]
        for arm in self.ranked:
            if arm.rows < self.facts.rows:
                continue
            for strategy in closed:
                candidate = Candidate(
                    backbone=arm.backbone, input_size=arm.input_size, strategy=strategy.name
                )
                if (candidate.id, 0.0) not in self.asked and seconds > 2.0:
                    return candidate
        return None

    # -- fine-tuning

    def _options(self, seconds: float, reserve: float) -> list[Option]:
        """The fine-tunings that fit, at every length that does."""
        options = []
        failed = {each.recipe.candidate for each in self._seen() if each.failed}
        for candidate in self._candidates():
            longest = max(
                (done.trial.epochs for done in self.results if done.trial.candidate == candidate), default=0.0
            )
            if candidate in failed:
                continue
            recipe = self._recipe(candidate)
            for epochs in EPOCHS:
                if epochs <= longest or (candidate.id, epochs) in self.asked:
                    continue
                if epochs * self.facts.rows / self.facts.batch < FEWEST_STEPS:
                    continue
                cost, final = self.costs.probe(candidate, epochs), self.costs.final(candidate, epochs)
                if cost + max(final, reserve) > seconds:
                    break
                options.append(Option(recipe=recipe, epochs=epochs, seconds=cost, final=final))
        return options

    def _candidates(self) -> list[Candidate]:
        """Every recipe of every arm, those that lost to their linear probe at a gentler rate too."""
        found = []
        for arm in self.ranked:
            if arm.seconds_per_image is None:
                continue
            for strategy in self.strategies:
                for depth in (DEPTHS if strategy.depths else DEPTHS[-1:]) if strategy.phases else ():
                    candidate = Candidate(
                        backbone=arm.backbone,
                        input_size=arm.input_size,
                        strategy=strategy.name,
                        unfreeze=depth,
                    )
                    found.append(candidate)
                    if strategy.phases[0].lr > GENTLE_RATE and self._lost(candidate):
                        found.append(replace(candidate, hyper=(("lr", GENTLE_RATE),)))
        return found

    def _lost(self, candidate: Candidate) -> bool:
        """Whether this recipe ended below the linear probe: a gentler rate then deserves a look."""
        base = self._linear(self._arm(candidate))
        return any(
            done.trial.candidate == candidate and (done.score_val is None or done.score_val < base)
            for done in self.results
        )

    def _drawn(self, options: Sequence[Option]) -> np.ndarray:
        """Scores (draws, options) that these may be believed to have once they were probed.

        They move less than the scores themselves: the images that judge are few. A longer training must
        be worth its time.
        """
        level = self._level()
        recipes = list(dict.fromkeys(option.recipe for option in options))
        place = {recipe: number for number, recipe in enumerate(recipes)}
        at = np.array([place[option.recipe] for option in options])
        mean, covariance = belief.posterior(recipes, level, self._seen())
        drawn = belief.draws(covariance, DRAWS, np.random.default_rng(0))
        none, one = (
            np.array([belief.scores(o.recipe, level, o.epochs, value) for o in options])
            for value in (0.0, 1.0)
        )
        expected = none + (one - none) * mean[at]
        variance = np.diag(covariance)[at] * (one - none) ** 2
        noise = belief.sampling_variance(expected, self.facts.rows_select)
        moved = (one - none) * drawn[:, at] * np.sqrt(variance / (variance + noise))
        seconds = np.array([option.seconds for option in options])
        price = LONGER * np.log2(seconds / seconds.min())
        return np.asarray(expected + moved - price)

    def _recipe(self, candidate: Candidate) -> belief.Recipe:
        """What is known of a recipe before it is tried."""
        arm = self._arm(candidate)
        groups, share = self.facts.recoverable.get(candidate.backbone, (0, 0.0))
        deep = candidate.unfreeze == "all" or candidate.unfreeze >= groups
        return belief.Recipe(
            candidate=candidate,
            base=belief.start(
                (arm.backbone, arm.input_size),
                {
                    (a.backbone, a.input_size): self._linear(a)
                    for a in self.ranked
                    if a.backbone == arm.backbone
                },
            ),
            prior=arm.prior,
            recoverable=share if groups and deep else 0.0,
        )

    def _linear(self, arm: Ranked) -> float:
        """What the best frozen head of an arm is taken to score: by its trials, else by the ranking."""
        return max((self._pooled(done, arm) for done in self._heads(arm)), default=arm.expected)

    def _arm(self, candidate: Candidate) -> Ranked:
        key = (candidate.backbone, candidate.input_size)
        return next(arm for arm in self.ranked if (arm.backbone, arm.input_size) == key)

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
