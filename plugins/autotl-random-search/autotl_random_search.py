"""A planner for autotl: random search among the recipes that may still be the best."""

from __future__ import annotations

import numpy as np

from autotl.plugin import Candidate, PlannerCall, Strategy, Trial, TrialResult, hookimpl

AUTOTL_API_VERSION = 4
EPOCHS = (4.0, 9.0, 20.0)  # of a fine-tuning
DEPTHS = (1, 2, "all")  # layer groups that it unfreezes
HOPELESS = 0.02  # less than the best expected score, at the upper end of a recipe's interval


@hookimpl
def make_planner(call: PlannerCall) -> RandomSearch:
    return RandomSearch(call)


class RandomSearch:
    """Try recipes in a random order, each once, as long as one fits into the time left.

    A recipe that is expected to score far less than the best one is left out.
    """

    def __init__(self, call: PlannerCall) -> None:
        self.call, self.number = call, call.facts.trials
        generator = np.random.default_rng(call.facts.seed)
        recipes = [
            recipe
            for entry in call.ranking.ranked
            for strategy in call.strategies
            if strategy.takes(entry.backbone)
            for recipe in _recipes(entry.backbone, entry.input_size, strategy)
        ]
        self.recipes = [recipes[index] for index in generator.permutation(len(recipes))]
        self.tried: set[Candidate] = set()

    def ask(self, seconds: float) -> Trial | None:
        """Return the next recipe that is not hopeless, and whose probe and final fit fit into `seconds`."""
        best = max(self.call.belief.means(self.recipes)) if self.recipes else 0.0
        while self.recipes:
            candidate, epochs = self.recipes.pop()
            final = max(self.call.reserve(), self.call.costs.final(candidate, epochs))
            fits = self.call.costs.probe(candidate, epochs) + final <= seconds
            expected = self.call.belief.estimate(candidate, epochs)
            if fits and candidate not in self.tried and expected.high >= best - HOPELESS:
                self.number += 1
                return Trial(id=f"random{self.number}", candidate=candidate, epochs=epochs)
        return None

    def tell(self, result: TrialResult) -> None:
        """Remember what was tried, in this run or in the one that it continues."""
        self.tried.add(result.trial.candidate)


def _recipes(backbone: str, input_size: int, strategy: Strategy) -> list[tuple[Candidate, float]]:
    """Return the candidates of a strategy, each with a number of epochs (0: a head in closed form)."""
    depths = (0,) if strategy.head_only else DEPTHS if strategy.depths else ("all",)
    return [
        (
            Candidate(backbone=backbone, input_size=input_size, strategy=strategy.name, unfreeze=depth),
            epochs,
        )
        for depth in depths
        for epochs in (EPOCHS if strategy.phases else (0.0,))
    ]
