"""Ask for trials within a budget and take in their results: the default planner. Pure: no torch, no clock.

Closed-form heads on features that are at hand come first: they cost next to nothing. From then on everything that
fits into the seconds left is an option: a frozen head on a backbone that must still be embedded, a fine-tuning, and
the continuation of one, which costs only the epochs that it adds. What they may score is drawn from the run's belief
(`autotl.search.belief`). Those that together have the largest expected maximum within the time are a plan; its
member with the most expected gain for its seconds is asked for, and the plan is made again with what it showed.

The search ends when nothing fits any more, or when the chance is small that an option is better than the best so far
by a difference that matters.

Where several trials run at once, those under way count as made: the maximum that an option adds to is that of the best
so far and of what the belief draws for them, jointly. A recipe that is under way is not an option. Each kind of slot
has a cost model of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autotl.records import Candidate, Ranked, Ranking, Strategy, Trial, TrialResult
from autotl.records.facts import Fact, Kind, fact
from autotl.search import combine, knapsack
from autotl.search.belief import Belief, Point
from autotl.search.cost_model import CostModel, has_all_features, images_read
from autotl.search.observations import Selection
from autotl.search.prior import sigmoid
from autotl.search.recipe import recipes

EPOCHS = (4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
FEWEST_STEPS = 40  # fewer optimiser steps than this teach a new head little
BEGUN = 2  # lengths, the shortest ones: a longer training is begun with the second
CONTINUED = 1.4  # times its length that a training is continued to, at least: less would show nothing
MATTERS, MATTERS_OF_ERROR = (
    0.005,
    0.1,
)  # a better score: by so much, or by so much of the best's error if that is more
UNLIKELY = 0.05  # chance of a better score, below which the search ends
HASTE = 0.5  # power of a training's seconds that its gain is divided by: 0 asks for the largest gain, 1 for the fastest
MOST_ENTRIES = 64  # of the ranking whose recipes are options: what a decision costs grows with their square
DRAWS = 512  # of the scores that all recipes may have
GENTLE_RATE = 7e-4  # peak learning rate that is tried too where the usual one lost to the linear probe
LONG_ENOUGH = 6.0  # epochs, after which a recipe that is behind its linear probe has lost
CLOSE = 0.01  # scores so near the best may win in the end
HEAD_SECONDS = 2.0  # left, below which no further head is fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The data and the machine as the planner sees them."""

    rows: int  # images a probe fits on
    rows_final: int  # images the final fit fits on
    rows_select: int  # images a probe is judged on
    rows_test: int  # images the final fit is judged on
    folds: int = 0
    refit: bool = False  # a last fit on the test images too
    last_fit: float = (
        math.inf
    )  # seconds that are kept for the last epochs of a winner that is continued, at most
    batch: int = 32
    unlabelled: int = 0  # images without a label whose features a head gets that needs them
    seed: int = 0
    trials: int = 0  # of the run that is continued
    selection: Selection | None = None  # the images that judge; None: `rows_select` of equal weight
    # Seconds a training image when everything moves, measured for some backbones at a size.
    timed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # Seconds a predicted image of the same.
    predicted: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # By backbone: how many of its last layer groups lose what earlier ones knew of these labels, and the share
    # of the linear probe's error that this makes (`depth_profile.recoverable`).
    recoverable: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A training that could be made next."""

    candidate: Candidate
    epochs: float  # in all; 0 for a head in closed form
    seconds: float  # forecast of the probe
    final: float  # forecast of what must follow should it win
    continues: TrialResult | None = None  # the shorter training of the recipe whose model goes on

    @property
    def point(self) -> Point:
        return self.candidate, self.epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A trial that runs, and the seconds that it is forecast to go on for."""

    trial: Trial
    seconds: float


