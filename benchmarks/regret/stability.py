"""How often two runs recommend the same, whose trainings take different times: on another machine, or on more slots.

Every cost of a recorded set is multiplied by a random factor, autotl chooses as with the recorded costs, and both choices
are compared. Where they differ: does each run have the other's winner in its winner's set, so that a rule among
candidates that are not significantly different could have made them the same? No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from autotl.decision import winner
from autotl.search import prior as search_prior
from benchmarks.regret import regret
from benchmarks.regret.learn import fitted_to
from benchmarks.regret.policies import Autotl, Choice, Prior, exhaustive
from benchmarks.regret.replay import UNCOUNTED, prior_from, sub_pools
from benchmarks.regret.space import Space, Wallet

LEVELS = (0.05, 0.2)
RUNS = 3  # with other costs, beside the one with the recorded ones
NOISE = 0.2  # deviation of the logarithm of a cost
LEEWAYS = (0.001, 0.003, 0.005)  # of the expected score, within which the cheapest is recommended


def table(spaces: Mapping[str, Space], pools: int) -> str:
    """Return how often two runs recommend the same, and the excess of regret, by the leeway of a tie."""
    lines = [
        "| within | of the grid's cost | same candidate | same backbone | else each in the other's set | excess |",
        "|---|---|---|---|---|---|",
    ]
    for leeway in LEEWAYS:
        with patch.object(winner, "AS_GOOD", leeway):
            lines += [_row(spaces, pools, leeway, level) for level in LEVELS]
    return "\n".join(lines) + "\n"


def _row(spaces: Mapping[str, Space], pools: int, leeway: float, level: float) -> str:
    same, of_backbone, settled = list[bool](), list[bool](), list[bool]()
    excess: dict[str, list[float]] = {}
    for name, whole in spaces.items():
        if name in UNCOUNTED:
            continue
        others = [space for other, space in spaces.items() if other != name]
        prior = prior_from(others)
        with patch.object(search_prior, "FITTED", fitted_to(others)):
            for number, space in enumerate([whole, *sub_pools(whole, pools)]):
                group = None if space.about.group is None else space.about.group[space.about.part == 2]
                lost, generator = regret.regrets(space.right, group), np.random.default_rng(number)
                floor = exhaustive(Wallet(space=space, limit=0.0), prior, generator).place
                runs = [space, *(_elsewhere(space, generator) for _ in range(RUNS))]
                choices = [_chosen(one, space.level(level), prior) for one in runs]
                excess.setdefault(name, []).extend(float(lost[c.place] - lost[floor]) for c in choices)
                for choice in choices[1:]:
                    one, other = (space.cells[c.place].candidate for c in (choices[0], choice))
                    same.append(one == other)
                    of_backbone.append(one.backbone == other.backbone)
                    if one != other:
                        both = choices[0].place in choice.members and choice.place in choices[0].members
                        settled.append(both)
    mean = np.mean([np.mean(values) for values in excess.values()])
    return (
        f"| {100 * leeway:g} points | {level:.0%} | {np.mean(same):.0%} | {np.mean(of_backbone):.0%} |"
        f" {sum(settled)} of {len(settled)} | {100 * mean:.2f} |"
    )


def _chosen(space: Space, seconds: float, prior: Prior) -> Choice:
    return Autotl()(Wallet(space=space, limit=seconds), prior, np.random.default_rng(0))


def _elsewhere(space: Space, generator: np.random.Generator) -> Space:
    """Return the set as it is where everything takes another time."""
    cells = []
    for cell in space.cells:
        factor = _factor(generator)
        cells.append(replace(cell, cost={length: factor * cost for length, cost in cell.cost.items()}))
    image = {name: _factor(generator) * seconds for name, seconds in space.image.items()}
    return replace(space, cells=tuple(cells), image=image)


def _factor(generator: np.random.Generator) -> float:
    return float(np.exp(NOISE * generator.normal()))
