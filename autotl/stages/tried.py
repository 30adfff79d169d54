"""Tried: the trials of a run so far, and what is known of their costs."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records import Forecast, Measurement, Ranking, Skipped, TrialResult
from autotl.search.cost_model import CostModel

NOTHING_RANKED = Ranking(ranked=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The trials that compete, controls aside; the search returns it, and decisions on the way are made from it."""

    probes: tuple[TrialResult, ...]
    ranking: Ranking = NOTHING_RANKED
    skipped: tuple[Skipped, ...] = ()  # backbones that were skipped after the setup
    measurements: tuple[Measurement, ...] = ()
    forecast: Forecast | None = None  # of the whole run
    costs: CostModel | None = None  # None where one recipe was trained, and nothing searched