@dataclass(slots=True, kw_only=True)
class DefaultPlanner:
    """Heads on stored features first, then what is expected to gain most for its seconds."""

    ranked: Sequence[Ranked]
    strategies: Sequence[Strategy]
    facts: Facts
    counter: int = field(init=False)
    results: list[TrialResult] = field(default_factory=list)
    asked: set[tuple[str, float]] = field(default_factory=set)
    stopped: Fact | None = None  # why it asks for nothing more
    slots: int = 1  # trials that run at once
    under_way: Sequence[UnderWay] = ()
    costs: CostModel = field(init=False)  # of the slot that is asked for
    _indexed: int = field(init=False, default=0)  # results that are in the four below
    _own: dict[Candidate, list[TrialResult]] = field(init=False, default_factory=dict)  # of a recipe
    _stored: set[tuple[str, int]] = field(
        init=False, default_factory=set
    )  # whose features a head was fitted on
    _of_entry: dict[tuple[str, int], list[TrialResult]] = field(init=False, default_factory=dict)
    _declined: set[tuple[str, str]] = field(init=False, default_factory=set)  # strategies by backbone
    _expected: list[tuple[TrialResult, float]] | None = field(
        init=False, default=None
    )  # until the next result
    costs_of: dict[str, CostModel] = field(
        default_factory=dict
    )  # by kind of slot; the first does the final fit
    belief: Belief = field(init=False)

    def __post_init__(self) -> None:
        facts = self.facts
        self.counter = facts.trials
        self.costs = self._priced(self.ranked, facts.timed, facts.predicted)
        self.belief = Belief(
            entries=self.ranked,
            selection=facts.selection or Selection(rows=facts.rows_select),
            out_of_fold=bool(facts.folds),
            recoverable=facts.recoverable,
            rows=facts.rows,
        )

    def price(self, kind: str) -> None:
        """Price what is asked for next as on slots of this kind. The first kind has the costs of the ranking."""
        if not self.costs_of:
            self.costs_of[kind] = self.costs
        self.costs = self.costs_of[kind]

    def add_kind(self, kind: str, paces: Mapping[tuple[str, int], tuple[float, float]]) -> None:
        """Add a kind of slots on which these seconds a training image and a predicted image were measured.

        They are by backbone and size. What the first kind took of an image is scaled by the ratio of the two.
        """
        first = {(entry.backbone, entry.input_size): entry.seconds_per_image for entry in self.ranked}
        first |= self.facts.predicted
        ratios = sorted(latency / (first[key] or latency) for key, (_, latency) in paces.items())
        ratio = ratios[len(ratios) // 2]
        entries = [
            entry
            if entry.seconds_per_image is None
            else replace(entry, seconds_per_image=ratio * entry.seconds_per_image)
            for entry in self.ranked
        ]
        timed = {key: step for key, (step, _) in paces.items()}
        self.costs_of[kind] = self._priced(
            entries, timed, {key: latency for key, (_, latency) in paces.items()}
        )

    def _priced(
        self,
        ranked: Sequence[Ranked],
        timed: Mapping[tuple[str, int], float],
        predicted: Mapping[tuple[str, int], float],
    ) -> CostModel:
        facts = self.facts
        return CostModel(
            ranked=ranked,
            rows=facts.rows,
            rows_final=facts.rows_final,
            rows_select=facts.rows_select,
            rows_test=facts.rows_test,
            folds=facts.folds,
            refit=facts.refit,
            last_fit=facts.last_fit,
            timed=timed,
            predicted=predicted,
            read={strategy.name: images_read(strategy) for strategy in self.strategies},
            beside={s.name: facts.unlabelled for s in self.strategies if s.needs_unlabelled},
        )

    @property
    def final_costs(self) -> CostModel:
        """Return the costs of the slot that does the final fit."""
        return next(iter(self.costs_of.values()), self.costs)

    def ask(self, seconds: float) -> Trial | None:
        """Return the next probe, to be done with its final fit within `seconds`; None when nothing is worth it."""
        self.stopped = None
        head = self._head_at_hand(seconds)
        if head is not None:
            return self._trial(head)
        reserve = self.reserve()
        joined = self._combination(seconds - reserve)
        if joined is not None:
            return joined
        options = self.options(seconds, reserve)
        if not options:
            return self._last_resort(seconds)
        option = self._most_valuable(options, seconds, reserve)
        return None if option is None else self._trial(self._begun(option))

    def take_back(self, trial: Trial) -> None:
        """Take back a trial that was asked for: its cost is known better now."""
        self.asked.discard((trial.candidate.id, trial.epochs))
        self.counter -= 1

    def tell(self, result: TrialResult, right: np.ndarray | None = None, kind: str | None = None) -> None:
        """Take in the result of a probe, its own or one that was made before it was asked.

        `right` (rows,) is which selection images it predicted correctly, where that is known; `kind` the kind of slot
        that made it, None for a run of one kind.
        """
        self.results.append(result)
        self._expected = None
        trial = result.trial
        self.asked.add((trial.candidate.id, trial.epochs))
        (self.costs if kind is None else self.costs_of[kind]).tell(result)
        self.belief.update(result, right)

    def with_embedded(self, ranking: Ranking) -> Ranking:
        """Return the ranking with the images whose features were stored since, for heads that were fitted on them."""
        return replace(
            ranking,
            ranked=tuple(
                replace(entry, embedded=max(entry.embedded, self.facts.rows))
                if self._is_embedded(entry)
                else entry
                for entry in ranking.ranked
            ),
        )

    def best_value(self) -> float | None:
        """Return the best expected score of the candidates tried so far."""
        return max((value for _, value in self._values()), default=None)

    def _values(self) -> list[tuple[TrialResult, float]]:
        """Return each scored trial with the score that its recipe is expected to have at that length."""
        if self._expected is None:
            scored = [result for result in self.results if result.score_val is not None]
            means = self.belief.means([_point(result) for result in scored]).tolist() if scored else []
            self._expected = list(zip(scored, means, strict=True))
        return self._expected

    def reserve(self) -> float:
        """Return the seconds of the longest final fit among those that may win, which a probe must leave."""
        values = self._values()
        best = max((value for _, value in values), default=0.0)
        return max(
            (
                self.final_costs.final(result.trial.candidate, result.epochs_done)
                for result, value in values
                if value >= best - CLOSE
            ),
            default=0.0,
        )

    # -- what could be tried

    def options(self, seconds: float, reserve: float = 0.0) -> list[Option]:
        """Return the trainings that fit into `seconds`, with what must follow: `reserve`, or more for a dearer one."""
        return [o for o in self._all_options() if o.seconds + max(o.final, reserve) <= seconds]

    def _all_options(self) -> list[Option]:
        """Return every training that could be made, whatever it costs."""
        # One for each entry: the others follow once the features are stored.
        heads = [head for entry in self._timed() for head in self._recipes([entry], self._closed())[:1]]
        options = [self._head(head) for head in heads if (head.id, 0.0) not in self.asked]
        running = {one.trial.candidate for one in self.under_way}
        candidates = (candidate for candidate in self._candidates() if candidate not in running)
        return options + [option for candidate in candidates for option in self._lengths_of(candidate)]

    def _head_at_hand(self, seconds: float) -> Option | None:
        """Return a closed-form head that was not tried on features that are stored."""
        if seconds <= HEAD_SECONDS:
            return None
        embedded = [entry for entry in self.ranked if self._is_embedded(entry)]
        untried = (c for c in self._recipes(embedded, self._closed()) if (c.id, 0.0) not in self.asked)
        return next((self._head(candidate) for candidate in untried), None)

    def _combination(self, seconds: float) -> Trial | None:
        """Return a trial that joins finished ones in a way that was not tried: it costs little more than a prediction."""
        self._index()
        running = {one.trial.candidate for one in self.under_way}
        for strategy in self.strategies if not self.facts.folds else ():
            for entry in self._timed() if strategy.combine else ():
                made = self._of_entry.get((entry.backbone, entry.input_size), ())
                parents = combine.parents(strategy, entry, made)
                candidate = Candidate(
                    backbone=entry.backbone,
                    input_size=entry.input_size,
                    strategy=strategy.name,
                    unfreeze="all",
                )
                own = self._own.get(candidate, ())
                settled = any(r.status == "skipped" or r.trial.parents == parents for r in own)
                if len(parents) < 2 or settled or candidate in running:
                    continue
                epochs = max(parent.epochs for parent in parents)
                cost = self.costs.probe(candidate, epochs, epochs)
                if cost <= seconds:
                    option = Option(candidate=candidate, epochs=epochs, seconds=cost, final=0.0)
                    return replace(self._trial(option), parents=parents, resumed_epochs=epochs)
        return None

    def _is_embedded(self, entry: Ranked) -> bool:
        """Return whether features of all images are stored: by the ranking, or by a head that was fitted on them."""
        if entry.embedded >= self.facts.rows:
            return True
        self._index()
        return (entry.backbone, entry.input_size) in self._stored

    def _index(self) -> None:
        """Sort the results that came since the last call by what they are looked up by."""
        for result in self.results[self._indexed :]:
            candidate = result.trial.candidate
            self._own.setdefault(candidate, []).append(result)
            self._of_entry.setdefault(_features_of(candidate), []).append(result)
            if result.status == "skipped":
                self._declined.add((candidate.strategy, candidate.backbone))
            if not result.trial.epochs and result.score_val is not None and has_all_features(result):
                self._stored.add(_features_of(candidate))
        self._indexed = len(self.results)

    def _closed(self) -> list[Strategy]:
        return [strategy for strategy in self.strategies if strategy.head and not strategy.phases]

    def _recipes(self, entries: Sequence[Ranked], strategies: Sequence[Strategy]) -> list[Candidate]:
        """Return the recipes but those of a strategy that declined the backbone."""
        self._index()
        return [c for c in recipes(entries, strategies) if (c.strategy, c.backbone) not in self._declined]

    def _timed(self) -> list[Ranked]:
        """Return the entries whose recipes are options: the first ones, and those that had a trial."""
        timed = [entry for entry in self.ranked if entry.seconds_per_image is not None]
        if len(timed) <= MOST_ENTRIES:
            return timed
        self._index()
        later = (e for e in timed[MOST_ENTRIES:] if (e.backbone, e.input_size) in self._of_entry)
        return [*timed[:MOST_ENTRIES], *later]

    def _head(self, candidate: Candidate) -> Option:
        costs = self.costs
        return Option(
            candidate=candidate,
            epochs=0.0,
            seconds=costs.probe(candidate, 0.0),
            final=self.final_costs.final(candidate, 0.0),
        )

    def _candidates(self) -> list[Candidate]:
        """Return every fine-tuning, those that lost to their linear probe at a gentler rate too."""
        rates = {strategy.name: strategy.phases[0].lr for strategy in self.strategies if strategy.phases}
        candidates = []
        for candidate in self._recipes(self._timed(), [s for s in self.strategies if s.phases]):
            candidates.append(candidate)
            if candidate.unfreeze and rates[candidate.strategy] > GENTLE_RATE and self._lost(candidate):
                candidates.append(replace(candidate, hyper=(("lr", GENTLE_RATE),)))
        return candidates

    def _lost(self, candidate: Candidate) -> bool:
        """Return whether this recipe ended below its frozen head: a gentler rate then deserves a look."""
        own = [r for r in self._own.get(candidate, ()) if r.epochs_done >= LONG_ENOUGH]
        if not own:
            return False
        base = self.belief.frozen(candidate)
        return any(result.score_val is None or result.score_val < base for result in own)

    def _lengths_of(self, candidate: Candidate) -> list[Option]:
        """Return the trainings of a recipe that are longer than those it had."""
        if self.belief.failed(candidate):
            return []
        self._index()
        own = self._own.get(candidate, ())
        longest = max((result.trial.epochs for result in own), default=0.0)
        continues = next((r for r in own if r.trial.epochs == longest and self._can_go_on(r)), None)
        trained = 0.0 if continues is None else continues.epochs_done
        lengths = [
            e for e in self._lengths() if e >= CONTINUED * longest and (candidate.id, e) not in self.asked
        ]
        return [
            Option(
                candidate=candidate,
                epochs=epochs,
                seconds=self.costs.probe(candidate, epochs, trained),
                final=self.final_costs.final(candidate, epochs),
                continues=continues,
            )
            for epochs in lengths
        ]

    def _begun(self, option: Option) -> Option:
        """Return the training that an option is begun with.

        What a recipe is worth is what it may become in the time that is left; whether it does a short training shows,
        which a longer one continues.
        """
        lengths = self._lengths()[:BEGUN]
        if self.facts.folds or option.continues is not None or option.epochs <= lengths[-1]:
            return option
        return next((o for o in self._lengths_of(option.candidate) if o.epochs == lengths[-1]), option)

    def _lengths(self) -> list[float]:
        """Return the lengths of a fine-tuning in epochs: those that are enough steps, longer ones for few images."""
        steps = self.facts.rows / self.facts.batch  # in an epoch
        enough = [epochs for epochs in EPOCHS if epochs * steps >= FEWEST_STEPS]
        return enough or [math.ceil(FEWEST_STEPS / steps), math.ceil(2 * FEWEST_STEPS / steps)]

    def _can_go_on(self, result: TrialResult) -> bool:
        """Return whether a training left the one model that goes on: out-of-fold there is one for each fold."""
        return not self.facts.folds and result.model is not None and result.score_val is not None

    # -- which one is next

    def _most_valuable(self, options: Sequence[Option], seconds: float, reserve: float) -> Option | None:
        """Return the member of the best plan that gains most for its seconds; None when a better score is unlikely."""
        best = self.best_value() or 0.0
        matters = max(MATTERS, MATTERS_OF_ERROR * (1 - best))
        number, running = len(options), [(one.trial.candidate, one.trial.epochs) for one in self.under_way]
        points = [*(option.point for option in options), *running]
        drawn = self.belief.latent_draws(points, DRAWS)
        better = self._better(drawn, number, matters)
        chance = float(better.any(1).mean())
        if chance < UNLIKELY:
            self.stopped = fact(Kind.NO_GAIN_EXPECTED, chance=round(chance, 4), gain=round(matters, 4))
            return None
        forthcoming = self.belief.forthcoming(points, drawn)
        values, top = forthcoming[:, :number], forthcoming[:, number:].max(1, initial=best)
        costs = np.array([option.seconds for option in options])
        finals = np.array([option.final for option in options])
        slots = knapsack.Slots(number=self.slots, taken=sum(one.seconds for one in self.under_way))
        plan = knapsack.best_plan(values, top, costs, finals, seconds, reserve, slots)
        gains = knapsack.gains(values, top)
        if not plan.chosen:  # no probe is expected to show it, yet a better score is not unlikely
            gains = better.mean(0)
        places = plan.chosen or range(len(options))
        return options[max(places, key=lambda place: (gains[place] / costs[place] ** HASTE, -place))]

    def _better(self, drawn: np.ndarray, number: int, matters: float) -> np.ndarray:
        """Return draws (draws, number) of whether options are better by `matters` than the best so far or running.

        `drawn` are draws of latent scores, first of the options and then of what is running.
        """
        values = self._values()
        if not values:
            return np.ones((1, number), bool)
        best, _ = max(values, key=lambda pair: pair[1])
        scores = sigmoid(np.concatenate([drawn, self.belief.latent_draws([_point(best)], len(drawn))], 1))
        return np.asarray(scores[:, :number] > scores[:, number:].max(1, keepdims=True) + matters)

    def _last_resort(self, seconds: float) -> Trial | None:
        """Return the cheapest training where nothing fits and nothing has a score: the clock then ends it."""
        tried = any(result.score_val is not None for result in self.results)
        options = self._all_options()
        if not options:
            self.stopped = fact(Kind.ALL_TRIED)
            return None
        if tried or seconds <= HEAD_SECONDS:
            reserve = self.reserve()
            least = min(option.seconds + max(option.final, reserve) for option in options)
            self.stopped = fact(Kind.NO_RECIPE_FITS, least=round(least, 3), left=round(seconds, 3))
            return None
        return self._trial(min(options, key=lambda option: (option.seconds, option.candidate.id)))

    def _trial(self, option: Option) -> Trial:
        self.asked.add((option.candidate.id, option.epochs))
        self.counter += 1
        made = {result.trial.id for result in self.results}  # a plugin's planner gives ids of its own
        made.update(one.trial.id for one in self.under_way)
        while f"t{self.counter:03d}" in made:
            self.counter += 1
        continues = option.continues
        return Trial(
            id=f"t{self.counter:03d}",
            candidate=option.candidate,
            epochs=option.epochs,
            seed=self.facts.seed,
            keep_model=True,
            forecast=option.seconds,
            resume_from=None if continues is None else continues.model,
            resumed_epochs=0.0 if continues is None else continues.epochs_done,
        )


def _point(result: TrialResult) -> Point:
    """Return the recipe of a result at the length that it was trained for."""
    return result.trial.candidate, max(result.epochs_done, 1.0) if result.trial.epochs else 0.0


def _features_of(candidate: Candidate) -> tuple[str, int]:
    return candidate.backbone, candidate.input_size
