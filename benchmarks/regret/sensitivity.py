"""Replays autotl with each constant of its decisions halved and doubled. No torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace as replaced
from unittest.mock import patch

from autotl.search import prior as search_prior
from benchmarks.regret import regret, replay, tables
from benchmarks.regret.policies import Autotl
from benchmarks.regret.space import Space

CONSTANTS = (
    "autotl.search.planner.HASTE",
    "autotl.search.planner.UNLIKELY",
    "autotl.search.planner.MATTERS",
    "autotl.search.planner.MATTERS_OF_ERROR",
    "autotl.search.prior.DATA",
    "autotl.search.prior.WAY",
    "autotl.search.prior.HALF_WAY",
    "autotl.search.latent.SHIFT",
    "autotl.search.belief.DRIFT",
    "autotl.search.latent.UNSEEN",
    "autotl.search.latent.DOUBLED_DATA",
    "autotl.search.latent.DOUBLED_OWN",
    "autotl.ranking.screening.DOUBLED",
    "autotl.ranking.screening.PRIOR_DEVIATION",
    "autotl.decision.winner.AS_GOOD",
    "benchmarks.regret.policies.RANK_SHARE",
)
LEVELS = (0.05, 0.2)


def table(spaces: Mapping[str, Space], pools: int) -> str:
    """Return mean and worst excess at two levels of cost, in points: as it is, and with each constant changed."""
    lines = [
        "| constant | factor | " + " | ".join(f"excess at {level:.0%}, worst set" for level in LEVELS) + " |",
        "|---|---|" + "---|" * len(LEVELS),
        f"| as it is | | {_excess(spaces, pools)} |",
    ]
    for name in CONSTANTS:
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(module), constant)
        for factor in (0.5, 2.0):
            with patch(name, factor * value), patch.object(replay, "fitted_to", _fitted):
                lines.append(f"| {constant} = {value:g} | {factor:g} | {_excess(spaces, pools)} |")
    return "\n".join(lines) + "\n"


def _fitted(spaces: list[Space]) -> search_prior.Prior:
    """Return the prior fitted to other sets; the deviation between data sets is the constant, as it is patched."""
    from benchmarks.regret.learn import fitted_to

    return replaced(fitted_to(spaces), data=search_prior.DATA)


def _excess(spaces: Mapping[str, Space], pools: int) -> str:
    outcomes = replay.replay(spaces, {tables.AUTOTL: Autotl()}, levels=LEVELS, pools=pools, seeds=1)
    cells = []
    for level in LEVELS:
        here = [outcome for outcome in tables.counted(outcomes) if outcome.level == level]
        values = tables.by_set(here, lambda outcome: outcome.excess)
        cells.append(f"{100 * regret.over_sets(values).value:.1f}, {100 * regret.worst(values):.1f}")
    return " | ".join(cells)
