"""Profile: what the data are, and the metric that suits them."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.data import profile as data_profile
from autotl.options import goal_of
from autotl.records import Goal, Kind, Profile, fact
from autotl.stages.context import RunContext
from autotl.stages.split import SplitResult

IMBALANCED = 10.0  # largest class / smallest class from which balanced accuracy is the default metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """The profile, and the goal that the candidates are judged by."""

    profile: Profile
    goal: Goal


def profile(context: RunContext, parts: SplitResult) -> ProfileResult:
    """Return the profile of the data and the goal of the run."""
    with context.ledger.charge("profile"):
        found = data_profile.profile(parts.data, parts.decoded.statistics, parts.decoded.thumbnails)
    metric = context.options.metric
    if metric is None and found.imbalance > IMBALANCED:
        metric = "balanced_accuracy"
        context.journal.note(fact(Kind.IMBALANCED_METRIC, imbalance=found.imbalance))
    return ProfileResult(profile=found, goal=goal_of(context.options, metric or "accuracy"))
