"""ask/tell over trials within a budget: the default planner. Pure: no torch, no clock.

First the closed-form heads on every backbone whose features are at hand; they cost next to nothing.
Then fine-tuning, one probe at a time. What a probe is expected to bring is written as a reduction of
the linear probe's error, which is what carries over from one backbone to another: the first probes
say how much fine-tuning helps on *these* data, and the next ones follow or stop. A probe is only
asked for when it and the final fit of the same recipe fit into the seconds left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autotl.price import Prices
from autotl.records import Candidate, Depth, Ranked, Strategy, Trial, TrialResult

EPOCHS = (4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
FEWEST_STEPS = 40  # fewer optimiser steps than this teach a new head little
HALF_WAY = 6.0  # epochs after which some two thirds of what fine-tuning brings is there
# The share of the linear probe's error that six epochs of fine-tuning removed on the recorded grid
# (docs/regret.md), mean over sets and backbones by depth, and what a candidate's own may differ by.
GAINS: dict[Depth, float] = {"all": 0.105, 2: 0.12, 1: 0.095}
GAIN = 0.11
SPREAD = 0.15
CURIOSITY = 0.7  # how much of an untried recipe's uncertainty counts in its favour
FIRST_SHARE = 0.6  # of the time left for probes, for the first fine-tuning: its lesson needs time to be used
PATIENCE = 6  # probes in a row that may bring nothing
WORTH = 0.003  # a probe must promise at least this much accuracy

UNCERTAIN = 0.25  # of that, on data where nothing was fine-tuned yet
OWN_BACKBONE = 0.2  # what remains uncertain of it on a backbone when it is known on others
OWN_DEPTH = 0.1  # and at a depth when it is known at others of the same backbone
PRIOR = 0.5  # its weight in probes: what is seen here soon counts for more
GENTLE_RATE = 7e-4  # peak learning rate that is tried too where the usual one lost to the linear probe
CROSS_VALIDATED = {"linear_probe": "linear", "knn": "knn"}  # which score of the ranking speaks for a strategy
CLOSE = 0.01  # scores so near the best may win in the end
LOSS = -0.25  # a recipe that failed says at most this much against the others
SMALLER = 0.03  # accuracy that half the input size costs a fine-tuning; a linear probe it costs more


def reductions(gains: Mapping[Depth, float]) -> dict[Depth, float]:
    """What fine-tuning for long is taken to remove of the error, from what six epochs did."""
    return {depth: gain / (1 - math.exp(-6.0 / HALF_WAY)) for depth, gain in gains.items()}


REDUCTION = reductions(GAINS)


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
    """A fine-tuning recipe that could be probed."""

    arm: Ranked
    candidate: Candidate
    epochs: float
    seconds: float  # forecast of the probe
    final: float  # forecast of the final fit
    promise: float  # expected score, untried recipes favoured


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
    prices: Prices = field(init=False)

    def __post_init__(self) -> None:
        facts = self.facts
        self.prices = Prices(
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
        options = self._options(seconds)
        best = self.best_value()
        if not options:
            self.stopped = self.stopped or "no further recipe fits into the time left"
            return None
        if self._in_vain() >= PATIENCE:
            self.stopped = f"{PATIENCE} probes in a row brought nothing better"
            return None
        worthy = [o for o in options if best is None or o.promise >= best + WORTH]
        if not worthy:
            self.stopped = "nothing that was left to try promised a better score"
            return None
        option = max(worthy, key=lambda o: (o.promise - 0.002 * math.log2(1 + o.seconds), o.candidate.id))
        return self._trial(option.candidate, option.epochs, option.seconds)

    def tell(self, result: TrialResult) -> None:
        """What came of a probe, its own or one that was made before it was asked."""
        self.results.append(result)
        trial = result.trial
        self.asked.add((trial.candidate.id, trial.epochs))
        self.prices.tell(result)

    def _in_vain(self) -> int:
        """How many fine-tunings there were since one was better than all before."""
        best, count = -1.0, 0
        for done in self.results:
            score = -1.0 if done.score_val is None else self._value(done)
            count = 0 if score > best else count + bool(done.trial.epochs)
            best = max(best, score)
        return count

    def best_value(self) -> float | None:
        """The best score that a candidate is taken to have so far."""
        values = [self._value(r) for r in self.results if r.score_val is not None]
        return max(values) if values else None

    def _value(self, done: TrialResult) -> float:
        """The score that a probe's candidate is taken to have: a selection part of some hundred images flatters.

        As in `autotl.estimate`, from scores alone: a frozen head's is pooled with its cross-validation, a
        fine-tuning's is that of the head on its backbone and what both differ by, drawn towards the usual.
        """
        arm = self._arm(done.trial.candidate.backbone, done.trial.candidate.input_size)
        if not done.trial.epochs:
            return self._pooled(done, arm)
        base, gap = self._start(arm), self._gap(done, arm)
        usual, spread = GAIN * (1 - base), max(SPREAD * (1 - base), 1e-3)
        noise = max(1 - base, 0.01) / max(
            self.facts.rows_select, 1
        )  # of a difference: about as many as are wrong differ
        return base + usual + (gap - usual) * spread**2 / (spread**2 + noise)

    def _gap(self, done: TrialResult, arm: Ranked) -> float:
        """What a fine-tuning scored more than the best frozen head of its arm on the same images, or than is expected."""
        heads = self._heads(arm)
        base = max(r.score_val or 0.0 for r in heads) if heads else self._start(arm)
        return (done.score_val or 0.0) - base

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
        best = self.best_value()
        if best is None:
            return 0.0
        return max(
            self.prices.final(done.trial.candidate, done.epochs_done)
            for done in self.results
            if done.score_val is not None and self._value(done) >= best - CLOSE
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

    def _options(self, seconds: float) -> list[Option]:
        """The recipes that fit, each at its best length."""
        first = not any(r.trial.epochs for r in self.results)
        share = FIRST_SHARE if first else 1.0
        tuned = [s for s in self.strategies if s.phases]
        options = []
        whole: tuple[Depth, ...] = ("all",)
        for arm in self.ranked:
            if arm.seconds_per_image is None:
                continue
            for strategy in tuned:
                for depth in tuple(REDUCTION) if strategy.depths else whole:
                    candidate = Candidate(
                        backbone=arm.backbone,
                        input_size=arm.input_size,
                        strategy=strategy.name,
                        unfreeze=depth,
                    )
                    recipes = [candidate]
                    if strategy.phases[0].lr > GENTLE_RATE and self._lost(candidate):
                        recipes.append(replace(candidate, hyper=(("lr", GENTLE_RATE),)))
                    found = [self._best_epochs(arm, recipe, seconds, share) for recipe in recipes]
                    options += [option for option in found if option is not None]
        return options

    def _lost(self, candidate: Candidate) -> bool:
        """Whether this recipe ended below the linear probe: a gentler rate then deserves a look."""
        base = self._linear(self._arm(candidate.backbone, candidate.input_size))
        return any(
            done.trial.candidate == candidate and (done.score_val is None or done.score_val < base)
            for done in self.results
        )

    def _best_epochs(self, arm: Ranked, candidate: Candidate, seconds: float, share: float) -> Option | None:
        best = None
        for epochs in EPOCHS:
            if (candidate.id, epochs) in self.asked or any(
                done.trial.candidate == candidate and done.trial.epochs >= epochs for done in self.results
            ):
                continue
            if epochs * self.facts.rows / self.facts.batch < FEWEST_STEPS:
                continue
            cost = self.prices.probe(candidate, epochs)
            final = max(self.prices.final(candidate, epochs), self._best_final())
            # No recipe is left out for the share: its shortest training may take all there is.
            if cost + final > seconds or (best is not None and cost > share * (seconds - final)):
                break
            promise = self._promise(arm, candidate, epochs)
            option = Option(
                arm=arm, candidate=candidate, epochs=epochs, seconds=cost, final=final, promise=promise
            )
            if best is None or option.promise > best.promise + 0.003:
                best = option
        return best

    def _promise(self, arm: Ranked, candidate: Candidate, epochs: float) -> float:
        """Expected score of a recipe, with something added for what is not known of it."""
        base = self._start(arm)
        grown = 1 - math.exp(-epochs / HALF_WAY)
        mean, deviation = self._reduction(candidate)
        return 1 - (1 - base) * (1 - grown * (mean + CURIOSITY * deviation))

    def _reduction(self, candidate: Candidate) -> tuple[float, float]:
        """Share of the linear probe's error that a recipe removes when trained long: mean and deviation.

        A kernel-weighted mean over the probes made so far and the prior: probes of the same depth,
        strategy and backbone say more than others. One that ended far below its linear probe speaks of its
        own strategy alone: the same network by another may learn.
        """
        mean, weight = PRIOR * self._prior(candidate), PRIOR
        own = OWN_BACKBONE
        for done in self.results:
            other = done.trial.candidate
            if not done.trial.epochs:
                continue
            near = 2.0  # a probe is judged on a sample and trained briefly: it says no more than two guesses
            near *= 1.0 if other.unfreeze == candidate.unfreeze else 0.7
            near *= 1.0 if other.strategy == candidate.strategy else 0.8
            near *= 1.0 if other.backbone == candidate.backbone else 0.7
            near *= 1.0 if other.hyper == candidate.hyper else 0.5
            arm = self._arm(other.backbone, other.input_size)
            base = self._start(arm)
            grown = 1 - math.exp(-max(done.epochs_done, 1.0) / HALF_WAY)
            gained = -0.5 if done.score_val is None else self._gap(done, arm) / max(1 - base, 0.01) / grown
            if gained <= LOSS and other.strategy != candidate.strategy:
                continue
            mean += near * max(LOSS, min(1.0, gained))
            weight += near
            own = min(own, OWN_DEPTH if other.backbone == candidate.backbone else OWN_BACKBONE)
        return mean / weight, math.hypot(UNCERTAIN / math.sqrt(weight), own)

    def _prior(self, candidate: Candidate) -> float:
        """What a recipe is taken to remove of the error before any was tried.

        Training all groups above the depth that tells the labels best can do at least what a linear probe
        does at that depth.
        """
        usual = REDUCTION.get(candidate.unfreeze, 0.2)
        groups, share = self.facts.recoverable.get(candidate.backbone, (0, 0.0))
        deep = candidate.unfreeze == "all" or candidate.unfreeze >= groups
        return usual + share * (1 - usual) if groups and deep else usual

    def _start(self, arm: Ranked) -> float:
        """Where a fine-tuning of an arm starts from: its linear probe, or that of a larger input less a little.

        A smaller input costs features that were learnt at a larger one more than it costs a network that is
        trained at the smaller one.
        """
        larger = [a for a in self.ranked if a.backbone == arm.backbone and a.input_size > arm.input_size]
        return max(
            [self._linear(arm)]
            + [self._linear(a) - SMALLER * math.log2(a.input_size / arm.input_size) for a in larger]
        )

    def _linear(self, arm: Ranked) -> float:
        """What the best frozen head of an arm is taken to score: by its trials, else by the ranking."""
        return max((self._pooled(done, arm) for done in self._heads(arm)), default=arm.expected)

    def _arm(self, backbone: str, input_size: int) -> Ranked:
        return next(a for a in self.ranked if (a.backbone, a.input_size) == (backbone, input_size))

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


def summary(results: Sequence[TrialResult]) -> Mapping[str, TrialResult]:
    """The result that stands for each candidate: the one trained longest on most rows, latest if equal."""
    standing: dict[str, TrialResult] = {}
    for result in results:
        name = result.trial.candidate.id
        before = standing.get(name)
        if before is None or _weight(result) >= _weight(before):
            standing[name] = result
    return standing


def _weight(result: TrialResult) -> tuple[bool, int, float]:
    return (result.score_val is not None, result.trial.rows or 2**62, result.epochs_done)
