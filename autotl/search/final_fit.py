"""Plan the final fit of a recipe within the seconds that are left: passes, and images outside the sample. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records import Candidate
from autotl.search.cost_model import CostModel


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """What a final fit is made of."""

    more: int  # passes by which it continues the probe; 0: it starts again
    outside: int  # images outside the sample that it is asked to learn from
    forecast: float  # seconds


def head(costs: CostModel, candidate: Candidate, seconds: float, outside: int, read: float) -> FitPlan:
    """Return the plan of a head in closed form: it is asked for all images, and takes as many as there is time for.

    `outside` images could be learned from besides; reading one takes `read` seconds.
    """
    able = min(outside, costs.outside(candidate, seconds, 0.0, read))
    forecast = costs.fit(candidate, 0.0) + costs.fit_outside(candidate, able, 0.0, read)
    return FitPlan(more=0, outside=outside, forecast=forecast)


def from_the_start(
    costs: CostModel, candidate: Candidate, seconds: float, epochs: float, outside: int, read: float
) -> FitPlan:
    """Return the plan of a training of so many passes from the pretrained weights."""
    able = min(outside, costs.outside(candidate, seconds, epochs, read))
    forecast = costs.fit(candidate, epochs) + costs.fit_outside(candidate, able, epochs, read)
    return FitPlan(more=0, outside=able, forecast=forecast)


def continued(
    costs: CostModel, candidate: Candidate, seconds: float, trained: float, outside: int, read: float
) -> FitPlan:
    """Return the plan of a fit that continues a probe of `trained` passes; `more` is 0 where no pass fits.

    Images that were never seen come before a second pass over those that were.
    """
    able = min(outside, costs.outside(candidate, seconds, 1.0, read))
    each = costs.fit_outside(candidate, able, 1.0, read)
    more = int(costs.last_epochs(candidate, seconds, trained, each))
    if able:
        more = max(1, more)
    passes = max(1, more)
    forecast = costs.fit(candidate, trained + passes, trained) + passes * each
    return FitPlan(more=more, outside=able, forecast=forecast)
