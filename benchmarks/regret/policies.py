"""Ways to choose a cell for so much money: autotl's own stages, and what they are held against. No torch.

Each takes a wallet, a prior from other sets (never this one) and a random generator, and returns a `Choice`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from unittest.mock import patch

import numpy as np

from autotl.builtin.strategies import STRATEGIES
from autotl.decision import judge
from autotl.decision.evidence import Evidence, Judged, representative_results, selection_images
from autotl.protocols import Planner
from autotl.ranking import screening as ranking_screening
from autotl.records import Candidate, Decision, Goal, Interval, Profile, Ranked, Ranking, Trial, TrialResult
from autotl.search import cost_model
from autotl.search import planner as search_planner
from autotl.search.belief import Belief
from autotl.search.time_plan import RANK_SHARE
from autotl.stages.search import TIMED
from benchmarks.regret.space import FROZEN, Recipe, Space, Wallet, result_of

FEW_A_CLASS = 10  # images, below which the rule by size keeps the backbone frozen
TIMED_IMAGES = 48  # that autotl times a training on
GOOD = 0.6  # published accuracy of a small backbone that one would fine-tune without looking further
TRIALS = 60  # of Optuna, at most: later ones repeat

Prior = Mapping[Recipe, float]
MakePlanner = Callable[[Profile, Ranking, float], Planner | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The choice of a policy."""

    place: int  # index of the cell
    spent: float  # seconds
    members: tuple[int, ...] = ()  # winner's set, where the policy has one
    opened: tuple[int, ...] = ()  # and what was not tried and may still be the best
    cheapest: int | None = None  # its member for --prefer speed
    thinking: float = 0.0  # seconds of wall-clock that the decision logic took
    expected: Interval | None = None  # accuracy on new images, where the policy gives one
    epochs: float | None = None  # of the training that this is of; None: the longest
    chance: float | None = None  # to be the best cell, where the policy gives one


Policy = Callable[[Wallet, Prior, np.random.Generator], Choice]


# --------------------------------------------------------------------------- autotl


@dataclass(slots=True, kw_only=True)
class OverTheGrid(search_planner.DefaultPlanner):
    """autotl's planner, asking only for what a grid holds: these lengths, no gentler second learning rate."""

    space: Space

    def _lost(self, candidate: Candidate) -> bool:
        return False

    def _lengths_of(self, candidate: Candidate) -> list[search_planner.Option]:
        trained = self.space.cells[self.space.place(candidate)].trained
        # By name: a class with slots is made anew, so that super() without arguments finds the wrong one.
        options = search_planner.DefaultPlanner._lengths_of(self, candidate)
        return [option for option in options if option.epochs in trained]


