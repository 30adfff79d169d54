"""How likely each recipe is the best of all that could be had, those that nobody tried among them. Pure, numpy alone.

The winner's set says what cannot be told apart among the candidates that were tried. A run tries few: what is
known of the others (features that were scored, published figures, how the tried ones did) leaves some of them a
chance. Joint draws of all scores say how large (`autotl.search.belief`); the smallest set of recipes that together hold
nearly all of the probability is what is still open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotl.decision.decide import Evidence, Judged
from autotl.decision.estimates import Known, comparable, known
from autotl.records import Candidate, Goal, Interval, Prospect, Ranked, Ranking
from autotl.records.encoding import rounded
from autotl.search import belief
from autotl.search.planner import DEPTHS

__all__ = ["Outlook", "outlook", "still_open"]

DRAWS = 2000
HELD = 0.98  # of the probability, that the tried and the open recipes hold together
USUAL_EPOCHS = 6.0  # that an untried fine-tuning is thought of as having, where none was trained
UNSEEN = 0.05  # deviation of what a backbone without a single image scored is taken to reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What all recipes may score, seen together."""

    chances: Mapping[str, float]  # of each to score best on new images, by candidate id; largest first
    behind: Mapping[
        str, Interval
    ]  # how far each that was tried is expected to be behind the best of all, 95 %


def outlook(
    evidence: Sequence[Evidence],
    ranking: Ranking | None,
    judged: Judged,
    goal: Goal,
    out_of_fold: bool,
    strategies: Sequence[str] = (),
) -> Outlook | None:
    """How all recipes are expected to do.

    Recipes are those that were tried and, for every backbone that was ranked, a linear probe and fine-tunings by
    `strategies` at every depth. None where the ranking's scores say something else than what is asked for, and
    where nothing frozen was tried.
    """
    found = known(evidence, ranking, judged, goal, out_of_fold)
    if ranking is None or not comparable(goal, out_of_fold) or not found.frozen:
        return None
    arms = {(arm.backbone, arm.input_size): arm for arm in ranking.ranked}
    generator = np.random.default_rng(0)
    candidates = {
        e.name: e.result.trial.candidate for e in evidence if e.name in found.frozen or e.name in found.tuned
    }
    for arm in arms.values():
        for candidate in _recipes(arm, strategies):
            candidates.setdefault(candidate.id, candidate)
    noise = {
        key: generator.standard_normal(DRAWS) * _deviation(arm, found, judged) for key, arm in arms.items()
    }
    drawn = _frozen(candidates, arms, found, noise) | _tuned(
        candidates, arms, found, noise, len(judged.labels), generator
    )
    if not drawn:  # nothing is ranked yet
        return None
    names = list(drawn)
    scores = np.stack([drawn[name] for name in names])
    share = np.bincount(scores.argmax(0), minlength=len(names)) / DRAWS
    return Outlook(
        chances={names[place]: float(share[place]) for place in np.argsort(-share, kind="stable").tolist()},
        behind={e.name: _behind(scores, drawn[e.name]) for e in evidence if e.name in drawn},
    )


def _behind(scores: np.ndarray, own: np.ndarray) -> Interval:
    """How far a recipe with scores `own` (draws,) is behind the best of `scores` (recipes, draws)."""
    gap = scores.max(0) - own
    low, high = np.quantile(gap, (0.025, 0.975)).tolist()
    return Interval(value=rounded(float(gap.mean())), low=rounded(low), high=rounded(high))


def still_open(
    likely: Mapping[str, float], members: Sequence[str], tried: Sequence[str]
) -> tuple[Prospect, ...]:
    """The untried recipes that are needed beside the winner's set to hold `HELD` of the probability; likeliest first.

    Candidates that were tried and fell out of the winner's set are told apart by their own measurement.
    """
    held = sum(likely.get(name, 0.0) for name in tried)
    opened = []
    for name, chance in likely.items():
        if held >= HELD or chance <= 0:
            break
        if name not in tried and name not in members:
            opened.append(Prospect(candidate=name, chance=rounded(chance)))
            held += chance
    return tuple(opened)


def _recipes(arm: Ranked, strategies: Sequence[str]) -> list[Candidate]:
    frozen = Candidate(backbone=arm.backbone, input_size=arm.input_size, strategy="linear_probe")
    return [frozen] + [
        Candidate(backbone=arm.backbone, input_size=arm.input_size, strategy=name, unfreeze=depth)
        for name in strategies
        for depth in DEPTHS
    ]


def _base(arm: Ranked, found: Known) -> float:
    """What a linear probe on an arm's features is taken to score."""
    name = Candidate(backbone=arm.backbone, input_size=arm.input_size, strategy="linear_probe").id
    return found.frozen.get(name, arm.expected)


def _deviation(arm: Ranked, found: Known, judged: Judged) -> float:
    """Of that score, from the images that it was seen on being few."""
    if not arm.rows:
        return UNSEEN
    name = Candidate(backbone=arm.backbone, input_size=arm.input_size, strategy="linear_probe").id
    rows = arm.rows + (len(judged.labels) if name in found.frozen else 0)
    return float(np.sqrt(belief.sampling_variance(_base(arm, found), rows)))


def _frozen(
    candidates: dict[str, Candidate],
    arms: dict[tuple[str, int], Ranked],
    found: Known,
    noise: dict[tuple[str, int], np.ndarray],
) -> dict[str, np.ndarray]:
    """Draws (draws,) of each frozen head's score; heads on the same features err together."""
    drawn = {}
    for name, candidate in candidates.items():
        key = (candidate.backbone, candidate.input_size)
        if candidate.unfreeze == 0 and key in arms:
            drawn[name] = found.frozen.get(name, _base(arms[key], found)) + noise[key]
    return drawn


def _tuned(
    candidates: dict[str, Candidate],
    arms: dict[tuple[str, int], Ranked],
    found: Known,
    noise: dict[tuple[str, int], np.ndarray],
    rows: int,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draws (draws,) of each fine-tuning's score, given those that were tried and judged on so many rows."""
    recipes = {}
    for name, candidate in candidates.items():
        key = (candidate.backbone, candidate.input_size)
        if name in found.tuned:
            recipes[name] = found.tuned[name].recipe
        elif candidate.unfreeze != 0 and key in arms:
            recipes[name] = belief.Recipe(
                candidate=candidate, base=belief.start(key, found.linear), prior=arms[key].prior
            )
    if not recipes:
        return {}
    mean, covariance = belief.posterior(list(recipes.values()), found.level, list(found.tuned.values()))
    moved = belief.draws(covariance, DRAWS, generator)
    trained = [found.epochs[name] for name in found.tuned]
    usual = float(np.median(trained)) if trained else USUAL_EPOCHS
    seen = {recipe.candidate.backbone for name, recipe in recipes.items() if name in found.tuned}
    drawn = {}
    for place, (name, recipe) in enumerate(recipes.items()):
        key = (recipe.candidate.backbone, recipe.candidate.input_size)
        epochs = found.epochs.get(name, usual)
        drawn[name] = np.asarray(belief.scores(recipe, found.level, epochs, mean[place] + moved[:, place]))
        told = found.tuned.get(name)
        if told is not None and told.failed:
            deviation = np.sqrt(belief.sampling_variance(told.score, rows))
            drawn[name] = told.score + deviation * generator.standard_normal(DRAWS)
        if recipe.candidate.backbone not in seen:  # nothing but its frozen head speaks for it
            drawn[name] = drawn[name] + belief.LEARNT.slope * noise[key]
    return drawn
