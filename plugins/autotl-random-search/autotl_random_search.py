"""A planner for autotl: random search, the baseline that other search policies are compared with."""

from __future__ import annotations

import numpy as np

from autotl.plugin import Candidate, PlannerCall, Strategy, Trial, TrialResult, hookimpl

AUTOTL_API_VERSION = 2
EPOCHS = (4.0, 9.0, 20.0)  # of a fine-tuning
DEPTHS = (1, 2, "all")  # layer groups that it unfreezes


@hookimpl
def make_planner(call: PlannerCall) -> RandomSearch:
    return RandomSearch(call)


class RandomSearch:
    """Try recipes in a random order, each once, as long as one fits into the time left."""

    def __init__(self, call: PlannerCall) -> None:
        self.costs, self.number, self.reserve = call.costs, 0, 0.0
        generator = np.random.default_rng(call.facts.seed)
        recipes = [
            recipe
            for entry in call.ranking.ranked
            for strategy in call.strategies
            for recipe in _recipes(entry.backbone, entry.input_size, strategy)
        ]
        self.recipes = [recipes[index] for index in generator.permutation(len(recipes))]

    def ask(self, seconds: float) -> Trial | None:
        """Return the next recipe whose probe and final fit fit into `seconds`."""
        while self.recipes:
            candidate, epochs = self.recipes.pop()
            probe = self.costs.probe(candidate, epochs) if epochs else 0.0
            if probe + max(self.reserve, self.costs.final(candidate, epochs)) <= seconds:
                self.number += 1
                return Trial(id=f"random{self.number}", candidate=candidate, epochs=epochs)
        return None

    def tell(self, result: TrialResult) -> None:
        """Reserve the time of the longest final fit: any recipe that was tried may win."""
        if result.status == "finished":
            final = self.costs.final(result.trial.candidate, result.epochs_done)
            self.reserve = max(self.reserve, final)


def _recipes(backbone: str, input_size: int, strategy: Strategy) -> list[tuple[Candidate, float]]:
    """Return the candidates of a strategy, each with a number of epochs (0: a head in closed form)."""
    if not strategy.phases:
        return [(Candidate(backbone=backbone, input_size=input_size, strategy=strategy.name), 0.0)]
    return [
        (
            Candidate(backbone=backbone, input_size=input_size, strategy=strategy.name, unfreeze=depth),
            epochs,
        )
        for depth in (DEPTHS if strategy.depths else DEPTHS[-1:])
        for epochs in EPOCHS
    ]