@dataclass(slots=True, kw_only=True)
class Autotl:
    """rank, search and decide as `autotl run` has them; `make` may put another planner in their midst."""

    make: MakePlanner | None = None

    def __call__(self, wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
        """Return a choice within the wallet."""
        begun = time.perf_counter()
        space = wallet.space
        ranking, results = screen(wallet)
        with patch.object(
            search_planner, "FEWEST_STEPS", 0
        ):  # the grid's trainings are as long on small sets
            planner = self._planner(wallet, ranking)
            for result in results:
                _tell(planner, space, result)
            while (trial := planner.ask(wallet.left)) is not None:
                if isinstance(planner, OverTheGrid) and timed_itself(wallet, planner, trial):
                    continue
                result = answer(wallet, trial)
                _tell(planner, space, result)
                results.append(result)
                if result.score_val is None:
                    break  # the money is gone
        bought = [result for result in results if result.score_val is not None]
        if not bought:
            return Choice(place=frozen_of(space, cheapest_backbone(space)), spent=wallet.spent)
        belief = belief_of(space, bought, rescored(wallet, ranking, bought))
        decision = settle(space, bought, belief, Goal())
        quick = settle(space, bought, belief, Goal(prefer="speed"))
        names = {cell.candidate.id: place for place, cell in enumerate(space.cells)}
        tried = [e.name for e in evidence_of(space, bought)]
        others = [cell.candidate for cell in space.cells if cell.candidate.id not in tried]
        seen = belief.outlook([space.cells[names[name]].candidate for name in tried], others, judge.DRAWS)
        opened = judge.open_recipes(seen.chances, decision.winners_set, tried)
        return Choice(
            place=names[decision.winner or ""],
            spent=wallet.spent,
            members=tuple(names[name] for name in decision.winners_set),
            opened=tuple(names[one.candidate] for one in opened),
            cheapest=names[quick.winner or ""],
            thinking=time.perf_counter() - begun,
            expected=decision.expected,
            chance=seen.chances[decision.winner or ""],
            epochs=representative_results(bought)[decision.winner or ""].trial.epochs,
        )

    def _planner(self, wallet: Wallet, ranking: Ranking) -> Planner:
        space = wallet.space
        if self.make is not None:
            made = self.make(profile(space), ranking, wallet.left)
            if made is not None:
                return made
        strategies = [s for s in STRATEGIES if s.name in {strategy for strategy, _ in space.recipes}]
        facts = search_planner.Facts(
            rows=space.about.train,
            rows_final=0,  # deciding is paid for, the final fit is not
            rows_select=len(space.labels),
            rows_test=0,
            selection=selection_images(judged(space), Goal()),
            timed=timed(wallet, ranking),
        )
        return OverTheGrid(space=space, ranked=ranking.ranked, strategies=strategies, facts=facts)


def _tell(planner: Planner, space: Space, result: TrialResult) -> None:
    if isinstance(planner, OverTheGrid) and result.score_val is not None:
        planner.tell(result, right_of(space, result))
    else:
        planner.tell(result)


def screen(wallet: Wallet) -> tuple[Ranking, list[TrialResult]]:
    """Return the ranking of `autotl run` and the early model on the cheapest backbone; features are paid for."""
    space = wallet.space
    sizes = {name: (space.sizes[name],) for name in space.specs}
    screening = ranking_screening.Screening(
        list(space.specs.values()), sizes, space.about.train, space.about.classes
    )
    results: list[TrialResult] = []
    seconds = RANK_SHARE * wallet.limit
    ask: ranking_screening.Ask | None = screening.start()
    start = 0.0
    while ask is not None:
        rows, scores, scored = wallet.read(ask.backbone, ask.rows, ask.rows)
        screening.update(ask, rows, scores, space.image[ask.backbone] if rows else None, scored)
        few = space.scores[ask.backbone].get(screening.first)
        if scored > screening.first and few is not None and not results:
            screening.learn_gain(few.values["linear"], screening.first, scores["linear"], scored)
        if not results and screening.stands_in_for_floor(ask):
            done = wallet.train(frozen_of(space, ask.backbone))
            results += [done] if done else []
            start = wallet.spent
        ask = screening.ask(seconds, wallet.spent - start)
    return screening.ranking(), results


def timed(wallet: Wallet, ranking: Ranking) -> dict[tuple[str, int], float]:
    """Return the seconds a training image of the first few backbones, as three timed batches would show them."""
    found = {}
    for entry in ranking.ranked[:TIMED]:
        whole = Candidate(
            backbone=entry.backbone, input_size=entry.input_size, strategy="fine_tune", unfreeze="all"
        )
        image = _batches(wallet, whole)
        if image is not None:
            found[(entry.backbone, entry.input_size)] = image
    return found


def timed_itself(wallet: Wallet, planner: OverTheGrid, trial: Trial) -> bool:
    """Time a recipe before its first probe, as a run does; return whether that was done."""
    if not trial.epochs or planner.costs.is_measured(trial.candidate):
        return False
    image = _batches(wallet, trial.candidate)
    if image is None:
        return False
    planner.costs.measured(trial.candidate, image)
    planner.take_back(trial)
    return True


def _batches(wallet: Wallet, candidate: Candidate) -> float | None:
    """Return seconds an image in timed batches, without overhead; None where they cannot be paid."""
    cell = wallet.space.cells[wallet.space.place(candidate)]
    image = cell.cost[cell.longest] / (cell.longest * wallet.space.about.train) / cost_model.OVERHEAD
    return image if wallet.pay(TIMED_IMAGES * image) else None


def answer(wallet: Wallet, trial: Trial) -> TrialResult:
    """Return the result of a planner's trial: the longest recorded training that is no longer and can be paid."""
    try:
        place = wallet.space.place(trial.candidate)
    except LookupError as problem:
        return TrialResult(trial=trial, status="skipped", error=str(problem))
    cell = wallet.space.cells[place]
    lengths = [length for length in cell.trained if length <= trial.epochs] or [min(cell.trained)]
    had = max((length for length in cell.trained if length <= trial.resumed_epochs), default=0.0)
    done = wallet.train(place, max(lengths), had) or _stopped(wallet, place, lengths, had)
    return done or TrialResult(trial=trial, status="skipped", error="no money left for it")


def _stopped(wallet: Wallet, place: int, lengths: Sequence[float], had: float) -> TrialResult | None:
    """Return a training that the clock ends: all that is left is spent, and a shorter one gives its result."""
    able = [length for length in lengths if wallet.price(place, length, had) <= wallet.left]
    done = wallet.train(place, max(able), had) if able else None
    wallet.pay(wallet.left)
    return done


def rescored(wallet: Wallet, ranking: Ranking, bought: Sequence[TrialResult]) -> Ranking:
    """Return the ranking with the scores on all train images where a linear probe was tried, as a run ends its search."""
    train = wallet.space.about.train
    tried = {result.trial.candidate.backbone for result in bought if not result.trial.epochs}
    return replace(
        ranking,
        ranked=tuple(
            _read_whole(wallet, entry) if entry.backbone in tried and entry.rows < train else entry
            for entry in ranking.ranked
        ),
    )


def _read_whole(wallet: Wallet, entry: Ranked) -> Ranked:
    train = wallet.space.about.train
    _, scores, scored = wallet.read(entry.backbone, train, train)
    if scored <= entry.rows:
        return entry
    expected = ranking_screening.grown(scores["linear"], scored, train)
    return replace(entry, expected=expected, rows=scored, scores=tuple(sorted(scores.items())))


def belief_of(space: Space, bought: Sequence[TrialResult], ranking: Ranking) -> Belief:
    """Return the belief that a ranking and these trials give."""
    belief = Belief(
        entries=ranking.ranked, selection=selection_images(judged(space), Goal()), rows=space.about.train
    )
    for result in bought:
        belief.update(result, right_of(space, result))
    return belief


def right_of(space: Space, result: TrialResult) -> np.ndarray:
    """Return which select images a bought trial answered rightly."""
    cell = space.cells[space.place(result.trial.candidate)]
    return np.asarray(cell.predicted[result.epochs_done] == space.labels)


def settle(space: Space, bought: Sequence[TrialResult], belief: Belief, goal: Goal) -> Decision:
    """Return autotl's decision on what was bought."""
    evidence = evidence_of(space, bought)
    return judge.decide(evidence, judged(space), goal, judge.expected_scores(belief, evidence))


def evidence_of(space: Space, bought: Sequence[TrialResult]) -> list[Evidence]:
    """Return what was bought, with its answers on the select images."""
    evidence = []
    for result in representative_results(bought).values():
        cell = space.cells[space.place(result.trial.candidate)]
        evidence.append(
            Evidence(
                result=result,
                predicted=cell.predicted[result.epochs_done],
                fit_time=result.cost.seconds,
            )
        )
    return evidence


def judged(space: Space) -> Judged:
    """Return the select images."""
    return Judged(labels=space.labels, classes=space.about.classes, group=space.group)


def finished(space: Space) -> Decision:
    """Return autotl's decision on the whole grid, as if it had tried everything at full length."""
    bought = [result_of(space, cell, cell.longest) for cell in space.cells]
    ranked = [
        Ranked(
            backbone=name,
            input_size=space.sizes[name],
            expected=space.scores[name][max(space.scores[name])].values["linear"],
            prior=ranking_screening.prior(space.specs[name]),
            rows=max(space.scores[name]),
            embedded=max(space.scores[name]),
            scores=tuple(sorted(space.scores[name][max(space.scores[name])].values.items())),
        )
        for name in space.specs
    ]
    return settle(space, bought, belief_of(space, bought, Ranking(ranked=tuple(ranked))), Goal())


def profile(space: Space) -> Profile:
    """Return what a planner may know of the data."""
    about = space.about
    return Profile(
        images=about.train + len(about.labels),
        classes=tuple(str(number) for number in range(about.classes)),
        counts=tuple(about.counts.tolist()),
        imbalance=float(about.counts.max() / max(about.counts.min(), 1)),
        side=about.side,
        sides=(about.side, about.side),
        gray=0.0,
        alpha=0.0,
        bytes=0,
    )


# --------------------------------------------------------------------------- what it is held against


def at_random(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Train random cells at full length, as many as can be paid, and return the best on select."""
    return validated(wallet, generator.permutation(len(wallet.space.cells)))


def largest_frozen(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the backbone with the most parameters, a linear probe on it; nothing is tried."""
    return Choice(place=frozen_of(wallet.space, largest(wallet.space)), spent=0.0)


def random_frozen(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Fit linear probes on random backbones, as many as can be paid, and return the best on select.

    One of the two baselines of VIBES (Guerin and others, arXiv 2410.08592).
    """
    return validated(wallet, generator.permutation(frozen_places(wallet.space)))


def published_frozen(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Fit linear probes by published ImageNet accuracy, as many as can be paid: the other baseline of VIBES."""
    space = wallet.space
    places = frozen_places(space)
    return validated(
        wallet,
        sorted(places, key=lambda p: -(space.specs[space.cells[p].candidate.backbone].published or 0.0)),
    )


def one_small(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the smallest backbone with a published accuracy above 60%, all of it fine-tuned; nothing is tried."""
    specs = wallet.space.specs
    able = [name for name in specs if (specs[name].published or 0.0) > GOOD] or list(specs)
    return Choice(
        place=tuned_of(wallet.space, min(able, key=lambda n: (specs[n].parameters or 0, n))), spent=0.0
    )


def best_published(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the backbone with the best published ImageNet accuracy, all of it fine-tuned; nothing is tried."""
    specs = wallet.space.specs
    known = [name for name in specs if specs[name].published is not None] or list(specs)
    name = max(known, key=lambda n: (specs[n].published or 0.0, n))
    return Choice(place=tuned_of(wallet.space, name), spent=0.0)


def logme_tuned(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the backbone with the best LogME on the largest subsample that can be paid for all, fine-tuned."""
    space = wallet.space
    counts = sorted(set.intersection(*(set(space.scores[name]) for name in space.specs)))
    able = [count for count in counts if count * sum(space.image.values()) <= wallet.left] or counts[:1]
    values = {name: wallet.read(name, able[-1], able[-1])[1].get("logme", -math.inf) for name in space.specs}
    name = max(values, key=lambda n: (values[n], n))
    return Choice(place=tuned_of(space, name), spent=wallet.spent)


def by_prior(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the recipe that did best on the other sets; nothing is tried."""
    cells = wallet.space.cells
    place = max(range(len(cells)), key=lambda p: (prior.get(cells[p].recipe, -math.inf), -p))
    return Choice(place=place, spent=0.0)


def prior_validated(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Train recipes in their order on the other sets, as many as can be paid, and return the best on select."""
    cells = wallet.space.cells
    places = sorted(range(len(cells)), key=lambda p: -prior.get(cells[p].recipe, -math.inf))
    return validated(wallet, places)


def optuna_hyperband(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Choose by Optuna's TPE with Hyperband; a training that goes on pays only what is added."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = wallet.space
    shortest, longest = int(min(space.lengths)), int(max(space.lengths))
    recipes = {f"{strategy}:{depth}": (strategy, depth) for strategy, depth in space.recipes}
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=int(generator.integers(2**31))),
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=shortest, max_resource=longest, reduction_factor=2
        ),
    )
    for _ in range(TRIALS):
        trial = study.ask()
        backbone = trial.suggest_categorical("backbone", list(space.specs))
        strategy, depth = recipes[trial.suggest_categorical("recipe", list(recipes))]
        place = next(p for p, c in enumerate(space.cells) if c.recipe == (backbone, strategy, depth))
        value, had = None, 0.0
        for length in sorted(space.cells[place].trained):
            done = wallet.train(place, length, had)
            if done is None:
                break
            value, had = done.score_val, length
            trial.report(value or 0.0, int(length) or longest)
            if trial.should_prune():
                break
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            break
        study.tell(trial, value)
    return taken(wallet)


def by_size(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Choose by a fixed rule in the manner of BiT: the largest backbone, fine-tuned whole unless classes are tiny."""
    about = wallet.space.about
    name = largest(wallet.space)
    few = float(np.median(about.counts)) < FEW_A_CLASS
    return Choice(place=(frozen_of if few else tuned_of)(wallet.space, name), spent=0.0)


def exhaustive(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Train every cell at full length and return the best on select: the exhaustive search."""
    everything = Wallet(space=wallet.space, limit=math.inf)
    return validated(everything, range(len(wallet.space.cells)))


def clairvoyant(wallet: Wallet, prior: Prior, generator: np.random.Generator) -> Choice:
    """Return the cell that is best on all test images."""
    return Choice(place=int(wallet.space.right.mean(1).argmax()), spent=0.0)


POLICIES: dict[str, Policy] = {
    "autotl": Autotl(),
    "Optuna TPE + Hyperband": optuna_hyperband,
    "prior, then validated": prior_validated,
    "prior of the other sets": by_prior,
    "LogME's pick fine-tuned": logme_tuned,
    "best ImageNet accuracy, fine-tuned": best_published,
    "rule by size (BiT)": by_size,
    "largest, linear probe": largest_frozen,
    "random backbones, linear probes": random_frozen,
    "by ImageNet accuracy, linear probes": published_frozen,
    "one small backbone, fine-tuned": one_small,
    "random": at_random,
    "exhaustive validation": exhaustive,
    "clairvoyant": clairvoyant,
}
RANDOM = (
    "Optuna TPE + Hyperband",
    "random",
    "random backbones, linear probes",
)  # another seed, another choice
UNPAID = ("exhaustive validation", "clairvoyant")  # reported for comparison: no level of cost holds for them


def available() -> dict[str, Policy]:
    """Return the policies that can run here: without those whose library is missing."""
    lacking = set() if find_spec("optuna") else {"Optuna TPE + Hyperband"}
    return {name: policy for name, policy in POLICIES.items() if name not in lacking}


def validated(wallet: Wallet, places: Sequence[int] | np.ndarray | range) -> Choice:
    """Train cells in this order at full length, those that can be paid, and return the best on select."""
    for place in places:
        wallet.train(int(place))
    return taken(wallet)


def taken(wallet: Wallet) -> Choice:
    """Return the best on select of what was bought, else a linear probe on the cheapest backbone."""
    best = wallet.best()
    space = wallet.space
    place = frozen_of(space, cheapest_backbone(space)) if best is None else best
    return Choice(place=place, spent=wallet.spent)


def frozen_places(space: Space) -> list[int]:
    return [place for place, cell in enumerate(space.cells) if cell.frozen]


def largest(space: Space) -> str:
    return max(space.specs, key=lambda name: (space.specs[name].parameters or 0, name))


def cheapest_backbone(space: Space) -> str:
    return min(space.image, key=lambda name: (space.image[name], name))


def frozen_of(space: Space, backbone: str) -> int:
    return _place(space, (backbone, *FROZEN))


def tuned_of(space: Space, backbone: str) -> int:
    return _place(space, (backbone, "fine_tune", "all"))


def _place(space: Space, recipe: Recipe) -> int:
    return next(place for place, cell in enumerate(space.cells) if cell.recipe == recipe)
