"""Sentences of the section on time and on the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from autotl.report.wording.targets import metric_name


def forecasts(ratios: Sequence[float], inside: int, intervals: int) -> str:
    """Return how the forecasts of the trainings compare with what they took; `ratios` are sorted."""
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"The one training with a forecast took {ratios[0]:.2f} times its forecast."
    text = (
        f"Trainings took {median(ratios):.2f} times their forecast (median of {len(ratios)}; range"
        f" {ratios[0]:.2f} to {ratios[-1]:.2f})."
    )
    return text + (f" {inside} of {intervals} are inside their 80% interval." if intervals else "")


def expected(metric: str) -> str:
    """Return the name of what all scores together expect of a backbone."""
    return f"expected {metric_name(metric)} (all scores)"


def agreement(tau: float) -> str:
    """Return how well a score ordered the backbones."""
    if tau >= 0.6:
        return "strong agreement"
    if tau >= 0.2:
        return "some agreement"
    return "no agreement" if tau > -0.2 else "reversed order"
